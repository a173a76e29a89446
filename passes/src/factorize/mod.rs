//! `factorize`: linear layers as products of two smaller ones.
//!
//! A layer `y = W x` whose weight is nearly of rank r is `U (V x)` with fewer parameters and less work. Which layers can be written so is
//! `layers`' to find; what each would lose at each rank `spectrum` tells, in the metric of the layer's output where there are samples;
//! `choose` picks the ranks, by energy or so that all layers together save what was asked for (allocation). `compress` computes the
//! factors, with samples layer by layer against the original's outputs (reconstruction), and `rewrite` puts them into the graph.
//! The result must compute what the model computes whose weights are the products; `merge` is the way back.

mod choose;
mod compress;
mod layers;
mod merge;
mod options;
mod plan;
mod rewrite;
mod run;
mod spectrum;
mod vbmf;

pub use merge::MergeFactors;
pub use options::{Factorize, Rank, Save};
pub use run::apply_plan;

#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;
