//! `convert-float`: the model in floats of 16 bits, or doubles in 32.
//!
//! Which nodes can compute in the narrower type, and which must not for what their values may be, is `decide`'s to say, by the
//! schemas of the standard, by what samples show, and by rules; `convert` gives every value its type and puts a `Cast` where one type meets the other,
//! one a value. `weights` rounds constants.

mod convert;
mod decide;
mod options;
mod rules;
#[cfg(test)]
mod tests;
mod weights;

pub use options::{ConvertFloat, FloatType};
