//! Passes over models, and what they are made of.
//!
//! A [`pass::Pass`] rewrites a model; [`pipeline`] text names passes with [`mod@options`]; the [`manager`] runs a pipeline and
//! keeps what its proof needs. This crate knows no runtime, no file and no command line.

pub mod allocation;
pub mod convert_float;
pub mod differentiate;
pub mod digest;
pub mod distil;
pub mod evidence;
pub mod factorize;
pub mod fold_constants;
pub mod manager;
pub mod options;
pub mod pass;
pub mod pipeline;
pub mod plan;
pub mod prune_channels;
pub mod quantize;
pub mod reconstruction;
pub mod rewrite;
pub mod simplify;
pub mod sparsify;
pub mod specialize;

mod builtin;
mod calls;
mod code_bytes;
mod compressed_size;
mod correct_bias;
mod dedupe_initializers;
mod eliminate_common_subexpressions;
mod eliminate_dead;
mod imports;
mod infer_shapes;
mod inline_functions;
mod reading_across;
mod recalibrate_batch_norm;
mod transplant;
mod upgrade_opset;

pub use builtin::builtin;
pub use code_bytes::CodeBytes;
pub use correct_bias::{CorrectBias, Source};
pub use dedupe_initializers::DedupeInitializers;
pub use differentiate::Differentiate;
pub use distil::Distil;
pub use eliminate_common_subexpressions::EliminateCommonSubexpressions;
pub use eliminate_dead::EliminateDead;
pub use factorize::{Factorize, MergeFactors, Rank, Save};
pub use infer_shapes::InferShapes;
pub use inline_functions::{InlineFunctions, When, inlined};
pub use plan::ApplyPlan;
pub use prune_channels::PruneChannels;
pub use recalibrate_batch_norm::RecalibrateBatchNorm;
pub use sparsify::Sparsify;
pub use upgrade_opset::{Opset, UpgradeOpset};
