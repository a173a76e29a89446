//! Samples that are made up, where the user gives none.

use onnxpress_ir::Model;
use onnxpress_passes::evidence::{EvidenceError, EvidenceSource, Execute, Feed};

use super::Progress;
use crate::inputs::Generator;
use crate::runner::RunnerChoice;

/// Seeded inputs that suit the model's types, as the numeric check makes them.
pub struct Made<'a> {
    runner: RunnerChoice,
    dims: Vec<(String, i64)>,
    count: usize,
    progress: Option<Progress<'a>>,
}

impl<'a> Made<'a> {
    /// So many of them; `dims` gives sizes to open dimensions.
    pub fn new(count: usize, dims: Vec<(String, i64)>, runner: RunnerChoice) -> Self {
        Self { runner, dims, count: count.max(1), progress: None }
    }

    /// Tells someone what is going on.
    #[must_use]
    pub fn with_progress(mut self, progress: Progress<'a>) -> Self {
        self.progress = Some(progress);
        self
    }
}

impl EvidenceSource for Made<'_> {
    fn describe(&self) -> String {
        format!("{} random inputs", self.count)
    }

    fn samples(&self) -> usize {
        self.count
    }

    fn is_synthetic(&self) -> bool {
        true
    }

    fn feed(
        &self,
        model: &Model,
        _batch: usize,
        each: &mut dyn FnMut(Feed<'_>) -> Result<(), EvidenceError>,
    ) -> Result<(), EvidenceError> {
        let said = |error: crate::inputs::GenerateError| EvidenceError::Samples(error.to_string());
        let generator = Generator::new(model, &self.dims).map_err(said)?;
        for seed in 0..self.count {
            // One choice of sizes for all, so that a runner plans once.
            let inputs = generator.values(0, seed as u64).map_err(said)?;
            each(Feed { inputs: &inputs, len: 1, size: 1 })?;
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
