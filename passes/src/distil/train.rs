//! The training: epochs of steps, each followed by a look at the samples that are held out.

use std::time::Instant;

use onnxpress_ir::{DType, Graph, NodeId, Tensor};

use super::curve::Point;
use super::grids::{Grid, Grids};
use super::memory::Memory;
use super::optimizer::{Descent, length};
use super::options::{Aim, Distil};
use super::pair::Stage;
use super::rate::{self, LearningRate, Trial, size};
use super::rows::Rows;
use super::school::{Look, School};
use super::state::{Progress, State};
use crate::differentiate::Step;
use crate::evidence::{EvidenceError, EvidenceSource};
use crate::pass::PassError;

/// How many times the loss of the first step a later one may be before the training is given up.
const DIVERGED: f64 = 1000.0;

/// Steps that are taken for nothing, to see what they take: of the second a runner holds what it keeps of the first, too.
const TRIAL: usize = 2;

/// What a training came to.
pub(super) struct Outcome {
    /// The constants of the learner after the best epoch, codes as what they mean; `None` where the start was as good.
    pub(super) weights: Option<Vec<(NodeId, Tensor)>>,
    /// The start, then each epoch.
    pub(super) curve: Vec<Point>,
    /// The length of the longest step, of a parameter's size unless one is given for all; nothing where it was not found in time.
    pub(super) rate: Option<f64>,
    /// What it took.
    pub(super) memory: Memory,
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
    state: Option<&'t State<'t>>,
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
    Ok(Training { options, source, state, step, start, masks, grids, school, scores })
}

/// A training before its first step.
pub(super) struct Training<'t> {
    options: &'t Distil,
    source: &'t dyn EvidenceSource,
    /// Where the training is kept from one epoch to the next.
    state: Option<&'t State<'t>>,
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

/// A training between two epochs.
struct Underway {
    course: Course,
    /// The start, then each epoch.
    curve: Vec<Point>,
    /// The best weights so far, where they are better than those at the start.
    kept: Option<Vec<Vec<f32>>>,
}

impl Training<'_> {
    /// A course from the start, whose longest step is of this length.
    fn course(&self, first: f64, of: usize) -> Course {
        let relative = !matches!(self.options.lr, LearningRate::Given(_));
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
                lr => format!("; try a smaller `lr` than {lr}"),
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

    /// Sees by steps taken for nothing what the training is going to take, and says it.
    fn foresee(&mut self) -> Result<Memory, PassError> {
        let counted = self.school.counted();
        let before = self.source.held();
        if before.is_some()
            && let Some(samples) = self.school.epoch(1).first()
        {
            let weights = self.tensors(&self.start)?;
            for _ in 0..TRIAL {
                self.school.gradients(samples, &weights).map_err(failed)?;
            }
        }
        let said = before.zip(self.source.held()).map(|(before, after)| counted.foreseen(before, after));
        let text = match said {
            Some(bytes) => format!("distil: the process will hold about {:.0} MB", bytes as f64 / 1e6),
            None => format!("distil: about {:.0} MB of values and weights", counted.all() as f64 / 1e6),
        };
        self.source.progress(&text, 0, self.school.steps() * self.options.epochs);
        Ok(Memory { counted: counted.all(), said, held: None })
    }

    /// How many samples are held out.
    pub(super) fn held_out(&self) -> usize {
        self.school.held_out()
    }

    /// The length of the longest step: what the request says, or what is best in the end; `None` where somebody wants an end.
    fn rate(&mut self) -> Result<Option<f64>, PassError> {
        match self.options.lr {
            LearningRate::Given(rate) => return Ok(Some(rate)),
            LearningRate::Percent(percent) => return Ok(Some(percent / 100.0)),
            LearningRate::Auto => {}
        }
        let steps = self.school.steps() * self.options.epochs;
        let (mut done, all) = (0, rate::spent(steps));
        rate::choose(steps, |rate, steps| {
            let mut course = self.course(rate, steps);
            let (mut batches, mut epoch) = (Vec::new(), 0);
            while course.done < steps {
                if self.source.interrupted() {
                    return Ok(Trial::Interrupted);
                }
                if batches.is_empty() {
                    epoch += 1;
                    batches = self.school.epoch(epoch);
                }
                let Some(samples) = batches.pop() else { break };
                if let Err(error) = self.step(&mut course, &samples) {
                    return Ok(Trial::Diverged(error));
                }
                self.source.progress("distil: how long steps may be", done + course.done, all);
            }
            done += steps;
            Ok(Trial::Ended(self.look(&course.descent.averaged())?.loss()))
        })
    }

    /// A training at its beginning, or where it was left; `None` where somebody wants an end before it has begun.
    fn underway(&mut self, start: &Look) -> Result<Option<Underway>, PassError> {
        let all = self.school.steps() * self.options.epochs;
        if let Some(state) = self.state
            && let Some(found) = state.load(self.school.steps())?
        {
            let progress = &found.progress;
            let mut course = self.course(f64::from_bits(progress.rate), all);
            (course.done, course.begun) = (progress.done, progress.begun);
            let mut kept = progress.better.then(|| self.start.clone());
            let arrays = course.weights.iter_mut().chain(course.descent.remembering(progress.done));
            state.fill(&found, arrays.chain(kept.iter_mut().flatten()))?;
            return Ok(Some(Underway { course, curve: found.progress.curve, kept }));
        }
        let loss = start.loss();
        let curve = vec![Point { epoch: 0, train_loss: loss, loss, agreement: start.agreement, kept: true }];
        let course = self.rate()?.map(|rate| self.course(rate, all));
        Ok(course.map(|course| Underway { course, curve, kept: None }))
    }

    /// Writes down how far it is.
    fn keep(&self, now: &Underway) -> Result<(), PassError> {
        let Some(state) = self.state else { return Ok(()) };
        let Underway { course, curve, kept } = now;
        let progress = Progress {
            rate: course.first.to_bits(),
            done: course.done,
            begun: course.begun,
            curve: curve.clone(),
            better: kept.is_some(),
        };
        state.save(progress, course.weights.iter().chain(course.descent.arrays()).chain(kept.iter().flatten()))
    }

    /// Trains.
    ///
    /// # Errors
    /// Where a model cannot be run, the training diverges, or its state is not to be had.
    pub(super) fn run(mut self, what: &str) -> Result<Outcome, PassError> {
        let start = self.look(&self.start.clone())?;
        let memory = self.foresee()?;
        let Some(mut now) = self.underway(&start)? else {
            let loss = start.loss();
            let curve = vec![Point { epoch: 0, train_loss: loss, loss, agreement: start.agreement, kept: true }];
            return Ok(Outcome { weights: None, curve, rate: None, memory, interrupted: true });
        };
        self.keep(&now)?;
        let (steps, begun_at) = (self.school.steps(), now.course.done);
        let began = Instant::now();
        let mut interrupted = false;
        for epoch in now.curve.len()..=self.options.epochs {
            let mut sum = 0.0;
            for samples in self.school.epoch(epoch) {
                interrupted = self.source.interrupted();
                if interrupted {
                    break;
                }
                let loss = self.step(&mut now.course, &samples)?;
                sum += loss;
                let (done, of) = (now.course.done, now.course.of);
                let left = began.elapsed().as_secs_f64() / (done - begun_at) as f64 * (of - done) as f64;
                let what = format!("{what}: loss {loss:.4}, {left:.0} s left");
                self.source.progress(&what, done, of);
            }
            if interrupted {
                break;
            }
            let averaged = now.course.descent.averaged();
            let look = self.look(&averaged)?;
            let (loss, agreement) = (look.loss(), look.agreement);
            let best = now.curve.iter_mut().rev().find(|point| point.kept);
            let kept = best.is_none_or(|best| {
                let better = loss < best.loss && self.is_gain(&look, &start);
                best.kept = !better;
                better
            });
            if kept {
                now.kept = Some(averaged);
            }
            now.curve.push(Point { epoch, train_loss: sum / steps.max(1) as f64, loss, agreement, kept });
            self.keep(&now)?;
        }
        self.source.progress("distil", 0, 0);
        let memory = Memory { held: self.source.held().map(|held| held.most), ..memory };
        let Underway { course, curve, kept } = now;
        let tensors = kept.map(|weights| self.tensors(&weights)).transpose()?;
        let constants = || self.step.parameters.iter().map(|parameter| parameter.constant);
        let weights = tensors.map(|tensors| constants().zip(tensors).collect());
        Ok(Outcome { weights, curve, rate: Some(course.first), memory, interrupted })
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
