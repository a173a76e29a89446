//! Evidence from files: samples that the user gives, or that are made up, and runners to see what models do with them.
//!
//! Passes ask an [`EvidenceSource`] for samples and for someone who runs a model; here are the two that there are, [`Given`] and
//! [`Made`].

mod given;
mod made;

use onnxpress_ir::Model;
use onnxpress_ops::evaluate::Value;
use onnxpress_passes::evidence::{EvidenceError, EvidenceSource, Execute};

use crate::runner::{self, RunnerChoice, Session};
pub use given::Given;
pub use made::Made;

/// Is told what is going on and how much of it is done.
pub type Progress<'a> = &'a dyn Fn(&str, usize, usize);

/// A model whose runner is found when inputs come.
struct Running<'m> {
    model: &'m Model,
    choice: RunnerChoice,
    session: Option<Box<dyn Session + 'm>>,
}

fn load<'m>(model: &'m Model, choice: &RunnerChoice) -> Box<dyn Execute + 'm> {
    Box::new(Running { model, choice: choice.clone(), session: None })
}

impl Execute for Running<'_> {
    fn run(&mut self, inputs: &[Option<Value>]) -> Result<Vec<Value>, EvidenceError> {
        let said = |error: runner::RunnerError| EvidenceError::Run(error.to_string());
        match &mut self.session {
            Some(session) => session.run(inputs).map_err(said),
            none => {
                let started = runner::start(&self.choice, self.model, inputs).map_err(said)?;
                *none = Some(started.session);
                Ok(started.first.outputs)
            }
        }
    }
}

/// The user's samples if there are any, else made-up ones.
pub enum Samples<'a> {
    /// Given.
    Given(Given<'a>),
    /// Made up.
    Made(Made<'a>),
}

impl<'a> Samples<'a> {
    /// The samples that the user gave.
    pub fn given(&self) -> Option<&Given<'a>> {
        match self {
            Self::Given(given) => Some(given),
            Self::Made(_) => None,
        }
    }

    /// Whichever it is.
    pub fn source(&self) -> &(dyn EvidenceSource + 'a) {
        match self {
            Self::Given(given) => given,
            Self::Made(made) => made,
        }
    }
}

#[cfg(test)]
mod tests;
