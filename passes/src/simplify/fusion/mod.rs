//! Operators of the standard in the place of the nodes that compute them.
//!
//! Exporters write out what their version of the standard had no operator for, or what they have none for. No operator is
//! brought in that the model's version of the standard does not have.

mod attention_of_packed_heads;
mod elementwise;
mod expression;
mod flattened;
mod function;
mod fuse_attention;
mod fuse_block_moves;
mod fuse_channel_normalization;
mod fuse_clip;
mod fuse_comparison;
mod fuse_elementwise;
mod fuse_into_reduction;
mod fuse_layer_normalization;
mod fuse_mean_variance;
mod fuse_rotary_embedding;
mod fuse_softmax;
mod grouped;
mod heads;
mod normalized;
mod pattern;
mod reduce_pooled_axes;
mod rotation;

pub use attention_of_packed_heads::AttentionOfPackedHeads;
pub use fuse_attention::FuseAttention;
pub use fuse_block_moves::FuseBlockMoves;
pub use fuse_channel_normalization::FuseChannelNormalization;
pub use fuse_clip::FuseClip;
pub use fuse_comparison::FuseComparison;
pub use fuse_elementwise::FuseElementwise;
pub use fuse_into_reduction::FuseIntoReduction;
pub use fuse_layer_normalization::FuseLayerNormalization;
pub use fuse_mean_variance::FuseMeanVariance;
pub use fuse_rotary_embedding::FuseRotaryEmbedding;
pub use fuse_softmax::FuseSoftmax;
pub use reduce_pooled_axes::ReducePooledAxes;

use crate::rewrite::AnyRule;

/// The rules of this family.
pub(super) const RULES: &[&dyn AnyRule] = &[
    &FuseElementwise,
    &FuseBlockMoves,
    &FuseChannelNormalization,
    &FuseLayerNormalization,
    &FuseMeanVariance,
    &FuseSoftmax,
    &FuseIntoReduction,
    &ReducePooledAxes,
    &FuseComparison,
    &FuseRotaryEmbedding,
    &FuseAttention,
    &AttentionOfPackedHeads,
    &FuseClip,
];
