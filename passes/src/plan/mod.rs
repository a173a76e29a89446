//! What all plans have in common, and the pass that applies any of them.
//!
//! A plan is what a lossy pass decided, as JSON that people read and edit. It belongs to one model and, where layers are fitted
//! to samples, to these samples; it is refused for others. What a plan says beyond that is the matter of the pass that writes
//! it; here is only what every pass would otherwise say again.

mod apply;

pub use apply::ApplyPlan;

use onnxpress_ir::Model;
use serde::{Deserialize, Serialize};

use crate::digest;
use crate::evidence::EvidenceSource;
use crate::pass::PassCx;

/// A weight that stays as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LeftAlone {
    /// Its name.
    pub(crate) tensor: String,
    /// Why.
    pub(crate) reason: String,
}

/// Why a plan is not one for this run.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum Misfit {
    #[error("it is of format {found}, expected {expected}")]
    Schema { found: u32, expected: u32 },
    #[error("it was made for another model (digest {planned}, found {found})")]
    Model { planned: String, found: String },
    #[error("it was made with {planned}, found {found}")]
    Data { planned: String, found: String },
}

/// Checks that a plan is of the format that is read here.
///
/// # Errors
/// [`Misfit::Schema`].
pub(crate) fn of_format(found: u32, expected: u32) -> Result<(), Misfit> {
    if found == expected { Ok(()) } else { Err(Misfit::Schema { found, expected }) }
}

/// Checks that a plan was made for the model of a digest.
///
/// # Errors
/// [`Misfit::Model`].
pub(crate) fn for_digest(planned: &str, found: &str) -> Result<(), Misfit> {
    if planned == found {
        return Ok(());
    }
    Err(Misfit::Model { planned: planned.to_owned(), found: found.to_owned() })
}

/// Checks that a plan was made for a model.
///
/// # Errors
/// [`Misfit::Model`].
pub(crate) fn for_model(planned: &str, model: &Model) -> Result<(), Misfit> {
    for_digest(planned, &digest::of(model))
}

/// The user's samples, where a plan was made with some: the same that it was made with.
///
/// # Errors
/// [`Misfit::Data`] where they are others, or there are none.
pub(crate) fn same_samples<'a>(
    planned: Option<&str>,
    cx: &PassCx<'a>,
) -> Result<Option<&'a dyn EvidenceSource>, Misfit> {
    let Some(planned) = planned else { return Ok(None) };
    let source = cx.user_samples();
    let found = source.map_or_else(|| "no data; give --calib".to_owned(), EvidenceSource::describe);
    if source.is_some() && found == planned {
        return Ok(source);
    }
    Err(Misfit::Data { planned: planned.to_owned(), found })
}
