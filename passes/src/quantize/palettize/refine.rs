//! Tables, scales and places of a weight chosen again, each given the others.
//!
//! Clusters are made for elements that count each by itself, but a layer's output is off by `tr(E H Eᵀ)`, where errors of one column
//! make up for those of others. With places as they are that is a quadratic in the values of the tables, and in the scale of each
//! channel: both have a best. With these as they are, places are chosen again ([`Descent`]). The three in turn lower the loss until
//! little changes, as clustering itself does in the plain metric.

use faer::Mat;
use rayon::prelude::*;

use super::palette::Palette;
use crate::quantize::sequential::Target;
use crate::quantize::weight::Descent;
use crate::reconstruction::LayerWeight;

/// The most turns, and the share of the loss that one must win for another to follow.
const TURNS: usize = 6;
const WON: f64 = 0.005;
/// The most steps to the best tables, and the share of the first residual where they end.
const STEPS: usize = 24;
const SETTLED: f64 = 1e-4;
/// Tables are chosen by as many outputs as take so many multiplications: a few values need no more to go by.
const WORK: usize = 1 << 31;

/// A group of a layer, in singles.
struct Group {
    number: usize,
    metric: Descent,
    weight: Mat<f32>,
    /// Every so many outputs speak for the tables.
    stride: usize,
}

/// The palette and the numbers looked up in it that `rounded` becomes, a matrix a group; as they were where the metric is beyond
/// computing with. `free` says whether the values of tables can change, or only what they are multiplied by.
pub(super) fn refined(
    target: &Target<'_>,
    palette: Palette,
    rounded: Vec<Mat<f64>>,
    (damping, free): (f64, bool),
) -> (Palette, Vec<Mat<f64>>) {
    let matrices = &target.layer.matrices;
    let singles = |matrix: &Mat<f64>| Mat::from_fn(matrix.nrows(), matrix.ncols(), |o, k| matrix[(o, k)] as f32);
    let group = |(number, (weight, metric)): (usize, (&Mat<f64>, &Mat<f64>))| {
        let products = weight.ncols().saturating_mul(weight.ncols()).saturating_mul(target.fitted.len());
        let outputs = (WORK / products.max(1)).max(1);
        let stride = weight.nrows().div_ceil(outputs);
        Some(Group { number, metric: Descent::of(metric, damping)?, weight: singles(weight), stride })
    };
    let groups: Option<Vec<Group>> = target.fitted.iter().zip(target.metric).enumerate().map(group).collect();
    let Some(groups) = groups else { return (palette, rounded) };
    let mut best = (palette, rounded.iter().map(singles).collect::<Vec<_>>());
    let mut least = lost(&groups, &best.1);
    for _ in 0..TURNS {
        let (mut palette, mut values) = best.clone();
        if free && let Some((other, numbers)) = palette.with_values(&tables(&groups, matrices, &palette, &values)) {
            let before = std::mem::replace(&mut palette, other);
            values = mapped(&groups, matrices, &values, |place, value| {
                numbers[before.site(place, value) as usize] * before.scale(place)
            });
        }
        if let Some(other) = palette.with_scales(&scales(&groups, matrices, &palette, &values)) {
            let before = std::mem::replace(&mut palette, other);
            let numbers: Vec<f32> = before.values().collect();
            values = mapped(&groups, matrices, &values, |place, value| {
                numbers[before.site(place, value) as usize] * palette.scale(place)
            });
        }
        let values: Vec<Mat<f32>> = groups
            .par_iter()
            .map(|group| {
                let place = |o: usize, k: usize| matrices.place(group.number, o, k);
                group
                    .metric
                    .improved(&group.weight, &values[group.number], &|o, k, value| palette.rounded(place(o, k), value))
            })
            .collect();
        let now = lost(&groups, &values);
        if now.is_nan() || now >= least {
            break;
        }
        let won = least - now;
        best = (palette, values);
        let enough = won < WON * least;
        least = now;
        if enough {
            break;
        }
    }
    let (palette, values) = best;
    let doubles = |matrix: &Mat<f32>| Mat::from_fn(matrix.nrows(), matrix.ncols(), |o, k| f64::from(matrix[(o, k)]));
    (palette, values.iter().map(doubles).collect())
}

/// Each number as `of` its place in the tensor and itself has it.
fn mapped(
    groups: &[Group],
    matrices: &LayerWeight,
    values: &[Mat<f32>],
    of: impl Fn(usize, f32) -> f32 + Sync,
) -> Vec<Mat<f32>> {
    let one = |(group, values): (&Group, &Mat<f32>)| {
        Mat::from_fn(values.nrows(), values.ncols(), |o, k| of(matrices.place(group.number, o, k), values[(o, k)]))
    };
    groups.par_iter().zip(values).map(one).collect()
}

/// What the layer's outputs lose.
fn lost(groups: &[Group], values: &[Mat<f32>]) -> f64 {
    groups.par_iter().zip(values).map(|(group, values)| group.metric.lost(&(values - &group.weight))).sum()
}

/// The values of all tables, one behind the other, with which the layer loses least at these places: conjugate gradients, from
/// the values that there are.
fn tables(groups: &[Group], matrices: &LayerWeight, palette: &Palette, values: &[Mat<f32>]) -> Vec<f64> {
    let start: Vec<f64> = palette.values().map(f64::from).collect();
    // Which value an element has, and what it is multiplied by.
    let sites: Vec<Vec<(u32, f32)>> = groups
        .par_iter()
        .zip(values)
        .map(|(group, values)| {
            let rows = (0..values.nrows()).step_by(group.stride);
            let each = |o: usize| (0..values.ncols()).map(move |k| (o, k));
            rows.flat_map(each)
                .map(|(o, k)| {
                    let place = matrices.place(group.number, o, k);
                    (palette.site(place, values[(o, k)]), palette.scale(place))
                })
                .collect()
        })
        .collect();
    let spread = |group: usize, numbers: &[f64]| {
        let (rows, columns) = (values[group].nrows().div_ceil(groups[group].stride), values[group].ncols());
        Mat::from_fn(rows, columns, |o, k| {
            let (value, scale) = sites[group][o * columns + k];
            numbers[value as usize] as f32 * scale
        })
    };
    let gathered = |parts: Vec<(usize, Mat<f32>)>| {
        let mut sums = vec![0f64; start.len()];
        for (group, matrix) in parts {
            for o in 0..matrix.nrows() {
                for k in 0..matrix.ncols() {
                    let (value, scale) = sites[group][o * matrix.ncols() + k];
                    sums[value as usize] += f64::from(matrix[(o, k)]) * f64::from(scale);
                }
            }
        }
        sums
    };
    let through = |numbers: &[f64]| {
        let one = |group: usize| (group, groups[group].metric.weighed(&spread(group, numbers)));
        gathered((0..groups.len()).into_par_iter().map(one).collect())
    };
    let mut steepness = vec![0f64; start.len()];
    for (group, sites) in groups.iter().zip(&sites) {
        let columns = group.weight.ncols();
        for (at, &(value, scale)) in sites.iter().enumerate() {
            steepness[value as usize] += f64::from(group.metric.diagonal(at % columns)) * f64::from(scale).powi(2);
        }
    }
    let residual = |group: usize| {
        let is = spread(group, &start);
        let stride = groups[group].stride;
        let off = Mat::from_fn(is.nrows(), is.ncols(), |o, k| groups[group].weight[(o * stride, k)] - is[(o, k)]);
        (group, groups[group].metric.weighed(&off))
    };
    let right = gathered((0..groups.len()).into_par_iter().map(residual).collect());
    let step = conjugate(&right, &steepness, through);
    start.iter().zip(step).map(|(value, step)| value + step).collect()
}

/// The solution of a symmetric system `A x = right`, `through` being A and `steepness` about its diagonal; values of no steepness stay.
fn conjugate(right: &[f64], steepness: &[f64], through: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let eased = |residual: &[f64]| -> Vec<f64> {
        residual.iter().zip(steepness).map(|(r, &s)| if s > 0.0 { r / s } else { 0.0 }).collect()
    };
    let mut solution = vec![0f64; right.len()];
    let mut residual = right.to_vec();
    let mut direction = eased(&residual);
    let mut size = dot(&residual, &direction);
    let first = size;
    for _ in 0..STEPS {
        if size.is_nan() || size <= SETTLED * SETTLED * first {
            break;
        }
        let turned = through(&direction);
        let length = size / dot(&direction, &turned);
        if !length.is_finite() || length <= 0.0 {
            break;
        }
        solution.iter_mut().zip(&direction).for_each(|(x, d)| *x += length * d);
        residual.iter_mut().zip(&turned).for_each(|(r, t)| *r -= length * t);
        let eased = eased(&residual);
        let now = dot(&residual, &eased);
        let kept = now / size;
        direction.iter_mut().zip(&eased).for_each(|(d, e)| *d = e + kept * *d);
        size = now;
    }
    solution
}

/// The factor of each channel's scale with which the layer loses least, others being as they are.
fn scales(groups: &[Group], matrices: &LayerWeight, palette: &Palette, values: &[Mat<f32>]) -> Vec<f64> {
    let mut parts = vec![(0f64, 0f64); palette.channels()];
    let products: Vec<(Mat<f32>, Mat<f32>)> = groups
        .par_iter()
        .zip(values)
        .map(|(group, values)| (group.metric.weighed(&(&group.weight - values)), group.metric.weighed(values)))
        .collect();
    for ((group, values), (off, own)) in groups.iter().zip(values).zip(&products) {
        for o in 0..values.nrows() {
            for k in 0..values.ncols() {
                let (with, alone) = &mut parts[palette.channel(matrices.place(group.number, o, k))];
                *with += f64::from(values[(o, k)]) * f64::from(off[(o, k)]);
                *alone += f64::from(values[(o, k)]) * f64::from(own[(o, k)]);
            }
        }
    }
    parts.into_iter().map(|(with, alone)| if alone > 0.0 { 1.0 + with / alone } else { 1.0 }).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use onnxpress_ir::Tensor;

    use super::super::codebook::{Codes, Init};
    use super::super::palette::Scheme;
    use super::*;
    use crate::evidence::testing::typed;
    use crate::quantize::sequential::{self, Layer};

    #[test]
    fn what_is_chosen_again_loses_less_and_is_still_looked_up() {
        let graph = typed(
            r#"<ir_version: 8, opset_import: ["" : 17]>
            net (float[N,8,6,6] x) => (float[N,12,4,4] y) <float[12,4,3,3] w = normal(seed=1, std=1.0)> {
                y = Conv<group = 2>(x, w)
            }"#,
        )
        .graph;
        let constant = graph.constants().next().unwrap().0;
        let layer = Layer::reading(&graph, constant).unwrap();
        let like: &Tensor = graph.constant(constant.port(0)).unwrap();
        let number = |a: usize, b: usize| ((a * 7919 + b * 104_729 + 1) % 1009) as f64 / 504.5 - 1.0;
        let rows = Mat::from_fn(100, 36, |row, column| number(row, 0) + 0.5 * number(row, column));
        let second = rows.transpose() * &rows;
        let (metric, fitted) = (vec![second.clone(), second], layer.matrices.matrices(like).unwrap());
        let target = Target { index: 0, layer: &layer, fitted: &fitted, metric: &metric, like };
        for (codes, group, scale) in [
            (Codes::Kmeans, None, true),
            (Codes::Kmeans, Some(6), false),
            (Codes::Kmeans, Some(3), true),
            (Codes::PowerOfTwo, None, true),
        ] {
            let scheme = Scheme { bits: 2, codes, init: Init::Exact, group, scale };
            let palette = Palette::of(like, Some(0), &scheme, None).unwrap();
            let fed = sequential::fed(&target, 0.01, &|place, value| palette.rounded(place, value));
            let loss = |values: &[Mat<f64>]| {
                let of = |(group, values): (usize, &Mat<f64>)| {
                    let off = values - &fitted[group];
                    let product = &off * &metric[group];
                    (0..36).map(|k| (0..6).map(|o| product[(o, k)] * off[(o, k)]).sum::<f64>()).sum::<f64>()
                };
                values.iter().enumerate().map(of).sum::<f64>()
            };
            let free = codes == Codes::Kmeans;
            let (palette, values) = refined(&target, palette, fed.clone(), (0.01, free));
            assert!(loss(&values) < 0.9 * loss(&fed), "{codes:?} {group:?}: {} of {}", loss(&values), loss(&fed));
            for (group, values) in values.iter().enumerate() {
                for (o, k) in (0..6).flat_map(|o| (0..36).map(move |k| (o, k))) {
                    let place = layer.matrices.place(group, o, k);
                    assert_eq!(palette.rounded(place, values[(o, k)] as f32), values[(o, k)] as f32);
                }
            }
            assert_eq!(
                palette.values().count(),
                12usize.div_ceil(scheme.group.unwrap_or(12)) * if free { 4 } else { 3 }
            );
        }
    }

    #[test]
    fn conjugate_gradients_solve() {
        let matrix = [[4.0, 1.0, 0.0], [1.0, 3.0, 0.0], [0.0, 0.0, 0.0]];
        let through =
            |x: &[f64]| matrix.iter().map(|row| row.iter().zip(x).map(|(a, x)| a * x).sum()).collect::<Vec<f64>>();
        let found = conjugate(&[1.0, 2.0, 0.0], &[4.0, 3.0, 0.0], through);
        assert!((found[0] - 1.0 / 11.0).abs() < 1e-9 && (found[1] - 7.0 / 11.0).abs() < 1e-9 && found[2] == 0.0);
    }
}
