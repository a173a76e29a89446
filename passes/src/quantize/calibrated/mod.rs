//! `quantize`: values and weights as whole numbers, ranges measured on samples.
//!
//! Where codes pay is read off the data sheets and the one table of what runtimes fuse ([`target`]); `placement` finds the
//! values and layers. Samples give ranges (`range`), these scales and zero points, all of which `settle` writes into
//! a [`plan`]; [`write`] puts a plan into a model, and into its witness.

mod adapt;
mod apply;
mod bias;
mod conversions;
mod hand_on;
mod limits;
mod names;
mod operators;
pub mod options;
mod parts;
mod placement;
pub mod plan;
mod scales;
pub mod sensitivity;
mod settle;
mod stored;
pub mod target;
mod write;

#[cfg(test)]
pub(crate) mod tests;

pub(in crate::quantize) use apply::ONE_OFF;
pub(crate) use apply::apply_plan;
pub use options::Quantize;
