//! `apply-plan`: does what a plan says, whichever pass wrote it.

use onnxpress_ir::Model;

use crate::Factorize;
use crate::pass::{Pass, PassCx, PassError};
use crate::prune_channels::{self, PruneChannels};
use crate::quantize::{self, AllocateBits, Palettize, Quantize, QuantizeWeights};
use crate::sparsify::{self, Sparsify};
use crate::{factorize, quantize::calibrated, quantize::palettize};

/// Applies a plan to the model that it was made for; what is wrong with it comes back as messages say it.
type Applier = fn(serde_json::Value, &mut Model, &mut PassCx<'_>) -> Result<(), String>;

/// The passes that write plans, and what applies them.
const APPLIERS: [(&str, Applier); 7] = [
    (AllocateBits::NAME, quantize::apply_plan),
    (Factorize::NAME, factorize::apply_plan),
    (Palettize::NAME, palettize::apply_plan),
    (PruneChannels::NAME, prune_channels::apply_plan),
    (Quantize::NAME, calibrated::apply_plan),
    (QuantizeWeights::NAME, quantize::apply_plan),
    (Sparsify::NAME, sparsify::apply_plan),
];

crate::options! {
    /// Applies a plan that a pass wrote, to the same model, with the same result.
    ///
    /// The plan may have been edited: of `prune-channels`, `kept` of a group says which channels stay; of `quantize-weights`,
    /// `layers` says which weights are written in few bits, and how; of `quantize`, `scale` and `zero_point` of a value what its
    /// codes mean, and layers and values that are taken out stay in float; of `factorize`, `rank` says how much of a layer is kept; of
    /// `sparsify`, `sparsity` how much of a weight goes; of `palettize`, `bits`, `codes`, `group` and `scale` of a layer what its table
    /// is like.
    pub struct ApplyPlan {
        /// The plan, as `--plan-out` wrote it.
        file: String = String::new(),
    }
}

impl Pass for ApplyPlan {
    const NAME: &'static str = "apply-plan";
    const LOSSY: bool = true;

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        let fail = |reason: String| PassError::Request(format!("plan `{}`: {reason}", self.file));
        if self.file.is_empty() {
            return Err(PassError::Request("`file` is missing, the plan to apply".to_owned()));
        }
        let text = match cx.request.files {
            Some(files) => files.read(&self.file).map_err(fail)?,
            None => return Err(fail("there is nobody here to read files".to_owned())),
        };
        let plan: serde_json::Value = serde_json::from_str(&text).map_err(|error| fail(error.to_string()))?;
        let applier = applier(&plan).map_err(fail)?;
        applier(plan, model, cx).map_err(fail)
    }
}

/// What applies a plan: by the pass that it names, as pipeline text with its options.
fn applier(plan: &serde_json::Value) -> Result<Applier, String> {
    let pass = plan.get("pass").and_then(serde_json::Value::as_str);
    let pass = pass.ok_or("it does not say in `pass` which pass made it")?;
    let name = pass.split('{').next().unwrap_or(pass).trim();
    let found = APPLIERS.iter().find(|(known, _)| *known == name);
    found.map(|(_, applier)| *applier).ok_or_else(|| {
        let known: Vec<&str> = APPLIERS.iter().map(|(known, _)| *known).collect();
        format!("`{name}` writes no plans, expected one of {}", known.join(", "))
    })
}
