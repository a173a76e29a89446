//! `sparsify`: weights of which many are zero.
//!
//! Which weights of a model there are the data sheets say (`layers`). A share of each is found, the same for all or where it costs
//! least (`share`), and of a weight those go that score least (`score`), one by one, so many of every few neighbours, or in blocks
//! (`structure`). With samples the weights that stay make up for those that go: `obs` chooses and repairs a layer in the metric of
//! its inputs, `repair` brings what is left to the optimum, and layers are fitted one after the other to what the original answers.
//! Zeros save nothing as such: `store` writes them so that the file is smaller, with the nodes of `bitmask`. The result must compute
//! what the model computes whose weights are masked.

mod apply;
mod bitmask;
mod computed;
mod layers;
mod obs;
mod options;
mod plan;
mod repair;
mod run;
mod score;
mod share;
mod smallest;
mod store;
mod structure;
mod survey;

pub use options::{Blocks, Criterion, KeptOf, Scope, Sparsify, Store, Threshold};
pub(crate) use run::apply_plan;
pub use survey::{Zeros, survey};

#[cfg(test)]
mod tests;
