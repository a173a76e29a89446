//! What is to be palettized, written down.

use serde::{Deserialize, Serialize};

use super::codebook::{Codes, Init};
use super::palette::Scheme;
use crate::plan::LeftAlone;

/// The number of the format.
pub(super) const SCHEMA: u32 = 1;

/// A weight that is looked up in tables.
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
    /// Bits of a place.
    pub(super) bits: u32,
    /// What the values of a table are.
    pub(super) codes: String,
    /// What clustering begins with.
    pub(super) init: String,
    /// How many output channels share a table; all, where that is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) group: Option<usize>,
    /// Whether each output channel has a scale of its own.
    pub(super) scale: bool,
    /// Why samples say nothing of it, where there are samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unseen: Option<String>,
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
    /// The pass that made it, with all its options.
    pub(super) pass: String,
    /// The digest of the model that it is for.
    pub(super) model: String,
    /// The samples that it was made with; to apply it takes the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<String>,
    /// The weights that are looked up.
    pub(super) layers: Vec<Planned>,
    /// Those that stay.
    #[serde(default)]
    pub(super) left: Vec<LeftAlone>,
}

impl Planned {
    /// How its tables are made.
    ///
    /// # Errors
    /// What of it is none.
    pub(super) fn scheme(&self) -> Result<Scheme, String> {
        let wrong = |what: &str, found: &str| format!("weight `{}`: `{found}` is no {what}", self.tensor);
        let codes = Codes::ALL.into_iter().find(|codes| codes.text() == self.codes);
        let init = Init::ALL.into_iter().find(|init| init.text() == self.init);
        if !(1..=8).contains(&self.bits) {
            return Err(format!("weight `{}`: {} bits, expected 1 to 8", self.tensor, self.bits));
        }
        if self.group == Some(0) {
            return Err(format!("weight `{}`: a table for 0 channels", self.tensor));
        }
        Ok(Scheme {
            bits: self.bits,
            codes: codes.ok_or_else(|| wrong("kind of codes", &self.codes))?,
            init: init.ok_or_else(|| wrong("begin of clustering", &self.init))?,
            group: self.group,
            scale: self.scale,
        })
    }
}
