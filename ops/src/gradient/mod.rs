//! Gradients: for a node, the nodes that compute how what it reads acts on a number that is computed of its results.
//!
//! A gradient is a graph of ordinary operators, not a kernel, so whatever runs the model runs its training step too. A facet
//! (`gradient` of the data sheet) is given the gradients of a node's results and writes those of its operands through a
//! [`GradientCx`]; formulas of single elements are written as an [`Expression`], and what broadcasting repeated is summed up again
//! in one place ([`GradientCx::give`]). An operator that is made of others, as attention and recurrent layers are, has their
//! gradients: its facet spells it out ([`spell_out`]). Reverse mode over a whole graph is a pass; nothing here walks a graph.
//!
//! Nodes are written for version [`SINCE`] of the standard and newer: what gradients need (scattered sums, axes as operands)
//! is not there before.

mod broadcast;
mod context;
mod expression;
mod extents;
mod hand;
#[cfg(test)]
mod tests;
mod turns;

use onnxpress_ir::{Edit, EditError, NodeId, ValueId};

use crate::infer::Undecided;
use crate::node::NodeCx;
use crate::table;

pub use context::GradientCx;
pub use expression::{Expression, choose};
pub(crate) use expression::{function, of};
pub use hand::Hand;
pub use turns::{Body, Sliced};

/// The oldest version of the standard in which gradients can be written: sums of what is scattered came with it.
pub const SINCE: i64 = 16;

/// Writes a node's results by operators that it is made of; answers those that others may read.
pub type SpellOut = fn(&mut GradientCx<'_, '_>) -> Result<Vec<Option<ValueId>>, GradientError>;

/// The facet that computes gradients.
#[derive(Debug, Clone, Copy)]
pub enum Gradient {
    /// Writes the gradients of operands, of those of the results.
    With(fn(&mut GradientCx<'_, '_>) -> Result<(), GradientError>),
    /// It has those of the operators that it is made of: writes its results by them.
    SpelledOut(SpellOut),
    /// Small changes of the operands change nothing, because.
    Zero(&'static str),
    /// Not possible, because. Parameters behind such a node cannot be trained.
    NotPossible(&'static str),
}

/// Why a node's gradients are not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GradientError {
    /// The operator has none, or none for these attributes, or too little is known of the operands.
    #[error("{0}")]
    NotPossible(String),
    /// The nodes that were written make no sense: a defect of the facet.
    #[error("a gradient makes no sense: {0}")]
    Broken(#[from] EditError),
}

impl GradientError {
    /// There is none, because.
    pub fn not_possible(reason: impl Into<String>) -> Self {
        Self::NotPossible(reason.into())
    }
}

impl From<Undecided> for GradientError {
    fn from(undecided: Undecided) -> Self {
        match undecided {
            Undecided::Unknown => Self::not_possible("too little is known of the operands"),
            Undecided::Invalid(reason) => Self::NotPossible(reason),
        }
    }
}

/// Whether gradients flow through a value: numbers that can change a little. What `QuantizeLinear` gives counts, though whole:
/// it stands for the numbers that it rounds.
pub fn flows(cx: &NodeCx<'_>, index: usize) -> bool {
    match (cx.dtype(index), cx.operand(index)) {
        (Some(dtype), _) if dtype.is_float() => true,
        (Some(_), Some(value)) => cx.graph.node(value.node).is_some_and(|node| node.op_type == "QuantizeLinear"),
        _ => false,
    }
}

/// Writes the gradients of a node's operands. `results` has the gradients of its results, `None` for those on which nothing
/// depends; `wanted` says of which operands they are asked for. One entry an operand is answered, `None` where none was wanted or
/// the gradient is zero.
///
/// # Errors
/// Where the operator has no gradient, or this node has none. Nodes written until then are dropped with the edit.
pub fn of_node(
    edit: &mut Edit<'_>,
    id: NodeId,
    results: &[Option<ValueId>],
    wanted: &[bool],
) -> Result<Vec<Option<ValueId>>, GradientError> {
    let Some(cx) = NodeCx::new(edit.graph(), id) else { return Err(GradientError::not_possible("it is no node")) };
    let version = edit.graph().opsets.version(b"").unwrap_or(1);
    if version < SINCE {
        return Err(GradientError::NotPossible(format!("gradients are written in version {SINCE}, not {version}")));
    }
    let operator = table::of(cx.node)
        .ok_or_else(|| GradientError::NotPossible(format!("nothing is known of {}", cx.node.op_type)))?;
    match operator.gradient {
        Gradient::With(facet) => {
            let mut cx = GradientCx::new(edit, id, results, wanted);
            facet(&mut cx)?;
            cx.finish()
        }
        Gradient::Zero(_) => Ok(vec![None; cx.operand_count()]),
        // Whoever walks a graph spells out first; what is left could not be.
        Gradient::SpelledOut(facet) => match facet(&mut GradientCx::new(edit, id, &[], &[])) {
            Err(reason) => Err(reason),
            Ok(_) => Err(GradientError::not_possible("it is to be spelled out first")),
        },
        Gradient::NotPossible(reason) => Err(GradientError::not_possible(reason)),
    }
}

/// Writes the results of a node by the operators that it is made of, where its operator says so: one entry an output, `None` for
/// one that has no such form. Operators with gradients of their own are left as they are.
///
/// # Errors
/// Where this node cannot be written so. Nodes written until then are dropped with the edit.
pub fn spell_out(edit: &mut Edit<'_>, id: NodeId) -> Result<Option<Vec<Option<ValueId>>>, GradientError> {
    let operator = NodeCx::new(edit.graph(), id).and_then(|cx| table::of(cx.node));
    match operator.map(|operator| operator.gradient) {
        Some(Gradient::SpelledOut(facet)) => facet(&mut GradientCx::new(edit, id, &[], &[])).map(Some),
        _ => Ok(None),
    }
}
