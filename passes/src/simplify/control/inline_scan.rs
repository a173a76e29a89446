//! Puts the body of a `Scan` over one step in its place.
//!
//! Before `v, s = Scan(v0, x) <body>`; after, the nodes of the body with `v0` for the state and `Squeeze(x)` for the slice, and
//! `Unsqueeze` of what is stacked.
//! Fires from version 9 on, if every tensor that is scanned has extent 1 along its axis for certain.
//! Exact: the first step is the last, from whichever end. Ends: one `Scan` fewer each time.

use onnxpress_ir::shape::normalize_axis;
use onnxpress_ir::{Dim, Edit, EditError, NodeId};

use super::inlined::{Given, Inlined, Taken};
use crate::rewrite::{Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct InlineScan;

impl Rule for InlineScan {
    const NAME: &'static str = "inline-scan";
    const CONTRACT: &'static str = crate::contract!("inline_scan.rs");
    const ROOTS: Roots = Roots::Operators(&["Scan"]);
    type Match = Inlined;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Inlined> {
        let node = cx.node(root)?;
        let body = node.attrs().graph("body").filter(|_| node.version >= 9).ok_or(Miss::NotHere)?;
        let scanned = cx.attribute(root, node.attrs().int_or("num_scan_inputs", 0))?;
        let scanned = usize::try_from(scanned).map_err(|_| Miss::NotHere)?;
        let states = node.operand_count().checked_sub(scanned).filter(|_| scanned > 0).ok_or(Miss::NotHere)?;
        let stacked = node.node.port_count().checked_sub(states).ok_or(Miss::NotHere)?;
        let axes = |name: &str, count: usize| -> Found<Vec<i64>> {
            let axes = cx.attribute(root, node.attrs().ints(name))?.unwrap_or_else(|| vec![0; count]);
            if axes.len() == count { Ok(axes) } else { Err(Miss::NotHere) }
        };
        let (from, to) = (axes("scan_input_axes", scanned)?, axes("scan_output_axes", stacked)?);
        let mut given = Vec::new();
        for index in 0..node.operand_count() {
            let value = cx.operand(root, index)?;
            given.push(match index.checked_sub(states) {
                None => Given::Value(value),
                Some(slice) => {
                    let shape = cx.shape(value).ok_or(Miss::NotHere)?;
                    let axis = normalize_axis(from[slice], shape.len()).ok_or(Miss::NotHere)?;
                    if shape[axis].equals(&Dim::from(1)) != Some(true) {
                        return Err(Miss::NotHere);
                    }
                    Given::Slice(value, axis as i64)
                }
            });
        }
        let taken = (0u32..).take(node.node.port_count()).map(|port| match (port as usize).checked_sub(states) {
            None => Taken::Value(port),
            Some(slice) => Taken::Slice(port, to[slice]),
        });
        let taken = taken.collect();
        Inlined::new(cx, root, body, given, taken)
    }

    fn apply(&self, found: Inlined, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
