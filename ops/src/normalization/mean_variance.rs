//! `MeanVarianceNormalization`: elements moved and scaled by mean and deviation over some axes.
//!
//! Operand X of any shape; output of the same type and shape, `(X - mean) / (deviation + 1e-9)`, taken over the axes `axes`
//! (default 0, 2, 3).
//!
//! Source: ONNX operator specification, `MeanVarianceNormalization`, opsets 9 to 13. (onnxruntime knows one with other
//! attributes before opset 9.)

use ndarray::{Dimension, IxDyn, indices};
use onnxpress_ir::Tensor;

use super::moments::{moments, sheet};
use crate::axes::Axes;
use crate::evaluate::lanes::volume;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{self, InferCx, Undecided};
use crate::letters::Letters;
use crate::node::{Attrs, NodeCx};
use crate::operator::Operator;

pub(crate) static MEAN_VARIANCE_NORMALIZATION: Operator = sheet(
    "MeanVarianceNormalization",
    infer,
    Axes::With(axes),
    Gradient::With(super::gradient::mean_variance),
    evaluate,
);

/// Which axes of a tensor of this rank the statistics are taken over.
fn taken(attrs: &Attrs<'_>, version: i64, rank: usize) -> Result<Vec<bool>, Undecided> {
    if version < 9 {
        return Err(Undecided::Unknown);
    }
    let mut taken = vec![false; rank];
    for axis in attrs.ints("axes")?.unwrap_or_else(|| vec![0, 2, 3]) {
        let index = onnxpress_ir::shape::normalize_axis(axis, rank)
            .ok_or_else(|| Undecided::invalid(format!("axis {axis} of a tensor of rank {rank}")))?;
        taken[index] = true;
    }
    Ok(taken)
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    infer::same_as_first(cx)?;
    match cx.rank(0).map(|rank| taken(&cx.attrs(), cx.version, rank)) {
        Some(Err(Undecided::Invalid(reason))) => Err(Undecided::Invalid(reason)),
        _ => Ok(()),
    }
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let rank = cx.rank(0).ok_or("the rank is not known")?;
    let taken = taken(&cx.attrs(), cx.version, rank).map_err(|_| "`axes` is not known")?;
    let row = Letters::default().row(rank);
    let all = row.join(" ");
    let normalized: Vec<_> =
        row.iter().zip(taken).filter(|(_, taken)| *taken).map(|(letter, _)| letter.as_str()).collect();
    Ok(format!("{all} -> {all}; normalized {}", normalized.join(" ")))
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    if cx.version < 9 {
        return Err(EvalError::unsupported("the operator before opset 9"));
    }
    let taken = taken(&cx.attrs(), cx.version, x.rank())?;
    let mut values = x.to_f64s()?;
    if values.is_empty() {
        return Ok(vec![x.clone().into()]);
    }
    let dims = x.dims();
    let kept: Vec<usize> = dims.iter().zip(&taken).map(|(&extent, &taken)| if taken { 1 } else { extent }).collect();
    let group = |at: &[usize]| {
        at.iter().zip(&kept).fold(0, |place, (&index, &extent)| place * extent + if extent == 1 { 0 } else { index })
    };
    let groups: Vec<usize> = indices(IxDyn(dims)).into_iter().map(|at| group(at.slice())).collect();
    let mut members = vec![Vec::new(); volume(&kept)];
    groups.iter().zip(&values).for_each(|(&group, &x)| members[group].push(x));
    let statistics: Vec<(f64, f64)> = members.iter().map(|members| moments(members)).collect();
    for (x, &group) in values.iter_mut().zip(&groups) {
        let (mean, var) = statistics[group];
        *x = (*x - mean) / (var.sqrt() + 1e-9);
    }
    Ok(vec![Tensor::from_f64s(x.dtype(), dims, &values)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn statistics_over_some_axes() {
        let node = op("MeanVarianceNormalization").ints("axes", &[0, -1]);
        let y = node.floats(&[2, 2, 1], &[1.0, 10.0, 3.0, 30.0]).f32s();
        assert_eq!(y, [-1.0, -1.0, 1.0, 1.0]);
        let wrong = op("MeanVarianceNormalization").input("float[N,c]");
        assert_eq!(wrong.infer(), "invalid: axis 2 of a tensor of rank 2");
        let open = op("MeanVarianceNormalization").input("float[N,c,h,w]");
        assert_eq!(open.axes(), "a b c d -> a b c d; normalized a c d");
    }
}
