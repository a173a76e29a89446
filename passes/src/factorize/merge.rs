//! `merge-factors`: linear layers with nothing between them as one, the way back from `factorize`.
//!
//! Before: `MatMul(MatMul(x, V), U)`, the same from the left, `Gemm` for either, `MatMul(Gather(V, ids), U)`, an `LSTM`, `GRU` or `RNN`
//! behind a `MatMul`, or two `Conv` of which along
//! each axis one looks at a single place.
//! After: one of them, whose weight is the product; of three factors, in two steps.
//! When: nobody else reads what is between, and nothing is added there; and the names are those that `factorize` gives, or `all` says
//! that names do not count. Whether the product is smaller is not asked.
//! Why exact: products of matrices are associative; rounding differs. It ends: each time there is a node less.

use onnxpress_ir::{AttrValue, Edit, EditError, Graph, Model, Name, Node, NodeId, Tensor, ValueId};
use onnxpress_ops::infer::{self, Standard};
use onnxpress_ops::node::NodeCx;

use super::layers::{Kind, Layer, linear};
use super::rewrite;
use super::windows::{self, Windows};
use crate::evidence::Extents;
use crate::pass::{Pass, PassCx, PassError};

crate::options! {
    /// Merges linear layers with nothing between them into one: the way back from `factorize`.
    ///
    /// The result computes the same, in a file that may be larger. `conv1.weight_v` and `conv1.weight_u` become `conv1.weight`, with
    /// `conv1.weight_core` between them, too.
    pub struct MergeFactors {
        /// Whether layers are merged whose weights are not called `X_v`, `X_core` and `X_u`, too.
        all: bool = false,
    }
}

impl Pass for MergeFactors {
    const NAME: &'static str = "merge-factors";
    const MAY_GROW: bool = true;

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        loop {
            let (found, _) = linear(&model.graph, &Extents::default());
            let mut done = 0;
            let mut taken: Vec<NodeId> = Vec::new();
            for second in &found {
                let Some(first) = before(&model.graph, second, &found) else { continue };
                if !self.all && common_name(first, second).is_none() {
                    continue;
                }
                // A pair of which one was merged in this round waits for the next.
                if taken.contains(&first.node) || taken.contains(&second.node) {
                    continue;
                }
                let merged = merge(&mut model.graph, first, second);
                if merged.map_err(|error| PassError::Broken(error.to_string()))? {
                    taken.extend([first.node, second.node]);
                    done += 1;
                }
            }
            if done == 0 {
                return Ok(());
            }
            infer::model(model);
            cx.applied(Self::NAME, done);
        }
    }
}

/// The layer whose results are all that another multiplies, and only it.
fn before<'l>(graph: &Graph, second: &Layer, all: &'l [Layer]) -> Option<&'l Layer> {
    let between = graph.operand(second.node, second.layer.input)?;
    let first = all.iter().find(|layer| layer.node == between.node)?;
    graph.sole_reader(between)?;
    let adds = first.layer.bias.is_some_and(|bias| graph.operand(first.node, bias).is_some());
    (!adds && fits(graph, first, second)).then_some(first)
}

fn fits(graph: &Graph, first: &Layer, second: &Layer) -> bool {
    // What several nodes multiply by stays what they share.
    if !first.others.is_empty() || !second.others.is_empty() {
        return false;
    }
    if (first.kind, second.kind) == (Kind::Conv, Kind::Conv) {
        return both(graph, first, second).is_some();
    }
    let stack = |layer: &Layer| graph.constant(layer.weight)?.dims().get(..layer.layer.batch_axes.len());
    let same_side = first.layer.weight == second.layer.weight || first.kind == Kind::Table;
    let pair = match (first.kind, second.kind) {
        (Kind::Right, Kind::Recurrent) => return first.layer.batch_axes.is_empty(),
        (Kind::Right | Kind::Table, Kind::Right) | (Kind::Left, Kind::Left) => true,
        (Kind::Right | Kind::Left | Kind::Gemm, Kind::Gemm) => {
            !is_set(graph, second.node, rewrite::input_transposed(second))
        }
        _ => false,
    };
    pair && same_side && stack(first) == stack(second)
}

fn is_set(graph: &Graph, node: NodeId, name: &str) -> bool {
    matches!(graph.node(node).and_then(|node| node.attr(name)), Some(AttrValue::Int(set)) if *set != 0)
}

/// What `factorize` has named both weights after; of the first two of three factors what stands for both.
fn common_name<'l>(first: &'l Layer, second: &Layer) -> Option<&'l str> {
    let stem = first.name.strip_suffix("_v")?;
    match second.name.strip_prefix(stem)? {
        "_u" => Some(stem),
        "_core" => Some(&first.name),
        _ => None,
    }
}

/// What two convolutions do, and both together, where that is what one can do.
fn both(graph: &Graph, first: &Layer, second: &Layer) -> Option<[Windows; 3]> {
    let windows = |layer: &Layer| {
        let kernel = graph.constant(layer.weight)?.dims().get(2..)?;
        Windows::of(&NodeCx::new(graph, layer.node)?, kernel)
    };
    let (a, b) = (windows(first)?, windows(second)?);
    let (fewer, more) = (first.layer.groups.min(second.layer.groups), first.layer.groups.max(second.layer.groups));
    let both = a.then(&b).filter(|_| fewer > 0 && more % fewer == 0)?;
    Some([a, b, both])
}

/// The node that stands for two, and its weight; `None` where the product cannot be stored.
fn merged(graph: &Graph, first: &Layer, second: &Layer) -> Option<(Node, Tensor)> {
    let (v, u) = (first.turn().weights(graph)?, second.turn().weights(graph)?);
    let like = graph.constant(first.weight)?;
    if second.kind == Kind::Conv {
        let [before, behind, windows] = both(graph, first, second)?;
        let (tensor, groups) = windows::product((v, &before), (u, &behind), &windows, like)?;
        return Some((windows.node(groups), tensor));
    }
    let products: Vec<_> = u.iter().zip(&v).map(|(u, v)| u * v).collect();
    let (outputs, columns) = (products.first()?.nrows(), products.first()?.ncols());
    let outputs_first = second.layer.output_axes.first() < second.layer.input_axes.first();
    let dims = if outputs_first { [outputs, columns] } else { [columns, outputs] };
    let dims = match second.kind {
        Kind::Recurrent => [&graph.constant(second.weight)?.dims()[..2], &[columns]].concat(),
        _ => [&like.dims()[..first.layer.batch_axes.len()], &dims].concat(),
    };
    let tensor = rewrite::tensor(&products.iter().collect::<Vec<_>>(), !outputs_first, &dims, like)?;
    let (before, behind) = (graph.node(first.node)?, graph.node(second.node)?);
    if first.kind == Kind::Table {
        return Some((before.attrs.iter().cloned().fold(Node::new("Gather", 1), Node::with), tensor));
    }
    // Both have them; what the first has of its input is said of this input.
    let of_input = rewrite::input_transposed(second).as_bytes();
    let own = behind.attrs.iter().filter(|attr| attr.name.as_bytes() != of_input);
    let attrs = own.chain(before.attrs.iter().filter(|attr| attr.name.as_bytes() == of_input));
    Some((attrs.cloned().fold(Node::new(behind.op_type.clone(), 1), Node::with), tensor))
}

/// Puts one layer in the place of two. `Ok(false)` where the product cannot be stored.
fn merge(graph: &mut Graph, first: &Layer, second: &Layer) -> Result<bool, EditError> {
    let Some((node, tensor)) = merged(graph, first, second) else { return Ok(false) };
    let Some(input) = graph.operand(first.node, first.layer.input) else { return Ok(false) };
    let own = graph.port(first.weight).name.clone();
    let name = common_name(first, second).map(|name| Name::from(name.to_owned())).or(own);
    if second.kind == Kind::Recurrent {
        // It has several results, so it stays, and reads what the first did.
        let mut edit = Edit::new(graph, &Standard, MergeFactors::NAME, &[first.node, second.node]);
        let weight = edit.add_constant(name, tensor);
        edit.set_operand(second.node, second.layer.input, Some(input));
        edit.set_operand(second.node, second.layer.weight, Some(weight));
        [first.node, second.weight.node, first.weight.node].into_iter().for_each(|id| edit.remove(id));
        edit.commit();
        return Ok(true);
    }
    let label = graph.node(second.node).and_then(|behind| behind.name.as_ref()).map(Name::to_string);
    let of_both = |label: String| match (label.strip_suffix("_u"), label.strip_suffix("_core")) {
        (Some(stem), _) => stem.to_owned(),
        (_, Some(stem)) => format!("{stem}_v"),
        _ => label,
    };
    let node = node.named(label.map(|label| Name::from(of_both(label))));
    let rest: Vec<Option<ValueId>> = graph.operands(second.node).skip(2).collect();
    let output = second.node.port(0);
    let mut edit = Edit::new(graph, &Standard, MergeFactors::NAME, &[first.node, second.node]);
    let weight = edit.add_constant(name, tensor);
    let mut operands = vec![None; 2];
    let slots = if first.kind == Kind::Table { &first.layer } else { &second.layer };
    (operands[slots.weight], operands[slots.input]) = (Some(weight), Some(input));
    operands.extend(rest);
    let made = edit.add_node(node, &operands)?.port(0);
    edit.replace(output, made)?;
    [second.node, first.node, second.weight.node, first.weight.node].into_iter().for_each(|id| edit.remove(id));
    edit.commit();
    Ok(true)
}
