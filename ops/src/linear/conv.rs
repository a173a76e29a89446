//! `Conv`: cross-correlation over any number of spatial axes, with groups.
//!
//! Operands: X `[n, g·i, s..]`, W `[g·o, i, k..]`, optionally B `[g·o]`; output `[n, g·o, t..]`.
//!
//! Source: ONNX operator specification, `Conv`, opsets 1 to 22 (types widened, meaning unchanged).

use ndarray::{ArrayD, Dimension, IxDyn};
use onnxpress_ir::{Dim, Shape, Tensor};

use super::Window;
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::infer::{InferCx, Undecided};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, LinearLayer, Operator, Quantize};

pub(crate) static CONV: Operator = Operator {
    domain: "",
    name: "Conv",
    infer: Infer::With(infer),
    axes: Axes::Spec("n (g i) s.., (g o) i k.., (g o) -> n (g o) t.."),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::Layers(layers),
    quantize: Quantize::Computes,
    cost: Cost::Macs(macs),
    effects: Effects::Pure,
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let dtype = cx.dtype(0).or(cx.dtype(1));
    cx.set_tensor(0, dtype, None);
    let (x, w) = (cx.known_shape(0)?, cx.known_shape(1)?);
    if x.len() < 3 || x.len() != w.len() {
        return Err(Undecided::invalid(format!("X{x} and W{w} are not of one rank of at least 3")));
    }
    let group = cx.attrs().int_or("group", 1)?;
    if group < 1 {
        return Err(Undecided::invalid(format!("`group` is {group}")));
    }
    let channels = &w[1] * &Dim::from(group);
    if x[1].equals(&channels) == Some(false) {
        return Err(Undecided::invalid(format!("X has {} channels, but W takes {group} times {}", x[1], w[1])));
    }
    if w[0].as_const().is_some_and(|outputs| outputs % group != 0) {
        return Err(Undecided::invalid(format!("{} output channels do not fall into {group} groups", w[0])));
    }
    let spatial = x.len() - 2;
    let kernel = match cx.attrs().ints("kernel_shape")? {
        Some(kernel) if kernel.len() == spatial => Some(kernel),
        Some(kernel) => {
            return Err(Undecided::invalid(format!("`kernel_shape` has {} entries, not {spatial}", kernel.len())));
        }
        None => w[2..].iter().map(Dim::as_const).collect(),
    };
    let mut shape: Shape = [x[0].clone(), w[0].clone()].into_iter().collect();
    match kernel {
        Some(kernel) => {
            let window = Window::of(&cx.attrs(), kernel)?;
            shape.extend((0..spatial).map(|axis| window.positions(axis, &x[2 + axis])));
        }
        None => shape.extend((0..spatial).map(|_| Dim::unknown())),
    }
    cx.set_tensor(0, dtype, shape);
    Ok(())
}

fn layers(cx: &NodeCx<'_>) -> Vec<LinearLayer> {
    let rank = cx.rank(1).unwrap_or(4);
    vec![LinearLayer {
        input: 0,
        weight: 1,
        bias: Some(2),
        output_axes: vec![0],
        input_axes: (1..rank).collect(),
        batch_axes: Vec::new(),
        groups: cx.attrs().int_or("group", 1).unwrap_or(1),
    }]
}

/// One a weight and output position: the output's elements times the weights that each sums over.
fn macs(cx: &NodeCx<'_>) -> Dim {
    match (cx.output_shape(0), cx.shape(1)) {
        (Some(y), Some(w)) => y.size() * Dim::product(w.iter().skip(1).cloned()),
        _ => Dim::unknown(),
    }
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (x, w) = (cx.tensor(0)?, cx.tensor(1)?);
    let rank = x.rank();
    if rank < 3 || w.rank() != rank {
        return Err(EvalError::invalid("X and W are not of one rank of at least 3"));
    }
    let dims = |tensor: &Tensor| tensor.dims().to_vec();
    let (xd, wd) = (dims(x), dims(w));
    let group = usize::try_from(cx.attrs().int_or("group", 1)?).ok().filter(|&group| group > 0);
    let group = group.ok_or_else(|| EvalError::invalid("`group` is not positive"))?;
    if xd[1] != wd[1] * group || wd[0] % group != 0 {
        return Err(EvalError::invalid("the channels of X, W and `group` do not fit"));
    }
    let window = Window::of(&cx.attrs(), wd[2..].iter().map(|&extent| extent as i64).collect())?;
    let spatial = rank - 2;
    let out: Vec<usize> = (0..spatial)
        .map(|axis| window.positions(axis, &Dim::from_extent(xd[2 + axis])).as_const().map_or(0, |n| n.max(0) as usize))
        .collect();
    let yd: Vec<usize> = [xd[0], wd[0]].into_iter().chain(out.iter().copied()).collect();
    let count = cx.room_for(&yd)?;
    cx.spend((count as u64).saturating_mul(wd[1..].iter().product::<usize>() as u64))?;

    let xs = ArrayD::from_shape_vec(IxDyn(&xd), x.to_f64s()?)?;
    let ws = ArrayD::from_shape_vec(IxDyn(&wd), w.to_f64s()?)?;
    let bias = cx.optional_tensor(2)?.map(Tensor::to_f64s).transpose()?;
    let before: Vec<i64> = (0..spatial).map(|axis| window.padding(axis, xd[2 + axis] as i64).0).collect();
    let per_group = wd[0] / group;
    let mut y = Vec::with_capacity(count);
    for at in ndarray::indices(IxDyn(&yd)) {
        let (n, o) = (at[0], at[1]);
        let mut sum = match &bias {
            Some(bias) => *bias.get(o).ok_or_else(|| EvalError::invalid("the bias is too short"))?,
            None => 0.0,
        };
        for k in ndarray::indices(IxDyn(&wd[1..])) {
            let mut from = vec![n, o / per_group * wd[1] + k[0]];
            from.extend((0..spatial).map_while(|axis| {
                let place = at[2 + axis] as i64 * window.strides[axis] + k[1 + axis] as i64 * window.dilations[axis]
                    - before[axis];
                usize::try_from(place).ok().filter(|&place| place < xd[2 + axis])
            }));
            if from.len() == rank {
                let weight: Vec<usize> = std::iter::once(o).chain(k.slice().iter().copied()).collect();
                sum += xs[IxDyn(&from)] * ws[IxDyn(&weight)];
            }
        }
        y.push(sum);
    }
    Ok(vec![Tensor::from_f64s(x.dtype(), &yd, &y)?.into()])
}
