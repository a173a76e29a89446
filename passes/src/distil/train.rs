//! The training: epochs of steps, each followed by a look at the samples that are held out.

use std::time::Instant;

use onnxpress_ir::{DType, Graph, NodeId, Tensor};

use super::curve::Point;
use super::grids::{Grid, Grids};
use super::optimizer::{Descent, length};
use super::options::{Aim, Distil};
use super::pair::Stage;
use super::rate::{LearningRate, TRIED, size};
use super::rows::Rows;
use super::school::{Look, School};
use crate::differentiate::Step;
use crate::evidence::{EvidenceError, EvidenceSource};
use crate::pass::PassError;

/// How many times the loss of the first step a later one may be before the training is given up.
const DIVERGED: f64 = 1000.0;

/// How many steps a length is tried for, at most.
const TRIAL: usize = 24;

/// What a training came to.
pub(super) struct Outcome {
    /// The constants of the learner after the best epoch, codes as what they mean; `None` where the start was as good.
    pub(super) weights: Option<Vec<(NodeId, Tensor)>>,
    /// The start, then each epoch.
    pub(super) curve: Vec<Point>,
    /// The length of the first step: of a parameter's size, where that was tried out.
    pub(super) rate: f64,
    /// Whether someone wanted it to end.
    pub(super) interrupted: bool,
}

fn failed(error: EvidenceError) -> PassError {
    PassError::Request(error.to_string())
}

/// Makes a training ready; see the [module](self).
///
/// # Errors
/// Where samples or models do not suit each other.
pub(super) fn prepare<'t>(
    options: &'t Distil,
    stage: &'t Stage,
    step: &'t Step,
    grids: &'t Grids,
    samples: &'t Rows,
    source: &'t dyn EvidenceSource,
) -> Result<Training<'t>, PassError> {
    let school = School::open(options, stage, step, samples, source).map_err(failed)?;
    let start: Vec<Vec<f32>> = {
        let values = |tensor: &Tensor| tensor.to_f32s().map_err(|error| PassError::Broken(error.to_string()));
        step.start.iter().map(values).collect::<Result<_, _>>()?
    };
    let grids: Vec<Option<&Grid>> = step.parameters.iter().map(|it| grids.get(&it.constant)).collect();
    let kept = step.start.iter().zip(&start).zip(&grids);
    // Zeros among codes are values like others.
    let masks = kept.map(|((tensor, values), grid)| grid.map_or_else(|| mask(tensor, values), |_| None)).collect();
    // Numbers that are no scores have no largest one to agree on.
    let scores = stage.name.is_none() && options.loss != Aim::Mse;
    Ok(Training { options, source, step, start, masks, grids, school, scores })
}

/// A training before its first step.
pub(super) struct Training<'t> {
    options: &'t Distil,
    source: &'t dyn EvidenceSource,
    step: &'t Step,
    start: Vec<Vec<f32>>,
    masks: Vec<Option<Vec<bool>>>,
    /// What parameters that are codes may be.
    grids: Vec<Option<&'t Grid>>,
    school: School<'t>,
    /// Whether answers are scores, of which the largest counts.
    scores: bool,
}

/// Weights on their way.
struct Course {
    weights: Vec<Vec<f32>>,
    descent: Descent,
    first: f64,
    done: usize,
    of: usize,
    /// The loss of the first step.
    begun: Option<f64>,
}

impl Training<'_> {
    /// A course from the start, whose first step is of this length.
    fn course(&self, first: f64, of: usize) -> Course {
        let relative = self.options.lr == LearningRate::Auto;
        let scales = self.start.iter().map(|values| if relative { size(values) } else { 1.0 });
        let descent = Descent::new(self.options.optimizer, &self.start, scales);
        Course { weights: self.start.clone(), descent, first, done: 0, of, begun: None }
    }

    /// Takes a step; answers the loss before it.
    fn step(&mut self, course: &mut Course, samples: &[usize]) -> Result<f64, PassError> {
        let weights = self.tensors(&course.weights)?;
        let (loss, mut gradients) = self.school.gradients(samples, &weights).map_err(failed)?;
        // Of a student that starts where its teacher stands the first loss says nothing.
        let limit = DIVERGED * course.begun.get_or_insert(loss).max(self.school.small_loss().map_err(failed)?);
        if !loss.is_finite() || loss > limit {
            let lr = match self.options.lr {
                LearningRate::Auto => String::new(),
                LearningRate::Given(lr) => format!("; try a smaller `lr` than {lr}"),
            };
            return Err(PassError::Request(format!(
                "the training diverged: a loss of {loss} after {} steps{lr}",
                course.done
            )));
        }
        for ((grid, shadow), gradient) in self.grids.iter().zip(&course.weights).zip(&mut gradients) {
            if let Some(grid) = grid {
                grid.clip(shadow, gradient);
            }
        }
        let length = length(self.options.schedule, course.first, course.done, course.of);
        course.descent.step(&mut course.weights, &gradients, &self.masks, length);
        course.done += 1;
        Ok(loss)
    }

    /// What the samples held out say of weights that are codes or numbers.
    fn look(&mut self, weights: &[Vec<f32>]) -> Result<Look, PassError> {
        let weights = self.tensors(weights)?;
        self.school.look(&weights).map_err(failed)
    }

    /// The parameters as the step takes them: like those at the start, codes as what they mean.
    fn tensors(&self, weights: &[Vec<f32>]) -> Result<Vec<Tensor>, PassError> {
        let tensor = |((like, values), grid): ((&Tensor, &Vec<f32>), &Option<&Grid>)| {
            let values = grid.map_or_else(|| values.clone(), |grid| grid.rounded(values));
            match like.dtype() {
                DType::Float => Tensor::from_values(like.dims(), values),
                dtype => Tensor::from_f64s(dtype, like.dims(), &values.into_iter().map(f64::from).collect::<Vec<_>>()),
            }
        };
        let all = self.step.start.iter().zip(weights).zip(&self.grids).map(tensor).collect::<Result<_, _>>();
        all.map_err(|error| PassError::Broken(error.to_string()))
    }

    /// What the samples held out say of the learner as it is.
    ///
    /// # Errors
    /// Where it cannot be run.
    pub(super) fn look_at(&mut self, learner: &Graph) -> Result<Look, PassError> {
        let constants =
            self.step.parameters.iter().map(|parameter| learner.constant(parameter.constant.port(0)).cloned());
        let weights: Option<Vec<Tensor>> = constants.collect();
        let weights = weights.ok_or_else(|| PassError::Broken("a parameter is gone".to_owned()))?;
        self.school.look(&weights).map_err(failed)
    }

    /// Whether weights are better than those at the start: closer to the teacher, and of its mind as often.
    pub(super) fn is_gain(&self, look: &Look, start: &Look) -> bool {
        look.beats(start) && (!self.scores || look.agreement >= start.agreement)
    }

    /// How many samples are held out.
    pub(super) fn held_out(&self) -> usize {
        self.school.held_out()
    }

    /// The length of the first step: what the request says, or what goes furthest in a short training.
    fn rate(&mut self) -> Result<f64, PassError> {
        if let LearningRate::Given(rate) = self.options.lr {
            return Ok(rate);
        }
        let steps = (self.school.steps() * self.options.epochs).min(TRIAL);
        let (mut best, mut lowest) = (TRIED[TRIED.len() - 1], f64::INFINITY);
        for (number, rate) in TRIED.into_iter().enumerate() {
            let mut course = self.course(rate, steps);
            let mut batches = Vec::new();
            while course.done < steps {
                if batches.is_empty() {
                    batches = self.school.epoch();
                }
                let Some(samples) = batches.pop() else { break };
                match self.step(&mut course, &samples) {
                    Ok(_) => {}
                    Err(error) if number + 1 == TRIED.len() => return Err(error),
                    // It is too long, and that no error: there are shorter ones.
                    Err(_) => break,
                }
                self.source.progress(
                    "distil: how long steps may be",
                    number * steps + course.done,
                    TRIED.len() * steps,
                );
            }
            if course.done == steps {
                let loss = self.look(&course.descent.averaged())?.loss();
                if loss < lowest {
                    (best, lowest) = (rate, loss);
                }
            }
        }
        Ok(best)
    }

    /// Trains.
    ///
    /// # Errors
    /// Where a model cannot be run, or the training diverges.
    pub(super) fn run(mut self, what: &str) -> Result<Outcome, PassError> {
        let start = self.look(&self.start.clone())?;
        let loss = start.loss();
        let mut curve = vec![Point { epoch: 0, train_loss: loss, loss, agreement: start.agreement, kept: true }];
        let (mut best, mut kept) = (0, None);
        let rate = self.rate()?;
        let steps = self.school.steps();
        let mut course = self.course(rate, steps * self.options.epochs);
        let began = Instant::now();
        let mut interrupted = false;
        for epoch in 1..=self.options.epochs {
            let mut sum = 0.0;
            for samples in self.school.epoch() {
                interrupted = self.source.interrupted();
                if interrupted {
                    break;
                }
                let loss = self.step(&mut course, &samples)?;
                sum += loss;
                let left = began.elapsed().as_secs_f64() / course.done as f64 * (course.of - course.done) as f64;
                let what = format!("{what}: loss {loss:.4}, {left:.0} s left");
                self.source.progress(&what, course.done, course.of);
            }
            if interrupted {
                break;
            }
            let averaged = course.descent.averaged();
            let look = self.look(&averaged)?;
            let (loss, agreement) = (look.loss(), look.agreement);
            if loss < curve[best].loss && self.is_gain(&look, &start) {
                curve[best].kept = false;
                (best, kept) = (epoch, Some(averaged));
            }
            curve.push(Point { epoch, train_loss: sum / steps.max(1) as f64, loss, agreement, kept: best == epoch });
        }
        self.source.progress("distil", 0, 0);
        let tensors = kept.map(|weights| self.tensors(&weights)).transpose()?;
        let constants = || self.step.parameters.iter().map(|parameter| parameter.constant);
        let weights = tensors.map(|tensors| constants().zip(tensors).collect());
        Ok(Outcome { weights, curve, rate, interrupted })
    }
}

/// Elements that stay: the zeros of a weight, which a compressor made. A bias of zeros is none.
fn mask(tensor: &Tensor, values: &[f32]) -> Option<Vec<bool>> {
    (tensor.rank() > 1 && values.contains(&0.0)).then(|| values.iter().map(|&value| value == 0.0).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn zeros_of_weights_stay_and_those_of_biases_do_not() {
        let of = |dims: &[usize], values: &[f32]| mask(&Tensor::from_values(dims, values.to_vec()).unwrap(), values);
        assert_eq!(of(&[2, 2], &[0.0, 1.0, 2.0, 0.0]), Some(vec![true, false, false, true]));
        assert_eq!(of(&[2, 1], &[1.0, 2.0]), None);
        assert_eq!(of(&[3], &[0.0, 0.0, 1.0]), None);
    }
}
