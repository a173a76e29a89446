//! Folds a `BatchNormalization` in inference mode into the linear layer before it.
//!
//! Before `y = BatchNormalization(Conv(x, W, B), scale, B_bn, mean, var)`; after `y = Conv(x, W', B')`. With
//! `s = scale / sqrt(var + epsilon)` for each output channel: `W' = s * W`, `B' = s * (B - mean) + B_bn`; likewise for
//! `ConvTranspose`, for `Gemm` (whose factor `beta` goes into `B'`), and for a `MatMul` with an `Add` behind it. The output
//! channel of an element is its index along axis 0 of the weight of a `Conv`; along axis 1, group by group, for a
//! `ConvTranspose`; along the columns of a matrix (the rows where `transB` is set).
//! Fires if the normalization does not train and works on channels, all parameters are constant, the weight is of float or
//! double, the bias is one number for each channel or for all, nothing else reads what the layer gives (graph outputs
//! count), and the file does not grow: a weight that is read elsewhere too would have to be kept beside the new one.
//! Exact: in real numbers the two are equal; they are rounded differently. Ends: one node fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId};

use super::affine::Step;
use super::layer::Layer;
use super::refit::Refit;
use crate::rewrite::{Found, MatchCx, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct FuseBatchNormIntoLayer;

/// The layer with the weights that there will be.
#[derive(Debug)]
pub struct Match(Refit);

impl Rule for FuseBatchNormIntoLayer {
    const NAME: &'static str = "fuse-batch-norm-into-layer";
    const CONTRACT: &'static str = crate::contract!("fuse_batch_norm_into_layer.rs");
    const ROOTS: Roots = Roots::Operators(&["BatchNormalization"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, bn: NodeId) -> Found<Match> {
        let data = cx.operand(bn, 0)?;
        let layer = Layer::giving(cx, data)?;
        cx.sole_reader(data, bn)?;
        let step = Step::of(cx, bn, layer.output_channels())?;
        let weights = layer.and_then(&step.affine)?;
        Ok(Match(Refit::of_layers(cx, bn.port(0), data, vec![(layer, weights)])?))
    }

    fn apply(&self, Match(refit): Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        refit.apply(edit)
    }
}
