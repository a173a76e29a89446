//! Evidence: what passes want to know of the values inside a model, measured on samples.
//!
//! A pass says what it wants of the model as it is at that point of the pipeline ([`Wants`]), and gets it from one streaming
//! run over all samples ([`collect`]): range, histogram and moments of values, mean and second moment of the rows that linear
//! layers multiply. Where samples come from and who runs a model is the business of an [`EvidenceSource`], since this crate
//! knows neither files nor runtimes; what was measured outlives the run where the source has an [`Archive`]. Memory does not depend on how many samples there are.

mod archive;
mod channels;
mod collect;
mod extents;
mod first;
mod histogram;
mod moments;
mod padding;
mod parts;
mod positions;
mod probe;
mod source;
mod statistics;
mod stream;

pub use archive::Archive;
pub use channels::ChannelStatistics;
pub use collect::{Evidence, Wants, collect};
pub(crate) use collect::{chosen as chosen_rows, elements, rows_of};
pub(crate) use extents::Extents;
pub(crate) use first::First;
pub use histogram::Histogram;
pub(crate) use moments::shrunk;
pub use moments::{CrossMoment, Moments, SecondMoment};
pub(crate) use padding::Padding;
pub(crate) use parts::in_parts;
pub use probe::{part, probe};
pub use source::{Aside, EvidenceError, EvidenceSource, Execute, Feed, Held};
pub use statistics::Statistics;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
