//! `Clip`: elements cut off at a smallest and a largest number.
//!
//! Operands input `[s..]`, optionally min and max, one number each; output `[s..]` of the same type. Where min is above max,
//! everything becomes max. Before opset 11 the bounds were attributes; whole numbers are allowed from 12 on.
//!
//! Source: ONNX operator specification, `Clip`, opsets 1 to 13.

use onnxpress_ir::{DType, Dim, Tensor};

use crate::axes::Axes;
use crate::elementwise::pointwise;
use crate::evaluate::elementwise::{map_floats, unary};
use crate::evaluate::whole::to_wholes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{self, InferCx, Undecided};
use crate::operator::{Infer, Operator, Quantize};

pub(crate) static CLIP: Operator = Operator {
    infer: Infer::With(infer),
    axes: Axes::Spec("s.., *, * -> s.."),
    ..pointwise("Clip", Quantize::Elementwise, Gradient::With(super::gradient::clip), evaluate)
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    infer::same_as_first(cx)?;
    if cx.version < 11 {
        return Ok(());
    }
    let mut bounds = Vec::new();
    for (index, name) in [(1, "min"), (2, "max")] {
        if cx.shape(index).is_some_and(|shape| shape.size().equals(&Dim::from(1)) == Some(false)) {
            return Err(Undecided::invalid(format!("`{name}` is no single number")));
        }
        bounds.push(match (cx.has(index), infer::tracked(cx, index).as_deref()) {
            (false, _) => None,
            (true, Some([bound])) => Some(bound.clone()),
            _ => Some(Dim::unknown()),
        });
    }
    let [low, high] = bounds.as_slice() else { return Ok(()) };
    infer::elements_of_each(cx, cx.dtype(0), |x| {
        let raised = low.as_ref().map_or_else(|| x.clone(), |low| x.max(low));
        high.as_ref().map_or_else(|| raised.clone(), |high| raised.min(high))
    });
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    if cx.version < 11 {
        let low = f64::from(cx.attrs().float_or("min", f32::MIN)?);
        let high = f64::from(cx.attrs().float_or("max", f32::MAX)?);
        return Ok(vec![map_floats(x, |x| cut_off(x, Some(low), Some(high)))?.into()]);
    }
    let (low, high) = (bound(cx, 1, x.dtype())?, bound(cx, 2, x.dtype())?);
    if x.dtype().is_float() {
        let number = |bound: Option<&Tensor>| bound.map(|bound| Ok::<_, EvalError>(bound.to_f64s()?[0])).transpose();
        let (low, high) = (number(low)?, number(high)?);
        return Ok(vec![map_floats(x, |x| cut_off(x, low, high))?.into()]);
    }
    let number = |bound: Option<&Tensor>| bound.map(|bound| Ok::<_, EvalError>(to_wholes(bound)?[0])).transpose();
    let (low, high) = (number(low)?, number(high)?);
    unary(cx, |x| cut_off(x, low, high), |x| x)
}

/// Operand `index`, one number of the type of the input.
fn bound<'a>(cx: &EvalCx<'a>, index: usize, dtype: DType) -> Result<Option<&'a Tensor>, EvalError> {
    match cx.optional_tensor(index)? {
        Some(bound) if bound.len() != 1 => {
            Err(EvalError::invalid(format!("operand {index} has {} elements, not 1", bound.len())))
        }
        Some(bound) if bound.dtype() != dtype => {
            Err(EvalError::invalid(format!("operand {index} is of {}, not of {dtype}", bound.dtype())))
        }
        other => Ok(other),
    }
}

/// `min(high, max(low, x))`; a NaN passes, as it does in runtimes.
fn cut_off<T: PartialOrd>(x: T, low: Option<T>, high: Option<T>) -> T {
    let raised = match low {
        Some(low) if x < low => low,
        _ => x,
    };
    match high {
        Some(high) if raised > high => high,
        _ => raised,
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn bounds_are_attributes_before_opset_11_and_operands_since() {
        let old = op("Clip").version(6).float("min", 0.0).floats(&[3], &[-1.0, 5.0, f32::NAN]).f32s();
        assert!(old[..2] == [0.0, 5.0] && old[2].is_nan());
        let new = op("Clip").floats(&[3], &[-1.0, 5.0, 0.5]).omitted().floats(&[], &[1.0]);
        assert_eq!(new.f32s(), [-1.0, 1.0, 0.5]);
        let crossed = op("Clip").int64s(&[2], &[0, 9]).int64s(&[], &[6]).int64s(&[], &[2]);
        assert_eq!(crossed.i64s(), [2, 2], "max wins");
    }

    #[test]
    fn sizes_are_cut_off() {
        let sizes = op("Clip").elements("int64[2]", "N 7").int64s(&[], &[1]).int64s(&[], &[5]);
        assert_eq!(sizes.infer(), "int64[2] = {min(max(N, 1), 5), 5}");
        let unknown = op("Clip").elements("int64[1]", "7").input("int64[]");
        assert_eq!(unknown.infer(), "int64[1]");
        let many = op("Clip").input("float[N]").input("float[2]");
        assert_eq!(many.infer(), "invalid: `min` is no single number");
    }
}
