//! Which layers of a graph can be written as products, and what they cost.

use onnxpress_ir::{AttrValue, Graph, Node, NodeId, Slot, ValueId};
use onnxpress_ops::Rows;
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::operator::{Cost, Linear, LinearLayer};
use onnxpress_ops::table;

use super::form::{Extents, Places};
use crate::evidence::{self, rows_of};
use crate::reconstruction::{BiasSite, LayerWeight, Turn, bias_site};

/// The operand of a recurrent node that its state is multiplied by.
const RECURRENCE: usize = 2;

/// How the product is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Two `MatMul`, the weight on the right.
    Right,
    /// Two `MatMul`, the weight on the left.
    Left,
    /// Two `Gemm`.
    Gemm,
    /// A `Gather` of rows, and a `MatMul` behind it.
    Table,
    /// Two or three `Conv`.
    Conv,
    /// A `MatMul`, and an `LSTM`, `GRU` or `RNN` that reads fewer inputs: those of all directions are the same.
    Recurrent,
}

/// A layer that can be written as a product.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub(super) node: NodeId,
    /// Others that multiply by the same weight in the same way.
    pub(super) others: Vec<NodeId>,
    pub(super) layer: LinearLayer,
    /// Whether samples can show what it multiplies and what it alone answers.
    pub(super) is_seen: bool,
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

impl Kind {
    /// Whether several nodes can multiply by the same factors.
    fn shares(self) -> bool {
        matches!(self, Self::Right | Self::Left | Self::Gemm | Self::Table)
    }
}

impl Layer {
    /// The layer as reconstruction takes it.
    pub(super) fn turn(&self) -> Turn<'_> {
        let Self { node, layer, weight, matrices, bias, .. } = self;
        Turn { node: *node, layer, weight: *weight, matrices, bias: *bias }
    }
}

/// The layers of a graph that have factors, in topological order, and the others, with the reason; `open` says what open extents
/// count as.
pub(super) fn layers(graph: &Graph, open: &evidence::Extents) -> (Vec<Layer>, Vec<(String, String)>) {
    let (all, mut left) = linear(graph, open);
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
pub(super) fn linear(graph: &Graph, open: &evidence::Extents) -> (Vec<Layer>, Vec<(String, String)>) {
    let (mut found, mut left) = (Vec::new(), Vec::new());
    for id in graph.topological().unwrap_or_default() {
        let Some((node, cx)) = graph.node(id).zip(NodeCx::new(graph, id)) else { continue };
        for body in node.subgraphs() {
            for (inner, reason) in layers(body, open).0.into_iter().map(|layer| (layer.name, "it is in a subgraph")) {
                left.push((inner, reason.to_owned()));
            }
        }
        let of_node = match table::of(node).map(|operator| operator.linear) {
            Some(Linear::Layers(of)) => of(&cx),
            _ => lookup(&cx).into_iter().collect(),
        };
        left.extend(recurrence(&cx));
        for layer in of_node {
            let Some(weight) = cx.operand(layer.weight) else { continue };
            if graph.constant(weight).is_none_or(|tensor| !tensor.dtype().is_float() || tensor.rank() < 2) {
                continue;
            }
            if let Some(known) = found.iter_mut().find(|known: &&mut Layer| known.weight == weight) {
                known.others.push(id);
                known.extents.places.output += uses(&cx, weight, open).unwrap_or(0.0);
                continue;
            }
            let name = graph.label(weight);
            match one(graph, &cx, &layer, weight, open) {
                Ok(layer) => found.push(layer),
                Err(reason) => left.push((name, reason)),
            }
        }
    }
    (found, left)
}

fn one(
    graph: &Graph,
    cx: &NodeCx<'_>,
    layer: &LinearLayer,
    weight: ValueId,
    open: &evidence::Extents,
) -> Result<Layer, String> {
    let tensor = graph.constant(weight).ok_or("the weight is no constant")?;
    let matrices = LayerWeight::stacked(layer, tensor.dims()).ok_or("the weight is no stack of matrices")?;
    let kind = kind(cx, layer)?;
    if graph.sole_reader(weight).is_none() && !(kind.shares() && read_alike(cx, layer, weight)) {
        return Err("the weight is read by several nodes, in several ways".to_owned());
    }
    let uses = uses(cx, weight, open).ok_or("its work is not known")?;
    let outputs = matrices.groups() * matrices.outputs();
    let extents = extents(cx, layer, kind, tensor.dims(), &matrices, (uses, open));
    let alone = graph.sole_reader(weight).is_some() && layer.batch_axes.is_empty() && kind != Kind::Table;
    let mut names = vec![graph.label(weight)];
    names.extend(cx.node.name.as_ref().map(ToString::to_string));
    names.push(graph.label(cx.id.port(0)));
    Ok(Layer {
        node: cx.id,
        others: Vec::new(),
        is_seen: alone && rows_of(graph, cx.id, layer).is_ok(),
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
    (uses, open): (f64, &evidence::Extents),
) -> Extents {
    let (groups, outputs) = (matrices.groups(), matrices.outputs());
    let kernel = dims.get(2..).filter(|_| kind == Kind::Conv).unwrap_or_default();
    let (tall, wide) = (kernel.first().copied().unwrap_or(1), kernel.iter().skip(1).product::<usize>());
    let input = counted(cx.graph, cx.operand(layer.input), open);
    let mut places = Places { input: uses, between: uses, output: uses };
    if let (Some(x), Some(y)) = (input, counted(cx.graph, Some(cx.id.port(0)), open))
        && kind == Kind::Conv
        && x.len() == dims.len()
        && y.len() == dims.len()
    {
        let count = |axes: &[f64]| axes.iter().product::<f64>();
        places.input = x[0] * count(&x[2..]);
        places.between = y[0] * y[2] * count(&x[3..]);
    }
    let is_table = kind == Kind::Table;
    Extents { groups, outputs, channels: matrices.columns() / (tall * wide).max(1), tall, wide, places, is_table }
}

/// The extents of a value.
fn counted(graph: &Graph, value: Option<ValueId>, open: &evidence::Extents) -> Option<Vec<f64>> {
    let shape = graph.ty(value?).shape()?;
    Some(shape.iter().map(|dim| open.count(dim).unwrap_or(1) as f64).collect())
}

/// The layer that a lookup of rows of a matrix is, of rows that are one at one place and zero elsewhere.
fn lookup(cx: &NodeCx<'_>) -> Option<LinearLayer> {
    let along_rows = cx.node.is("Gather") && cx.attrs().int_or("axis", 0).is_ok_and(|axis| axis == 0);
    (along_rows && cx.rank(0) == Some(2)).then(|| LinearLayer {
        input: 1,
        weight: 0,
        bias: None,
        output_axes: vec![1],
        input_axes: vec![0],
        batch_axes: Vec::new(),
        groups: 1,
        rows: Rows::Hidden("a lookup multiplies nothing"),
    })
}

/// How often each element of a weight is used in a run; of a table, how many rows are looked up.
fn uses(cx: &NodeCx<'_>, weight: ValueId, open: &evidence::Extents) -> Option<f64> {
    if cx.node.is("Gather") {
        return Some(counted(cx.graph, cx.operand(1), open).map_or(1.0, |extents| extents.iter().product()));
    }
    if is_recurrent(cx.node) {
        // Multiply-accumulates are those of the state's weights, too.
        let extents = counted(cx.graph, cx.operand(0), open)?;
        return Some(extents.iter().take(2).product());
    }
    let Some(Cost::Macs(macs)) = table::of(cx.node).map(|operator| operator.cost) else { return None };
    let all = open.count(&macs(cx)).unwrap_or(0);
    Some(all as f64 / cx.graph.constant(weight)?.len().max(1) as f64)
}

/// Whether all that read a weight are nodes like this one.
fn read_alike(cx: &NodeCx<'_>, layer: &LinearLayer, weight: ValueId) -> bool {
    let set = |node: &Node, name: &str| matches!(node.attr(name), Some(AttrValue::Int(set)) if *set != 0);
    cx.graph.readers(weight).all(|reading| {
        let other = cx.graph.node(reading.node);
        reading.slot == Slot::Operand(layer.weight as u32)
            && other.is_some_and(|other| {
                other.op_type == cx.node.op_type
                    && ["transA", "transB"].into_iter().all(|name| set(other, name) == set(cx.node, name))
            })
    })
}

fn is_recurrent(node: &Node) -> bool {
    ["LSTM", "GRU", "RNN"].iter().any(|name| node.is(name))
}

/// The weight that a recurrent node multiplies its own state by, with the reason why no graph can write that as two.
fn recurrence(cx: &NodeCx<'_>) -> Option<(String, String)> {
    let weight = cx.operand(RECURRENCE).filter(|_| is_recurrent(cx.node))?;
    let floats = cx.graph.constant(weight)?.dtype().is_float();
    floats.then(|| {
        let why = format!("`{}` multiplies its state by it at each step, inside", cx.node.op_type);
        (cx.graph.label(weight), why)
    })
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
    if node.is("Gather") {
        return Ok(Kind::Table);
    }
    match (node.is("MatMul"), node.is("Gemm"), node.is("Conv")) {
        (true, ..) if layer.weight == 1 => Ok(Kind::Right),
        (true, ..) => Ok(Kind::Left),
        (_, true, _) => {
            let (alpha, beta) = (number("alpha")?, number("beta")?);
            let of_input = if layer.weight == 0 { "transB" } else { "transA" };
            let transposed = cx.attrs().flag(of_input).map_err(|_| format!("`{of_input}` is not known"))?;
            match (alpha == 1.0 && (beta == 1.0 || !cx.has(2)), transposed && cx.version < 11) {
                (false, _) => Err(format!("alpha is {alpha}, beta {beta}")),
                (_, true) => Err("before opset 11 a Gemm has to have a bias".to_owned()),
                _ => Ok(Kind::Gemm),
            }
        }
        (.., true) => Ok(Kind::Conv),
        _ if is_recurrent(node) => Ok(Kind::Recurrent),
        _ => Err(format!("`{}` has no form as a product of two", node.op_type)),
    }
}
