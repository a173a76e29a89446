//! Adaptive rounding: up or down for each weight, so that the layer's results change least.
//!
//! For rows with second moment `H` rounding a weight by `Δ` changes the results by `tr(Δ H Δᵀ)` in the mean square. Rounding to the
//! nearest minimizes the diagonal of that alone; here neighbours make up for each other. Of the two codes around each weight one
//! is taken at a time, the other one where that lowers the sum, until nothing does: coordinate descent, each output by itself. It begins at
//! the nearest codes, or where gradients lead ([`relaxed`](super::relaxed)), which takes longer and comes further.
//!
//! Source: Nagel et al., "Up or down? Adaptive rounding for post-training quantization", ICML 2020, who state the problem in `H` and
//! relax it; the descent needs neither a relaxation nor steps to be tuned.

use faer::{Mat, MatRef};
use rayon::prelude::*;

use super::layout::Layout;
use super::quantized::Quantized;
use super::relaxed;
use super::scheme::{Refusal, Scheme};
use crate::reconstruction::LayerWeight;

/// Rounds over the columns of an output. Nearly all is gained in the first few.
const ROUNDS: usize = 16;
/// What is added to the diagonal of the metric, as a share of its mean: samples never say everything.
const DAMPING: f64 = 0.01;

/// Where the descent begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// At the nearest codes.
    Nearest,
    /// Where gradients lead.
    Relaxed,
}

/// A weight between two codes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// What a code more is worth.
    pub(super) step: f64,
    /// The code below it and the one above; the same where it lies beyond the last code, or on one.
    pub(super) codes: (i64, i64),
    /// By how much the code below differs from it.
    pub(super) below: f64,
    /// Whether it is rounded up.
    pub(super) up: bool,
}

impl Place {
    /// By how much the weight changes.
    pub(super) fn error(&self) -> f64 {
        self.below + if self.up { self.step } else { 0.0 }
    }
}

/// Rounds the codes of a weight anew, the scales being given: toward `targets`, which have one matrix a group, in the `metrics` of
/// the rows that each group multiplies. A group without a metric stays as it is.
///
/// # Errors
/// Where codes, layer and scheme do not fit each other.
pub(crate) fn round(
    it: &mut Quantized,
    scheme: &Scheme,
    layer: &LayerWeight,
    targets: &[Mat<f64>],
    metrics: &[Mat<f64>],
    beginning: Beginning,
) -> Result<(), Refusal> {
    let limits = scheme.codes()?;
    let layout = Layout::of(it.codes.dims(), it.granularity)?;
    let mut number = vec![0usize; layout.elements()];
    for segment in (0..layout.segment_count()).map(|number| layout.segment(number)) {
        (segment.start..segment.start + segment.length).for_each(|place| number[place] = segment.scale_of(place));
    }
    let (scales, zeros) = (it.scale.to_f64s()?, it.zero_points()?.to_i64s()?);
    let mut codes = it.codes.to_i64s()?;
    for (group, (target, metric)) in targets.iter().zip(metrics).enumerate() {
        if metric.nrows() != target.ncols() {
            continue;
        }
        let metric = damped(metric);
        let between = |output: usize, column: usize| {
            let at = number[layer.place(group, output, column)];
            let (step, zero) = (scales[at], zeros[at]);
            let exact = target[(output, column)] / step + zero as f64;
            let code = |exact: f64| (exact as i64).clamp(i64::from(limits.low), i64::from(limits.high));
            let codes = (code(exact.floor()), code(exact.ceil()));
            let up = codes.0 != codes.1 && code(exact.round_ties_even()) == codes.1;
            Place { step, codes, below: ((codes.0 - zero) as f64 - (exact - zero as f64)) * step, up }
        };
        let row = |output: usize| (0..target.ncols()).map(|column| between(output, column)).collect();
        let mut rows: Vec<Vec<Place>> = (0..target.nrows()).map(row).collect();
        if beginning == Beginning::Relaxed {
            relaxed::choose(&mut rows, &metric);
        }
        let errors = Mat::from_fn(target.ncols(), target.nrows(), |column, output| rows[output][column].error());
        // By columns: half the gradient of each output.
        let slopes = &metric * &errors;
        rows.par_iter_mut().enumerate().for_each(|(output, row)| {
            let mut slope: Vec<f64> = slopes.col(output).iter().copied().collect();
            descend(row, &mut slope, metric.as_ref());
        });
        for (output, row) in rows.iter().enumerate() {
            for (column, place) in row.iter().enumerate() {
                codes[layer.place(group, output, column)] = if place.up { place.codes.1 } else { place.codes.0 };
            }
        }
    }
    it.codes = onnxpress_ir::Tensor::from_i64s(it.codes.dtype(), it.codes.dims(), &codes)?;
    Ok(())
}

/// Takes the other code wherever that lowers the error, until it does nowhere.
fn descend(row: &mut [Place], slope: &mut [f64], metric: MatRef<'_, f64>) {
    for _ in 0..ROUNDS {
        let mut any = false;
        for column in 0..row.len() {
            let place = &mut row[column];
            if place.codes.0 == place.codes.1 {
                continue;
            }
            let step = if place.up { -place.step } else { place.step };
            if step * (2.0 * slope[column] + step * metric[(column, column)]) < 0.0 {
                place.up = !place.up;
                any = true;
                slope.iter_mut().zip(metric.col(column).iter()).for_each(|(slope, entry)| *slope += step * entry);
            }
        }
        if !any {
            break;
        }
    }
}

fn damped(metric: &Mat<f64>) -> Mat<f64> {
    let columns = metric.ncols();
    let mean = (0..columns).map(|column| metric[(column, column)]).sum::<f64>() / columns.max(1) as f64;
    let mut damped = metric.clone();
    (0..columns).for_each(|column| damped[(column, column)] += DAMPING * mean);
    damped
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use onnxpress_ir::{DType, Tensor};
    use onnxpress_ops::{LinearLayer, Rows};
    use proptest::prelude::*;

    use super::super::{Granularity, Rounding, quantize};
    use super::*;

    fn layer() -> LinearLayer {
        LinearLayer {
            input: 0,
            weight: 1,
            bias: None,
            output_axes: vec![0],
            input_axes: vec![1],
            batch_axes: Vec::new(),
            groups: 1,
            rows: Rows::Along { input: 1, output: Some(1) },
        }
    }

    /// `tr(Δ H Δᵀ)`.
    fn lost(it: &Quantized, exact: &Mat<f64>, metric: &Mat<f64>) -> f64 {
        let back = it.dequantized().unwrap().to_f64s().unwrap();
        let error = Mat::from_fn(exact.nrows(), exact.ncols(), |i, j| back[i * exact.ncols() + j] - exact[(i, j)]);
        let product = &error * metric * error.transpose();
        (0..exact.nrows()).map(|output| product[(output, output)]).sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(1), ..ProptestConfig::with_cases(32) })]
        /// Never worse than the nearest, no code further off than one, and with no correlations the nearest itself.
        #[test]
        fn neighbours_make_up_for_each_other(
            values in proptest::collection::vec(-1f32..1.0, 24),
            rows in proptest::collection::vec(-1f64..1.0, 40),
            four: bool, symmetric: bool,
        ) {
            let weight = Tensor::from_values(&[3, 8], values).unwrap();
            let dtype = if four { DType::Int4 } else { DType::Uint8 };
            let scheme = Scheme::of(dtype, symmetric, Rounding::Nearest);
            let nearest = quantize(&weight, Granularity::Channel(0), &scheme).unwrap();
            let layer = LayerWeight::of(&layer(), &[3, 8]).unwrap();
            let targets = layer.matrices(&weight).unwrap();
            let x = Mat::from_fn(5, 8, |row, column| rows[row * 8 + column]);
            let metric = x.transpose() * &x;
            let codes = |it: &Quantized| it.codes.to_i64s().unwrap();
            for beginning in [Beginning::Nearest, Beginning::Relaxed] {
                let adapt = |metric: &Mat<f64>| {
                    let mut it = nearest.clone();
                    round(&mut it, &scheme, &layer, &targets, std::slice::from_ref(metric), beginning).unwrap();
                    it
                };
                let (adapted, damped) = (adapt(&metric), damped(&metric));
                let before = lost(&nearest, &targets[0], &damped);
                prop_assert!(lost(&adapted, &targets[0], &damped) <= before * (1.0 + 1e-9));
                prop_assert!(codes(&adapted).iter().zip(codes(&nearest)).all(|(a, b)| (a - b).abs() <= 1));
                prop_assert_eq!(codes(&adapt(&Mat::identity(8, 8))), codes(&nearest));
            }
        }
    }

    #[test]
    fn gradients_come_further_than_the_descent_alone() {
        let mut random = onnxpress_ir::random::SplitMix64::new(1);
        let mut numbers = |count: usize| (0..count).map(|_| random.nearly_normal()).collect::<Vec<f64>>();
        let (columns, rows) = (48, 24);
        let weight =
            Tensor::from_values(&[8, columns], numbers(8 * columns).iter().map(|x| *x as f32).collect::<Vec<_>>());
        let weight = weight.unwrap();
        let (hidden, mixing) = (numbers(rows * 12), numbers(12 * columns));
        let x = Mat::from_fn(rows, 12, |i, j| hidden[i * 12 + j])
            * Mat::from_fn(12, columns, |i, j| mixing[i * columns + j]);
        let metric = x.transpose() * &x;
        let layer = LayerWeight::of(&layer(), &[8, columns]).unwrap();
        let targets = layer.matrices(&weight).unwrap();
        let scheme = Scheme::of(DType::Int4, true, Rounding::Nearest);
        let nearest = quantize(&weight, Granularity::Channel(0), &scheme).unwrap();
        let [descended, relaxed] = [Beginning::Nearest, Beginning::Relaxed].map(|beginning| {
            let mut it = nearest.clone();
            round(&mut it, &scheme, &layer, &targets, std::slice::from_ref(&metric), beginning).unwrap();
            lost(&it, &targets[0], &damped(&metric))
        });
        assert!(relaxed < descended, "{relaxed} {descended}");
    }
}
