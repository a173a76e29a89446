//! How large whole numbers may be that go into an input: those that pick along an axis must not pick beyond its end.

use onnxpress_ir::{Graph, Slot, ValueId};
use onnxpress_ops::node::NodeCx;

/// Whole numbers are drawn from `0..LIMIT` where nothing narrower is known: small enough for most tables they pick from.
const LIMIT: i64 = 4;

/// How far the readers of an input are followed.
const STEPS: usize = 200;

/// Operators that hand whole numbers on unchanged.
const MOVES: &[&str] = &[
    "Cast",
    "Concat",
    "Expand",
    "Flatten",
    "Identity",
    "Reshape",
    "Slice",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
];

/// One above the largest number that every reader of the value tolerates.
pub(super) fn limit(graph: &Graph, value: ValueId) -> i64 {
    let mut limit = LIMIT;
    let mut queue = vec![value];
    let mut steps = 0;
    while let Some(value) = queue.pop() {
        for reading in graph.readers(value) {
            steps += 1;
            if steps > STEPS {
                return limit;
            }
            let (Some(cx), Slot::Operand(slot)) = (NodeCx::new(graph, reading.node), reading.slot) else { continue };
            let name = cx.node.op_type.to_str();
            if MOVES.contains(&&*name) && (slot == 0 || name == "Concat") {
                queue.push(reading.node.port(0));
            } else if let Some(extent) = picked_from(&cx, &name, slot) {
                limit = limit.min(extent.max(1));
            }
        }
    }
    limit
}

/// The extent of the axis along which this operand picks, where it is known.
fn picked_from(cx: &NodeCx<'_>, name: &str, slot: u32) -> Option<i64> {
    if !cx.node.canonical_domain().is_empty() {
        return None;
    }
    match (name, slot) {
        ("Gather" | "GatherElements" | "ScatterElements" | "Scatter", 1) => {
            let shape = cx.shape(0)?;
            let axis = cx.attrs().int_or("axis", 0).ok()?;
            shape.get(onnxpress_ir::shape::normalize_axis(axis, shape.rank())?)?.as_const()
        }
        // Each row of the indices picks along several axes.
        ("GatherND" | "ScatterND", 1) => cx.shape(0)?.iter().filter_map(|dim| dim.as_const()).min(),
        ("OneHot", 0) => cx.ints(1)?.first().copied(),
        ("TopK", 1) => {
            let shape = cx.shape(0)?;
            let axis = cx.attrs().int_or("axis", -1).ok()?;
            let extent = shape.get(onnxpress_ir::shape::normalize_axis(axis, shape.rank())?)?.as_const()?;
            extent.checked_add(1)
        }
        ("SequenceAt" | "SequenceErase", 1) => Some(1),
        _ => None,
    }
}
