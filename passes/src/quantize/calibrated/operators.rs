//! `form=qoperator`: operators on codes in the place of operators on floats between conversions.
//!
//! Before: `DequantizeLinear` on input, weight and bias of a `Conv`, or on both operands of a `MatMul`; behind it maybe a `Relu` or
//! `Clip` that takes away nothing that the codes hold; `QuantizeLinear`. After: `QLinearConv` or `QLinearMatMul`. Where something
//! else reads the results, or no standard operator computes them (`Gemm`, sums), conversions stay.
//!
//! Equal but for rounding: sums are whole numbers now, which are scaled once, so a code may come out one off.

use onnxpress_ir::{DType, Edit, EditError, Graph, Node, NodeId, Tensor, ValueId};
use onnxpress_ops::infer::Standard;
use onnxpress_ops::node::NodeCx;

use super::limits::{holds, reach};

/// Codes with what they are worth.
struct Coded {
    codes: ValueId,
    scale: ValueId,
    zero: Option<ValueId>,
}

/// An operator that can be one on codes.
struct Found {
    operands: [Coded; 2],
    bias: Option<ValueId>,
    /// Limits that go.
    limits: Vec<NodeId>,
    /// The conversion of the results.
    conversion: NodeId,
}

/// Puts operators on codes into a graph; answers those that could not be, and why.
///
/// # Errors
/// Where the graph does not take it: a defect.
pub(super) fn put(graph: &mut Graph) -> Result<Vec<(String, String)>, EditError> {
    let mut left = Vec::new();
    for id in graph.topological().unwrap_or_default() {
        let Some(cx) = NodeCx::new(graph, id) else { continue };
        let name = match () {
            () if cx.node.is("Conv") => "QLinearConv",
            () if cx.node.is("MatMul") => "QLinearMatMul",
            () => continue,
        };
        let operands = [coded(graph, cx.operand(0)), coded(graph, cx.operand(1))];
        let [Some(input), Some(weight)] = operands else { continue };
        match behind(&cx, [input, weight]) {
            Ok(found) => replace(graph, id, name, found)?,
            Err(reason) => left.push((graph.describe(id), reason)),
        }
    }
    Ok(left)
}

/// The codes of eight bits that a value is made of.
fn coded(graph: &Graph, value: Option<ValueId>) -> Option<Coded> {
    let cx = NodeCx::new(graph, value?.node).filter(|cx| cx.node.is("DequantizeLinear"))?;
    let codes = cx.operand(0)?;
    graph.ty(codes).dtype().filter(|dtype| matches!(dtype, DType::Int8 | DType::Uint8))?;
    Some(Coded { codes, scale: cx.operand(1)?, zero: cx.operand(2) })
}

/// What stands around an operator whose operands are codes.
fn behind(cx: &NodeCx<'_>, operands: [Coded; 2]) -> Result<Found, String> {
    let graph = cx.graph;
    let bias = match cx.operand(2).filter(|_| cx.node.is("Conv")) {
        None => None,
        Some(value) => {
            let decoding = NodeCx::new(graph, value.node).filter(|cx| cx.node.is("DequantizeLinear"));
            let codes =
                decoding.and_then(|cx| cx.operand(0)).filter(|&codes| graph.ty(codes).dtype() == Some(DType::Int32));
            Some(codes.ok_or("its bias is no whole number")?)
        }
    };
    let (mut value, mut limits) = (cx.id.port(0), Vec::new());
    loop {
        let reader = graph.sole_reader(value).ok_or("its results have several readers")?.node;
        let next = NodeCx::new(graph, reader).ok_or("its results are given out as floats")?;
        if next.node.is("QuantizeLinear") {
            let (low, high) = reach(&next).ok_or("its results have codes of more than eight bits")?;
            let holds = |limit: &NodeId| holds(graph, *limit, (low, high));
            if !limits.iter().all(holds) {
                return Err("a limit behind it takes away what the codes hold".to_owned());
            }
            return Ok(Found { operands, bias, limits, conversion: reader });
        }
        if !next.node.is("Relu") && !next.node.is("Clip") {
            return Err(format!("its results go on as floats into {}", graph.describe(reader)));
        }
        limits.push(reader);
        value = reader.port(0);
    }
}

fn replace(graph: &mut Graph, id: NodeId, name: &'static str, found: Found) -> Result<(), EditError> {
    let Some(old) = graph.node(id) else { return Ok(()) };
    let mut node = Node::new(name, 1).named(old.name.clone());
    node.attrs.clone_from(&old.attrs);
    let conversion = found.conversion;
    let results = [1, 2].map(|operand| graph.operand(conversion, operand));
    let label = graph.port(conversion.port(0)).name.clone();
    let mut edit = Edit::new(graph, &Standard, "quantize", &[id]);
    let mut operands = Vec::new();
    for coded in found.operands {
        let zero = match coded.zero {
            Some(zero) => Some(zero),
            None => zeros(&mut edit, &coded),
        };
        operands.extend([Some(coded.codes), Some(coded.scale), zero]);
    }
    operands.extend(results);
    operands.extend(found.bias.map(Some));
    let codes = edit.add_node(node, &operands)?.port(0);
    edit.replace(conversion.port(0), codes)?;
    edit.rename(codes, label);
    edit.remove(conversion);
    found.limits.into_iter().rev().for_each(|limit| edit.remove(limit));
    edit.remove(id);
    edit.commit();
    Ok(())
}

/// Zero points that were left out: the operators on codes want them.
fn zeros(edit: &mut Edit<'_>, coded: &Coded) -> Option<ValueId> {
    let graph = edit.graph();
    let dtype = graph.ty(coded.codes).dtype()?;
    let shape = graph.ty(coded.scale).shape()?.iter().map(|dim| dim.as_const());
    let dims = shape.map(|dim| usize::try_from(dim?).ok()).collect::<Option<Vec<usize>>>()?;
    let name = graph.port(coded.codes).name.as_ref().map(|name| name.suffixed("_zero_point"));
    let tensor = Tensor::from_i64s(dtype, &dims, &vec![0; dims.iter().product()]).ok()?;
    Some(edit.add_constant(name, tensor))
}
