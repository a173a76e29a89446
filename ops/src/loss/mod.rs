//! Losses of classifiers.

mod negative_log_likelihood;
pub(crate) mod reduction;
mod softmax_cross_entropy;

use crate::operator::Operator;

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] =
    &[&negative_log_likelihood::NEGATIVE_LOG_LIKELIHOOD_LOSS, &softmax_cross_entropy::SOFTMAX_CROSS_ENTROPY_LOSS];
