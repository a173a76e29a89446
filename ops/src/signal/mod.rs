//! Signals: Fourier transforms and windows.

mod dft;
mod fourier;
mod mel;
mod stft;
mod windows;

use crate::operator::Operator;

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] = &[
    &dft::DFT,
    &mel::MEL_WEIGHT_MATRIX,
    &stft::STFT,
    &windows::BLACKMAN_WINDOW,
    &windows::HAMMING_WINDOW,
    &windows::HANN_WINDOW,
];
