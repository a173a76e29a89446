//! Rules that make a graph smaller and compute the same, one a file, and the passes made of them.
//!
//! Rules stand in a folder for each family. [`Canonicalize`] applies all families with one worklist; the other passes here are
//! for whoever wants less.

mod chain;
mod control;
mod families;
mod forms;
mod fused;
mod fusion;
mod layout;
mod noop;
mod shape;
mod weights;

pub use chain::*;
pub use control::*;
pub use families::Canonicalize;
pub use fusion::*;
pub use layout::*;
pub use noop::*;
pub use shape::*;
pub use weights::*;

use onnxpress_ir::Model;

use crate::pass::{Pass, PassCx, PassError};
use crate::rewrite::{AnyRule, rewrite};

crate::options! {
    /// Drops nodes that hand on what they are given.
    ///
    /// `Identity`, `Dropout` in inference mode, and whatever else does nothing where it stands: `Cast` to the type that is there,
    /// `Reshape` to the same extents, arithmetic with a neutral element and the like. Where a graph output needs the node for
    /// its name, an `Identity` stays.
    pub struct EliminateIdentity;
}

impl Pass for EliminateIdentity {
    const NAME: &'static str = "eliminate-identity";
    const RULES: &'static [&'static dyn AnyRule] = noop::RULES;

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        rewrite(model, Self::RULES, cx);
        Ok(())
    }
}

crate::options! {
    /// Folds batch normalization, and what else scales and shifts channels, into weights.
    ///
    /// `BatchNormalization` in inference mode, and arithmetic with constants, into the weights of `Conv`, `ConvTranspose`,
    /// `Gemm` and `MatMul` before or behind it, or into each other.
    pub struct FuseConvBn;
}

impl Pass for FuseConvBn {
    const NAME: &'static str = "fuse-conv-bn";
    const RULES: &'static [&'static dyn AnyRule] = weights::RULES;

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        rewrite(model, Self::RULES, cx);
        Ok(())
    }
}

crate::options! {
    /// Puts operators of the standard in the place of the nodes that compute them.
    ///
    /// Only operators that the model's version of the standard has; `opt --upgrade-opset` raises it.
    pub struct FuseOperators;
}

impl Pass for FuseOperators {
    const NAME: &'static str = "fuse-operators";
    const RULES: &'static [&'static dyn AnyRule] = fusion::RULES;

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        rewrite(model, Self::RULES, cx);
        Ok(())
    }
}

crate::options! {
    /// Merges linear layers that read the same value into one with a `Split` behind.
    ///
    /// Queries, keys and values of attention, or the branches of a block: `MatMul`, `Gemm` or `Conv` with constant weights. No part
    /// of `simplify`, since it depends on the runtime whether one large product is worth the `Split`.
    pub struct MergeParallelLayers;
}

impl Pass for MergeParallelLayers {
    const NAME: &'static str = "merge-parallel-layers";
    const RULES: &'static [&'static dyn AnyRule] = &[&weights::MergeParallelLayersRule];

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        rewrite(model, Self::RULES, cx);
        Ok(())
    }
}
