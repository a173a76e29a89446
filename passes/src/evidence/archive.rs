//! Evidence that outlives a run.
//!
//! Measuring takes a run of the model over all samples, and the next attempt with other options of a pass wants to know the same. So
//! a source may keep what was measured and answer from it. What ties evidence to a model is a digest of the model as it was at that
//! point of the pipeline: vertices are the same ones, so values and layers are known by where they are.

use onnxpress_ir::Graph;

use super::{Evidence, EvidenceError, Wants};

/// Keeps evidence from one run to the next.
pub trait Archive {
    /// What is known of the model with this digest, among what is wanted.
    ///
    /// # Errors
    /// Where the archive cannot be read, or is none.
    fn recall(&self, model: &str, wants: &Wants) -> Result<Evidence, EvidenceError>;

    /// Keeps what was measured of the model with this digest; `graph` is its main graph.
    ///
    /// # Errors
    /// Where the archive cannot be written.
    fn keep(&self, model: &str, graph: &Graph, evidence: &Evidence) -> Result<(), EvidenceError>;
}
