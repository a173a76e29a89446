//! Who runs a model.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use onnxpress_ir::Model;
use onnxpress_ops::evaluate::Value;
use onnxpress_ops::interpret::Limits;

use super::specialize::at_inputs;
use super::{Interpreter, Runner, RunnerError, Session, cost};

/// Steps up to which the interpreter is asked first: it has the answer before tract has a plan.
const CHEAP: u64 = 1 << 20;

/// Steps beyond which the interpreter is not asked unless the user does: minutes.
const AFFORDABLE: u64 = 1 << 31;

/// Steps after which the interpreter gives up where loops might turn very often, or might not: seconds.
const TRIAL: u64 = 1 << 22;

/// Who is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RunnerKind {
    /// Whoever is up to the model.
    #[default]
    Auto,
    /// tract.
    Tract,
    /// onnxruntime.
    Ort,
    /// The interpreter.
    Interpreter,
}

impl RunnerKind {
    /// Every kind, in the order in which help lists them.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Tract, Self::Ort, Self::Interpreter];

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Tract => "tract",
            Self::Ort => "ort",
            Self::Interpreter => "interpreter",
        }
    }
}

impl fmt::Display for RunnerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for RunnerKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            let all = Self::ALL.map(Self::name).join(", ");
            format!("`{text}` is no runner; there are {all}")
        })
    }
}

/// Who is asked for, and where it is found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunnerChoice {
    /// Who.
    pub kind: RunnerKind,
    /// The shared library of onnxruntime; where it is `None`, the environment variable `ORT_DYLIB_PATH` says it.
    pub ort_library: Option<PathBuf>,
}

/// The runners to be asked one after the other, the first best, for a model and the inputs that it is to run on.
///
/// # Errors
/// Where the one that was asked for is not to be had.
pub fn choose(
    choice: &RunnerChoice,
    model: &Model,
    inputs: &[Option<Value>],
) -> Result<Vec<Box<dyn Runner>>, RunnerError> {
    match choice.kind {
        RunnerKind::Interpreter => Ok(vec![Box::new(Interpreter::default())]),
        RunnerKind::Tract => Ok(vec![tract().ok_or_else(|| left_out("tract"))?]),
        RunnerKind::Ort => Ok(vec![ort(choice)?]),
        RunnerKind::Auto => {
            let special = at_inputs(model, inputs);
            let steps = cost::steps(&special, cost::ROUNDS);
            let limit = match steps {
                ..=AFFORDABLE => Some(AFFORDABLE),
                _ => (cost::steps(&special, 1) <= TRIAL).then_some(TRIAL),
            };
            let interpreter = limit.map(|steps| {
                Box::new(Interpreter { limits: Limits { steps, ..Limits::default() } }) as Box<dyn Runner>
            });
            let mut runners: Vec<_> = tract().into_iter().chain(interpreter).collect();
            if steps <= CHEAP {
                runners.reverse();
            }
            runners.extend(ort(choice));
            Ok(runners)
        }
    }
}

/// Outputs, and who computed them.
#[derive(Debug, Clone, PartialEq)]
pub struct Ran {
    /// The outputs in the model's order.
    pub outputs: Vec<Value>,
    /// The runner.
    pub runner: &'static str,
}

/// Runs a model once, on the first runner that can.
///
/// # Errors
/// Where none can, with the reason of each.
pub fn run(choice: &RunnerChoice, model: &Model, inputs: &[Option<Value>]) -> Result<Ran, RunnerError> {
    start(choice, model, inputs).map(|started| started.first)
}

/// A model that a runner has run once, ready to run again.
pub struct Started<'m> {
    /// What the first run gave.
    pub first: Ran,
    /// Runs it again.
    pub session: Box<dyn Session + 'm>,
}

/// Runs a model on the first runner that can, and keeps it ready.
///
/// # Errors
/// Where none can, with the reason of each.
pub fn start<'m>(
    choice: &RunnerChoice,
    model: &'m Model,
    inputs: &[Option<Value>],
) -> Result<Started<'m>, RunnerError> {
    let mut errors = Vec::new();
    for runner in choose(choice, model, inputs)? {
        match runner.load(model).and_then(|mut session| Ok((session.run(inputs)?, session))) {
            Ok((outputs, session)) => {
                return Ok(Started { first: Ran { outputs, runner: runner.name() }, session });
            }
            Err(error) => errors.push(error),
        }
    }
    Err(RunnerError::all(errors))
}

fn left_out(runner: &'static str) -> RunnerError {
    RunnerError::Missing { runner, reason: format!("this onnxpress was built without the feature `{runner}`") }
}

#[cfg(feature = "tract")]
fn tract() -> Option<Box<dyn Runner>> {
    Some(Box::new(super::Tract::default()))
}

#[cfg(not(feature = "tract"))]
fn tract() -> Option<Box<dyn Runner>> {
    None
}

#[cfg(feature = "ort")]
fn ort(choice: &RunnerChoice) -> Result<Box<dyn Runner>, RunnerError> {
    let mut ort = super::Ort::new(choice.ort_library.as_deref())?;
    ort.threads = rayon::current_num_threads();
    Ok(Box::new(ort))
}

#[cfg(not(feature = "ort"))]
fn ort(_choice: &RunnerChoice) -> Result<Box<dyn Runner>, RunnerError> {
    Err(left_out("ort"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use onnxpress_ir::Tensor;

    use super::*;

    fn names(text: &str, dims: &[usize]) -> Vec<&'static str> {
        let model = Model::from_text(text).unwrap();
        let zeros = Tensor::from_values(dims, vec![0f32; dims.iter().product()]).unwrap();
        let runners = choose(&RunnerChoice::default(), &model, &[Some(Value::Tensor(zeros))]).unwrap();
        runners.iter().map(|runner| runner.name()).filter(|&name| name != "ort").collect()
    }

    #[test]
    #[cfg(feature = "tract")]
    fn small_models_go_to_the_interpreter_and_large_ones_never() {
        let conv = "g (float[N,1,H,H] x) => (y) <float[1,1,3,3] w = iota> { y = Conv(x, w) }";
        assert_eq!(names(conv, &[1, 1, 8, 8]), ["interpreter", "tract"]);
        assert_eq!(names(conv, &[1, 1, 600, 600]), ["tract", "interpreter"]);
        let wide = "g (float[N,1,H,H] x) => (y) <float[4096,1,3,3] w = iota> { y = Conv(x, w) }";
        assert_eq!(names(wide, &[1, 1, 512, 512]), ["tract"]);
    }

    #[test]
    fn words_lead_to_runners() {
        for kind in RunnerKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        let error = "onnx".parse::<RunnerKind>().unwrap_err();
        assert_eq!(error, "`onnx` is no runner; there are auto, tract, ort, interpreter");
    }

    #[test]
    fn who_cannot_run_is_passed_over_and_all_reasons_are_told() {
        let text =
            "<ir_version: 8, opset_import: [\"\" : 17, \"mine\" : 1]> g (float[1] x) => (y) { y = mine.Magic(x) }";
        let model = Model::from_text(text).unwrap();
        let input = [Some(Value::Tensor(Tensor::vector(vec![0f32])))];
        let error = run(&RunnerChoice::default(), &model, &input).unwrap_err();
        assert!(error.is_unsupported());
        assert!(error.to_string().contains("interpreter"), "{error}");
    }
}
