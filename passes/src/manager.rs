//! The manager: runs a pipeline over a model, verifies, times, and keeps what the proof needs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use onnxpress_ir::Model;
use onnxpress_ops::verify::Severity;
use onnxpress_ops::{infer, verify};

use crate::code_bytes::CodeBytes;
use crate::pass::{AnyPass, Decline, PassCx, PassError, Request, Said, Settled};
use crate::pipeline::{PassStep, Pipeline, Step};
use crate::rewrite::file_size;

/// How often a `fixpoint(…)` group runs at most; one that has not settled by then is reported.
const FIXPOINT_LIMIT: usize = 32;

/// How to run.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunOptions<'a> {
    /// What holds for every pass.
    pub request: Request<'a>,
    /// Verify the model after every pass, not only at both ends.
    pub verify_each: bool,
    /// Keep the model after every pass, so that each can be checked by itself.
    pub check_each: bool,
    /// Stop after the pass of this name has run.
    pub stop_after: Option<&'a str>,
    /// Is told of each pass before it runs, and is shown the model after it.
    pub observer: Option<&'a dyn Observer>,
}

/// Watches a run: for progress, and for looking at the model between passes.
pub trait Observer {
    /// A pass, as pipeline text, is about to run.
    fn before(&self, pass: &str);
    /// A pass has run.
    fn after(&self, pass: &'static str, model: &Model);
}

impl std::fmt::Debug for dyn Observer + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Observer")
    }
}

/// What one pass did.
#[derive(Debug, Clone)]
pub struct PassRecord {
    /// The pass.
    pub name: &'static str,
    /// The pass as pipeline text, every option spelled out.
    pub text: String,
    /// How often each rule was applied.
    pub applied: BTreeMap<&'static str, usize>,
    /// What was left alone, and why.
    pub declined: Vec<Decline>,
    /// How long it took.
    pub time: Duration,
    /// Whether the model changed.
    pub changed: bool,
    /// Nodes before and after.
    pub nodes: (usize, usize),
    /// What it decided, where it is a pass that plans.
    pub plan: Option<serde_json::Value>,
    /// What codes take that it made of weights, where [somebody wants to know](Request::codes).
    pub codes: Vec<CodeBytes>,
}

/// Two models that must compute the same: what was expected at some point of the pipeline, and what is there.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// What it ought to compute.
    pub expected: Model,
    /// What was made.
    pub actual: Model,
    /// The passes between the two.
    pub passes: Vec<&'static str>,
    /// Whether `expected` is a witness rather than a model that came in.
    pub is_witness: bool,
    /// How far the two may be off each other, as a share of an output's peak, where a pass up to here computes in a type of less
    /// precision.
    pub tolerance: Option<f64>,
}

/// What a run did.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The pipeline with every option spelled out.
    pub pipeline: String,
    /// What each pass did, in the order of running.
    pub passes: Vec<PassRecord>,
    /// What the user should know.
    pub notices: Vec<String>,
    /// What has to be compared to prove the result. Empty where nothing changed.
    pub checkpoints: Vec<Checkpoint>,
    /// Whether the model changed.
    pub changed: bool,
    /// Whether a lossy pass changed it.
    pub lossy: bool,
    /// The tolerance of the last checkpoint, which is the largest.
    pub tolerance: Option<f64>,
    /// Whether a pass ran whose result may be larger than what came in.
    pub may_grow: bool,
    /// What passes have settled for the model's callers.
    pub settled: Settled,
}

/// Why a run ended without a result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RunError {
    /// The model that came in makes no sense.
    #[error("not a valid model: {}", .0.join("; "))]
    Invalid(Vec<String>),
    /// A pass failed.
    #[error("{pass}: {error}")]
    Pass {
        /// The pass as pipeline text.
        pass: String,
        /// Why.
        error: PassError,
    },
    /// A pass left a model that makes no sense.
    #[error("{pass} left a model that is not valid: {}", .findings.join("; "))]
    Broken {
        /// The pass as pipeline text.
        pass: String,
        /// What is wrong with the model.
        findings: Vec<String>,
    },
}

struct Run<'a> {
    options: RunOptions<'a>,
    report: Report,
    /// What the result must equal, once the passes since then are through, and who they are.
    expected: Option<(Model, bool)>,
    /// The model as it is, where the last pass left it as it was.
    copy: Option<Model>,
    /// The model as it came, where a pass looks back.
    original: Option<&'a Model>,
    /// The model before the first lossy pass that changed it, where a pass looks back.
    before_loss: Option<Model>,
    since: Vec<&'static str>,
    stopped: bool,
}

/// Runs a pipeline over a model, whose types are inferred first.
///
/// # Errors
/// Where the model makes no sense, a pass cannot do what is asked, or leaves a model that makes no sense.
pub fn run(
    pipeline: &Pipeline<Arc<dyn AnyPass>>,
    model: &mut Model,
    mut options: RunOptions<'_>,
) -> Result<Report, RunError> {
    options.request.came = Some(file_size::model(model));
    let report = Report { pipeline: pipeline.to_string(), ..Report::default() };
    let notices = prepare(model)?;
    let original = looks_back(&pipeline.steps).then(|| model.clone());
    let mut run = Run {
        options,
        report,
        expected: None,
        copy: None,
        original: original.as_ref(),
        before_loss: None,
        since: Vec::new(),
        stopped: false,
    };
    run.report.notices.extend(notices);
    run.steps(pipeline, model)?;
    let findings = errors(model);
    if !findings.is_empty() {
        return Err(RunError::Broken { pass: run.report.pipeline, findings });
    }
    run.checkpoint(model);
    Ok(run.report)
}

/// Verifies a model that came from outside, and infers its types. Answers what the user should know.
///
/// # Errors
/// Where the model makes no sense.
pub fn prepare(model: &mut Model) -> Result<Vec<String>, RunError> {
    let (mut fatal, mut notices) = (Vec::new(), Vec::new());
    for (severity, finding) in findings(model) {
        match severity {
            Severity::Error => fatal.push(finding),
            Severity::Warning => notices.push(finding),
        }
    }
    if fatal.is_empty() {
        let inferred = infer::model(model);
        fatal.extend(inferred.invalid.iter().map(ToString::to_string));
        notices.extend(inferred.contradicted);
    }
    if fatal.is_empty() { Ok(notices) } else { Err(RunError::Invalid(fatal)) }
}

/// Whether a pass of these steps wants to see the model as it was.
fn looks_back(steps: &[Step<Arc<dyn AnyPass>>]) -> bool {
    steps.iter().any(|step| match step {
        Step::Pass(step) => step.pass.looks_back(),
        Step::Fixpoint(inner) => looks_back(&inner.steps),
    })
}

/// What the structural verifier finds and, in a model whose structure holds, what operators' schemas say of their nodes.
fn findings(model: &Model) -> Vec<(Severity, String)> {
    let structure = onnxpress_ir::verify::verify(model);
    let mut findings: Vec<_> = structure.iter().map(|finding| (finding.severity, finding.to_string())).collect();
    if findings.iter().all(|(severity, _)| *severity == Severity::Warning) {
        findings.extend(verify::verify(model).iter().map(|finding| (finding.severity, finding.to_string())));
    }
    findings
}

fn errors(model: &Model) -> Vec<String> {
    findings(model)
        .into_iter()
        .filter(|(severity, _)| *severity == Severity::Error)
        .map(|(_, finding)| finding)
        .collect()
}

impl Run<'_> {
    fn steps(&mut self, pipeline: &Pipeline<Arc<dyn AnyPass>>, model: &mut Model) -> Result<(), RunError> {
        for step in &pipeline.steps {
            if self.stopped {
                break;
            }
            match step {
                Step::Pass(step) => self.pass(step, model)?,
                Step::Fixpoint(inner) => self.fixpoint(inner, model)?,
            }
        }
        Ok(())
    }

    fn fixpoint(&mut self, inner: &Pipeline<Arc<dyn AnyPass>>, model: &mut Model) -> Result<(), RunError> {
        for _ in 0..FIXPOINT_LIMIT {
            let before = model.revision();
            self.steps(inner, model)?;
            if self.stopped || model.revision() == before {
                return Ok(());
            }
        }
        self.report.notices.push(format!("fixpoint({inner}) had not settled after {FIXPOINT_LIMIT} rounds"));
        Ok(())
    }

    fn pass(&mut self, step: &PassStep<Arc<dyn AnyPass>>, model: &mut Model) -> Result<(), RunError> {
        let text = crate::pipeline::text::Item::Pass(step.call.clone()).to_string();
        let (revision, nodes) = (model.revision(), model.node_count());
        let copy = self.copy.take();
        let before = (self.expected.is_none() || step.pass.is_lossy()).then(|| copy.unwrap_or_else(|| model.clone()));
        let request =
            Request { original: self.original, before_loss: self.before_loss.as_ref(), ..self.options.request };
        let mut cx = PassCx::new(request);
        if let Some(observer) = self.options.observer {
            observer.before(&text);
        }
        let clock = Instant::now();
        step.pass.run(model, &mut cx).map_err(|error| RunError::Pass { pass: text.clone(), error })?;
        let time = clock.elapsed();
        let changed = model.revision() != revision;
        if let Some(observer) = self.options.observer {
            observer.after(step.pass.name(), model);
        }
        let Said { applied, declined, notices, intermediate, witness, tolerance, settled, plan, codes } =
            cx.into_said();
        self.report.notices.extend(notices);
        self.report.settled.inputs.extend(settled.inputs);
        self.report.settled.dims.extend(settled.dims);
        self.report.settled.types.extend(settled.types);
        self.report.settled.another |= settled.another;
        self.report.passes.push(PassRecord {
            name: step.pass.name(),
            text: text.clone(),
            applied,
            declined,
            time,
            changed,
            nodes: (nodes, model.node_count()),
            plan,
            codes,
        });
        if changed {
            self.report.changed = true;
            self.report.may_grow |= step.pass.may_grow();
            if self.expected.is_none() {
                self.expected = before.clone().map(|model| (model, false));
            }
            if step.pass.is_lossy() {
                self.report.lossy = true;
                if self.original.is_some() && self.before_loss.is_none() {
                    self.before_loss.clone_from(&before);
                }
                // What exact passes did up to here is one thing to prove, what this one did another.
                if let Some(before) = before.as_ref().filter(|_| !self.since.is_empty()) {
                    self.checkpoint(before);
                }
                if let Some((intermediate, tolerance)) = intermediate {
                    self.tolerate(Some(tolerance));
                    self.since.push(step.pass.name());
                    self.expected = before.map(|model| (model, false));
                    self.checkpoint(&intermediate);
                }
                let Some(witness) = witness else {
                    let error = PassError::Broken("it is lossy and hands over no witness".to_owned());
                    return Err(RunError::Pass { pass: text, error });
                };
                self.expected = Some((*witness, true));
            }
            self.tolerate(tolerance);
            self.since.push(step.pass.name());
            if self.options.verify_each {
                let findings = errors(model);
                if !findings.is_empty() {
                    return Err(RunError::Broken { pass: text, findings });
                }
            }
            if self.options.check_each {
                self.checkpoint(model);
            }
        } else {
            self.copy = before;
        }
        self.stopped = self.options.stop_after == Some(step.pass.name());
        Ok(())
    }

    /// What is expected must equal what is there now; from here on what is there now is expected.
    fn checkpoint(&mut self, model: &Model) {
        let passes = std::mem::take(&mut self.since);
        if let Some((expected, is_witness)) = self.expected.take().filter(|_| !passes.is_empty()) {
            let (actual, tolerance) = (model.clone(), self.report.tolerance);
            self.report.checkpoints.push(Checkpoint { expected, actual, passes, is_witness, tolerance });
        }
    }

    /// What is made from here on may be this far off.
    fn tolerate(&mut self, tolerance: Option<f64>) {
        let known = self.report.tolerance;
        self.report.tolerance = tolerance.map(|tolerance| known.unwrap_or(0.0).max(tolerance)).or(known);
    }
}
