//! `ScatterElements` and its older name `Scatter`: a copy of a tensor with one element written for each index; the index names
//! its place along an axis, where it stands itself names the place along the others.
//!
//! Source: ONNX operator specification, `ScatterElements`, opsets 11 to 18 (from 16 on an update can be combined with what is
//! there), `Scatter`, opset 9 (the same; deprecated from 11 on).

use super::gather_elements::element_places;
use super::scatter::{Reduction, infer_copy, write};
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::letters::{Letters, relation, shared};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::{Parameters, axis_of};

const fn sheet(name: &'static str, quantize: Quantize) -> Operator {
    Operator {
        domain: "",
        name,
        infer: Infer::With(infer),
        axes: Axes::With(axes),
        evaluate: Evaluate::With(evaluate),
        linear: Linear::None("only writes elements"),
        quantize,
        cost: Cost::None("only writes elements"),
        effects: Effects::Pure,
        gradient: Gradient::With(super::gradient::scatter_elements),
    }
}

pub(crate) static SCATTER_ELEMENTS: Operator =
    sheet("ScatterElements", Quantize::KeepsFloat("may add or multiply what it writes"));

pub(crate) static SCATTER: Operator = sheet("Scatter", Quantize::Moves);

fn axis(p: &dyn Parameters, rank: usize) -> Result<usize, Undecided> {
    axis_of(p.attrs().int_or("axis", 0)?, rank)
}

/// Where each update goes in data of these extents.
fn targets(p: &dyn Parameters, data: &[usize]) -> Result<Vec<usize>, Undecided> {
    let indices = p.numbers(1)?.ok_or_else(|| Undecided::invalid("operand 1 is missing"))?;
    let dims = p.extents(1)?.as_consts().ok_or(Undecided::Unknown)?;
    let places = element_places(data, &dims, axis(p, data.len())?, &indices)?;
    places.into_iter().collect::<Option<_>>().ok_or(Undecided::Unknown)
}

/// Fails where the operands' shapes do not fit each other, as far as they are known.
fn check(p: &dyn Parameters) -> Result<(), Undecided> {
    let known = |index| match p.extents(index) {
        Err(Undecided::Unknown) => Ok(None),
        extents => extents.map(Some),
    };
    let (data, indices, updates) = (known(0)?, known(1)?, known(2)?);
    if let (Some(indices), Some(updates)) = (&indices, &updates) {
        indices.merge(updates)?;
    }
    if let Some(data) = data {
        axis(p, data.rank())?;
        if let Some(other) = indices.or(updates)
            && other.rank() != data.rank()
        {
            return Err(Undecided::invalid(format!("indices {other} for data {data} of another rank")));
        }
    }
    Ok(())
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let replaces = Reduction::of(&**cx)? == Reduction::Replace;
    infer_copy(cx, 2, |cx, data| if replaces { targets(&**cx, data).ok() } else { None });
    check(&**cx)
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    check(cx)?;
    let targets = targets(cx, cx.tensor(0)?.dims())?;
    Ok(vec![write(cx.tensor(0)?, cx.tensor(2)?, &targets, Reduction::of(cx)?)?.into()])
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let (Some(data), Some(indices)) = (cx.shape(0), cx.shape(1)) else {
        return Err("the ranks are not known".to_owned());
    };
    let axis = axis(cx, data.rank()).map_err(|_| "the axis is not known")?;
    let row = Letters::default().row(data.rank());
    let pairs = row.iter().zip(data.iter().zip(indices.iter())).enumerate();
    // Along the axis, and where there are fewer indices than entries, what is written depends on places.
    let joint = pairs.map(|(at, (letter, (a, b)))| if at == axis { "_".to_owned() } else { shared(letter, a, b) });
    let joint: Vec<_> = joint.collect();
    Ok(relation(&[Some(joint.clone()), Some(joint.clone()), Some(joint.clone())], &[Some(joint)], ""))
}

#[cfg(test)]
mod tests {
    use crate::testing::{OneNode, op};

    fn scatter(indices: &[i64], updates: &[i64]) -> OneNode {
        let node = op("ScatterElements").int64s(&[1, 5], &[1, 2, 3, 4, 5]).int64s(&[1, indices.len()], indices);
        node.int64s(&[1, updates.len()], updates).int("axis", 1)
    }

    #[test]
    fn updates_replace_or_are_combined() {
        assert_eq!(scatter(&[1, -2], &[11, 21]).i64s(), [1, 11, 3, 21, 5]);
        assert_eq!(scatter(&[1, 1], &[11, 21]).string("reduction", "add").i64s(), [1, 34, 3, 4, 5]);
        assert_eq!(scatter(&[1, 1], &[11, 21]).string("reduction", "max").i64s(), [1, 21, 3, 4, 5]);
        assert_eq!(scatter(&[5], &[0]).fault(), "index 5 is outside of an axis of extent 5");
        assert_eq!(scatter(&[1, 2], &[0]).fault(), "axis 1: found extent 1, expected 2");
    }

    #[test]
    fn the_old_name_means_the_same() {
        let old = op("Scatter").version(10).int64s(&[2, 1], &[1, 2]).int64s(&[1, 1], &[1]).int64s(&[1, 1], &[9]);
        assert_eq!(old.i64s(), [1, 9]);
        assert_eq!(old.infer(), "int64[2,1] = {1, 9}");
    }

    #[test]
    fn the_result_is_shaped_as_the_data() {
        let node = op("ScatterElements").input("float[N,5]").input("int64[N,2]").input("float[N,2]").int("axis", 1);
        assert_eq!(node.infer(), "float[N,5]");
        assert_eq!(node.axes(), "a _, a _, a _ -> a _");
        let bad = op("ScatterElements").input("float[3,5]").input("int64[3,2]").input("float[3,3]");
        assert_eq!(bad.infer(), "invalid: axis 1: found extent 3, expected 2");
    }
}
