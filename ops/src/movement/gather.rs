//! `Gather`: along an axis, the entries that indices name; the axes of the indices take the place of that axis.
//!
//! Source: ONNX operator specification, `Gather`, opsets 1 to 13 (from 11 on, in practice always, indices may count from the
//! back).

use std::collections::BTreeSet;

use onnxpress_ir::{Dim, Shape};

use super::Moves;
use crate::axes::Axes;
use crate::evaluate::walk::{Walk, around};
use crate::gradient::Gradient;
use crate::infer::Undecided;
use crate::letters::{Letters, relation, sized, with_axis};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::{Parameters, axis_of};

const MOVES: Moves = Moves { shape, walk };

pub(crate) static GATHER: Operator = Operator {
    domain: "",
    name: "Gather",
    infer: Infer::With(|cx| MOVES.infer(cx)),
    axes: Axes::With(axes),
    evaluate: Evaluate::With(|cx| MOVES.evaluate(cx)),
    linear: Linear::None("only takes entries out"),
    quantize: Quantize::Moves,
    cost: Cost::None("only takes entries out"),
    effects: Effects::Pure,
    gradient: Gradient::With(super::gradient::gather),
};

fn axis(p: &dyn Parameters, rank: usize) -> Result<usize, Undecided> {
    axis_of(p.attrs().int_or("axis", 0)?, rank)
}

fn shape(p: &dyn Parameters) -> Result<Shape, Undecided> {
    let data = p.extents(0)?;
    let axis = axis(p, data.rank())?;
    Ok([&data[..axis], &p.extents(1)?, &data[axis + 1..]].concat().into())
}

fn walk(p: &dyn Parameters, from: &[usize], _: &[usize]) -> Result<Walk, Undecided> {
    let indices = p.numbers(1)?.ok_or_else(|| Undecided::invalid("operand 1 is missing"))?;
    let (outer, extent, inner) =
        around(from, axis(p, from.len())?).ok_or_else(|| Undecided::invalid(format!("extents {from:?} overflow")))?;
    let entries = indices
        .iter()
        .map(|&index| axis_of(index, extent))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| Undecided::invalid(format!("an index is outside of an axis of extent {extent}")))?;
    Ok(Walk::new(&[outer, entries.len(), inner], |axis, index| match axis {
        0 => index.checked_mul(extent)?.checked_mul(inner),
        1 => entries[index].checked_mul(inner),
        _ => Some(index),
    }))
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let (Some(data), Some(indices)) = (cx.shape(0), cx.shape(1)) else {
        return Err("the ranks are not known".to_owned());
    };
    let axis = axis(cx, data.rank()).map_err(|_| "the axis is not known")?;
    let mut letters = Letters::default();
    let row = letters.row(data.rank());
    let named = letters.row(indices.rank());
    let to = [&row[..axis], &named, &row[axis + 1..]].concat();
    if let Some((whole, taken)) = taken_in_runs(cx, &data[axis], &mut letters) {
        let to = with_axis(&to, axis, taken);
        return Ok(relation(&[Some(with_axis(&row, axis, whole)), None], &[Some(to)], "indices"));
    }
    let (whole, named) = match contiguous(cx, &data[axis]) {
        // As good as a slice: which indices are taken is no matter of the indices' own axis any more.
        Some((first, count)) => (segments(&data[axis], first, count, named.first(), &mut letters), None),
        None => ("_".to_owned(), Some(named)),
    };
    Ok(relation(&[Some(with_axis(&row, axis, whole)), named], &[Some(to)], "indices"))
}

/// More segments than this are not told apart.
const SEGMENTS: usize = 1024;

/// The axis in segments that are taken as a whole or not at all, and those that are taken, in order; where the indices are a
/// constant row that is not one run.
fn taken_in_runs(cx: &NodeCx<'_>, extent: &Dim, letters: &mut Letters) -> Option<(String, String)> {
    let extent = extent.as_const()?;
    cx.constant(1).filter(|indices| indices.rank() == 1 && !indices.is_empty())?;
    let indices: Option<Vec<i64>> = cx
        .ints(1)?
        .into_iter()
        .map(|index| {
            Some(if index < 0 { index.checked_add(extent)? } else { index }).filter(|at| (0..extent).contains(at))
        })
        .collect();
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for index in indices? {
        match runs.last_mut() {
            Some((_, end)) if *end == index => *end += 1,
            _ => runs.push((index, index + 1)),
        }
    }
    if runs.len() < 2 || runs.len() > SEGMENTS {
        return None;
    }
    let seams: BTreeSet<i64> = runs.iter().flat_map(|&(start, end)| [start, end]).chain([0, extent]).collect();
    let seams: Vec<i64> = seams.into_iter().collect();
    let names: Vec<String> = seams.windows(2).map(|_| letters.fresh()).collect();
    let whole = names.iter().zip(seams.windows(2)).map(|(name, seam)| sized(name, &Dim::from(seam[1] - seam[0])));
    let mut taken = Vec::new();
    for (start, end) in runs {
        let (first, last) = (seams.binary_search(&start).ok()?, seams.binary_search(&end).ok()?);
        taken.extend(names.get(first..last)?.iter().cloned());
    }
    (taken.len() <= SEGMENTS).then(|| (whole.collect::<Vec<_>>().join("+"), taken.join("+")))
}

/// The first index and their number, where the indices are constant, a scalar or a row, and one after the other.
fn contiguous(cx: &NodeCx<'_>, extent: &Dim) -> Option<(i64, usize)> {
    cx.constant(1).filter(|indices| indices.rank() <= 1)?;
    let indices = cx.ints(1)?;
    let from_front = |index: i64| if index < 0 { index.checked_add(extent.as_const()?) } else { Some(index) };
    let first = from_front(*indices.first()?)?;
    let in_order = indices
        .iter()
        .zip(0i64..)
        .all(|(&index, offset)| first.checked_add(offset).is_some_and(|expected| from_front(index) == Some(expected)));
    (in_order && first >= 0).then_some((first, indices.len()))
}

/// The axis in segments: before what is taken, that itself (a scalar index takes a single one away), and behind.
fn segments(extent: &Dim, first: i64, count: usize, taken: Option<&String>, letters: &mut Letters) -> String {
    let behind = extent - Dim::from(first) - Dim::from_extent(count);
    let mut axis = Vec::new();
    if first > 0 {
        axis.push(sized(&letters.fresh(), &Dim::from(first)));
    }
    axis.push(taken.map_or("1".to_owned(), |letter| sized(letter, &Dim::from_extent(count))));
    if behind.as_const() != Some(0) {
        axis.push(sized(&letters.fresh(), &behind));
    }
    axis.join("+")
}

#[cfg(test)]
mod tests {
    use onnxpress_ir::Tensor;

    use crate::testing::op;

    #[test]
    fn the_axes_of_the_indices_take_the_place_of_the_axis() {
        assert_eq!(op("Gather").input("float[30522,768]").input("int64[N,s]").infer(), "float[N,s,768]");
        let inner = op("Gather").input("float[N,c,h]").constant(Tensor::scalar(0i64)).int("axis", -1);
        assert_eq!(inner.infer(), "float[N,c]");
        assert_eq!(op("Gather").input("float[3]").input("int64").infer(), "float");
    }

    #[test]
    fn an_entry_of_a_shape_is_known() {
        let at = |index: i64| op("Gather").elements("int64[3]", "N 3 h").constant(Tensor::scalar(index));
        assert_eq!(at(0).infer(), "int64[] = {N}");
        assert_eq!(at(-1).infer(), "int64[] = {h}");
        assert_eq!(at(3).infer(), "int64[]", "a branch that is never taken may ask for it");
        let two = op("Gather").elements("int64[3]", "N 3 h").int64s(&[2], &[2, 0]);
        assert_eq!(two.infer(), "int64[2] = {h, N}");
    }

    #[test]
    fn entries_are_taken_in_the_order_of_the_indices() {
        let node = |indices: &[i64]| {
            op("Gather").int64s(&[2, 3], &[1, 2, 3, 4, 5, 6]).int64s(&[indices.len()], indices).int("axis", 1)
        };
        assert_eq!(node(&[2, -3, 2]).i64s(), [3, 1, 3, 6, 4, 6]);
        assert_eq!(node(&[3]).fault(), "an index is outside of an axis of extent 3");
        assert_eq!(node(&[i64::MIN]).fault(), "an index is outside of an axis of extent 3");
    }

    #[test]
    fn indices_one_after_the_other_are_a_segment() {
        let node = |indices: Tensor| op("Gather").input("float[8,c]").constant(indices).axes();
        assert_eq!(node(Tensor::vector(vec![2i64, 3, 4])), "d:2+c:3+e:3 b, * -> c b; indices");
        assert_eq!(node(Tensor::scalar(7i64)), "c:7+1 b, * -> b; indices");
        assert_eq!(node(Tensor::vector(vec![3i64, 2])), "d:2+e:1+f:1+g:4 b, * -> f+e b; indices");
        assert_eq!(node(Tensor::vector(vec![3i64, 8])), "_ b, c -> c b; indices");
        assert_eq!(op("Gather").input("float[v,768]").input("int64[N,s]").axes(), "_ b, c d -> c d b; indices");
    }
}
