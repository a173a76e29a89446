//! Weights that are looked up in tables, as `palettize` writes them: `Gather` of a constant list by places, which are constant codes, cast
//! to numbers of places, with the start of each one's table added where tables are many.

use onnxpress_ir::{Graph, NodeId};
use onnxpress_ops::node::NodeCx;

/// More values than this of each element are not compared one by one.
const MOST: usize = 16;

/// The codes by which a node looks up a weight, where nobody else reads them, and how many there are to choose from.
pub(super) fn codes(graph: &Graph, id: NodeId) -> Option<(NodeId, usize)> {
    let cx = NodeCx::new(graph, id).filter(|cx| cx.node.is("Gather"))?;
    let table = cx.constant(0).filter(|table| table.rank() == 1 && table.dtype().is_float())?;
    let (mut value, mut last_start) = (cx.operand(1)?, 0);
    loop {
        let read_once = graph.readers(value).count() == 1;
        if graph.constant(value).is_some() {
            let count = table.len().checked_sub(usize::try_from(last_start).ok()?)?;
            return (read_once && (2..=MOST).contains(&count)).then_some((value.node, count));
        }
        let before = NodeCx::new(graph, value.node).filter(|_| read_once)?;
        value = match before.node.op_type.to_str().as_ref() {
            "Cast" => before.operand(0)?,
            "Add" => {
                let starts = before.constant(1)?.to_i64s().ok()?;
                last_start = starts.into_iter().max()?;
                before.operand(0)?
            }
            _ => return None,
        };
    }
}
