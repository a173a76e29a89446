//! The runner on onnxruntime, loaded at run time from a shared library that the user names.
//!
//! It is whatever version lies there, so the models run as they are, and graph optimizations are off unless asked for: the
//! proof is about the graph that will be shipped, not about what a runtime makes of it.

mod values;

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ::ort::ErrorCode;
use ::ort::environment::Environment;
use ::ort::logging::LogLevel;
use ::ort::session::builder::GraphOptimizationLevel;
use ::ort::session::{Session as OrtSession, SessionInputValue};
use ::ort::value::ValueType;
use onnxpress_ir::{Model, assign_names};
use onnxpress_ops::evaluate::Value;
use onnxpress_proto::{MESSAGE_LIMIT, Message, encoded_len};

use super::{Runner, RunnerError, Session, panics};

const NAME: &str = "ort";

/// The environment variable that names the library where nothing else does.
const LIBRARY: &str = "ORT_DYLIB_PATH";

/// Runs models on onnxruntime.
pub struct Ort {
    environment: Environment,
    /// Whether onnxruntime may optimize the graph before it runs it.
    pub optimize: bool,
    /// How many threads compute; 0 leaves it to onnxruntime.
    pub threads: usize,
}

impl std::fmt::Debug for Ort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ort").field("optimize", &self.optimize).field("threads", &self.threads).finish_non_exhaustive()
    }
}

fn missing(reason: impl Into<String>) -> RunnerError {
    RunnerError::Missing { runner: NAME, reason: reason.into() }
}

fn cannot(reason: impl Into<String>) -> RunnerError {
    RunnerError::CannotRun { runner: NAME, reason: reason.into() }
}

impl Ort {
    /// Loads the library at `library`, or at the path that `ORT_DYLIB_PATH` has. A process can have one.
    ///
    /// # Errors
    /// Where no path is named, nothing that fits is there, or another one was loaded before.
    pub fn new(library: Option<&Path>) -> Result<Self, RunnerError> {
        /// What was loaded; a library that does not fit is not asked again.
        static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);
        let named = library.map(Path::to_owned).or_else(|| std::env::var_os(LIBRARY).map(PathBuf::from));
        let path = named.filter(|path| !path.as_os_str().is_empty()).ok_or_else(|| {
            missing(format!(
                "name the shared library of onnxruntime by `--ort-lib` or the environment variable {LIBRARY}"
            ))
        })?;
        // A lone name would be looked for in the system's folders, a file is meant to be where it is said to be.
        let path = path.canonicalize().map_err(|error| missing(format!("{}: {error}", path.display())))?;
        let mut loaded = LOADED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let environment = match &*loaded {
            Some((before, environment)) if *before == path => environment.clone(),
            Some((before, _)) => {
                return Err(missing(format!("{} is loaded already, from {}", path.display(), before.display())));
            }
            None => {
                let load =
                    || ::ort::init_from(&path).map_err(|error| error.to_string())?.build().map_err(|e| e.to_string());
                let environment = panics::catching(load)
                    .and_then(|environment: Result<_, String>| environment)
                    .map_err(|reason| missing(format!("{}: {reason}", path.display())))?;
                environment.set_log_level(LogLevel::Fatal);
                loaded.insert((path, environment)).1.clone()
            }
        };
        Ok(Self { environment, optimize: false, threads: 0 })
    }

    fn session(&self, model: &Model) -> Result<OrtSession, String> {
        let mut named = model.clone();
        assign_names(&mut named);
        let mut message = crate::onnx::to_message(&named, false).map_err(|error| error.to_string())?;
        let session = || -> Result<OrtSession, String> {
            let text = |error: &dyn std::fmt::Display| error.to_string();
            let level = if self.optimize { GraphOptimizationLevel::All } else { GraphOptimizationLevel::Disable };
            let builder = OrtSession::builder(&self.environment).map_err(|error| text(&error))?;
            let builder = builder.with_optimization_level(level).map_err(|error| text(&error))?;
            let builder = builder.with_intra_threads(self.threads).map_err(|error| text(&error))?;
            let mut builder = builder.with_log_level(LogLevel::Fatal).map_err(|error| text(&error))?;
            if encoded_len(&message) <= MESSAGE_LIMIT {
                crate::onnx::embed_all(&mut message);
                let bytes = message.encode_to_vec();
                return builder.commit_from_memory(&bytes).map_err(|error| text(&error));
            }
            // A message that nobody reads in one piece goes by way of files.
            let folder = tempfile::tempdir().map_err(|error| text(&error))?;
            let path = folder.path().join("model.onnx");
            crate::onnx::save(&path, message, &crate::onnx::DataPlacement::AsBefore, &|| Ok(()))
                .map_err(|error| text(&error))?;
            builder.commit_from_file(&path).map_err(|error| text(&error))
        };
        panics::catching(session)?
    }
}

impl Runner for Ort {
    fn name(&self) -> &'static str {
        NAME
    }

    fn load<'m>(&self, model: &'m Model) -> Result<Box<dyn Session + 'm>, RunnerError> {
        let session = self.session(model).map_err(|reason| cannot(one_line(&reason)))?;
        // The crate reads an optional output as if it were always there.
        if let Some(output) = session.outputs().iter().find(|output| matches!(output.dtype(), ValueType::Optional(_))) {
            return Err(cannot(format!("output `{}` may be absent", output.name())));
        }
        Ok(Box::new(Loaded { model, session }))
    }
}

struct Loaded<'m> {
    model: &'m Model,
    session: OrtSession,
}

impl Session for Loaded<'_> {
    fn run(&mut self, inputs: &[Option<Value>]) -> Result<Vec<Value>, RunnerError> {
        let graph = &self.model.graph;
        let mut given: Vec<(String, SessionInputValue<'_>)> = Vec::new();
        for (&id, value) in graph.inputs().iter().zip(inputs) {
            let Some(value) = value else { continue };
            let name = graph.label(id.port(0));
            let value = values::to_ort(value).map_err(|reason| cannot(format!("input `{name}`: {reason}")))?;
            given.push((name, value.into()));
        }
        let session = &mut self.session;
        let run = || -> Result<Result<Vec<Value>, String>, ::ort::Error> {
            let outputs = session.run(given)?;
            Ok(outputs.into_iter().map(|(_, value)| values::from_ort(value)).collect())
        };
        let outputs = panics::catching(run).map_err(cannot)?;
        outputs.map_err(failed)?.map_err(cannot)
    }
}

fn failed(error: ::ort::Error) -> RunnerError {
    let reason = one_line(error.message());
    match error.code() {
        ErrorCode::NotImplemented => cannot(reason),
        _ => RunnerError::Failed { runner: NAME, reason },
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
