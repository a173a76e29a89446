//! The plan: which values and weights become codes, with which parameters; as a file that people read and edit and machines
//! apply.
//!
//! Sites are numbered as the pass finds them in the model, whose digest the plan carries; names are for people.

use onnxpress_ir::{DType, Model, NodeId, ValueId};
use serde::{Deserialize, Serialize};

use super::options::Written;

use crate::plan::{self, Misfit};

/// The number of the format.
pub const SCHEMA: u32 = 1;

/// A reading of a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedReading {
    /// The number of the node, or of the output of the graph.
    pub node: usize,
    /// How messages call it.
    pub name: String,
    /// The operand; for what its subgraphs read, the number among these.
    pub operand: u32,
    /// Whether a subgraph of the node reads it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inside: bool,
}

/// A value that becomes codes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedValue {
    /// The number of its producer, and which of its outputs it is.
    pub id: (usize, u32),
    /// Its name.
    pub name: String,
    /// Values of one group have one scale and zero point.
    pub group: usize,
    /// The type of the codes.
    pub dtype: String,
    /// What a code is worth.
    pub scale: f32,
    /// The code of zero.
    pub zero_point: i64,
    /// The smallest and the largest element seen.
    pub seen: (f32, f32),
    /// Who reads floats made of the codes. Others read the value itself.
    pub readers: Vec<PlannedReading>,
}

/// A linear map on codes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedLayer {
    /// The number of the node.
    pub id: usize,
    /// How messages call it.
    pub name: String,
    /// The constant that becomes codes; none where two computed values are multiplied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<PlannedWeight>,
    /// Whether its bias becomes whole numbers too.
    pub integer_bias: bool,
    /// The bias that it has from now on, corrected; where there is none, its own. It is the next node's, where that adds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias: Option<Vec<f32>>,
}

/// A weight that becomes codes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedWeight {
    /// The constant.
    pub name: String,
    /// The type of the codes.
    pub dtype: String,
    /// The axis that has a scale for each index; none where there is one scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub axis: Option<usize>,
    /// How it is rounded: `nearest`, `mse`, `adaptive` or `adaptive-gradient`.
    pub rounding: String,
    /// Whether zero is the middle of the codes.
    pub symmetric: bool,
    /// Whether a bit stays unused.
    pub reduce_range: bool,
    /// Whether zero points are written where all are 0.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub zeros: bool,
    /// Whether scales are numbers that 16 bits hold too, and written so, where these keep enough of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub short_scales: bool,
}

/// A table whose rows are looked up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedTable {
    /// The number of the constant.
    pub id: usize,
    /// How it is written.
    pub weight: PlannedWeight,
}

/// A weight that is codes in the file alone: what multiplies by it computes with floats.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedStored {
    /// Its number among the weights of the model, those in subgraphs too.
    pub id: usize,
    /// How it is written.
    pub weight: PlannedWeight,
}

/// What stays in float, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftInFloat {
    /// The node.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// What of a model becomes codes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantizePlan {
    /// The number of the format.
    pub schema: u32,
    /// The pass that made it, with all its options.
    pub pass: String,
    /// The digest of the model it is for.
    pub model: String,
    /// What the ranges were measured on.
    pub evidence: String,
    /// The operator set that the result needs.
    pub opset: i64,
    /// How computing on codes is written: `qdq` or `qoperator`.
    #[serde(default = "qdq")]
    pub form: String,
    /// Whether elements move as codes, without conversions around each operator that only moves them, and scales of biases are
    /// written as the products that they are.
    #[serde(default)]
    pub compact: bool,
    /// Values.
    pub values: Vec<PlannedValue>,
    /// Linear maps, producers first.
    pub layers: Vec<PlannedLayer>,
    /// Tables.
    pub tables: Vec<PlannedTable>,
    /// Other weights, of which floats are made when the model is loaded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stored: Vec<PlannedStored>,
    /// What stays as it is.
    #[serde(default)]
    pub left: Vec<LeftInFloat>,
}

fn qdq() -> String {
    Written::Qdq.text().to_owned()
}

/// Why a plan cannot be applied.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum PlanError {
    #[error(transparent)]
    Misfit(#[from] Misfit),
    #[error("{name}: {reason}")]
    Site { name: String, reason: String },
}

impl QuantizePlan {
    /// Whether nothing at all becomes codes.
    pub(crate) fn is_empty(&self) -> bool {
        self.layers.is_empty() && self.tables.is_empty() && self.stored.is_empty()
    }

    /// Checks that the plan is of this format and for the model of this digest, and that its numbers make sense.
    ///
    /// # Errors
    /// Where it is not so.
    pub(crate) fn check(&self, digest: &str) -> Result<(), PlanError> {
        plan::of_format(self.schema, SCHEMA)?;
        plan::for_digest(&self.model, digest)?;
        if !Written::ALL.into_iter().any(|form| form.text() == self.form) {
            let (name, words) = ("form".to_owned(), Written::ALL.map(Written::text).join(" or "));
            return Err(PlanError::Site { name, reason: format!("found `{}`, expected {words}", self.form) });
        }
        for value in &self.values {
            let fail = |reason: String| Err(PlanError::Site { name: value.name.clone(), reason });
            let dtype = dtype(&value.dtype, &value.name)?;
            let (low, high) = onnxpress_ir::tensor::range(dtype);
            if !(value.scale.is_normal() && value.scale > 0.0) {
                return fail(format!("a scale of {}, expected a positive number", value.scale));
            }
            if !(low..=high).contains(&value.zero_point) {
                return fail(format!("a zero point of {}, expected one of {low} to {high}", value.zero_point));
            }
        }
        Ok(())
    }
}

/// The type of codes that a plan names.
///
/// # Errors
/// Where it is none.
pub(crate) fn dtype(text: &str, name: &str) -> Result<DType, PlanError> {
    let found: Result<DType, _> = text.parse();
    let eight_or_sixteen = |dtype: &DType| dtype.is_integer() && matches!(dtype.bits(), 8 | 16);
    found.ok().filter(eight_or_sixteen).ok_or_else(|| PlanError::Site {
        name: name.to_owned(),
        reason: format!("`{text}` is no type for codes, expected uint8, int8, uint16 or int16"),
    })
}

/// The vertices of a model by the numbers that plans use.
pub(crate) struct Numbers(std::collections::HashMap<usize, NodeId>);

impl Numbers {
    pub(crate) fn of(model: &Model) -> Self {
        Self(model.graph.vertices().map(|(id, _)| (id.slot(), id)).collect())
    }

    /// The vertex of a number.
    ///
    /// # Errors
    /// Where the model has none.
    pub(crate) fn vertex(&self, number: usize, name: &str) -> Result<NodeId, PlanError> {
        let reason = || PlanError::Site { name: name.to_owned(), reason: format!("the model has no vertex {number}") };
        self.0.get(&number).copied().ok_or_else(reason)
    }

    /// The value of a number.
    ///
    /// # Errors
    /// Where the model has none.
    pub(crate) fn value(&self, model: &Model, (number, port): (usize, u32), name: &str) -> Result<ValueId, PlanError> {
        let id = self.vertex(number, name)?;
        if model.graph.vertex(id).ports().get(port as usize).is_none() {
            return Err(PlanError::Site {
                name: name.to_owned(),
                reason: format!("vertex {number} has no output {port}"),
            });
        }
        Ok(id.port(port))
    }
}
