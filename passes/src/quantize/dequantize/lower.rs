//! Operators on codes as operators on floats between `DequantizeLinear` and `QuantizeLinear`.

use onnxpress_ir::{DType, Edit, EditError, Graph, Node, NodeId, Tensor, ValueId};
use onnxpress_ops::infer::Standard;
use onnxpress_ops::node::NodeCx;

use super::{Dequantize, Taken, floats, scales};
use crate::pass::{Pass, PassCx, PassError};
use crate::quantize::weight::Granularity;

/// An operator on codes: the operator on floats, where codes stand among the operands (each with scale and zero point behind it),
/// and where the scale of the result stands.
struct Form {
    domain: &'static [u8],
    name: &'static str,
    floats: &'static str,
    codes: &'static [usize],
    result: usize,
}

const MICROSOFT: &[u8] = b"com.microsoft";

const FORMS: [Form; 9] = [
    Form { domain: b"", name: "QLinearConv", floats: "Conv", codes: &[0, 3], result: 6 },
    Form { domain: MICROSOFT, name: "QLinearConv", floats: "Conv", codes: &[0, 3], result: 6 },
    Form { domain: b"", name: "QLinearMatMul", floats: "MatMul", codes: &[0, 3], result: 6 },
    Form { domain: MICROSOFT, name: "QLinearAdd", floats: "Add", codes: &[0, 3], result: 6 },
    Form { domain: MICROSOFT, name: "QLinearMul", floats: "Mul", codes: &[0, 3], result: 6 },
    Form { domain: MICROSOFT, name: "QLinearSigmoid", floats: "Sigmoid", codes: &[0], result: 3 },
    Form { domain: MICROSOFT, name: "QLinearLeakyRelu", floats: "LeakyRelu", codes: &[0], result: 3 },
    Form { domain: MICROSOFT, name: "QLinearAveragePool", floats: "AveragePool", codes: &[0], result: 3 },
    Form { domain: MICROSOFT, name: "QLinearGlobalAveragePool", floats: "GlobalAveragePool", codes: &[0], result: 3 },
];

/// Lowers all nodes of a graph; answers how many.
pub(super) fn all(graph: &mut Graph, taken: &Taken, cx: &mut PassCx<'_>) -> Result<usize, PassError> {
    let nodes: Vec<NodeId> = graph.nodes().map(|(id, _)| id).collect();
    let mut count = 0;
    for id in nodes {
        let Some(node) = graph.node(id) else { continue };
        let form = FORMS.iter().find(|form| node.op_type == form.name && node.canonical_domain() == form.domain);
        let is_concat = node.op_type == "QLinearConcat" && node.canonical_domain() == MICROSOFT;
        let lowered = match form {
            Some(form) => lower(graph, id, form, taken),
            None if is_concat => concat(graph, id, taken),
            None => continue,
        };
        match lowered {
            Ok(Ok(())) => count += 1,
            Ok(Err(reason)) => cx.declined(Dequantize::NAME, graph.describe(id), reason),
            Err(error) => return Err(PassError::Broken(error.to_string())),
        }
    }
    Ok(count)
}

type Lowered = Result<Result<(), String>, EditError>;

fn lower(graph: &mut Graph, id: NodeId, form: &Form, taken: &Taken) -> Lowered {
    let Some(cx) = NodeCx::new(graph, id) else { return Ok(Ok(())) };
    if cx.attrs().int_or("channels_last", 0).unwrap_or(1) != 0 {
        return Ok(Err("its channels stand last".to_owned()));
    }
    let Some((scale, zero)) = cx.operand(form.result).map(|scale| (scale, cx.operand(form.result + 1))) else {
        return Ok(Err("it has no scale of the result".to_owned()));
    };
    let mut given = Vec::new();
    for &slot in form.codes {
        let (Some(codes), Some(scale)) = (cx.operand(slot), cx.operand(slot + 1)) else {
            return Ok(Err(format!("operand {slot} or its scale is left out")));
        };
        given.push((slot, codes, scale, cx.operand(slot + 2)));
    }
    let bias = match cx.operand(8).filter(|_| form.floats == "Conv") {
        None => None,
        Some(bias) => match bias_of(&cx, bias) {
            Some(tensor) => Some((bias, tensor)),
            None => return Ok(Err("its bias or its scales are no constants".to_owned())),
        },
    };
    let mut attrs = cx.node.attrs.clone();
    attrs.retain(|attr| attr.name != "channels_last");
    let mut node = Node::new(form.floats, 1).named(cx.node.name.clone());
    node.attrs = attrs;
    let mut edit = Edit::new(graph, &Standard, Dequantize::NAME, &[id]);
    let mut operands = Vec::new();
    for (slot, codes, scale, zero) in given {
        match decode(&mut edit, (codes, scale, zero), axis(form, slot), taken)? {
            Some(value) => operands.push(value),
            None => return Ok(Err(format!("operand {slot} has several scales and is no constant"))),
        }
    }
    if let Some((old, tensor)) = bias {
        let name = edit.graph().port(old).name.clone();
        operands.push(edit.add_constant(name, tensor));
    }
    let result = edit.add(node, &operands)?;
    encode(&mut edit, id, result, scale, zero)?;
    edit.commit();
    Ok(Ok(()))
}

/// The axis that several scales of an operand run along, from the end.
fn axis(form: &Form, slot: usize) -> Along {
    match (form.floats, slot) {
        ("Conv", 3) => Along::First,
        ("MatMul", 0) => Along::LastButOne,
        _ => Along::Last,
    }
}

#[derive(Clone, Copy)]
enum Along {
    First,
    LastButOne,
    Last,
}

/// The floats of codes: a constant where they are, else a `DequantizeLinear`; `None` where that would need an axis.
fn decode(
    edit: &mut Edit<'_>,
    (codes, scale, zero): (ValueId, ValueId, Option<ValueId>),
    along: Along,
    taken: &Taken,
) -> Result<Option<ValueId>, EditError> {
    let graph = edit.graph();
    let rank = graph.ty(codes).shape().map_or(0, |shape| shape.len());
    let axis = match along {
        Along::First => 0,
        Along::LastButOne => rank.saturating_sub(2),
        Along::Last => rank.saturating_sub(1),
    };
    if let Some(tensor) = floats(graph, codes, scale, zero, Granularity::Channel(axis)) {
        let name = taken.restored(graph, codes);
        return Ok(Some(edit.add_constant(name, tensor)));
    }
    let one = graph.ty(scale).shape().is_some_and(|shape| shape.is_empty() || shape.size().as_const() == Some(1));
    if !one {
        return Ok(None);
    }
    let operands: Vec<ValueId> = [codes, scale].into_iter().chain(zero).collect();
    edit.add(Node::new("DequantizeLinear", 1), &operands).map(Some)
}

/// The result in codes again, in the place of what the node gave.
fn encode(
    edit: &mut Edit<'_>,
    id: NodeId,
    result: ValueId,
    scale: ValueId,
    zero: Option<ValueId>,
) -> Result<(), EditError> {
    let operands: Vec<ValueId> = [result, scale].into_iter().chain(zero).collect();
    let codes = edit.add(Node::new("QuantizeLinear", 1), &operands)?;
    edit.replace(id.port(0), codes)?;
    edit.remove(id);
    Ok(())
}

/// The bias of a convolution, whose scale is the product of those of input and weight.
fn bias_of(cx: &NodeCx<'_>, bias: ValueId) -> Option<Tensor> {
    let codes = cx.graph.constant(bias)?.to_i64s().ok()?;
    let input = *scales(cx.graph, cx.operand(1)?)?.to_f64s().ok()?.first()?;
    let weights = scales(cx.graph, cx.operand(4)?)?.to_f64s().ok()?;
    let scale = |index: usize| weights.get(index).or(weights.first()).copied().unwrap_or(1.0);
    let values: Vec<f64> = codes.iter().enumerate().map(|(index, &code)| code as f64 * input * scale(index)).collect();
    Tensor::from_f64s(DType::Float, &[values.len()], &values).ok()
}

/// `QLinearConcat`: scale and zero point of the result, then each part with its own.
fn concat(graph: &mut Graph, id: NodeId, taken: &Taken) -> Lowered {
    let Some(cx) = NodeCx::new(graph, id) else { return Ok(Ok(())) };
    let Some(scale) = cx.operand(0) else { return Ok(Err("it has no scale of the result".to_owned())) };
    let zero = cx.operand(1);
    let mut parts = Vec::new();
    for slot in (2..cx.operand_count()).step_by(3) {
        let (Some(codes), Some(scale)) = (cx.operand(slot), cx.operand(slot + 1)) else {
            return Ok(Err(format!("operand {slot} or its scale is left out")));
        };
        parts.push((codes, scale, cx.operand(slot + 2)));
    }
    let mut node = Node::new("Concat", 1).named(cx.node.name.clone());
    node.attrs = cx.node.attrs.clone();
    let mut edit = Edit::new(graph, &Standard, Dequantize::NAME, &[id]);
    let mut operands = Vec::new();
    for (codes, scale, zero) in parts {
        match decode(&mut edit, (codes, scale, zero), Along::Last, taken)? {
            Some(value) => operands.push(value),
            None => return Ok(Err("a part has several scales".to_owned())),
        }
    }
    let result = edit.add(node, &operands)?;
    encode(&mut edit, id, result, scale, zero)?;
    edit.commit();
    Ok(Ok(()))
}
