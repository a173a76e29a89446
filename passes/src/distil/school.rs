//! Teacher, student and samples at work.
//!
//! A batch is cut into parts, which several threads take steps with; their gradients are added up in order. How many parts there are
//! follows from the batch and not from the number of threads, so that the sums are the same on any.

use onnxpress_ir::random::SplitMix64;
use onnxpress_ir::{Dim, Graph, Model, Tensor};
use onnxpress_ops::evaluate::Value;
use rayon::prelude::*;

use super::augment::augment;
use super::options::Distil;
use super::rows::Rows;
use super::scores::agreed;
use crate::differentiate::{Loss, Step};
use crate::evidence::{EvidenceError, EvidenceSource, Execute};

/// The fewest samples of a part: of fewer, what a step costs whatever the samples would count.
const PART: usize = 8;

/// A small share of what a loss could be.
const SMALL: f64 = 0.01;

/// What one thread works with.
struct Desk<'s> {
    teacher: Box<dyn Execute + 's>,
    /// The training step.
    stepping: Box<dyn Execute + 's>,
    /// The step without gradients.
    looking: Box<dyn Execute + 's>,
}

/// See the [module](self).
pub(super) struct School<'s> {
    options: &'s Distil,
    step: &'s Step,
    source: &'s dyn EvidenceSource,
    samples: Rows,
    /// What the teacher says of each sample as it is.
    answers: Rows,
    desks: Vec<Desk<'s>>,
    batch: usize,
    part: usize,
    training: Vec<usize>,
    held_out: Vec<usize>,
    random: SplitMix64,
}

/// How many samples the model takes at a time, where that is fixed.
fn fixed_batch(graph: &Graph) -> Option<usize> {
    let inputs = graph.inputs().iter().map(|&id| graph.input(id)).filter(|input| input.default.is_none());
    let first = |shape: &onnxpress_ir::Shape| shape.first().and_then(Dim::as_const);
    let mut fixed = inputs.filter_map(|input| input.declared.shape().and_then(first));
    fixed.next().and_then(|extent| usize::try_from(extent).ok())
}

/// The most samples of a part that leave a batch in parts of the same size.
fn part_of(batch: usize) -> usize {
    (PART..=batch).find(|part| batch.is_multiple_of(*part)).unwrap_or(batch)
}

/// The numbers in an order that is drawn.
fn shuffle(numbers: &mut [usize], random: &mut SplitMix64) {
    for last in (1..numbers.len()).rev() {
        let other = (random.unit() * (last + 1) as f64) as usize;
        numbers.swap(last, other.min(last));
    }
}

/// Has parts worked at, by as many threads as there are desks; what came of them, in order.
fn at_desks<'s, P: Sync, T: Send>(
    desks: &mut [Desk<'s>],
    parts: &[P],
    work: impl Fn(&mut Desk<'s>, &P) -> Result<T, EvidenceError> + Sync,
) -> Result<Vec<T>, EvidenceError> {
    let mut done = Vec::new();
    for parts in parts.chunks(desks.len().max(1)) {
        let one = |(desk, part): (&mut Desk<'s>, &P)| work(desk, part);
        let some: Vec<Result<T, EvidenceError>> = desks.par_iter_mut().zip(parts).map(one).collect();
        for it in some {
            done.push(it?);
        }
    }
    Ok(done)
}

/// The compared outputs of the teacher.
fn answer(
    teacher: &mut dyn Execute,
    step: &Step,
    inputs: &[Option<Value>],
) -> Result<Vec<Option<Value>>, EvidenceError> {
    let outputs = teacher.run(inputs)?;
    Ok(step.compared.iter().map(|&index| outputs.get(index).cloned()).collect())
}

fn with_weights(inputs: Vec<Option<Value>>, answers: Vec<Option<Value>>, weights: &[Tensor]) -> Vec<Option<Value>> {
    let weights = weights.iter().map(|tensor| Some(Value::Tensor(tensor.clone())));
    inputs.into_iter().chain(answers).chain(weights).collect()
}

fn tensor(value: &Value) -> Result<&Tensor, EvidenceError> {
    value.as_tensor().map_err(|error| EvidenceError::Run(error.to_string()))
}

/// The loss, which is one number.
fn loss_of(outputs: &[Value]) -> Result<f64, EvidenceError> {
    let loss = outputs.first().ok_or_else(|| EvidenceError::Run("the training step gives no loss".to_owned()))?;
    let numbers = tensor(loss)?.to_f64s().map_err(|error| EvidenceError::Run(error.to_string()))?;
    Ok(numbers.first().copied().unwrap_or(f64::NAN))
}

impl<'s> School<'s> {
    /// Reads the samples, holds some of them out, and asks the teacher for all.
    ///
    /// # Errors
    /// Where there are too few, or they do not suit the models.
    pub(super) fn open(
        options: &'s Distil,
        teacher: &'s Model,
        student: &Model,
        step: &'s Step,
        source: &'s dyn EvidenceSource,
    ) -> Result<Self, EvidenceError> {
        let fixed = fixed_batch(&student.graph);
        let samples = Rows::read(source, student, fixed.unwrap_or(options.batch))?;
        let batch = options.batch.min(samples.len() / 4).max(1);
        let (batch, part) = match fixed {
            Some(fixed) => ((batch / fixed.max(1)).max(1) * fixed.max(1), fixed.max(1)),
            None => (batch, part_of(batch)),
        };
        let wanted = (options.held_out.get() * samples.len() as f64 / batch as f64).ceil() as usize * batch;
        if wanted == 0 || samples.len() < wanted + batch {
            return Err(EvidenceError::Samples(format!(
                "{} samples are too few to hold out {wanted} and train on batches of {batch}",
                samples.len()
            )));
        }
        let mut random = SplitMix64::new(options.seed);
        let mut held_out: Vec<usize> = (0..samples.len()).collect();
        shuffle(&mut held_out, &mut random);
        let training = held_out.split_off(wanted);
        let desk = || {
            let (teacher, stepping) = (source.load(teacher)?, source.load(&step.model)?);
            Ok::<_, EvidenceError>(Desk { teacher, stepping, looking: source.load(&step.forward)? })
        };
        let desks = rayon::current_num_threads().clamp(1, (batch / part).max(1));
        let desks = (0..desks).map(|_| desk()).collect::<Result<Vec<_>, _>>()?;
        let answers = Rows::default();
        let mut school =
            Self { options, step, source, samples, answers, desks, batch, part, training, held_out, random };
        school.ask()?;
        Ok(school)
    }

    /// Asks the teacher for all samples as they are. The last part is filled up with its last sample.
    fn ask(&mut self) -> Result<(), EvidenceError> {
        let (count, part) = (self.samples.len(), self.part);
        let what = format!("distil: {:.1} MB of samples, the teacher answers", self.samples.bytes() as f64 / 1e6);
        let starts: Vec<usize> = (0..count).step_by(part).collect();
        for some in starts.chunks(self.desks.len().max(1)) {
            let (samples, step) = (&self.samples, self.step);
            let answered = at_desks(&mut self.desks, some, |desk, &start| {
                let numbers: Vec<usize> = (start..start + part).map(|sample| sample.min(count - 1)).collect();
                answer(&mut *desk.teacher, step, &samples.batch(&numbers)?)
            })?;
            for (answers, &start) in answered.iter().zip(some) {
                self.answers.push(answers, part, part.min(count - start))?;
                self.source.progress(&what, start, count);
            }
        }
        Ok(())
    }

    /// A loss that nobody would call large: of `mse` a hundredth of the mean square of what the teacher answers to a batch.
    ///
    /// # Errors
    /// Where answers are no numbers.
    pub(super) fn small_loss(&self) -> Result<f64, EvidenceError> {
        if self.options.loss == Loss::Kl {
            return Ok(SMALL);
        }
        let mut sum = 0.0;
        for answer in self.answers.batch(&self.training[..self.batch])?.iter().flatten() {
            let numbers = tensor(answer)?.to_f64s().map_err(|error| EvidenceError::Run(error.to_string()))?;
            sum += numbers.iter().map(|x| x * x).sum::<f64>() / numbers.len().max(1) as f64;
        }
        Ok((SMALL * sum).max(f64::from(f32::EPSILON)))
    }

    /// How many samples are held out.
    pub(super) fn held_out(&self) -> usize {
        self.held_out.len()
    }

    /// How many steps show every sample once.
    pub(super) fn steps(&self) -> usize {
        self.training.len() / self.batch
    }

    /// The batches of an epoch, in an order that is drawn.
    pub(super) fn epoch(&mut self) -> Vec<Vec<usize>> {
        shuffle(&mut self.training, &mut self.random);
        self.training.chunks_exact(self.batch).map(<[usize]>::to_vec).collect()
    }

    /// The loss of some samples, and the gradient of each parameter.
    ///
    /// # Errors
    /// Where the step cannot be run.
    pub(super) fn gradients(
        &mut self,
        samples: &[usize],
        weights: &[Tensor],
    ) -> Result<(f64, Vec<Vec<f32>>), EvidenceError> {
        let parts: Vec<(&[usize], u64)> = samples.chunks(self.part).map(|some| (some, self.random.bits())).collect();
        let Self { options, step, samples, answers, desks, .. } = self;
        let done = at_desks(desks, &parts, |desk, &(numbers, seed)| {
            let mut inputs = samples.batch(numbers)?;
            let answers = if options.augment.is_empty() {
                answers.batch(numbers)?
            } else {
                augment(&mut inputs, &options.augment, &mut SplitMix64::new(seed));
                answer(&mut *desk.teacher, step, &inputs)?
            };
            let outputs = desk.stepping.run(&with_weights(inputs, answers, weights))?;
            let floats =
                |value: &Value| tensor(value)?.to_f32s().map_err(|error| EvidenceError::Run(error.to_string()));
            let gradients = outputs.iter().skip(1).map(floats).collect::<Result<Vec<_>, _>>()?;
            Ok((loss_of(&outputs)?, gradients))
        })?;
        let share = 1.0 / done.len().max(1) as f64;
        let mut done = done.into_iter();
        let (mut loss, mut gradients) = done.next().unwrap_or_default();
        for (more, others) in done {
            loss += more;
            let all = gradients.iter_mut().flatten().zip(others.iter().flatten());
            all.for_each(|(sum, other)| *sum += other);
        }
        gradients.iter_mut().flatten().for_each(|sum| *sum *= share as f32);
        Ok((share * loss, gradients))
    }

    /// Loss and agreement on the samples held out.
    ///
    /// # Errors
    /// Where the student cannot be run.
    pub(super) fn look(&mut self, weights: &[Tensor]) -> Result<(f64, f64), EvidenceError> {
        let Self { step, samples, answers, desks, held_out, part, .. } = self;
        let parts: Vec<&[usize]> = held_out.chunks_exact(*part).collect();
        let seen = at_desks(desks, &parts, |desk, numbers| {
            let (inputs, answers) = (samples.batch(numbers)?, answers.batch(numbers)?);
            let outputs = desk.looking.run(&with_weights(inputs, answers.clone(), weights))?;
            let (mut same, mut rows) = (0, 0);
            for ((scores, answer), &axis) in outputs.iter().skip(1).zip(answers.iter().flatten()).zip(&step.axes) {
                let (agreed, of) = agreed(tensor(scores)?, tensor(answer)?, axis)?;
                (same, rows) = (same + agreed, rows + of);
            }
            Ok((loss_of(&outputs)?, same, rows))
        })?;
        let loss: f64 = seen.iter().map(|part| part.0).sum();
        let (same, rows) = seen.iter().fold((0, 0), |(same, rows), part| (same + part.1, rows + part.2));
        Ok((loss / seen.len().max(1) as f64, same as f64 / rows.max(1) as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_of_one_size() {
        assert_eq!([32, 8, 7, 25, 1, 12].map(part_of), [8, 8, 7, 25, 1, 12]);
        let mut numbers = [0, 1, 2, 3, 4, 5];
        shuffle(&mut numbers, &mut SplitMix64::new(1));
        assert_ne!(numbers, [0, 1, 2, 3, 4, 5]);
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
    }
}
