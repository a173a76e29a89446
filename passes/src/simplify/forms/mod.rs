//! What nodes say, whichever form their version of the standard says it in: as attributes or as operands.

pub(super) mod axes;
pub(super) mod bounds;
pub(super) mod concat;
pub(super) mod pads;
pub(super) mod regrouping;
pub(super) mod slicing;
pub(super) mod splat;
