//! `ConvTranspose`: what a convolution does to gradients; each element is spread over a window of the output.
//!
//! Operands: X `[n, g·i, s..]`, W `[g·i, o, k..]`, optionally B `[g·o]`; output `[n, g·o, t..]` with
//! `t = stride * (s - 1) + output_padding + (k - 1) * dilation + 1 - pads`. Where `output_shape` gives t, or `auto_pad` asks
//! for `t = stride * s`, the padding follows from it.
//!
//! Source: ONNX operator specification, `ConvTranspose`, opsets 1 to 22 (types widened, meaning unchanged).

use onnxpress_ir::{Dim, Shape, Tensor};

use super::window::{AutoPad, entries};
use super::{Sliding, convolution};
use crate::axes::Axes;
use crate::evaluate::lanes::volume;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::node::{Attrs, NodeCx};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, LinearLayer, Operator, Quantize, Rows};

pub(crate) static CONV_TRANSPOSE: Operator = Operator {
    domain: "",
    name: "ConvTranspose",
    infer: Infer::With(infer),
    axes: Axes::Spec("n (g i) s.., (g i) o k.., (g o) -> n (g o) t..; group=g"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::Layers(layers),
    quantize: Quantize::Computes,
    cost: Cost::Macs(macs),
    effects: Effects::Pure,
    gradient: Gradient::With(super::convolution_gradient::conv_transpose),
};

/// How far each element is spread.
pub(super) struct Spread {
    kernel: Vec<i64>,
    pub(super) strides: Vec<i64>,
    pub(super) dilations: Vec<i64>,
    pub(super) output_padding: Vec<i64>,
    padding: Padding,
}

enum Padding {
    /// Before each axis, then after each.
    Given(Vec<i64>),
    /// As much as leaves this; the odd one after if so said, else before.
    Leaving { extents: Option<Vec<i64>>, odd_after: bool },
}

impl Spread {
    pub(super) fn of(attrs: &Attrs<'_>, kernel: Vec<i64>) -> Result<Self, Undecided> {
        let spatial = kernel.len();
        if let Some(extent) = kernel.iter().find(|&&extent| !(1..=i64::from(i32::MAX)).contains(&extent)) {
            return Err(Undecided::invalid(format!("the kernel has an extent of {extent}")));
        }
        let auto_pad = AutoPad::of(attrs)?;
        let odd_after = auto_pad == AutoPad::SameUpper;
        let padding = match (attrs.has("output_shape"), auto_pad) {
            (true, _) => Padding::Leaving { extents: Some(entries(attrs, "output_shape", spatial, 0, 0)?), odd_after },
            (false, AutoPad::SameUpper | AutoPad::SameLower) => Padding::Leaving { extents: None, odd_after },
            (false, AutoPad::Valid) => Padding::Given(vec![0; 2 * spatial]),
            (false, AutoPad::NotSet) => Padding::Given(entries(attrs, "pads", 2 * spatial, 0, i64::from(i32::MIN))?),
        };
        Ok(Self {
            strides: entries(attrs, "strides", spatial, 1, 1)?,
            dilations: entries(attrs, "dilations", spatial, 1, 1)?,
            output_padding: entries(attrs, "output_padding", spatial, 0, 0)?,
            kernel,
            padding,
        })
    }

    /// The extent along an axis without any padding, for an input of this one.
    fn full(&self, axis: usize, input: &Dim) -> Dim {
        (input - 1) * self.strides[axis]
            + self.output_padding[axis]
            + ((self.kernel[axis] - 1) * self.dilations[axis] + 1)
    }

    fn output(&self, axis: usize, input: &Dim) -> Dim {
        let spatial = self.kernel.len();
        let full = self.full(axis, input);
        match &self.padding {
            Padding::Given(pads) => full - pads[axis].saturating_add(pads[spatial + axis]),
            Padding::Leaving { extents: Some(extents), .. } => Dim::from(extents[axis]),
            // Padding is never negative, so a window shorter than the stride leaves more than was asked for.
            Padding::Leaving { extents: None, .. } => full.min(input * self.strides[axis]),
        }
    }

    /// Padding before each axis, then after each, over an input of this shape; `None` where that is not known.
    pub(super) fn pads(&self, x: &Shape) -> Option<Vec<i64>> {
        if let Padding::Given(pads) = &self.padding {
            return Some(pads.clone());
        }
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for axis in 0..self.kernel.len() {
            let input = x.get(axis + 2)?;
            let total = (self.full(axis, input) - self.output(axis, input)).as_const()?;
            before.push(self.before(axis, input.as_const()?));
            after.push(total - before[axis]);
        }
        before.extend(after);
        Some(before)
    }

    /// Padding before an axis.
    fn before(&self, axis: usize, input: i64) -> i64 {
        match &self.padding {
            Padding::Given(pads) => pads[axis],
            Padding::Leaving { odd_after, .. } => {
                let input = Dim::from(input);
                let total = self.full(axis, &input) - self.output(axis, &input);
                let total = total.as_const().unwrap_or(0).max(0);
                if *odd_after { total / 2 } else { total - total / 2 }
            }
        }
    }
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let dtype = cx.dtype(0).or(cx.dtype(1));
    let (x, w) = (cx.shape(0), cx.shape(1));
    let Some(rank) = convolution::common_rank(x, w)? else {
        cx.set_tensor(0, dtype, None);
        return Ok(());
    };
    let dim = |shape: Option<&Shape>, axis: usize| shape.map_or_else(Dim::unknown, |shape| shape[axis].clone());
    let group = convolution::group(&cx.attrs())?;
    if dim(x, 1).equals(&dim(w, 0)) == Some(false) {
        return Err(Undecided::invalid(format!("X has {} channels, but W takes {}", dim(x, 1), dim(w, 0))));
    }
    if dim(w, 0).divisible_by(group) == Some(false) {
        return Err(Undecided::invalid(format!("{} channels do not fall into {group} groups", dim(w, 0))));
    }
    let spatial = rank - 2;
    let mut shape: Shape = [dim(x, 0), dim(w, 1) * group].into_iter().collect();
    match convolution::kernel(&cx.attrs(), w, spatial)? {
        Some(kernel) => {
            let spread = Spread::of(&cx.attrs(), kernel)?;
            shape.extend((0..spatial).map(|axis| spread.output(axis, &dim(x, 2 + axis))));
        }
        None => shape.extend((0..spatial).map(|_| Dim::unknown())),
    }
    cx.set_tensor(0, dtype, shape);
    Ok(())
}

fn layers(cx: &NodeCx<'_>) -> Vec<LinearLayer> {
    let rank = cx.rank(1).or(cx.rank(0)).unwrap_or(4);
    vec![LinearLayer {
        input: 0,
        weight: 1,
        bias: Some(2),
        output_axes: vec![1],
        input_axes: std::iter::once(0).chain(2..rank).collect(),
        batch_axes: Vec::new(),
        groups: convolution::group(&cx.attrs()).unwrap_or(1),
        rows: Rows::Along { input: 1, output: None },
    }]
}

/// One a weight and input position: the input's elements times the weights that spread each.
fn macs(cx: &NodeCx<'_>) -> Dim {
    match (cx.shape(0), cx.shape(1)) {
        (Some(x), Some(w)) => x.size() * Dim::product(w.iter().skip(1)),
        _ => Dim::unknown(),
    }
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (x, w) = (cx.tensor(0)?, cx.tensor(1)?);
    let (xd, wd) = (x.dims(), w.dims());
    let shape_of_w = Shape::from_extents(wd);
    convolution::common_rank(Some(&Shape::from_extents(xd)), Some(&shape_of_w))?;
    let group = usize::try_from(convolution::group(&cx.attrs())?).unwrap_or(usize::MAX);
    if xd[1] != wd[0] || !wd[0].is_multiple_of(group) {
        return Err(EvalError::invalid(format!("{} channels, weights {wd:?} and {group} groups do not fit", xd[1])));
    }
    let spatial = xd.len() - 2;
    let kernel = convolution::kernel(&cx.attrs(), Some(&shape_of_w), spatial)?.unwrap_or_default();
    let spread = Spread::of(&cx.attrs(), kernel)?;
    let extent = |axis: usize| {
        let extent = spread.output(axis, &Dim::from_extent(xd[2 + axis])).as_const();
        extent
            .and_then(|extent| usize::try_from(extent).ok())
            .ok_or_else(|| EvalError::invalid("more padding than output"))
    };
    let sliding = Sliding {
        positions: xd[2..].to_vec(),
        extents: (0..spatial).map(extent).collect::<Result<_, _>>()?,
        before: (0..spatial).map(|axis| spread.before(axis, xd[2 + axis] as i64)).collect(),
        strides: spread.strides.clone(),
        dilations: spread.dilations.clone(),
    };
    let channels = wd[1].saturating_mul(group);
    let yd: Vec<usize> = [xd[0], channels].into_iter().chain(sliding.extents.iter().copied()).collect();
    cx.room_for(&yd)?;
    cx.spend((x.len() as u64).saturating_mul(volume(&wd[1..]) as u64))?;
    let bias = cx.optional_tensor(2)?.map(Tensor::to_f64s).transpose()?;
    if let Some(bias) = bias.as_ref().filter(|bias| bias.len() != channels) {
        return Err(EvalError::invalid(format!("a bias of {} entries for {channels} channels", bias.len())));
    }
    let (x_values, w_values) = (x.to_f64s()?, w.to_f64s()?);
    let plane = volume(&sliding.positions);
    let (inputs, outputs) = (wd[0] / group, wd[1]);
    let taps = volume(&wd[2..]);
    let mut y = Vec::new();
    for n in 0..xd[0] {
        for o in 0..channels {
            let mut sums = vec![bias.as_ref().map_or(0.0, |bias| bias[o]); volume(&sliding.extents)];
            for i in o / outputs * inputs..(o / outputs + 1) * inputs {
                let x = &x_values[(n * xd[1] + i) * plane..][..plane];
                let w = &w_values[(i * outputs + o % outputs) * taps..][..taps];
                for (number, offset) in Sliding::offsets(&wd[2..]) {
                    let weight = w[number];
                    sliding.rows(&offset, |row| {
                        row.pairs().for_each(|(position, element)| sums[element] += weight * x[position]);
                    });
                }
            }
            y.append(&mut sums);
        }
    }
    Ok(vec![Tensor::from_f64s(x.dtype(), &yd, &y)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    fn upsampling() -> crate::testing::OneNode {
        op("ConvTranspose").ints("strides", &[2])
    }

    #[test]
    fn extents_grow_with_the_stride() {
        let given = |node: crate::testing::OneNode| node.input("float[N,4,h]").input("float[4,3,2]").infer();
        assert_eq!(given(upsampling()), "float[N,3,2*h]");
        assert_eq!(given(upsampling().ints("output_padding", &[1]).ints("pads", &[1, 0])), "float[N,3,2*h]");
        assert_eq!(given(upsampling().ints("output_shape", &[9])), "float[N,3,9]");
        assert_eq!(given(upsampling().string("auto_pad", "SAME_UPPER")), "float[N,3,2*h]");
        assert_eq!(given(upsampling().int("group", 2)), "float[N,6,2*h]");
        assert_eq!(given(upsampling().int("group", 3)), "invalid: 4 channels do not fall into 3 groups");
    }

    #[test]
    fn each_element_is_spread_over_a_window() {
        let y = upsampling().floats(&[1, 1, 2], &[1.0, 10.0]).floats(&[1, 1, 3], &[1.0, 2.0, 3.0]);
        assert_eq!(y.f32s(), [1.0, 2.0, 13.0, 20.0, 30.0]);
        let cut =
            upsampling().ints("pads", &[1, 1]).floats(&[1, 1, 2], &[1.0, 10.0]).floats(&[1, 1, 3], &[1.0, 2.0, 3.0]);
        assert_eq!(cut.f32s(), [2.0, 13.0, 20.0]);
        let longer = upsampling()
            .ints("output_shape", &[6])
            .floats(&[1, 1, 2], &[1.0, 10.0])
            .floats(&[1, 1, 3], &[1.0, 2.0, 3.0]);
        assert_eq!(longer.f32s(), [1.0, 2.0, 13.0, 20.0, 30.0, 0.0]);
    }

    #[test]
    fn groups_have_weights_of_their_own() {
        let y = op("ConvTranspose").int("group", 2).floats(&[1, 2, 1], &[1.0, 2.0]).floats(&[2, 1, 1], &[10.0, 100.0]);
        assert_eq!(y.f32s(), [10.0, 200.0]);
    }
}
