//! Activations that are computed twice instead of kept.
//!
//! The way back reads what the way forward computed, from the last layer to the first, so the first activations wait longest. Cut into
//! segments, the way forward has to keep what goes from one segment to the next; what else the way back reads of a segment is computed anew
//! once it gets there (T. Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016). That costs about one more way forward.
//!
//! Two nodes that compute the same are one to whatever optimizes graphs, and one that could be computed early is: so all that is computed anew
//! stands behind a gate that only the way back opens (`write`). Where to cut (`segments`) is tried out, from few segments to many,
//! until the step holds as little as was asked for.

mod segments;
mod write;

use onnxpress_ir::analysis::peak_bytes;
use onnxpress_ir::{EditError, Graph, Model, Symbol};
use onnxpress_ops::infer;

use self::segments::Forward;

/// What symbols in shapes are taken for: samples of a batch, mostly.
const EXTENT: i64 = 8;

/// How often what a segment may hold is divided by the root of two.
const TRIES: i32 = 16;

/// What values of a step are held at once, in bytes, by counting, with 8 for each symbol in a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Saving {
    /// With all activations kept.
    pub kept: u64,
    /// With some computed anew.
    pub now: u64,
}

impl Saving {
    /// What is held still, as a share.
    pub fn share(&self) -> f64 {
        self.now as f64 / self.kept.max(1) as f64
    }
}

fn held(graph: &Graph) -> u64 {
    peak_bytes(graph, &|_: &Symbol| Some(EXTENT))
}

/// Makes a training step, whose first output is the loss, hold no more than a share of what it holds, or as little as can be.
///
/// # Errors
/// Where a node that was written makes no sense.
pub(super) fn recompute(step: &mut Model, share: f64) -> Result<Saving, EditError> {
    let kept = held(&step.graph);
    let mut saving = Saving { kept, now: kept };
    let mut best = None;
    let forward = Forward::of(&step.graph, &|_: &Symbol| Some(EXTENT));
    let mut before = Vec::new();
    for halvings in 1..=TRIES {
        if saving.share() <= share {
            break;
        }
        let ends = forward.ends((forward.read_back() as f64 / 2f64.powf(f64::from(halvings) / 2.0)) as u64);
        if ends == before {
            continue;
        }
        let mut attempt = step.clone();
        write::anew(&mut attempt.graph, &forward, &ends)?;
        let now = held(&attempt.graph);
        if now < saving.now {
            saving.now = now;
            best = Some(attempt);
        }
        before = ends;
    }
    if let Some(mut best) = best {
        infer::model(&mut best);
        *step = best;
    }
    Ok(saving)
}
