//! `merge-factors`: two linear layers with nothing between them as one, the way back from `factorize`.
//!
//! Before: `MatMul(MatMul(x, V), U)`, the same from the left, `Gemm` for either, or a `Conv` with a 1×1 behind it, of the same groups.
//! After: one of them, whose weight is the product.
//! When: nobody else reads what is between, and nothing is added there; and the names are those that `factorize` gives, or `all` says
//! that names do not count. Whether the product is smaller is not asked.
//! Why exact: products of matrices are associative; rounding differs. It ends: each time there is a node less.

use onnxpress_ir::{AttrValue, Edit, EditError, Graph, Model, Name, Node, NodeId, ValueId};
use onnxpress_ops::infer::{self, Standard};
use onnxpress_ops::node::NodeCx;

use super::layers::{Kind, Layer, layers};
use super::rewrite;
use crate::pass::{Pass, PassCx, PassError};

crate::options! {
    /// Merges two linear layers with nothing between them into one: the way back from `factorize`.
    ///
    /// The result computes the same, in a file that may be larger. `conv1.weight_v` and `conv1.weight_u` become `conv1.weight`.
    pub struct MergeFactors {
        /// Whether layers are merged whose weights are not called `X_v` and `X_u`, too.
        all: bool = false,
    }
}

impl Pass for MergeFactors {
    const NAME: &'static str = "merge-factors";
    const MAY_GROW: bool = true;

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        loop {
            let (found, _) = layers(&model.graph);
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
    let transposed = |layer: &Layer| is_set(graph, layer.node, "transA");
    match (first.kind, second.kind) {
        (Kind::Right, Kind::Right) | (Kind::Left, Kind::Left) => true,
        (Kind::Right | Kind::Gemm, Kind::Gemm) => !transposed(second),
        (Kind::Conv, Kind::Conv) => first.layer.groups == second.layer.groups && is_pointwise(graph, second),
        _ => false,
    }
}

fn is_set(graph: &Graph, node: NodeId, name: &str) -> bool {
    matches!(graph.node(node).and_then(|node| node.attr(name)), Some(AttrValue::Int(set)) if *set != 0)
}

/// What `factorize` has named both weights after.
fn common_name<'l>(first: &'l Layer, second: &Layer) -> Option<&'l str> {
    let (v, u) = (first.name.strip_suffix("_v")?, second.name.strip_suffix("_u")?);
    (v == u).then_some(v)
}

/// Whether a convolution looks at one place at a time, at every place.
fn is_pointwise(graph: &Graph, layer: &Layer) -> bool {
    let dims = graph.constant(layer.weight).map_or(&[][..], |weight| weight.dims());
    let Some(cx) = NodeCx::new(graph, layer.node) else { return false };
    let all = |name: &str, number: i64| match cx.node.attr(name) {
        Some(AttrValue::Ints(values)) => values.iter().all(|value| *value == number),
        Some(_) => false,
        None => true,
    };
    dims.get(2..).is_some_and(|kernel| kernel.iter().all(|extent| *extent == 1)) && all("strides", 1) && all("pads", 0)
}

/// Puts one layer in the place of two. `Ok(false)` where the product cannot be stored.
fn merge(graph: &mut Graph, first: &Layer, second: &Layer) -> Result<bool, EditError> {
    let made = || {
        let (v, u) = (first.turn().weights(graph)?, second.turn().weights(graph)?);
        let products: Vec<_> = u.iter().zip(&v).map(|(u, v)| u * v).collect();
        let (outputs, columns) = (products.first()?.nrows(), products.first()?.ncols());
        let like = graph.constant(first.weight)?;
        let (transposed, dims) = match second.kind {
            Kind::Conv => {
                let mut dims = like.dims().to_vec();
                dims[0] = products.len() * outputs;
                (false, dims)
            }
            Kind::Left => (false, vec![outputs, columns]),
            Kind::Gemm if is_set(graph, second.node, "transB") => (false, vec![outputs, columns]),
            Kind::Gemm | Kind::Right => (true, vec![columns, outputs]),
        };
        rewrite::tensor(&products.iter().collect::<Vec<_>>(), transposed, &dims, like)
    };
    let Some(tensor) = made() else { return Ok(false) };
    let (Some(before), Some(behind)) = (graph.node(first.node).cloned(), graph.node(second.node).cloned()) else {
        return Ok(false);
    };
    let Some(input) = graph.operand(first.node, first.layer.input) else { return Ok(false) };
    let own = graph.port(first.weight).name.clone();
    let name = common_name(first, second).map(|name| Name::from(name.to_owned())).or(own);
    let attrs: Vec<_> = match second.kind {
        Kind::Conv => before.attrs.clone(),
        // Both have them; what the first has of `transA` is the input's.
        _ => {
            let own = behind.attrs.iter().filter(|attr| attr.name.as_bytes() != b"transA");
            own.chain(before.attrs.iter().filter(|attr| attr.name.as_bytes() == b"transA")).cloned().collect()
        }
    };
    let label = behind.name.as_ref().map(Name::to_string);
    let label = label.map(|label| Name::from(label.strip_suffix("_u").unwrap_or(&label).to_owned()));
    let node = attrs.into_iter().fold(Node::new(behind.op_type.clone(), 1), Node::with).named(label);
    let rest: Vec<Option<ValueId>> = graph.operands(second.node).skip(2).collect();
    let output = second.node.port(0);
    let mut edit = Edit::new(graph, &Standard, MergeFactors::NAME, &[first.node, second.node]);
    let weight = edit.add_constant(name, tensor);
    let mut operands = vec![None; 2];
    (operands[second.layer.weight], operands[second.layer.input]) = (Some(weight), Some(input));
    operands.extend(rest);
    let made = edit.add_node(node, &operands)?.port(0);
    edit.replace(output, made)?;
    [second.node, first.node, second.weight.node, first.weight.node].into_iter().for_each(|id| edit.remove(id));
    edit.commit();
    Ok(true)
}
