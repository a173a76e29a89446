//! What the structural verifier finds.

use std::fmt;

use crate::attr::AttrKind;
use crate::graph::{Cycle, Misfit};
use crate::types::{Type, TypeConflict};

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Unusual; the model has a meaning all the same, or what is unusual about it is opaque to us.
    Warning,
    /// The model has no meaning by the standard.
    Error,
}

/// One thing that is not as it must be. Printed without its severity, the vertex's own line below.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// How much it weighs.
    pub severity: Severity,
    /// The vertex, and the subgraphs or the function that it is in; empty where it is the main graph that is wrong.
    pub site: String,
    /// The vertex as a line of the text form; `None` where it is a graph or function that is wrong, or too broken to print.
    pub line: Option<String>,
    /// What was found and what was expected.
    pub problem: Problem,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.site.is_empty() {
            write!(f, "{}: ", self.site)?;
        }
        write!(f, "{}", self.problem)?;
        match &self.line {
            Some(line) => write!(f, "\n  {line}"),
            None => Ok(()),
        }
    }
}

/// What is not as it must be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum Problem {
    /// Edges and vertices disagree: a mistake of ours, not of a file.
    #[error("the graph is out of step: {0}")]
    Misfit(Misfit),
    /// More of the same weight was found than is listed.
    #[error("more is wrong with it than is listed here")]
    More,
    /// Nodes depend on each other in a circle.
    #[error(transparent)]
    Cycle(Cycle),
    /// An input or output of the interface cannot be called.
    #[error("it has no name")]
    Nameless,
    /// Two inputs, two outputs that give out different values, or an input and an output of another value.
    #[error("`{name}` is the name of {other} too")]
    SameName { name: String, other: String },
    /// Nothing is declared of an input or output of the model.
    #[error("its type is not declared")]
    NoType,
    /// Two descriptions of one value.
    #[error("its {what} contradicts what is known: {conflict}")]
    Conflict { what: &'static str, conflict: TypeConflict },
    /// A constant's type is not that of its tensor.
    #[error("its type is {found}, but its tensor is {expected}")]
    ConstantType { found: Type, expected: Type },
    /// A sparse tensor whose parts do not fit.
    #[error("its sparse tensor is malformed: {0}")]
    Sparse(&'static str),
    /// A captured value in a graph that is in no node.
    #[error("nothing is around the graph from which it could be captured")]
    NothingAround,
    /// A captured value that the node around does not read.
    #[error("it captures implicit operand {operand}, but the node around has {count}")]
    CaptureRange { operand: u32, count: usize },
    /// The node around reads nothing there.
    #[error("it captures implicit operand {operand}, which is left out")]
    CaptureNothing { operand: u32 },
    /// An implicit operand that no subgraph captures.
    #[error("no subgraph captures its implicit operand {operand}")]
    NotCaptured { operand: usize },
    /// A node without an operator.
    #[error("it has no operator")]
    NoOperator,
    /// A reference to an attribute of the function, where there is none around.
    #[error("attribute `{attribute}` refers to `{name}` of a function, but is in none")]
    ReferenceOutside { attribute: String, name: String },
    /// A reference to an attribute that the function does not have.
    #[error("attribute `{attribute}` refers to `{name}`, which the function does not have")]
    ReferenceUnknown { attribute: String, name: String },
    /// A reference of another kind than the default of what it refers to.
    #[error("attribute `{attribute}` refers to `{name}` as {found}, but its default is {expected}")]
    ReferenceKind { attribute: String, name: String, found: AttrKind, expected: AttrKind },
    /// An input of a function has a default.
    #[error("it has a default, which inputs of functions cannot have")]
    FunctionDefault,
    /// Two functions of the same domain, name and overload.
    #[error("there is another function of the same domain, name and overload")]
    FunctionTwice,
    /// An attribute of a function that is there twice.
    #[error("its attribute `{name}` is there twice")]
    FunctionAttributeTwice { name: String },
    /// Functions that call each other in a circle.
    #[error("{} without end", .0.join(" calls "))]
    Recursion(Vec<String>),
}
