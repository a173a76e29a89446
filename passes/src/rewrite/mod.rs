//! Rules that rewrite a graph, and the driver that applies them until none fires.
//!
//! A [`Rule`] names the operators it starts from. Its `find` looks, and answers with a match, with nothing, or with a reason
//! why what it was made for is left alone here; its `apply` changes the graph through an [`Edit`](onnxpress_ir::Edit), whole
//! or not at all. [`rewrite`] works through a model with a list of nodes to look at, main graph, subgraphs and functions alike.

mod bypass;
mod change;
pub mod contract;
mod driver;
mod effects;
pub mod file_size;
mod match_cx;
mod notes;
mod rule;
mod surroundings;
mod sweep;
mod worklist;

pub use bypass::Bypass;
pub use change::{Change, Reads};
pub use driver::{on_credit, rewrite};
pub use effects::Effect;
pub use match_cx::MatchCx;
pub use notes::Notes;
pub use rule::{AnyRule, Attempt, Found, Miss, Outcome, Roots, Rule, Watch};
pub use surroundings::{ModelFacts, Place, Surroundings};
pub use sweep::sweep;
