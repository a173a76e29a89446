//! Gradients of a model as it is, on samples: how much its answers hang on each parameter.
//!
//! At its own answers a model has no gradient, so it is asked about others that it might as well have given. Where samples have labels,
//! these are the right classes; of probabilities, classes are drawn by them; of all else, numbers are added that are drawn, by which
//! squares of gradients become those of the outputs themselves, in the mean. Either way these are the diagonal of Fisher's information
//! (F. Kunstner et al., "Limitations of the empirical Fisher approximation", 2019, on why classes are drawn and not the likeliest taken).

use onnxpress_ir::random::SplitMix64;
use onnxpress_ir::shape::normalize_axis;
use onnxpress_ir::{Model, Tensor, ValueId};
use onnxpress_ops::evaluate::Value;

use super::loss::Compared;
use super::{Differentiate, Loss, Step, step};
use crate::evidence::{EvidenceError, EvidenceSource, Execute, Feed, First};
use crate::pass::PassError;

/// Samples at a time: the fewer, the more is told apart.
const BATCH: usize = 8;

/// How many samples are shown at most.
const MOST: usize = 256;

/// What a model might as well have answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// The classes that the samples say.
    Labels,
    /// Classes, by their probabilities along an axis.
    Drawn { axis: i64 },
    /// The answers and a little more.
    Noisy,
}

fn failed(error: impl std::fmt::Display) -> EvidenceError {
    EvidenceError::Run(error.to_string())
}

fn request(error: EvidenceError) -> PassError {
    PassError::Request(error.to_string())
}

impl Wanted {
    fn of(model: &Model, labelled: bool) -> Self {
        let graph = &model.graph;
        let floats = |value: &ValueId| graph.ty(*value).dtype().is_some_and(|dtype| dtype.is_float());
        let answers: Vec<ValueId> =
            graph.outputs().iter().filter_map(|&id| graph.operand(id, 0)).filter(floats).collect();
        let &[answer] = answers.as_slice() else { return Self::Noisy };
        let Compared { axis, probabilities, .. } = Compared::of(graph, answer);
        if labelled && graph.ty(answer).shape().is_some_and(|shape| shape.len() == 2) {
            return Self::Labels;
        }
        if probabilities { Self::Drawn { axis } } else { Self::Noisy }
    }

    fn loss(self) -> Loss {
        if self == Self::Noisy { Loss::Mse } else { Loss::CrossEntropy }
    }

    /// What the step is told to want, of an answer.
    fn instead(self, answer: &Tensor, feed: &Feed<'_>, random: &mut SplitMix64) -> Result<Tensor, EvidenceError> {
        match self {
            Self::Labels => {
                let mut labels = feed.labels.ok_or_else(|| failed("some samples have no label"))?.to_vec();
                // A batch that is filled up is so with its last sample.
                let last = labels.last().copied().ok_or_else(|| failed("there are no samples"))?;
                labels.resize(feed.size, last);
                Ok(Tensor::vector(labels))
            }
            Self::Drawn { axis } => drawn(answer, axis, random),
            Self::Noisy => noisy(answer, random),
        }
    }
}

/// A class for each row of probabilities.
fn drawn(answer: &Tensor, axis: i64, random: &mut SplitMix64) -> Result<Tensor, EvidenceError> {
    let values = answer.to_f64s().map_err(failed)?;
    let axis = normalize_axis(axis, answer.rank()).ok_or_else(|| failed("there are no classes"))?;
    let dims = answer.dims();
    let (inner, classes) = (dims[axis + 1..].iter().product::<usize>(), dims[axis]);
    let mut labels = Vec::new();
    for block in values.chunks_exact((classes * inner).max(1)) {
        for at in 0..inner {
            let mut left = random.unit() * block.iter().skip(at).step_by(inner).sum::<f64>();
            let class = block.iter().skip(at).step_by(inner).position(|probability| {
                left -= probability;
                left < 0.0
            });
            labels.push(class.unwrap_or(classes.saturating_sub(1)) as i64);
        }
    }
    let rows: Vec<usize> = dims.iter().enumerate().filter(|(at, _)| *at != axis).map(|(_, &dim)| dim).collect();
    Tensor::from_values(&rows, labels).map_err(failed)
}

/// The answer with numbers added: the smaller the more it varies, since small differences mean little then.
fn noisy(answer: &Tensor, random: &mut SplitMix64) -> Result<Tensor, EvidenceError> {
    let values = answer.to_f64s().map_err(failed)?;
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let deviation = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count).sqrt();
    let scale = if deviation > 0.0 && deviation.is_finite() { 1.0 / deviation } else { 1.0 };
    let moved: Vec<f64> = values.iter().map(|x| x + scale * random.nearly_normal()).collect();
    Tensor::from_f64s(answer.dtype(), answer.dims(), &moved).map_err(failed)
}

/// Hands the gradients of all parameters to `each`, batch by batch, with the step that they are of. The model has types and no functions.
/// Where somebody wants an end, those of the samples so far have to do.
///
/// # Errors
/// Where it cannot be run, nothing in it has a gradient, or an end is wanted before there is any.
pub(crate) fn on_samples(
    model: &Model,
    source: &dyn EvidenceSource,
    each: &mut dyn FnMut(&Step, &[Vec<f32>]),
) -> Result<(), PassError> {
    let source = First { source, count: MOST };
    let mut labelled = None;
    First { source: &source, count: 1 }
        .feed(model, BATCH, &mut |feed| {
            labelled = Some(feed.labels.is_some());
            Ok(())
        })
        .map_err(request)?;
    let wanted = Wanted::of(model, labelled == Some(true));
    let step = step(model, &Differentiate { loss: wanted.loss(), ..Differentiate::default() })?;
    let (mut whole, mut stepping) = (source.load(model).map_err(request)?, source.load(&step.model).map_err(request)?);
    let mut random = SplitMix64::new(0);
    let (mut done, all) = (0, source.samples());
    let fed = source.feed(model, BATCH, &mut |feed| {
        if source.interrupted() {
            return Ok(());
        }
        let gradients = gradients(&mut *whole, &mut *stepping, &step, wanted, &feed, &mut random)?;
        each(&step, &gradients);
        done += feed.len;
        source.progress("gradients of the model on samples", done.min(all), all);
        Ok(())
    });
    source.progress("gradients", 0, 0);
    fed.map_err(request)?;
    match done {
        0 => Err(PassError::Request("interrupted before the model had a gradient on any sample".to_owned())),
        _ => Ok(()),
    }
}

fn gradients(
    whole: &mut dyn Execute,
    stepping: &mut dyn Execute,
    step: &Step,
    wanted: Wanted,
    feed: &Feed<'_>,
    random: &mut SplitMix64,
) -> Result<Vec<Vec<f32>>, EvidenceError> {
    let answers = whole.run(feed.inputs)?;
    let mut given = feed.inputs.to_vec();
    for &index in &step.compared {
        let answer = answers.get(index).ok_or_else(|| failed("an output is missing"))?;
        given.push(Some(Value::Tensor(wanted.instead(answer.as_tensor().map_err(failed)?, feed, random)?)));
    }
    given.extend(step.start.iter().map(|tensor| Some(Value::Tensor(tensor.clone()))));
    let outputs = stepping.run(&given)?;
    let floats = |value: &Value| value.as_tensor().map_err(failed)?.to_f32s().map_err(failed);
    outputs.iter().skip(1).map(floats).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::evidence::testing::{AtHand, typed};

    /// The mean squares of the gradients of a matrix, whose answers are made what they are by the end of the text.
    fn squares(end: &str) -> Vec<f64> {
        let model = typed(&format!(
            "<ir_version: 8, opset_import: [\"\" : 17]> net (float[N,2] x) => (y) <float[2,3] w = {{0.4, 0, -4, 0, 0, 0}}> {{ {end} }}"
        ));
        let mut sums = vec![0.0; 6];
        on_samples(&model, &AtHand::new(240, &[2]), &mut |step, gradients| {
            assert_eq!(step.parameters.len(), 1);
            gradients[0].iter().zip(&mut sums).for_each(|(g, sum)| *sum += f64::from(*g).powi(2));
        })
        .unwrap();
        sums
    }

    #[test]
    fn of_numbers_all_outputs_hang_on_their_own_weights_alike() {
        let squares = squares("y = MatMul(x, w)");
        assert!(squares.iter().all(|&square| (0.5..2.0).contains(&(square / squares[0]))), "{squares:?}");
    }

    #[test]
    fn of_probabilities_those_matter_more_that_are_in_doubt() {
        let squares = squares("s = MatMul(x, w)  y = Softmax(s)");
        assert!(squares[0] > 1.5 * squares[2] && squares[2] > 0.0, "{squares:?}");
    }

    #[test]
    fn classes_are_drawn_by_their_probabilities_along_their_axis() {
        let answer = Tensor::from_values(&[1, 3, 2], vec![0.0, 1.0, 1.0, 0.0, 0.0, 0.0]).unwrap();
        let labels = drawn(&answer, 1, &mut SplitMix64::new(1)).unwrap();
        assert_eq!((labels.dims(), labels.to_i64s().unwrap()), (&[1, 2][..], vec![1, 0]));
        let halves = Tensor::from_values(&[400, 2], [0.25, 0.75].repeat(400)).unwrap();
        let ones: i64 = drawn(&halves, -1, &mut SplitMix64::new(1)).unwrap().to_i64s().unwrap().iter().sum();
        assert!((260..340).contains(&ones), "{ones}");
    }
}
