//! Shapes that are computed, stated: what is the same for all sizes needs no nodes.

mod gather_extents;
mod lift_shape;
mod narrow_operand;
mod scale_resize;
mod slice_shape;
mod state_entries;
mod state_expand;
mod state_reshape;
mod state_slice;
mod state_split;

pub use gather_extents::GatherExtents;
pub use lift_shape::LiftShape;
pub use narrow_operand::NarrowOperand;
pub use scale_resize::ScaleResize;
pub use slice_shape::SliceShape;
pub use state_entries::StateEntries;
pub use state_expand::StateExpand;
pub use state_reshape::StateReshape;
pub use state_slice::StateSlice;
pub use state_split::StateSplit;

use crate::rewrite::AnyRule;

/// The rules of this family.
pub(super) const RULES: &[&dyn AnyRule] = &[
    &GatherExtents,
    &LiftShape,
    &NarrowOperand,
    &ScaleResize,
    &SliceShape,
    &StateEntries,
    &StateExpand,
    &StateReshape,
    &StateSlice,
    &StateSplit,
];
