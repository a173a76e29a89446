//! Lets a reduction keep or drop the axes that a node behind it drops or adds.
//!
//! Before `y = Squeeze(ReduceMean<keepdims = 1>(x))` or `y = Unsqueeze(ReduceMean<keepdims = 0>(x))`, with any reduction, `ArgMax` or `ArgMin`,
//! and with `Reshape` and the like; after `y = ReduceMean(x)` with the other `keepdims`.
//! Fires if the axes are known, `y` has the extents that come out so for certain, and nothing else reads what is between.
//! Exact: the same elements. Ends: one node fewer each time.

use onnxpress_ir::shape::normalize_axis;
use onnxpress_ir::{Attr, Dim, Edit, EditError, NodeId};

use super::super::forms::axes;
use crate::rewrite::{Change, Found, MatchCx, Miss, Reads, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct ReduceKeepdims;

impl Rule for ReduceKeepdims {
    const NAME: &'static str = "reduce-keepdims";
    const CONTRACT: &'static str = crate::contract!("reduce_keepdims.rs");
    const ROOTS: Roots = Roots::Operators(&["Reshape", "Flatten", "Squeeze", "Unsqueeze"]);
    type Match = Change;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Change> {
        let between = cx.operand(root, 0)?;
        let inner = cx.node(between.node)?;
        let op = inner.node.op_type.to_str();
        let is_extremum = matches!(&*op, "ArgMax" | "ArgMin");
        if !inner.node.canonical_domain().is_empty() || !is_extremum && !op.starts_with("Reduce") {
            return Err(Miss::NotHere);
        }
        let data = cx.operand(inner.id, 0)?;
        let (from, to) = (cx.shape(data).ok_or(Miss::NotHere)?, cx.shape(root.port(0)).ok_or(Miss::NotHere)?);
        let axes = if is_extremum {
            let axis = cx.attribute(inner.id, inner.attrs().int_or("axis", 0))?;
            vec![normalize_axis(axis, from.len()).ok_or(Miss::NotHere)?]
        } else {
            let noop = cx.attribute(inner.id, inner.attrs().flag("noop_with_empty_axes"))?;
            match axes::resolved(cx, &inner, from.len())? {
                Some(axes) if !axes.is_empty() => axes,
                _ if noop => return Err(Miss::NotHere),
                _ => (0..from.len()).collect(),
            }
        };
        let keep = cx.attribute(inner.id, inner.attrs().int_or("keepdims", 1))? != 0;
        let one = Dim::from(1);
        let expected = from.iter().enumerate().filter_map(|(axis, dim)| match (axes.contains(&axis), keep) {
            (false, _) => Some(dim),
            (true, false) => Some(&one),
            (true, true) => None,
        });
        let expected: Vec<&Dim> = expected.collect();
        let same = expected.len() == to.len() && expected.iter().zip(to).all(|(a, b)| a.equals(b) == Some(true));
        if !same || !cx.is_read_once(between) {
            return Err(Miss::NotHere);
        }
        let mut attrs = inner.node.attrs.clone();
        attrs.retain(|attr| attr.name != "keepdims");
        attrs.push(Attr::int("keepdims", i64::from(!keep)));
        let operands = cx.graph().operands(inner.id).map(|value| value.map_or(Reads::Nothing, Reads::Value));
        Change::new(cx, root, inner.node.op_type.clone(), operands, attrs)
    }

    fn apply(&self, found: Change, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
