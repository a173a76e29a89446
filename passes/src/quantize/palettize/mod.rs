//! `palettize`: weights as places in small tables.
//!
//! A table of sixteen values for a tensor, and four bits an element, is all that many layers need; and other than scales, tables follow
//! the distribution. What goes into a table, `codebook` says, by clustering (`cells`, `cluster`) or by formulas; `palette` has a weight
//! with its tables, `put` the nodes that look it up, `plan` and `run` the rest.
//!
//! Source: Han, Mao and Dally, "Deep compression: compressing deep neural networks with pruning, trained quantization and Huffman
//! coding" (2016).

mod cells;
mod cluster;
mod codebook;
mod options;
mod palette;
mod plan;
mod put;
mod refine;
mod run;

pub use codebook::{Codes as PaletteCodes, Init as PaletteInit};
pub use options::{Palettize, Per};
pub(crate) use run::apply_plan;

#[cfg(test)]
mod tests;
