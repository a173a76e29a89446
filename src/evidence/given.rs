//! Samples that the user gives.

use std::path::PathBuf;

use onnxpress_ir::Model;
use onnxpress_ops::evaluate::Value;
use onnxpress_passes::evidence::{EvidenceError, EvidenceSource, Execute, Feed};

use super::Progress;
use crate::data::{DataError, DataOptions, Samples};
use crate::runner::RunnerChoice;

/// Samples in a file or folder, read anew for each run over them.
pub struct Given<'a> {
    path: PathBuf,
    options: DataOptions,
    runner: RunnerChoice,
    count: usize,
    progress: Option<Progress<'a>>,
}

impl<'a> Given<'a> {
    /// Opens them for a model whose types are inferred.
    ///
    /// # Errors
    /// Where they cannot be read, or do not suit the model.
    pub fn open(path: PathBuf, options: DataOptions, runner: RunnerChoice, model: &Model) -> Result<Self, DataError> {
        let count = Samples::open(&path, model, &options)?.count();
        Ok(Self { path, options, runner, count, progress: None })
    }

    /// The inputs of a model for the first so many samples, a batch at a time.
    ///
    /// # Errors
    /// Where they cannot be read, or do not suit the model.
    pub fn first(&self, count: usize, model: &Model) -> Result<Vec<Vec<Option<Value>>>, DataError> {
        let count = count.min(self.count);
        let options = DataOptions { samples: Some(count), ..self.options.clone() };
        let mut samples = Samples::open(&self.path, model, &options)?;
        let binding = samples.bind(model)?;
        let mut sets = Vec::new();
        while let Some(batch) = samples.next_batch(binding.batch().unwrap_or(count))? {
            sets.push(binding.feed(&batch)?);
        }
        Ok(sets)
    }

    /// Tells someone what is going on.
    #[must_use]
    pub fn with_progress(mut self, progress: Progress<'a>) -> Self {
        self.progress = Some(progress);
        self
    }
}

/// Samples at a time: what leaves no batch that is not full, unless that is far fewer than there could be.
fn size(count: usize, most: usize) -> usize {
    let most = most.clamp(1, count.max(1));
    let even = (1..=most).rev().find(|size| count.is_multiple_of(*size)).unwrap_or(1);
    if even * 4 >= most { even } else { most }
}

impl EvidenceSource for Given<'_> {
    fn describe(&self) -> String {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        format!("{} samples of {}", self.count, name.display())
    }

    fn samples(&self) -> usize {
        self.count
    }

    fn is_synthetic(&self) -> bool {
        false
    }

    fn feed(
        &self,
        model: &Model,
        batch: usize,
        each: &mut dyn FnMut(Feed<'_>) -> Result<(), EvidenceError>,
    ) -> Result<(), EvidenceError> {
        let said = |error: DataError| EvidenceError::Samples(error.to_string());
        let mut samples = Samples::open(&self.path, model, &self.options).map_err(said)?;
        let binding = samples.bind(model).map_err(said)?;
        let size = binding.batch().unwrap_or_else(|| size(self.count, batch));
        while let Some(batch) = samples.next_batch(size).map_err(said)? {
            let inputs = binding.feed(&batch).map_err(said)?;
            each(Feed { inputs: &inputs, len: batch.len, size, labels: batch.labels.as_deref() })?;
        }
        Ok(())
    }

    fn load<'m>(&self, model: &'m Model) -> Result<Box<dyn Execute + 'm>, EvidenceError> {
        Ok(super::load(model, &self.runner))
    }

    fn progress(&self, what: &str, done: usize, total: usize) {
        if let Some(progress) = self.progress {
            progress(what, done, total);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn batches_are_full_where_that_costs_little() {
        assert_eq!(size(200, 32), 25);
        assert_eq!(size(600, 8), 8);
        assert_eq!(size(101, 32), 32);
        assert_eq!(size(5, 32), 5);
        assert_eq!(size(7, 2), 1);
    }
}
