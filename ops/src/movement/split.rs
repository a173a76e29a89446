//! `Split`: cuts a tensor along an axis into parts of given extents, or equal ones.
//!
//! The extents are an attribute before version 13, then an operand. Without them the parts are equal; from version 18 on the
//! last may be smaller.
//!
//! Source: ONNX operator specification, `Split`, opsets 2 to 18 (in opset 1 they were both, an attribute and an operand).

use onnxpress_ir::{Dim, Shape};

use super::tracked_extents;
use crate::axes::Axes;
use crate::evaluate::pieces::slice;
use crate::evaluate::walk::slice_places;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided, tracked};
use crate::letters::{Letters, and_parameters, relation, sized, with_axis};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::{Parameters, axis_of};

pub(crate) static SPLIT: Operator = Operator {
    domain: "",
    name: "Split",
    infer: Infer::With(infer),
    axes: Axes::With(axes),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("only takes a tensor apart"),
    quantize: Quantize::Moves,
    cost: Cost::None("only takes a tensor apart"),
    effects: Effects::Pure,
    gradient: Gradient::With(super::gradient::split),
};

fn axis(p: &dyn Parameters, rank: usize) -> Result<usize, Undecided> {
    axis_of(p.attrs().int_or("axis", 0)?, rank)
}

/// The extents of the parts of an axis of extent `whole`.
fn parts(p: &dyn Parameters, whole: &Dim) -> Result<Vec<Dim>, Undecided> {
    let count = p.output_count();
    let given = if p.version() < 13 {
        p.attrs().ints("split")?.map(|parts| parts.into_iter().map(Dim::from).collect())
    } else {
        match p.entries(1) {
            Err(Undecided::Unknown) => return Ok(vec![Dim::unknown(); count]),
            given => given?,
        }
    };
    match given {
        Some(given) => check(given, count, whole),
        None => equal(p, count, whole),
    }
}

/// The parts as the node gives them. One that is not known is what the others leave.
fn check(mut parts: Vec<Dim>, count: usize, whole: &Dim) -> Result<Vec<Dim>, Undecided> {
    if parts.len() != count {
        return Err(Undecided::invalid(format!("{} extents for {count} outputs", parts.len())));
    }
    let mut open = parts.iter().enumerate().filter(|(_, part)| part.is_unknown()).map(|(index, _)| index);
    if let (Some(index), None) = (open.next(), open.next()) {
        let others = parts.iter().enumerate().filter(|&(other, _)| other != index).map(|(_, part)| part);
        parts[index] = whole - Dim::sum(others);
    }
    let negative = parts.iter().any(|part| part.is_non_negative() == Some(false));
    if negative || Dim::sum(&parts).equals(whole) == Some(false) {
        return Err(Undecided::invalid(format!("an axis of extent {whole} in parts of {}", Shape::from(parts))));
    }
    Ok(parts)
}

fn equal(p: &dyn Parameters, count: usize, whole: &Dim) -> Result<Vec<Dim>, Undecided> {
    let number = match p.attrs().int("num_outputs")? {
        Some(number) if usize::try_from(number) != Ok(count) => {
            return Err(Undecided::invalid(format!("`num_outputs` is {number}, but the node has {count} outputs")));
        }
        _ => Dim::from_extent(count),
    };
    let uneven = || Undecided::invalid(format!("an axis of extent {whole} in {count} parts"));
    if p.version() < 18 {
        if (whole.floor_div(&number) * &number).equals(whole) == Some(false) {
            return Err(uneven());
        }
        return Ok(vec![whole.floor_div(number); count]);
    }
    let part = whole.ceil_div(&number);
    let last = whole - &part * (number - 1);
    if last.is_non_negative() == Some(false) {
        return Err(uneven());
    }
    let mut parts = vec![part; count];
    if let Some(slot) = parts.last_mut() {
        *slot = last;
    }
    Ok(parts)
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let (dtype, count) = (cx.dtype(0), cx.node.port_count());
    for index in 0..count {
        cx.set_tensor(index, dtype, None);
    }
    let data = cx.known_shape(0)?;
    let axis = axis(&**cx, data.rank())?;
    let mut start = Some(0);
    for (index, part) in parts(&**cx, &data[axis])?.into_iter().enumerate() {
        let mut shape = data.clone();
        shape[axis] = part;
        let elements = start.and_then(|start| elements(cx, data, &shape, axis, start));
        start =
            start.zip(shape[axis].as_const()).and_then(|(start, part)| start.checked_add(usize::try_from(part).ok()?));
        cx.set_tensor(index, dtype, shape);
        if let Some(elements) = elements {
            cx.set_elements(index, elements);
        }
    }
    Ok(())
}

/// The elements of one part, where those of the operand are tracked.
fn elements(cx: &InferCx<'_>, data: &Shape, part: &Shape, axis: usize, start: usize) -> Option<Vec<Dim>> {
    let elements = tracked(cx, 0)?;
    let (from, to) = (tracked_extents(data)?, tracked_extents(part)?);
    slice_places(&from, axis, start, to[axis]).map(|place| elements.get(place).cloned()).collect()
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let data = cx.tensor(0)?;
    let axis = axis(cx, data.rank())?;
    let mut start = 0;
    let mut values = Vec::new();
    for part in parts(cx, &Dim::from_extent(data.dims()[axis]))? {
        let length = part.as_const().and_then(|part| usize::try_from(part).ok());
        let length = length.ok_or_else(|| EvalError::invalid(format!("a part of extent {part}")))?;
        values.push(slice(data, axis, start, length)?.into());
        start += length;
    }
    Ok(values)
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let data = cx.shape(0).ok_or("the rank is not known")?;
    let axis = axis(cx, data.rank()).map_err(|_| "the axis is not known")?;
    let parts = parts(cx, &data[axis]).map_err(|_| "the parts are not known")?;
    let mut letters = Letters::default();
    let row = letters.row(data.rank());
    let (mut outputs, mut segments) = (Vec::new(), Vec::new());
    for part in parts {
        let letter = letters.fresh();
        segments.push(sized(&letter, &part));
        outputs.push(Some(with_axis(&row, axis, letter)));
    }
    let data = with_axis(&row, axis, segments.join("+"));
    Ok(relation(&and_parameters(data, cx.operand_count()), &outputs, "parts"))
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn parts_are_given_or_equal() {
        let given = op("Split").input("float[N,7]").int64s(&[2], &[3, 4]).int("axis", 1).outputs(2);
        assert_eq!(given.infer(), "float[N,3], float[N,4]");
        let old = op("Split").version(11).input("float[2*N]").outputs(2);
        assert_eq!(old.infer(), "float[N], float[N]");
        let uneven = op("Split").input("float[7]").int("num_outputs", 3).outputs(3);
        assert_eq!(uneven.infer(), "float[3], float[3], float[1]");
        assert_eq!(
            op("Split").version(13).input("float[7]").outputs(3).infer(),
            "invalid: an axis of extent 7 in 3 parts"
        );
    }

    #[test]
    fn one_part_that_is_not_known_is_what_the_others_leave() {
        let node = op("Split").input("float[N]").elements("int64[2]", "? 4").outputs(2);
        assert_eq!(node.infer(), "float[N - 4], float[4]");
    }

    #[test]
    fn parts_that_do_not_make_the_whole_are_refused() {
        let parts = |parts: &[i64]| op("Split").input("float[7]").int64s(&[parts.len()], parts).outputs(2).infer();
        assert_eq!(parts(&[3, 3]), "invalid: an axis of extent 7 in parts of [3,3]");
        assert_eq!(parts(&[8, -1]), "invalid: an axis of extent 7 in parts of [8,-1]");
        assert_eq!(parts(&[7]), "invalid: 1 extents for 2 outputs");
        assert!(parts(&[i64::MAX, i64::MAX]).starts_with("float"), "an overflow is no answer");
        let overflow = op("Split").int64s(&[1], &[1]).int64s(&[2], &[i64::MAX, i64::MAX]).outputs(2);
        assert!(overflow.evaluate().is_err());
    }

    #[test]
    fn elements_are_cut_too() {
        let node = op("Split").elements("int64[3]", "N 3 h").int64s(&[2], &[1, 2]).outputs(2);
        assert_eq!(node.infer(), "int64[1] = {N}, int64[2] = {3, h}");
        let matrix = op("Split").int64s(&[2, 3], &[1, 2, 3, 4, 5, 6]).int64s(&[2], &[1, 2]).int("axis", 1).outputs(2);
        let values = matrix.evaluate().map(|values| values[1].as_tensor().and_then(|tensor| Ok(tensor.to_i64s()?)));
        assert_eq!(values, Ok(Ok(vec![2, 3, 5, 6])));
    }

    #[test]
    fn the_axis_is_a_sum_of_segments() {
        let node = op("Split").input("float[N,8]").int64s(&[2], &[3, 5]).int("axis", 1).outputs(2);
        assert_eq!(node.axes(), "a c:3+d:5, * -> a c, a d; parts");
    }
}
