//! Samples of which nothing is left but what was measured on them.

use std::path::PathBuf;

use onnxpress_ir::Model;
use onnxpress_passes::evidence::{EvidenceError, EvidenceSource, Execute, Feed};

use super::file::Origin;

/// Stands for the samples of a file of evidence, where the samples themselves are not given.
#[derive(Debug, Clone)]
pub struct Recorded {
    path: PathBuf,
    origin: Origin,
}

impl Recorded {
    /// For the samples that the file at `path` is of.
    pub fn new(path: PathBuf, origin: Origin) -> Self {
        Self { path, origin }
    }

    fn gone(&self) -> EvidenceError {
        EvidenceError::Samples(format!(
            "{}: it does not hold what is wanted of the model as it is here, and there are no samples to run; give {} with --calib",
            self.path.display(),
            self.origin,
        ))
    }
}

impl EvidenceSource for Recorded {
    fn describe(&self) -> String {
        self.origin.source.clone()
    }

    fn samples(&self) -> usize {
        self.origin.samples
    }

    fn is_synthetic(&self) -> bool {
        self.origin.synthetic
    }

    fn feed(
        &self,
        _model: &Model,
        _batch: usize,
        _each: &mut dyn FnMut(Feed<'_>) -> Result<(), EvidenceError>,
    ) -> Result<(), EvidenceError> {
        Err(self.gone())
    }

    fn load<'m>(&self, _model: &'m Model) -> Result<Box<dyn Execute + 'm>, EvidenceError> {
        Err(self.gone())
    }
}
