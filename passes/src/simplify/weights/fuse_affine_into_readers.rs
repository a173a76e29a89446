//! Folds what scales and shifts channels into the linear layers that read it.
//!
//! Before `y = Conv(Mul(x, c), W, B)`; after `y = Conv(x, W', B)` with `W' = c * W` for each input channel. With a shift
//! `t`, as `Add`, `Sub` and `BatchNormalization` in inference mode have one, `B'` is `B` plus the sum of `t * W` over all that
//! leads to the output channel. Likewise for `ConvTranspose` (scaling alone), for `Gemm` and for `MatMul`, whose bias is in an
//! `Add` behind it.
//! Fires if every reader, of no more than 64, is such a layer and reads it as its operand 0; if constants are one number or one for each channel
//! and make the result no larger; if weights, and biases where there is a shift, are constant; and if the file does not grow.
//! A shift needs a `Conv` without padding, since at the borders a padded one sees zeros that are not shifted, and a `MatMul`
//! with an `Add`. A weight that is scaled must be of float or double, since it would be rounded once more.
//! Exact: in real numbers the two are equal; they are rounded differently. Ends: one node fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId, Slot};

use super::affine::Step;
use super::layer::Layer;
use super::refit::Refit;
use crate::rewrite::{Found, MatchCx, Miss, Roots, Rule};

/// Readers that are looked at; more than a few are rare, and each look takes its time.
const MOST: usize = 64;

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct FuseAffineIntoReaders;

/// The layers with the weights that there will be.
#[derive(Debug)]
pub struct Match(Refit);

impl Rule for FuseAffineIntoReaders {
    const NAME: &'static str = "fuse-affine-into-readers";
    const CONTRACT: &'static str = crate::contract!("fuse_affine_into_readers.rs");
    const ROOTS: Roots = Roots::Operators(&["BatchNormalization", "Mul", "Div", "Add", "Sub"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Match> {
        let constants = cx.graph().operands(root).flatten().filter(|&value| cx.constant(value).is_some()).count();
        if constants + 1 != cx.node(root)?.operand_count() {
            return Err(Miss::NotHere);
        }
        let value = root.port(0);
        let mut readers: Vec<_> = cx.graph().readers(value).take(MOST + 1).collect();
        readers.sort_unstable();
        let is_layer = |id: NodeId| {
            let node = cx.node(id).ok();
            node.is_some_and(|node| ["Conv", "ConvTranspose", "Gemm", "MatMul"].iter().any(|name| node.node.is(name)))
        };
        if readers.is_empty()
            || readers.len() > MOST
            || !readers.iter().all(|reading| reading.slot == Slot::Operand(0) && is_layer(reading.node))
        {
            return Err(Miss::NotHere);
        }
        let mut data = None;
        let mut layers = Vec::new();
        for reading in readers {
            let layer = Layer::reading(cx, reading)?;
            let step = Step::of(cx, root, layer.input_channels())?;
            let weights = layer.after(cx, &step.affine)?;
            data = Some(step.data(cx)?);
            layers.push((layer, weights));
        }
        Ok(Match(Refit::of_layers(cx, value, data.ok_or(Miss::NotHere)?, layers)?))
    }

    fn apply(&self, Match(refit): Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        refit.apply(edit)
    }
}
