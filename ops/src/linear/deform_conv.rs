//! `DeformConv`: a convolution whose kernel reads at places shifted by offsets that are data themselves.
//!
//! Operands: X `[n, g·i, s..]`, W `[g·o, i, k..]`, offset `[n, h·|k|·d, t..]` for d spatial axes and h offset groups, the
//! shift along each axis of each place in the kernel; optionally B `[g·o]` and mask `[n, h·|k|, t..]`, a factor for each place.
//! Output `[n, g·o, t..]`. Between elements X is interpolated linearly; outside it is zero.
//!
//! Source: ONNX operator specification, `DeformConv`, opsets 19 to 22; J. Dai et al., "Deformable Convolutional Networks"
//! (2017), X. Zhu et al., "Deformable ConvNets v2" (2018).

use ndarray::{Dimension, IxDyn, indices};
use onnxpress_ir::{Shape, Tensor};

use super::convolution;
use super::{Sliding, Window};
use crate::axes::Axes;
use crate::evaluate::lanes::volume;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize, Rows};

pub(crate) static DEFORM_CONV: Operator = Operator {
    domain: "",
    name: "DeformConv",
    infer: Infer::With(infer),
    axes: Axes::With(axes),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::Layers(|cx| {
        let mut layers = convolution::layers(cx, 0, 1, 3);
        layers.iter_mut().for_each(|layer| layer.rows = Rows::Hidden("the windows are bent by offsets"));
        layers
    }),
    quantize: Quantize::KeepsFloat("it interpolates between elements"),
    cost: Cost::Macs(|cx| convolution::macs(cx, 1)),
    effects: Effects::Pure,
    gradient: Gradient::NotPossible("where it reads is computed"),
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let dtype = cx.dtype(0).or(cx.dtype(1));
    let mut shape = convolution::output_shape(cx, 0, 1)?;
    // Where the window does not tell, the offsets do.
    if let (Some(shape), Some(offset)) = (&mut shape, cx.shape(2).filter(|offset| offset.len() >= 3)) {
        if offset.len() != shape.len() {
            return Err(Undecided::invalid(format!("offsets {offset} for an output {shape}")));
        }
        let pairs = shape.iter_mut().zip(offset.iter()).enumerate();
        for (_, (extent, known)) in pairs.filter(|(axis, (extent, _))| *axis != 1 && extent.is_unknown()) {
            *extent = known.clone();
        }
    }
    cx.set_tensor(0, dtype, shape);
    Ok(())
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    // With several groups of offsets a channel that goes moves others to another group.
    let inputs = match cx.attrs().int_or("offset_group", 1) {
        Ok(1) => ["(g i)", "i"],
        _ => ["_", "_"],
    };
    Ok(format!("n {} s.., (g o) {} k.., n _ t.., (g o), n _ t.. -> n (g o) t..", inputs[0], inputs[1]))
}

/// The elements around a place between them, each with its share in the interpolated value.
fn around(place: &[f64], extents: &[usize]) -> Vec<(usize, f64)> {
    let mut corners = vec![(0usize, 1.0f64)];
    for (&at, &extent) in place.iter().zip(extents) {
        let below = at.floor();
        let mut next = Vec::with_capacity(2 * corners.len());
        for (index, share) in [(below, 1.0 - (at - below)), (below + 1.0, at - below)] {
            // Also false for NaN and for what no index could be.
            if index >= 0.0 && index < extent as f64 && share > 0.0 {
                next.extend(corners.iter().map(|&(flat, weight)| (flat * extent + index as usize, weight * share)));
            }
        }
        corners = next;
    }
    corners
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (x, w, offset) = (cx.tensor(0)?, cx.tensor(1)?, cx.tensor(2)?);
    let (xd, wd) = (x.dims(), w.dims());
    let shape_of_w = Shape::from_extents(wd);
    convolution::common_rank(Some(&Shape::from_extents(xd)), Some(&shape_of_w))?;
    let spatial = xd.len() - 2;
    let kernel = convolution::kernel(&cx.attrs(), Some(&shape_of_w), spatial)?.unwrap_or_default();
    let sliding = Window::of(&cx.attrs(), kernel)?.slide(&xd[2..])?;
    let group = usize::try_from(convolution::group(&cx.attrs())?).unwrap_or(usize::MAX);
    let shifted = usize::try_from(cx.attrs().int_or("offset_group", 1)?).ok().filter(|&groups| groups > 0);
    let shifted = shifted.ok_or_else(|| EvalError::invalid("`offset_group` is not positive"))?;
    if wd[1].checked_mul(group) != Some(xd[1]) || !wd[0].is_multiple_of(group) || !xd[1].is_multiple_of(shifted) {
        return Err(EvalError::invalid("the channels of X and W and the groups do not fit"));
    }
    let taps = volume(&wd[2..]);
    let out = &sliding.positions;
    let dims = |channels: usize| [xd[0], channels].into_iter().chain(out.iter().copied()).collect::<Vec<usize>>();
    let yd = dims(wd[0]);
    let count = cx.room_for(&yd)?;
    cx.spend((count as u64).saturating_mul(wd[1].saturating_mul(taps) as u64))?;
    let expect = |tensor: &Tensor, dims: Vec<usize>| match tensor.dims() == dims {
        true => Ok(tensor.to_f64s()?),
        false => Err(EvalError::invalid(format!("offsets or a mask {:?}, not {dims:?}", tensor.dims()))),
    };
    let offsets = expect(offset, dims(shifted.saturating_mul(taps).saturating_mul(spatial)))?;
    let mask = match cx.optional_tensor(4)? {
        Some(mask) => Some(expect(mask, dims(shifted.saturating_mul(taps)))?),
        None => None,
    };
    let bias = match cx.optional_tensor(3)? {
        Some(bias) if bias.len() == wd[0] => bias.to_f64s()?,
        Some(bias) => {
            return Err(EvalError::invalid(format!("a bias of {} entries for {} channels", bias.len(), wd[0])));
        }
        None => vec![0.0; wd[0]],
    };

    let (xs, ws) = (x.to_f64s()?, w.to_f64s()?);
    let plane = volume(&xd[2..]);
    let positions = volume(out);
    let (inputs, outputs) = (wd[1], wd[0] / group);
    let mut y: Vec<f64> = (0..count).map(|index| bias[index / positions % wd[0]]).collect();
    for n in 0..xd[0] {
        for (position, at) in indices(IxDyn(out)).into_iter().enumerate() {
            for (tap, k) in Sliding::offsets(&wd[2..]) {
                for h in 0..shifted {
                    let number = (n * shifted + h) * taps + tap;
                    let factor = mask.as_ref().map_or(1.0, |mask| mask[number * positions + position]);
                    let place: Vec<f64> = (0..spatial)
                        .map(|axis| {
                            let regular = at.slice()[axis] as i64 * sliding.strides[axis]
                                + k[axis] as i64 * sliding.dilations[axis]
                                - sliding.before[axis];
                            regular as f64 + offsets[(number * spatial + axis) * positions + position]
                        })
                        .collect();
                    let corners = around(&place, &xd[2..]);
                    for c in h * (xd[1] / shifted)..(h + 1) * (xd[1] / shifted) {
                        let x = &xs[(n * xd[1] + c) * plane..][..plane];
                        let value = factor * corners.iter().map(|&(index, share)| share * x[index]).sum::<f64>();
                        for o in c / inputs * outputs..(c / inputs + 1) * outputs {
                            y[(n * wd[0] + o) * positions + position] +=
                                value * ws[(o * inputs + c % inputs) * taps + tap];
                        }
                    }
                }
            }
        }
    }
    Ok(vec![Tensor::from_f64s(x.dtype(), &yd, &y)?.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::op;

    #[test]
    fn without_offsets_it_is_a_convolution() {
        let x: Vec<f32> = (0u8..9).map(f32::from).collect();
        let regular = op("DeformConv")
            .floats(&[1, 1, 3, 3], &x)
            .floats(&[1, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0])
            .floats(&[1, 8, 2, 2], &[0.0; 32]);
        assert_eq!(regular.f32s(), [27.0, 37.0, 57.0, 67.0]);
    }

    #[test]
    fn between_elements_values_are_interpolated_and_outside_there_is_nothing() {
        let read = |shift: f32| {
            op("DeformConv")
                .floats(&[1, 1, 2], &[1.0, 3.0])
                .floats(&[1, 1, 1], &[1.0])
                .floats(&[1, 1, 2], &[shift; 2])
                .f32s()
        };
        assert_eq!(read(0.5), [2.0, 1.5]);
        assert_eq!(read(-0.5), [0.5, 2.0]);
        assert_eq!(read(f32::NAN), [0.0, 0.0]);
        assert_eq!(around(&[1e300], &[2]), []);
    }

    #[test]
    fn offsets_tell_extents_that_the_window_does_not() {
        let open = op("DeformConv").input("float[N,4,?,?]").input("float[8,4,3,3]").input("float[N,18,h,w]");
        assert_eq!(open.infer(), "float[N,8,h,w]");
        assert_eq!(
            op("DeformConv").int("offset_group", 2).axes(),
            "n _ s.., (g o) _ k.., n _ t.., (g o), n _ t.. -> n (g o) t.."
        );
    }
}
