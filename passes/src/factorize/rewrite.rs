//! Puts the two factors of a product of matrices in its place.

use faer::Mat;
use onnxpress_ir::{Attr, AttrValue, Edit, EditError, Graph, Name, Node, Tensor, ValueId};
use onnxpress_ops::infer::Standard;

use super::compress::Factors;
use super::layers::{Kind, Layer};
use super::stages::Stages;

pub(super) const NAME: &str = "factorize";

/// A tensor of matrices, one after the other, transposed where the layer has inputs first.
pub(super) fn tensor(matrices: &[&Mat<f64>], transposed: bool, dims: &[usize], like: &Tensor) -> Option<Tensor> {
    let mut values = Vec::new();
    for matrix in matrices {
        let (rows, columns) = (matrix.nrows(), matrix.ncols());
        if transposed {
            (0..columns).for_each(|j| values.extend((0..rows).map(|i| matrix[(i, j)])));
        } else {
            (0..rows).for_each(|i| values.extend((0..columns).map(|j| matrix[(i, j)])));
        }
    }
    Tensor::from_f64s(like.dtype(), dims, &values).ok()
}

/// Whether the first of two `Gemm` can be a `MatMul`: it has no bias, which a `Gemm` needs before opset 11.
fn first_is_product(graph: &Graph, layer: &Layer) -> bool {
    let transposed = graph.node(layer.node).and_then(|node| node.attr("transA"));
    layer.kind == Kind::Gemm && !matches!(transposed, Some(AttrValue::Int(set)) if *set != 0)
}

/// Both factors as the layer's operator takes them: first `V`, then `U`.
fn factors(graph: &Graph, layer: &Layer, made: &Factors) -> Option<(Tensor, Tensor)> {
    let like = graph.constant(layer.weight)?;
    let [Stages { u, v, .. }] = &made[..] else { return None };
    let (outputs, rank, columns) = (u.nrows(), u.ncols(), v.ncols());
    let outputs_first = layer.layer.output_axes.first() < layer.layer.input_axes.first();
    if outputs_first {
        let u = tensor(&[u], false, &[outputs, rank], like)?;
        let v = match first_is_product(graph, layer) {
            true => tensor(&[v], true, &[columns, rank], like)?,
            false => tensor(&[v], false, &[rank, columns], like)?,
        };
        return Some((v, u));
    }
    Some((tensor(&[v], true, &[columns, rank], like)?, tensor(&[u], true, &[rank, outputs], like)?))
}

/// Writes a layer as a product. `Ok(false)` where its factors cannot be stored.
///
/// # Errors
/// Where a node makes no sense in the graph: a defect.
pub(super) fn rewrite(graph: &mut Graph, layer: &Layer, made: &Factors) -> Result<bool, EditError> {
    let Some((v, u)) = factors(graph, layer, made) else { return Ok(false) };
    let Some(old) = graph.node(layer.node).cloned() else { return Ok(false) };
    let operands: Vec<Option<ValueId>> = graph.operands(layer.node).collect();
    let Some(input) = operands.get(layer.layer.input).copied().flatten() else { return Ok(false) };
    let base = graph.port(layer.weight).name.clone();
    let suffixed = |suffix: &str| base.as_ref().map(|name| Name::from(format!("{name}{suffix}")));
    let named = old.name.as_ref().filter(|name| !name.is_empty());
    let node_name = |suffix: &str| named.map(|name| name.suffixed(suffix));
    let output = layer.node.port(0);
    let output_name = graph.port(output).name.clone();
    let product = first_is_product(graph, layer);

    let mut edit = Edit::new(graph, &Standard, NAME, &[layer.node]);
    let (v, u) = (edit.add_constant(suffixed("_v"), v), edit.add_constant(suffixed("_u"), u));
    let place = |weight: ValueId, x: ValueId| {
        let mut both = vec![None; 2];
        (both[layer.layer.weight], both[layer.layer.input]) = (Some(weight), Some(x));
        both
    };
    let is = |attr: &Attr, name: &str| attr.name.as_bytes() == name.as_bytes();
    let (first, second) = match layer.kind {
        Kind::Right | Kind::Left | Kind::Conv => (Node::new("MatMul", 1), Node::new("MatMul", 1)),
        Kind::Gemm => {
            let keep = |but: &[&str]| {
                old.attrs.iter().filter(|attr| !but.iter().any(|name| is(attr, name))).cloned().collect::<Vec<_>>()
            };
            let first = match product {
                true => Node::new("MatMul", 1),
                false => keep(&["beta"]).into_iter().fold(Node::new("Gemm", 1), Node::with),
            };
            (first, keep(&["transA"]).into_iter().fold(Node::new("Gemm", 1), Node::with))
        }
    };
    let hidden = edit.add_node(first.named(node_name("_v")), &place(v, input))?.port(0);
    edit.rename(hidden, output_name.map(|name| Name::from(format!("{name}_v"))));
    let mut last = place(u, hidden);
    last.extend(operands.iter().skip(2).copied());
    let made = edit.add_node(second.named(node_name("_u")), &last)?.port(0);
    edit.replace(output, made)?;
    edit.remove(layer.node);
    edit.remove(layer.weight.node);
    edit.commit();
    Ok(true)
}
