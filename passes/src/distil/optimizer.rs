//! From gradients to steps.
//!
//! Adam: D. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization" (2015). The schedule: I. Loshchilov, F. Hutter, "SGDR:
//! Stochastic Gradient Descent with Warm Restarts" (2017), without restarts. The weights that are looked at and kept are means over
//! the last steps (B. Polyak, A. Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992).

use super::{Optimizer, Schedule};

/// How much of the past the mean of gradients keeps, and of Sgd the momentum.
const KEPT: f64 = 0.9;

/// How much of the past the mean of squares keeps. Trainings are short: with more, the first steps would decide them.
const KEPT_SQUARES: f64 = 0.99;

/// What keeps a step finite where gradients were always zero.
const EPSILON: f64 = 1e-8;

/// How much of the past the mean of weights keeps at most.
const KEPT_WEIGHTS: f64 = 0.9;

/// The share of all steps in which the length grows to what it should be.
const WARM_UP: f64 = 0.05;

/// What a parameter went through.
struct Past {
    /// The mean of gradients.
    mean: Vec<f32>,
    /// The mean of their squares.
    squares: Vec<f32>,
    /// The mean of the parameter itself.
    weights: Vec<f32>,
    /// What the length of steps is multiplied by.
    scale: f64,
}

/// The parameters of a model on their way.
pub(super) struct Descent {
    optimizer: Optimizer,
    past: Vec<Past>,
    steps: i32,
}

/// The length of a step, of so many.
pub(super) fn length(schedule: Schedule, first: f64, step: usize, of: usize) -> f64 {
    let (step, of) = (step as f64, of.max(1) as f64);
    match schedule {
        Schedule::Constant => first,
        Schedule::Cosine => {
            let grown = ((step + 1.0) / (WARM_UP * of).max(1.0)).min(1.0);
            first * grown * 0.5 * (1.0 + (std::f64::consts::PI * step / of).cos())
        }
    }
}

impl Descent {
    /// No step taken yet, from these weights, each of which takes steps of its own scale.
    pub(super) fn new(optimizer: Optimizer, weights: &[Vec<f32>], scales: impl Iterator<Item = f64>) -> Self {
        let past = |(weights, scale): (&Vec<f32>, f64)| {
            let squares = if optimizer == Optimizer::Adam { weights.len() } else { 0 };
            Past { mean: vec![0.0; weights.len()], squares: vec![0.0; squares], weights: weights.clone(), scale }
        };
        Self { optimizer, past: weights.iter().zip(scales).map(past).collect(), steps: 0 }
    }

    /// The means of the weights over the last steps.
    pub(super) fn averaged(&self) -> Vec<Vec<f32>> {
        self.past.iter().map(|past| past.weights.clone()).collect()
    }

    /// All that is remembered.
    pub(super) fn arrays(&self) -> impl Iterator<Item = &Vec<f32>> {
        self.past.iter().flat_map(|past| [&past.mean, &past.squares, &past.weights])
    }

    /// All that is remembered, of so many steps, to be written over.
    pub(super) fn remembering(&mut self, steps: usize) -> impl Iterator<Item = &mut Vec<f32>> {
        self.steps = i32::try_from(steps).unwrap_or(i32::MAX);
        self.past.iter_mut().flat_map(|past| [&mut past.mean, &mut past.squares, &mut past.weights])
    }

    /// A step of this length down the gradients. Elements whose `masks` say so stay.
    pub(super) fn step(
        &mut self,
        weights: &mut [Vec<f32>],
        gradients: &[Vec<f32>],
        masks: &[Option<Vec<bool>>],
        length: f64,
    ) {
        self.steps = self.steps.saturating_add(1);
        let correct = 1.0 - KEPT.powi(self.steps);
        let correct_squares = 1.0 - KEPT_SQUARES.powi(self.steps);
        // The first steps are nothing to keep: the mean begins short.
        let steps = f64::from(self.steps);
        let kept = KEPT_WEIGHTS.min(steps / (steps + 9.0));
        for (((weight, gradient), mask), past) in weights.iter_mut().zip(gradients).zip(masks).zip(&mut self.past) {
            let Past { mean, squares, weights: averaged, scale } = past;
            for (at, (weight, &gradient)) in weight.iter_mut().zip(gradient).enumerate() {
                if mask.as_ref().is_some_and(|kept| kept[at]) {
                    continue;
                }
                let gradient = f64::from(gradient);
                let change = match self.optimizer {
                    Optimizer::Sgd => {
                        let mean_now = KEPT * f64::from(mean[at]) + gradient;
                        mean[at] = mean_now as f32;
                        mean_now
                    }
                    Optimizer::Adam => {
                        let mean_now = KEPT * f64::from(mean[at]) + (1.0 - KEPT) * gradient;
                        let squares_now =
                            KEPT_SQUARES * f64::from(squares[at]) + (1.0 - KEPT_SQUARES) * gradient * gradient;
                        (mean[at], squares[at]) = (mean_now as f32, squares_now as f32);
                        mean_now / correct / ((squares_now / correct_squares).sqrt() + EPSILON)
                    }
                };
                *weight = (f64::from(*weight) - length * *scale * change) as f32;
                averaged[at] = (kept * f64::from(averaged[at]) + (1.0 - kept) * f64::from(*weight)) as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lowest point of `(x - 3)^2 / 2`, from 0, by steps of this scale.
    fn descended(optimizer: Optimizer, mask: bool, scale: f64) -> f32 {
        let mut weights = vec![vec![0f32]];
        let mut descent = Descent::new(optimizer, &weights, std::iter::once(scale));
        for step in 0..400 {
            let gradient = vec![vec![weights[0][0] - 3.0]];
            let length = length(Schedule::Cosine, 0.1, step, 400);
            descent.step(&mut weights, &gradient, &[mask.then(|| vec![true])], length);
        }
        assert!((descent.averaged()[0][0] - weights[0][0]).abs() < 1e-2);
        weights[0][0]
    }

    #[test]
    fn both_get_to_the_bottom_and_masked_elements_stay() {
        assert!((descended(Optimizer::Adam, false, 1.0) - 3.0).abs() < 1e-2);
        assert!((descended(Optimizer::Sgd, false, 1.0) - 3.0).abs() < 1e-3);
        assert_eq!(descended(Optimizer::Adam, true, 1.0), 0.0);
        assert!(descended(Optimizer::Adam, false, 0.01) < 1.0, "steps of a small parameter are short");
    }

    #[test]
    fn steps_grow_longer_and_then_shorter() {
        assert!((length(Schedule::Cosine, 2.0, 0, 100) - 0.4).abs() < 1e-9);
        assert!((length(Schedule::Cosine, 2.0, 50, 100) - 1.0).abs() < 1e-12);
        assert_eq!(length(Schedule::Cosine, 2.0, 0, 10), 2.0);
        assert_eq!(length(Schedule::Constant, 2.0, 5, 10), 2.0);
    }
}
