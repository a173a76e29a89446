//! What values may be, judged by the operators that make them, where no data say it.

use onnxpress_ir::{DType, Tensor};
use onnxpress_ops::node::NodeCx;

use super::decide::Types;

/// What an operator does to the range of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Its results may be of any size; why.
    Widens(&'static str),
    /// What it computes on the way may be of any size, whatever its results are; why.
    WidensInside(&'static str),
    /// It sums many values, and its result is of the size of one of them.
    Averages,
    /// Its results are of moderate size, whatever goes in.
    Narrows,
    /// Its results are of the size of its operands.
    Keeps,
}

/// What a node does to the range of values.
pub(super) fn effect(cx: &NodeCx<'_>) -> Effect {
    if !cx.node.canonical_domain().is_empty() {
        return Effect::Keeps;
    }
    let name = cx.node.op_type.to_str();
    match name.as_ref() {
        "Exp" | "Sinh" | "Cosh" => Effect::Widens("exponentials leave its range"),
        "Pow" | "ReduceSumSquare" => Effect::Widens("squares leave its range"),
        "ReduceL2" | "LpNormalization" | "LpPool" => Effect::WidensInside("squares leave its range"),
        "ReduceSum" | "ReduceL1" | "CumSum" | "CumProd" => Effect::Widens("sums of many numbers leave its range"),
        "ReduceProd" | "ReduceLogSum" | "ReduceLogSumExp" => {
            Effect::WidensInside("sums of many numbers leave its range")
        }
        "ReduceMean" => Effect::Averages,
        "Range" => Effect::Widens("large whole numbers are not in it"),
        "Det" => Effect::WidensInside("large whole numbers are not in it"),
        "Reciprocal" | "Tan" => Effect::Widens("reciprocals leave its range"),
        "Mul" if cx.operand(0).is_some() && cx.operand(0) == cx.operand(1) => Effect::Widens("squares leave its range"),
        "Cast" => match cx.dtype(0) {
            Some(DType::Bool | DType::Uint8 | DType::Int8 | DType::Uint4 | DType::Int4) => Effect::Keeps,
            Some(dtype) if dtype.is_integer() => Effect::Widens("large whole numbers are not in it"),
            _ => Effect::Keeps,
        },
        "Div"
        | "Sqrt"
        | "Log"
        | "Sigmoid"
        | "HardSigmoid"
        | "Tanh"
        | "Softmax"
        | "LogSoftmax"
        | "Hardmax"
        | "Sin"
        | "Cos"
        | "Erf"
        | "Sign"
        | "LayerNormalization"
        | "RMSNormalization"
        | "InstanceNormalization"
        | "GroupNormalization"
        | "MeanVarianceNormalization"
        | "Softsign"
        | "Atan"
        | "Asin"
        | "Acos" => Effect::Narrows,
        "Clip" => match (cx.constant(1), cx.constant(2)) {
            (Some(low), Some(high)) if moderate(low) && moderate(high) => Effect::Narrows,
            _ => Effect::Keeps,
        },
        _ => Effect::Keeps,
    }
}

/// Whether all elements are well inside of 16 bits.
fn moderate(tensor: &Tensor) -> bool {
    tensor.to_f64s().is_ok_and(|values| values.iter().all(|value| value.abs() <= 1e4))
}

/// How a constant fares in another type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fit {
    /// Well; so many of its elements become 0 that were none. Whether all are smaller than what the type holds in full precision.
    Well { lost: usize, tiny: bool },
    /// It is a mask: its large numbers become the largest of the type.
    Mask,
    /// Not; why.
    Not(String),
}

/// The largest finite number of a type, and the least that it holds in full precision.
pub(super) fn limits(dtype: DType) -> (f64, f64) {
    match dtype {
        DType::Float16 => (65504.0, 6.103_515_625e-5),
        DType::Bfloat16 => (3.389_531_389_251_535_5e38, f64::from(f32::MIN_POSITIVE)),
        _ => (f64::from(f32::MAX), f64::from(f32::MIN_POSITIVE)),
    }
}

/// How a constant fares in the type that is converted to. `name` is for messages.
pub(super) fn fit(tensor: &Tensor, types: Types, name: &str) -> Fit {
    let (largest, least) = limits(types.to);
    let mut seen = Seen::default();
    match tensor.values::<f32>() {
        Ok(values) => values.iter().for_each(|&value| seen.take(f64::from(value), largest, least)),
        Err(_) => match tensor.to_f64s() {
            Ok(values) => values.iter().for_each(|&value| seen.take(value, largest, least)),
            Err(error) => return Fit::Not(error.to_string()),
        },
    }
    if seen.beyond > 0 {
        // Scores are masked by one number that is as good as minus infinity; beside it there is nothing of size.
        let is_mask = seen.most_beyond < -largest && seen.beyond + seen.zeros == tensor.len();
        return match is_mask {
            true => Fit::Mask,
            false => Fit::Not(format!("`{name}` holds {:e}, beyond {largest:e}", seen.peak)),
        };
    }
    if tensor.len() == 1 && seen.tiny > 0 {
        return Fit::Not(format!("`{name}` is {:e}, too small for it", seen.last));
    }
    Fit::Well { lost: seen.lost, tiny: seen.tiny > 0 && seen.tiny + seen.zeros == tensor.len() }
}

#[derive(Default)]
struct Seen {
    beyond: usize,
    /// The largest of those beyond, with its sign.
    most_beyond: f64,
    peak: f64,
    zeros: usize,
    tiny: usize,
    lost: usize,
    last: f64,
}

impl Seen {
    fn take(&mut self, value: f64, largest: f64, least: f64) {
        let size = value.abs();
        self.last = value;
        if size > largest && size.is_finite() {
            self.most_beyond = if self.beyond == 0 { value } else { self.most_beyond.max(value) };
            self.beyond += 1;
            if size > self.peak.abs() {
                self.peak = value;
            }
        } else if value == 0.0 {
            self.zeros += 1;
        } else if size < least {
            self.tiny += 1;
            // Half of the least that the type has at all, 2^-10 of the least of full precision in binary16.
            self.lost += usize::from(size < least / 2048.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: Types = Types { from: DType::Float, to: DType::Float16 };

    #[test]
    fn constants_fit_or_say_why_not() {
        let of = |values: Vec<f32>| fit(&Tensor::vector(values), HALF, "c");
        assert_eq!(of(vec![1.0, -65504.0, f32::NEG_INFINITY]), Fit::Well { lost: 0, tiny: false });
        assert_eq!(of(vec![1.0, 1e-9]), Fit::Well { lost: 1, tiny: false });
        assert_eq!(of(vec![1e-5, 0.0, -1e-6]), Fit::Well { lost: 0, tiny: true });
        assert_eq!(of(vec![0.0, -1e9]), Fit::Mask);
        assert_eq!(of(vec![f32::MIN]), Fit::Mask);
        assert_eq!(of(vec![1e-12]), Fit::Not("`c` is 9.999999960041972e-13, too small for it".to_owned()));
        assert_eq!(of(vec![1.0, 1e5]), Fit::Not("`c` holds 1e5, beyond 6.5504e4".to_owned()));
    }
}
