//! Limits that codes keep by themselves: a `Relu` before codes that begin at zero takes away nothing that saturating does not.
//!
//! Before: `Relu` or `Clip`, and nothing but `QuantizeLinear` behind it, to codes that reach no further than the limit lets through.
//! After: `QuantizeLinear`. Exact, since quantization saturates at the first and the last code.

use onnxpress_ir::{DType, Edit, EditError, Graph, NodeId};
use onnxpress_ops::infer::Standard;
use onnxpress_ops::node::NodeCx;

/// How far a limit may cut into the range of codes, as a share of it: the scale was rounded.
const ROUNDED: f64 = 1e-5;

/// Takes such limits out of a graph.
///
/// # Errors
/// Where the graph does not take it: a defect.
pub(super) fn drop_kept(graph: &mut Graph) -> Result<(), EditError> {
    for id in graph.topological().unwrap_or_default() {
        let Some(cx) = NodeCx::new(graph, id).filter(|cx| cx.node.is("Relu") || cx.node.is("Clip")) else { continue };
        let behind = graph.sole_reader(id.port(0)).and_then(|reading| NodeCx::new(graph, reading.node));
        let range = behind.filter(|cx| cx.node.is("QuantizeLinear")).and_then(|cx| reach(&cx));
        let (Some(range), Some(value)) = (range, cx.operand(0)) else { continue };
        if holds(graph, id, range) {
            let mut edit = Edit::new(graph, &Standard, "quantize", &[id]);
            edit.replace(id.port(0), value)?;
            edit.remove(id);
            edit.commit();
        }
    }
    Ok(())
}

/// The numbers that codes reach from and to.
pub(super) fn reach(conversion: &NodeCx<'_>) -> Option<(f64, f64)> {
    let scale = *conversion.constant(1)?.to_f64s().ok()?.first()?;
    let (dtype, zero) = match conversion.constant(2) {
        Some(zero) => (zero.dtype(), *zero.to_i64s().ok()?.first()?),
        None => (DType::Uint8, 0),
    };
    let (low, high) = onnxpress_ir::tensor::range(dtype);
    (dtype.bits() == 8).then_some(((low - zero) as f64 * scale, (high - zero) as f64 * scale))
}

/// Whether a limit lets all of a range through.
pub(super) fn holds(graph: &Graph, limit: NodeId, (low, high): (f64, f64)) -> bool {
    let Some(cx) = NodeCx::new(graph, limit) else { return false };
    let slack = (high - low) * ROUNDED;
    if cx.node.is("Relu") {
        return low >= -slack;
    }
    let bound = |operand: usize, none: f64| match cx.has(operand) {
        true => cx.constant(operand).and_then(|bound| bound.to_f64s().ok()?.first().copied()),
        false => Some(none),
    };
    // Bounds were attributes before opset 11.
    let (Some(least), Some(most)) = (bound(1, f64::NEG_INFINITY), bound(2, f64::INFINITY)) else { return false };
    cx.version >= 11 && low >= least - slack && high <= most + slack
}
