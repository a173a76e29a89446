//! `factorize`: linear layers as products of smaller ones.
//!
//! A layer `y = W x` whose weight is nearly of rank r is `U (V x)` with fewer parameters and less work; a convolution has factors of other
//! forms, too (`form`, with `spectrum`, `features`, `tucker` and `cp` for the mathematics). Which layers have factors is
//! `layers`' to find; what each would lose in each form at each rank `offer` tells, in the metric of the layer's output where there are
//! samples; `choose` picks, by energy or so that all layers together save what was asked for (allocation). `compress` computes the
//! factors, with samples layer by layer against the original's outputs (reconstruction), and `rewrite` puts them into the graph.
//! The result must compute what the model computes whose weights are the products; `merge` is the way back.

mod choose;
mod compress;
mod convolutions;
mod cp;
mod features;
mod form;
mod layers;
mod merge;
mod offer;
mod options;
mod parts;
mod plan;
mod rewrite;
mod run;
mod spectrum;
mod stages;
mod tucker;
mod vbmf;
mod weigh;
mod windows;

pub use merge::MergeFactors;
pub use options::{Factorize, Forms, Rank, Save};
pub use run::apply_plan;

#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;
