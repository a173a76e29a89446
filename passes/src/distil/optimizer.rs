//! From gradients to steps.
//!
//! Adam: D. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization" (2015). The schedule: I. Loshchilov, F. Hutter, "SGDR:
//! Stochastic Gradient Descent with Warm Restarts" (2017), without restarts.

use super::{Optimizer, Schedule};

/// How much of the past the mean of gradients keeps, and of Sgd the momentum.
const KEPT: f64 = 0.9;

/// How much of the past the mean of squares keeps.
const KEPT_SQUARES: f64 = 0.999;

/// What keeps a step finite where gradients were always zero.
const EPSILON: f64 = 1e-8;

/// The parameters of a model on their way.
pub(super) struct Descent {
    optimizer: Optimizer,
    /// Means of gradients and of their squares, for each parameter.
    means: Vec<(Vec<f32>, Vec<f32>)>,
    steps: i32,
}

/// The length of a step, of so many.
pub(super) fn length(schedule: Schedule, first: f64, step: usize, of: usize) -> f64 {
    match schedule {
        Schedule::Constant => first,
        Schedule::Cosine => first * 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / of.max(1) as f64).cos()),
    }
}

impl Descent {
    /// No step taken yet, of parameters of these sizes.
    pub(super) fn new(optimizer: Optimizer, sizes: impl Iterator<Item = usize>) -> Self {
        let squares = |size| if optimizer == Optimizer::Adam { size } else { 0 };
        let means = sizes.map(|size| (vec![0.0; size], vec![0.0; squares(size)])).collect();
        Self { optimizer, means, steps: 0 }
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
        for (((weight, gradient), mask), (mean, squares)) in
            weights.iter_mut().zip(gradients).zip(masks).zip(&mut self.means)
        {
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
                *weight = (f64::from(*weight) - length * change) as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lowest point of `(x - 3)^2 / 2`, from 0.
    fn descended(optimizer: Optimizer, mask: bool) -> f32 {
        let mut descent = Descent::new(optimizer, std::iter::once(1));
        let mut weights = vec![vec![0f32]];
        for step in 0..400 {
            let gradient = vec![vec![weights[0][0] - 3.0]];
            let length = length(Schedule::Cosine, 0.1, step, 400);
            descent.step(&mut weights, &gradient, &[mask.then(|| vec![true])], length);
        }
        weights[0][0]
    }

    #[test]
    fn both_get_to_the_bottom_and_masked_elements_stay() {
        assert!((descended(Optimizer::Adam, false) - 3.0).abs() < 1e-2);
        assert!((descended(Optimizer::Sgd, false) - 3.0).abs() < 1e-3);
        assert_eq!(descended(Optimizer::Adam, true), 0.0);
    }

    #[test]
    fn steps_grow_shorter() {
        assert_eq!(length(Schedule::Cosine, 2.0, 0, 10), 2.0);
        assert!((length(Schedule::Cosine, 2.0, 5, 10) - 1.0).abs() < 1e-12);
        assert_eq!(length(Schedule::Constant, 2.0, 5, 10), 2.0);
    }
}
