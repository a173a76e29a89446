//! `MaxPool`: the largest element of each window, and where it was.
//!
//! Operand X `[n, c, s..]`; outputs Y `[n, c, t..]` and from opset 8 on optionally Indices of the same shape: the place of the
//! first largest in X flattened, or with `storage_order = 1` as if the spatial axes stood in reverse order. `ceil_mode` and
//! `dilations` came with opset 10, whole numbers of eight bits with 12.
//!
//! Source: ONNX operator specification, `MaxPool`, opsets 1 to 22.

use onnxpress_ir::{DType, Tensor};

use super::windowed::{self, Pooling};
use crate::axes::Axes;
use crate::evaluate::lanes::volume;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static MAX_POOL: Operator = Operator {
    domain: "",
    name: "MaxPool",
    infer: Infer::With(infer),
    axes: Axes::Spec("n c s.. -> n c t.., n c t..; chosen s"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("it chooses"),
    quantize: Quantize::Moves,
    cost: Cost::None("it has no weight"),
    effects: Effects::Pure,
    gradient: Gradient::With(super::gradient::max_pool),
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let shape = windowed::output_shape(cx)?;
    cx.set_tensor(0, cx.dtype(0), shape.clone());
    cx.set_tensor(1, DType::Int64, shape);
    Ok(())
}

/// The place of an element in a plane of these extents, were its axes in reverse order.
fn column_major(mut place: usize, extents: &[usize]) -> usize {
    let mut step = volume(extents);
    let mut reversed = 0;
    for &extent in extents.iter().rev() {
        step /= extent;
        reversed += place % extent * step;
        place /= extent;
    }
    reversed
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let pooling = Pooling::of(cx, x.dims())?;
    let reversed = cx.attrs().int_or("storage_order", 0)? != 0;
    let largest = pooling.gather(&x.to_f64s()?, (f64::NEG_INFINITY, None), |best, place, value| {
        if best.1.is_none() || value > best.0 || value.is_nan() && !best.0.is_nan() {
            *best = (value, Some(place));
        }
    });
    let positions = volume(&pooling.sliding.positions);
    let extents = &pooling.sliding.extents;
    let plane = volume(extents);
    let place = |(index, &(_, place)): (usize, &(f64, Option<usize>))| match place {
        Some(place) => {
            let place = if reversed { column_major(place, extents) } else { place };
            (index / positions * plane + place) as i64
        }
        None => -1,
    };
    let indices: Vec<i64> = largest.iter().enumerate().map(place).collect();
    let values: Vec<f64> = largest.iter().map(|&(value, _)| value).collect();
    Ok(vec![
        Tensor::from_f64s(x.dtype(), &pooling.dims, &values)?.into(),
        Tensor::from_values(&pooling.dims, indices)?.into(),
    ])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::op;

    #[test]
    fn the_first_largest_and_its_place() {
        let pool = |storage_order| {
            let x = [1.0, 9.0, 2.0, 9.0, 3.0, 4.0];
            let node = op("MaxPool").outputs(2).ints("kernel_shape", &[2, 2]).int("storage_order", storage_order);
            let outputs = node.floats(&[1, 1, 2, 3], &x).evaluate().unwrap();
            let of = |index: usize| outputs[index].as_tensor().unwrap().to_i64s();
            (outputs[0].as_tensor().unwrap().to_f32s().unwrap(), of(1).unwrap())
        };
        assert_eq!(pool(0), (vec![9.0, 9.0], vec![1, 1]));
        assert_eq!(pool(1).1, [2, 2]);
        assert_eq!(column_major(5, &[2, 3]), 5);
    }

    #[test]
    fn indices_count_through_planes() {
        let node = op("MaxPool").outputs(2).ints("kernel_shape", &[2]).floats(&[1, 2, 2], &[1.0, 2.0, 4.0, 3.0]);
        let outputs = node.evaluate().unwrap();
        assert_eq!(outputs[1].as_tensor().unwrap().to_i64s().unwrap(), [1, 2]);
        let inferred = op("MaxPool").outputs(2).ints("kernel_shape", &[2]).input("int8[N,2,2]");
        assert_eq!(inferred.infer(), "int8[N,2,1], int64[N,2,1]");
    }
}
