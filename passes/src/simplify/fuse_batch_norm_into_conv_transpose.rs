//! Folds a `BatchNormalization` in inference mode into the `ConvTranspose` before it.
//!
//! Before `y = BatchNormalization(ConvTranspose(x, W, B), scale, B_bn, mean, var)`; after `y = ConvTranspose(x, W', B')`.
//! With `s = scale / sqrt(var + epsilon)` for each output channel: `B' = s * (B - mean) + B_bn`, and `W'` is `W` times the
//! `s` of the output channel. `W` is `[C, M / group, k..]`: index `m` of input channel `c` leads to output channel
//! `c / (C / group) * (M / group) + m`.
//! Fires if the normalization does not train and works on channels, all parameters are constant, the weight is of float or
//! double, nothing else reads what the ConvTranspose gives (graph outputs count), and the file does not grow.
//! Exact: in real numbers the two are equal; they are rounded differently. Ends: one node fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId};

use super::batch_norm::{self, Affine, Fusion};
use crate::rewrite::{Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct FuseBatchNormIntoConvTranspose;

/// The two nodes, with the weights that there will be.
#[derive(Debug)]
pub struct Match(Fusion);

impl Rule for FuseBatchNormIntoConvTranspose {
    const NAME: &'static str = "fuse-batch-norm-into-conv-transpose";
    const CONTRACT: &'static str = crate::contract!("fuse_batch_norm_into_conv_transpose.rs");
    const ROOTS: Roots = Roots::Operators(&["BatchNormalization"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, bn: NodeId) -> Found<Match> {
        let node = cx.producer(bn, 0, "ConvTranspose")?;
        let layer = node.id;
        cx.sole_reader(layer.port(0), bn)?;
        let affine = Affine::of(cx, bn)?;
        let weight = batch_norm::weight(cx, layer)?;
        let group = usize::try_from(cx.attribute(layer, node.attrs().int_or("group", 1))?).unwrap_or(0);
        let [inputs, per_group, ..] = *weight.dims() else { return Err(Miss::NotHere) };
        let fits = group > 0 && inputs % group == 0 && per_group.checked_mul(group) == Some(affine.channels());
        cx.require(fits, bn, "it has another number of channels than its operand")?;
        let in_group = (inputs / group).max(1);
        let bias = batch_norm::fused_bias(cx, layer, &affine, weight.dtype())?;
        let weight = batch_norm::rescaled(layer, weight, |c, m| affine.scale[c / in_group * per_group + m])?;
        Ok(Match(Fusion::new(cx, bn, layer, weight, bias)?))
    }

    fn apply(&self, Match(fusion): Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        fusion.apply(edit)
    }
}
