//! Pruning with samples: what channels are worth to those who read them, and layers that make up for what is gone.
//!
//! Who reads a channel multiplies it by columns of a weight ([`consumers`]). On samples, the second moment of what a layer reads tells
//! how much its output changes when columns go and the others make up for them ([`worth`]), a trial how much that matters to the
//! model's outputs ([`weigh`]). Gradients tell the same to a first approximation ([`gradients`]). Once it is settled what goes,
//! layers are fitted one after the other to what the original answers ([`repair`]).

mod consumers;
mod gradients;
mod held;
mod obs;
mod repair;
mod weigh;
mod worth;

pub(super) use gradients::{Sensed, sensed};
pub(super) use repair::fit;
pub(super) use worth::{Sought, Worth, measured};

#[cfg(test)]
mod tests;
