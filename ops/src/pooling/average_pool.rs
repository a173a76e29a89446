//! `AveragePool`: the mean of each window.
//!
//! Operand X `[n, c, s..]`; output `[n, c, t..]`. Elements outside do not count, unless `count_include_pad` says that padding
//! does. `ceil_mode` came with opset 10, `dilations` with 19.
//!
//! Source: ONNX operator specification, `AveragePool`, opsets 1 to 22.

use onnxpress_ir::Tensor;

use super::windowed::{self, Pooling};
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static AVERAGE_POOL: Operator = Operator {
    domain: "",
    name: "AveragePool",
    infer: Infer::With(infer),
    axes: Axes::Spec("n c s.. -> n c t..; normalized s"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("its weights are fixed"),
    quantize: Quantize::Elementwise,
    cost: Cost::None("it has no weight"),
    effects: Effects::Pure,
    gradient: Gradient::With(super::gradient::average_pool),
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    cx.set_tensor(0, cx.dtype(0), windowed::output_shape(cx)?);
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let pooling = Pooling::of(cx, x.dims())?;
    let counts = pooling.counts(cx.attrs().flag("count_include_pad")?);
    let mut y = pooling.gather(&x.to_f64s()?, 0.0, |sum, _, value| *sum += value);
    for (index, y) in y.iter_mut().enumerate() {
        *y /= counts[index % counts.len()] as f64;
    }
    Ok(vec![Tensor::from_f64s(x.dtype(), &pooling.dims, &y)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn padding_counts_if_asked_for_and_what_is_behind_it_never() {
        let pool = |include| {
            op("AveragePool")
                .ints("kernel_shape", &[2])
                .ints("strides", &[2])
                .ints("pads", &[1, 0])
                .int("ceil_mode", 1)
                .int("count_include_pad", include)
                .floats(&[1, 1, 4], &[2.0, 4.0, 6.0, 8.0])
        };
        assert_eq!(pool(0).f32s(), [2.0, 5.0, 8.0]);
        assert_eq!(pool(1).f32s(), [1.0, 5.0, 8.0]);
    }

    #[test]
    fn the_rank_is_that_of_the_kernel() {
        let pool = op("AveragePool").ints("kernel_shape", &[2, 2]);
        assert_eq!(pool.input("float[N,3,8]").infer(), "invalid: operand 0 has rank 3, not 4");
        let huge =
            op("AveragePool").ints("kernel_shape", &[i64::from(i32::MAX)]).ints("pads", &[i64::from(i32::MAX), 0]);
        assert!(huge.floats(&[1, 1, 1], &[1.0]).fault().contains("more than"));
    }
}
