//! `LayerNormalization` and `RMSNormalization`: the last axes of each sample divided by their deviation, or by their root mean
//! square, then scaled by parameters.
//!
//! Operands X `[s.., c..]`, scale and, for `LayerNormalization`, optionally B, broadcast to X; the axes c are those from `axis`
//! (default -1) on. Output Y of the shape of X; `LayerNormalization` also gives Mean and InvStdDev `[s.., 1..]` of the type
//! `stash_type`. onnxruntime knows `LayerNormalization` before opset 17 too.
//!
//! Source: ONNX operator specification, `LayerNormalization`, opset 17, `RMSNormalization`, opset 23; J. Ba et al., "Layer
//! Normalization" (2016), B. Zhang, R. Sennrich, "Root Mean Square Layer Normalization" (2019).

use ndarray::{ArrayD, IxDyn};
use onnxpress_ir::{DType, Dim, Shape, Tensor};

use super::moments::{moments, sheet};
use crate::axes::Axes;
use crate::evaluate::elementwise::broadcast_to;
use crate::evaluate::lanes::Lanes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{self, InferCx, Undecided};
use crate::letters::Letters;
use crate::node::{Attrs, NodeCx};
use crate::operator::Operator;

pub(crate) static LAYER_NORMALIZATION: Operator =
    sheet("LayerNormalization", infer_layer, Axes::With(axes), Gradient::With(super::gradient::layer), evaluate_layer);
pub(crate) static RMS_NORMALIZATION: Operator =
    sheet("RMSNormalization", infer_rms, Axes::With(axes), Gradient::With(super::gradient::rms), evaluate_rms);

/// The first of the normalized axes.
fn first_axis(attrs: &Attrs<'_>, rank: usize) -> Result<usize, Undecided> {
    let axis = attrs.int_or("axis", -1)?;
    onnxpress_ir::shape::normalize_axis(axis, rank)
        .ok_or_else(|| Undecided::invalid(format!("axis {axis} of a tensor of rank {rank}")))
}

fn check_parameters(cx: &InferCx<'_>) -> Result<(), Undecided> {
    let Some(x) = cx.shape(0) else { return Ok(()) };
    first_axis(&cx.attrs(), x.len())?;
    for parameter in (1..cx.operand_count()).filter_map(|index| cx.shape(index)) {
        if x.broadcast(parameter)?.len() != x.len() {
            return Err(Undecided::invalid(format!("a parameter {parameter} for X{x}")));
        }
    }
    Ok(())
}

fn infer_layer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    infer::same_as_first(cx)?;
    check_parameters(cx)?;
    let stash = cx.attrs().dtype("stash_type")?.unwrap_or(DType::Float);
    let statistics = match cx.shape(0) {
        Some(x) => {
            let mut statistics: Shape = x.clone();
            statistics[first_axis(&cx.attrs(), x.len())?..].fill(Dim::from(1));
            Some(statistics)
        }
        None => None,
    };
    cx.set_tensor(1, stash, statistics.clone());
    cx.set_tensor(2, stash, statistics);
    Ok(())
}

fn infer_rms(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    check_parameters(cx)?;
    cx.set_tensor(0, cx.dtype(1).or(cx.dtype(0)), cx.shape(0).cloned());
    Ok(())
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let outputs = |y: &str, ones: &str| match cx.node.is("RMSNormalization") {
        true => y.to_owned(),
        false => format!("{y}, {ones}, {ones}"),
    };
    let count = if cx.node.is("RMSNormalization") { 1 } else { 2 };
    let Some(rank) = cx.rank(0) else {
        return match cx.attrs().int_or("axis", -1) {
            Ok(-1) => Ok(format!("s.. c{} -> {}; normalized c", ", c".repeat(count), outputs("s.. c", "s.. 1"))),
            _ => Err("the rank is not known".to_owned()),
        };
    };
    let first = first_axis(&cx.attrs(), rank).map_err(|_| "`axis` is none of the operand's")?;
    let row = Letters::default().row(rank);
    let parameter = |index: usize| match cx.shape(index) {
        None if rank - first == 1 => row[first].clone(),
        None => "*".to_owned(),
        Some(shape) if shape.len() > rank => "*".to_owned(),
        Some(shape) => {
            let own = row[rank - shape.len()..].iter().zip(shape);
            let letters = own.map(|(letter, dim)| if *dim == Dim::from(1) { "1" } else { letter.as_str() });
            letters.collect::<Vec<_>>().join(" ")
        }
    };
    let parameters: String = (1..=count).map(|index| format!(", {}", parameter(index))).collect();
    let ones: Vec<&str> = (0..rank).map(|axis| if axis < first { row[axis].as_str() } else { "1" }).collect();
    let all = row.join(" ");
    Ok(format!("{all}{parameters} -> {}; normalized {}", outputs(&all, &ones.join(" ")), row[first..].join(" ")))
}

/// An operand's element for each of X.
fn spread(cx: &EvalCx<'_>, index: usize, dims: &[usize]) -> Result<Option<Vec<f64>>, EvalError> {
    let Some(tensor) = cx.optional_tensor(index)? else { return Ok(None) };
    let array = ArrayD::from_shape_vec(IxDyn(tensor.dims()), tensor.to_f64s()?)?;
    Ok(Some(broadcast_to(&array, dims)?.iter().copied().collect()))
}

/// Scales and shifts, where there is something to do it by.
fn apply(values: &mut [f64], scale: Option<Vec<f64>>, bias: Option<Vec<f64>>) {
    for (value, scale) in values.iter_mut().zip(scale.into_iter().flatten()) {
        *value *= scale;
    }
    for (value, bias) in values.iter_mut().zip(bias.into_iter().flatten()) {
        *value += bias;
    }
}

fn evaluate_layer(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let first = first_axis(&cx.attrs(), x.rank())?;
    let epsilon = f64::from(cx.attrs().float_or("epsilon", 1e-5)?);
    let stash = cx.attrs().dtype("stash_type")?.unwrap_or(DType::Float);
    let (mut means, mut deviations) = (Vec::new(), Vec::new());
    let mut values = x.to_f64s()?;
    Lanes::along(x.dims(), first, x.rank()).rewrite(&mut values, |lane| {
        let (mean, var) = moments(lane);
        let inverse = 1.0 / (var + epsilon).sqrt();
        lane.iter_mut().for_each(|x| *x = (*x - mean) * inverse);
        means.push(mean);
        deviations.push(inverse);
    });
    apply(&mut values, spread(cx, 1, x.dims())?, spread(cx, 2, x.dims())?);
    let mut dims = x.dims().to_vec();
    dims[first..].fill(1);
    // Of lanes without elements there is nothing to know.
    let count = cx.room_for(&dims)?;
    means.resize(count, f64::NAN);
    deviations.resize(count, f64::NAN);
    Ok(vec![
        Tensor::from_f64s(x.dtype(), x.dims(), &values)?.into(),
        Tensor::from_f64s(stash, &dims, &means)?.into(),
        Tensor::from_f64s(stash, &dims, &deviations)?.into(),
    ])
}

fn evaluate_rms(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (x, scale) = (cx.tensor(0)?, cx.tensor(1)?);
    let first = first_axis(&cx.attrs(), x.rank())?;
    let epsilon = f64::from(cx.attrs().float_or("epsilon", 1e-5)?);
    let mut values = x.to_f64s()?;
    Lanes::along(x.dims(), first, x.rank()).rewrite(&mut values, |lane| {
        let square = lane.iter().map(|x| x * x).sum::<f64>() / lane.len() as f64;
        let inverse = 1.0 / (square + epsilon).sqrt();
        lane.iter_mut().for_each(|x| *x *= inverse);
    });
    apply(&mut values, spread(cx, 1, x.dims())?, None);
    Ok(vec![Tensor::from_f64s(scale.dtype(), x.dims(), &values)?.into()])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::testing::op;

    #[test]
    fn statistics_are_kept_beside() {
        let node = op("LayerNormalization").outputs(3).float("epsilon", 0.0).floats(&[2, 2], &[1.0, 3.0, 0.0, 8.0]);
        let outputs = node.floats(&[2], &[1.0, 10.0]).floats(&[2], &[0.0, 1.0]).evaluate().unwrap();
        let of = |index: usize| outputs[index].as_tensor().unwrap().to_f32s().unwrap();
        assert_eq!(of(0), [-1.0, 11.0, -1.0, 11.0]);
        assert_eq!((of(1), of(2)), (vec![2.0, 4.0], vec![1.0, 0.25]));
        let open = op("LayerNormalization").outputs(3).int("axis", 1).input("float16[N,s,64]").input("float16[s,64]");
        assert_eq!(open.infer(), "float16[N,s,64], float[N,1,1], float[N,1,1]");
        assert_eq!(open.axes(), "a b c, b c, * -> a b c, a 1 1, a 1 1; normalized b c");
    }

    #[test]
    fn root_mean_square() {
        let node = op("RMSNormalization").float("epsilon", 0.0).floats(&[1, 2], &[1.0, 7.0]).floats(&[2], &[5.0, 10.0]);
        assert_eq!(node.f32s(), [1.0, 14.0]);
        assert_eq!(op("RMSNormalization").input("float16[N,8]").input("float[8]").infer(), "float[N,8]");
        assert_eq!(op("RMSNormalization").input("float").axes(), "s.. c, c -> s.. c; normalized c");
    }

    #[test]
    fn parameters_do_not_enlarge() {
        let wide = op("LayerNormalization").input("float[8]").input("float[2,8]");
        assert_eq!(wide.infer(), "invalid: a parameter [2,8] for X[8]");
        let axis = op("LayerNormalization").int("axis", 2).input("float[N,8]").input("float[8]");
        assert_eq!(axis.infer(), "invalid: axis 2 of a tensor of rank 2");
    }
}
