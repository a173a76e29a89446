//! `Range`: the numbers from `start` to before `limit`, `delta` apart.
//!
//! There are `max(ceil((limit - start) / delta), 0)` of them, the i-th is `start + i * delta`. Floats of 16 bits are computed in
//! 32, as `stash_type` says by default.
//!
//! Source: ONNX operator specification, `Range`, opsets 11 to 27 (16-bit floats from 27 on).

use onnxpress_ir::{DType, Dim, Shape, Tensor};

use crate::axes::Axes;
use crate::evaluate::whole::{from_wholes, to_wholes};
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, MAX_ELEMENTS, Undecided, keep_elements, tracked};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static RANGE: Operator = Operator {
    domain: "",
    name: "Range",
    infer: Infer::With(infer),
    axes: Axes::Spec("*, *, * -> _"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("makes elements out of nothing"),
    quantize: Quantize::KeepsFloat("makes elements out of nothing"),
    cost: Cost::None("makes elements out of nothing"),
    effects: Effects::Pure,
    gradient: Gradient::Zero("it counts"),
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let dtype = (0..3).find_map(|index| cx.dtype(index));
    cx.set_tensor(0, dtype, Shape::of_unknown_extents(1));
    if let Some([start, limit, delta]) = symbols(cx) {
        if delta.as_const() == Some(0) {
            return Err(Undecided::invalid("a range with `delta` 0"));
        }
        let count = (&limit - &start).ceil_div(&delta).max(0);
        cx.set_tensor(0, dtype, Shape::from(vec![count.clone()]));
        if let Some(count) = count.as_const().filter(|&count| count <= MAX_ELEMENTS as i64) {
            keep_elements(cx, dtype, (0..count).map(|index| &start + &delta * index).collect());
        }
        return Ok(());
    }
    let [Some(start), Some(limit), Some(delta)] = [0, 1, 2].map(|index| cx.constant(index)) else { return Ok(()) };
    if let Ok(count) = float_count(dtype.unwrap_or(DType::Float), sole(start)?, sole(limit)?, sole(delta)?) {
        cx.set_tensor(0, dtype, Shape::from(vec![Dim::from_extent(count)]));
    }
    Ok(())
}

/// Start, limit and delta, where all are whole numbers that are tracked.
fn symbols(cx: &InferCx<'_>) -> Option<[Dim; 3]> {
    let one = |index| match tracked(cx, index).as_deref() {
        Some([one]) if !one.is_unknown() => Some(one.clone()),
        _ => None,
    };
    Some([one(0)?, one(1)?, one(2)?])
}

fn sole(tensor: &Tensor) -> Result<f64, Undecided> {
    match tensor.to_f64s()?.as_slice() {
        [one] => Ok(*one),
        many => Err(Undecided::invalid(format!("a range between {} numbers", many.len()))),
    }
}

/// The number of elements of a range of floats. The difference is rounded as runtimes round it.
fn float_count(dtype: DType, start: f64, limit: f64, delta: f64) -> Result<usize, EvalError> {
    let difference = if dtype == DType::Double { limit - start } else { f64::from((limit - start) as f32) };
    let count = (difference / delta).ceil();
    if delta == 0.0 || !count.is_finite() {
        return Err(EvalError::invalid(format!("a range from {start} to {limit} by {delta}")));
    }
    // What is beyond the largest whole number is beyond memory, too.
    Ok(count.max(0.0) as usize)
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let operands = [cx.tensor(0)?, cx.tensor(1)?, cx.tensor(2)?];
    let dtype = operands[0].dtype();
    if operands.iter().any(|operand| operand.len() != 1 || operand.dtype() != dtype) {
        return Err(EvalError::invalid("a range needs three numbers of one type"));
    }
    if dtype.is_float() {
        let [start, limit, delta] = [sole(operands[0])?, sole(operands[1])?, sole(operands[2])?];
        let count = cx.room_for(&[float_count(dtype, start, limit, delta)?])?;
        let values: Vec<f64> = (0..count).map(|index| start + index as f64 * delta).collect();
        return Ok(vec![Tensor::from_f64s(dtype, &[count], &values)?.into()]);
    }
    let whole = |tensor: &Tensor| Ok::<_, EvalError>(to_wholes(tensor)?.first().copied().unwrap_or_default());
    let [start, limit, delta] = [whole(operands[0])?, whole(operands[1])?, whole(operands[2])?];
    if delta == 0 {
        return Err(EvalError::invalid("a range with `delta` 0"));
    }
    let (gap, step) = if delta > 0 { (limit - start, delta) } else { (start - limit, -delta) };
    let count = (gap + step - 1).div_euclid(step).max(0);
    let count = cx.room_for(&[usize::try_from(count).unwrap_or(usize::MAX)])?;
    let values: Vec<i128> = (0..count).map(|index| start + index as i128 * delta).collect();
    Ok(vec![from_wholes(dtype, &[count], &values)?.into()])
}

#[cfg(test)]
mod tests {
    use onnxpress_ir::Tensor;

    use crate::testing::{OneNode, op};

    fn range(start: i64, limit: i64, delta: i64) -> OneNode {
        let scalar = Tensor::scalar::<i64>;
        op("Range").constant(scalar(start)).constant(scalar(limit)).constant(scalar(delta))
    }

    #[test]
    fn the_limit_is_not_reached() {
        for (start, limit, delta) in [(3, 9, 3), (3, 10, 3), (3, 8, 3), (10, 4, -2), (10, 5, -2), (1, 1, 1), (5, 1, 1)]
        {
            let mut expected = Vec::new();
            let mut value = start;
            while if delta > 0 { value < limit } else { value > limit } {
                expected.push(value);
                value += delta;
            }
            let node = range(start, limit, delta);
            assert_eq!(node.i64s(), expected, "{start} {limit} {delta}");
            let elements = expected.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
            assert_eq!(node.infer(), format!("int64[{}] = {{{elements}}}", expected.len()));
        }
        assert_eq!(range(0, 5, 0).fault(), "a range with `delta` 0");
        assert!(range(i64::MIN, i64::MAX, 1).evaluate().is_err());
        assert!(range(i64::MAX, i64::MIN, -1).evaluate().is_err());
    }

    #[test]
    fn floats_are_counted_as_runtimes_do() {
        let scalar = Tensor::scalar::<f32>;
        let node = op("Range").constant(scalar(1.0)).constant(scalar(2.0)).constant(scalar(0.3));
        assert_eq!(node.infer(), "float[4]");
        assert_eq!(node.f32s().len(), 4);
        let node = op("Range").constant(scalar(1.0)).constant(scalar(f32::NAN)).constant(scalar(1.0));
        assert!(node.evaluate().is_err());
        assert_eq!(node.infer(), "float[?]");
    }

    #[test]
    fn a_symbolic_limit_is_the_extent() {
        let to = |limit: &str| {
            op("Range").constant(Tensor::scalar(0i64)).elements("int64[]", limit).constant(Tensor::scalar(1i64)).infer()
        };
        assert_eq!(to("N"), "int64[N]");
        assert_eq!(to("?"), "int64[?]");
        assert_eq!(op("Range").input("int32[]").input("int32[]").input("int32[]").infer(), "int32[?]");
    }
}
