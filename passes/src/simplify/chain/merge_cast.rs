//! Merges a `Cast` into the one behind it.
//!
//! Before `y = Cast<to = B>(Cast<to = A>(x))`, `x` of element type `X`; after `y = Cast<to = B>(x)`.
//! Fires if `A` has every number that `X` has, and the number is converted to `B` alike from either: if `X` and `A` are both floats,
//! or both whole numbers, or if `B` is a float or the truth values, or has every number of `X` too. The first `Cast` may have other
//! readers.
//! Exact: the first conversion rounds nothing. Ends: one node fewer on the way from `x` to `y` each time.

use onnxpress_ir::{DType, Edit, EditError, NodeId};
use onnxpress_ops::node::NodeCx;

use crate::rewrite::{Change, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct MergeCast;

impl Rule for MergeCast {
    const NAME: &'static str = "merge-cast";
    const CONTRACT: &'static str = crate::contract!("merge_cast.rs");
    const ROOTS: Roots = Roots::Operators(&["Cast"]);
    type Match = Change;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Change> {
        let node = cx.node(root)?;
        let inner = cx.producer(root, 0, "Cast")?;
        let data = cx.operand(inner.id, 0)?;
        let target = |node: &NodeCx<'_>| cx.attribute(node.id, node.attrs().dtype("to"))?.ok_or(Miss::NotHere);
        let (first, last) = (target(&inner)?, target(&node)?);
        let from = cx.ty(data).dtype().ok_or(Miss::NotHere)?;
        let alike = from.is_float() == first.is_float() || last.is_float() || last == DType::Bool || holds(last, from);
        if holds(first, from) && alike { Change::operands(cx, root, [data.into()]) } else { Err(Miss::NotHere) }
    }

    fn apply(&self, found: Change, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}

/// Whether every number of the one type is one of the other.
fn holds(wide: DType, narrow: DType) -> bool {
    // Significant bits, sign aside, and whether there are negative numbers; for floats the bits of the mantissa.
    let whole = |dtype: DType| match dtype {
        DType::Bool => Some((1, false)),
        DType::Uint8 => Some((8, false)),
        DType::Uint16 => Some((16, false)),
        DType::Uint32 => Some((32, false)),
        DType::Uint64 => Some((64, false)),
        DType::Int8 => Some((7, true)),
        DType::Int16 => Some((15, true)),
        DType::Int32 => Some((31, true)),
        DType::Int64 => Some((63, true)),
        _ => None,
    };
    // The precision, and a rank such that exponents of a lower one fit.
    let float = |dtype: DType| match dtype {
        DType::Float16 => Some((11, 0)),
        DType::Bfloat16 => Some((8, 1)),
        DType::Float => Some((24, 1)),
        DType::Double => Some((53, 2)),
        _ => None,
    };
    if wide == narrow {
        return true;
    }
    match (whole(wide), float(wide), whole(narrow), float(narrow)) {
        (Some((bits, sign)), _, Some((needed, signed)), _) => {
            bits >= needed && (sign || !signed) && wide != DType::Bool
        }
        (_, Some((precision, _)), Some((needed, _)), _) => precision >= needed,
        (_, Some((precision, range)), _, Some((needed, reach))) => precision >= needed && range >= reach,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wider_types_hold_narrower_ones() {
        assert!(
            holds(DType::Int64, DType::Int32) && holds(DType::Int16, DType::Uint8) && holds(DType::Float, DType::Bool)
        );
        assert!(holds(DType::Float, DType::Float16) && holds(DType::Float, DType::Bfloat16));
        assert!(holds(DType::Double, DType::Int32) && holds(DType::Float16, DType::Int8));
        assert!(
            !holds(DType::Float, DType::Int32)
                && !holds(DType::Uint64, DType::Int8)
                && !holds(DType::Bool, DType::Int8)
        );
        assert!(!holds(DType::Bfloat16, DType::Float16) && !holds(DType::Float16, DType::Bfloat16));
    }
}
