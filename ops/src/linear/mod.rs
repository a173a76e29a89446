//! Linear maps: convolutions and matrix products.

mod causal_conv_with_state;
mod conv;
mod conv_integer;
mod conv_transpose;
mod convolution;
mod convolution_gradient;
mod deform_conv;
mod det;
mod einsum;
mod equation;
pub(crate) mod gemm;
mod gradient;
mod mat_mul;
mod mat_mul_integer;
pub(crate) mod matrix;
pub(crate) mod qlinear_conv;
mod qlinear_mat_mul;
mod quantized;
pub(crate) mod rows;
mod sliding;
mod window;

use crate::operator::Operator;

pub(crate) use convolution_gradient::Windows;
pub(crate) use quantized::requantize;
pub(crate) use sliding::Sliding;
pub(crate) use window::Window;

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] = &[
    &causal_conv_with_state::CAUSAL_CONV_WITH_STATE,
    &conv::CONV,
    &conv_integer::CONV_INTEGER,
    &conv_transpose::CONV_TRANSPOSE,
    &deform_conv::DEFORM_CONV,
    &det::DET,
    &einsum::EINSUM,
    &gemm::GEMM,
    &mat_mul::MAT_MUL,
    &mat_mul_integer::MAT_MUL_INTEGER,
    &qlinear_conv::QLINEAR_CONV,
    &qlinear_mat_mul::QLINEAR_MAT_MUL,
];
