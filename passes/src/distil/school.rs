//! Teacher, student and samples at work.
//!
//! A batch is cut into parts, which several threads take steps with; their gradients are added up in order. How many parts there are
//! follows from the batch and not from the number of threads, so that the sums are the same on any.

use onnxpress_ir::random::SplitMix64;
use onnxpress_ir::{Dim, Graph, Tensor};
use onnxpress_ops::evaluate::Value;
use rayon::prelude::*;

use super::augment::augment;
use super::memory::{Counted, Training};
use super::options::Distil;
use super::pair::Stage;
use super::rows::Rows;
use super::scores::agreed;
use crate::differentiate::{Loss, Step};
use crate::evidence::{EvidenceError, EvidenceSource, Execute};

/// The fewest samples of a part of a large batch: of fewer, what a step costs whatever the samples would count.
const PART: usize = 8;

/// The fewest of a small batch, which two threads work on too.
const SMALL_PART: usize = 4;

/// A small share of what a loss could be.
const SMALL: f64 = 0.01;

/// What one thread works with. What training takes is made ready once somebody trains.
struct Desk<'s> {
    /// The teacher, with what the step wants of it, and the training step.
    training: Option<[Box<dyn Execute + 's>; 2]>,
    /// The step without gradients.
    looking: Box<dyn Execute + 's>,
}

/// How samples are cut into batches, and these into parts that go through a model at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Portions {
    batch: usize,
    pub(super) part: usize,
}

/// What is seen on samples that are held out.
#[derive(Debug, Clone)]
pub(super) struct Look {
    /// The loss of each part.
    parts: Vec<f64>,
    /// The share of rows on which the largest score is at the same place.
    pub(super) agreement: f64,
}

/// See the [module](self).
pub(super) struct School<'s> {
    options: &'s Distil,
    stage: &'s Stage,
    step: &'s Step,
    source: &'s dyn EvidenceSource,
    samples: &'s Rows,
    /// What the teacher answers to samples as they are, and where the answer to each sample is.
    answers: Rows,
    places: Vec<Option<usize>>,
    desks: Vec<Desk<'s>>,
    portions: Portions,
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

/// The samples of a part that leave a batch in parts of the same size.
fn part_of(batch: usize) -> usize {
    let least = PART.min(batch.div_ceil(2).max(SMALL_PART));
    (least..=batch).find(|part| batch.is_multiple_of(*part)).unwrap_or(batch)
}

/// The numbers in an order that is drawn.
fn shuffle(numbers: &mut [usize], random: &mut SplitMix64) {
    for last in (1..numbers.len()).rev() {
        let other = (random.unit() * (last + 1) as f64) as usize;
        numbers.swap(last, other.min(last));
    }
}

/// Has parts worked at, by as many threads as there are desks; what came of them, in order.
fn at_desks<D: Send, P: Sync, T: Send>(
    desks: &mut [D],
    parts: &[P],
    work: impl Fn(&mut D, &P) -> Result<T, EvidenceError> + Sync,
) -> Result<Vec<T>, EvidenceError> {
    let mut done = Vec::new();
    for parts in parts.chunks(desks.len().max(1)) {
        let one = |(desk, part): (&mut D, &P)| work(desk, part);
        let some: Vec<Result<T, EvidenceError>> = desks.par_iter_mut().zip(parts).map(one).collect();
        for it in some {
            done.push(it?);
        }
    }
    Ok(done)
}

/// Those outputs of the teacher.
fn answer(
    teacher: &mut dyn Execute,
    compared: &[usize],
    inputs: &[Option<Value>],
) -> Result<Vec<Option<Value>>, EvidenceError> {
    let outputs = teacher.run(inputs)?;
    Ok(compared.iter().map(|&index| outputs.get(index).cloned()).collect())
}

/// What a step takes, in order.
fn with_weights(
    inputs: Vec<Option<Value>>,
    answers: Vec<Option<Value>>,
    labels: Option<Option<Tensor>>,
    weights: &[Tensor],
) -> Vec<Option<Value>> {
    let weights = weights.iter().map(|tensor| Some(Value::Tensor(tensor.clone())));
    let labels = labels.map(|labels| labels.map(Value::Tensor));
    inputs.into_iter().chain(answers).chain(labels).chain(weights).collect()
}

/// What the teacher answered to some samples.
fn answers_of(
    answers: &Rows,
    places: &[Option<usize>],
    numbers: &[usize],
) -> Result<Vec<Option<Value>>, EvidenceError> {
    let place = |&sample: &usize| places.get(sample).copied().flatten();
    let places: Option<Vec<usize>> = numbers.iter().map(place).collect();
    answers.batch(&places.ok_or_else(|| EvidenceError::Run("nobody asked the teacher".to_owned()))?)
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

impl Portions {
    /// Of so many samples, for a student.
    pub(super) fn of(options: &Distil, student: &Graph, samples: usize) -> Self {
        let batch = options.batch.min(samples / 4).max(1);
        match fixed_batch(student) {
            Some(fixed) => {
                let fixed = fixed.max(1);
                Self { batch: (batch / fixed).max(1) * fixed, part: fixed }
            }
            None => Self { batch, part: part_of(batch) },
        }
    }

    /// How many samples are to be read at once.
    pub(super) fn at_once(options: &Distil, student: &Graph) -> usize {
        fixed_batch(student).unwrap_or(options.batch)
    }
}

impl Look {
    /// The mean loss.
    pub(super) fn loss(&self) -> f64 {
        self.parts.iter().sum::<f64>() / self.parts.len().max(1) as f64
    }

    /// Whether this is better than another, and not by chance: on most of the parts.
    pub(super) fn beats(&self, other: &Self) -> bool {
        let better = self.parts.iter().zip(&other.parts).filter(|(ours, theirs)| ours < theirs).count();
        self.loss() < other.loss() && 5 * better >= 3 * self.parts.len()
    }
}

impl<'s> School<'s> {
    /// Holds some of the samples out, and asks the teacher for those whose answers are needed more than once.
    ///
    /// # Errors
    /// Where there are too few, or they do not suit the models.
    pub(super) fn open(
        options: &'s Distil,
        stage: &'s Stage,
        step: &'s Step,
        samples: &'s Rows,
        source: &'s dyn EvidenceSource,
    ) -> Result<Self, EvidenceError> {
        let portions = Portions::of(options, &stage.learner.graph, samples.len());
        let Portions { batch, part } = portions;
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
        let desks = rayon::current_num_threads().clamp(1, (batch / part).max(1));
        let desk = |_| Ok::<_, EvidenceError>(Desk { training: None, looking: source.load(&step.forward)? });
        let desks = (0..desks).map(desk).collect::<Result<Vec<_>, _>>()?;
        let (answers, places) = (Rows::default(), vec![None; samples.len()]);
        let mut school = Self {
            options,
            stage,
            step,
            source,
            samples,
            answers,
            places,
            desks,
            portions,
            training,
            held_out,
            random,
        };
        school.ask()?;
        Ok(school)
    }

    /// Whether the teacher is asked in every step: about what is shown in another way, and about hidden values, of which there are too
    /// many to be kept.
    fn asks_always(&self) -> bool {
        !self.options.augment.is_empty() || self.step.compared.len() > self.step.axes.len()
    }

    /// Asks the teacher for samples as they are. The last part is filled up with its last sample.
    fn ask(&mut self) -> Result<(), EvidenceError> {
        let more = if self.asks_always() { &[][..] } else { &self.training };
        let asked: Vec<usize> = self.held_out.iter().chain(more).copied().collect();
        let (count, part) = (asked.len(), self.portions.part);
        let starts: Vec<usize> = (0..count).step_by(part).collect();
        let load = |_| self.source.load(&self.stage.teacher);
        let mut teachers = (0..self.desks.len()).map(load).collect::<Result<Vec<_>, _>>()?;
        for some in starts.chunks(self.desks.len().max(1)) {
            let (samples, step) = (&self.samples, self.step);
            let answered = at_desks(&mut teachers, some, |teacher, &start| {
                let numbers: Vec<usize> = (start..start + part).map(|at| asked[at.min(count - 1)]).collect();
                answer(&mut **teacher, &step.compared[..step.axes.len()], &samples.batch(&numbers)?)
            })?;
            for (answers, &start) in answered.iter().zip(some) {
                self.answers.push(answers, part, part.min(count - start))?;
                self.source.progress("distil: the teacher answers", start, count);
            }
        }
        for (place, sample) in asked.into_iter().enumerate() {
            self.places[sample] = Some(place);
        }
        Ok(())
    }

    /// A loss that nobody would call large: of `mse` a hundredth of the mean square of what the teacher answers to a batch.
    ///
    /// # Errors
    /// Where answers are no numbers.
    pub(super) fn small_loss(&self) -> Result<f64, EvidenceError> {
        if self.stage.loss == Loss::Kl || !self.stage.brief.factors.is_empty() {
            return Ok(SMALL);
        }
        let mut sum = 0.0;
        let some = &self.held_out[..self.portions.batch];
        for answer in answers_of(&self.answers, &self.places, some)?.iter().flatten() {
            let numbers = tensor(answer)?.to_f64s().map_err(|error| EvidenceError::Run(error.to_string()))?;
            sum += numbers.iter().map(|x| x * x).sum::<f64>() / numbers.len().max(1) as f64;
        }
        Ok((SMALL * sum).max(f64::from(f32::EPSILON)))
    }

    /// What the training holds, by counting.
    pub(super) fn counted(&self) -> Counted {
        let of = Training { stage: self.stage, step: self.step, samples: self.samples, part: self.portions.part };
        Counted::of(&of, self.desks.len())
    }

    /// How many samples are held out.
    pub(super) fn held_out(&self) -> usize {
        self.held_out.len()
    }

    /// How many steps show every sample once.
    pub(super) fn steps(&self) -> usize {
        self.training.len() / self.portions.batch
    }

    /// The batches of an epoch, in an order that is drawn. All that is drawn until the next epoch follows from its number.
    pub(super) fn epoch(&mut self, number: usize) -> Vec<Vec<usize>> {
        let mut seeds = SplitMix64::new(self.options.seed);
        self.random = SplitMix64::new(seeds.bits().wrapping_add(number as u64));
        let mut order = self.training.clone();
        shuffle(&mut order, &mut self.random);
        order.chunks_exact(self.portions.batch).map(<[usize]>::to_vec).collect()
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
        let part = self.portions.part;
        let parts: Vec<(&[usize], u64)> = samples.chunks(part).map(|some| (some, self.random.bits())).collect();
        let always = self.asks_always();
        let Self { options, stage, step, samples, answers, places, desks, source, .. } = self;
        for desk in desks.iter_mut().filter(|desk| desk.training.is_none()) {
            desk.training = Some([source.load(&stage.teacher)?, source.load(&step.model)?]);
        }
        let done = at_desks(desks, &parts, |desk, &(numbers, seed)| {
            let mut inputs = samples.batch(numbers)?;
            let Some([teacher, stepping]) = &mut desk.training else {
                return Err(EvidenceError::Run("a desk is not ready".to_owned()));
            };
            let answers = if always {
                augment(&mut inputs, &options.augment, &mut SplitMix64::new(seed));
                answer(&mut **teacher, &step.compared, &inputs)?
            } else {
                answers_of(answers, places, numbers)?
            };
            let labels = step.labelled.then(|| samples.labels(numbers));
            let outputs = stepping.run(&with_weights(inputs, answers, labels, weights))?;
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
    pub(super) fn look(&mut self, weights: &[Tensor]) -> Result<Look, EvidenceError> {
        let Self { step, samples, answers, places, desks, held_out, portions, .. } = self;
        let parts: Vec<&[usize]> = held_out.chunks_exact(portions.part).collect();
        let seen = at_desks(desks, &parts, |desk, numbers| {
            let (inputs, answers) = (samples.batch(numbers)?, answers_of(answers, places, numbers)?);
            let labels = step.labelled.then(|| samples.labels(numbers));
            let outputs = desk.looking.run(&with_weights(inputs, answers.clone(), labels, weights))?;
            let (mut same, mut rows) = (0, 0);
            for ((scores, answer), &axis) in outputs.iter().skip(1).zip(answers.iter().flatten()).zip(&step.axes) {
                let (agreed, of) = agreed(tensor(scores)?, tensor(answer)?, axis)?;
                (same, rows) = (same + agreed, rows + of);
            }
            Ok((loss_of(&outputs)?, same, rows))
        })?;
        let (same, rows) = seen.iter().fold((0, 0), |(same, rows), part| (same + part.1, rows + part.2));
        let parts = seen.iter().map(|part| part.0).collect();
        Ok(Look { parts, agreement: same as f64 / rows.max(1) as f64 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_is_what_is_better_on_most_parts() {
        let look = |parts: &[f64]| Look { parts: parts.to_vec(), agreement: 1.0 };
        assert!(look(&[1.0, 1.0, 2.5]).beats(&look(&[2.0, 2.0, 2.0])));
        assert!(!look(&[1.9, 2.1, 2.1]).beats(&look(&[2.0, 2.0, 2.0])), "a mean that is worse");
        assert!(!look(&[0.1, 2.1, 2.1]).beats(&look(&[2.0, 2.0, 2.0])), "one part alone");
        assert!(!look(&[2.0]).beats(&look(&[2.0])));
    }

    #[test]
    fn parts_are_of_one_size() {
        assert_eq!([32, 8, 7, 25, 1, 12].map(part_of), [8, 4, 7, 25, 1, 6]);
        let mut numbers = [0, 1, 2, 3, 4, 5];
        shuffle(&mut numbers, &mut SplitMix64::new(1));
        assert_ne!(numbers, [0, 1, 2, 3, 4, 5]);
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
    }
}
