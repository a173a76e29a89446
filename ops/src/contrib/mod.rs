//! Operators of onnxruntime's own domain, `com.microsoft`, that its optimizer and exporters write.

mod beam_search;
mod cross_entropy;
mod embed_layer_normalization;
mod fused_gemm;
mod fused_mat_mul;
mod gather_block_quantized;
mod gelu;
mod gradients;
mod mat_mul_nbits;
mod packed_blocks;
mod qlinear;
mod qlinear_concat;
mod qlinear_pool;
mod skip_layer_normalization;
mod spelling;
mod training;

use crate::operator::Operator;

/// The domain.
const DOMAIN: &str = "com.microsoft";

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] = &[
    &beam_search::BEAM_SEARCH,
    &cross_entropy::LOSS,
    &cross_entropy::LOSS_GRAD,
    &embed_layer_normalization::EMBED_LAYER_NORMALIZATION,
    &fused_gemm::FUSED_GEMM,
    &fused_mat_mul::FUSED_MAT_MUL,
    &gather_block_quantized::GATHER_BLOCK_QUANTIZED,
    &gelu::BIAS_GELU,
    &gelu::FAST_GELU,
    &gelu::GELU,
    &gradients::BIAS_FAST_GELU_GRAD,
    &gradients::LAYER_NORMALIZATION_GRAD,
    &gradients::SLICE_GRAD,
    &gradients::SOFTMAX_GRAD,
    &mat_mul_nbits::MAT_MUL_NBITS,
    &qlinear::QLINEAR_ADD,
    &qlinear::QLINEAR_CONV,
    &qlinear::QLINEAR_LEAKY_RELU,
    &qlinear::QLINEAR_MUL,
    &qlinear::QLINEAR_SIGMOID,
    &qlinear::QLINEAR_SOFTMAX,
    &qlinear::QLINEAR_WHERE,
    &qlinear_concat::QLINEAR_CONCAT,
    &qlinear_pool::QLINEAR_GLOBAL_AVERAGE_POOL,
    &skip_layer_normalization::SKIP_LAYER_NORMALIZATION,
    &skip_layer_normalization::SKIP_SIMPLIFIED_LAYER_NORMALIZATION,
    &training::BROADCAST_GRADIENT_ARGS,
    &training::CONCAT_TRAINING,
    &training::YIELD_OP,
];
