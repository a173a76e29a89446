//! What onnxpress knows of operators.
//!
//! One static [`operator::Operator`] a data sheet, in the folder of its family; [`table`] is the one list of them. The
//! [`schema`] covers every operator of the standard in every version; [`infer`] derives types and symbolic shapes,
//! [`evaluate`] computes, [`verify`] checks nodes against their schemas. This crate knows no pass.

pub mod axes;
pub mod coupling;
pub mod evaluate;
pub mod gradient;
#[cfg(test)]
mod hostile;
pub mod infer;
pub mod interpret;
pub mod node;
pub mod operator;
pub mod schema;
pub mod table;
#[cfg(test)]
mod testing;
pub mod verify;

mod activation;
mod attention;
mod cast;
mod contrib;
mod control;
mod creation;
mod elementwise;
mod image;
mod letters;
mod linear;
mod logic;
mod loss;
mod math;
mod ml;
mod movement;
mod normalization;
mod parameters;
mod pooling;
mod quantization;
mod random;
mod recurrent;
mod reduction;
mod selection;
mod sequence;
mod shape;
mod signal;
mod text;
mod training;

pub use gradient::Gradient;
pub use linear::rows::{InputRows, LayerRows};
pub use normalization::NormalizedBy;
pub use operator::{Cost, Effects, Evaluate, Infer, Linear, LinearLayer, Operator, Quantize, Rows};
