//! Recurrent layers.

mod activation;
mod cells;
mod layer;
mod spelling;

use crate::operator::Operator;

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] = &[&cells::GRU, &cells::LSTM, &cells::RNN];
