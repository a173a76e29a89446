//! Activation functions, and what stands where they do: softmax, clipping, dropout.

mod clip;
mod dropout;
mod gelu;
mod gradient;
mod prelu;
mod rectifier;
mod sigmoid;
mod softmax;
mod swiglu;

use crate::operator::Operator;

pub(crate) use gelu::{gelu, gelu_by_tanh};
pub(crate) use gradient::{gelu_by_tanh_slope, gelu_slope};
pub(crate) use rectifier::{elu, leaky_relu, relu, thresholded_relu};
pub(crate) use sigmoid::{hard_sigmoid, sigmoid, softplus, softsign};
pub(crate) use softmax::{log_softmax, softmax};

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] = &[
    &rectifier::CELU,
    &clip::CLIP,
    &dropout::DROPOUT,
    &rectifier::ELU,
    &gelu::GELU,
    &sigmoid::HARD_SIGMOID,
    &sigmoid::HARD_SWISH,
    &softmax::HARDMAX,
    &rectifier::LEAKY_RELU,
    &softmax::LOG_SOFTMAX,
    &sigmoid::MISH,
    &prelu::PRELU,
    &rectifier::RELU,
    &rectifier::SELU,
    &rectifier::SHRINK,
    &sigmoid::SIGMOID,
    &softmax::SOFTMAX,
    &sigmoid::SOFTPLUS,
    &sigmoid::SOFTSIGN,
    &swiglu::SWIGLU,
    &sigmoid::SWISH,
    &rectifier::THRESHOLDED_RELU,
];
