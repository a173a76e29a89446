//! What is to be factorized, written down.

use serde::{Deserialize, Serialize};

use super::form::{Form, Size};
use crate::plan::LeftAlone;

/// The number of the format.
pub(super) const SCHEMA: u32 = 1;

/// A layer that is written as a product.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Planned {
    /// The weight.
    pub(super) tensor: String,
    /// The value that the layer gives.
    pub(super) layer: String,
    /// How its factors are arranged.
    #[serde(default)]
    pub(super) form: Form,
    /// The rank: what the last factor reads.
    pub(super) rank: usize,
    /// What the first factor makes, where that is something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) inner_rank: Option<usize>,
    /// The full rank.
    #[serde(default)]
    pub(super) full_rank: usize,
    /// The share of the output's energy that is kept.
    #[serde(default)]
    pub(super) energy_kept: f64,
    /// Weights before and after.
    #[serde(default)]
    pub(super) params: (f64, f64),
    /// Multiply-accumulates of a sample before and after, open extents being those of the samples, or one.
    #[serde(default)]
    pub(super) macs: (f64, f64),
}

impl Planned {
    /// The form and its ranks.
    pub(super) fn size(&self) -> Size {
        Size { form: self.form, rank: self.rank, inner: self.inner_rank.unwrap_or(self.rank) }
    }
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
    /// Whether layers are fitted to what the original answers.
    #[serde(default)]
    pub(super) reconstruct: bool,
    /// How strongly weights are pulled toward those at hand.
    #[serde(default)]
    pub(super) ridge: f64,
    /// The layers that are written as products.
    pub(super) layers: Vec<Planned>,
    /// Those that stay.
    #[serde(default)]
    pub(super) left: Vec<LeftAlone>,
}
