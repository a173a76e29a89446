//! `LRN`: each element divided by a power of the mean square of its neighbours across channels.
//!
//! Operand X `[n, c, s..]`; output of the same type and shape,
//! `X / (bias + alpha / size * sum of squares over size channels around)^beta`.
//!
//! Source: ONNX operator specification, `LRN`, opsets 1 to 13; A. Krizhevsky et al., "ImageNet Classification with Deep
//! Convolutional Neural Networks" (2012).

use onnxpress_ir::Tensor;

use super::moments::sheet;
use crate::axes::Axes;
use crate::evaluate::lanes::Lanes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{self, InferCx, Undecided};
use crate::node::Attrs;
use crate::operator::Operator;

pub(crate) static LRN: Operator = sheet(
    "LRN",
    infer,
    Axes::Spec("n c s.. -> n c s..; normalized c"),
    Gradient::With(super::gradient::local_response),
    evaluate,
);

fn size(attrs: &Attrs<'_>) -> Result<usize, Undecided> {
    let size = attrs.int("size")?;
    let positive = size.and_then(|size| usize::try_from(size).ok()).filter(|&size| size > 0);
    positive.ok_or_else(|| {
        Undecided::invalid(format!("`size` is {}", size.map_or("missing".to_owned(), |size| size.to_string())))
    })
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    infer::same_as_first(cx)?;
    size(&cx.attrs())?;
    match cx.shape(0) {
        Some(x) if x.len() < 2 => Err(Undecided::invalid(format!("X{x} has no channels"))),
        _ => Ok(()),
    }
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    if x.rank() < 2 {
        return Err(EvalError::invalid(format!("X{:?} has no channels", x.dims())));
    }
    let size = size(&cx.attrs())?;
    let alpha = f64::from(cx.attrs().float_or("alpha", 0.0001)?);
    let beta = f64::from(cx.attrs().float_or("beta", 0.75)?);
    let bias = f64::from(cx.attrs().float_or("bias", 1.0)?);
    // Of an even number of neighbours the odd one is behind.
    let (before, after) = ((size - 1) / 2, size / 2);
    cx.spend((x.len() as u64).saturating_mul(size.min(x.dims()[1]) as u64))?;
    let mut values = x.to_f64s()?;
    Lanes::along(x.dims(), 1, 2).rewrite(&mut values, |lane| {
        let own = lane.to_vec();
        for (channel, x) in lane.iter_mut().enumerate() {
            let near =
                &own[channel.saturating_sub(before)..own.len().min(channel.saturating_add(after).saturating_add(1))];
            let squares: f64 = near.iter().map(|x| x * x).sum();
            *x /= (bias + alpha / size as f64 * squares).powf(beta);
        }
    });
    Ok(vec![Tensor::from_f64s(x.dtype(), x.dims(), &values)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn neighbours_across_channels() {
        let node = |size| op("LRN").int("size", size).float("alpha", size as f32).float("beta", 1.0).float("bias", 0.0);
        assert_eq!(node(3).floats(&[1, 3, 1], &[1.0, 2.0, 2.0]).f32s(), [0.2, 2.0 / 9.0, 0.25]);
        assert_eq!(node(2).floats(&[1, 3, 1], &[1.0, 2.0, 2.0]).f32s(), [0.2, 0.25, 0.5]);
        assert_eq!(op("LRN").int("size", 0).input("float[1,3,4]").infer(), "invalid: `size` is 0");
        assert_eq!(node(i64::MAX).floats(&[1, 1, 1], &[2.0]).f32s(), [0.5]);
    }
}
