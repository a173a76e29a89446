//! `ScatterND`: a copy of a tensor with one slice written for each tuple of indices.
//!
//! Source: ONNX operator specification, `ScatterND`, opsets 11 to 18 (from 16 on an update can be combined with what is
//! there).

use onnxpress_ir::Shape;
use onnxpress_ir::tensor::element_count;

use super::gather_nd::tuple_places;
use super::scatter::{Reduction, infer_copy, write};
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, MAX_ELEMENTS, Undecided};
use crate::letters::{Letters, relation};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::Parameters;

pub(crate) static SCATTER_ND: Operator = Operator {
    domain: "",
    name: "ScatterND",
    infer: Infer::With(infer),
    axes: Axes::With(axes),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("only writes slices"),
    quantize: Quantize::KeepsFloat("may add or multiply what it writes"),
    cost: Cost::None("only writes slices"),
    effects: Effects::Pure,
    gradient: Gradient::With(super::gradient::scatter_nd),
};

/// How many axes of the data a tuple names.
fn tuple(data: &Shape, indices: &Shape) -> Result<usize, Undecided> {
    let invalid = || Undecided::invalid(format!("indices {indices} for data {data}"));
    let tuple = indices.last().ok_or_else(invalid)?.as_const().ok_or(Undecided::Unknown)?;
    usize::try_from(tuple).ok().filter(|&tuple| tuple <= data.rank()).ok_or_else(invalid)
}

/// Where each update goes in data of these extents; not decided for more than `limit` of them.
fn targets(p: &dyn Parameters, data: &[usize], limit: usize) -> Result<Vec<usize>, Undecided> {
    let indices = p.extents(1)?;
    let tuple = tuple(&Shape::from_extents(data), &indices)?;
    let overflow = || Undecided::invalid(format!("extents {data:?} overflow"));
    let slice = element_count(&data[tuple..]).ok_or_else(overflow)?;
    if slice == 0 {
        return Ok(Vec::new());
    }
    let numbers = p.numbers(1)?.ok_or_else(|| Undecided::invalid("operand 1 is missing"))?;
    let dims = indices.as_consts().ok_or(Undecided::Unknown)?;
    // Tuples of no entries take no room, so there can be any number of them.
    let count = element_count(&dims[..dims.len() - 1]);
    if count.and_then(|count| count.checked_mul(slice)).is_none_or(|updates| updates > limit) {
        return Err(Undecided::Unknown);
    }
    let starts = tuple_places(data, 0, tuple, 1, count, &numbers)?;
    Ok(starts.into_iter().flat_map(|start| start..start + slice).collect())
}

/// Fails where the operands' shapes do not fit each other, or are not known.
fn check(p: &dyn Parameters) -> Result<(), Undecided> {
    let (data, indices, updates) = (p.extents(0)?, p.extents(1)?, p.extents(2)?);
    let tuple = tuple(&data, &indices)?;
    let expected: Shape = indices[..indices.rank() - 1].iter().chain(&data[tuple..]).collect();
    expected.merge(&updates)?;
    Ok(())
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let replaces = Reduction::of(&**cx)? == Reduction::Replace;
    infer_copy(cx, 2, |cx, data| if replaces { targets(&**cx, data, MAX_ELEMENTS).ok() } else { None });
    check(&**cx)
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    check(cx)?;
    let targets = targets(cx, cx.tensor(0)?.dims(), cx.tensor(2)?.len())?;
    Ok(vec![write(cx.tensor(0)?, cx.tensor(2)?, &targets, Reduction::of(cx)?)?.into()])
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let (Some(data), Some(indices)) = (cx.shape(0), cx.shape(1)) else {
        return Err("the ranks are not known".to_owned());
    };
    let tuple = tuple(data, indices).map_err(|_| "how many axes are named is not known")?;
    let mut letters = Letters::default();
    let mut named = letters.row(indices.rank() - 1);
    let rest = letters.row(data.rank() - tuple);
    let whole = [vec!["_".to_owned(); tuple], rest.clone()].concat();
    let updates = [named.clone(), rest].concat();
    named.push("_".to_owned());
    Ok(relation(&[Some(whole.clone()), Some(named), Some(updates)], &[Some(whole)], ""))
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn tuples_name_what_is_written() {
        let data = || op("ScatterND").int64s(&[2, 2], &[1, 2, 3, 4]);
        assert_eq!(data().int64s(&[1, 1], &[-1]).int64s(&[1, 2], &[8, 9]).i64s(), [1, 2, 8, 9]);
        assert_eq!(data().int64s(&[1, 2], &[0, 1]).int64s(&[1], &[9]).i64s(), [1, 9, 3, 4]);
        let twice = data().int64s(&[2, 1], &[0, 0]).int64s(&[2, 2], &[1, 1, 2, 2]).string("reduction", "mul");
        assert_eq!(twice.i64s(), [2, 4, 3, 4]);
        assert_eq!(
            data().int64s(&[1, 1], &[2]).int64s(&[1, 2], &[8, 9]).fault(),
            "index 2 is outside of an axis of extent 2"
        );
    }

    #[test]
    fn an_entry_of_a_shape_is_replaced() {
        let node = op("ScatterND").elements("int64[3]", "N 3 h").int64s(&[1, 1], &[2]).elements("int64[1]", "w");
        assert_eq!(node.infer(), "int64[3] = {N, 3, w}");
    }

    #[test]
    fn the_updates_must_fit() {
        let node = op("ScatterND").input("float[N,s,c]").input("int64[k,1]").input("float[k,s,c]");
        assert_eq!(node.infer(), "float[N,s,c]");
        assert_eq!(node.axes(), "_ b c, a _, a b c -> _ b c");
        let bad = op("ScatterND").input("float[N,3]").input("int64[4,1]").input("float[4,2]");
        assert_eq!(bad.infer(), "invalid: axis 1: found extent 2, expected 3");
    }
}
