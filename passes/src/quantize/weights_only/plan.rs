//! What is to be quantized, written down.

use onnxpress_ir::DType;
use serde::{Deserialize, Serialize};

use super::options::Form;
use crate::plan::{LeftAlone, Misfit};
use crate::quantize::weight::{Granularity, Meaning, Rounding, Scheme};

/// The number of the format.
pub(super) const SCHEMA: u32 = 1;

/// A weight that is quantized.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Planned {
    /// Its place among the model's weights.
    pub(super) id: usize,
    /// Its name.
    pub(super) tensor: String,
    /// The node that reads it.
    #[serde(default)]
    pub(super) reader: String,
    /// The type of the codes.
    pub(super) codes: String,
    /// How many bits of a code are in use; all, where that is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bits: Option<u32>,
    /// The type that scales are stored in; the weight's own, where that is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) scales: Option<String>,
    /// The axis that scales run along; none where there is one scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) axis: Option<usize>,
    /// How many neighbours along the axis share a scale; none where each index has one for all other axes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) block: Option<usize>,
    /// Whether zero is in the middle of the codes.
    pub(super) symmetric: bool,
    /// How the scale is found.
    pub(super) rounding: String,
    /// What makes floats of the codes.
    #[serde(default = "usual_form")]
    pub(super) form: String,
    /// Bytes before and after.
    #[serde(default)]
    pub(super) bytes: (usize, usize),
}

fn usual_form() -> String {
    Form::Dequantize.text().to_owned()
}

/// What is to be done to a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    /// The number of the format.
    pub(super) schema: u32,
    /// The pass that made it, with all its options.
    pub(super) pass: String,
    /// The digest of the model that it is for.
    pub(super) model: String,
    /// The samples that it was made with; to apply it takes the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<String>,
    /// The share of the mean diagonal that second moments are damped by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) damping: Option<f64>,
    /// The weights that are quantized.
    pub(super) layers: Vec<Planned>,
    /// Those that stay.
    #[serde(default)]
    pub(super) left: Vec<LeftAlone>,
}

/// Why a plan cannot be applied.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum PlanError {
    #[error(transparent)]
    Misfit(#[from] Misfit),
    #[error("weight {id} `{tensor}` is none of the model's")]
    Weight { id: usize, tensor: String },
    #[error("weight {id} `{tensor}` stands there twice")]
    Twice { id: usize, tensor: String },
    #[error("weight `{tensor}`: `{found}` is no {what}")]
    Word { tensor: String, what: &'static str, found: String },
}

impl Planned {
    /// In what type, and how it is rounded.
    pub(super) fn scheme(&self) -> Result<Scheme, PlanError> {
        let word = |what, found: &str| {
            let (tensor, found) = (self.tensor.clone(), found.to_owned());
            PlanError::Word { tensor, what, found }
        };
        let (dtype, meaning) = match self.codes.as_str() {
            "nf4" => (DType::Uint4, Meaning::Nf4),
            codes => (codes.parse().map_err(|_| word("type of codes", codes))?, Meaning::Number),
        };
        let rounding = Rounding::ALL.into_iter().find(|rounding| rounding.text() == self.rounding);
        let rounding = rounding.ok_or_else(|| word("way to round", &self.rounding))?;
        let scales = match self.scales.as_deref() {
            None => None,
            Some("float16") => Some(DType::Float16),
            Some(other) => return Err(word("type of scales", other)),
        };
        Ok(Scheme { meaning, bits: self.bits, scales, ..Scheme::of(dtype, self.symmetric, rounding) })
    }

    /// What makes floats of the codes.
    pub(super) fn form(&self) -> Result<Form, PlanError> {
        let found = Form::ALL.into_iter().find(|form| form.text() == self.form);
        let (tensor, found_word) = (self.tensor.clone(), self.form.clone());
        found.ok_or(PlanError::Word { tensor, what: "form", found: found_word })
    }

    /// How scales lie.
    pub(super) fn granularity(&self) -> Granularity {
        match (self.axis, self.block) {
            (None, _) => Granularity::Tensor,
            (Some(axis), None) => Granularity::Channel(axis),
            (Some(axis), Some(size)) => Granularity::Blocks { axis, size },
        }
    }
}

/// The axis and the block of a granularity, as a plan says them.
pub(super) fn axis_and_block(granularity: Granularity) -> (Option<usize>, Option<usize>) {
    match granularity {
        Granularity::Tensor => (None, None),
        Granularity::Channel(axis) => (Some(axis), None),
        Granularity::Blocks { axis, size } => (Some(axis), Some(size)),
    }
}
