//! Running models: one interface, and whoever implements it.
//!
//! A result is believed because it was run, so there is always someone who can: [`Interpreter`] is slow and follows
//! nearly everything. What a runner cannot do it says ([`RunnerError::CannotRun`]), so that another can be asked; what it
//! tried and failed at is another matter ([`RunnerError::Failed`]), since then the model or its inputs may be wrong.

mod choose;
mod cost;
mod interpreter;
#[cfg(feature = "ort")]
mod onnxruntime;
#[cfg(any(feature = "tract", feature = "ort"))]
mod panics;
mod specialize;
#[cfg(feature = "tract")]
mod tract;

use onnxpress_ir::Model;
use onnxpress_ops::evaluate::Value;

pub use choose::{Ran, RunnerChoice, RunnerKind, Started, choose, run, start};
pub use interpreter::Interpreter;
#[cfg(feature = "ort")]
pub use onnxruntime::Ort;
pub(crate) use specialize::at_types;
#[cfg(feature = "tract")]
pub use tract::Tract;

/// Why a model gave no outputs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunnerError {
    /// The runner does not do it; another one may.
    #[error("{runner} cannot run this model: {reason}")]
    CannotRun {
        /// The runner.
        runner: &'static str,
        /// What it does not do.
        reason: String,
    },
    /// The runner is not there: left out of this program, or its library is not found.
    #[error("{runner} is not to be had: {reason}")]
    Missing {
        /// The runner.
        runner: &'static str,
        /// What is missing, and what to do about it.
        reason: String,
    },
    /// Nobody does it.
    #[error("no runner can run this model: {reasons}")]
    NoRunner {
        /// What each of them said.
        reasons: String,
    },
    /// The model makes no sense, or not with these inputs.
    #[error("{runner}: {reason}")]
    Failed {
        /// The runner.
        runner: &'static str,
        /// What went wrong.
        reason: String,
    },
}

impl RunnerError {
    /// Whether the runner merely does not do it.
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::CannotRun { .. } | Self::Missing { .. } | Self::NoRunner { .. })
    }

    /// What several runners said, each of which was asked because the one before gave no outputs. What one of them calls wrong
    /// is believed more than what others cannot.
    pub(crate) fn all(mut errors: Vec<Self>) -> Self {
        if let Some(failed) = errors.iter().position(|error| !error.is_unsupported()) {
            return errors.swap_remove(failed);
        }
        match errors.pop() {
            Some(only) if errors.is_empty() => only,
            last => {
                let reasons: Vec<String> = errors.iter().chain(&last).map(Self::reason).collect();
                Self::NoRunner { reasons: reasons.join("; ") }
            }
        }
    }

    fn reason(&self) -> String {
        match self {
            Self::CannotRun { runner, reason } | Self::Missing { runner, reason } | Self::Failed { runner, reason } => {
                format!("{runner}: {reason}")
            }
            Self::NoRunner { reasons } => reasons.clone(),
        }
    }
}

/// Something that runs models.
pub trait Runner {
    /// What the command line and reports call it.
    fn name(&self) -> &'static str;

    /// Makes ready to run `model`, which has all its weights at hand.
    ///
    /// # Errors
    /// Where the runner cannot run it, or it makes no sense. Either may also turn out only when it is run.
    fn load<'m>(&self, model: &'m Model) -> Result<Box<dyn Session + 'm>, RunnerError>;
}

/// A model ready to run.
pub trait Session: Send {
    /// The outputs in the model's order. `inputs` has one entry an input of the graph, in order; `None` takes the default
    /// of an input that has one.
    ///
    /// # Errors
    /// Where the runner cannot run it, or it fails.
    fn run(&mut self, inputs: &[Option<Value>]) -> Result<Vec<Value>, RunnerError>;
}
