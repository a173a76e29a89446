//! `MelWeightMatrix`: triangular filters that sum frequencies to bands of equal width as the ear has them.
//!
//! Operands, all scalars: number of bands, length of the transform, sample rate, lowest and highest frequency. Output
//! `[dft_length / 2 + 1, num_mel_bins]`.
//!
//! Source: ONNX operator specification, `MelWeightMatrix`, opset 17; `mel(f) = 2595 log10(1 + f / 700)`.

use onnxpress_ir::{DType, Dim, Shape, Tensor};

use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::Parameters;

pub(crate) static MEL_WEIGHT_MATRIX: Operator = Operator {
    domain: "",
    name: "MelWeightMatrix",
    infer: Infer::With(infer),
    axes: Axes::Opaque("the operands are extents"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("fixed by its operands"),
    quantize: Quantize::KeepsFloat("fixed by its operands"),
    cost: Cost::None("fixed by its operands"),
    effects: Effects::Pure,
    gradient: Gradient::Zero("fixed by its operands, which count"),
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let dtype = cx.attrs().dtype("output_datatype")?.unwrap_or(DType::Float);
    let node: &NodeCx<'_> = cx;
    let entry = |index: usize| -> Dim { node.sole_entry(index).ok().flatten().unwrap_or_default() };
    let shape: Shape = [entry(1).floor_div(2) + 1, entry(0)].into_iter().collect();
    if let Some(dim) = shape.iter().find(|dim| dim.is_non_negative() == Some(false)) {
        return Err(Undecided::invalid(format!("an extent of {dim}")));
    }
    cx.set_tensor(0, dtype, shape);
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let dtype = cx.attrs().dtype("output_datatype")?.unwrap_or(DType::Float);
    let whole = |index: usize| match cx.ints(index)?.as_deref() {
        Some(&[number]) if number >= 0 => Ok(number),
        other => Err(EvalError::invalid(format!("operand {index} is {other:?}"))),
    };
    let real = |index: usize| match cx.tensor(index)?.to_f64s()?.as_slice() {
        &[number] => Ok(number),
        other => Err(EvalError::invalid(format!("operand {index} is {other:?}"))),
    };
    let (bands, length, rate) = (whole(0)? as usize, whole(1)?, whole(2)?);
    let bins = (length / 2) as usize + 1;
    let count = cx.room_for(&[bins, bands])?;
    let mel = |hertz: f64| 2595.0 * (hertz / 700.0).ln_1p() / std::f64::consts::LN_10;
    let (low, high) = (mel(real(3)?), mel(real(4)?));
    let step = (high - low) / (bands as f64 + 2.0);
    let edge = |at: usize| {
        let hertz = 700.0 * ((at as f64 * step + low) / 2595.0 * std::f64::consts::LN_10).exp_m1();
        let bin = ((length as f64 + 1.0) * hertz / rate as f64).floor();
        if (0.0..bins as f64).contains(&bin) {
            Ok(bin as usize)
        } else {
            Err(EvalError::invalid(format!("a band at {hertz} Hz, with {bins} frequencies of {rate} Hz")))
        }
    };
    let mut weights = vec![0.0; count];
    for band in 0..bands {
        let (left, centre, right) = (edge(band)?, edge(band + 1)?, edge(band + 2)?);
        let mut set = |bin: usize, weight: f64| weights[bin * bands + band] = weight;
        if left == centre {
            set(centre, 1.0);
        }
        for bin in left..=centre {
            if centre > left {
                set(bin, (bin - left) as f64 / (centre - left) as f64);
            }
        }
        for bin in centre..right {
            set(bin, (right - bin) as f64 / (right - centre) as f64);
        }
    }
    Ok(vec![Tensor::from_f64s(dtype, &[bins, bands], &weights)?.into()])
}
