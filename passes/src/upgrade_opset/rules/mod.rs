//! The rules, a file for what changes alike.

pub(super) mod attribute_to_operand;
pub(super) mod batch_normalization;
pub(super) mod default;
pub(super) mod dropout;
pub(super) mod experimental;
pub(super) mod group_normalization;
pub(super) mod resize;
pub(super) mod scan;
pub(super) mod softmax;
