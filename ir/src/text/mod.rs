//! Models as text: ONNX's own textual syntax, the one that `onnx.parser` and `onnx.printer` speak.
//!
//! ```text
//! <ir_version: 10, opset_import: ["" : 21], producer_name: "docs">
//! classifier (float[N,3,8,8] x) => (float[N,4] "class scores")
//! <float[4,3,1,1] w = normal(seed=1, std=0.1), float[4] b = {0, 0.5, 1, -1}>
//! {
//!   [conv1] c = Conv <pads = [0, 0, 0, 0]> (x, w, b)   # comments run to the end of the line
//!   m = GlobalMaxPool(c)
//!   "class scores" = Flatten(m)
//! }
//! ```
//! The grammar is that of ONNX's `Syntax.md`, and where that is silent, of the parser of release 1.23: a name that is no
//! identifier, or is a word that begins a type, stands in quotation marks; `""` is an operand or output left out; `float` is
//! a scalar and `float[]` a tensor of any rank; floats of sixteen bits and fewer are written by their bit patterns, elements
//! of four and two bits by the bytes they are packed in; attributes may stand before or after the operands.
//!
//! **Extensions.** The first group is for people who write; printing uses the second, and only where the syntax has no words.
//!
//! | form | meaning |
//! |---|---|
//! | `float[2,3] w = iota` or `iota(start=1, step=2)` | 0, 1, 2, …, row-major |
//! | `float[2] w = splat(1.5)` | every element the same |
//! | `float[2] w = uniform(seed=1, low=-1, high=1)` | pseudo-random, the same on every machine; `[0, 1)` by default |
//! | `float[2] w = normal(seed=1, mean=0, std=0.1)` | the same, nearly normal; standard by default |
//! | `float16[2] w = {1.0, 2.5}` | values in place of bit patterns, if any has a point, an exponent or is `inf` or `nan` |
//! | `int4[3] w = {1, -2, 3}` | elements in place of packed bytes |
//! | `float[N,2*N]`, `float[?3]` | extents by expression, and symbols that nobody named |
//! | | |
//! | `b"caf\xe9"` | bytes that are not UTF-8, or have a NUL |
//! | `"my-domain".Op`, `"my op"`, `<"my attr" = 1>`, `g = "my graph" (…)…` | names where ONNX allows identifiers only |
//! | `_ (…) => (…)` | a graph without a name |
//! | `sparse_tensor(float[9]) w = float[2] {1, 2} at int64[2] {0, 5}` | a sparse tensor |
//! | `?[N]`, `unknown` | a tensor of unknown element type; a type of which nothing is known |
//! | `float[1] w = hex("0100c07f")` | packed bytes, where numbers cannot say them: a NaN with a payload |
//! | `w = elided("sha256:…")` | elements left out of a [brief](Form::brief) text; reading one is an error that says so |
//!
//! Lists of tensors, graphs and types are written as `onnx.printer` writes them; ONNX's parser reads them and drops their
//! elements. Sub-byte and NaN bits of single attributes aside, the exact form reads back to an equal model; the reader's
//! companions ([`Carried`](crate::Carried)) are not part of it.
//!
//! A text comes from anywhere: nesting is limited, and so is what recipes make ([`Defaults::max_elements`]).

mod cursor;
mod error;
mod parse;
mod preamble;
mod print;
mod recipe;
#[cfg(test)]
pub(crate) mod tests;
mod word;

pub use error::{Fault, TextError};
pub use preamble::Preamble;
pub use print::Form;

use crate::graph::{Graph, NodeId, Opsets};
use crate::model::Model;
use crate::name::Name;
use crate::names::NamePlan;

/// What a text means where it does not say.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// The version of the format.
    pub ir_version: i64,
    /// The operator sets.
    pub opsets: Opsets,
    /// Elements that all recipes of the text may make together.
    pub max_elements: usize,
}

impl Default for Defaults {
    /// Format version 10 with operator set 21, which current runtimes read; recipes for 2²⁴ elements.
    fn default() -> Self {
        Self { ir_version: 10, opsets: Opsets::new(vec![(Name::empty(), 21)]), max_elements: 1 << 24 }
    }
}

/// Reads a model.
///
/// # Errors
/// Where the text is not of the [form](self), or its names make no graph.
pub fn parse_model(text: &str, defaults: &Defaults) -> Result<Model, TextError> {
    parse::model(text, defaults)
}

/// Reads a graph with or without a header, and no functions.
///
/// # Errors
/// Where the text is not of the [form](self), or its names make no graph.
pub fn parse_graph(text: &str) -> Result<Graph, TextError> {
    parse::graph(text, &Defaults::default())
}

/// Prints a model.
pub fn print_model(model: &Model, form: &Form<'_>) -> String {
    print::model(model, form)
}

/// Prints a graph without a header.
pub fn print_graph(graph: &Graph, form: &Form<'_>) -> String {
    print::graph(graph, form)
}

/// A node, or whatever the vertex is, as one line for messages: brief, without subgraphs, values called by their labels.
pub fn node_line(graph: &Graph, id: NodeId) -> String {
    line(graph, id, &NamePlan::default())
}

/// [`node_line`] with values called by a plan.
pub(crate) fn line(graph: &Graph, id: NodeId, plan: &NamePlan) -> String {
    print::line(graph, id, plan)
}

impl Model {
    /// Reads a model's text; see [`text`](self).
    ///
    /// # Errors
    /// Where the text is not of the form, or its names make no graph.
    pub fn from_text(text: &str) -> Result<Self, TextError> {
        parse_model(text, &Defaults::default())
    }

    /// The model's text in the [exact](Form::exact) form.
    pub fn to_text(&self) -> String {
        print_model(self, &Form::exact())
    }

    /// The model's text for people; see [`Form::brief`].
    pub fn to_brief_text(&self) -> String {
        print_model(self, &Form::brief())
    }
}

impl Graph {
    /// Reads a graph's text; see [`text`](self).
    ///
    /// # Errors
    /// Where the text is not of the form, or its names make no graph.
    pub fn from_text(text: &str) -> Result<Self, TextError> {
        parse_graph(text)
    }

    /// The graph's text in the [exact](Form::exact) form.
    pub fn to_text(&self) -> String {
        print_graph(self, &Form::exact())
    }

    /// The graph's text for people; see [`Form::brief`].
    pub fn to_brief_text(&self) -> String {
        print_graph(self, &Form::brief())
    }
}
