//! Adaptive rounding by gradients: how far each weight is rounded up is a number between 0 and 1, which is driven to one of the two.
//!
//! The number is a sigmoid that is stretched and cut off, `h(v) = clip(σ(v) (ζ - γ) + γ, 0, 1)`. Minimized is what the layer's results
//! change by, `tr(Δ H Δᵀ)`, each output against what rounding to the nearest changes, and a penalty `1 - |2 h - 1|^β` for each weight that
//! is neither up nor down, whose exponent falls, so that first those decide themselves that hardly matter. All weights of an output move
//! together, so it finds what the descent from weight to weight does not; that goes on from here.
//!
//! Source: Nagel et al., "Up or down? Adaptive rounding for post-training quantization", ICML 2020. Steps are Adam's; the weight of the
//! penalty and their length are ours, since each output's change is measured by its own size here.

use faer::Mat;

use super::adaptive::Place;

/// Steps.
const STEPS: usize = 500;
/// The share of steps without a penalty.
const FREE: f64 = 0.2;
/// The length of a step.
const LENGTH: f64 = 0.1;
/// What the penalty of a weight counts, beside a weight's share of what rounding to the nearest changes.
const PENALTY: f64 = 3.0;
/// The exponent of the penalty, first and last.
const EXPONENTS: (f64, f64) = (20.0, 2.0);
/// Where the stretched sigmoid begins and ends.
const STRETCH: (f64, f64) = (-0.1, 1.1);
/// How much of the past means of gradients and of their squares keep.
const KEPT: (f64, f64) = (0.9, 0.99);
/// The least that a root of a square is taken for.
const EPSILON: f64 = 1e-8;

/// A weight on its way.
#[derive(Clone, Copy)]
struct Moving {
    v: f64,
    mean: f64,
    square: f64,
}

impl Moving {
    /// Where nothing is rounded yet: so far up.
    fn at(share: f64) -> Self {
        let (low, high) = STRETCH;
        let sigmoid = (share - low) / (high - low);
        Self { v: (sigmoid / (1.0 - sigmoid)).ln(), mean: 0.0, square: 0.0 }
    }

    /// How far it is rounded up, and how that changes with `v`.
    fn up(&self) -> (f64, f64) {
        let (low, high) = STRETCH;
        let sigmoid = 1.0 / (1.0 + (-self.v).exp());
        let stretched = sigmoid * (high - low) + low;
        let slope = if (0.0..=1.0).contains(&stretched) { (high - low) * sigmoid * (1.0 - sigmoid) } else { 0.0 };
        (stretched.clamp(0.0, 1.0), slope)
    }

    fn step(&mut self, gradient: f64, number: i32) {
        self.mean = KEPT.0 * self.mean + (1.0 - KEPT.0) * gradient;
        self.square = KEPT.1 * self.square + (1.0 - KEPT.1) * gradient * gradient;
        let (mean, square) = (self.mean / (1.0 - KEPT.0.powi(number)), self.square / (1.0 - KEPT.1.powi(number)));
        self.v -= LENGTH * mean / (square.sqrt() + EPSILON);
    }
}

/// The gradient of the penalty, at a point of the way from 0 to 1.
fn penalty(up: f64, way: f64) -> f64 {
    if way < FREE {
        return 0.0;
    }
    let way = (way - FREE) / (1.0 - FREE);
    let (first, last) = EXPONENTS;
    let exponent = last + 0.5 * (first - last) * (1.0 + (std::f64::consts::PI * way).cos());
    let side = 2.0 * up - 1.0;
    -PENALTY * 2.0 * exponent * side.abs().powf(exponent - 1.0) * side.signum()
}

/// What each output's results change by.
fn changes(errors: &Mat<f64>, metric: &Mat<f64>) -> Vec<f64> {
    let slopes = metric * errors;
    (0..errors.ncols()).map(|o| (0..errors.nrows()).map(|k| errors[(k, o)] * slopes[(k, o)]).sum()).collect()
}

/// Decides for each weight whether it is rounded up, given a row an output. An output stays as it is where that is better.
pub(super) fn choose(rows: &mut [Vec<Place>], metric: &Mat<f64>) {
    let columns = metric.nrows();
    let errors = |rows: &[Vec<Place>]| Mat::from_fn(columns, rows.len(), |k, o| rows[o][k].error());
    let nearest = changes(&errors(rows), metric);
    let free = |place: &Place| place.codes.0 != place.codes.1;
    let mut moving: Vec<Vec<Moving>> = rows
        .iter()
        .map(|row| row.iter().map(|place| Moving::at((-place.below / place.step).clamp(0.0, 1.0))).collect())
        .collect();
    for number in 0..STEPS {
        let soft = Mat::from_fn(columns, rows.len(), |k, o| {
            let place = &rows[o][k];
            place.below + if free(place) { moving[o][k].up().0 * place.step } else { 0.0 }
        });
        let slopes = metric * &soft;
        for (o, (row, moving)) in rows.iter().zip(&mut moving).enumerate() {
            let share = nearest[o] / columns.max(1) as f64;
            if share.is_nan() || share <= 0.0 {
                continue;
            }
            for (k, (place, moving)) in row.iter().zip(moving).enumerate().filter(|(_, (place, _))| free(place)) {
                let (up, slope) = moving.up();
                let gradient = 2.0 * slopes[(k, o)] * place.step / share + penalty(up, number as f64 / STEPS as f64);
                moving.step(gradient * slope, number as i32 + 1);
            }
        }
    }
    let chosen: Vec<Vec<Place>> = rows
        .iter()
        .zip(&moving)
        .map(|(row, moving)| {
            let one = |(place, moving): (&Place, &Moving)| Place { up: free(place) && moving.up().0 >= 0.5, ..*place };
            row.iter().zip(moving).map(one).collect()
        })
        .collect();
    let after = changes(&errors(&chosen), metric);
    for ((row, chosen), (before, after)) in rows.iter_mut().zip(chosen).zip(nearest.into_iter().zip(after)) {
        if after < before {
            *row = chosen;
        }
    }
}
