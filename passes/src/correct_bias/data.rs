//! Means on samples: the model before and the result side by side, layers corrected one after the other.

use std::collections::HashMap;

use onnxpress_ir::{Model, NodeId};

use super::site::put;
use super::{CorrectBias, Pair, Shift};
use crate::pass::{Pass, PassCx, PassError};
use crate::reconstruction::Lockstep;

/// Samples at a time.
const BATCH: usize = 16;
/// The energy of the difference, as a share of that of the results around their means, from which on two values are not taken for the
/// same.
const STRANGE: f64 = 1.0;

/// Corrects the biases of a result.
///
/// # Errors
/// Where there are no samples, or the models cannot be run on them.
pub(super) fn correct(
    before: &Model,
    result: &mut Model,
    pairs: &[Pair],
    cx: &mut PassCx<'_>,
) -> Result<Vec<Shift>, PassError> {
    let source = cx.data("`source=data`")?;
    let fail = |error: crate::evidence::EvidenceError| PassError::Request(error.to_string());
    let same: HashMap<NodeId, NodeId> = pairs.iter().map(|pair| (pair.node, pair.original.node)).collect();
    let lockstep = Lockstep::new(before, source, BATCH).map_err(fail)?;
    let mut lockstep = lockstep.against_known(result, |id| same.get(&id).copied()).map_err(fail)?;
    let mut shifts = Vec::new();
    for pair in pairs {
        lockstep.advance_both(pair.original.node, pair.node).map_err(fail)?;
        let site = result.graph.describe(pair.node);
        let Some(compared) = lockstep.compare(pair.original, pair.node.port(0), pair.axis).map_err(fail)? else {
            cx.declined(CorrectBias::NAME, site, "its results are not those of one layer of the model before");
            continue;
        };
        if compared.difference > STRANGE * compared.spread {
            cx.declined(CorrectBias::NAME, site, "its results are not like those of the same name in the model before");
            continue;
        }
        let Some((value, tensor)) = pair.site.lowered(&result.graph, &compared.shift) else {
            cx.declined(CorrectBias::NAME, site, "its bias cannot hold what is to be taken off");
            continue;
        };
        lockstep.set_constant(value, tensor.clone());
        put(result, value, tensor);
        shifts.push(compared.shift);
    }
    source.progress("reconstruct", 0, 0);
    Ok(shifts)
}
