//! How results are proven, as the command line asks for it.

use std::path::PathBuf;

use serde::Serialize;

use super::calibration::unsuited;
use super::failure::Failure;
use crate::check::{self, CheckError, CheckReport, CheckRequest, Mode};
use crate::evidence::Given;
use crate::ir::Model;
use crate::ops::evaluate::Value;
use crate::passes::manager::{Checkpoint, Report};
use crate::passes::pass::Settled;
use crate::runner::{RunnerChoice, RunnerKind};

/// The user's samples that results are proven on: enough to see noise beside a signal that is no noise itself.
const SAMPLES: usize = 4;

/// What runs models, and on what.
#[derive(clap::Args, Debug, Clone)]
pub(super) struct Running {
    /// What runs models: tract, the interpreter, or onnxruntime; by default whichever suits the model.
    #[arg(long, value_name = "RUNNER", default_value = "auto", value_parser = ["auto", "tract", "ort", "interpreter"])]
    pub(super) runner: String,
    /// The shared library of onnxruntime, for `--runner ort`; by default what ORT_DYLIB_PATH names.
    #[arg(long, value_name = "FILE")]
    pub(super) ort_lib: Option<PathBuf>,
}

impl Running {
    pub(super) fn choice(&self) -> Result<RunnerChoice, Failure> {
        let kind: RunnerKind = self.runner.parse().map_err(Failure::usage)?;
        Ok(RunnerChoice { kind, ort_library: self.ort_lib.clone() })
    }
}

/// What models are run on, where they are run to be compared.
#[derive(clap::Args, Debug, Clone)]
pub(super) struct Feeding {
    /// Inputs to run on, as `.npz` by name; may be given several times. By default they are made, or are
    /// the first samples of `--calib`.
    #[arg(long, value_name = "FILE")]
    inputs: Vec<PathBuf>,
    /// The size of an open dimension for inputs that are made: by name, or by input and axis as in `x.0=4`.
    #[arg(long = "dim", value_name = "NAME=N", value_parser = dimension)]
    dims: Vec<(String, i64)>,
    /// How many sets of inputs are made.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// The largest error that counts as agreement, relative to each output's peak; by default 1e-4, or more where a pass says
    /// so, or where rounding explains it.
    #[arg(long, value_name = "SHARE")]
    tolerance: Option<f64>,
}

fn dimension(text: &str) -> Result<(String, i64), String> {
    let (name, size) = text.rsplit_once('=').ok_or("a size is given as NAME=N")?;
    Ok((name.to_owned(), size.parse().map_err(|_| format!("`{size}` is no size"))?))
}

impl Feeding {
    /// The request of a comparison.
    pub(super) fn request(&self, mode: Mode, running: &Running, model: &Model) -> Result<CheckRequest<'_>, Failure> {
        self.request_settled(mode, running, model, model, &Settled::default())
    }

    /// The request of a comparison with a model for which passes have settled something.
    fn request_settled(
        &self,
        mode: Mode,
        running: &Running,
        model: &Model,
        result: &Model,
        settled: &Settled,
    ) -> Result<CheckRequest<'_>, Failure> {
        let mut inputs = Vec::new();
        for path in &self.inputs {
            let mut arrays = crate::npz::read(path)?;
            // They are meant for the result, and must have its sizes.
            crate::inputs::bind(result, arrays.clone())?;
            let pinned = settled.inputs.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
            arrays.extend(pinned);
            inputs.push(crate::inputs::bind(model, arrays)?.values);
        }
        for (dim, size) in &settled.dims {
            if let Some((_, other)) = self.dims.iter().find(|(other, asked)| other == dim && asked != size) {
                return Err(Failure::usage(format!("--dim {dim}={other}, but it was set to {size}")));
            }
        }
        Ok(CheckRequest {
            mode,
            runner: running.choice()?,
            inputs,
            dims: &self.dims,
            seeds: self.seeds,
            tolerance: self.tolerance.unwrap_or(check::TOLERANCE),
            excuse_rounding: self.tolerance.is_none(),
            settled: settled.clone(),
        })
    }
}

/// How the result of a run of passes is proven.
#[derive(clap::Args, Debug)]
pub(super) struct Check {
    /// How the result is checked against what it ought to compute: `auto` runs both where the original runs, `strict` insists
    /// on it, `structure` compares inputs and outputs only.
    #[arg(long, value_name = "MODE", default_value = "auto", value_parser = ["auto", "strict", "structure", "off"])]
    check: String,
    /// Check after every pass, so that the one at fault is named.
    #[arg(long)]
    check_each: bool,
    #[command(flatten)]
    pub(super) running: Running,
    #[command(flatten)]
    feeding: Feeding,
}

/// How a result was proven.
#[derive(Debug, Serialize)]
pub(super) struct Proof {
    mode: &'static str,
    runner: Option<&'static str>,
    inputs: usize,
    max_error: Option<f64>,
    witness_error: Option<f64>,
    snr_db: Option<f64>,
    /// The least share, of any output, of rows along the last axis whose largest element stands where the original's does.
    agreement: Option<f64>,
    #[serde(skip)]
    pub(super) notices: Vec<String>,
}

impl Proof {
    fn of(report: CheckReport) -> Self {
        Self {
            mode: report.done.name(),
            runner: report.runner,
            inputs: report.inputs,
            max_error: report.max_error,
            witness_error: report.witness_error,
            // Infinite where there is no noise, which JSON has no word for.
            snr_db: report.snr_db.filter(|snr| snr.is_finite()),
            agreement: report.agreement,
            notices: report.notices,
        }
    }

    /// For people.
    pub(super) fn sentence(&self) -> String {
        let Some(runner) = self.runner else { return format!("check: {}", self.mode) };
        let mut text = format!("check: {} in {runner} on {} set(s) of inputs", self.mode, self.inputs);
        if let Some(error) = self.witness_error {
            text.push_str(&format!(", largest error to the witness {error:.1e} of the peak"));
        }
        if let Some(error) = self.max_error {
            text.push_str(&format!(", to the original {error:.1e}"));
        }
        if let Some(snr) = self.snr_db {
            text.push_str(&format!(" ({snr:.0} dB"));
            // Where nothing is to be lost, the same class is no news.
            if let Some(agreement) = self.agreement.filter(|_| self.witness_error.is_some()) {
                text.push_str(&format!(", same best class {:.0} %", 100.0 * agreement));
            }
            text.push(')');
        }
        text
    }
}

impl Check {
    /// Whether every pass is checked by itself.
    pub(super) fn each(&self) -> bool {
        self.check_each
    }

    /// The user's samples that the original is run on, where it is run: unless inputs are named, or passes settled what goes in.
    pub(super) fn inputs(
        &self,
        given: Option<&Given<'_>>,
        original: &Model,
        run: &Report,
    ) -> Result<Vec<Vec<Option<Value>>>, Failure> {
        let Some(given) = given else { return Ok(Vec::new()) };
        let settled = !run.settled.dims.is_empty() || !run.settled.inputs.is_empty();
        let idle = matches!(self.check.as_str(), "structure" | "off");
        if idle || settled || !self.feeding.inputs.is_empty() {
            return Ok(Vec::new());
        }
        given.first(SAMPLES, original).map_err(|error| unsuited(&error))
    }

    /// Proves a result, or says where it is wrong, on these sets of inputs where there are any.
    pub(super) fn prove(
        &self,
        original: &Model,
        result: &Model,
        run: &Report,
        on: Vec<Vec<Option<Value>>>,
    ) -> Result<Proof, Failure> {
        let mode: Mode = self.check.parse().map_err(Failure::usage)?;
        let mut request = self.feeding.request_settled(mode, &self.running, original, result, &run.settled)?;
        request.inputs.extend(on);
        let allowed = request.tolerance;
        let tolerance = |link: Option<&Checkpoint>| link.and_then(|link| link.tolerance).unwrap_or(0.0).max(allowed);
        // What lies between the ends is proven link by link; the last link also says how far the end is from the beginning.
        let (last, links) = match run.checkpoints.split_last() {
            Some((last, links)) => (Some(last), links),
            None => (None, &[][..]),
        };
        for link in links {
            let check::Asked { inputs, dims } = check::asked_of(&link.expected, original, &request);
            let request = CheckRequest { inputs, dims: &dims, tolerance: tolerance(Some(link)), ..request.clone() };
            check::check_models(&link.expected, &link.actual, None, &request).map_err(|error| failure(&error, link))?;
        }
        let witness = last.filter(|last| last.is_witness || !links.is_empty()).map(|last| &last.expected);
        // A model that no pass was asked to touch is written as it came: there is nothing to run.
        let request = match mode {
            Mode::Auto if run.passes.is_empty() => CheckRequest { mode: Mode::Structure, ..request },
            _ => request,
        };
        let request = CheckRequest { tolerance: tolerance(last), ..request };
        let report = check::check_models(original, result, witness, &request);
        Ok(Proof::of(report.map_err(|error| match last {
            Some(last) => failure(&error, last),
            None => Failure::request(error),
        })?))
    }
}

fn failure(error: &CheckError, link: &Checkpoint) -> Failure {
    if !error.is_defect() {
        return Failure::request(error);
    }
    let passes = link.passes.join(", ");
    let failure = Failure::check(format!("{passes}: {error}"));
    if link.passes.len() > 1 { failure.with_help("--check-each tells which of them is at fault") } else { failure }
}
