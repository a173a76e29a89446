//! `Pad`: puts elements before and behind those there are, along each axis; a negative number of them takes elements away.
//!
//! What is put in is a constant, or what is there continued: mirrored without the outermost (`reflect`), the outermost
//! repeated (`edge`), or all of it repeated (`wrap`, from version 19 on).
//!
//! Source: ONNX operator specification, `Pad`, opsets 2 to 25 (before 11 numbers and constant were attributes; from 18 on
//! the numbers may be given for some axes only; opset 1 called the attribute `paddings`).

use onnxpress_ir::{DType, Dim, Shape, Tensor};

use super::Moves;
use crate::axes::Axes;
use crate::evaluate::pick::zero;
use crate::evaluate::walk::{Walk, strides};
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::letters::{Letters, and_parameters, relation, sized};
use crate::node::{Attrs, NodeCx};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::{Parameters, distinct_axes};

const MOVES: Moves = Moves { shape, walk };

pub(crate) static PAD: Operator = Operator {
    domain: "",
    name: "Pad",
    infer: Infer::With(infer),
    axes: Axes::With(axes),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("only puts elements around others"),
    quantize: Quantize::Moves,
    cost: Cost::None("only puts elements around others"),
    effects: Effects::Pure,
    gradient: Gradient::With(super::gradient::pad),
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Constant,
    Reflect,
    Edge,
    Wrap,
}

impl Mode {
    fn of(attrs: &Attrs<'_>) -> Result<Self, Undecided> {
        match attrs.string_or("mode", "constant".into())?.as_ref() {
            "constant" => Ok(Self::Constant),
            "reflect" => Ok(Self::Reflect),
            "edge" => Ok(Self::Edge),
            "wrap" => Ok(Self::Wrap),
            other => Err(Undecided::invalid(format!("`mode` is `{other}`"))),
        }
    }
}

/// How many elements come before and behind along each axis.
fn amounts(p: &dyn Parameters, rank: usize) -> Result<Vec<(Dim, Dim)>, Undecided> {
    let (list, axes) = match p.version() {
        ..11 => {
            let name = if p.version() < 2 { "paddings" } else { "pads" };
            let list = p.attrs().ints(name)?.ok_or_else(|| Undecided::invalid(format!("`{name}` is missing")))?;
            (Ok(Some(list.into_iter().map(Dim::from).collect())), None)
        }
        11..18 => (p.entries(1), None),
        18.. => (p.entries(1), p.entries(3)?),
    };
    let axes = axes.map_or_else(|| Ok((0..rank).collect()), |axes| distinct_axes(&axes, rank))?;
    let list = match list {
        Err(Undecided::Unknown) => vec![Dim::unknown(); 2 * axes.len()],
        list => list?.ok_or_else(|| Undecided::invalid("operand 1 is missing"))?,
    };
    if list.len() != 2 * axes.len() {
        return Err(Undecided::invalid(format!("{} numbers to pad {} axes", list.len(), axes.len())));
    }
    let (before, behind) = list.split_at(axes.len());
    let mut amounts = vec![(Dim::from(0), Dim::from(0)); rank];
    for ((axis, before), behind) in axes.into_iter().zip(before).zip(behind) {
        amounts[axis] = (before.clone(), behind.clone());
    }
    Ok(amounts)
}

fn shape(p: &dyn Parameters) -> Result<Shape, Undecided> {
    let data = p.extents(0)?;
    let amounts = match amounts(p, data.rank()) {
        Err(Undecided::Unknown) => return Ok(Shape::of_unknown_extents(data.rank())),
        amounts => amounts?,
    };
    let padded: Shape = data.iter().zip(&amounts).map(|(extent, (before, behind))| extent + before + behind).collect();
    if padded.iter().any(|extent| extent.is_non_negative() == Some(false)) {
        return Err(Undecided::invalid(format!("pads that make {padded} of {data}")));
    }
    Ok(padded)
}

/// Where an index of the result stands along an axis, counted in what is kept of it; `None`: in the padding.
fn source(mode: Mode, index: i128, kept: i128) -> Option<i128> {
    if (0..kept).contains(&index) {
        return Some(index);
    }
    match mode {
        _ if kept <= 0 => None,
        Mode::Constant => None,
        Mode::Edge => Some(index.clamp(0, kept - 1)),
        Mode::Wrap => Some(index.rem_euclid(kept)),
        Mode::Reflect if kept == 1 => Some(0),
        Mode::Reflect => {
            let period = 2 * (kept - 1);
            let place = index.rem_euclid(period);
            Some(place.min(period - place))
        }
    }
}

fn walk(p: &dyn Parameters, from: &[usize], to: &[usize]) -> Result<Walk, Undecided> {
    let mode = Mode::of(&p.attrs())?;
    let strides = strides(from);
    // By axis: where what is kept begins, how many indices that are, and how many come before it in the result.
    let mut ways = Vec::with_capacity(from.len());
    for ((before, behind), &extent) in amounts(p, from.len())?.iter().zip(from) {
        let amount = |dim: &Dim| dim.as_const().map(i128::from).ok_or(Undecided::Unknown);
        let (before, behind) = (amount(before)?, amount(behind)?);
        let begin = (-before).max(0);
        let kept = extent as i128 - begin - (-behind).max(0);
        if kept <= 0 && mode != Mode::Constant && (before > 0 || behind > 0) {
            return Err(Undecided::invalid("an axis without elements to continue"));
        }
        ways.push((begin, kept, before.max(0)));
    }
    Ok(Walk::new(to, |axis, index| {
        let (begin, kept, before) = ways[axis];
        let place = source(mode, index as i128 - before, kept)?;
        usize::try_from(begin + place).ok()?.checked_mul(strides[axis])
    }))
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let fill =
        if cx.version < 11 || !cx.has(2) { Dim::from(0) } else { cx.sole_entry(2).ok().flatten().unwrap_or_default() };
    MOVES.infer_with(cx, &fill)
}

/// The constant that is put in.
fn fill(cx: &EvalCx<'_>, dtype: DType) -> Result<Tensor, EvalError> {
    if cx.version < 11 {
        let value = f64::from(cx.attrs().float_or("value", 0.0)?);
        return if value == 0.0 { Ok(zero(dtype)) } else { Ok(Tensor::from_f64s(dtype, &[], &[value])?) };
    }
    match cx.optional_tensor(2)? {
        None => Ok(zero(dtype)),
        Some(fill) if fill.len() == 1 => Ok(fill.clone()),
        Some(fill) => Err(EvalError::invalid(format!("a constant of {} elements", fill.len()))),
    }
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let fill = fill(cx, cx.tensor(0)?.dtype())?;
    Ok(vec![MOVES.evaluate_with(cx, &fill)?.into()])
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let data = cx.shape(0).ok_or("the rank is not known")?;
    let amounts = amounts(cx, data.rank()).map_err(|_| "the pads are not known")?;
    let mode = Mode::of(&cx.attrs()).map_err(|_| "the mode is not known")?;
    let mut letters = Letters::default();
    let (mut from, mut to) = (Vec::new(), Vec::new());
    for (extent, (before, behind)) in data.iter().zip(&amounts) {
        let (whole, padded) = match (before.as_const(), behind.as_const()) {
            (Some(0), Some(0)) => {
                let letter = letters.fresh();
                (letter.clone(), letter)
            }
            (Some(before), Some(behind)) if mode == Mode::Constant => segments(extent, before, behind, &mut letters),
            _ => ("_".to_owned(), "_".to_owned()),
        };
        from.push(whole);
        to.push(padded);
    }
    Ok(relation(&and_parameters(from, cx.operand_count()), &[Some(to)], "pads"))
}

/// An axis before and after: what is kept has one letter, what is put in and what is taken away have letters of their own.
fn segments(extent: &Dim, before: i64, behind: i64, letters: &mut Letters) -> (String, String) {
    let kept = letters.fresh();
    let cut = |amount: i64| Dim::from(amount.saturating_neg().max(0));
    let text = sized(&kept, &(extent - cut(before) - cut(behind)));
    let (mut from, mut to) = (vec![text.clone()], vec![text]);
    for (amount, in_front) in [(before, true), (behind, false)] {
        let side = match amount {
            0 => continue,
            ..0 => &mut from,
            1.. => &mut to,
        };
        let segment = sized(&letters.fresh(), &Dim::from(amount.saturating_abs()));
        side.insert(if in_front { 0 } else { side.len() }, segment);
    }
    (from.join("+"), to.join("+"))
}

#[cfg(test)]
mod tests {
    use onnxpress_ir::Tensor;

    use crate::testing::{OneNode, op};

    fn padded(data: &[i64], pads: [i64; 2], mode: &'static str) -> OneNode {
        op("Pad").int64s(&[data.len()], data).int64s(&[2], &pads).string("mode", mode)
    }

    #[test]
    fn elements_are_put_around_by_the_mode() {
        assert_eq!(padded(&[1, 2, 3], [1, 2], "constant").i64s(), [0, 1, 2, 3, 0, 0]);
        assert_eq!(padded(&[1, 2, 3], [2, 5], "reflect").i64s(), [3, 2, 1, 2, 3, 2, 1, 2, 3, 2]);
        assert_eq!(padded(&[1, 2, 3], [1, 2], "edge").i64s(), [1, 1, 2, 3, 3, 3]);
        assert_eq!(padded(&[1, 2, 3], [1, 4], "wrap").i64s(), [3, 1, 2, 3, 1, 2, 3, 1]);
        assert_eq!(padded(&[1], [1, 1], "reflect").i64s(), [1, 1, 1]);
        assert_eq!(padded(&[], [1, 0], "edge").fault(), "an axis without elements to continue");
    }

    #[test]
    fn negative_numbers_take_elements_away() {
        assert_eq!(padded(&[1, 2, 3], [-1, 1], "constant").i64s(), [2, 3, 0]);
        assert_eq!(padded(&[1, 2, 3], [-1, 1], "edge").i64s(), [2, 3, 3]);
        assert_eq!(padded(&[1, 2, 3], [-2, -2], "constant").infer(), "invalid: pads that make [-1] of [3]");
        assert_eq!(padded(&[1, 2, 3], [i64::MIN, i64::MAX], "constant").i64s(), [0, 0], "nothing is kept");
        assert!(padded(&[1, 2, 3], [i64::MAX, 0], "constant").evaluate().is_err());
    }

    #[test]
    fn the_numbers_may_be_of_some_axes_only() {
        let some = op("Pad").input("float[N,3,h,w]").int64s(&[4], &[1, 2, 3, 4]).omitted().int64s(&[2], &[-2, -1]);
        assert_eq!(some.infer(), "float[N,3,h + 4,w + 6]");
        let old = op("Pad").version(10).input("float[N,3]").ints("pads", &[0, 1, 0, 1]);
        assert_eq!(old.infer(), "float[N,5]");
        let symbolic = op("Pad").input("float[N,3]").elements("int64[4]", "0 0 0 h");
        assert_eq!(symbolic.infer(), "float[N,h + 3]");
        let open = op("Pad").input("float[N,3]").input("int64[2]").omitted().int64s(&[1], &[1]);
        assert_eq!(open.infer(), "float[N,?]");
        assert_eq!(op("Pad").input("float[N]").int64s(&[1], &[1]).infer(), "invalid: 1 numbers to pad 1 axes");
    }

    #[test]
    fn tracked_elements_are_padded_with_the_constant() {
        let shape = op("Pad").elements("int64[1]", "N").int64s(&[2], &[1, 0]).constant(Tensor::scalar(7i64));
        assert_eq!(shape.infer(), "int64[2] = {7, N}");
    }

    #[test]
    fn what_is_put_in_is_a_segment_of_its_own() {
        let node = |pads: &[i64]| op("Pad").input("float[N,8]").int64s(&[4], pads);
        assert_eq!(node(&[0, 2, 0, 1]).axes(), "a b:8, * -> a c:2+b:8+d:1; pads");
        assert_eq!(node(&[0, -2, 0, 1]).axes(), "a c:2+b:6, * -> a b:6+d:1; pads");
        assert_eq!(node(&[0, 1, 0, 0]).string("mode", "edge").axes(), "a _, * -> a _; pads");
    }
}
