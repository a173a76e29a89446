//! The `Reduce` operators: each is a formula over the elements that become one.
//!
//! On whole numbers results wrap to the tensor's own width; roots, logarithms and averages are truncated.
//!
//! Source: ONNX operator specification, `ReduceL1`, `ReduceL2`, `ReduceLogSum`, `ReduceLogSumExp`, `ReduceMax`, `ReduceMean`,
//! `ReduceMin`, `ReduceProd`, `ReduceSum`, `ReduceSumSquare`, opsets 1 to 20. Over no elements sums are 0, products 1, logarithms
//! of sums negative infinity.

use std::cmp::Ordering;

use onnxpress_ir::Dim;

use super::reduce::{Kernel, Reduction, Role};
use crate::axes::Axes;
use crate::gradient::Gradient;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

const GROWS: Quantize = Quantize::KeepsFloat("what it sums up leaves the range of its operand");

macro_rules! reduction {
    ($sheet:ident, $name:literal, $quantize:expr, $gradient:expr, $reduction:expr) => {
        pub(crate) static $sheet: Operator = {
            const REDUCTION: Reduction = $reduction;
            Operator {
                domain: "",
                name: $name,
                infer: Infer::With(|cx| REDUCTION.infer(cx)),
                axes: Axes::With(|cx| REDUCTION.axes(cx)),
                evaluate: Evaluate::With(|cx| REDUCTION.evaluate(cx)),
                linear: Linear::None("has no weight"),
                quantize: $quantize,
                cost: Cost::None("has no weight"),
                effects: Effects::Pure,
                gradient: $gradient,
            }
        };
    };
}

reduction!(
    REDUCE_SUM,
    "ReduceSum",
    GROWS,
    Gradient::With(super::gradient::sum),
    Reduction {
        operand_since: 13,
        kernel: Kernel::Numbers { whole: |x| Some(sum(x.iter().copied())), float: |x| x.iter().sum() },
        role: Role::Summed,
        symbolic: Some(|x| Dim::sum(x)),
    }
);

reduction!(
    REDUCE_L1,
    "ReduceL1",
    GROWS,
    Gradient::With(super::gradient::l1),
    Reduction {
        operand_since: 18,
        kernel: Kernel::Numbers {
            whole: |x| Some(sum(x.iter().map(|x| x.wrapping_abs()))),
            float: |x| x.iter().map(|x| x.abs()).sum(),
        },
        role: Role::Summed,
        symbolic: Some(|x| Dim::sum(x.iter().map(|x| x.max(-x)))),
    }
);

reduction!(
    REDUCE_L2,
    "ReduceL2",
    GROWS,
    Gradient::With(super::gradient::l2),
    Reduction {
        operand_since: 18,
        kernel: Kernel::Numbers { whole: |x| truncated(root(squares(x) as f64)), float: |x| root(square_sum(x)) },
        role: Role::Summed,
        symbolic: None,
    }
);

reduction!(
    REDUCE_SUM_SQUARE,
    "ReduceSumSquare",
    GROWS,
    Gradient::With(super::gradient::sum_square),
    Reduction {
        operand_since: 18,
        kernel: Kernel::Numbers { whole: |x| Some(squares(x)), float: square_sum },
        role: Role::Summed,
        symbolic: Some(|x| Dim::sum(x.iter().map(|x| x * x))),
    }
);

reduction!(
    REDUCE_LOG_SUM,
    "ReduceLogSum",
    GROWS,
    Gradient::With(super::gradient::log_sum),
    Reduction {
        operand_since: 18,
        kernel: Kernel::Numbers {
            whole: |x| truncated((sum(x.iter().copied()) as f64).ln()),
            float: |x| x.iter().sum::<f64>().ln(),
        },
        role: Role::Summed,
        symbolic: None,
    }
);

reduction!(
    REDUCE_LOG_SUM_EXP,
    "ReduceLogSumExp",
    GROWS,
    Gradient::With(super::gradient::log_sum_exp),
    Reduction {
        operand_since: 18,
        kernel: Kernel::Numbers {
            whole: |x| truncated(log_sum_exp(&x.iter().map(|&x| x as f64).collect::<Vec<_>>())),
            float: log_sum_exp,
        },
        role: Role::Opaque,
        symbolic: None,
    }
);

reduction!(
    REDUCE_MEAN,
    "ReduceMean",
    Quantize::KeepsFloat("its average is finer than the steps of its operand"),
    Gradient::With(super::gradient::mean),
    Reduction {
        operand_since: 18,
        kernel: Kernel::Numbers {
            whole: |x| sum(x.iter().copied()).checked_div(x.len() as i128),
            float: |x| x.iter().sum::<f64>() / x.len() as f64,
        },
        role: Role::Normalized,
        symbolic: None,
    }
);

reduction!(
    REDUCE_PROD,
    "ReduceProd",
    GROWS,
    Gradient::NotPossible("its quotient by an element that is 0 is not defined"),
    Reduction {
        operand_since: 18,
        kernel: Kernel::Numbers {
            whole: |x| Some(x.iter().fold(1, |product, &x| product.wrapping_mul(x))),
            float: |x| x.iter().product(),
        },
        role: Role::Opaque,
        symbolic: Some(|x| Dim::product(x)),
    }
);

reduction!(
    REDUCE_MAX,
    "ReduceMax",
    Quantize::Moves,
    Gradient::With(super::gradient::extremum),
    Reduction {
        operand_since: 18,
        kernel: Kernel::Extremum(Ordering::Greater),
        role: Role::Chosen,
        symbolic: Some(|x| Dim::max_of(x.iter().cloned())),
    }
);

reduction!(
    REDUCE_MIN,
    "ReduceMin",
    Quantize::Moves,
    Gradient::With(super::gradient::extremum),
    Reduction {
        operand_since: 18,
        kernel: Kernel::Extremum(Ordering::Less),
        role: Role::Chosen,
        symbolic: Some(|x| Dim::min_of(x.iter().cloned())),
    }
);

fn sum(values: impl Iterator<Item = i128>) -> i128 {
    values.fold(0, i128::wrapping_add)
}

fn squares(x: &[i128]) -> i128 {
    sum(x.iter().map(|&x| x.wrapping_mul(x)))
}

fn square_sum(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum()
}

fn root(x: f64) -> f64 {
    x.sqrt()
}

/// The logarithm of the sum of exponentials, relative to the largest so that none overflows.
fn log_sum_exp(x: &[f64]) -> f64 {
    let largest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !largest.is_finite() {
        // Nothing, or infinities, which would meet each other: the sum itself says what it is.
        return x.iter().map(|x| x.exp()).sum::<f64>().ln();
    }
    largest + x.iter().map(|x| (x - largest).exp()).sum::<f64>().ln()
}

/// Toward 0; `None` for what is no number or beyond all of 64 bits, like the logarithm of 0.
fn truncated(x: f64) -> Option<i128> {
    (x.abs() < 2f64.powi(64)).then_some(x as i128)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use onnxpress_ir::{DType, Tensor};

    use crate::testing::{OneNode, op};

    fn over(name: &'static str, axes: &[i64]) -> OneNode {
        op(name).int64s(&[2, 3], &[1, -2, 3, 4, 5, -6]).int64s(&[axes.len()], axes)
    }

    #[test]
    fn elements_along_the_axes_become_one() {
        assert_eq!(over("ReduceSum", &[1]).i64s(), [2, 3]);
        assert_eq!(over("ReduceSum", &[0]).i64s(), [5, 3, -3]);
        assert_eq!(over("ReduceSum", &[0, -1]).i64s(), [5]);
        assert_eq!(over("ReduceL1", &[1]).i64s(), [6, 15]);
        assert_eq!(over("ReduceL2", &[]).i64s(), [9], "the root of 91");
        assert_eq!(over("ReduceSumSquare", &[1]).i64s(), [14, 77]);
        assert_eq!(over("ReduceMax", &[0]).i64s(), [4, 5, 3]);
        assert_eq!(over("ReduceMin", &[1]).i64s(), [-2, -6]);
        assert_eq!(over("ReduceProd", &[1]).i64s(), [-6, -120]);
        assert_eq!(over("ReduceMean", &[1]).i64s(), [0, 1]);
        let exponents = op("ReduceLogSumExp").floats(&[2], &[1000.0, 1000.0]);
        assert_eq!(exponents.f32s(), [1000.0 + 2f32.ln()]);
        assert_eq!(over("ReduceSum", &[2]).fault(), "axis 2 of a tensor of rank 2");
    }

    #[test]
    fn without_axes_all_are_reduced_unless_none_are() {
        assert_eq!(over("ReduceSum", &[]).int("keepdims", 0).infer(), "int64[] = {5}");
        let noop = over("ReduceSumSquare", &[]).int("noop_with_empty_axes", 1);
        assert_eq!(noop.i64s(), [1, 4, 9, 16, 25, 36], "each element alone is squared all the same");
        assert_eq!(noop.axes(), "a b, * -> a b");
        assert_eq!(op("ReduceMean").version(17).input("float").int("keepdims", 0).infer(), "float[]");
    }

    #[test]
    fn over_no_elements_results_are_neutral() {
        let empty = |name| op(name).floats(&[2, 0], &[]).int64s(&[1], &[1]).f32s();
        assert_eq!(empty("ReduceSum"), [0.0, 0.0]);
        assert_eq!(empty("ReduceProd"), [1.0, 1.0]);
        assert_eq!(empty("ReduceMax"), [f32::NEG_INFINITY; 2]);
        assert_eq!(empty("ReduceLogSum"), [f32::NEG_INFINITY; 2]);
        assert_eq!(empty("ReduceLogSumExp"), [f32::NEG_INFINITY; 2]);
        let bytes = Tensor::from_i64s(DType::Uint8, &[0], &[]).unwrap();
        assert_eq!(op("ReduceMin").constant(bytes).i64s(), [255]);
        assert_eq!(op("ReduceSum").floats(&[0, 3], &[]).int64s(&[1], &[1]).f32s(), [0f32; 0]);
    }

    #[test]
    fn shapes_follow_the_axes() {
        let node = op("ReduceMean").version(17).input("float[N,c,h,w]").ints("axes", &[-1, 2]);
        assert_eq!(node.infer(), "float[N,c,1,1]");
        assert_eq!(node.axes(), "a b c d -> a b 1 1; normalized c d");
        let node = op("ReduceMax").input("float[N,c]").int64s(&[1], &[1]).int("keepdims", 0);
        assert_eq!(node.infer(), "float[N]");
        assert_eq!(node.axes(), "a b, * -> a; chosen b");
        assert_eq!(op("ReduceSum").input("float[N,c]").int64s(&[1], &[0]).axes(), "a b, * -> 1 b");
        assert_eq!(op("ReduceProd").input("float[N,c]").int64s(&[1], &[0]).axes(), "_ b, * -> 1 b");
        assert_eq!(op("ReduceSum").input("float[N,c]").input("int64[1]").int("keepdims", 0).infer(), "float[?]");
        assert_eq!(op("ReduceSum").input("float[N,c]").input("int64").infer(), "float[?,?]");
    }

    #[test]
    fn the_size_of_a_shape_is_known() {
        let node = op("ReduceProd").elements("int64[3]", "N 3 h").int("keepdims", 0);
        assert_eq!(node.infer(), "int64[] = {3*N*h}");
        let largest = op("ReduceMax").elements("int64[2]", "N N+1");
        assert_eq!(largest.infer(), "int64[1] = {N + 1}");
    }
}
