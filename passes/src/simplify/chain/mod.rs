//! Nodes that do one thing in several steps, and can do it in one.

mod absorb_pad;
mod gather_one_index;
mod join_parts;
mod join_slices;
mod merge_cast;
mod merge_concat;
mod merge_concat_constants;
mod merge_constants;
mod merge_gather;
mod merge_limits;
mod merge_pad;
mod merge_regrouping;
mod merge_slice;
mod merge_transpose;
mod reduce_keepdims;
mod slice_of_concat;
mod slice_of_split;
mod space_to_depth_of_slices;
mod split_of_concat;
mod widen_gemm;

pub use absorb_pad::AbsorbPad;
pub use gather_one_index::GatherOneIndex;
pub use join_parts::JoinParts;
pub use join_slices::JoinSlices;
pub use merge_cast::MergeCast;
pub use merge_concat::MergeConcat;
pub use merge_concat_constants::MergeConcatConstants;
pub use merge_constants::MergeConstants;
pub use merge_gather::MergeGather;
pub use merge_limits::MergeLimits;
pub use merge_pad::MergePad;
pub use merge_regrouping::MergeRegrouping;
pub use merge_slice::MergeSlice;
pub use merge_transpose::MergeTranspose;
pub use reduce_keepdims::ReduceKeepdims;
pub use slice_of_concat::SliceOfConcat;
pub use slice_of_split::SliceOfSplit;
pub use space_to_depth_of_slices::SpaceToDepthOfSlices;
pub use split_of_concat::SplitOfConcat;
pub use widen_gemm::WidenGemm;

use crate::rewrite::AnyRule;

/// The rules of this family.
pub(super) const RULES: &[&dyn AnyRule] = &[
    &AbsorbPad,
    &GatherOneIndex,
    &JoinParts,
    &JoinSlices,
    &MergeCast,
    &MergeConcat,
    &MergeConcatConstants,
    &MergeConstants,
    &MergeGather,
    &MergeLimits,
    &MergePad,
    &MergeRegrouping,
    &MergeSlice,
    &MergeTranspose,
    &ReduceKeepdims,
    &SliceOfConcat,
    &SliceOfSplit,
    &SplitOfConcat,
    &WidenGemm,
    &SpaceToDepthOfSlices,
];
