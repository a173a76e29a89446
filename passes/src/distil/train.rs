//! The training: epochs of steps, each followed by a look at the samples that are held out.

use onnxpress_ir::random::SplitMix64;
use onnxpress_ir::{Dim, Graph, Model, Tensor};
use onnxpress_ops::evaluate::Value;
use serde::Serialize;

use super::augment::augment;
use super::optimizer::{Descent, length};
use super::options::Distil;
use super::rows::Rows;
use crate::differentiate::{Loss, Step};
use crate::evidence::{EvidenceError, EvidenceSource, Execute};
use crate::pass::PassError;

/// How many times the loss of the first step a later one may be before the training is given up.
const DIVERGED: f64 = 1000.0;

/// What is known after an epoch.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Point {
    /// How many epochs there were; 0 before the first.
    pub(super) epoch: usize,
    /// The mean loss over the epoch's steps; of the start, that of the samples held out.
    pub(super) train_loss: f64,
    /// The mean loss over the samples held out.
    pub(super) loss: f64,
    /// The share of these on which student and teacher choose the same class.
    pub(super) agreement: f64,
    /// How many there are.
    pub(super) samples: usize,
    /// Whether these are the weights that are kept.
    pub(super) kept: bool,
}

/// What a training came to.
pub(super) struct Outcome {
    /// The parameters of the best epoch; `None` where the start was as good.
    pub(super) weights: Option<Vec<Tensor>>,
    /// The start, then each epoch.
    pub(super) curve: Vec<Point>,
    /// How many epochs were asked for.
    pub(super) epochs: usize,
}

fn failed(error: EvidenceError) -> PassError {
    PassError::Request(error.to_string())
}

/// How many samples the model takes at a time, where that is fixed.
fn fixed_batch(graph: &Graph) -> Option<usize> {
    let inputs = graph.inputs().iter().map(|&id| graph.input(id)).filter(|input| input.default.is_none());
    let first = |shape: &onnxpress_ir::Shape| shape.first().and_then(Dim::as_const);
    let mut fixed = inputs.filter_map(|input| input.declared.shape().and_then(first));
    fixed.next().and_then(|extent| usize::try_from(extent).ok())
}

fn interface(model: &Model) -> (Vec<String>, usize) {
    let graph = &model.graph;
    (graph.inputs().iter().map(|id| graph.label(id.port(0))).collect(), graph.outputs().len())
}

/// Teacher, student and samples at work.
struct School<'s> {
    options: &'s Distil,
    step: &'s Step,
    source: &'s dyn EvidenceSource,
    samples: Rows,
    /// What the teacher says of each sample as it is.
    answers: Rows,
    teacher: Box<dyn Execute + 's>,
    stepping: Box<dyn Execute + 's>,
    looking: Box<dyn Execute + 's>,
    batch: usize,
    training: Vec<usize>,
    held_out: Vec<usize>,
    random: SplitMix64,
}

/// The compared outputs of the teacher for a batch.
fn answer(
    teacher: &mut dyn Execute,
    step: &Step,
    inputs: &[Option<Value>],
) -> Result<Vec<Option<Value>>, EvidenceError> {
    let outputs = teacher.run(inputs)?;
    Ok(step.compared.iter().map(|&index| outputs.get(index).cloned()).collect())
}

/// Trains; see the [module](self).
///
/// # Errors
/// Where samples or models do not suit each other, or the training diverges.
pub(super) fn train(
    options: &Distil,
    teacher: &Model,
    student: &Model,
    step: &Step,
    source: &dyn EvidenceSource,
) -> Result<Outcome, PassError> {
    let (own, others) = (interface(student), interface(teacher));
    if own != others {
        return Err(PassError::Request(format!(
            "the teacher takes {} and gives {} outputs, the student takes {} and gives {}",
            others.0.join(", "),
            others.1,
            own.0.join(", "),
            own.1
        )));
    }
    let school = School::open(options, teacher, student, step, source).map_err(failed)?;
    school.run()
}

/// The numbers from 0 in an order that is drawn.
fn shuffled(mut numbers: Vec<usize>, random: &mut SplitMix64) -> Vec<usize> {
    for last in (1..numbers.len()).rev() {
        let other = (random.unit() * (last + 1) as f64) as usize;
        numbers.swap(last, other.min(last));
    }
    numbers
}

impl<'s> School<'s> {
    fn open(
        options: &'s Distil,
        teacher: &'s Model,
        student: &Model,
        step: &'s Step,
        source: &'s dyn EvidenceSource,
    ) -> Result<Self, EvidenceError> {
        let fixed = fixed_batch(&student.graph);
        let samples = Rows::read(source, student, fixed.unwrap_or(options.batch))?;
        let batch = fixed.unwrap_or_else(|| options.batch.min(samples.len() / 4).max(1));
        let wanted = (options.held_out.get() * samples.len() as f64 / batch as f64).ceil() as usize * batch;
        if wanted == 0 || samples.len() < wanted + batch {
            return Err(EvidenceError::Samples(format!(
                "{} samples are too few to hold out {wanted} and train on batches of {batch}",
                samples.len()
            )));
        }
        let mut random = SplitMix64::new(options.seed);
        let mut order = shuffled((0..samples.len()).collect(), &mut random);
        let training = order.split_off(wanted);
        let mut school = Self {
            options,
            step,
            source,
            samples,
            answers: Rows::default(),
            teacher: source.load(teacher)?,
            stepping: source.load(&step.model)?,
            looking: source.load(&step.forward)?,
            batch,
            training,
            held_out: order,
            random,
        };
        school.ask()?;
        Ok(school)
    }

    /// Asks the teacher for all samples as they are. The last batch is filled up with its last sample.
    fn ask(&mut self) -> Result<(), EvidenceError> {
        let count = self.samples.len();
        let what = format!("distil: {:.1} MB of samples, the teacher answers", self.samples.bytes() as f64 / 1e6);
        for start in (0..count).step_by(self.batch) {
            let numbers: Vec<usize> = (start..start + self.batch).map(|sample| sample.min(count - 1)).collect();
            let answers = answer(&mut *self.teacher, self.step, &self.samples.batch(&numbers)?)?;
            self.answers.push(&answers, self.batch, self.batch.min(count - start))?;
            self.source.progress(&what, start, count);
        }
        Ok(())
    }

    fn run(mut self) -> Result<Outcome, PassError> {
        let start: Vec<Tensor> = self.step.start.clone();
        let values = |tensor: &Tensor| tensor.to_f32s().map_err(|error| PassError::Broken(error.to_string()));
        let mut weights = start.iter().map(values).collect::<Result<Vec<_>, _>>()?;
        let masks: Vec<Option<Vec<bool>>> =
            start.iter().zip(&weights).map(|(tensor, values)| mask(tensor, values)).collect();
        let mut descent = Descent::new(self.options.optimizer, weights.iter().map(Vec::len));
        let steps = self.training.len() / self.batch;
        let total = steps * self.options.epochs;
        let (loss, agreement) = self.look(&tensors(&start, &weights)?).map_err(failed)?;
        let mut curve =
            vec![Point { epoch: 0, train_loss: loss, loss, agreement, samples: self.held_out.len(), kept: true }];
        let (mut best, mut kept) = (0, None);
        let mut first = None;
        for epoch in 1..=self.options.epochs {
            let order = shuffled(std::mem::take(&mut self.training), &mut self.random);
            let mut sum = 0.0;
            for (number, samples) in order.chunks_exact(self.batch).enumerate() {
                let done = (epoch - 1) * steps + number;
                let (loss, gradients) = self.gradients(samples, &tensors(&start, &weights)?).map_err(failed)?;
                let limit = DIVERGED * *first.get_or_insert(loss.max(f64::from(f32::EPSILON)));
                if !loss.is_finite() || loss > limit {
                    return Err(PassError::Request(format!(
                        "the training diverged: a loss of {loss} after {done} steps; try a smaller `lr` than {}",
                        self.options.lr
                    )));
                }
                let length = length(self.options.schedule, self.options.lr, done, total);
                descent.step(&mut weights, &gradients, &masks, length);
                sum += loss;
                self.source.progress(&format!("distil: loss {loss:.4}"), done + 1, total);
            }
            self.training = order;
            let (loss, agreement) = self.look(&tensors(&start, &weights)?).map_err(failed)?;
            let point = Point {
                epoch,
                train_loss: sum / steps.max(1) as f64,
                loss,
                agreement,
                samples: self.held_out.len(),
                kept: false,
            };
            // Numbers that are no scores have no largest one to agree on.
            let scored = self.options.loss == Loss::Kl;
            let rank = |point: &Point| (if scored { point.agreement } else { 0.0 }, -point.loss);
            if loss.is_finite() && rank(&point) > rank(&curve[best]) {
                curve[best].kept = false;
                (best, kept) = (epoch, Some(weights.clone()));
            }
            curve.push(Point { kept: best == epoch, ..point });
        }
        self.source.progress("distil", 0, 0);
        let weights = kept.map(|weights| tensors(&start, &weights)).transpose()?;
        Ok(Outcome { weights, curve, epochs: self.options.epochs })
    }

    /// The loss of some samples, and the gradient of each parameter.
    fn gradients(&mut self, samples: &[usize], weights: &[Tensor]) -> Result<(f64, Vec<Vec<f32>>), EvidenceError> {
        let mut inputs = self.samples.batch(samples)?;
        let answers = if self.options.augment.is_empty() {
            self.answers.batch(samples)?
        } else {
            augment(&mut inputs, &self.options.augment, &mut self.random);
            answer(&mut *self.teacher, self.step, &inputs)?
        };
        let outputs = self.stepping.run(&with_weights(inputs, answers, weights))?;
        let mut numbers = outputs.iter().map(|output| {
            let tensor = output.as_tensor().map_err(|error| EvidenceError::Run(error.to_string()))?;
            tensor.to_f32s().map_err(|error| EvidenceError::Run(error.to_string()))
        });
        let loss = numbers.next().transpose()?.and_then(|loss| loss.first().copied());
        let loss = loss.ok_or_else(|| EvidenceError::Run("the training step gives no loss".to_owned()))?;
        Ok((f64::from(loss), numbers.collect::<Result<_, _>>()?))
    }

    /// Loss and agreement on the samples held out.
    fn look(&mut self, weights: &[Tensor]) -> Result<(f64, f64), EvidenceError> {
        let (mut sum, mut batches, mut same, mut rows) = (0.0, 0usize, 0usize, 0usize);
        for samples in self.held_out.chunks_exact(self.batch) {
            let (inputs, answers) = (self.samples.batch(samples)?, self.answers.batch(samples)?);
            let outputs = self.looking.run(&with_weights(inputs, answers.clone(), weights))?;
            let tensor =
                |value: &Value| value.as_tensor().cloned().map_err(|error| EvidenceError::Run(error.to_string()));
            let numbers = |tensor: &Tensor| tensor.to_f64s().map_err(|error| EvidenceError::Run(error.to_string()));
            let loss = outputs.first().ok_or_else(|| EvidenceError::Run("no loss is given".to_owned()))?;
            sum += numbers(&tensor(loss)?)?.first().copied().unwrap_or(f64::NAN);
            batches += 1;
            for ((scores, answer), &axis) in outputs.iter().skip(1).zip(answers.iter().flatten()).zip(&self.step.axes) {
                let (scores, answer) = (tensor(scores)?, tensor(answer)?);
                let (ours, theirs) =
                    (best_of(&scores, &numbers(&scores)?, axis), best_of(&answer, &numbers(&answer)?, axis));
                rows += ours.len();
                same += ours.iter().zip(&theirs).filter(|(a, b)| a == b).count();
            }
        }
        Ok((sum / batches.max(1) as f64, same as f64 / rows.max(1) as f64))
    }
}

/// The largest along an axis, for each index of the others.
fn best_of(tensor: &Tensor, values: &[f64], axis: i64) -> Vec<usize> {
    let Some(axis) = onnxpress_ir::shape::normalize_axis(axis, tensor.rank()) else { return Vec::new() };
    let dims = tensor.dims();
    let inner: usize = dims[axis + 1..].iter().product();
    let lane = dims[axis] * inner;
    let lanes = values
        .chunks_exact(lane.max(1))
        .flat_map(|block| (0..inner).map(move |at| block.iter().skip(at).step_by(inner)));
    lanes
        .map(|lane| {
            lane.enumerate().fold((0, f64::NEG_INFINITY), |best, (at, &x)| if x > best.1 { (at, x) } else { best }).0
        })
        .collect()
}

/// Elements that stay: the zeros of a weight, which a compressor made. A bias of zeros is none.
fn mask(tensor: &Tensor, values: &[f32]) -> Option<Vec<bool>> {
    (tensor.rank() > 1 && values.contains(&0.0)).then(|| values.iter().map(|&value| value == 0.0).collect())
}

fn with_weights(inputs: Vec<Option<Value>>, answers: Vec<Option<Value>>, weights: &[Tensor]) -> Vec<Option<Value>> {
    let weights = weights.iter().map(|tensor| Some(Value::Tensor(tensor.clone())));
    inputs.into_iter().chain(answers).chain(weights).collect()
}

/// The parameters as tensors like those at the start.
fn tensors(like: &[Tensor], weights: &[Vec<f32>]) -> Result<Vec<Tensor>, PassError> {
    let tensor = |(like, values): (&Tensor, &Vec<f32>)| match like.dtype() {
        onnxpress_ir::DType::Float => Tensor::from_values(like.dims(), values.clone()),
        dtype => Tensor::from_f64s(dtype, like.dims(), &values.iter().map(|&x| f64::from(x)).collect::<Vec<_>>()),
    };
    let all = like.iter().zip(weights).map(tensor).collect::<Result<_, _>>();
    all.map_err(|error| PassError::Broken(error.to_string()))
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

    #[test]
    fn the_best_class_is_found_along_any_axis() {
        let scores = Tensor::from_values(&[1, 3, 2], vec![1f64, 9.0, 5.0, 2.0, 3.0, 4.0]).unwrap();
        let values = scores.to_f64s().unwrap();
        assert_eq!(best_of(&scores, &values, 1), [1, 0]);
        assert_eq!(best_of(&scores, &values, -1), [1, 0, 1]);
    }
}
