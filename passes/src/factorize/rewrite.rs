//! Puts the two factors of a product of matrices in its place.

use faer::Mat;
use onnxpress_ir::{AttrValue, Edit, EditError, Graph, Name, Node, NodeId, Tensor, ValueId};
use onnxpress_ops::infer::Standard;

use super::compress::Factors;
use super::layers::{Kind, Layer};
use super::stages::joined;

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
    let transposed = graph.node(layer.node).and_then(|node| node.attr(input_transposed(layer)));
    layer.kind == Kind::Gemm && !matches!(transposed, Some(AttrValue::Int(set)) if *set != 0)
}

/// The attribute of a `Gemm` that says that its input is transposed.
pub(super) fn input_transposed(layer: &Layer) -> &'static str {
    if layer.layer.weight == 0 { "transB" } else { "transA" }
}

/// Both factors as the layer's operator takes them, stacks as stacks: first `V`, then `U`.
fn factors(graph: &Graph, layer: &Layer, made: &Factors) -> Option<(Tensor, Tensor)> {
    let like = graph.constant(layer.weight)?;
    let (u, v): (Vec<_>, Vec<_>) = made.iter().map(|packed| (&packed.u, &packed.v)).unzip();
    let (&[outputs, rank], &[_, columns]) = (u.first()?.dims(), v.first()?.dims()) else { return None };
    let stack = &like.dims()[..layer.layer.batch_axes.len()];
    let outputs_first = layer.layer.output_axes.first() < layer.layer.input_axes.first();
    // What a Gemm reads transposed a MatMul does not, and what a recurrent node reads outputs first neither.
    let v_outputs_first = match first_is_product(graph, layer) || layer.kind == Kind::Recurrent {
        true => layer.layer.weight == 0,
        false => outputs_first,
    };
    let made = |matrices: &[&Tensor], [rows, columns]: [usize; 2], as_it_is: bool| {
        let dims = if as_it_is { [rows, columns] } else { [columns, rows] };
        joined(matrices, !as_it_is, &[stack, &dims].concat())
    };
    let v = made(&v, [rank, columns], v_outputs_first)?;
    if layer.kind == Kind::Recurrent {
        let dims = [&like.dims()[..2], &[rank]].concat();
        return Some((v, joined(&u, false, &dims)?));
    }
    Some((v, made(&u, [outputs, rank], outputs_first)?))
}

/// Writes a layer as a product, at each node that multiplies by its weight. `Ok(false)` where its factors cannot be stored.
///
/// # Errors
/// Where a node makes no sense in the graph: a defect.
pub(super) fn rewrite(graph: &mut Graph, layer: &Layer, made: &Factors) -> Result<bool, EditError> {
    let Some((v, u)) = factors(graph, layer, made) else { return Ok(false) };
    let base = graph.port(layer.weight).name.clone();
    let suffixed = |suffix: &str| base.as_ref().map(|name| Name::from(format!("{name}{suffix}")));
    let nodes: Vec<NodeId> = std::iter::once(layer.node).chain(layer.others.iter().copied()).collect();
    let product = first_is_product(graph, layer);
    let mut edit = Edit::new(graph, &Standard, NAME, &nodes);
    let (v, u) = (edit.add_constant(suffixed("_v"), v), edit.add_constant(suffixed("_u"), u));
    for &node in &nodes {
        rewrite_node(&mut edit, layer, node, (v, u), product)?;
    }
    edit.remove(layer.weight.node);
    edit.commit();
    Ok(true)
}

/// One node as two.
fn rewrite_node(
    edit: &mut Edit<'_>,
    layer: &Layer,
    id: NodeId,
    (v, u): (ValueId, ValueId),
    first_is_product: bool,
) -> Result<(), EditError> {
    let graph = edit.graph();
    let Some(old) = graph.node(id).cloned() else { return Ok(()) };
    let operands: Vec<Option<ValueId>> = graph.operands(id).collect();
    let Some(input) = operands.get(layer.layer.input).copied().flatten() else { return Ok(()) };
    let named = old.name.as_ref().filter(|name| !name.is_empty());
    let node_name = |suffix: &str| named.map(|name| name.suffixed(suffix));
    let output = id.port(0);
    let output_name = graph.port(output).name.clone();
    let place = |slots: [usize; 2], weight: ValueId, x: ValueId| {
        let mut both = vec![None; 2];
        (both[slots[0]], both[slots[1]]) = (Some(weight), Some(x));
        both
    };
    let slots = [layer.layer.weight, layer.layer.input];
    let keep = |op_type: &'static str, but: &str| {
        let kept = old.attrs.iter().filter(|attr| attr.name.as_bytes() != but.as_bytes());
        kept.cloned().fold(Node::new(op_type, 1), Node::with)
    };
    let product = || Node::new("MatMul", 1);
    let recurrent = |edit: &mut Edit<'_>| -> Result<(), EditError> {
        // It has several results, so it stays, and reads less.
        let hidden = edit.add_node(product().named(node_name("_v")), &[Some(input), Some(v)])?.port(0);
        edit.rename(hidden, output_name.as_ref().map(|name| Name::from(format!("{name}_v"))));
        edit.set_operand(id, layer.layer.input, Some(hidden));
        edit.set_operand(id, layer.layer.weight, Some(u));
        Ok(())
    };
    let (first, second, behind) = match layer.kind {
        Kind::Recurrent => return recurrent(edit),
        Kind::Right | Kind::Left | Kind::Conv => (product(), product(), slots),
        Kind::Table => (keep("Gather", ""), product(), [1, 0]),
        Kind::Gemm if first_is_product => (product(), keep("Gemm", input_transposed(layer)), slots),
        Kind::Gemm => (keep("Gemm", "beta"), keep("Gemm", input_transposed(layer)), slots),
    };
    let hidden = edit.add_node(first.named(node_name("_v")), &place(slots, v, input))?.port(0);
    edit.rename(hidden, output_name.map(|name| Name::from(format!("{name}_v"))));
    let mut last = place(behind, u, hidden);
    if layer.kind == Kind::Gemm {
        last.extend(operands.iter().skip(2).copied());
    }
    let made = edit.add_node(second.named(node_name("_u")), &last)?.port(0);
    edit.replace(output, made)?;
    edit.remove(id);
    Ok(())
}
