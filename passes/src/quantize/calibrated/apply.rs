//! The run: from a request to a plan, from a plan to a model and its witness.

use onnxpress_ir::{DType, EditError, Model, NodeId};
use onnxpress_ops::infer;
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::operator::{Linear, Quantize as Facet};
use onnxpress_ops::table;

use super::names::Selection;
use super::options::{Activations, Quantize, Relief, Scales, Written};
use super::placement;
use super::plan::{LeftInFloat, QuantizePlan};
use super::sensitivity::{Trial, TrialError};
use super::settle::{self, Settling};
use super::write::{self, As};
use super::{adapt, hand_on, operators, sensitivity};
use crate::eliminate_dead::EliminateDead;
use crate::evidence::{Evidence, EvidenceSource};
use crate::inline_functions::InlineFunctions;
use crate::options::Options;
use crate::pass::{Pass, PassCx, PassError};
use crate::quantize::weight::{Granularity, oldest_opset};
use crate::rewrite::file_size;
use crate::specialize::InitializersAsConstants;
use crate::{digest, upgrade_opset};

/// How far operators on codes may be off the same between conversions, as a share of an output's peak: a code comes out one off
/// here and there, and layers behind it go on with that.
pub(in crate::quantize) const ONE_OFF: f64 = 0.05;

impl Pass for Quantize {
    const NAME: &'static str = "quantize";
    const LOSSY: bool = true;

    fn may_grow(&self) -> bool {
        self.grow
    }

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        let Some((mut prepared, mut plan)) = self.plan(model, cx)? else { return Ok(()) };
        if let Some(percent) = self.budget {
            (prepared, plan) = self.fitting((prepared, plan), percent, model, cx)?;
            if plan.is_empty() {
                return Ok(());
            }
        }
        put(&plan, self.grow, prepared, model, cx)
    }
}

impl Quantize {
    /// The plan with as many of the layers that hurt most relieved as the budget takes.
    fn fitting(
        &self,
        (mut prepared, mut plan): (Model, QuantizePlan),
        percent: f64,
        model: &Model,
        cx: &mut PassCx<'_>,
    ) -> Result<(Model, QuantizePlan), PassError> {
        let fail = |error: TrialError| PassError::Request(error.to_string());
        let budget = percent / 100.0;
        let samples = cx.samples()?;
        if self.relief == Relief::Sixteen {
            let trial = Trial::of(&prepared, samples).map_err(fail)?;
            let fits = trial.loss(&sensitivity::faked(&plan, &prepared).map_err(fail)?).map_err(fail)? <= budget;
            if !fits {
                // Only now is the newer version of the standard needed.
                cx.take_back_declines();
                let wider = Self { activations: self.activations.wide(), ..self.clone() };
                let Some((newer, _)) = wider.plan(model, cx)? else { return Ok((prepared, plan)) };
                cx.take_back_declines();
                let opset = newer.graph.opsets.standard();
                let Some((_, again)) = self.plan_at(model, opset, cx)? else { return Ok((prepared, plan)) };
                (prepared, plan) = (newer, again);
            }
        }
        let trial = Trial::of(&prepared, samples).map_err(fail)?;
        let found = trial.within(&plan, budget, self.relief).map_err(fail)?;
        let reason = format!("it is among what hurts most, and the budget is {percent} %");
        for name in found.gone {
            cx.declined(Self::NAME, name.clone(), reason.clone());
            plan.left.push(LeftInFloat { name, reason: reason.clone() });
        }
        if !found.wide.is_empty() {
            cx.notice(format!("for the budget of {percent} % these read 16 bits: {}", found.wide.join(", ")));
        }
        let left = plan.left;
        Ok((prepared, QuantizePlan { left, ..found.plan }))
    }

    /// Decides what of a model becomes codes: the model as it has to be for the plan (functions put where they are called, in
    /// a version of the standard that has the codes), and the plan. `None` where there is nothing to quantize.
    ///
    /// # Errors
    /// Where the request makes no sense, or the model cannot be run on the samples.
    pub fn plan(&self, model: &Model, cx: &mut PassCx<'_>) -> Result<Option<(Model, QuantizePlan)>, PassError> {
        self.plan_at(model, 0, cx)
    }

    /// The same in a version of the standard that is no older than this.
    fn plan_at(
        &self,
        model: &Model,
        opset: i64,
        cx: &mut PassCx<'_>,
    ) -> Result<Option<(Model, QuantizePlan)>, PassError> {
        if let Some(found) = already_quantized(model) {
            cx.notice(format!("the model is quantized already ({found}), and left alone"));
            return Ok(None);
        }
        let digest = digest::of(model);
        let text = format!("{}{{{}}}", Self::NAME, self.to_text());
        let mut prepared = prepare(model, cx)?;
        let needed = self.opset(&prepared).max(opset);
        let reached = upgrade_opset::reach(&mut prepared, needed)
            .map_err(|reason| PassError::Request(format!("codes need opset {needed}: {reason}")))?;
        let graph = &prepared.graph;
        let is_layer = |id: NodeId| NodeCx::new(graph, id).is_some_and(|cx| is_layer(&cx));
        let selection = Selection::of(self, graph, &is_layer)?;
        let allowed = |graph: &onnxpress_ir::Graph, id: NodeId| {
            let computed = NodeCx::new(graph, id).is_some_and(|cx| cx.node.is("MatMul") && !has_constant(&cx));
            if computed && !self.products {
                return Err("products of computed values stay in float".to_owned());
            }
            selection.allows(graph, id)
        };
        let placement = placement::placement(graph, self.target, &allowed);
        for (id, reason) in &placement.left {
            cx.declined(Self::NAME, graph.describe(*id), reason.clone());
        }
        inside(graph, cx);
        let wants = settle::wants(&placement, graph);
        let evidence = match placement.layers.is_empty() {
            true => Evidence::default(),
            false => cx.evidence(&prepared, &wants)?,
        };
        for (value, statistics) in &evidence.values {
            if statistics.count == 0 && statistics.masked > 0 {
                let name = graph.label(*value);
                return Err(PassError::Request(format!("`{name}` holds no number on any of the samples")));
            }
        }
        let plan = Settling {
            options: self,
            selection: &selection,
            model: &prepared,
            placement: &placement,
            evidence: &evidence,
            opset: reached,
        }
        .plan(&digest, &text)?;
        Ok((!plan.is_empty()).then_some((prepared, plan)))
    }
}

/// Applies a plan that `quantize` wrote.
///
/// # Errors
/// Where it is for another model, or names what this one does not have.
pub(crate) fn apply_plan(plan: serde_json::Value, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), String> {
    let plan: QuantizePlan = serde_json::from_value(plan).map_err(|error| error.to_string())?;
    plan.check(&digest::of(model)).map_err(|error| error.to_string())?;
    let mut prepared = prepare(model, cx).map_err(|error| error.to_string())?;
    upgrade_opset::reach(&mut prepared, plan.opset)
        .map_err(|reason| format!("codes need opset {}: {reason}", plan.opset))?;
    put(&plan, true, prepared, model, cx).map_err(|error| error.to_string())
}

/// Writes a plan into the prepared model, and its witness; unless `grow` says so, only where that takes no more bytes than came in.
fn put(
    plan: &QuantizePlan,
    grow: bool,
    prepared: Model,
    model: &mut Model,
    cx: &mut PassCx<'_>,
) -> Result<(), PassError> {
    let fail = |error: write::WriteError| PassError::Request(error.to_string());
    let rounded = match adapt::is_asked(plan) {
        true => adapt::rounded(plan, &prepared, samples(plan, cx)?)?,
        false => adapt::Rounded::default(),
    };
    let mut witness = prepared.clone();
    let mut result = prepared;
    write::write(plan, &mut witness, As::Floats, &rounded).map_err(fail)?;
    let layers = write::write(plan, &mut result, As::Codes, &rounded).map_err(fail)?;
    if plan.form == Written::Qoperator.text() {
        let broken = |error: EditError| PassError::Broken(error.to_string());
        for (site, reason) in operators::put(&mut result.graph).map_err(broken)? {
            cx.declined(Quantize::NAME, site, format!("it stays between conversions: {reason}"));
        }
        hand_on::hand_on(&mut result.graph).map_err(broken)?;
        infer::model(&mut result);
        EliminateDead.run(&mut result, &mut PassCx::new(cx.request))?;
        cx.set_tolerance(ONE_OFF);
    }
    let (came, takes) = (cx.request.came.unwrap_or(usize::MAX), file_size::named_model(&result));
    if !grow && takes > came {
        cx.notice(format!(
            "codes and conversions would take about {takes} bytes, and the model came with {came}; `grow=true` allows that"
        ));
        return Ok(());
    }
    cx.applied(Quantize::NAME, layers);
    cx.set_witness(witness);
    cx.set_plan(plan);
    *model = result;
    Ok(())
}

/// The samples that a plan was made with: rounding on others would be another plan.
fn samples<'a>(plan: &QuantizePlan, cx: &mut PassCx<'a>) -> Result<&'a dyn EvidenceSource, PassError> {
    let source = cx.samples()?;
    let (planned, found) = (&plan.evidence, source.describe());
    if *planned == found {
        return Ok(source);
    }
    Err(PassError::Request(format!("weights are rounded on the samples of the plan, {planned}; found {found}")))
}

/// The model with functions put where they are called, and initializers that are also inputs as the weights they are.
fn prepare(model: &Model, cx: &mut PassCx<'_>) -> Result<Model, PassError> {
    let mut prepared = model.clone();
    if model.graph.inputs().iter().any(|&id| model.graph.input(id).default.is_some()) {
        InitializersAsConstants.run(&mut prepared, cx)?;
    }
    InlineFunctions::default().run(&mut prepared, cx)?;
    Ok(prepared)
}

/// The first node that is about codes already.
fn already_quantized(model: &Model) -> Option<String> {
    let graphs = std::iter::once(&model.graph).chain(model.functions.iter().map(|function| &function.body));
    let mut found = graphs
        .flat_map(|graph| graph.nodes().map(move |(id, node)| (graph, id, node)))
        .filter(|(_, _, node)| table::of(node).is_some_and(|sheet| sheet.quantize == Facet::Quantized));
    found.next().map(|(graph, id, _)| graph.describe(id))
}

fn has_constant(cx: &NodeCx<'_>) -> bool {
    (0..cx.operand_count()).any(|operand| cx.constant(operand).is_some())
}

/// Whether a node is a linear map whose weight is a constant.
fn is_layer(cx: &NodeCx<'_>) -> bool {
    match table::of(cx.node).map(|sheet| sheet.linear) {
        Some(Linear::Layers(layers)) => layers(cx).iter().any(|layer| cx.constant(layer.weight).is_some()),
        _ => false,
    }
}

/// Says of subgraphs that they stay as they are.
fn inside(graph: &onnxpress_ir::Graph, cx: &mut PassCx<'_>) {
    for (id, node) in graph.nodes().filter(|(_, node)| node.has_subgraphs()) {
        let layers = node.subgraphs().flat_map(|body| {
            body.nodes().filter(|(id, _)| NodeCx::new(body, *id).is_some_and(|cx| is_layer(&cx))).map(|(id, _)| id)
        });
        let count = layers.count();
        if count > 0 {
            let reason = format!(
                "{count} linear layers inside of it run under conditions of their own; quantize-weights writes their weights in few bits"
            );
            cx.declined(Quantize::NAME, graph.describe(id), reason);
        }
    }
}

impl Quantize {
    /// The version of the standard that the result needs.
    fn opset(&self, model: &Model) -> i64 {
        let granularity = match self.granularity {
            Scales::Channel => Granularity::Channel(0),
            Scales::Tensor => Granularity::Tensor,
        };
        let sixteen = |activations: Activations| activations.dtype().bits() == 16;
        let overridden = self.overrides().unwrap_or_default();
        let types = overridden.iter().filter_map(|it| it.activations).chain([self.activations]);
        let values = types.map(|activations| if sixteen(activations) { 21 } else { 10 }).max().unwrap_or(10);
        let weights = oldest_opset(DType::Int8, DType::Float, granularity).unwrap_or(13);
        // int8 and uint8 pass through MaxPool from version 12 on, through Relu and the like from 14 on; conversions around
        // them are in float, so only the conversions count.
        values.max(weights).max(model.graph.opsets.standard())
    }
}
