//! Gradients of operators that move elements: each element of the gradient goes back to where its element came from.
//!
//! Where an operator has an inverse, that is written. Any other can be asked by example where its elements came from: given the
//! numbers of the places of a tensor instead of the tensor, it answers, for each element of its result, the place that it took
//! it from ([`from_places`]).

use onnxpress_ir::{Attr, AttrValue, Dim, Node, ValueId};

use crate::gradient::{GradientCx, GradientError, choose, of};
use crate::parameters::axis_of;

type Done = Result<(), GradientError>;

pub(crate) fn unchanged(cx: &mut GradientCx<'_, '_>) -> Done {
    let g = cx.result()?;
    cx.give(0, g)
}

/// Of operators that only cut the row of elements into axes in another way.
pub(crate) fn regrouped(cx: &mut GradientCx<'_, '_>) -> Done {
    let (x, g) = (cx.operand(0)?, cx.result()?);
    let back = cx.shaped_like(g, x)?;
    cx.give(0, back)
}

pub(super) fn transpose(cx: &mut GradientCx<'_, '_>) -> Done {
    let g = cx.result()?;
    let rank = cx.rank(g)?;
    let order = cx.node().attrs().ints("perm")?.unwrap_or_else(|| (0..rank as i64).rev().collect());
    let mut back = vec![0; rank];
    for (to, &from) in (0i64..).zip(&order) {
        back[axis_of(from, rank)?] = to;
    }
    let moved = cx.transpose(g, back)?;
    cx.give(0, moved)
}

/// The sizes of parts along an axis, as a list.
fn sizes(cx: &mut GradientCx<'_, '_>, parts: &[ValueId], axis: usize) -> Result<ValueId, GradientError> {
    let mut known = Vec::new();
    for &part in parts {
        known.push(cx.shape(part)?.get(axis).and_then(Dim::as_const));
    }
    if let Some(sizes) = known.into_iter().collect::<Option<Vec<i64>>>() {
        return Ok(cx.ints(sizes));
    }
    let sizes = parts.iter().map(|&part| cx.extents_along(part, &[axis])).collect::<Result<Vec<_>, _>>()?;
    cx.concat(&sizes)
}

pub(super) fn concat(cx: &mut GradientCx<'_, '_>) -> Done {
    let g = cx.result()?;
    let rank = cx.rank(g)?;
    let axis = cx.node().attrs().int("axis")?.ok_or_else(|| GradientError::not_possible("`axis` is missing"))?;
    let axis = axis_of(axis, rank)?;
    let operands = cx.operands_from(0);
    let values: Vec<ValueId> = operands.iter().map(|&(_, value)| value).collect();
    let sizes = sizes(cx, &values, axis)?;
    let split = Node::new("Split", operands.len()).with(Attr::int("axis", axis as i64));
    let parts = cx.add_node(split, &[Some(g), Some(sizes)])?;
    (0u32..).zip(operands).try_for_each(|(port, (index, _))| cx.give(index, parts.port(port)))
}

pub(super) fn split(cx: &mut GradientCx<'_, '_>) -> Done {
    let axis = cx.node().attrs().int_or("axis", 0)?;
    let mut parts = Vec::new();
    for (port, result) in (0u32..).zip(cx.results()) {
        parts.push(match result {
            Some(result) => *result,
            None => {
                let like = cx.output(port);
                cx.zeros_like(like)?
            }
        });
    }
    let whole = cx.add(Node::new("Concat", 1).with(Attr::int("axis", axis)), &parts)?;
    cx.give(0, whole)
}

/// The numbers of the places of a tensor, in its shape.
fn places(cx: &mut GradientCx<'_, '_>, of: ValueId) -> Result<ValueId, GradientError> {
    let extents = cx.extents(of)?;
    let count = cx.add(Node::new("ReduceProd", 1).with(Attr::int("keepdims", 0)), &[extents])?;
    let (zero, one) =
        (cx.constant(onnxpress_ir::Tensor::scalar(0i64)), cx.constant(onnxpress_ir::Tensor::scalar(1i64)));
    let places = cx.apply("Range", &[zero, count, one])?;
    cx.apply("Reshape", &[places, extents])
}

/// Adds each element of `values` to the place of a tensor like `like` that `places` names for it; elsewhere are zeros.
pub(crate) fn add_up(
    cx: &mut GradientCx<'_, '_>,
    values: ValueId,
    places: ValueId,
    like: ValueId,
) -> Result<ValueId, GradientError> {
    let zeros = cx.zeros_like(like)?;
    let (zeros, places, values) = (cx.flat(zeros)?, cx.flat(places)?, cx.flat(values)?);
    let scatter = Node::new("ScatterElements", 1).with(Attr::int("axis", 0)).with(Attr::string("reduction", "add"));
    let sums = cx.add(scatter, &[zeros, places, values])?;
    cx.shaped_like(sums, like)
}

/// Asks the operator itself where its elements came from.
pub(super) fn from_places(cx: &mut GradientCx<'_, '_>) -> Done {
    let (x, g) = (cx.operand(0)?, cx.result()?);
    let places = places(cx, x)?;
    let node = cx.node();
    let (copy, graph, id) = (Node::new(node.node.op_type.clone(), 1), node.graph, node.id);
    let attrs = node.node.attrs.clone();
    let operands: Vec<Option<ValueId>> = graph
        .operands(id)
        .enumerate()
        .map(|(index, operand)| if index == 0 { Some(places) } else { operand })
        .collect();
    let copy = attrs.into_iter().fold(copy, Node::with);
    let taken = cx.add_node(copy, &operands)?.port(0);
    let sums = add_up(cx, g, taken, x)?;
    cx.give(0, sums)
}

/// Rows of a table: they are added up as rows. Along any other axis, element by element.
pub(super) fn gather(cx: &mut GradientCx<'_, '_>) -> Done {
    let (data, indices, g) = (cx.operand(0)?, cx.operand(1)?, cx.result()?);
    let axis = axis_of(cx.node().attrs().int_or("axis", 0)?, cx.rank(data)?)?;
    if axis != 0 {
        return from_places(cx);
    }
    let last = cx.ints([-1]);
    let indices = cx.apply("Unsqueeze", &[indices, last])?;
    // The standard has indices of 64 bits only here.
    let indices = cx.add(Node::new("Cast", 1).with(Attr::int("to", onnxpress_ir::DType::Int64.code())), &[indices])?;
    let zeros = cx.zeros_like(data)?;
    let sums = cx.add(Node::new("ScatterND", 1).with(Attr::string("reduction", "add")), &[zeros, indices, g])?;
    cx.give(0, sums)
}

/// What was left out before and behind is put around as zeros.
pub(super) fn slice(cx: &mut GradientCx<'_, '_>) -> Done {
    let Some(pads) = left_out(cx)? else { return from_places(cx) };
    let (g, pads) = (cx.result()?, cx.ints(pads));
    let back = cx.apply("Pad", &[g, pads])?;
    cx.give(0, back)
}

/// How many indices a slice leaves out before and behind each axis; `None` where it skips some in between, or that is not known.
fn left_out(cx: &GradientCx<'_, '_>) -> Result<Option<Vec<i64>>, GradientError> {
    let node = cx.node();
    let x = cx.shape(cx.operand(0)?)?;
    let (Some(starts), Some(ends)) = (node.ints(1), node.ints(2)) else { return Ok(None) };
    let axes = if node.has(3) { node.ints(3) } else { Some((0..starts.len() as i64).collect()) };
    let steps = if node.has(4) { node.ints(4) } else { Some(vec![1; starts.len()]) };
    let (Some(axes), Some(steps)) = (axes, steps) else { return Ok(None) };
    if steps.iter().any(|&step| step != 1) {
        return Ok(None);
    }
    let mut pads = vec![0; 2 * x.len()];
    for ((axis, start), end) in axes.into_iter().zip(starts).zip(ends) {
        let axis = axis_of(axis, x.len())?;
        let Some(extent) = x[axis].as_const() else { return Ok(None) };
        let place = |index: i64| if index < 0 { index.saturating_add(extent) } else { index }.clamp(0, extent);
        let (start, end) = (place(start), place(end));
        pads[axis] = start;
        pads[x.len() + axis] = extent - end.max(start);
    }
    Ok(Some(pads))
}

/// How written elements are combined with what is there.
fn adds(cx: &GradientCx<'_, '_>) -> Result<bool, GradientError> {
    match cx.node().attrs().string_or("reduction", "none".into())?.as_ref() {
        "none" => Ok(false),
        "add" => Ok(true),
        other => Err(GradientError::NotPossible(format!("`reduction` is `{other}`"))),
    }
}

/// What is written over has no part in the result; what is written is found where it was written.
pub(super) fn scatter_elements(cx: &mut GradientCx<'_, '_>) -> Done {
    let axis = Attr::int("axis", cx.node().attrs().int_or("axis", 0)?);
    scatter(cx, Node::new("ScatterElements", 1).with(axis.clone()), Node::new("GatherElements", 1).with(axis))
}

pub(super) fn scatter_nd(cx: &mut GradientCx<'_, '_>) -> Done {
    scatter(cx, Node::new("ScatterND", 1), Node::new("GatherND", 1))
}

fn scatter(cx: &mut GradientCx<'_, '_>, write: Node, read: Node) -> Done {
    let (indices, updates, g) = (cx.operand(1)?, cx.operand(2)?, cx.result()?);
    if cx.wants(0) {
        let kept = if adds(cx)? {
            g
        } else {
            let zeros = cx.zeros_like(updates)?;
            cx.add(write, &[g, indices, zeros])?
        };
        cx.give(0, kept)?;
    }
    if cx.wants(2) {
        adds(cx)?;
        let read = cx.add(read, &[g, indices])?;
        cx.give(2, read)?;
    }
    Ok(())
}

/// What was put around is cut off, and what was cut off is put around as zeros.
pub(super) fn pad(cx: &mut GradientCx<'_, '_>) -> Done {
    if cx.node().attrs().string_or("mode", "constant".into())? != "constant" {
        return from_places(cx);
    }
    let node = cx.node();
    let pads = node.ints(1).ok_or_else(|| GradientError::not_possible("pads that are computed"))?;
    let axes = match (node.has(3), node.ints(3)) {
        (true, None) => return Err(GradientError::not_possible("axes that are computed")),
        (true, Some(axes)) => axes,
        (false, _) => (0..(pads.len() / 2) as i64).collect(),
    };
    let mut back = cx.result()?;
    if pads.iter().any(|&pad| pad > 0) {
        let (before, behind) = pads.split_at(axes.len().min(pads.len()));
        let starts: Vec<i64> = before.iter().map(|&pad| pad.max(0)).collect();
        let ends: Vec<i64> = behind.iter().map(|&pad| if pad > 0 { -pad } else { i64::MAX }).collect();
        let operands = [back, cx.ints(starts), cx.ints(ends), cx.ints(axes.clone())];
        back = cx.apply("Slice", &operands)?;
    }
    if pads.iter().any(|&pad| pad < 0) {
        let rank = cx.rank(back)?;
        let mut opposite = vec![0; 2 * rank];
        for (entry, &pad) in pads.iter().enumerate() {
            let axis = axis_of(axes[entry % axes.len()], rank)?;
            opposite[axis + if entry < axes.len() { 0 } else { rank }] = (-pad).max(0);
        }
        let opposite = cx.ints(opposite);
        back = cx.apply("Pad", &[back, opposite])?;
    }
    cx.give(0, back)
}

/// The sum over the repetitions: each axis is cut into how often it was repeated, and what was.
pub(super) fn tile(cx: &mut GradientCx<'_, '_>) -> Done {
    let (x, repeats, g) = (cx.operand(0)?, cx.operand(1)?, cx.result()?);
    let rank = cx.rank(x)?;
    let (column, extents) = (cx.ints([1]), cx.extents(x)?);
    let repeats = cx.apply("Unsqueeze", &[repeats, column])?;
    let extents = cx.apply("Unsqueeze", &[extents, column])?;
    let pairs = cx.add(Node::new("Concat", 1).with(Attr::int("axis", 1)), &[repeats, extents])?;
    let pairs = cx.flat(pairs)?;
    let cut = cx.apply("Reshape", &[g, pairs])?;
    let sums = cx.sum(cut, (0..rank as i64).map(|axis| 2 * axis).collect(), false)?;
    // Reshape says nothing of the rank where the repeats are not known.
    let sums = cx.shaped_like(sums, x)?;
    cx.give(0, sums)
}

/// The half that stays, stays of the gradient too; so do elements put in reverse order when that is done once more.
pub(super) fn same_again(cx: &mut GradientCx<'_, '_>) -> Done {
    let g = cx.result()?;
    let node = cx.node();
    let copy = node.node.attrs.iter().cloned().fold(Node::new(node.node.op_type.clone(), 1), Node::with);
    let operands: Vec<Option<ValueId>> = node
        .graph
        .operands(node.id)
        .enumerate()
        .map(|(index, operand)| if index == 0 { Some(g) } else { operand })
        .collect();
    let again = cx.add_node(copy, &operands)?.port(0);
    cx.give(0, again)
}

pub(super) fn depth_to_space(cx: &mut GradientCx<'_, '_>) -> Done {
    let (x, g) = (cx.operand(0)?, cx.result()?);
    let block =
        cx.node().attrs().int("blocksize")?.ok_or_else(|| GradientError::not_possible("`blocksize` is missing"))?;
    let slowest_channel = cx.node().attrs().string_or("mode", "DCR".into())? == "CRD";
    let mut back = cx.add(Node::new("SpaceToDepth", 1).with(Attr::int("blocksize", block)), &[g])?;
    if slowest_channel {
        // The place in the block comes out slowest; the channel was.
        let squares = block.checked_mul(block).ok_or_else(|| GradientError::not_possible("so large a block"))?;
        let channels = cx.shape(g)?.get(1).and_then(Dim::as_const);
        let channels = channels.ok_or_else(|| GradientError::not_possible("a number of channels that is not known"))?;
        let cut = cx.reshape(back, &[0, squares, channels, -1])?;
        let turned = cx.transpose(cut, vec![0, 2, 1, 3])?;
        back = cx.shaped_like(turned, x)?;
    }
    cx.give(0, back)
}

pub(super) fn space_to_depth(cx: &mut GradientCx<'_, '_>) -> Done {
    let g = cx.result()?;
    let block =
        cx.node().attrs().int("blocksize")?.ok_or_else(|| GradientError::not_possible("`blocksize` is missing"))?;
    let back = cx.add(Node::new("DepthToSpace", 1).with(Attr::int("blocksize", block)), &[g])?;
    cx.give(0, back)
}

pub(super) fn choice(cx: &mut GradientCx<'_, '_>) -> Done {
    let (condition, g) = (of(cx.operand(0)?), of(cx.result()?));
    cx.give_by(1, || choose(condition.clone(), g.clone(), 0.0))?;
    cx.give_by(2, || choose(condition, 0.0, g))
}

/// The sum from the other end.
pub(crate) fn cumulative_sum(cx: &mut GradientCx<'_, '_>) -> Done {
    let (axis, g) = (cx.operand(1)?, cx.result()?);
    let attrs = cx.node().attrs();
    let (exclusive, reverse) = (attrs.flag("exclusive")?, attrs.flag("reverse")?);
    let node = Node::new("CumSum", 1)
        .with(Attr::int("exclusive", i64::from(exclusive)))
        .with(Attr::int("reverse", i64::from(!reverse)));
    let back = cx.add(node, &[g, axis])?;
    cx.give(0, back)
}

/// Back to the type it came from; a type without fractions passes nothing on.
pub(crate) fn cast(cx: &mut GradientCx<'_, '_>) -> Done {
    let g = cx.result()?;
    // Of what `CastLike` casts to, only the type is read.
    cx.give_zero(1);
    match cx.node().dtype(0) {
        Some(dtype) if dtype.is_float() => {
            let cast = Node::new("Cast", 1).with(Attr::new("to", AttrValue::Int(dtype.code())));
            let back = cx.add(cast, &[g])?;
            cx.give(0, back)
        }
        _ => Ok(()),
    }
}

/// To where the chosen elements stood, which the operator says itself.
pub(crate) fn chosen(cx: &mut GradientCx<'_, '_>) -> Done {
    let (x, g) = (cx.operand(0)?, cx.result()?);
    let node = cx.node();
    let axis = Attr::int("axis", node.attrs().int_or("axis", -1)?);
    if node.node.ports().get(1).is_none_or(|port| port.omitted) {
        return Err(GradientError::not_possible("where the elements stood is not among its outputs"));
    }
    let (zeros, places) = (cx.zeros_like(x)?, cx.output(1));
    let back = cx.add(Node::new("ScatterElements", 1).with(axis), &[zeros, places, g])?;
    cx.give(0, back)
}
