//! What scales and shifts channels goes into the weights of a linear layer before or behind it.

mod absorb_scalar_into_gemm;
mod absorb_transpose_into_gemm;
mod affine;
mod fuse_add_into_gemm;
mod fuse_affine_into_readers;
mod fuse_arithmetic_into_layer;
mod fuse_batch_norm_into_layer;
mod layer;
mod matrices;
mod merge_into_batch_norm;
mod merge_parallel_layers;
mod move_scalar_into_layer;
mod refit;
mod unwrap_batch_norm;

pub use absorb_scalar_into_gemm::AbsorbScalarIntoGemm;
pub use absorb_transpose_into_gemm::AbsorbTransposeIntoGemm;
pub use fuse_add_into_gemm::FuseAddIntoGemm;
pub use fuse_affine_into_readers::FuseAffineIntoReaders;
pub use fuse_arithmetic_into_layer::FuseArithmeticIntoLayer;
pub use fuse_batch_norm_into_layer::FuseBatchNormIntoLayer;
pub use merge_into_batch_norm::MergeIntoBatchNorm;
pub use merge_parallel_layers::MergeParallelLayers as MergeParallelLayersRule;
pub use move_scalar_into_layer::MoveScalarIntoLayer;
pub use unwrap_batch_norm::UnwrapBatchNorm;

use crate::rewrite::AnyRule;

/// The rules of this family. What is behind a layer goes into it first: there it meets no border.
pub(super) const RULES: &[&dyn AnyRule] = &[
    &FuseBatchNormIntoLayer,
    &FuseArithmeticIntoLayer,
    &FuseAffineIntoReaders,
    &MergeIntoBatchNorm,
    &MoveScalarIntoLayer,
    &AbsorbTransposeIntoGemm,
    &FuseAddIntoGemm,
    &AbsorbScalarIntoGemm,
    &UnwrapBatchNorm,
];
