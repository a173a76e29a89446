//! The runner on tract: fast, built in, and kept away from what it cannot do.
//!
//! tract plans a model for inputs of known shapes, so the session plans when it is first run, and again when other shapes
//! come. Before that the model is specialized for the inputs, codes that it does not read
//! are spelled ([`codes`]), what it gets wrong is declined ([`guard`]), and what it cannot read is lowered ([`lower`]). Whatever tract says against a model counts as "cannot": it is no judge of models.

mod codes;
mod guard;
mod lower;
mod tensors;

use std::borrow::Cow;
use std::sync::Arc;

use onnxpress_ir::{DType, Model, Type};
use onnxpress_ops::evaluate::Value;
use onnxpress_passes::inlined;
use tract_onnx::prelude::{
    InferenceFact, InferenceModelExt, IntoRunnable, OutletId, TVec, TractResult, TypedRunnableModel,
};
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_hir::internal::InferenceOp;

use super::specialize::at_inputs;
use super::{Runner, RunnerError, Session, panics};
use lower::{Lowered, Source};

const NAME: &str = "tract";

/// Runs models on tract.
#[derive(Debug, Clone, Copy)]
pub struct Tract {
    /// The most elements that one value may have.
    pub element_limit: usize,
}

impl Default for Tract {
    fn default() -> Self {
        Self { element_limit: 1 << 28 }
    }
}

impl Runner for Tract {
    fn name(&self) -> &'static str {
        NAME
    }

    fn load<'m>(&self, model: &'m Model) -> Result<Box<dyn Session + 'm>, RunnerError> {
        Ok(Box::new(Planned { model: inlined(model), element_limit: self.element_limit, plan: None }))
    }
}

struct Planned<'m> {
    /// Without functions: tract takes a call for the standard's operator of that name.
    model: Cow<'m, Model>,
    element_limit: usize,
    /// The types of the inputs it was made for (`None`: the default was taken), and the plan.
    plan: Option<(Vec<Option<Type>>, Plan)>,
}

struct Plan {
    /// `None` where nothing is left to compute.
    runnable: Option<Arc<TypedRunnableModel>>,
    /// Which inputs of the model it is given, in order.
    inputs: Vec<usize>,
    outputs: Vec<Source>,
}

fn cannot(reason: impl Into<String>) -> RunnerError {
    RunnerError::CannotRun { runner: NAME, reason: reason.into() }
}

impl Session for Planned<'_> {
    fn run(&mut self, inputs: &[Option<Value>]) -> Result<Vec<Value>, RunnerError> {
        let types: Vec<_> = inputs.iter().map(|value| value.as_ref().map(crate::inputs::type_of)).collect();
        if self.plan.as_ref().is_none_or(|(planned, _)| *planned != types) {
            self.plan = None;
            let plan = plan(&self.model, inputs, self.element_limit).map_err(cannot)?;
            self.plan = Some((types, plan));
        }
        let Some((_, plan)) = &self.plan else { return Err(cannot("no plan")) };
        let computed = compute(plan, inputs).map_err(cannot)?;
        let graph = &self.model.graph;
        let outputs = plan.outputs.iter().zip(graph.outputs()).map(|(source, &id)| match source {
            Source::Given(index) => inputs.get(*index).cloned().flatten().ok_or_else(|| cannot("an input is missing")),
            Source::Constant(tensor) => Ok(Value::Tensor(tensor.clone())),
            Source::Computed(index) => {
                let tensor = computed.get(*index).ok_or_else(|| cannot("an output is missing"))?;
                let declared = graph.output(id).declared.dtype();
                match declared.filter(|&dtype| dtype != tensor.dtype()) {
                    // tract may keep sizes in a type of its own, whatever the model says.
                    Some(DType::Int32) if tensor.dtype() == DType::Int64 => Err(cannot("sizes of 32 bits")),
                    Some(dtype) => {
                        Err(cannot(format!("{} comes as {}, not as {dtype}", graph.describe(id), tensor.dtype())))
                    }
                    None => Ok(Value::Tensor(tensor.clone())),
                }
            }
        });
        outputs.collect()
    }
}

fn plan(model: &Model, inputs: &[Option<Value>], element_limit: usize) -> Result<Plan, String> {
    if inputs.len() != model.graph.inputs().len() {
        return Err(format!("{} values for {} inputs", inputs.len(), model.graph.inputs().len()));
    }
    let onnx = tract_onnx::onnx().with_ignore_value_info(true).with_ignore_output_types(true);
    let mut special = at_inputs(model, inputs);
    codes::spell(&mut special.graph);
    if let Some(reason) = guard::objection(&special, &onnx.op_register, element_limit) {
        return Err(reason);
    }
    let lowered = lower::lower(special, inputs)?;
    let indices = lowered.inputs.iter().map(|(index, _)| *index).collect();
    let computes = lowered.outputs.iter().any(|source| matches!(source, Source::Computed(_)));
    let runnable = if computes { Some(panics::catching(|| runnable(&onnx, &lowered))??) } else { None };
    Ok(Plan { runnable, inputs: indices, outputs: lowered.outputs })
}

fn runnable(onnx: &tract_onnx::Onnx, lowered: &Lowered) -> Result<Arc<TypedRunnableModel>, String> {
    let constants = lower::constants(&lowered.weights)?;
    let build = || -> TractResult<Arc<TypedRunnableModel>> {
        let parsed = onnx.parse(&lowered.message, None)?;
        let mut model = parsed.model;
        for (name, tensor) in constants {
            let Some(&outlet) = parsed.outlets_by_name.get(name) else { continue };
            let op: Box<dyn InferenceOp> = Box::new(Const::new(tensor.clone())?);
            let node = model.node_mut(outlet.node);
            node.op = op;
            node.outputs[0].fact = InferenceFact::try_from(tensor)?;
        }
        let inputs = lowered.inputs.iter().filter_map(|(_, name)| parsed.outlets_by_name.get(name).copied());
        model.inputs = inputs.collect::<Vec<OutletId>>();
        model.into_typed()?.into_optimized()?.into_runnable()
    };
    build().map_err(|error| one_line(&error))
}

fn compute(plan: &Plan, inputs: &[Option<Value>]) -> Result<Vec<onnxpress_ir::Tensor>, String> {
    let Some(runnable) = &plan.runnable else { return Ok(Vec::new()) };
    let mut given = TVec::new();
    for &index in &plan.inputs {
        let value = inputs.get(index).and_then(Option::as_ref).ok_or("an input is missing")?;
        let tensor = value.as_tensor().map_err(|error| error.to_string())?;
        given.push(tensors::to_tract(tensor)?.into());
    }
    let outputs = panics::catching(|| runnable.run(given))?.map_err(|error| one_line(&error))?;
    outputs.iter().map(|output| tensors::from_tract(output)).collect()
}

/// tract's errors are chains of what it was doing; the last links say why.
fn one_line(error: &tract_onnx::prelude::TractError) -> String {
    let mut links: Vec<String> =
        error.chain().map(|link| link.to_string().lines().next().unwrap_or_default().to_owned()).collect();
    links.retain(|link| !link.is_empty());
    let skip = links.len().saturating_sub(3);
    links.split_off(skip).join(": ")
}

#[cfg(test)]
mod tests;
