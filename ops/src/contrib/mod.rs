//! Operators of onnxruntime's own domain, `com.microsoft`, that its optimizer and exporters write.

mod fused_gemm;
mod fused_mat_mul;
mod gelu;

use crate::operator::Operator;

/// The domain.
const DOMAIN: &str = "com.microsoft";

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] =
    &[&gelu::BIAS_GELU, &gelu::FAST_GELU, &fused_gemm::FUSED_GEMM, &fused_mat_mul::FUSED_MAT_MUL, &gelu::GELU];
