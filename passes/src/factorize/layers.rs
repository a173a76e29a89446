//! Which layers of a graph can be written as products, and what they cost.

use onnxpress_ir::{Graph, NodeId, Slot, ValueId};
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::operator::{Cost, Linear, LinearLayer};
use onnxpress_ops::table;

use super::form::{Extents, Places};
use crate::reconstruction::{BiasSite, LayerWeight, Turn, bias_site};

/// How the product is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Two `MatMul`, the weight on the right.
    Right,
    /// Two `MatMul`, the weight on the left.
    Left,
    /// Two `Gemm`.
    Gemm,
    /// Two or three `Conv`.
    Conv,
}

/// A layer that can be written as a product.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub(super) node: NodeId,
    pub(super) layer: LinearLayer,
    /// The constant.
    pub(super) weight: ValueId,
    pub(super) matrices: LayerWeight,
    pub(super) bias: BiasSite,
    pub(super) kind: Kind,
    /// Its group's matrix, and what forms have to know.
    pub(super) extents: Extents,
    /// As messages call it.
    pub(super) name: String,
    /// Its names, for patterns.
    pub(super) names: Vec<String>,
}

impl Layer {
    /// The layer as reconstruction takes it.
    pub(super) fn turn(&self) -> Turn<'_> {
        let Self { node, layer, weight, matrices, bias, .. } = self;
        Turn { node: *node, layer, weight: *weight, matrices, bias: *bias }
    }
}

/// The layers of a graph that have factors, in topological order, and the others, with the reason.
pub(super) fn layers(graph: &Graph) -> (Vec<Layer>, Vec<(String, String)>) {
    let (all, mut left) = linear(graph);
    let mut found = Vec::new();
    for layer in all {
        if layer.extents.columns() < 2 || layer.extents.outputs < 2 {
            let groups = if layer.extents.groups > 1 { " in each group" } else { "" };
            left.push((layer.name, format!("it is a vector{groups}, which has no smaller rank")));
        } else {
            found.push(layer);
        }
    }
    (found, left)
}

/// The layers of a graph that there are forms for, vectors too, in topological order, and the others, with the reason.
pub(super) fn linear(graph: &Graph) -> (Vec<Layer>, Vec<(String, String)>) {
    let (mut found, mut left) = (Vec::new(), Vec::new());
    for id in graph.topological().unwrap_or_default() {
        let Some((node, cx)) = graph.node(id).zip(NodeCx::new(graph, id)) else { continue };
        for body in node.subgraphs() {
            for (inner, reason) in layers(body).0.into_iter().map(|layer| (layer.name, "it is in a subgraph")) {
                left.push((inner, reason.to_owned()));
            }
        }
        let Some(Linear::Layers(of)) = table::of(node).map(|operator| operator.linear) else { continue };
        for layer in of(&cx) {
            let Some(weight) = cx.operand(layer.weight) else { continue };
            if graph.constant(weight).is_none_or(|tensor| !tensor.dtype().is_float() || tensor.rank() < 2) {
                continue;
            }
            let name = graph.label(weight);
            match one(graph, &cx, &layer, weight) {
                Ok(layer) => found.push(layer),
                Err(reason) => left.push((name, reason)),
            }
        }
    }
    (found, left)
}

fn one(graph: &Graph, cx: &NodeCx<'_>, layer: &LinearLayer, weight: ValueId) -> Result<Layer, String> {
    let tensor = graph.constant(weight).ok_or("the weight is no constant")?;
    let matrices = LayerWeight::of(layer, tensor.dims()).ok_or("the weight is a stack of matrices")?;
    let kind = kind(cx, layer)?;
    if graph.sole_reader(weight).is_none() {
        return Err("the weight is read by several nodes".to_owned());
    }
    let Some(Cost::Macs(macs)) = table::of(cx.node).map(|operator| operator.cost) else {
        return Err("its work is not known".to_owned());
    };
    let uses = macs(cx).substitute(|_| Some(onnxpress_ir::Dim::from(1))).as_const().unwrap_or(0);
    let outputs = matrices.groups() * matrices.outputs();
    let extents = extents(cx, layer, kind, tensor.dims(), &matrices, uses as f64 / tensor.len().max(1) as f64);
    let mut names = vec![graph.label(weight)];
    names.extend(cx.node.name.as_ref().map(ToString::to_string));
    names.push(graph.label(cx.id.port(0)));
    Ok(Layer {
        node: cx.id,
        layer: layer.clone(),
        weight,
        bias: bias_site(graph, cx.id, layer, outputs),
        kind,
        extents,
        name: graph.label(weight),
        names,
        matrices,
    })
}

/// What forms have to know of a layer whose weights are used so often in a run each.
fn extents(
    cx: &NodeCx<'_>,
    layer: &LinearLayer,
    kind: Kind,
    dims: &[usize],
    matrices: &LayerWeight,
    uses: f64,
) -> Extents {
    let (groups, outputs) = (matrices.groups(), matrices.outputs());
    let kernel = dims.get(2..).filter(|_| kind == Kind::Conv).unwrap_or_default();
    let (tall, wide) = (kernel.first().copied().unwrap_or(1), kernel.iter().skip(1).product::<usize>());
    let input = counted(cx.graph, cx.operand(layer.input));
    let mut places = Places { input: uses, between: uses, output: uses };
    if let (Some(x), Some(y)) = (input, counted(cx.graph, Some(cx.id.port(0))))
        && kind == Kind::Conv
        && x.len() == dims.len()
        && y.len() == dims.len()
    {
        let count = |axes: &[f64]| axes.iter().product::<f64>();
        places.input = x[0] * count(&x[2..]);
        places.between = y[0] * y[2] * count(&x[3..]);
    }
    Extents { groups, outputs, channels: matrices.columns() / (tall * wide).max(1), tall, wide, places }
}

/// The extents of a value, open ones counted as one.
fn counted(graph: &Graph, value: Option<ValueId>) -> Option<Vec<f64>> {
    let shape = graph.ty(value?).shape()?;
    Some(shape.iter().map(|dim| dim.as_const().map_or(1.0, |extent| extent as f64)).collect())
}

fn kind(cx: &NodeCx<'_>, layer: &LinearLayer) -> Result<Kind, String> {
    let node = cx.node;
    if !node.canonical_domain().is_empty() {
        return Err(format!("`{}.{}` is no operator of the standard", node.domain, node.op_type));
    }
    if cx
        .graph
        .readers(cx.operand(layer.weight).ok_or("no weight")?)
        .any(|reading| matches!(reading.slot, Slot::Capture(_)))
    {
        return Err("a subgraph reads the weight".to_owned());
    }
    let number = |name: &str| cx.attrs().float_or(name, 1.0).map_err(|_| format!("`{name}` is not known"));
    match (node.is("MatMul"), node.is("Gemm"), node.is("Conv")) {
        (true, ..) if layer.weight == 1 => Ok(Kind::Right),
        (true, ..) => Ok(Kind::Left),
        (_, true, _) if layer.weight == 0 => Err("the weight is the left operand of a Gemm".to_owned()),
        (_, true, _) => {
            let (alpha, beta) = (number("alpha")?, number("beta")?);
            let transposed = cx.attrs().flag("transA").map_err(|_| "`transA` is not known".to_owned())?;
            match (alpha == 1.0 && (beta == 1.0 || !cx.has(2)), transposed && cx.version < 11) {
                (false, _) => Err(format!("alpha is {alpha}, beta {beta}")),
                (_, true) => Err("before opset 11 a Gemm has to have a bias".to_owned()),
                _ => Ok(Kind::Gemm),
            }
        }
        (.., true) => Ok(Kind::Conv),
        _ if ["LSTM", "GRU", "RNN"].iter().any(|name| node.is(name)) => {
            Err(format!("`{}` multiplies by the weight at each step, inside", node.op_type))
        }
        _ => Err(format!("`{}` has no form as a product of two", node.op_type)),
    }
}
