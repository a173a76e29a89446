//! `MaxRoiPool`: the largest elements of regions, each cut into the same number of bins.
//!
//! Operands X `[n, c, h, w]`, rois `[r, 5]`: which image, then the corners x1, y1, x2, y2, inclusive; output
//! `[r, c, pooled_shape]`. Corners are scaled and rounded; a bin without elements gives 0.
//!
//! Source: ONNX operator specification, `MaxRoiPool`, opsets 1 to 22; R. Girshick, "Fast R-CNN" (2015).

use onnxpress_ir::{Dim, Shape, Tensor};

use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::node::Attrs;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static MAX_ROI_POOL: Operator = Operator {
    domain: "",
    name: "MaxRoiPool",
    infer: Infer::With(infer),
    axes: Axes::Spec("n c h w, r _ -> r c _ _; chosen n h w"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("it chooses"),
    quantize: Quantize::Moves,
    cost: Cost::None("it has no weight"),
    effects: Effects::Pure,
    gradient: Gradient::NotPossible("regions are no parameters, and what lies in them is chosen twice"),
};

fn bins(attrs: &Attrs<'_>) -> Result<[usize; 2], Undecided> {
    let bins = attrs.ints("pooled_shape")?.unwrap_or_default();
    match bins.as_slice() {
        &[rows, columns] if rows > 0 && columns > 0 => {
            Ok([rows, columns].map(|count| usize::try_from(count).unwrap_or(usize::MAX)))
        }
        other => Err(Undecided::invalid(format!("`pooled_shape` is {other:?}"))),
    }
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    cx.expect_rank(0, 4)?;
    cx.expect_rank(1, 2)?;
    let dim = |index: usize, axis: usize| cx.shape(index).map_or_else(Dim::unknown, |shape| shape[axis].clone());
    let bins = bins(&cx.attrs())?.map(Dim::from_extent);
    let shape: Shape = [dim(1, 0), dim(0, 1)].into_iter().chain(bins).collect();
    cx.set_tensor(0, cx.dtype(0).or(cx.dtype(1)), shape);
    Ok(())
}

/// The elements of bin number `bin` of `bins` in a region from `from` on of the length `length`, inside of `extent`.
fn stretch(bin: usize, bins: usize, from: f64, length: f64, extent: usize) -> std::ops::Range<usize> {
    let size = length / bins as f64;
    let clamp = |at: f64| (at + from).clamp(0.0, extent as f64) as usize;
    clamp((bin as f64 * size).floor())..clamp(((bin + 1) as f64 * size).ceil())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (x, rois) = (cx.tensor(0)?, cx.tensor(1)?);
    let (&[images, channels, height, width], &[count, 5]) = (x.dims(), rois.dims()) else {
        return Err(EvalError::invalid(format!("X{:?} and regions {:?}", x.dims(), rois.dims())));
    };
    let [rows, columns] = bins(&cx.attrs())?;
    let scale = f64::from(cx.attrs().float_or("spatial_scale", 1.0)?);
    let dims = [count, channels, rows, columns];
    let room = cx.room_for(&dims)?;
    cx.spend((room as u64).saturating_mul((height as u64).saturating_mul(width as u64)))?;
    let values = x.to_f64s()?;
    let mut y = Vec::with_capacity(room);
    for roi in rois.to_f64s()?.chunks_exact(5) {
        let image = roi[0];
        if !(image >= 0.0 && image < images as f64) {
            return Err(EvalError::invalid(format!("a region of image {image} of {images}")));
        }
        let [left, top, right, bottom] = [1, 2, 3, 4].map(|corner| (roi[corner] * scale).round());
        let (tall, wide) = ((bottom - top + 1.0).max(1.0), (right - left + 1.0).max(1.0));
        for channel in 0..channels {
            let plane = &values[(image as usize * channels + channel) * height * width..][..height * width];
            for row in 0..rows {
                for column in 0..columns {
                    let across = stretch(column, columns, left, wide, width);
                    let largest = stretch(row, rows, top, tall, height)
                        .flat_map(|row| across.clone().map(move |column| row * width + column))
                        .map(|place| plane[place])
                        .reduce(f64::max);
                    y.push(largest.unwrap_or(0.0));
                }
            }
        }
    }
    Ok(vec![Tensor::from_f64s(x.dtype(), &dims, &y)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn regions_are_cut_into_bins() {
        let x: Vec<f32> = (0u8..16).map(f32::from).collect();
        let pool =
            |roi: &[f32]| op("MaxRoiPool").ints("pooled_shape", &[2, 2]).floats(&[1, 1, 4, 4], &x).floats(&[1, 5], roi);
        assert_eq!(pool(&[0.0, 0.0, 0.0, 3.0, 3.0]).f32s(), [5.0, 7.0, 13.0, 15.0]);
        assert_eq!(pool(&[0.0, 9.0, 9.0, 9.0, 9.0]).f32s(), [0.0; 4], "outside there is nothing");
        assert_eq!(pool(&[1.0, 0.0, 0.0, 3.0, 3.0]).fault(), "a region of image 1 of 1");
    }

    #[test]
    fn one_result_a_region() {
        let pool = op("MaxRoiPool").ints("pooled_shape", &[2, 3]).input("float[N,c,h,w]").input("float[r,5]");
        assert_eq!(pool.infer(), "float[r,c,2,3]");
        assert_eq!(op("MaxRoiPool").ints("pooled_shape", &[0, 3]).infer(), "invalid: `pooled_shape` is [0, 3]");
    }
}
