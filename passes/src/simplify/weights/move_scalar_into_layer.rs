//! Moves a factor through what is linear or only moves data, up to a layer whose weights it goes into.
//!
//! Before `y = Div(MatMul(q, Transpose(Reshape(MatMul(x, W)))), c)`; after `y = MatMul(q, Transpose(Reshape(MatMul(x, W'))))` with
//! `W' = W / c`. The way leads from the product or quotient upwards through `Transpose`, `Reshape`, `Flatten`, `Squeeze`,
//! `Unsqueeze`, `Slice` and `Identity`, and through one operand of a `MatMul` or `Mul` of two values, or the dividend of a
//! `Div`, to a `Conv`, `ConvTranspose`, `Gemm` or `MatMul` with constant weights, an `Add` behind it included.
//! Fires if the factor is one number that does not raise the rank, nothing else reads what is on the way (graph outputs
//! count), the weight is of float or double, and the file does not grow.
//! Exact: in real numbers the two are equal; they are rounded differently. Ends: one node fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId, ValueId};

use super::affine::{Channels, Step};
use super::layer::Layer;
use super::refit::Refit;
use crate::rewrite::{Found, MatchCx, Miss, Roots, Rule};

/// Nodes that are looked at on the way.
const REACH: usize = 24;

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct MoveScalarIntoLayer;

/// The layer with the weights that there will be.
#[derive(Debug)]
pub struct Match(Refit);

impl Rule for MoveScalarIntoLayer {
    const NAME: &'static str = "move-scalar-into-layer";
    const CONTRACT: &'static str = crate::contract!("move_scalar_into_layer.rs");
    const ROOTS: Roots = Roots::Operators(&["Mul", "Div"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Match> {
        let rank = cx.ty(root.port(0)).shape().map(|shape| shape.len());
        // One channel: one number for all.
        let step = Step::of(cx, root, Channels { count: 1, from_end: 0, rank })?;
        let data = step.data(cx)?;
        if rank != cx.ty(data).shape().map(|shape| shape.len()) && !is_scalar(cx, root, 1 - step.data) {
            return Err(Miss::NotHere);
        }
        let mut left = REACH;
        let layer = upwards(cx, data, root, &mut left).ok_or(Miss::NotHere)?;
        let weights = layer.and_then(&step.affine)?;
        Ok(Match(Refit::of_layers(cx, root.port(0), data, vec![(layer, weights)])?))
    }

    fn apply(&self, Match(refit): Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        refit.apply(edit)
    }
}

fn is_scalar(cx: &MatchCx<'_>, node: NodeId, index: usize) -> bool {
    cx.operand(node, index).is_ok_and(|value| cx.constant(value).is_some_and(|tensor| tensor.rank() == 0))
}

/// The nearest layer above that a factor can go into.
fn upwards<'a>(cx: &MatchCx<'a>, value: ValueId, reader: NodeId, left: &mut usize) -> Option<Layer<'a>> {
    *left = left.checked_sub(1)?;
    if value.port != 0 || cx.sole_reader(value, reader).is_err() {
        return None;
    }
    if let Ok(layer) = Layer::giving(cx, value) {
        return Some(layer);
    }
    let node = cx.node(value.node).ok()?;
    let is = |names: &[&str]| names.iter().any(|name| node.node.is(name));
    let through: &[usize] = match () {
        () if is(&["Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Identity", "Div"]) => &[0],
        () if is(&["MatMul", "Mul"]) => &[0, 1],
        () => return None,
    };
    through.iter().find_map(|&index| upwards(cx, cx.operand(node.id, index).ok()?, node.id, left))
}
