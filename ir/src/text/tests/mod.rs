//! Tests of the text form: what it prints, that it reads back, and what it says of texts that are none.

#![allow(clippy::unwrap_used, clippy::panic)]

mod errors;
mod extensions;
mod forms;
mod random;
mod same;

pub(crate) use random::any_model;

use super::*;

/// The text that a graph's text prints as.
fn reprint(text: &str) -> String {
    Graph::from_text(text).unwrap_or_else(|error| panic!("{error}\n{text}")).to_text()
}
