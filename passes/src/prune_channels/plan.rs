//! The plan: what goes, why, and what stays for which reason; as a file that people read and edit and machines apply.
//!
//! `groups` is what is applied. `tensors` says the same in terms of the model's constants, initializers and nodes by name, and
//! `copies` of those of which some readers want another cut than others; both are worked out of the groups. A plan belongs to
//! one model: it carries its digest, and is refused for another.

use std::collections::BTreeMap;

use onnxpress_ir::analysis::channels::{Coupling, Leaf};
use onnxpress_ir::{Graph, Model};
use serde::{Deserialize, Serialize};

use super::cost::Amount;
use super::cut::slices::Kept;
use super::cut::{self, Left};
use super::members::Member;
use crate::digest;
use crate::plan::{self, Misfit};

/// The number of the format.
pub const SCHEMA: u32 = 1;

/// By constant and axis: the indices that stay.
pub type Tensors = BTreeMap<String, BTreeMap<usize, Vec<usize>>>;

/// Where a set of channels lies in a constant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedMember {
    /// The constant.
    pub tensor: String,
    /// The axis.
    pub axis: usize,
}

/// Channels that can only be removed together, index by index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedGroup {
    /// The number by which the analysis knows it.
    pub id: usize,
    /// What people may call it: a constant that it is the first axis of, if there is one.
    pub name: String,
    /// How many channels there are.
    pub channels: usize,
    /// The indices that stay, ascending.
    pub kept: Vec<usize>,
    /// How much each channel matters, by the criterion; 1 is the mean.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scores: Vec<f64>,
    /// What the weights and nodes that lie along it cost; what lies along two groups counts for both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Shrinkage>,
    /// Where it lies.
    pub members: Vec<PlannedMember>,
}

/// Cost before and after, of a group or of all.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shrinkage {
    /// Elements of weights.
    pub parameters: [u64; 2],
    /// Multiply-accumulates of a sample, open extents being those of the samples, or one.
    pub macs: [u64; 2],
    /// Bytes of weights.
    pub bytes: [u64; 2],
}

impl Shrinkage {
    pub(crate) fn of(before: &Amount, after: &Amount) -> Self {
        let both = |amount: fn(&Amount) -> f64| [amount(before).round() as u64, amount(after).round() as u64];
        Self { parameters: both(|a| a.params), macs: both(|a| a.macs), bytes: both(|a| a.bytes) }
    }
}

/// Channels that stay, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedGroup {
    /// What people may call it.
    pub name: String,
    /// How many channels there are.
    pub channels: usize,
    /// Why they stay.
    pub reason: String,
    /// Where it lies.
    pub members: Vec<PlannedMember>,
}

/// A cut of a constant, for readers that want another than others do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedCopy {
    /// The constant.
    pub of: String,
    /// The nodes that read it.
    pub readers: Vec<String>,
    /// By axis: the indices that stay.
    pub axes: BTreeMap<usize, Vec<usize>>,
}

/// A bias that makes up for what is removed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedBias {
    /// The value that the layer gives.
    pub layer: String,
    /// The numbers of the bias, one for each of the outputs that the layer had.
    pub bias: Vec<f64>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn is_false(value: &bool) -> bool {
    !value
}

/// What is to be removed from a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The number of the format.
    pub schema: u32,
    /// The pass that made it, with all its options.
    pub pass: String,
    /// The digest of the model it is for.
    pub model: String,
    /// Whether channels go along which a normalization takes statistics.
    #[serde(default, skip_serializing_if = "is_false")]
    pub through_norm: bool,
    /// What the whole model costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Shrinkage>,
    /// What goes.
    pub groups: Vec<PlannedGroup>,
    /// What stays.
    #[serde(default)]
    pub pinned: Vec<PinnedGroup>,
    /// By constant and axis: the indices that stay.
    #[serde(default)]
    pub tensors: Tensors,
    /// Shared constants whose readers want different cuts, each cut.
    #[serde(default)]
    pub copies: Vec<PlannedCopy>,
    /// The samples that layers are fitted on, where they are; to apply the plan takes the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fitted_on: Option<String>,
    /// The digest of the model with fitted layers, before anything is cut: who fits them again must come to the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fitted: Option<String>,
    /// Biases that make up for the means of what goes; without them, and where no layer is fitted, its contribution is zero.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub biases: Vec<PlannedBias>,
}

/// Why a plan cannot be applied.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum PlanError {
    #[error(transparent)]
    Misfit(#[from] Misfit),
    #[error("group {id} is none of the model's")]
    Group { id: usize },
    #[error("group {id} `{name}`: {reason}")]
    Kept { id: usize, name: String, reason: String },
    #[error(
        "its layers come out otherwise when they are fitted again: another version of the program made it, another machine, or other \
         samples; leave `tensors` out to take them as they come, or make the plan anew"
    )]
    Fitted,
    #[error("`tensors` and `groups` disagree about `{tensor}`; edit `kept` of the group and leave `tensors` out")]
    Tensors { tensor: String },
}

/// How people may call a leaf: by the constant whose first axis it is, or else by any.
pub(crate) fn name(graph: &Graph, members: &[Member]) -> String {
    let first = members.iter().find(|member| member.axis == 0).or_else(|| members.first());
    first.map_or_else(|| "(no constant)".to_owned(), |member| graph.label(member.constant.port(0)))
}

/// The members in the plan's words, each once.
pub(crate) fn planned_members(graph: &Graph, members: &[Member]) -> Vec<PlannedMember> {
    let mut planned: Vec<PlannedMember> = Vec::new();
    for member in members {
        let tensor = graph.label(member.constant.port(0));
        let entry = PlannedMember { tensor, axis: member.axis };
        if planned.last() != Some(&entry) {
            planned.push(entry);
        }
    }
    planned
}

/// What the cut means for constants: those all of whose readers want the same, and each cut of the others.
pub(crate) fn tensors(graph: &Graph, coupling: &Coupling, left: &Left) -> (Tensors, Vec<PlannedCopy>) {
    let (mut tensors, mut copies) = (BTreeMap::new(), Vec::new());
    let axes = |kept: Kept| -> BTreeMap<usize, Vec<usize>> {
        kept.into_iter().enumerate().filter_map(|(axis, kept)| Some((axis, kept?))).collect()
    };
    for (id, cuts) in cut::cuts(graph, coupling, left) {
        let name = graph.label(id.port(0));
        let all_want_the_same = cuts.len() == 1;
        for (kept, readings) in cuts {
            let Some(kept) = kept else { continue };
            if all_want_the_same {
                tensors.insert(name.clone(), axes(kept));
            } else {
                let readers = readings.iter().map(|reading| graph.describe(reading.node)).collect();
                copies.push(PlannedCopy { of: name.clone(), readers, axes: axes(kept) });
            }
        }
    }
    (tensors, copies)
}

impl Plan {
    /// Which indices of each leaf the plan leaves.
    ///
    /// # Errors
    /// Where it is not for this model, or says what cannot be.
    pub(crate) fn left(&self, digest: &str, coupling: &Coupling) -> Result<Left, PlanError> {
        plan::of_format(self.schema, SCHEMA)?;
        plan::for_digest(&self.model, digest)?;
        let leaves = coupling.spans.leaves();
        let mut left: Left = leaves.iter().map(|leaf| (0..leaf.extent).collect()).collect();
        for group in &self.groups {
            let leaf: &Leaf = leaves.get(group.id).ok_or(PlanError::Group { id: group.id })?;
            let fail = |reason: String| PlanError::Kept { id: group.id, name: group.name.clone(), reason };
            if let Some(reason) = &leaf.pinned {
                return Err(fail(format!("it cannot be pruned: {reason}")));
            }
            if group.kept.windows(2).any(|pair| pair[0] >= pair[1]) {
                return Err(fail("the kept indices are not ascending".to_owned()));
            }
            if group.kept.is_empty() && leaf.extent > 1 {
                return Err(fail("none of its channels stays".to_owned()));
            }
            if let Some(index) = group.kept.last().filter(|index| **index >= leaf.extent) {
                return Err(fail(format!("index {index} of {} channels", leaf.extent)));
            }
            left[group.id].clone_from(&group.kept);
        }
        Ok(left)
    }

    /// Fails where layers that are fitted anew are not those of the plan. Whoever edits it leaves `tensors` out, and takes what comes.
    pub(crate) fn fits(&self, fitted: &Model) -> Result<(), PlanError> {
        let as_planned = || self.fitted.as_deref() == Some(&*digest::of(fitted));
        if self.tensors.is_empty() || as_planned() { Ok(()) } else { Err(PlanError::Fitted) }
    }

    /// Fails where `tensors`, if it is there, says something else than the groups.
    pub(crate) fn agrees(&self, tensors: &Tensors) -> Result<(), PlanError> {
        if self.tensors.is_empty() {
            return Ok(());
        }
        let names = tensors.keys().chain(self.tensors.keys());
        let differs = |name: &&String| tensors.get(*name) != self.tensors.get(*name);
        match names.into_iter().find(differs) {
            Some(tensor) => Err(PlanError::Tensors { tensor: tensor.clone() }),
            None => Ok(()),
        }
    }
}
