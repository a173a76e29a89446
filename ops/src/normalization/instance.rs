//! `InstanceNormalization`: each channel of each sample moved and scaled by its own mean and variance, then by parameters.
//!
//! Operands X `[n, c, s..]`, scale, B `[c]`; output of the type and shape of X.
//!
//! Source: ONNX operator specification, `InstanceNormalization`, opsets 1 to 22.

use onnxpress_ir::Tensor;

use super::moments::{expect_list, list, moments, sheet};
use crate::axes::Axes;
use crate::evaluate::lanes::Lanes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{self, InferCx, Undecided};
use crate::operator::Operator;

pub(crate) static INSTANCE_NORMALIZATION: Operator = sheet(
    "InstanceNormalization",
    infer,
    Axes::Spec("n c s.., c, c -> n c s..; normalized s"),
    Gradient::With(super::gradient::instance),
    evaluate,
);

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    infer::same_as_first(cx)?;
    match cx.shape(0) {
        Some(x) if x.len() < 2 => Err(Undecided::invalid(format!("X{x} has no channels"))),
        Some(x) => (1..3).try_for_each(|index| expect_list(cx, index, &x[1])),
        None => Ok(()),
    }
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let &[_, channels, ..] = x.dims() else {
        return Err(EvalError::invalid(format!("X{:?} has no channels", x.dims())));
    };
    let (scale, bias) = (list(cx.tensor(1)?, channels)?, list(cx.tensor(2)?, channels)?);
    let epsilon = f64::from(cx.attrs().float_or("epsilon", 1e-5)?);
    let mut values = x.to_f64s()?;
    let mut places = (0..channels).cycle();
    Lanes::along(x.dims(), 2, x.rank()).rewrite(&mut values, |lane| {
        let channel = places.next().unwrap_or(0);
        let (mean, var) = moments(lane);
        let factor = scale[channel] / (var + epsilon).sqrt();
        lane.iter_mut().for_each(|x| *x = (*x - mean) * factor + bias[channel]);
    });
    Ok(vec![Tensor::from_f64s(x.dtype(), x.dims(), &values)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn each_sample_has_statistics_of_its_own() {
        let node = op("InstanceNormalization").float("epsilon", 0.0);
        let node = node.floats(&[2, 1, 2], &[1.0, 3.0, 10.0, 50.0]).floats(&[1], &[2.0]).floats(&[1], &[1.0]);
        assert_eq!(node.f32s(), [-1.0, 3.0, -1.0, 3.0]);
        let wrong = op("InstanceNormalization").input("float[N,3,h]").input("float[3]").input("float[3,1]");
        assert_eq!(wrong.infer(), "invalid: operand 2 has the shape [3,1], not [3]");
    }
}
