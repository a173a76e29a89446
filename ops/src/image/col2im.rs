//! `Col2Im`: an image put together from patches, which add up where they overlap.
//!
//! Operands: patches `[n, c · elements of a block, number of blocks]`, the extents of the image and of a block. Output
//! `[n, c, image..]`.
//!
//! Source: ONNX operator specification, `Col2Im`, opset 18.

use onnxpress_ir::{Dim, Shape, Tensor};

use crate::axes::Axes;
use crate::evaluate::walk::strides;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static COL2IM: Operator = Operator {
    domain: "",
    name: "Col2Im",
    infer: Infer::With(infer),
    axes: Axes::Spec("n (c k) _, *, * -> n c _"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("no operand is a weight"),
    quantize: Quantize::KeepsFloat("overlapping patches add up"),
    cost: Cost::None("no operand is a weight"),
    effects: Effects::Pure,
    gradient: Gradient::NotPossible("ConvTranspose has one"),
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    cx.expect_rank(0, 3)?;
    let block = cx.elements(2).map_or_else(Dim::unknown, |block| Dim::product(block.iter().cloned()));
    let (n, c) = match cx.shape(0) {
        Some(x) => (x[0].clone(), x[1].floor_div(&block)),
        None => (Dim::unknown(), Dim::unknown()),
    };
    let image = match (cx.elements(1), cx.shape(1)) {
        (Some(image), _) => Some(image.to_vec()),
        (None, Some(shape)) => {
            let rank = shape.first().and_then(Dim::as_const).and_then(|rank| usize::try_from(rank).ok());
            rank.filter(|&rank| rank <= crate::infer::MAX_ELEMENTS).map(|rank| vec![Dim::unknown(); rank])
        }
        _ => None,
    };
    let shape = image.map(|image| [n, c].into_iter().chain(image).collect::<Shape>());
    cx.set_tensor(0, cx.dtype(0), shape);
    Ok(())
}

/// One axis of the image.
struct Axis {
    image: i64,
    block: i64,
    dilation: i64,
    before: i64,
    stride: i64,
    /// How many blocks lie along it.
    count: i64,
}

fn axes(cx: &EvalCx<'_>) -> Result<Vec<Axis>, EvalError> {
    let (image, block) = (cx.ints(1)?.unwrap_or_default(), cx.ints(2)?.unwrap_or_default());
    let rank = image.len();
    let attrs = cx.attrs();
    let list = |name, length: usize, otherwise| attrs.ints_or(name, vec![otherwise; length]);
    let (dilations, pads, strides) =
        (list("dilations", rank, 1)?, list("pads", 2 * rank, 0)?, list("strides", rank, 1)?);
    let bounded = |values: &[i64], least: i64| values.iter().all(|value| (least..=i64::from(i32::MAX)).contains(value));
    let valid = [block.len(), dilations.len(), strides.len()] == [rank; 3]
        && pads.len() == 2 * rank
        && bounded(&image, 0)
        && bounded(&pads, 0)
        && [&block, &dilations, &strides].iter().all(|values| bounded(values, 1));
    if !valid {
        return Err(EvalError::invalid(format!("an image {image:?} of blocks {block:?} and attributes for them")));
    }
    let axis = |at: usize| {
        let room = image[at] + pads[at] + pads[rank + at] - dilations[at] * (block[at] - 1) - 1;
        let count = if room < 0 { 0 } else { room / strides[at] + 1 };
        Axis {
            image: image[at],
            block: block[at],
            dilation: dilations[at],
            before: pads[at],
            stride: strides[at],
            count,
        }
    };
    Ok((0..rank).map(axis).collect())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let axes = axes(cx)?;
    let product = |of: fn(&Axis) -> i64| axes.iter().try_fold(1i64, |product, axis| product.checked_mul(of(axis)));
    let (Some(block), Some(count)) = (product(|axis| axis.block), product(|axis| axis.count)) else {
        return Err(EvalError::invalid("blocks beyond all bounds"));
    };
    let (block, count) = (block as usize, count as usize);
    let &[n, rows, columns] = x.dims() else { return Err(EvalError::invalid(format!("patches {x:?}"))) };
    if rows % block != 0 || columns != count {
        return Err(EvalError::invalid(format!("patches {x:?} for {count} blocks of {block}")));
    }
    let mut dims = vec![n, rows / block];
    dims.extend(axes.iter().map(|axis| axis.image as usize));
    let mut image = vec![0.0; cx.room_for(&dims)?];
    cx.spend(x.len() as u64)?;
    let steps = strides(&dims);
    let (within, along): (Vec<usize>, Vec<usize>) =
        axes.iter().map(|axis| (axis.block as usize, axis.count as usize)).unzip();
    let values = x.to_f64s()?;
    for (index, value) in values.into_iter().enumerate() {
        let (column, row) = (index % columns, index / columns);
        let (inside, plane) = (row % block, row / block);
        let mut at = Some(plane * steps[1]);
        let (mut inside, mut column) = (inside, column);
        for (axis, plan) in axes.iter().enumerate().rev() {
            let (k, t) = (inside % within[axis], column % along[axis]);
            (inside, column) = (inside / within[axis], column / along[axis]);
            let place = t as i64 * plan.stride - plan.before + k as i64 * plan.dilation;
            let place = usize::try_from(place).ok().filter(|&place| place < plan.image as usize);
            at = at.zip(place).map(|(at, place)| at + place * steps[2 + axis]);
        }
        if let Some(sum) = at.and_then(|at| image.get_mut(at)) {
            *sum += value;
        }
    }
    Ok(vec![Tensor::from_f64s(x.dtype(), &dims, &image)?.into()])
}
