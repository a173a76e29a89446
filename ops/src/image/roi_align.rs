//! `RoiAlign`: regions of a feature map, each pooled to the same extents from samples between elements.
//!
//! Operands: X `[n, c, h, w]`, regions `[r, 4]` (x1, y1, x2, y2 in the image's scale), the batch of each `[r]`. Output
//! `[r, c, output_height, output_width]`.
//!
//! From opset 16 on coordinates are shifted by half a pixel unless an attribute says otherwise; before they never are. The
//! maximum is taken over the weighted neighbours of all samples one by one, as the specification's own tests have it.
//!
//! Source: ONNX operator specification, `RoiAlign`, opsets 10 to 22.

use onnxpress_ir::{Dim, Shape, Tensor};

use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static ROI_ALIGN: Operator = Operator {
    domain: "",
    name: "RoiAlign",
    infer: Infer::With(infer),
    axes: Axes::Spec("_ c _ _, r _, r -> r c _"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("its weights are activations"),
    quantize: Quantize::KeepsFloat("coordinates need the precision"),
    cost: Cost::None("no operand is a weight"),
    effects: Effects::Pure,
    gradient: Gradient::NotPossible("regions are no parameters of the models that are compressed"),
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    cx.expect_rank(0, 4)?;
    cx.expect_rank(1, 2)?;
    cx.expect_rank(2, 1)?;
    let extent = |index: usize, axis: usize| cx.shape(index).map_or_else(Dim::unknown, |shape| shape[axis].clone());
    let size = |name| match cx.attrs().int_or(name, 1)? {
        size if size < 0 => Err(Undecided::invalid(format!("`{name}` is {size}"))),
        size => Ok(Dim::from(size)),
    };
    let regions = match (extent(1, 0), extent(2, 0)) {
        (a, b) if a.equals(&b) == Some(false) => {
            return Err(Undecided::invalid(format!("{a} regions in {b} batches")));
        }
        (a, b) => {
            if b.as_const().is_some() || a.is_unknown() {
                b
            } else {
                a
            }
        }
    };
    let shape = [regions, extent(0, 1), size("output_height")?, size("output_width")?];
    cx.set_tensor(0, cx.dtype(0), shape.into_iter().collect::<Shape>());
    Ok(())
}

/// How one axis of a region is cut into bins, and each bin into samples.
struct Cut {
    start: f64,
    bin: f64,
    samples: usize,
    extent: usize,
}

impl Cut {
    /// The two elements beside sample `sample` of bin `bin`, and the weight of the second; `None` outside of the map.
    fn neighbours(&self, bin: usize, sample: usize) -> Option<(usize, usize, f64)> {
        let at = self.start + bin as f64 * self.bin + (sample as f64 + 0.5) * self.bin / self.samples as f64;
        if !(-1.0..=self.extent as f64).contains(&at) {
            return None;
        }
        let at = at.max(0.0);
        let last = self.extent.checked_sub(1)?;
        let low = at as usize;
        Some(if low >= last { (last, last, 0.0) } else { (low, low + 1, at - low as f64) })
    }
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (x, regions) = (cx.tensor(0)?, cx.tensor(1)?);
    let batches = cx.ints(2)?.unwrap_or_default();
    let (&[n, c, h, w], &[count, 4]) = (x.dims(), regions.dims()) else {
        return Err(EvalError::invalid(format!("X {x:?} and regions {regions:?}")));
    };
    if batches.len() != count {
        return Err(EvalError::invalid(format!("{count} regions in {} batches", batches.len())));
    }
    let attrs = cx.attrs();
    let size =
        |name| usize::try_from(attrs.int_or(name, 1)?).map_err(|_| EvalError::invalid(format!("`{name}` is negative")));
    let (rows, columns) = (size("output_height")?, size("output_width")?);
    let sampling = usize::try_from(attrs.int_or("sampling_ratio", 0)?).unwrap_or(0);
    let scale = f64::from(attrs.float_or("spatial_scale", 1.0)?);
    let half =
        cx.version >= 16 && attrs.string_or("coordinate_transformation_mode", "half_pixel".into())? == "half_pixel";
    let offset = if half { 0.5 } else { 0.0 };
    let takes_max = match attrs.string_or("mode", "avg".into())?.as_ref() {
        "avg" => false,
        "max" => true,
        other => return Err(EvalError::invalid(format!("`mode` is `{other}`"))),
    };
    let dims = [count, c, rows, columns];
    let mut y = Vec::with_capacity(cx.room_for(&dims)?);
    let values = x.to_f64s()?;
    let regions = regions.to_f64s()?;
    for (region, &batch) in regions.chunks_exact(4).zip(&batches) {
        let batch = usize::try_from(batch).ok().filter(|&batch| batch < n);
        let batch = batch.ok_or_else(|| EvalError::invalid("a region in a batch that is not there"))?;
        let cut = |low: f64, high: f64, bins: usize, extent: usize| {
            let (start, end) = (low * scale - offset, high * scale - offset);
            let length = if half { end - start } else { (end - start).max(1.0) };
            let bin = length / bins as f64;
            // Memory is not taken for samples, but time is.
            let samples = if sampling > 0 { sampling } else { bin.ceil().max(0.0) as usize };
            Cut { start, bin, samples, extent }
        };
        let vertical = cut(region[1], region[3], rows, h);
        let horizontal = cut(region[0], region[2], columns, w);
        let samples = (vertical.samples as u64).saturating_mul(horizontal.samples as u64);
        cx.spend(samples.saturating_mul((rows as u64).saturating_mul(columns as u64)).saturating_mul(c as u64))?;
        if samples > cx.limit as u64 {
            return Err(EvalError::unsupported("so many samples of a bin"));
        }
        for channel in 0..c {
            let map = &values[(batch * c + channel) * h * w..][..h * w];
            for row in 0..rows {
                for column in 0..columns {
                    let (mut sum, mut highest) = (0.0, None::<f64>);
                    for i in 0..vertical.samples {
                        for j in 0..horizontal.samples {
                            let parts = match (vertical.neighbours(row, i), horizontal.neighbours(column, j)) {
                                (Some((y0, y1, v)), Some((x0, x1, u))) => [
                                    (1.0 - v) * (1.0 - u) * map[y0 * w + x0],
                                    (1.0 - v) * u * map[y0 * w + x1],
                                    v * (1.0 - u) * map[y1 * w + x0],
                                    v * u * map[y1 * w + x1],
                                ],
                                _ => [0.0; 4],
                            };
                            sum += parts.iter().sum::<f64>();
                            let most = parts.into_iter().fold(f64::NEG_INFINITY, f64::max);
                            highest = Some(highest.map_or(most, |highest| highest.max(most)));
                        }
                    }
                    y.push(if takes_max { highest.unwrap_or(0.0) } else { sum / samples.max(1) as f64 });
                }
            }
        }
    }
    Ok(vec![Tensor::from_f64s(x.dtype(), &dims, &y)?.into()])
}
