//! Evidence from files: samples that the user gives, or that are made up, and runners to see what models do with them.
//!
//! Passes ask an [`EvidenceSource`] for samples and for someone who runs a model; here are the three that there are, [`Given`], [`Made`]
//! and [`Recorded`], and the file that evidence is kept in.

mod file;
mod fitted;
mod given;
mod held;
mod made;
mod record;
mod recorded;
mod scratch;

use onnxpress_ir::Model;
use onnxpress_ops::evaluate::Value;
use onnxpress_passes::evidence::{Archive, Aside, EvidenceError, EvidenceSource, Execute, Feed, Held};

use crate::runner::{self, RunnerChoice, Session};
pub use file::{EvidenceFile, EvidenceFileError, Origin};
pub use fitted::Fit;
pub use given::Given;
pub use made::Made;
pub use recorded::Recorded;

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

/// Where samples come from.
enum Kind<'a> {
    Given(Given<'a>),
    Made(Made<'a>),
    Recorded(Recorded),
}

/// Samples, and the file in which evidence of them is kept, if there is one.
pub struct Samples<'a> {
    kind: Kind<'a>,
    file: Option<EvidenceFile>,
    interrupted: Option<fn() -> bool>,
}

impl<'a> From<Given<'a>> for Samples<'a> {
    fn from(given: Given<'a>) -> Self {
        Self { kind: Kind::Given(given), file: None, interrupted: None }
    }
}

impl<'a> From<Made<'a>> for Samples<'a> {
    fn from(made: Made<'a>) -> Self {
        Self { kind: Kind::Made(made), file: None, interrupted: None }
    }
}

impl From<Recorded> for Samples<'_> {
    fn from(recorded: Recorded) -> Self {
        Self { kind: Kind::Recorded(recorded), file: None, interrupted: None }
    }
}

impl<'a> Samples<'a> {
    /// The samples that the user gave.
    pub fn given(&self) -> Option<&Given<'a>> {
        match &self.kind {
            Kind::Given(given) => Some(given),
            Kind::Made(_) | Kind::Recorded(_) => None,
        }
    }

    /// Keeps evidence of them in a file.
    #[must_use]
    pub fn with_file(self, file: EvidenceFile) -> Self {
        Self { file: Some(file), ..self }
    }

    /// Asks whether what takes long should end with what it has.
    #[must_use]
    pub fn with_interruption(self, interrupted: fn() -> bool) -> Self {
        Self { interrupted: Some(interrupted), ..self }
    }

    /// Puts what was measured into its file. Answers what reports say of it; `None` where it is not kept.
    ///
    /// # Errors
    /// Where the file system refuses.
    pub fn save(self) -> Result<Option<String>, EvidenceFileError> {
        self.file.map(EvidenceFile::save).transpose()
    }

    fn inner(&self) -> &dyn EvidenceSource {
        match &self.kind {
            Kind::Given(given) => given,
            Kind::Made(made) => made,
            Kind::Recorded(recorded) => recorded,
        }
    }
}

impl EvidenceSource for Samples<'_> {
    fn describe(&self) -> String {
        self.inner().describe()
    }

    fn samples(&self) -> usize {
        self.inner().samples()
    }

    fn is_synthetic(&self) -> bool {
        self.inner().is_synthetic()
    }

    fn feed(
        &self,
        model: &Model,
        batch: usize,
        each: &mut dyn FnMut(Feed<'_>) -> Result<(), EvidenceError>,
    ) -> Result<(), EvidenceError> {
        self.inner().feed(model, batch, each)
    }

    fn load<'m>(&self, model: &'m Model) -> Result<Box<dyn Execute + 'm>, EvidenceError> {
        self.inner().load(model)
    }

    fn aside(&self) -> Option<Box<dyn Aside>> {
        Some(Box::new(scratch::Scratch::new()?))
    }

    fn archive(&self) -> Option<&dyn Archive> {
        self.file.as_ref().map(|file| file as &dyn Archive)
    }

    fn held(&self) -> Option<Held> {
        held::by_this_process()
    }

    fn interrupted(&self) -> bool {
        self.interrupted.is_some_and(|asked| asked())
    }

    fn progress(&self, what: &str, done: usize, total: usize) {
        self.inner().progress(what, done, total);
    }
}

#[cfg(test)]
mod tests;
