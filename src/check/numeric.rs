//! Running the models side by side.
//!
//! All of them run on the same runner, so that only what they compute can differ, not how anyone rounds. Where they differ on a
//! fast runner the interpreter is asked too, if it can be: it decides by the standard's words, and runners have defects of
//! their own.

use onnxpress_ir::Model;
use onnxpress_ops::evaluate::Value;

use super::chance::random_outputs;
use super::difference::{Difference, difference};
use super::retyped::as_given_by;
use super::rounding;
use super::settled::{self, values_for};
use super::{CheckError, CheckReport, CheckRequest, Done, OutputReport};
use crate::runner::{Runner, RunnerError, choose};

/// How many choices of sizes are tried before giving up on inputs that are made.
const CHOICES: usize = 6;

/// How many seeds are tried where outputs are not finite.
const SEEDS: u64 = 4;

/// What is compared.
#[derive(Clone, Copy)]
pub(super) struct Models<'a> {
    pub original: &'a Model,
    pub result: &'a Model,
    pub witness: Option<&'a Model>,
}

type Inputs = Vec<Option<Value>>;
type Outputs = Vec<Value>;

/// The original's outputs for each set of inputs, and who computed them.
struct Baseline {
    inputs: Vec<Inputs>,
    outputs: Vec<Outputs>,
    runner: Box<dyn Runner>,
    /// Who may be asked if that one's word is doubted.
    others: Vec<Box<dyn Runner>>,
}

pub(super) fn check(models: Models<'_>, request: &CheckRequest<'_>) -> Result<CheckReport, CheckError> {
    let mut notices = Vec::new();
    let baseline = baseline(models.original, request, &mut notices)?;
    let Baseline { inputs, outputs, runner, others } = baseline;
    let mut failure = match compare(models, request, &*runner, &inputs, &outputs) {
        Ok(mut report) => {
            report.notices.splice(0..0, notices);
            return Ok(report);
        }
        Err(failure) => failure,
    };
    drop(outputs);
    let first = runner.name();
    for other in others {
        // Only the interpreter's word weighs more, unless the first runner could not run the result at all.
        let unsupported = matches!(&failure, CheckError::Result(error) if error.is_unsupported());
        if other.name() != "interpreter" && !unsupported {
            continue;
        }
        let Ok(outputs) = run_all(&*other, models.original, &inputs) else { continue };
        match compare(models, request, &*other, &inputs, &outputs) {
            Ok(mut report) => {
                let name = other.name();
                notices.push(match unsupported {
                    true => format!("{failure}; on {name} it is right"),
                    false => format!("on {first} the result seemed wrong ({failure}), on {name} it is right"),
                });
                report.notices.splice(0..0, notices);
                return Ok(report);
            }
            Err(CheckError::Result(error)) if error.is_unsupported() => {}
            Err(worse) if unsupported => failure = worse,
            Err(_) => {}
        }
    }
    // A result that nobody can run is not proven wrong.
    match failure {
        CheckError::Result(error) if error.is_unsupported() => {
            Err(CheckError::CannotRun(format!("the original runs, but of the result: {error}")))
        }
        failure => Err(failure),
    }
}

fn run_all(runner: &dyn Runner, model: &Model, inputs: &[Inputs]) -> Result<Vec<Outputs>, RunnerError> {
    let mut session = runner.load(model)?;
    inputs.iter().map(|inputs| session.run(inputs)).collect()
}

/// Finds inputs that the original runs on, and somebody to run it.
fn baseline(model: &Model, request: &CheckRequest<'_>, notices: &mut Vec<String>) -> Result<Baseline, CheckError> {
    if !request.inputs.is_empty() {
        return run_original(model, request, request.inputs.clone()).map_err(cannot);
    }
    let generator = settled::Generator::new(model, request)?;
    let mut first_error = None;
    let mut last_resort = None;
    for choice in 0..generator.choices().clamp(1, CHOICES) {
        let Ok(values) = generator.values(choice, 0) else { continue };
        let baseline = match run_original(model, request, vec![values]) {
            Ok(baseline) => baseline,
            Err(error) => {
                first_error.get_or_insert(error);
                continue;
            }
        };
        if baseline.outputs.iter().all(|outputs| is_finite(outputs)) {
            return more_seeds(model, request, &generator, choice, baseline);
        }
        last_resort.get_or_insert((choice, baseline));
    }
    if let Some((choice, baseline)) = last_resort {
        let baseline = more_seeds(model, request, &generator, choice, baseline)?;
        if !baseline.outputs.iter().any(|outputs| is_finite(outputs)) {
            notices.push("no inputs were found for which every output of the original has a finite number".to_owned());
        }
        return Ok(baseline);
    }
    match first_error {
        Some(error) => Err(cannot(error)),
        None => Err(CheckError::Inputs(crate::inputs::GenerateError::TooLarge)),
    }
}

/// A request for someone who is not there is an error, whatever the mode.
fn cannot(error: RunnerError) -> CheckError {
    match error {
        error @ RunnerError::Missing { .. } => CheckError::Runner(error),
        error => CheckError::CannotRun(error.to_string()),
    }
}

/// Adds sets of inputs until there are as many as asked for, preferring those with finite outputs.
fn more_seeds(
    model: &Model,
    request: &CheckRequest<'_>,
    generator: &settled::Generator,
    choice: usize,
    mut baseline: Baseline,
) -> Result<Baseline, CheckError> {
    let wanted = usize::try_from(request.seeds).unwrap_or(usize::MAX).max(1);
    let mut session = baseline.runner.load(model).map_err(cannot)?;
    let mut seed = 1;
    while seed < request.seeds.max(SEEDS) {
        let finite = baseline.outputs.iter().all(|outputs| is_finite(outputs));
        if baseline.outputs.len() >= wanted && finite {
            break;
        }
        let values = generator.values(choice, seed)?;
        if let Ok(outputs) = session.run(&values) {
            let doubtful = baseline.outputs.iter().position(|outputs| !is_finite(outputs));
            match doubtful.filter(|_| is_finite(&outputs)) {
                Some(at) => (baseline.inputs[at], baseline.outputs[at]) = (values, outputs),
                None if baseline.outputs.len() < wanted => {
                    baseline.inputs.push(values);
                    baseline.outputs.push(outputs);
                }
                None => {}
            }
        }
        seed += 1;
    }
    drop(session);
    Ok(baseline)
}

fn run_original(model: &Model, request: &CheckRequest<'_>, inputs: Vec<Inputs>) -> Result<Baseline, RunnerError> {
    let mut runners = choose(&request.runner, model, inputs.first().map_or(&[], Vec::as_slice))?.into_iter();
    let mut errors = Vec::new();
    while let Some(runner) = runners.next() {
        match run_all(&*runner, model, &inputs) {
            Ok(outputs) => return Ok(Baseline { inputs, outputs, runner, others: runners.collect() }),
            Err(error) => errors.push(error),
        }
    }
    Err(RunnerError::all(errors))
}

/// Whether every output has a finite number, unless it has none at all.
fn is_finite(outputs: &[Value]) -> bool {
    outputs.iter().all(|output| match output {
        Value::Tensor(tensor) if tensor.dtype().is_float() && !tensor.is_empty() => {
            tensor.to_f32s().is_ok_and(|values| values.iter().any(|value| value.is_finite()))
        }
        _ => true,
    })
}

/// Runs result and witness, one after the other, and compares.
fn compare(
    models: Models<'_>,
    request: &CheckRequest<'_>,
    runner: &dyn Runner,
    inputs: &[Inputs],
    originals: &[Outputs],
) -> Result<CheckReport, CheckError> {
    let run = |model: &Model| -> Result<Vec<Outputs>, CheckError> {
        let mut outputs =
            run_all(runner, model, &values_for(model, models.original, inputs)).map_err(CheckError::Result)?;
        if !request.settled.types.is_empty() {
            outputs.iter_mut().for_each(|outputs| as_given_by(&models.original.graph, outputs));
        }
        Ok(outputs)
    };
    let results = run(models.result)?;
    let witnesses = match models.witness {
        Some(witness) => Some(run(witness)?),
        None => None,
    };
    let graph = &models.original.graph;
    let random = random_outputs(models.original);
    let is_random = |index: usize| random.get(index).copied().unwrap_or_default();
    let mut report = CheckReport::of(Done::Numeric, Vec::new());
    (report.runner, report.inputs) = (Some(runner.name()), inputs.len());
    for (index, &id) in graph.outputs().iter().enumerate() {
        let random = is_random(index);
        let to = |expected: &[Outputs]| over_all(expected, &results, index, random);
        report.outputs.push(OutputReport {
            name: graph.output(id).name.to_string(),
            to_original: to(originals),
            to_witness: witnesses.as_deref().map(to),
            random,
        });
    }
    summarize(&mut report);
    let off = |at: &usize| error(&report.outputs[*at]);
    let far: Vec<usize> = (0..report.outputs.len()).filter(|at| off(at) > request.tolerance).collect();
    let Some(&worst) = far.iter().max_by(|a, b| off(a).total_cmp(&off(b))) else { return Ok(report) };
    // What rounding does to the model that the result is held to is asked only where it may matter.
    let expected = models.witness.unwrap_or(models.original);
    let is_near = request.excuse_rounding && off(&worst) <= rounding::MOST;
    if let Some(others) = rounding::moved(expected).filter(|_| is_near).and_then(|moved| run(&moved).ok()) {
        let outputs = witnesses.as_deref().unwrap_or(originals);
        let by_rounding = |at: usize| over_all(outputs, &others, at, is_random(at)).error;
        if far.iter().all(|&at| rounding::explains(by_rounding(at), error(&report.outputs[at]))) {
            report.notices.push(excuse(&report.outputs[worst], far.len() - 1, by_rounding(worst)));
            return Ok(report);
        }
    }
    Err(different(report, worst, request.tolerance))
}

/// How far an output is off what it is held to.
fn error(output: &OutputReport) -> f64 {
    output.to_witness.as_ref().unwrap_or(&output.to_original).error
}

/// What is said where outputs are no farther off than rounding explains, which moves the farthest by so much.
fn excuse(farthest: &OutputReport, others: usize, by_rounding: f64) -> String {
    let more = match others {
        0 => String::new(),
        count => format!(" ({count} more are less far off)"),
    };
    let (name, off) = (&farthest.name, error(farthest));
    format!(
        "output `{name}` is {off:.1e} of its peak off{more}, which is rounding: a unit in the last place of the weights moves it by {by_rounding:.1e}"
    )
}

/// One output over all sets of inputs.
fn over_all(expected: &[Outputs], found: &[Outputs], index: usize, random: bool) -> Difference {
    let pairs = expected.iter().zip(found).filter_map(|(a, b)| Some((a.get(index)?, b.get(index)?)));
    let mut all: Option<Difference> = None;
    for (a, b) in pairs {
        let mut one = difference(a, b);
        if random {
            let (a, b) = (crate::inputs::type_of(a), crate::inputs::type_of(b));
            one = if a == b { difference(&Value::Optional(None), &Value::Optional(None)) } else { one };
        }
        all = Some(match all {
            Some(worst) => worst.worst(one),
            None => one,
        });
    }
    all.unwrap_or_else(|| difference(&Value::Optional(None), &Value::Optional(None)))
}

fn summarize(report: &mut CheckReport) {
    let chancy: Vec<_> = report.outputs.iter().filter(|output| output.random).map(|output| &*output.name).collect();
    if !chancy.is_empty() {
        let names = chancy.join("`, `");
        report.notices.push(format!("outputs that depend on chance were compared by type and shape only: `{names}`"));
    }
    let largest = |errors: &mut dyn Iterator<Item = f64>| errors.fold(0f64, f64::max);
    let numbers = || report.outputs.iter().map(|output| &output.to_original);
    report.max_error = Some(largest(&mut numbers().map(|one| one.error)));
    report.snr_db = numbers().map(|one| one.snr_db).reduce(f64::min);
    report.agreement = numbers().filter_map(|one| one.top_agreement).reduce(f64::min);
    let to_witness = || report.outputs.iter().filter_map(|output| output.to_witness.as_ref());
    report.witness_error = to_witness().next().map(|_| largest(&mut to_witness().map(|one| one.error)));
}

/// The error that names an output.
fn different(report: CheckReport, at: usize, tolerance: f64) -> CheckError {
    let output = &report.outputs[at];
    let what = if output.to_witness.is_some() { "to the witness, " } else { "" };
    CheckError::Different {
        output: format!("{what}output `{}`", output.name),
        difference: Box::new(output.to_witness.as_ref().unwrap_or(&output.to_original).clone()),
        tolerance,
        report: Box::new(report),
    }
}
