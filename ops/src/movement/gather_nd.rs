//! `GatherND`: one slice for each tuple of indices; the tuples stand along the last axis of the indices.
//!
//! Source: ONNX operator specification, `GatherND`, opsets 11 to 13 (from 12 on leading axes can be paired by `batch_dims`).

use onnxpress_ir::Shape;
use onnxpress_ir::tensor::element_count;

use super::Moves;
use crate::axes::Axes;
use crate::evaluate::walk::{Walk, strides};
use crate::gradient::Gradient;
use crate::infer::Undecided;
use crate::letters::{Letters, relation};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::{Parameters, axis_of};

const MOVES: Moves = Moves { shape, walk };

pub(crate) static GATHER_ND: Operator = Operator {
    domain: "",
    name: "GatherND",
    infer: Infer::With(|cx| MOVES.infer(cx)),
    axes: Axes::With(axes),
    evaluate: Evaluate::With(|cx| MOVES.evaluate(cx)),
    linear: Linear::None("only takes slices out"),
    quantize: Quantize::Moves,
    cost: Cost::None("only takes slices out"),
    effects: Effects::Pure,
    gradient: Gradient::With(super::gradient::from_places),
};

/// How many leading axes are paired, and how many behind them a tuple names.
fn layout(p: &dyn Parameters, data: &Shape, indices: &Shape) -> Result<(usize, usize), Undecided> {
    let invalid = || Undecided::invalid(format!("indices {indices} for data {data}"));
    let batch = usize::try_from(p.attrs().int_or("batch_dims", 0)?).map_err(|_| invalid())?;
    let tuple = indices.last().ok_or_else(invalid)?.as_const().ok_or(Undecided::Unknown)?;
    let tuple = usize::try_from(tuple).map_err(|_| invalid())?;
    let fits = batch < indices.rank() && batch.checked_add(tuple).is_some_and(|named| named <= data.rank());
    if !fits || data.iter().zip(indices.iter()).take(batch).any(|(a, b)| a.equals(b) == Some(false)) {
        return Err(invalid());
    }
    Ok((batch, tuple))
}

fn shape(p: &dyn Parameters) -> Result<Shape, Undecided> {
    let (data, indices) = (p.extents(0)?, p.extents(1)?);
    let (batch, tuple) = layout(p, &data, &indices)?;
    let mut shape: Shape = indices[..indices.rank() - 1].into();
    // Of an axis that both have, either may know more.
    shape = Shape::from(&shape[..batch]).merge(&Shape::from(&data[..batch]))?.iter().chain(&shape[batch..]).collect();
    shape.extend(data[batch + tuple..].iter());
    Ok(shape)
}

fn walk(p: &dyn Parameters, from: &[usize], _: &[usize]) -> Result<Walk, Undecided> {
    let indices = p.extents(1)?;
    let (batch, tuple) = layout(p, &Shape::from_extents(from), &indices)?;
    let dims = indices.as_consts().ok_or(Undecided::Unknown)?;
    let numbers = p.numbers(1)?.ok_or_else(|| Undecided::invalid("operand 1 is missing"))?;
    let overflow = || Undecided::invalid(format!("extents {from:?} overflow"));
    let slice = element_count(&from[batch + tuple..]).ok_or_else(overflow)?;
    let per_batch = element_count(&dims[batch..dims.len() - 1]).ok_or_else(overflow)?;
    let starts = tuple_places(from, batch, tuple, per_batch, element_count(&dims[..dims.len() - 1]), &numbers)?;
    Ok(Walk::new(&[starts.len(), slice], |axis, index| if axis == 0 { Some(starts[index]) } else { Some(index) }))
}

/// Where the slice begins that each tuple names, in a tensor of extents `data`, whose first `batch` axes are paired with the
/// tuples, `per_batch` of them an index.
///
/// # Errors
/// Where a tuple names no slice, or there are not as many tuples as `count`.
pub(super) fn tuple_places(
    data: &[usize],
    batch: usize,
    tuple: usize,
    per_batch: usize,
    count: Option<usize>,
    numbers: &[i64],
) -> Result<Vec<usize>, Undecided> {
    let strides = strides(data);
    let extents = &data[batch..batch + tuple];
    let step = if batch == 0 { 0 } else { strides[batch - 1] };
    let start = |number: usize| {
        let mut place = number.checked_div(per_batch).unwrap_or(0).saturating_mul(step);
        for (at, &extent) in extents.iter().enumerate() {
            let index = numbers.get(number * tuple + at).copied().unwrap_or_default();
            let entry = axis_of(index, extent)
                .map_err(|_| Undecided::invalid(format!("index {index} is outside of an axis of extent {extent}")))?;
            place = place.saturating_add(entry.saturating_mul(strides[batch + at]));
        }
        Ok(place)
    };
    let count = count.filter(|&count| tuple == 0 || numbers.len() / tuple == count);
    (0..count.ok_or_else(|| Undecided::invalid("indices that make no tuples"))?).map(start).collect()
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let (Some(data), Some(indices)) = (cx.shape(0), cx.shape(1)) else {
        return Err("the ranks are not known".to_owned());
    };
    let (batch, tuple) = layout(cx, data, indices).map_err(|_| "how many axes are named is not known")?;
    let mut letters = Letters::default();
    let mut named = letters.row(indices.rank() - 1);
    let rest = letters.row(data.rank() - batch - tuple);
    let from = [&named[..batch], &vec!["_".to_owned(); tuple], &rest].concat();
    let to = [named.as_slice(), &rest].concat();
    named.push("_".to_owned());
    Ok(relation(&[Some(from), Some(named)], &[Some(to)], ""))
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn tuples_name_slices() {
        assert_eq!(op("GatherND").input("float[N,s,c]").input("int64[k,2]").infer(), "float[k,c]");
        assert_eq!(op("GatherND").input("float[N,s,c]").input("int64[N,1]").int("batch_dims", 1).infer(), "float[N,c]");
        assert_eq!(op("GatherND").input("float[N,s,c]").input("int64[k,t]").infer(), "float");
        assert!(op("GatherND").input("float[N]").input("int64[k,2]").infer().starts_with("invalid"));
        assert!(op("GatherND").input("float[N]").input("int64[]").infer().starts_with("invalid"));
    }

    #[test]
    fn elements_and_slices_are_taken() {
        let data = |dims: &[usize]| op("GatherND").int64s(dims, &[0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(data(&[4, 2]).int64s(&[2, 2], &[0, 1, -1, 0]).i64s(), [1, 6]);
        assert_eq!(data(&[2, 2, 2]).int64s(&[2, 1], &[1, 0]).i64s(), [4, 5, 6, 7, 0, 1, 2, 3]);
        assert_eq!(data(&[2, 2, 2]).int64s(&[2, 1], &[1, 0]).int("batch_dims", 1).i64s(), [2, 3, 4, 5]);
        assert_eq!(data(&[4, 2]).int64s(&[1, 1], &[4]).fault(), "index 4 is outside of an axis of extent 4");
    }

    #[test]
    fn paired_axes_and_those_behind_keep_their_letters() {
        let node = op("GatherND").input("float[N,s,c]").input("int64[N,k,1]").int("batch_dims", 1);
        assert_eq!(node.axes(), "a _ c, a b _ -> a b c");
    }
}
