//! `RandomNormal`, `RandomUniform` and their `Like` forms: tensors of independent random numbers.
//!
//! The shape is the attribute `shape`, or for the `Like` forms that of the operand. Output of the type `dtype` (default
//! float; for the `Like` forms that of the operand).
//!
//! Source: ONNX operator specification, the operators of these names, opsets 1 to 22.

use onnxpress_ir::{DType, Dim, Shape, Tensor};

use crate::axes::Axes;
use crate::elementwise::{Kernel, pointwise};
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Effects, Infer, Linear, Operator, Quantize};

use super::Generator;

const fn sheet(
    name: &'static str,
    infer: fn(&mut InferCx<'_>) -> Result<(), Undecided>,
    axes: Axes,
    kernel: Kernel,
) -> Operator {
    Operator {
        infer: Infer::With(infer),
        axes,
        effects: Effects::Random,
        linear: Linear::None("draws random numbers"),
        ..pointwise(name, Quantize::KeepsFloat("draws random numbers"), Gradient::Zero("reads no element"), kernel)
    }
}

const UNRELATED: Axes = Axes::Opaque("depends on no operand");
/// The operand lends its shape; no index of it is read.
const LIKE: Axes = Axes::Spec("s.. -> s..");

pub(crate) static RANDOM_NORMAL: Operator =
    sheet("RandomNormal", infer_shaped, UNRELATED, |cx| normal(cx, &attribute_dims(cx)?, DType::Float));
pub(crate) static RANDOM_UNIFORM: Operator =
    sheet("RandomUniform", infer_shaped, UNRELATED, |cx| uniform(cx, &attribute_dims(cx)?, DType::Float));
pub(crate) static RANDOM_NORMAL_LIKE: Operator = sheet("RandomNormalLike", infer_like, LIKE, |cx| {
    let x = cx.tensor(0)?;
    normal(cx, x.dims(), x.dtype())
});
pub(crate) static RANDOM_UNIFORM_LIKE: Operator = sheet("RandomUniformLike", infer_like, LIKE, |cx| {
    let x = cx.tensor(0)?;
    uniform(cx, x.dims(), x.dtype())
});

fn infer_shaped(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let dtype = cx.attrs().dtype("dtype")?.unwrap_or(DType::Float);
    let shape = cx.attrs().ints("shape")?;
    if let Some(extent) = shape.iter().flatten().find(|&&extent| extent < 0) {
        return Err(Undecided::invalid(format!("`shape` has the entry {extent}")));
    }
    cx.set_tensor(0, dtype, shape.map(|shape| shape.into_iter().map(Dim::from).collect::<Shape>()));
    Ok(())
}

fn infer_like(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let dtype = cx.attrs().dtype("dtype")?.or(cx.dtype(0));
    cx.set_tensor(0, dtype, cx.shape(0).cloned());
    Ok(())
}

fn attribute_dims(cx: &EvalCx<'_>) -> Result<Vec<usize>, EvalError> {
    let shape = cx.attrs().ints("shape")?.ok_or_else(|| EvalError::invalid("no attribute `shape`"))?;
    let extent = |&extent: &i64| {
        usize::try_from(extent).map_err(|_| EvalError::invalid(format!("`shape` has the entry {extent}")))
    };
    shape.iter().map(extent).collect()
}

fn normal(cx: &EvalCx<'_>, dims: &[usize], otherwise: DType) -> Result<Vec<Value>, EvalError> {
    let mean = f64::from(cx.attrs().float_or("mean", 0.0)?);
    let scale = f64::from(cx.attrs().float_or("scale", 1.0)?);
    draw(cx, dims, otherwise, |generator| mean + scale * generator.normal())
}

fn uniform(cx: &EvalCx<'_>, dims: &[usize], otherwise: DType) -> Result<Vec<Value>, EvalError> {
    let low = f64::from(cx.attrs().float_or("low", 0.0)?);
    let high = f64::from(cx.attrs().float_or("high", 1.0)?);
    draw(cx, dims, otherwise, |generator| low + (high - low) * generator.uniform())
}

fn draw(
    cx: &EvalCx<'_>,
    dims: &[usize],
    otherwise: DType,
    mut one: impl FnMut(&mut Generator) -> f64,
) -> Result<Vec<Value>, EvalError> {
    let dtype = cx.attrs().dtype("dtype")?.unwrap_or(otherwise);
    let count = cx.room_for(dims)?;
    let mut generator = Generator::of(cx)?;
    let values: Vec<f64> = (0..count).map(|_| one(&mut generator)).collect();
    Ok(vec![Tensor::from_f64s(dtype, dims, &values)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn shapes_come_from_the_attribute_or_the_operand() {
        assert_eq!(op("RandomNormal").ints("shape", &[2, 3]).int("dtype", 11).infer(), "double[2,3]");
        assert_eq!(op("RandomUniform").ints("shape", &[2, -3]).infer(), "invalid: `shape` has the entry -3");
        assert_eq!(op("RandomUniformLike").input("int32[N]").int("dtype", 1).infer(), "float[N]");
        let huge = op("RandomUniform").ints("shape", &[i64::MAX, i64::MAX]).fault();
        assert!(huge.contains("more than"), "{huge}");
    }

    #[test]
    fn equal_seeds_draw_equal_numbers() {
        let drawn = |seed| {
            op("RandomUniform").float("seed", seed).float("low", 2.0).float("high", 3.0).ints("shape", &[4]).f32s()
        };
        assert_eq!(drawn(1.0), drawn(1.0));
        assert_ne!(drawn(1.0), drawn(2.0));
        assert!(drawn(1.0).iter().all(|x| (2.0..3.0).contains(x)));
    }
}
