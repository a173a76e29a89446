//! `LpNormalization`: lanes along an axis divided by their 1- or 2-norm.
//!
//! Operand `[s.., c, t..]`; output of the same type and shape. A lane of zeros stays one.
//!
//! Source: ONNX operator specification, `LpNormalization`, opsets 1 to 22.

use onnxpress_ir::Tensor;

use super::moments::sheet;
use crate::axes::Axes;
use crate::evaluate::lanes::Lanes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{self, InferCx, Undecided};
use crate::letters::Letters;
use crate::node::NodeCx;
use crate::operator::Operator;

pub(crate) static LP_NORMALIZATION: Operator =
    sheet("LpNormalization", infer, Axes::With(axes), Gradient::With(super::gradient::lp), evaluate);

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    infer::same_as_first(cx)?;
    if let Some(rank) = cx.rank(0) {
        cx.axis(cx.attrs().int_or("axis", -1)?, rank)?;
    }
    Ok(())
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let axis = cx.attrs().int_or("axis", -1).map_err(|_| "`axis` is not known")?;
    let rank = cx.rank(0).ok_or("the rank is not known")?;
    let axis = onnxpress_ir::shape::normalize_axis(axis, rank).ok_or("`axis` is none of the operand's")?;
    let row = Letters::default().row(rank);
    let all = row.join(" ");
    Ok(format!("{all} -> {all}; normalized {}", row[axis]))
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let axis = cx.axis(cx.attrs().int_or("axis", -1)?, x.rank())?;
    let norm: fn(&[f64]) -> f64 = match cx.attrs().int_or("p", 2)? {
        1 => |lane| lane.iter().map(|x| x.abs()).sum(),
        2 => |lane| lane.iter().map(|x| x * x).sum::<f64>().sqrt(),
        other => return Err(EvalError::invalid(format!("`p` is {other}, not 1 or 2"))),
    };
    let mut values = x.to_f64s()?;
    Lanes::along(x.dims(), axis, axis + 1).rewrite(&mut values, |lane| {
        let norm = norm(lane);
        lane.iter_mut().for_each(|x| *x = if norm == 0.0 { 0.0 } else { *x / norm });
    });
    Ok(vec![Tensor::from_f64s(x.dtype(), x.dims(), &values)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn lanes_of_zeros_stay() {
        let node = |p| op("LpNormalization").int("p", p).floats(&[2, 2], &[3.0, -4.0, 0.0, 0.0]);
        assert_eq!(node(2).f32s(), [0.6, -0.8, 0.0, 0.0]);
        assert_eq!(node(1).f32s(), [3.0 / 7.0, -4.0 / 7.0, 0.0, 0.0]);
        assert_eq!(node(3).fault(), "`p` is 3, not 1 or 2");
        assert_eq!(op("LpNormalization").int("axis", 0).input("float[N,c]").axes(), "a b -> a b; normalized a");
    }
}
