//! `CenterCropPad`: brings axes to given extents by cutting or padding with 0 on both sides alike; the odd one is cut in front
//! by rounding down, and padded behind.
//!
//! Source: ONNX operator specification, `CenterCropPad`, opset 18.

use onnxpress_ir::{Dim, Shape};

use super::Moves;
use crate::axes::Axes;
use crate::evaluate::walk::{Walk, strides};
use crate::gradient::Gradient;
use crate::infer::Undecided;
use crate::letters::{Letters, and_parameters, relation, sized};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::{Parameters, distinct_axes};

const MOVES: Moves = Moves { shape, walk };

pub(crate) static CENTER_CROP_PAD: Operator = Operator {
    domain: "",
    name: "CenterCropPad",
    infer: Infer::With(|cx| MOVES.infer(cx)),
    axes: Axes::With(axes),
    evaluate: Evaluate::With(|cx| MOVES.evaluate(cx)),
    linear: Linear::None("only cuts and pads"),
    quantize: Quantize::Moves,
    cost: Cost::None("only cuts and pads"),
    effects: Effects::Pure,
    gradient: Gradient::NotPossible("Pad and Slice have one"),
};

/// The extent that each axis is brought to; `None` where it stays as it is.
fn wanted(p: &dyn Parameters, rank: usize) -> Result<Vec<Option<Dim>>, Undecided> {
    let axes = match p.attrs().ints("axes")? {
        None => (0..rank).collect(),
        Some(axes) => distinct_axes(&axes.into_iter().map(Dim::from).collect::<Vec<_>>(), rank)?,
    };
    let extents = match p.entries(1) {
        Err(Undecided::Unknown) => vec![Dim::unknown(); axes.len()],
        extents => extents?.ok_or_else(|| Undecided::invalid("operand 1 is missing"))?,
    };
    if extents.len() != axes.len() || extents.iter().any(|extent| extent.is_non_negative() == Some(false)) {
        return Err(Undecided::invalid(format!("extents {} for {} axes", Shape::from(extents), axes.len())));
    }
    let mut wanted = vec![None; rank];
    for (axis, extent) in axes.into_iter().zip(extents) {
        wanted[axis] = Some(extent);
    }
    Ok(wanted)
}

fn shape(p: &dyn Parameters) -> Result<Shape, Undecided> {
    let data = p.extents(0)?;
    Ok(data.iter().zip(wanted(p, data.rank())?).map(|(extent, wanted)| wanted.unwrap_or(extent.clone())).collect())
}

fn walk(_: &dyn Parameters, from: &[usize], to: &[usize]) -> Result<Walk, Undecided> {
    let strides = strides(from);
    Ok(Walk::new(to, |axis, index| {
        let (old, new) = (from[axis], to[axis]);
        let place = if old > new { index + (old - new) / 2 } else { index.checked_sub((new - old) / 2)? };
        if place < old { place.checked_mul(strides[axis]) } else { None }
    }))
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let data = cx.shape(0).ok_or("the rank is not known")?;
    let wanted = wanted(cx, data.rank()).map_err(|_| "the extents are not known")?;
    let mut letters = Letters::default();
    let (mut from, mut to) = (Vec::new(), Vec::new());
    for (old, new) in data.iter().zip(wanted) {
        let letter = letters.fresh();
        let new = new.unwrap_or_else(|| old.clone());
        let (before, after) = match (old.as_const(), new.as_const()) {
            _ if old.equals(&new) == Some(true) => (letter.clone(), letter),
            (Some(old), Some(new)) if old > new => (around(&letter, new, old, (old - new) / 2, &mut letters), letter),
            (Some(old), Some(new)) => (letter.clone(), around(&letter, old, new, (new - old) / 2, &mut letters)),
            _ => ("_".to_owned(), "_".to_owned()),
        };
        from.push(before);
        to.push(after);
    }
    Ok(relation(&and_parameters(from, cx.operand_count()), &[Some(to)], ""))
}

/// The larger axis in segments: the smaller one's letter between letters of its own.
fn around(letter: &str, small: i64, large: i64, front: i64, letters: &mut Letters) -> String {
    let mut segments = Vec::new();
    let mut push = |letter: &str, extent: i64| {
        if extent > 0 {
            segments.push(sized(letter, &Dim::from(extent)));
        }
    };
    push(&letters.fresh(), front);
    push(letter, small);
    push(&letters.fresh(), large - small - front);
    segments.join("+")
}

#[cfg(test)]
mod tests {
    use crate::testing::{OneNode, op};

    fn brought_to(data: &[i64], extent: i64) -> OneNode {
        op("CenterCropPad").int64s(&[data.len()], data).int64s(&[1], &[extent])
    }

    #[test]
    fn both_sides_lose_or_gain_alike() {
        assert_eq!(brought_to(&[1, 2, 3, 4, 5], 2).i64s(), [2, 3]);
        assert_eq!(brought_to(&[1, 2, 3, 4], 1).i64s(), [2]);
        assert_eq!(brought_to(&[1, 2], 5).i64s(), [0, 1, 2, 0, 0]);
        assert!(brought_to(&[1, 2], -1).evaluate().is_err());
        assert!(brought_to(&[1, 2], i64::MAX).evaluate().is_err());
    }

    #[test]
    fn axes_that_are_not_named_stay() {
        let node = op("CenterCropPad").input("float[N,3,h,w]").elements("int64[2]", "8 s").ints("axes", &[-2, -1]);
        assert_eq!(node.infer(), "float[N,3,8,s]");
        let node = op("CenterCropPad").input("float[N,9]").int64s(&[1], &[4]).ints("axes", &[1]);
        assert_eq!(node.axes(), "a c:2+b:4+d:3, * -> a b");
        let node = op("CenterCropPad").input("float[N,4]").int64s(&[1], &[5]).ints("axes", &[1]);
        assert_eq!(node.axes(), "a b, * -> a b:4+d:1");
        assert!(op("CenterCropPad").input("float[N,4]").int64s(&[1], &[5]).infer().starts_with("invalid"));
    }
}
