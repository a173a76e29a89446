//! Lets one linear layer do the work of several that read the same value.
//!
//! Before `a = MatMul(x, V)`, `b = MatMul(x, W)`, `c = MatMul(x, U)`; after `a, b, c = Split(MatMul(x, VWU))`, the weights side by
//! side. Likewise for `Gemm` and `Conv`, and where an `Add` behind each `MatMul` brings a bias.
//! Fires if weights and biases are constants that nothing else reads; if the layers agree in all but their number of outputs (a
//! `Conv` in its kernel, and without groups); if all have a bias, or none; and if fewer nodes are left: of two layers with an
//! `Add` each, or of three.
//! Exact: the same sums, each by itself. Ends: fewer layers each time.

use onnxpress_ir::{Attr, Edit, EditError, Name, Node, NodeId, Tensor, ValueId};

use super::super::forms::concat;
use super::matrices::shape;
use crate::eliminate_common_subexpressions::same_operation;
use crate::rewrite::{Found, MatchCx, Miss, Roots, Rule};

/// Layers that are looked at.
const MOST: usize = 64;

/// The first version that takes the sizes of a `Split` as an operand.
const SIZES_SINCE: i64 = 13;

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct MergeParallelLayers;

/// The layers, and what comes in their place.
#[derive(Debug)]
pub struct Match {
    x: ValueId,
    layers: Vec<Parallel>,
    weight: Tensor,
    bias: Option<Tensor>,
    /// The axis of the result along which the results of the layers stand.
    axis: i64,
    version: i64,
}

/// A layer.
#[derive(Debug)]
struct Parallel {
    node: NodeId,
    weight: ValueId,
    bias: Option<ValueId>,
    /// The `Add` that brings the bias.
    add: Option<NodeId>,
    outputs: i64,
}

impl Rule for MergeParallelLayers {
    const NAME: &'static str = "merge-parallel-layers";
    const CONTRACT: &'static str = crate::contract!("merge_parallel_layers.rs");
    const ROOTS: Roots = Roots::Operators(&["MatMul", "Gemm", "Conv"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Match> {
        let node = cx.node(root)?;
        let x = cx.operand(root, 0)?;
        let first = Parallel::of(cx, x, root)?;
        let first_weight = cx.constant(first.weight).ok_or(Miss::NotHere)?;
        let axis = axis_of_outputs(cx, &first)?;
        let mut layers = Vec::new();
        for reading in cx.graph().readers(x).take(MOST) {
            let Ok(other) = cx.operator(reading.node, &node.node.op_type.to_str()) else { continue };
            let alike = same_operation(other.node, node.node, node.version);
            let Some(layer) = Parallel::of(cx, x, other.id).ok().filter(|_| alike) else { continue };
            let Some(weight) = cx.constant(layer.weight) else { continue };
            let dims = |tensor: &Tensor| {
                let mut dims = tensor.dims().to_vec();
                dims.remove(axis);
                (dims, tensor.dtype())
            };
            let fits = weight.rank() == first_weight.rank() && dims(weight) == dims(first_weight);
            let as_biased = layer.bias.is_some() == first.bias.is_some() && layer.add.is_some() == first.add.is_some();
            if fits && as_biased && !layers.iter().any(|known: &Parallel| known.node == layer.node) {
                layers.push(layer);
            }
        }
        let of_each = if first.add.is_some() { 2 } else { 1 };
        if of_each * layers.len() <= of_each + 1 {
            return Err(Miss::NotHere);
        }
        // By name, so that the order of nodes in the file does not matter.
        layers.sort_by_key(|layer| cx.port(layer.node.port(0)).name.clone());
        let joined = |values: Vec<ValueId>, axis| {
            let tensors: Option<Vec<&Tensor>> = values.iter().map(|&value| cx.constant(value)).collect();
            tensors.and_then(|tensors| concat::joined(&tensors, axis)).ok_or(Miss::NotHere)
        };
        let weight = joined(layers.iter().map(|layer| layer.weight).collect(), axis)?;
        let biases: Vec<ValueId> = layers.iter().filter_map(|layer| layer.bias).collect();
        let bias = if biases.is_empty() { None } else { Some(joined(biases, 0)?) };
        let axis = if node.node.is("MatMul") { -1 } else { 1 };
        Ok(Match { x, layers, weight, bias, axis, version: node.version })
    }

    fn apply(&self, found: Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }

    fn sources(&self, _: NodeId, found: &Match) -> Vec<NodeId> {
        found.layers.iter().map(|layer| layer.node).collect()
    }
}

/// The axis of its weight that indexes what a layer gives.
fn axis_of_outputs(cx: &MatchCx<'_>, layer: &Parallel) -> Found<usize> {
    let node = cx.node(layer.node)?;
    match () {
        () if node.node.is("MatMul") => Ok(1),
        () if node.node.is("Gemm") => Ok(if cx.attribute(node.id, node.attrs().flag("transB"))? { 0 } else { 1 }),
        () => Ok(0),
    }
}

impl Parallel {
    fn of(cx: &MatchCx<'_>, x: ValueId, id: NodeId) -> Found<Self> {
        let node = cx.node(id)?;
        let weight = cx.operand(id, 1)?;
        let tensor = cx.constant(weight).filter(|tensor| tensor.rank() >= 2).ok_or(Miss::NotHere)?;
        let is_conv = node.node.is("Conv");
        let grouped = is_conv && cx.attribute(id, node.attrs().int_or("group", 1))? != 1;
        let turned = node.node.is("Gemm") && cx.attribute(id, node.attrs().flag("transA"))?;
        let matrix = is_conv || tensor.rank() == 2;
        if cx.operand(id, 0)? != x || weight == x || grouped || turned || !matrix || !cx.is_read_once(weight) {
            return Err(Miss::NotHere);
        }
        let mut layer = Self { node: id, weight, bias: node.operand(2), add: None, outputs: 0 };
        let count = tensor.dims().get(axis_of_outputs(cx, &layer)?).copied().ok_or(Miss::NotHere)?;
        layer.outputs = i64::try_from(count).map_err(|_| Miss::NotHere)?;
        if node.node.is("MatMul")
            && let Some(next) = cx.graph().sole_reader(id.port(0))
            && cx.operator(next.node, "Add").is_ok()
        {
            let own = (0..2).find(|&index| cx.graph().operand(next.node, index) != Some(id.port(0)));
            let bias = own.and_then(|index| cx.graph().operand(next.node, index));
            if let Some(bias) = bias.filter(|&bias| cx.constant(bias).is_some()) {
                (layer.bias, layer.add) = (Some(bias), Some(next.node));
            }
        }
        if let Some(bias) = layer.bias {
            let vector = cx.constant(bias).is_some_and(|tensor| tensor.dims() == [count]);
            if !vector || !cx.is_read_once(bias) {
                return Err(Miss::NotHere);
            }
        }
        let rank = shape(cx, id.port(0)).ok_or(Miss::NotHere)?.len();
        if rank >= 2 { Ok(layer) } else { Err(Miss::NotHere) }
    }

    /// The node that gives the result.
    fn last(&self) -> NodeId {
        self.add.unwrap_or(self.node)
    }
}

impl Match {
    fn apply(self, edit: &mut Edit<'_>) -> Result<(), EditError> {
        let Some(first) = self.layers.first() else { return Ok(()) };
        let named = |edit: &Edit<'_>, value: ValueId| -> Option<Name> {
            edit.graph().port(value).name.clone().map(|name| name.suffixed("_merged"))
        };
        let Some(old) = edit.graph().node(first.node) else { return Ok(()) };
        let mut node = Node::new(old.op_type.clone(), 1).named(old.name.clone());
        node.attrs.clone_from(&old.attrs);
        let name = named(edit, first.weight);
        let weight = edit.add_constant(name, self.weight);
        let bias = match (self.bias, first.bias) {
            (Some(tensor), Some(before)) => {
                let name = named(edit, before);
                Some(edit.add_constant(name, tensor))
            }
            _ => None,
        };
        let mut operands = vec![Some(self.x), Some(weight)];
        operands.extend(bias.filter(|_| first.add.is_none()).map(Some));
        let mut result = edit.add_node(node, &operands)?.port(0);
        if let (Some(add), Some(bias)) = (first.add, bias) {
            let name = edit.graph().node(add).and_then(|node| node.name.clone());
            result = edit.add(Node::new("Add", 1).named(name), &[result, bias])?;
        }
        let sizes: Vec<i64> = self.layers.iter().map(|layer| layer.outputs).collect();
        let mut split = Node::new("Split", self.layers.len()).with(Attr::int("axis", self.axis));
        let mut operands = vec![result];
        if self.version >= SIZES_SINCE {
            operands.push(edit.add_constant(None, Tensor::vector::<i64>(sizes)));
        } else {
            split = split.with(Attr::ints("split", sizes));
        }
        let parts = edit.add(split, &operands)?.node;
        for (port, layer) in (0u32..).zip(&self.layers) {
            edit.replace(layer.last().port(0), parts.port(port))?;
        }
        Ok(())
    }
}
