//! What a model is worth on samples: right answers, agreement with another model, time.
//!
//! One output, the first if none is named, is taken for scores, one row a sample and one number a class. A model and its reference run batch by batch
//! side by side on the same values, so that memory does not depend on the number of samples. Batches are all of one size (the
//! last is filled up), since a runner may plan anew for each shape; and the first one is run once more than is measured, to
//! find who runs the model, and to warm up.

mod score;

use std::time::Instant;

use onnxpress_ir::{Model, Type};
use onnxpress_ops::evaluate::Value;

use crate::data::{Batch, Binding, DataError, Samples};
use crate::runner::{self, RunnerChoice, RunnerError, Session};
use score::Scores;
pub use score::{Likeness, Right};

/// How a model is evaluated.
#[derive(Debug, Clone)]
pub struct EvalOptions {
    /// Who runs it.
    pub runner: RunnerChoice,
    /// Samples at a time, where the model leaves a choice.
    pub batch: usize,
    /// The output that has the scores; the first, where none is named.
    pub output: Option<String>,
    /// What is added to each label to make it the number of a class: 1 for a model with a class for the background before all others.
    pub label_offset: i64,
}

impl EvalOptions {
    /// Labels as they are, the first output, 32 samples at a time.
    pub fn new(runner: RunnerChoice) -> Self {
        Self { runner, batch: 32, output: None, label_offset: 0 }
    }
}

/// Why nothing is known of a model's worth.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// The samples cannot be read, or do not suit the model.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Nobody runs the model.
    #[error("{which}: {error}")]
    Run {
        /// Which of the two models.
        which: &'static str,
        /// Why.
        error: RunnerError,
    },
    /// Neither labels nor a reference.
    #[error("the samples have no labels, and there is no reference model to agree with")]
    NothingToHoldAgainst,
    /// Two batches that cannot be one.
    #[error("the model wants batches of {model}, the reference of {reference}")]
    Batches {
        /// Of the model.
        model: usize,
        /// Of the reference.
        reference: usize,
    },
    /// The output has no scores.
    #[error("{which}: output `{output}` is {found}, expected scores, one row for each of {batch} samples")]
    Output {
        /// Which of the two models.
        which: &'static str,
        /// The output.
        output: String,
        /// Its type.
        found: String,
        /// Samples of a batch.
        batch: usize,
    },
    /// The model has no such output.
    #[error("{which}: no output{}, expected scores; it has {found}", name.as_ref().map_or_else(String::new, |name| format!(" `{name}`")))]
    NoOutput {
        /// Which of the two models.
        which: &'static str,
        /// The output that was named.
        name: Option<String>,
        /// The outputs that there are.
        found: String,
    },
    /// No such class.
    #[error("sample {sample} has label {label}{}, but output `{output}` has {classes} classes, 0 to {}",
        if *offset == 0 { String::new() } else { format!(" and an offset of {offset}") }, classes.saturating_sub(1))]
    Label {
        /// The sample, counted from 0.
        sample: usize,
        /// What is said to be right for it.
        label: i64,
        /// What is added to that.
        offset: i64,
        /// The output.
        output: String,
        /// The numbers of one of its rows.
        classes: usize,
    },
    /// Rows of different lengths.
    #[error("the model has {model} classes, the reference {reference}")]
    Classes {
        /// Of the model.
        model: usize,
        /// Of the reference.
        reference: usize,
    },
}

/// What one model is worth.
#[derive(Debug, Clone, PartialEq)]
pub struct Worth {
    /// Who ran it.
    pub runner: &'static str,
    /// Classes there are.
    pub classes: usize,
    /// How often it was right; `None` without labels.
    pub right: Option<Right>,
    /// Milliseconds a sample: the median over the batches, without the first run.
    pub ms_per_sample: f64,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Samples that were run.
    pub samples: usize,
    /// Samples at a time.
    pub batch: usize,
    /// The model's worth.
    pub model: Worth,
    /// The reference's, and how like the two are.
    pub reference: Option<(Worth, Likeness)>,
}

/// Runs a model over samples that were opened for it, beside a reference if there is one. `progress` is told after each batch
/// how many samples are done.
///
/// # Errors
/// Where the samples do not suit a model or have a label of no class, where nobody runs a model, or its first output has no
/// scores; and where there are neither labels nor a reference.
pub fn evaluate(
    mut samples: Samples,
    model: &Model,
    reference: Option<&Model>,
    options: &EvalOptions,
    progress: &dyn Fn(usize),
) -> Result<Evaluation, EvalError> {
    if !samples.is_labelled() && reference.is_none() {
        return Err(EvalError::NothingToHoldAgainst);
    }
    let output = options.output.as_deref();
    let mut contenders = vec![Contender::new("model", model, samples.bind(model)?, output)?];
    if let Some(reference) = reference {
        contenders.push(Contender::new("reference", reference, samples.bind(reference)?, output)?);
    }
    let wanted: Vec<usize> = contenders.iter().filter_map(|contender| contender.binding.batch()).collect();
    if let [model, reference] = wanted[..]
        && model != reference
    {
        return Err(EvalError::Batches { model, reference });
    }
    let size = wanted.first().copied().unwrap_or_else(|| options.batch.clamp(1, samples.count()));
    let mut likeness = Likeness::default();
    let mut done = 0;
    while let Some(batch) = samples.next_batch(size)? {
        let mut all = Vec::with_capacity(2);
        for contender in &mut contenders {
            all.push(contender.run(&batch, size, &options.runner)?);
        }
        if let Some(labels) = &batch.labels {
            for (contender, scores) in contenders.iter_mut().zip(&all) {
                contender.judge(scores, labels, options.label_offset, done)?;
            }
        }
        if let [model, reference] = &all[..] {
            let (model, reference) = (model, reference);
            if model.classes != reference.classes {
                return Err(EvalError::Classes { model: model.classes, reference: reference.classes });
            }
            likeness.add(reference, model, batch.len);
        }
        done += batch.len;
        progress(done);
    }
    let mut worths = contenders.into_iter().map(|contender| contender.worth(size));
    // The samples are at least one, so both have run.
    let model = worths.next().flatten().ok_or(EvalError::NothingToHoldAgainst)?;
    let reference = worths.next().flatten().map(|worth| (worth, likeness));
    Ok(Evaluation { samples: done, batch: size, model, reference })
}

/// A model that is being run.
struct Contender<'m> {
    which: &'static str,
    model: &'m Model,
    binding: Binding,
    /// Which of the outputs has the scores.
    scored: usize,
    running: Option<(&'static str, Box<dyn Session + 'm>)>,
    classes: usize,
    right: Option<Right>,
    seconds: Vec<f64>,
}

impl<'m> Contender<'m> {
    fn new(which: &'static str, model: &'m Model, binding: Binding, output: Option<&str>) -> Result<Self, EvalError> {
        let names: Vec<String> =
            model.graph.outputs().iter().map(|&id| model.graph.output(id).name.to_string()).collect();
        let scored = match output {
            Some(output) => names.iter().position(|name| name == output),
            None => (!names.is_empty()).then_some(0),
        };
        let scored = scored.ok_or_else(|| EvalError::NoOutput {
            which,
            name: output.map(ToOwned::to_owned),
            found: if names.is_empty() { "none".to_owned() } else { names.join(", ") },
        })?;
        Ok(Self { which, model, binding, scored, running: None, classes: 0, right: None, seconds: Vec::new() })
    }

    fn run(&mut self, batch: &Batch, size: usize, choice: &RunnerChoice) -> Result<Scores, EvalError> {
        let inputs = self.binding.feed(batch)?;
        let failed = |error| EvalError::Run { which: self.which, error };
        let (_, session) = match &mut self.running {
            Some(running) => running,
            none => {
                let started = runner::start(choice, self.model, &inputs).map_err(failed)?;
                none.insert((started.first.runner, started.session))
            }
        };
        let clock = Instant::now();
        let outputs = session.run(&inputs).map_err(failed)?;
        self.seconds.push(clock.elapsed().as_secs_f64());
        let Some(output) = outputs.into_iter().nth(self.scored) else {
            let (which, name) = (self.which, Some(self.output()));
            return Err(EvalError::NoOutput { which, name, found: "fewer when it is run".to_owned() });
        };
        let scores = Scores::new(&output, size).ok_or_else(|| EvalError::Output {
            which: self.which,
            output: self.output(),
            found: describe(&output),
            batch: size,
        })?;
        self.classes = scores.classes;
        Ok(scores)
    }

    fn output(&self) -> String {
        let graph = &self.model.graph;
        graph.outputs().get(self.scored).map_or_else(String::new, |&id| graph.output(id).name.to_string())
    }

    /// Counts right answers; `done` samples came before.
    fn judge(&mut self, scores: &Scores, labels: &[i64], offset: i64, done: usize) -> Result<(), EvalError> {
        let right = self.right.get_or_insert_with(|| Right::of(scores.classes));
        for (row, &label) in labels.iter().enumerate() {
            let class = label.checked_add(offset).and_then(|class| usize::try_from(class).ok());
            let class = class.filter(|&class| class < scores.classes);
            let Some(class) = class else {
                let (output, classes) = (self.output(), scores.classes);
                return Err(EvalError::Label { sample: done + row, label, offset, output, classes });
            };
            right.add(scores.rank(row, class));
        }
        Ok(())
    }

    fn worth(self, size: usize) -> Option<Worth> {
        let (runner, _) = self.running?;
        let ms_per_sample = 1000.0 * median(self.seconds) / size as f64;
        Some(Worth { runner, classes: self.classes, right: self.right, ms_per_sample })
    }
}

fn describe(value: &Value) -> String {
    let ty: Type = crate::inputs::type_of(value);
    ty.to_string()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        even if even % 2 == 0 => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    }
}

#[cfg(test)]
mod tests;
