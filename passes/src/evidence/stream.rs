//! Runs a model over all samples with as many sessions as there are threads, and hands on what comes out in order.

use onnxpress_ir::Model;
use onnxpress_ops::evaluate::Value;
use rayon::prelude::*;

use super::padding::Padding;
use super::{EvidenceError, EvidenceSource, Execute, Feed};

/// Inputs of a batch that waits to be run.
struct Waiting {
    inputs: Vec<Option<Value>>,
    padding: Option<Padding>,
    len: usize,
    size: usize,
}

/// What came of one batch.
pub(crate) struct Batch {
    /// The outputs, in the model's order.
    pub(crate) outputs: Vec<Value>,
    /// How many samples these are.
    pub(crate) len: usize,
    /// How many the tensors have.
    pub(crate) size: usize,
    /// Which places of them are no data.
    pub(crate) padding: Option<Padding>,
}

/// Runs `model` over all samples, about `batch` at a time in each session, and hands the outputs to `each` in the order of the samples.
/// How many sessions there are changes nothing but the time that it takes.
///
/// # Errors
/// Where the samples do not suit the model or it cannot be run, and what `each` answers.
pub(crate) fn stream(
    model: &Model,
    batch: usize,
    source: &dyn EvidenceSource,
    each: &mut dyn FnMut(Batch) -> Result<(), EvidenceError>,
) -> Result<(), EvidenceError> {
    let count = rayon::current_num_threads().max(1);
    let mut sessions = (0..count).map(|_| source.load(model)).collect::<Result<Vec<_>, _>>()?;
    let mut waiting: Vec<Waiting> = Vec::new();
    source.feed(model, batch, &mut |feed: Feed<'_>| {
        let padding = Padding::of(model, feed.inputs);
        waiting.push(Waiting { inputs: feed.inputs.to_vec(), padding, len: feed.len, size: feed.size });
        if waiting.len() == sessions.len() { flush(&mut waiting, &mut sessions, each) } else { Ok(()) }
    })?;
    flush(&mut waiting, &mut sessions, each)
}

fn flush(
    waiting: &mut Vec<Waiting>,
    sessions: &mut [Box<dyn Execute + '_>],
    each: &mut dyn FnMut(Batch) -> Result<(), EvidenceError>,
) -> Result<(), EvidenceError> {
    let outputs: Vec<_> =
        waiting.par_iter().zip(sessions.par_iter_mut()).map(|(batch, session)| session.run(&batch.inputs)).collect();
    for (batch, outputs) in waiting.drain(..).zip(outputs) {
        each(Batch { outputs: outputs?, len: batch.len, size: batch.size, padding: batch.padding })?;
    }
    Ok(())
}
