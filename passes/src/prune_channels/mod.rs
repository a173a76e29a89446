//! `prune-channels`: cuts whole channels, filters, neurons and heads out of a model.
//!
//! Which indices can only be removed together is `ir::analysis::channels`' to find out, from the letters of data sheets. Here
//! they are ranked (`score`), chosen within limits (`select`) and written down (`plan`); then cut out of every tensor,
//! attribute and shape constant that has them (`cut`). What they gave on average (`expect`) goes into biases (`compensate`). The
//! result must compute what the model with these biases computes whose removed channels are zero (`mask`).

mod alone;
mod apply;
mod bodies;
mod choose;
mod compensate;
mod cost;
pub(crate) mod cut;
mod data;
mod expect;
mod factors;
pub(crate) use expect::Expected;
mod mask;
mod members;
mod options;
pub mod plan;
mod score;
mod select;
mod survey;

pub use alone::{Alone, alone};
pub(crate) use apply::apply_plan;
pub use cost::Quantity;
pub use factors::Factors;
pub use options::{Compensate, PruneChannels, Scope};
pub use score::{Aggregate, Criterion, Normalize};
pub use survey::{ChannelGroup, Channels, survey};
