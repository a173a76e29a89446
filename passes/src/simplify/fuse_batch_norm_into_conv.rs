//! Folds a `BatchNormalization` in inference mode into the `Conv` before it.
//!
//! Before `y = BatchNormalization(Conv(x, W, B), scale, B_bn, mean, var)`; after `y = Conv(x, W', B')`. With
//! `s = scale / sqrt(var + epsilon)` for each output channel: `W' = s * W` along axis 0, `B' = s * (B - mean) + B_bn`.
//! Fires if the normalization does not train and works on channels, all parameters are constant, the weight is of float or
//! double, nothing else reads what the Conv gives (graph outputs count), and the file does not grow: a weight that is read
//! elsewhere too would have to be kept beside the new one.
//! Exact: in real numbers the two are equal; they are rounded differently. Ends: one node fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId};

use super::batch_norm::{self, Affine, Fusion};
use crate::rewrite::{Found, MatchCx, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct FuseBatchNormIntoConv;

/// The two nodes, with the weights that there will be.
#[derive(Debug)]
pub struct Match(Fusion);

impl Rule for FuseBatchNormIntoConv {
    const NAME: &'static str = "fuse-batch-norm-into-conv";
    const CONTRACT: &'static str = crate::contract!("fuse_batch_norm_into_conv.rs");
    const ROOTS: Roots = Roots::Operators(&["BatchNormalization"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, bn: NodeId) -> Found<Match> {
        let conv = cx.producer(bn, 0, "Conv")?.id;
        cx.sole_reader(conv.port(0), bn)?;
        let affine = Affine::of(cx, bn)?;
        let weight = batch_norm::weight(cx, conv)?;
        let fits = weight.dims().first() == Some(&affine.channels());
        cx.require(fits, bn, "it has another number of channels than its operand")?;
        let bias = batch_norm::fused_bias(cx, conv, &affine, weight.dtype())?;
        let weight = batch_norm::rescaled(conv, weight, |channel, _| affine.scale[channel])?;
        Ok(Match(Fusion::new(cx, bn, conv, weight, bias)?))
    }

    fn apply(&self, Match(fusion): Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        fusion.apply(edit)
    }
}
