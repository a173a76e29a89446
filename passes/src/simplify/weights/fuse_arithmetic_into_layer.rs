//! Folds `Mul`, `Div`, `Add` and `Sub` with a constant into the linear layer before them.
//!
//! Before `y = Mul(Conv(x, W, B), c)`; after `y = Conv(x, W', B')` with `W' = c * W` and `B' = c * B` for each output channel.
//! `Div` multiplies by `1 / c`; `Add` and `Sub` change the bias alone, or bring one; likewise for `ConvTranspose`, for
//! `Gemm` (whose factor `beta` goes into `B'`) and for `MatMul`, whose bias is in an `Add` behind it and stays there.
//! Fires if the constant is one number or one for each channel and makes the result no larger, weight and bias are constant,
//! nothing else reads what the layer gives (graph outputs count), and the file does not grow. A weight that is scaled must
//! be of float or double, since it would be rounded once more; a bias that is added may be of any type.
//! Exact: in real numbers the two are equal; they are rounded differently. Ends: one node fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId};

use super::affine::Step;
use super::layer::Layer;
use super::refit::Refit;
use crate::rewrite::{Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct FuseArithmeticIntoLayer;

/// The layer with the weights that there will be.
#[derive(Debug)]
pub struct Match(Refit);

impl Rule for FuseArithmeticIntoLayer {
    const NAME: &'static str = "fuse-arithmetic-into-layer";
    const CONTRACT: &'static str = crate::contract!("fuse_arithmetic_into_layer.rs");
    const ROOTS: Roots = Roots::Operators(&["Mul", "Div", "Add", "Sub"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Match> {
        let (first, second) = (cx.operand(root, 0)?, cx.operand(root, 1)?);
        let (place, data) = match (cx.constant(first), cx.constant(second)) {
            (None, Some(_)) => (0, first),
            (Some(_), None) => (1, second),
            _ => return Err(Miss::NotHere),
        };
        let layer = Layer::giving(cx, data)?;
        let step = Step::of(cx, root, layer.output_channels())?;
        if step.data != place || !layer.has_place_for(&step.affine) {
            return Err(Miss::NotHere);
        }
        // Before weights are read, which are large.
        cx.sole_reader(data, root)?;
        let weights = layer.and_then(&step.affine)?;
        Ok(Match(Refit::of_layers(cx, root.port(0), data, vec![(layer, weights)])?))
    }

    fn apply(&self, Match(refit): Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        refit.apply(edit)
    }
}
