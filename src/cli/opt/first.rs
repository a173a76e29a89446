//! What is asked of the model before the pipeline runs: each option is a pass, and stands in the pipeline of the report.

use crate::cli::failure::Failure;
use crate::ir::Type;
use crate::npz;
use crate::ops::evaluate::Value;
use crate::passes::options::Options as _;
use crate::passes::pass::{AnyPass, ArraySource, Pass as _, Passes};
use crate::passes::pipeline::{Pipeline, Step};
use crate::passes::specialize::{FromFile, InitializersAsConstants, SetDim, SetInput, SizeOf};
use crate::passes::{InlineFunctions, UpgradeOpset};

type Steps = Pipeline<std::sync::Arc<dyn AnyPass>>;

/// Options that put passes in front of the pipeline.
#[derive(clap::Args)]
pub(super) struct First {
    /// Give an open dimension a size, for good: by its name, or by input and axis as in `x:0=1`. May be given several times.
    #[arg(long = "set-dim", value_name = "NAME=N")]
    set_dims: Vec<SizeOf>,
    /// Give an input a value, for good: the array of an `.npy`, or of an `.npz` by the input's name. May be given several times.
    #[arg(long = "set-input", value_name = "NAME=FILE")]
    set_inputs: Vec<FromFile>,
    /// Take initializers that are also inputs, and that callers may override, for constants.
    #[arg(long)]
    initializers_as_constants: bool,
    /// Write the model in this version of the standard's operator set, by default the newest known.
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    upgrade_opset: Option<String>,
    /// Inline all functions of the model, or keep them as they are; by default those are inlined that it makes no larger.
    #[arg(long, value_name = "WHAT", value_parser = ["keep", "inline"])]
    functions: Option<String>,
}

impl First {
    /// Whether inputs that have a default are to be constants.
    pub(super) fn takes_constants(&self) -> bool {
        self.initializers_as_constants
    }

    /// The passes as pipeline text.
    fn text(&self) -> String {
        let mut items = Vec::new();
        if self.initializers_as_constants {
            items.push(InitializersAsConstants::NAME.to_owned());
        }
        if !self.set_dims.is_empty() {
            items.push(format!("{}{{{}}}", SetDim::NAME, SetDim { sizes: self.set_dims.clone() }.to_text()));
        }
        if !self.set_inputs.is_empty() {
            items.push(format!("{}{{{}}}", SetInput::NAME, SetInput { values: self.set_inputs.clone() }.to_text()));
        }
        match self.upgrade_opset.as_deref() {
            None => {}
            Some("") => items.push(UpgradeOpset::NAME.to_owned()),
            Some(version) => items.push(format!("{}{{to={version}}}", UpgradeOpset::NAME)),
        }
        if self.functions.as_deref() == Some("inline") {
            items.push(InlineFunctions::NAME.to_owned());
        }
        items.join(",")
    }

    /// The pipeline of `text` with these passes in front of it.
    pub(super) fn and_then(&self, passes: &Passes, text: &str) -> Result<Steps, Failure> {
        let mut asked = passes.pipeline(text).map_err(|error| Failure::pipeline(&error, text))?;
        if self.functions.as_deref() == Some("keep") {
            if text.contains(InlineFunctions::NAME) {
                return Err(Failure::usage(format!(
                    "--functions keep, and `{}` in the pipeline",
                    InlineFunctions::NAME
                )));
            }
            without(&mut asked, InlineFunctions::NAME);
        }
        let first = self.text();
        let mut pipeline = passes.pipeline(&first).map_err(|error| Failure::pipeline(&error, &first))?;
        pipeline.steps.append(&mut asked.steps);
        Ok(pipeline)
    }
}

/// Takes a pass out of a pipeline, wherever a preset has put it.
fn without(pipeline: &mut Steps, name: &str) {
    pipeline.steps.retain_mut(|step| match step {
        Step::Pass(step) => step.pass.name() != name,
        Step::Fixpoint(inner) => {
            without(inner, name);
            !inner.steps.is_empty()
        }
    });
}

/// Arrays from files.
pub(super) struct Files;

impl ArraySource for Files {
    fn array(&self, file: &str, name: &str, ty: &Type) -> Result<crate::ir::Tensor, String> {
        let mut arrays = npz::read(std::path::Path::new(file)).map_err(|error| error.to_string())?;
        if arrays.len() == 1 && !arrays.contains_key(name) {
            // A file with one array need not know the input's name.
            arrays = arrays.into_values().map(|array| (name.to_owned(), array)).collect();
        }
        match npz::take_value(&mut arrays, name, ty) {
            Some(Value::Tensor(tensor)) => Ok(tensor),
            Some(_) => Err(format!("input `{name}` is no tensor")),
            None => Err(format!("{file}: no array `{name}`")),
        }
    }
}
