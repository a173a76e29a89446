//! Samples that are made up, where the user gives none.

use onnxpress_ir::Model;
use onnxpress_passes::evidence::{EvidenceError, EvidenceSource, Execute, Feed};

use super::Progress;
use super::fitted::{self, Family, Fit};
use crate::inputs::Generator;
use crate::runner::RunnerChoice;

/// Pictures that are drawn of each family that is tried.
const TRIED: usize = 4;

/// Seeded inputs that suit the model's types, as the numeric check makes them.
pub struct Made<'a> {
    runner: RunnerChoice,
    dims: Vec<(String, i64)>,
    count: usize,
    /// What pictures are drawn from, in the place of plain noise, and how well they fit.
    family: Option<Family>,
    fit: Option<Fit>,
    progress: Option<Progress<'a>>,
}

impl<'a> Made<'a> {
    /// So many of them; `dims` gives sizes to open dimensions.
    pub fn new(count: usize, dims: Vec<(String, i64)>, runner: RunnerChoice) -> Self {
        Self { runner, dims, count: count.max(1), family: None, fit: None, progress: None }
    }

    /// Pictures in the place of plain noise, such that the `BatchNormalization` nodes of the model see what they saw in training, as far
    /// as that can be had. `None` where the model has no such node, or no input is a batch of pictures.
    ///
    /// # Errors
    /// Where no inputs can be made, or the model cannot be run.
    pub fn fit(mut self, model: &Model) -> Result<Option<Self>, EvidenceError> {
        let said = |error: crate::inputs::GenerateError| EvidenceError::Samples(error.to_string());
        let plain = Generator::new(model, &self.dims).and_then(|generator| generator.values(0, 0)).map_err(said)?;
        if !plain.iter().flatten().any(|value| fitted::picture(value).is_some()) {
            return Ok(None);
        }
        let few = |family| Made { family, ..Made::new(TRIED, self.dims.clone(), self.runner.clone()) };
        let Some((family, fit)) = fitted::fit(model, few)? else { return Ok(None) };
        (self.family, self.fit) = (Some(family), Some(fit));
        Ok(Some(self))
    }

    /// How well fitted pictures meet the statistics; `None` where they are plain noise.
    pub fn fitted(&self) -> Option<Fit> {
        self.fit
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
        match self.fit {
            None => format!("{} random inputs", self.count),
            Some(Fit { layers, before, after }) => format!(
                "{} made-up pictures, {after:.2} nats off what {layers} BatchNormalization nodes saw in training (noise: {before:.2})",
                self.count
            ),
        }
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
            let mut inputs = generator.values(0, seed as u64).map_err(said)?;
            if let Some(family) = &self.family {
                let redrawn = |value| fitted::redrawn(value, family, seed as u64);
                inputs = inputs.into_iter().map(|value| value.map(redrawn)).collect();
            }
            each(Feed { inputs: &inputs, len: 1, size: 1, labels: None })?;
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
