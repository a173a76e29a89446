//! Pipeline text, such as `simplify,prune-channels{ratio=0.5, scope=global},fixpoint(fold-constants)`.
//!
//! ```text
//! pipeline = [item {"," item}]
//! item     = word ["{" [option {("," | space) option}] "}"]  |  "fixpoint" "(" pipeline ")"
//! option   = word ["=" value]                                    a bare key is short for `key=true`
//! value    = word | string | "[" [value {"," value}] "]"
//! string   = '"' … '"' | "'" … "'"                               with the escapes \n \r \t \\ \" \' \u{HEX}
//! ```
//!
//! A word is a run of characters other than white space, control characters and ``, { } [ ] ( ) = " '``, so numbers,
//! paths and names like `onnx::Conv_12` need no quotes. White space, line breaks included, is free between tokens.
//! The empty text is the empty pipeline.
//!
//! The parser knows no pass and no type: whether `simplify` exists and what `0.5` means is decided when the tree is
//! resolved, and the spans in the tree let those later errors point into the text as precisely as the parser's own.
//! It is written by hand because the grammar is small and its errors are most of its worth.

mod ast;
mod parse;
mod print;

#[cfg(test)]
mod tests;

pub use ast::{Ast, Item, OptionArg, PassCall, Span, Spanned, Value, Word};
pub use parse::parse;

/// The word that opens a group of passes to be repeated until none of them changes the model.
pub const FIXPOINT: &str = "fixpoint";

/// How deep `fixpoint` groups may stand inside each other, presets expanded.
///
/// The work of nested groups multiplies, so a deep nest is a mistake long before it is this deep; and the parser, the
/// resolver and the runner recurse once a level, so text from anywhere must not choose the depth.
pub const MAX_FIXPOINT_DEPTH: usize = 8;

/// How deep lists may stand inside each other: no option type is deeper than a list of lists.
pub const MAX_LIST_DEPTH: usize = 8;
