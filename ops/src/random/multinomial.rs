//! `Multinomial`: draws classes, as often as asked for, with the probabilities that logarithms give.
//!
//! Operand (logarithms of probabilities, up to a constant) `[batch, class]`; output `[batch, sample]` of the type `dtype`,
//! int32 (the default) or int64.
//!
//! Source: ONNX operator specification, `Multinomial`, opsets 7 to 22.

use onnxpress_ir::{DType, Dim, Shape, Tensor};

use crate::axes::Axes;
use crate::elementwise::pointwise;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Effects, Infer, Operator, Quantize};

use super::Generator;

pub(crate) static MULTINOMIAL: Operator = Operator {
    infer: Infer::With(infer),
    axes: Axes::Spec("b c -> b _; chosen c"),
    effects: Effects::Random,
    ..pointwise(
        "Multinomial",
        Quantize::KeepsFloat("draws random numbers"),
        Gradient::Zero("its results are indices"),
        evaluate,
    )
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    cx.expect_rank(0, 2)?;
    let dtype = cx.attrs().dtype("dtype")?.unwrap_or(DType::Int32);
    let samples = cx.attrs().int_or("sample_size", 1)?;
    if samples < 0 {
        return Err(Undecided::invalid(format!("`sample_size` is {samples}")));
    }
    let batch = cx.shape(0).and_then(|shape| shape.first()).cloned().unwrap_or_default();
    cx.set_tensor(0, dtype, [batch, Dim::from(samples)].into_iter().collect::<Shape>());
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let &[batch, classes] = x.dims() else {
        return Err(EvalError::invalid(format!("an operand of rank {}, not 2", x.rank())));
    };
    let dtype = cx.attrs().dtype("dtype")?.unwrap_or(DType::Int32);
    let samples = usize::try_from(cx.attrs().int_or("sample_size", 1)?)
        .map_err(|_| EvalError::invalid("`sample_size` is negative"))?;
    let count = cx.room_for(&[batch, samples])?;
    if classes == 0 && count > 0 {
        return Err(EvalError::invalid("there is no class to draw"));
    }
    let mut generator = Generator::of(cx)?;
    let mut drawn = Vec::with_capacity(count);
    for scores in x.to_f64s()?.chunks_exact(classes.max(1)) {
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut up_to: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
        for class in 1..classes {
            up_to[class] += up_to[class - 1];
        }
        for _ in 0..samples {
            let threshold = generator.uniform() * up_to[classes - 1];
            let class = up_to.partition_point(|&sum| sum <= threshold).min(classes - 1);
            drawn.push(class as i64);
        }
    }
    Ok(vec![Tensor::from_i64s(dtype, &[batch, samples], &drawn)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn classes_come_as_often_as_they_should() {
        let drawn =
            op("Multinomial").int("sample_size", 1000).floats(&[1, 3], &[0.0, 3f32.ln(), f32::NEG_INFINITY]).i64s();
        let ones = drawn.iter().filter(|&&class| class == 1).count();
        assert!((700..800).contains(&ones) && !drawn.contains(&2), "{ones}");
    }

    #[test]
    fn the_batch_stays() {
        assert_eq!(op("Multinomial").int("sample_size", 4).int("dtype", 7).input("float[N,10]").infer(), "int64[N,4]");
        assert_eq!(
            op("Multinomial").int("sample_size", -1).input("float[N,10]").infer(),
            "invalid: `sample_size` is -1"
        );
        assert_eq!(op("Multinomial").input("float[10]").infer(), "invalid: operand 0 has rank 1, not 2");
    }
}
