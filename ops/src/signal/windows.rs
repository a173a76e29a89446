//! `HannWindow`, `HammingWindow`, `BlackmanWindow`: sums of cosines that fade a stretch of signal in and out.
//!
//! With `N` for the size, or the size minus one if not `periodic`:
//! `a - b cos(2 pi n / N) + c cos(4 pi n / N)`.
//!
//! Source: ONNX operator specification, `HannWindow`, `HammingWindow`, `BlackmanWindow`, opset 17.

use std::f64::consts::TAU;

use onnxpress_ir::{DType, Dim, Shape, Tensor};

use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::Parameters;

pub(crate) static HANN_WINDOW: Operator = sheet("HannWindow", |cx| window(cx, [0.5, 0.5, 0.0]));
pub(crate) static HAMMING_WINDOW: Operator = sheet("HammingWindow", |cx| window(cx, [25.0 / 46.0, 21.0 / 46.0, 0.0]));
pub(crate) static BLACKMAN_WINDOW: Operator = sheet("BlackmanWindow", |cx| window(cx, [0.42, 0.5, 0.08]));

const fn sheet(name: &'static str, evaluate: fn(&EvalCx<'_>) -> Result<Vec<Value>, EvalError>) -> Operator {
    Operator {
        domain: "",
        name,
        infer: Infer::With(infer),
        axes: Axes::Opaque("the operand is an extent"),
        evaluate: Evaluate::With(evaluate),
        linear: Linear::None("fixed by the size"),
        quantize: Quantize::KeepsFloat("fixed by the size"),
        cost: Cost::None("fixed by the size"),
        effects: Effects::Pure,
        gradient: Gradient::Zero("fixed by the size"),
    }
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let dtype = cx.attrs().dtype("output_datatype")?.unwrap_or(DType::Float);
    let node: &NodeCx<'_> = cx;
    let size: Dim = node.sole_entry(0).ok().flatten().unwrap_or_default();
    if size.is_non_negative() == Some(false) {
        return Err(Undecided::invalid(format!("a window of {size}")));
    }
    cx.set_tensor(0, dtype, Shape::from(vec![size]));
    Ok(())
}

fn window(cx: &EvalCx<'_>, [a, b, c]: [f64; 3]) -> Result<Vec<Value>, EvalError> {
    let dtype = cx.attrs().dtype("output_datatype")?.unwrap_or(DType::Float);
    let size = match cx.ints(0)?.as_deref() {
        Some(&[size]) => usize::try_from(size).ok(),
        _ => None,
    };
    let size = size.ok_or_else(|| EvalError::invalid("the size is not one number of at least 0"))?;
    cx.room_for(&[size])?;
    let period = if cx.attrs().int_or("periodic", 1)? != 0 { size as f64 } else { size as f64 - 1.0 };
    let value = |at: usize| {
        let angle = TAU * at as f64 / period;
        a - b * angle.cos() + c * (2.0 * angle).cos()
    };
    let values: Vec<f64> = (0..size).map(value).collect();
    Ok(vec![Tensor::from_f64s(dtype, &[size], &values)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn a_window_is_as_long_as_its_operand_says() {
        assert_eq!(op("HannWindow").elements("int64[]", "N").infer(), "float[N]");
        assert_eq!(op("HannWindow").int64s(&[], &[-1]).infer(), "invalid: a window of -1");
        let hann = op("HannWindow").int64s(&[], &[4]).f32s();
        assert!(hann.iter().zip([0.0, 0.5, 1.0, 0.5]).all(|(found, expected)| (found - expected).abs() < 1e-6));
    }
}
