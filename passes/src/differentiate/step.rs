//! The training step as a model of its own.

use std::collections::{BTreeMap, HashSet};

use onnxpress_ir::{
    Carried, ConstantValue, DType, Dim, Edit, EditError, Graph, Input, Model, Name, NodeId, Port, Shape, Tensor, Type,
    ValueId,
};
use onnxpress_ops::gradient::SINCE;
use onnxpress_ops::infer::{self, Standard};

use super::loss::{self, Compared};
use super::parameters::choose;
use super::recompute::{Saving, recompute};
use super::reverse::{Walked, walk};
use super::{Differentiate, Loss};
use super::{batch_norm, scan, spelling};
use crate::evidence::part;
use crate::pass::{Pass, PassCx, PassError, Request};
use crate::{EliminateCommonSubexpressions, EliminateDead, InlineFunctions, Opset, UpgradeOpset};

/// A constant of the model that is an input of its training step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// The constant in the model that was differentiated, once its functions are inlined.
    pub constant: NodeId,
    /// Its name.
    pub name: String,
}

/// What a training step is written for, beside what the request for it says.
#[derive(Debug, Clone)]
pub struct Brief {
    /// Constants that are no parameters, whatever they are called.
    pub fixed: HashSet<NodeId>,
    /// The number of the first output that is a hidden value; so are all behind it. The mean squares of their differences are added to
    /// the loss of the others, the answers.
    pub hidden: usize,
    /// What the losses of outputs are multiplied by, by their numbers, where that is not 1.
    pub factors: BTreeMap<usize, f64>,
    /// How much what a teacher wants counts. The rest goes to labels, which the step takes then too.
    pub alpha: f64,
}

impl Default for Brief {
    fn default() -> Self {
        Self { fixed: HashSet::new(), hidden: usize::MAX, factors: BTreeMap::new(), alpha: 1.0 }
    }
}

/// A training step, and where its inputs and outputs belong.
#[derive(Debug)]
pub struct Step {
    /// Inputs: those of the model, what is wanted of each compared output, labels where they count, the parameters. Outputs: the loss,
    /// the parameters' gradients.
    pub model: Model,
    /// The parameters, in the order of inputs and outputs.
    pub parameters: Vec<Parameter>,
    /// The parameters as they are.
    pub start: Vec<Tensor>,
    /// The step without gradients and hidden values: the same inputs but for what is wanted of these; the loss, then the scores of
    /// each answer.
    pub forward: Model,
    /// The numbers of the model's outputs that are compared, in the order of inputs: answers, then hidden values.
    pub compared: Vec<usize>,
    /// The axis of classes of each answer.
    pub axes: Vec<i64>,
    /// Whether it takes labels.
    pub labelled: bool,
    /// Constants that could be parameters and are none, with the reason.
    pub frozen: Vec<(String, String)>,
    /// What is saved where not all activations are kept.
    pub saving: Option<Saving>,
}

fn broken(error: EditError) -> PassError {
    PassError::Broken(error.to_string())
}

/// A name that nothing in the graph has.
pub(crate) fn unused(graph: &Graph, wanted: &str) -> Name {
    let taken = |name: &str| {
        let ports = graph.vertices().flat_map(|(_, vertex)| vertex.ports());
        ports.into_iter().any(|port| port.name.as_ref().is_some_and(|own| *own == *name))
            || graph.outputs().iter().any(|&id| graph.output(id).name == *name)
    };
    let mut name = wanted.to_owned();
    while taken(&name) {
        name.push('_');
    }
    Name::from(name)
}

/// The model without functions and in a version that gradients can be written in. Constants of the main graph keep their ids.
fn ready(model: &Model) -> Result<Model, PassError> {
    let mut model = model.clone();
    let mut quiet = PassCx::new(Request::default());
    InlineFunctions::default().run(&mut model, &mut quiet)?;
    let version = model.graph.opsets.version(b"").unwrap_or(1);
    if version < SINCE {
        let mut cx = PassCx::new(Request::default());
        UpgradeOpset { to: Opset::of(SINCE) }.run(&mut model, &mut cx)?;
        if model.graph.opsets.version(b"").unwrap_or(1) < SINCE {
            let why = cx.declines().first().map_or_else(String::new, |decline| format!(": {}", decline.reason));
            return Err(PassError::Request(format!(
                "gradients need version {SINCE} of the operators, and the model cannot be brought there from {version}{why}"
            )));
        }
    }
    infer::model(&mut model);
    Ok(model)
}

/// The outputs that are compared: their numbers and values.
fn compared(model: &Model, options: &Differentiate) -> Result<Vec<(usize, ValueId)>, PassError> {
    let graph = &model.graph;
    let outputs = graph.outputs().iter().enumerate();
    let named = outputs.filter(|&(_, &id)| {
        let name = graph.output(id).name.to_str();
        options.outputs.iter().any(|pattern| pattern.matches(&name))
    });
    let values = named.filter_map(|(index, &id)| Some((index, graph.operand(id, 0)?)));
    let floats: Vec<_> =
        values.filter(|&(_, value)| graph.ty(value).dtype().is_some_and(|dtype| dtype.is_float())).collect();
    match floats.len() {
        0 => Err(PassError::Request("no output of floats is named, so there is nothing to compare".to_owned())),
        _ => Ok(floats),
    }
}

/// The type of what is wanted of an output.
fn wanted_type(graph: &Graph, output: ValueId, loss: Loss, axis: i64) -> Type {
    let ty = graph.ty(output).clone();
    if loss != Loss::CrossEntropy {
        return ty;
    }
    let rows = ty.shape().map(|shape| {
        let axis = onnxpress_ir::shape::normalize_axis(axis, shape.len()).unwrap_or(0);
        let rows: Vec<Dim> =
            shape.iter().enumerate().filter(|(at, _)| *at != axis).map(|(_, dim)| dim.clone()).collect();
        Shape::from(rows)
    });
    Type::tensor(DType::Int64, rows)
}

fn add_input(graph: &mut Graph, name: Name, ty: Type, default: Option<ConstantValue>) -> ValueId {
    let port = Port::new(name, ty.clone());
    graph.add_input(Input { port, default, declared: ty, carried: Carried::none() })
}

/// Losses of a step.
struct Losses {
    /// How answers are looked at.
    answers: Vec<Compared>,
    /// What is to be made small.
    total: ValueId,
    /// The part of it that comes from answers.
    judged: ValueId,
    /// What is wanted of hidden values.
    targets: Vec<ValueId>,
}

/// Adds numbers up that may be of several types, which no Sum takes.
fn sum(edit: &mut Edit<'_>, losses: &[ValueId]) -> Result<ValueId, EditError> {
    let first = losses.first().and_then(|&loss| edit.graph().ty(loss).dtype()).unwrap_or(DType::Float);
    let mut alike = Vec::new();
    for &loss in losses {
        alike.push(match edit.graph().ty(loss).dtype() {
            Some(dtype) if dtype != first => {
                edit.add(onnxpress_ir::Node::new("Cast", 1).with(onnxpress_ir::Attr::int("to", first.code())), &[loss])?
            }
            _ => loss,
        });
    }
    match alike.as_slice() {
        [one] => Ok(*one),
        many => edit.add(onnxpress_ir::Node::new("Sum", 1), many),
    }
}

/// Writes the losses of all compared outputs, added up.
fn add_loss(
    graph: &mut Graph,
    outputs: &[(usize, ValueId)],
    options: &Differentiate,
    brief: &Brief,
) -> Result<Losses, PassError> {
    let base = if options.loss == Loss::CrossEntropy { "labels" } else { "teacher" };
    let kind = |index: usize| if index < brief.hidden { options.loss } else { Loss::Mse };
    let (mut wanted, mut answers) = (Vec::new(), Vec::new());
    for &(index, value) in outputs {
        let compared = Compared::of(graph, value);
        let axis = compared.axis;
        if index < brief.hidden {
            answers.push(compared);
        }
        let own = graph.output(graph.outputs()[index]).name.to_str();
        let name = if outputs.len() == 1 { base.to_owned() } else { format!("{base}/{own}") };
        let (name, ty) = (unused(graph, &name), wanted_type(graph, value, kind(index), axis));
        wanted.push(add_input(graph, name, ty, None));
    }
    let labels = match (answers.as_slice(), outputs.first()) {
        _ if brief.alpha >= 1.0 => None,
        ([one], Some(&(_, value))) => {
            let ty = wanted_type(graph, value, Loss::CrossEntropy, one.axis);
            let name = unused(graph, "labels");
            Some((value, add_input(graph, name, ty, None)))
        }
        _ => {
            let count = answers.len();
            return Err(PassError::Request(format!("labels are for one output of scores, and {count} are compared")));
        }
    };
    let last: Vec<NodeId> = outputs.iter().map(|(_, value)| value.node).collect();
    let mut edit = Edit::new(graph, &Standard, super::NAME, &last);
    let (mut judged, mut hidden) = (Vec::new(), Vec::new());
    for (&(index, value), &wanted) in outputs.iter().zip(&wanted) {
        let share = if index < brief.hidden { brief.alpha } else { 1.0 };
        let factor = share * brief.factors.get(&index).copied().unwrap_or(1.0);
        let dtype = edit.graph().ty(value).dtype().unwrap_or(DType::Float);
        let loss = loss::write(&mut edit, kind(index), options.temperature, value, wanted, dtype).map_err(broken)?;
        let loss = loss::times(&mut edit, loss, factor, dtype).map_err(broken)?;
        if index < brief.hidden { &mut judged } else { &mut hidden }.push(loss);
    }
    if let Some((value, labels)) = labels {
        let dtype = edit.graph().ty(value).dtype().unwrap_or(DType::Float);
        let loss = loss::write(&mut edit, Loss::CrossEntropy, 1.0, value, labels, dtype).map_err(broken)?;
        judged.push(loss::times(&mut edit, loss, 1.0 - brief.alpha, dtype).map_err(broken)?);
    }
    if judged.is_empty() {
        return Err(PassError::Request("no output of floats is named, so there is nothing to compare".to_owned()));
    }
    let judged = sum(&mut edit, &judged).map_err(broken)?;
    let all: Vec<ValueId> = std::iter::once(judged).chain(hidden).collect();
    let total = sum(&mut edit, &all).map_err(broken)?;
    edit.commit();
    let targets = outputs.iter().zip(wanted).filter(|((index, _), _)| *index >= brief.hidden);
    let targets = targets.map(|(_, wanted)| wanted).collect();
    Ok(Losses { answers, total, judged, targets })
}

/// The gradient of the loss: 1.
fn one(graph: &mut Graph, loss: ValueId) -> ValueId {
    let dtype = graph.ty(loss).dtype().unwrap_or(DType::Float);
    let one = Tensor::from_f64s(dtype, &[], &[1.0]).expect("a loss is of a type of floats");
    let mut edit = Edit::new(graph, &Standard, super::NAME, &[loss.node]);
    let one = edit.add_constant(None, one);
    edit.commit();
    one
}

/// Why a model cannot be trained, as far as one can tell.
fn nothing_to_train(graph: &Graph, frozen: &[(String, String)]) -> PassError {
    let has_default = |id: &NodeId| graph.input(*id).default.as_ref().is_some_and(|value| value.dtype().is_float());
    let why = match (frozen.first(), graph.inputs().iter().find(|id| has_default(id))) {
        (Some((name, reason)), _) => format!(" (`{name}`: {reason})"),
        (None, Some(id)) => {
            let name = graph.label(id.port(0));
            format!(" (`{name}` is an input with a default: `initializers-as-constants` makes constants of such)")
        }
        (None, None) => String::new(),
    };
    PassError::Request(format!("the model has nothing to train{why}"))
}

/// The training step of a model whose types are inferred.
///
/// # Errors
/// Where there is nothing to compare or nothing to train.
pub fn step(model: &Model, options: &Differentiate) -> Result<Step, PassError> {
    step_for(model, options, &Brief::default())
}

/// The same, of a model without functions, for a purpose.
///
/// # Errors
/// As [`step`], and where labels are to count and several outputs are compared.
pub fn step_for(model: &Model, options: &Differentiate, brief: &Brief) -> Result<Step, PassError> {
    if !(options.temperature.is_finite() && options.temperature > 0.0) {
        return Err(PassError::Request(format!("`temperature` is {}, expected a number above 0", options.temperature)));
    }
    let mut plain = ready(model)?;
    let (mut chosen, mut frozen) = choose(&plain.graph, options);
    chosen.retain(|id| !brief.fixed.contains(id));
    spelling::spell_out(&mut plain.graph).map_err(broken)?;
    batch_norm::spell_out(&mut plain.graph).map_err(broken)?;
    scan::keep_states(&mut plain.graph, &chosen).map_err(broken)?;
    let outputs = compared(&plain, options)?;
    let Losses { answers, total: loss, judged, targets } = add_loss(&mut plain.graph, &outputs, options, brief)?;
    let (mut made, gradients) = loop {
        if chosen.is_empty() {
            return Err(nothing_to_train(&plain.graph, &frozen));
        }
        let mut attempt = plain.clone();
        let parameters: Vec<ValueId> = chosen.iter().map(|id| id.port(0)).collect();
        let start = one(&mut attempt.graph, loss);
        match walk(&mut attempt.graph, &[(loss, start)], &parameters).map_err(broken)? {
            Walked::Gradients(gradients) => break (attempt, gradients),
            Walked::Frozen(reasons) => {
                chosen.retain(|id| !reasons.contains_key(&id.port(0)));
                frozen.extend(reasons.into_iter().map(|(value, reason)| (plain.graph.label(value), reason)));
            }
        }
    };
    let Finished { parameters, start, inputs } = finish(&mut made, &[loss, judged], &chosen, &gradients)?;
    // An output may be a parameter as it is.
    let now = |value: ValueId| inputs.get(&value).copied().unwrap_or(value);
    let seen: Vec<ValueId> = std::iter::once(judged).chain(answers.iter().map(|one| now(one.scores))).collect();
    let given: Vec<ValueId> = made.graph.inputs().iter().map(|id| id.port(0)).collect();
    let given: Vec<ValueId> = given.into_iter().filter(|input| !targets.contains(input)).collect();
    let forward = part(&made, &given, &seen).map_err(|error| PassError::Broken(error.to_string()))?;
    let mut quiet = PassCx::new(Request::default());
    if judged != loss {
        let extra = made.graph.outputs()[1];
        let mut edit = Edit::new(&mut made.graph, &Standard, super::NAME, &[]);
        edit.remove(extra);
        edit.commit();
    }
    EliminateCommonSubexpressions.run(&mut made, &mut quiet)?;
    infer::model(&mut made);
    let share = options.memory.get();
    let saving = (share < 1.0).then(|| recompute(&mut made, share)).transpose().map_err(broken)?;
    let compared = outputs.into_iter().map(|(index, _)| index).collect();
    let axes = answers.iter().map(|one| one.axis).collect();
    Ok(Step { model: made, parameters, start, forward, compared, axes, labelled: brief.alpha < 1.0, frozen, saving })
}

/// A step whose parameters are inputs.
struct Finished {
    parameters: Vec<Parameter>,
    /// What they are before the first step.
    start: Vec<Tensor>,
    /// For each constant that was one, the input that it is now.
    inputs: BTreeMap<ValueId, ValueId>,
}

/// Makes inputs of the parameters and outputs of the losses and gradients, and drops what nothing needs any more.
fn finish(
    model: &mut Model,
    losses: &[ValueId; 2],
    chosen: &[NodeId],
    gradients: &BTreeMap<ValueId, ValueId>,
) -> Result<Finished, PassError> {
    let graph = &mut model.graph;
    let old: Vec<NodeId> = graph.outputs().to_vec();
    let [loss, judged] = *losses;
    for value in std::iter::once(loss).chain((judged != loss).then_some(judged)) {
        let name = unused(graph, "loss");
        graph.add_output(name, graph.ty(value).clone(), Carried::none(), value);
    }
    let trained: Vec<NodeId> = chosen.iter().copied().filter(|id| gradients.contains_key(&id.port(0))).collect();
    let (mut parameters, mut start, mut inputs) = (Vec::new(), Vec::new(), BTreeMap::new());
    for &id in &trained {
        let label = graph.label(id.port(0));
        let gradient = gradients[&id.port(0)];
        let name = unused(graph, &format!("gradient/{label}"));
        graph.add_output(name, graph.ty(gradient).clone(), Carried::none(), gradient);
        parameters.push(Parameter { constant: id, name: label });
    }
    let mut edit = Edit::new(graph, &Standard, super::NAME, &[]);
    old.into_iter().for_each(|id| edit.remove(id));
    edit.commit();
    for &id in &trained {
        let tensor = graph.constant(id.port(0)).cloned();
        start.extend(tensor.clone());
        let ty = graph.ty(id.port(0)).clone();
        let name = graph.port(id.port(0)).name.clone();
        let name = name.unwrap_or_else(|| unused(graph, "parameter"));
        graph.set_name(id.port(0), None);
        let input = add_input(graph, name, ty, tensor.map(ConstantValue::Dense));
        inputs.insert(id.port(0), input);
        let mut edit = Edit::new(graph, &Standard, super::NAME, &[]);
        edit.replace(id.port(0), input).map_err(broken)?;
        edit.remove(id);
        edit.commit();
    }
    graph.declared.clear();
    let mut quiet = PassCx::new(Request::default());
    EliminateDead.run(model, &mut quiet)?;
    infer::model(model);
    Ok(Finished { parameters, start, inputs })
}
