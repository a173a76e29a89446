//! The proof: a result is run beside what it ought to compute.
//!
//! An exact pass must agree with the model that came in. A lossy pass hands over a *witness* beside its result, a model of the
//! old structure whose weights say what was decided; the result must agree with that, so that the transformation is proven even
//! where the approximation loses something, and what is lost to the original is measured beside it.

mod chance;
mod difference;
mod interface;
mod mode;
mod numeric;
mod retyped;
mod rounding;
mod settled;

use onnxpress_ir::Model;
use onnxpress_ops::evaluate::Value;
use onnxpress_passes::pass::Settled;

pub use difference::{Difference, difference};
pub use mode::{Mode, UnknownMode};
pub use settled::{Asked, asked_of};

use crate::inputs::GenerateError;
use crate::runner::{RunnerChoice, RunnerError};

/// The largest error that counts as agreement, relative to each output's peak: some hundred roundings of binary32.
pub const TOLERANCE: f64 = 1e-4;

/// How a check is to be done.
#[derive(Debug, Clone)]
pub struct CheckRequest<'a> {
    /// How much is asked for.
    pub mode: Mode,
    /// Who runs the models.
    pub runner: RunnerChoice,
    /// Sets of inputs, one entry an input of the model; empty to have them made.
    pub inputs: Vec<Vec<Option<Value>>>,
    /// Sizes for open dimensions of inputs that are made.
    pub dims: &'a [(String, i64)],
    /// How many sets are made.
    pub seeds: u64,
    /// The largest error that counts as agreement.
    pub tolerance: f64,
    /// Whether more is agreement as well where rounding explains it: where moving the weights by one unit in their last place
    /// moves the outputs about as far.
    pub excuse_rounding: bool,
    /// What passes have settled for the original's callers: it is given these sizes and values, and the result has no such
    /// inputs any more.
    pub settled: Settled,
}

impl Default for CheckRequest<'_> {
    fn default() -> Self {
        let (mode, runner) = (Mode::default(), RunnerChoice::default());
        Self {
            mode,
            runner,
            inputs: Vec::new(),
            dims: &[],
            seeds: 2,
            tolerance: TOLERANCE,
            excuse_rounding: true,
            settled: Settled::default(),
        }
    }
}

/// How one output was found.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputReport {
    /// The output.
    pub name: String,
    /// How far the result lies from the original, over all inputs.
    pub to_original: Difference,
    /// How far it lies from the witness, where there is one.
    pub to_witness: Option<Difference>,
    /// Whether it depends on chance, so that only types and shapes were compared.
    pub random: bool,
}

/// How a result was proven.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckReport {
    /// What was done, which may be less than was asked for: the notices say why.
    pub done: Done,
    /// Who ran the models.
    pub runner: Option<&'static str>,
    /// How many sets of inputs they ran on.
    pub inputs: usize,
    /// The largest error to the original.
    pub max_error: Option<f64>,
    /// The largest error to the witness, where there is one.
    pub witness_error: Option<f64>,
    /// The least signal to noise ratio of any output, in decibels.
    pub snr_db: Option<f64>,
    /// The least share, of any output, of rows along the last axis whose largest element stands where the original's does.
    pub agreement: Option<f64>,
    /// Each output.
    pub outputs: Vec<OutputReport>,
    /// What the user should know.
    pub notices: Vec<String>,
}

/// What a check did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// Nothing.
    Nothing,
    /// Inputs and outputs were compared by name and type.
    Structure,
    /// The models were run.
    Numeric,
}

impl Done {
    /// The word for it in reports: `off`, `structure`, `numeric`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "off",
            Self::Structure => "structure",
            Self::Numeric => "numeric",
        }
    }
}

impl CheckReport {
    fn of(done: Done, notices: Vec<String>) -> Self {
        let outputs = Vec::new();
        let (max_error, witness_error, snr_db, agreement) = (None, None, None, None);
        Self { done, runner: None, inputs: 0, max_error, witness_error, snr_db, agreement, outputs, notices }
    }
}

/// Why a result is not what it ought to be, or why that cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Inputs or outputs are other ones.
    #[error("the result has another interface: {0}")]
    Interface(String),
    /// The result computes something else.
    #[error("{output}: {}; {} allowed ({} on {} set(s) of inputs)", describe(.difference), .tolerance, .report.runner.unwrap_or("?"), .report.inputs)]
    Different {
        /// The output that is farthest off.
        output: String,
        /// How far.
        difference: Box<Difference>,
        /// The largest error that counts as agreement.
        tolerance: f64,
        /// All outputs.
        report: Box<CheckReport>,
    },
    /// The original runs and the result does not.
    #[error("the result does not run: {0}")]
    Result(RunnerError),
    /// The models cannot be run, and the request was strict.
    #[error("the result cannot be checked: {0}")]
    CannotRun(String),
    /// No inputs can be made, and the request was strict; or the request is wrong.
    #[error(transparent)]
    Inputs(#[from] GenerateError),
    /// Who was asked to run the models is not to be had.
    #[error(transparent)]
    Runner(RunnerError),
}

impl CheckError {
    /// Whether the result is at fault, rather than the request or the original.
    pub fn is_defect(&self) -> bool {
        matches!(self, Self::Interface(_) | Self::Different { .. } | Self::Result(_))
    }
}

fn describe(difference: &Difference) -> String {
    match &difference.mismatch {
        Some(mismatch) => mismatch.clone(),
        None => format!("largest error {:.3e} of the peak", difference.error),
    }
}

/// Checks `result` against `witness`, where there is one, else against `original`.
///
/// # Errors
/// Where the result is wrong; where a strict request cannot be met; where the request names what is not there.
pub fn check_models(
    original: &Model,
    result: &Model,
    witness: Option<&Model>,
    request: &CheckRequest<'_>,
) -> Result<CheckReport, CheckError> {
    if request.mode == Mode::Off {
        return Ok(CheckReport::of(Done::Nothing, Vec::new()));
    }
    if request.settled.another {
        let notice = "the result is another model than the one that came in: nothing was compared".to_owned();
        return Ok(CheckReport::of(Done::Structure, vec![notice]));
    }
    for model in std::iter::once(result).chain(witness) {
        if let Some(conflict) = interface::conflict(original, model, &request.settled) {
            return Err(CheckError::Interface(conflict));
        }
    }
    if request.mode == Mode::Structure {
        return Ok(CheckReport::of(Done::Structure, Vec::new()));
    }
    match numeric::check(numeric::Models { original, result, witness }, request) {
        Ok(report) => Ok(report),
        Err(CheckError::CannotRun(reason)) if request.mode == Mode::Auto => {
            Ok(CheckReport::of(Done::Structure, vec![format!("only the structure was checked: {reason}")]))
        }
        Err(CheckError::Inputs(error @ (GenerateError::Type { .. } | GenerateError::TooLarge)))
            if request.mode == Mode::Auto =>
        {
            Ok(CheckReport::of(Done::Structure, vec![format!("only the structure was checked: {error}")]))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
