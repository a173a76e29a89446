//! The runner on the reference kernels of [`onnxpress_ops`]: slow, and right by the standard's words.

use onnxpress_ir::Model;
use onnxpress_ops::evaluate::{EvalError, Value};
use onnxpress_ops::interpret::{self, InterpretError, Limits};

use super::{Runner, RunnerError, Session};

const NAME: &str = "interpreter";

/// Runs models node by node on the reference kernels, within limits.
#[derive(Debug, Clone, Copy, Default)]
pub struct Interpreter {
    /// What a run may take.
    pub limits: Limits,
}

struct Interpretation<'m> {
    model: &'m Model,
    limits: Limits,
}

impl Runner for Interpreter {
    fn name(&self) -> &'static str {
        NAME
    }

    fn load<'m>(&self, model: &'m Model) -> Result<Box<dyn Session + 'm>, RunnerError> {
        Ok(Box::new(Interpretation { model, limits: self.limits }))
    }
}

impl Session for Interpretation<'_> {
    fn run(&mut self, inputs: &[Option<Value>]) -> Result<Vec<Value>, RunnerError> {
        interpret::run(self.model, inputs.to_vec(), self.limits).map_err(|error| {
            let unsupported = matches!(
                &error,
                InterpretError::Node { error: EvalError::Unsupported(_) | EvalError::TooLarge { .. }, .. }
            );
            let reason = error.to_string();
            if unsupported {
                RunnerError::CannotRun { runner: NAME, reason }
            } else {
                RunnerError::Failed { runner: NAME, reason }
            }
        })
    }
}
