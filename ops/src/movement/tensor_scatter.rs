//! `TensorScatter`: a cache with an update written along its sequence axis, from a place on that each sample of the batch has
//! for itself; in circular mode beyond the end it goes on at the beginning.
//!
//! Source: ONNX operator specification, `TensorScatter`, opset 24.

use super::scatter::{Reduction, infer_copy, write};
use crate::axes::Axes;
use crate::evaluate::walk::strides;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::letters::{Letters, relation, with_axis};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::{Parameters, axis_of};

pub(crate) static TENSOR_SCATTER: Operator = Operator {
    domain: "",
    name: "TensorScatter",
    infer: Infer::With(infer),
    axes: Axes::With(axes),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("only writes elements"),
    quantize: Quantize::Moves,
    cost: Cost::None("only writes elements"),
    effects: Effects::Pure,
    gradient: Gradient::NotPossible("it writes into a cache"),
};

fn axis(p: &dyn Parameters, rank: usize) -> Result<usize, Undecided> {
    match axis_of(p.attrs().int_or("axis", -2)?, rank)? {
        0 => Err(Undecided::invalid("`axis` is that of the batch")),
        axis => Ok(axis),
    }
}

/// Where each element of the update goes in a cache of these extents.
fn targets(p: &dyn Parameters, cache: &[usize]) -> Result<Vec<usize>, Undecided> {
    let axis = axis(p, cache.len())?;
    let update = p.extents(1)?.as_consts().ok_or(Undecided::Unknown)?;
    let fits = update.len() == cache.len() && (0..cache.len()).all(|at| at == axis || update[at] == cache[at]);
    if !fits {
        return Err(Undecided::invalid(format!("an update {update:?} of a cache {cache:?}")));
    }
    if update.contains(&0) {
        return Ok(Vec::new());
    }
    let circular = match p.attrs().string_or("mode", "linear".into())?.as_ref() {
        "linear" => false,
        "circular" => true,
        other => return Err(Undecided::invalid(format!("`mode` is `{other}`"))),
    };
    let starts = p.numbers(2)?.unwrap_or_else(|| vec![0; cache[0]]);
    let (extent, length) = (cache[axis] as i128, update[axis]);
    let strides = strides(cache);
    let (outer, inner) = (update[..axis].iter().product::<usize>(), strides[axis]);
    let per_sample = update[1..axis].iter().product::<usize>();
    let mut targets = Vec::new();
    for row in 0..outer {
        let sample = row / per_sample;
        let start = *starts.get(sample).ok_or_else(|| Undecided::invalid("too few write indices"))?;
        for step in 0..length {
            let place = i128::from(start) + step as i128;
            let place = if circular { place.checked_rem_euclid(extent).unwrap_or(place) } else { place };
            if !(0..extent).contains(&place) {
                return Err(Undecided::invalid(format!("write index {start} in a cache of {extent}")));
            }
            let from = (row * cache[axis] + place as usize) * inner;
            targets.extend(from..from + inner);
        }
    }
    Ok(targets)
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    infer_copy(cx, 1, |cx, cache| targets(&**cx, cache).ok());
    axis(&**cx, cx.known_shape(0)?.rank())?;
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let targets = targets(cx, cx.tensor(0)?.dims())?;
    Ok(vec![write(cx.tensor(0)?, cx.tensor(1)?, &targets, Reduction::Replace)?.into()])
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let rank = cx.rank(0).ok_or("the rank is not known")?;
    let axis = axis(cx, rank).map_err(|_| "the axis is not known")?;
    let row = with_axis(&Letters::default().row(rank), axis, "_");
    let mut operands = vec![Some(row.clone()), Some(row.clone())];
    if cx.operand_count() > 2 {
        operands.push(Some(row[..1].to_vec()));
    }
    Ok(relation(&operands, &[Some(row)], ""))
}

#[cfg(test)]
mod tests {
    use crate::testing::{OneNode, op};

    fn scatter(starts: &[i64], mode: &'static str) -> OneNode {
        let node = op("TensorScatter").int64s(&[2, 3, 1], &[1, 2, 3, 4, 5, 6]).int64s(&[2, 2, 1], &[7, 8, 9, 10]);
        node.int64s(&[starts.len()], starts).string("mode", mode)
    }

    #[test]
    fn each_sample_is_written_from_its_own_place_on() {
        assert_eq!(scatter(&[0, 1], "linear").i64s(), [7, 8, 3, 4, 9, 10]);
        assert_eq!(scatter(&[2, 3], "circular").i64s(), [8, 2, 7, 9, 10, 6]);
        assert_eq!(scatter(&[2, 0], "linear").fault(), "write index 2 in a cache of 3");
        assert_eq!(scatter(&[i64::MIN, 0], "circular").i64s().len(), 6);
        assert_eq!(scatter(&[0], "linear").fault(), "too few write indices");
    }

    #[test]
    fn the_cache_keeps_its_shape() {
        let node = op("TensorScatter").input("float[N,h,s,d]").input("float[N,h,t,d]").input("int64[N]");
        assert_eq!(node.infer(), "float[N,h,s,d]");
        assert_eq!(node.axes(), "a b _ d, a b _ d, a -> a b _ d");
        assert!(op("TensorScatter").input("float[N,s]").input("float[N,t]").infer().starts_with("invalid"));
    }
}
