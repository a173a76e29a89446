//! What is to be zero, written down: how much of each weight, and by which pass with which options.

use serde::{Deserialize, Serialize};

use crate::plan::LeftAlone;

/// The number of the format.
pub(super) const SCHEMA: u32 = 1;

/// A weight that gets zeros.
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
    /// The share that goes; what a pattern says needs none.
    pub(super) sparsity: f64,
    /// The share of zeros before and after.
    #[serde(default)]
    pub(super) zeros: (f64, f64),
    /// How it is written.
    #[serde(default)]
    pub(super) stored: String,
    /// Bytes before and after.
    #[serde(default)]
    pub(super) bytes: (usize, usize),
}

/// What is to be done to a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    /// The number of the format.
    pub(super) schema: u32,
    /// The pass that made it; its options say how weights are chosen and written.
    pub(super) pass: String,
    /// The digest of the model that it is for.
    pub(super) model: String,
    /// The samples that it was made with; to apply it takes the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<String>,
    /// The weights that get zeros.
    pub(super) layers: Vec<Planned>,
    /// Those that stay.
    #[serde(default)]
    pub(super) left: Vec<LeftAlone>,
}
