//! Reconstruction: what compression changes in one layer, the layers after it repair.
//!
//! Layers are compressed in topological order. Each is given the rows `x'` that the model compressed so far produces and the results
//! `y` that the original produced there ([`Lockstep`]); of `E[x' x'ᵀ]` and `E[y x'ᵀ]` follow the weights that come closest
//! ([`refit`]), and in the metric of the first a pass chooses what to remove. Pruning, factorization, sparsity and few bits
//! differ only in what they remove.

mod batch;
mod bias;
mod compare;
mod fit;
mod held;
mod in_turn;
mod lockstep;
pub(crate) mod mean_shift;
mod reading;
mod refit;
mod shelf;
mod stream;
mod trial;
mod walk;
mod weight;

pub(crate) use bias::give_bias;
pub use bias::{BiasSite, bias_site};
pub(crate) use fit::{Fit, fit};
pub(crate) use held::held_ridge;
pub(crate) use in_turn::{Turn, Turned, in_turn};
pub use lockstep::{Lockstep, Seen};
pub use refit::{Fitted, refit, ridge};
pub(crate) use trial::Trial;
pub use weight::LayerWeight;

#[cfg(test)]
mod tests;
