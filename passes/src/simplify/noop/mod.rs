//! Nodes that hand on what they are given, as it came.
//!
//! Where a graph output needs the node for its name, an `Identity` takes its place.

mod drop_cast;
mod drop_dropout;
mod drop_equal_operands;
mod drop_gather;
mod drop_idempotent;
mod drop_identity;
mod drop_inverse;
mod drop_limit;
mod drop_lone_operand;
mod drop_neutral_operand;
mod drop_pad;
mod drop_pooling;
mod drop_reduction;
mod drop_regrouping;
mod drop_repetition;
mod drop_requantization;
mod drop_resize;
mod drop_slice;
mod drop_transpose;
mod drop_where;
mod omit_default;

pub use drop_cast::DropCast;
pub use drop_dropout::DropDropout;
pub use drop_equal_operands::DropEqualOperands;
pub use drop_gather::DropGather;
pub use drop_idempotent::DropIdempotent;
pub use drop_identity::DropIdentity;
pub use drop_inverse::DropInverse;
pub use drop_limit::DropLimit;
pub use drop_lone_operand::DropLoneOperand;
pub use drop_neutral_operand::DropNeutralOperand;
pub use drop_pad::DropPad;
pub use drop_pooling::DropPooling;
pub use drop_reduction::DropReduction;
pub use drop_regrouping::DropRegrouping;
pub use drop_repetition::DropRepetition;
pub use drop_requantization::DropRequantization;
pub use drop_resize::DropResize;
pub use drop_slice::DropSlice;
pub use drop_transpose::DropTranspose;
pub use drop_where::DropWhere;
pub use omit_default::OmitDefault;

use crate::rewrite::AnyRule;

/// The rules of this family.
pub(super) const RULES: &[&dyn AnyRule] = &[
    &DropIdentity,
    &DropDropout,
    &DropCast,
    &DropEqualOperands,
    &DropGather,
    &DropIdempotent,
    &DropInverse,
    &DropLimit,
    &DropLoneOperand,
    &DropNeutralOperand,
    &DropPad,
    &DropPooling,
    &DropReduction,
    &DropRegrouping,
    &DropRepetition,
    &DropRequantization,
    &DropResize,
    &DropSlice,
    &DropTranspose,
    &DropWhere,
    &OmitDefault,
];
