//! Rules that make a graph smaller and compute the same, one a file, and the passes made of them.

mod batch_norm;
mod drop_cast;
mod drop_dropout;
mod drop_identity;
mod fuse_batch_norm_into_conv;
mod fuse_batch_norm_into_conv_transpose;
mod fuse_batch_norm_into_gemm;

pub use drop_cast::DropCast;
pub use drop_dropout::DropDropout;
pub use drop_identity::DropIdentity;
pub use fuse_batch_norm_into_conv::FuseBatchNormIntoConv;
pub use fuse_batch_norm_into_conv_transpose::FuseBatchNormIntoConvTranspose;
pub use fuse_batch_norm_into_gemm::FuseBatchNormIntoGemm;

use onnxpress_ir::Model;

use crate::pass::{Pass, PassCx, PassError};
use crate::rewrite::{AnyRule, rewrite};

crate::options! {
    /// Drops nodes that hand on what they are given.
    ///
    /// `Identity`, `Dropout` in inference mode, `Cast` to the type that the operand has. A node that a graph output needs
    /// for its name stays.
    pub struct EliminateIdentity;
}

impl Pass for EliminateIdentity {
    const NAME: &'static str = "eliminate-identity";
    const RULES: &'static [&'static dyn AnyRule] = &[&DropIdentity, &DropDropout, &DropCast];

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        rewrite(model, Self::RULES, cx);
        Ok(())
    }
}

crate::options! {
    /// Folds batch normalization into the layer before it.
    ///
    /// `BatchNormalization` in inference mode into the weights of `Conv`, `ConvTranspose` and `Gemm`, where nothing else
    /// reads what the layer gives.
    pub struct FuseConvBn;
}

impl Pass for FuseConvBn {
    const NAME: &'static str = "fuse-conv-bn";
    const RULES: &'static [&'static dyn AnyRule] =
        &[&FuseBatchNormIntoConv, &FuseBatchNormIntoConvTranspose, &FuseBatchNormIntoGemm];

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        rewrite(model, Self::RULES, cx);
        Ok(())
    }
}
