//! `Unsqueeze`: puts in axes of extent 1; the axes named are those of the result.
//!
//! Source: ONNX operator specification, `Unsqueeze`, opsets 1 to 25 (from 13 on the axes are an operand; from 11 on, in
//! practice always, they may count from the back).

use onnxpress_ir::{Dim, Shape};

use crate::axes::Axes;
use crate::gradient::Gradient;
use crate::infer::{MAX_ELEMENTS, Undecided};
use crate::letters::{Letters, and_parameters, relation};
use crate::movement::{evaluate_regrouped, infer_regrouped};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::{Parameters, distinct_axes};

pub(crate) static UNSQUEEZE: Operator = Operator {
    domain: "",
    name: "Unsqueeze",
    infer: Infer::With(|cx| infer_regrouped(cx, shape(&**cx))),
    axes: Axes::With(axes),
    evaluate: Evaluate::With(|cx| evaluate_regrouped(cx, &shape(cx)?)),
    linear: Linear::None("only puts axes in"),
    quantize: Quantize::Moves,
    cost: Cost::None("only puts axes in"),
    effects: Effects::Pure,
    gradient: Gradient::With(crate::movement::gradient::regrouped),
};

fn named(p: &dyn Parameters) -> Result<Vec<Dim>, Undecided> {
    let axes = p.named_axes(13)?.ok_or_else(|| Undecided::invalid("no axes are named"))?;
    // No tensor has so many axes.
    if axes.len() > MAX_ELEMENTS { Err(Undecided::Unknown) } else { Ok(axes) }
}

/// The entries of the result, one an axis: 1 for those put in, the operand's in their order for the others.
fn interleaved<T: Clone>(old: &[T], new: &[usize], one: T) -> Vec<T> {
    let mut old = old.iter();
    (0..old.len() + new.len())
        .filter_map(|axis| if new.contains(&axis) { Some(one.clone()) } else { old.next().cloned() })
        .collect()
}

fn shape(p: &dyn Parameters) -> Result<Shape, Undecided> {
    let data = p.extents(0)?;
    let axes = named(p)?;
    let rank = data.rank() + axes.len();
    match distinct_axes(&axes, rank) {
        Err(Undecided::Unknown) => Ok(Shape::of_unknown_extents(rank)),
        new => Ok(Shape::from(interleaved(&data, &new?, Dim::from(1)))),
    }
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let rank = cx.rank(0).ok_or("the rank is not known")?;
    let named = named(cx).map_err(|_| "the axes are not known")?;
    let new = distinct_axes(&named, rank + named.len()).map_err(|_| "the axes are not known")?;
    let row = Letters::default().row(rank);
    let to = interleaved(&row, &new, "1".to_owned());
    Ok(relation(&and_parameters(row, cx.operand_count()), &[Some(to)], ""))
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn axes_are_those_of_the_result() {
        assert_eq!(op("Unsqueeze").input("float[N,3]").int64s(&[2], &[0, -1]).infer(), "float[1,N,3,1]");
        assert_eq!(op("Unsqueeze").version(9).input("float[]").ints("axes", &[0]).infer(), "float[1]");
        assert_eq!(op("Unsqueeze").input("float[N]").input("int64[1]").infer(), "float[?,?]");
    }

    #[test]
    fn a_size_becomes_an_entry_of_a_shape() {
        assert_eq!(op("Unsqueeze").elements("int64[]", "N").int64s(&[1], &[0]).infer(), "int64[1] = {N}");
    }

    #[test]
    fn an_axis_named_twice_or_not_there_is_refused() {
        let twice = op("Unsqueeze").input("float[3]").int64s(&[2], &[0, -3]).infer();
        assert_eq!(twice, "invalid: axis 0 is named twice");
        let beyond = op("Unsqueeze").input("float[3]").int64s(&[1], &[2]).infer();
        assert_eq!(beyond, "invalid: axis 2 of a tensor of rank 2");
    }

    #[test]
    fn the_other_axes_keep_their_letters() {
        assert_eq!(op("Unsqueeze").input("float[N,3]").int64s(&[1], &[1]).axes(), "a b, * -> a 1 b");
    }
}
