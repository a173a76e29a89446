//! Gradients of `FastGelu` after a bias, `Softmax`, `LayerNormalization` and `Slice`, as onnxruntime's training graphs have
//! them.
//!
//! - `BiasFastGeluGrad_dX` (dY, X, B `[c]`): dX.
//! - `SoftmaxGrad_13` (dY, Y): `Y (dY - sum(dY · Y))` along the axis.
//! - `LayerNormalizationGrad` (dY, X, scale, mean, inverse deviation): those of X, scale and bias.
//! - `SliceGrad` (dY, shape, starts, ends, axes, steps): dY where the slice was taken, 0 elsewhere.
//!
//! Source: onnxruntime, the operators of these names, version 1.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use onnxpress_ir::{Dim, Shape, Tensor};

use super::DOMAIN;
use crate::axes::Axes;
use crate::elementwise::{CURVED, pointwise};
use crate::evaluate::lanes::{Lanes, volume};
use crate::evaluate::pick::{pick_or, zero};
use crate::evaluate::walk::{Walk, strides};
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Infer, Operator};
use crate::parameters::{Parameters, axis_of, distinct_axes};

pub(crate) static BIAS_FAST_GELU_GRAD: Operator = Operator {
    domain: DOMAIN,
    axes: Axes::Spec("s.. c, s.. c, c -> s.. c"),
    ..pointwise(
        "BiasFastGeluGrad_dX",
        CURVED,
        Gradient::NotPossible("second derivatives are not asked for"),
        bias_fast_gelu,
    )
};
pub(crate) static SOFTMAX_GRAD: Operator = Operator {
    domain: DOMAIN,
    axes: Axes::Spec("s.., s.. -> s..; normalized s"),
    ..pointwise("SoftmaxGrad_13", CURVED, Gradient::NotPossible("second derivatives are not asked for"), softmax)
};
pub(crate) static LAYER_NORMALIZATION_GRAD: Operator = Operator {
    domain: DOMAIN,
    infer: Infer::With(infer_layer_normalization),
    axes: Axes::Opaque("which axes are normalized depends on an attribute"),
    ..pointwise(
        "LayerNormalizationGrad",
        CURVED,
        Gradient::NotPossible("second derivatives are not asked for"),
        layer_normalization,
    )
};
pub(crate) static SLICE_GRAD: Operator = Operator {
    domain: DOMAIN,
    infer: Infer::With(infer_slice),
    axes: Axes::Opaque("an operand says what is taken"),
    ..pointwise("SliceGrad", CURVED, Gradient::NotPossible("second derivatives are not asked for"), slice)
};

fn bias_fast_gelu(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (dy, x, bias) = (cx.tensor(0)?, cx.tensor(1)?, cx.tensor(2)?.to_f64s()?);
    if dy.dims() != x.dims() || x.dims().last() != Some(&bias.len()) {
        return Err(EvalError::invalid(format!("{dy:?}, {x:?} and a bias of {}", bias.len())));
    }
    let slope = |x: f64| {
        let factor = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
        let tanh = (factor * (x + 0.044_715 * x.powi(3))).tanh();
        0.5 * (1.0 + tanh) + 0.5 * x * (1.0 - tanh * tanh) * factor * (1.0 + 3.0 * 0.044_715 * x * x)
    };
    let values = dy.to_f64s()?.into_iter().zip(x.to_f64s()?).enumerate();
    let values: Vec<f64> = values.map(|(at, (dy, x))| dy * slope(x + bias[at % bias.len()])).collect();
    Ok(vec![Tensor::from_f64s(dy.dtype(), dy.dims(), &values)?.into()])
}

fn softmax(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (dy, y) = (cx.tensor(0)?, cx.tensor(1)?);
    if dy.dims() != y.dims() {
        return Err(EvalError::invalid(format!("{dy:?} beside {y:?}")));
    }
    let axis = cx.axis(cx.attrs().int_or("axis", -1)?, y.rank())?;
    let ys = y.to_f64s()?;
    let mut values: Vec<f64> = dy.to_f64s()?.iter().zip(&ys).map(|(dy, y)| dy * y).collect();
    // `dY · Y` is at hand, so what is taken off is `Y` times its sum; both run in the same order.
    let lanes = Lanes::along(y.dims(), axis, axis + 1);
    let mut shares = ys;
    let sums = lanes.fold(&values, |lane| lane.iter().sum());
    let mut sums = sums.into_iter();
    lanes.rewrite(&mut shares, |lane| {
        let sum = sums.next().unwrap_or(0.0);
        lane.iter_mut().for_each(|y| *y *= sum);
    });
    values.iter_mut().zip(shares).for_each(|(value, share)| *value -= share);
    Ok(vec![Tensor::from_f64s(dy.dtype(), dy.dims(), &values)?.into()])
}

fn infer_layer_normalization(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    cx.set_tensor(0, cx.dtype(1).or(cx.dtype(0)), cx.shape(1).or(cx.shape(0)).cloned());
    for port in [1, 2] {
        cx.set_tensor(port, cx.dtype(2), cx.shape(2).cloned());
    }
    Ok(())
}

fn layer_normalization(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (dy, x, scale) = (cx.tensor(0)?, cx.tensor(1)?, cx.tensor(2)?);
    let (means, inverses) = (cx.tensor(3)?.to_f64s()?, cx.tensor(4)?.to_f64s()?);
    let first = cx.axis(cx.attrs().int_or("axis", -1)?, x.rank())?;
    let width = volume(&x.dims()[first..]);
    let lanes = x.len().checked_div(width).unwrap_or(0);
    if dy.dims() != x.dims() || scale.len() != width || means.len() != lanes || inverses.len() != lanes {
        return Err(EvalError::invalid(format!("{dy:?} and {scale:?} for {x:?}")));
    }
    let (dys, xs, scales) = (dy.to_f64s()?, x.to_f64s()?, scale.to_f64s()?);
    let (mut of_x, mut of_scale, mut of_bias) = (Vec::with_capacity(x.len()), vec![0.0; width], vec![0.0; width]);
    for lane in 0..lanes {
        let (dys, xs) = (&dys[lane * width..][..width], &xs[lane * width..][..width]);
        let normalized: Vec<f64> = xs.iter().map(|x| (x - means[lane]) * inverses[lane]).collect();
        let scaled: Vec<f64> = dys.iter().zip(&scales).map(|(dy, scale)| dy * scale).collect();
        let mean = scaled.iter().sum::<f64>() / width as f64;
        let along = scaled.iter().zip(&normalized).map(|(dy, x)| dy * x).sum::<f64>() / width as f64;
        for at in 0..width {
            of_x.push((scaled[at] - mean - normalized[at] * along) * inverses[lane]);
            of_scale[at] += dys[at] * normalized[at];
            of_bias[at] += dys[at];
        }
    }
    Ok(vec![
        Tensor::from_f64s(x.dtype(), x.dims(), &of_x)?.into(),
        Tensor::from_f64s(scale.dtype(), scale.dims(), &of_scale)?.into(),
        Tensor::from_f64s(scale.dtype(), scale.dims(), &of_bias)?.into(),
    ])
}

fn infer_slice(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let shape = match cx.entries(1) {
        Ok(Some(entries)) => Some(Shape::from(entries)),
        _ => cx.rank(0).map(Shape::of_unknown_extents),
    };
    cx.set_tensor(0, cx.dtype(0), shape);
    Ok(())
}

fn slice(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let dy = cx.tensor(0)?;
    let list = |index: usize| cx.ints(index);
    let dims: Option<Vec<usize>> =
        list(1)?.unwrap_or_default().into_iter().map(|extent| usize::try_from(extent).ok()).collect();
    let dims = dims.filter(|dims| dims.len() == dy.rank());
    let dims = dims.ok_or_else(|| EvalError::invalid(format!("a shape for {dy:?}")))?;
    cx.room_for(&dims)?;
    let (starts, steps) = (list(2)?.unwrap_or_default(), list(5)?);
    let axes = match list(4)? {
        Some(axes) => distinct_axes(&axes.into_iter().map(Dim::from).collect::<Vec<_>>(), dims.len())?,
        None => (0..starts.len()).map(|axis| axis_of(axis as i64, dims.len())).collect::<Result<_, _>>()?,
    };
    if axes.len() != starts.len() || steps.as_ref().is_some_and(|steps| steps.len() != starts.len()) {
        return Err(EvalError::invalid("starts, axes and steps are not equally many"));
    }
    // Of each axis of the result, by index: which index of dY stands there.
    let mut taken: Vec<Vec<Option<usize>>> = dims.iter().map(|&extent| (0..extent).map(Some).collect()).collect();
    for (at, &axis) in axes.iter().enumerate() {
        let (extent, step) = (dims[axis] as i64, steps.as_ref().map_or(1, |steps| steps[at]));
        let start = if starts[at] < 0 { starts[at].saturating_add(extent) } else { starts[at] };
        let last = if step < 0 { extent - 1 } else { extent };
        let mut place = start.clamp(0, last.max(0));
        taken[axis] = vec![None; dims[axis]];
        for index in 0..dy.dims()[axis] {
            let slot = usize::try_from(place).ok().and_then(|place| taken[axis].get_mut(place));
            *slot.ok_or_else(|| EvalError::invalid(format!("{dy:?} is no such slice of {dims:?}")))? = Some(index);
            place = place.saturating_add(step);
        }
    }
    let whole = taken.iter().zip(dy.dims()).all(|(taken, &extent)| taken.iter().flatten().all(|&index| index < extent));
    if !whole {
        return Err(EvalError::invalid(format!("{dy:?} is no such slice of {dims:?}")));
    }
    let steps = strides(dy.dims());
    let walk = Walk::new(&dims, |axis, at| Some(taken[axis][at]? * steps[axis]));
    Ok(vec![pick_or(dy, &zero(dy.dtype()), &dims, walk)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn a_slice_goes_back_where_it_was() {
        let node = op("SliceGrad").domain("com.microsoft").floats(&[2], &[1.0, 2.0]).int64s(&[1], &[5]);
        let node = node.int64s(&[1], &[-1]).int64s(&[1], &[0]).int64s(&[1], &[0]).int64s(&[1], &[-2]);
        assert_eq!(node.f32s(), [0.0, 0.0, 2.0, 0.0, 1.0]);
    }

    #[test]
    fn shares_of_a_softmax_only_move() {
        let node = op("SoftmaxGrad_13").domain("com.microsoft").floats(&[1, 2], &[1.0, 0.0]).floats(&[1, 2], &[0.5; 2]);
        assert_eq!(node.f32s(), [0.25, -0.25]);
    }
}
