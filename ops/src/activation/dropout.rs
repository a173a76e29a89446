//! `Dropout`: in training sets random elements to zero and scales up the others; in inference hands its operand on.
//!
//! Operands data `[s..]`, from opset 12 on optionally ratio and training_mode, one number each; outputs of the same shape:
//! output, and optionally mask (of truth values from opset 10 on, before of the type of the data). Without a true
//! `training_mode` (before opset 7: with `is_test`) it is the identity and the mask all ones.
//!
//! Source: ONNX operator specification, `Dropout`, opsets 1 to 22.

use onnxpress_ir::{DType, Tensor};

use crate::axes::Axes;
use crate::elementwise::pointwise;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{self, InferCx, Undecided};
use crate::operator::{Effects, Infer, Operator, Quantize};
use crate::random::Generator;

pub(crate) static DROPOUT: Operator = Operator {
    infer: Infer::With(infer),
    axes: Axes::Spec("s.., *, * -> s.., s.."),
    // In training; in inference it is the identity, which is eliminated as such.
    effects: Effects::Random,
    ..pointwise("Dropout", Quantize::Moves, Gradient::With(super::gradient::dropout), evaluate)
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    infer::same_as_first(cx)?;
    infer::elements_of_each(cx, cx.dtype(0), Clone::clone);
    let mask = if cx.version >= 10 { Some(DType::Bool) } else { cx.dtype(0) };
    cx.set_tensor(1, mask, cx.shape(0).cloned());
    Ok(())
}

/// The share of elements to drop; `None` in inference.
fn ratio(cx: &EvalCx<'_>) -> Result<Option<f64>, EvalError> {
    if cx.version < 7 {
        let ratio = f64::from(cx.attrs().float_or("ratio", 0.5)?);
        return Ok((!cx.attrs().flag("is_test")?).then_some(ratio));
    }
    let training = match cx.optional_tensor(2)? {
        Some(mode) if cx.version >= 12 => mode.values::<bool>()?.first() == Some(&true),
        _ => false,
    };
    let ratio = match cx.optional_tensor(1)? {
        Some(ratio) => ratio.to_f64s()?.first().copied().unwrap_or(0.5),
        None => 0.5,
    };
    Ok(training.then_some(ratio))
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let mask_type = if cx.version >= 10 { DType::Bool } else { x.dtype() };
    let mask = |kept: &[bool]| {
        let values: Vec<f64> = kept.iter().map(|&kept| f64::from(u8::from(kept))).collect();
        Tensor::from_f64s(mask_type, x.dims(), &values)
    };
    let Some(ratio) = ratio(cx)?.filter(|&ratio| ratio != 0.0) else {
        return Ok(vec![x.clone().into(), mask(&vec![true; x.len()])?.into()]);
    };
    if !(0.0..1.0).contains(&ratio) {
        return Err(EvalError::invalid(format!("a ratio of {ratio}, not in [0, 1)")));
    }
    let mut generator = Generator::of(cx)?;
    let kept: Vec<bool> = (0..x.len()).map(|_| generator.uniform() >= ratio).collect();
    let scaled = |(x, &kept): (f64, &bool)| if kept { x / (1.0 - ratio) } else { 0.0 };
    let values: Vec<f64> = x.to_f64s()?.into_iter().zip(&kept).map(scaled).collect();
    Ok(vec![Tensor::from_f64s(x.dtype(), x.dims(), &values)?.into(), mask(&kept)?.into()])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use onnxpress_ir::Tensor;

    use crate::testing::op;

    #[test]
    fn inference_is_the_identity() {
        let outputs = op("Dropout").outputs(2).floats(&[2], &[1.0, 2.0]).floats(&[], &[0.9]).evaluate().unwrap();
        assert_eq!(outputs[0].as_tensor().unwrap().to_f32s().unwrap(), [1.0, 2.0]);
        assert_eq!(outputs[1].as_tensor().unwrap().to_i64s().unwrap(), [1, 1]);
        assert_eq!(op("Dropout").outputs(2).version(7).input("float[N]").infer(), "float[N], float[N]");
        assert_eq!(op("Dropout").outputs(2).input("float[N]").infer(), "float[N], bool[N]");
    }

    #[test]
    fn training_drops_about_as_many_as_asked_for() {
        let training = op("Dropout")
            .int("seed", 1)
            .floats(&[1000], &[1.0; 1000])
            .floats(&[], &[0.25])
            .constant(Tensor::scalar(true));
        let values = training.f32s();
        let dropped = values.iter().filter(|&&x| x == 0.0).count();
        assert!((200..300).contains(&dropped), "{dropped}");
        assert!(values.iter().all(|&x| x == 0.0 || (x - 4.0 / 3.0).abs() < 1e-6));
        assert_eq!(values, training.f32s(), "equal seeds drop equal elements");
    }
}
