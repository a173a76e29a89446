//! Why a text is no model, and where.

use crate::build::BuildError;
use crate::dtype::DType;
use crate::tensor::TensorError;

/// Why a text is no model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The text breaks off, or means nothing at one place.
    #[error("line {line}, column {column}: {fault}")]
    At {
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// The place in bytes from the start of the text.
        offset: usize,
        /// What is wrong there.
        fault: Fault,
    },
    /// The text is well-formed, but its names make no graph.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// What is wrong at one place of a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Something else stands there.
    #[error("found {found}, expected {expected}")]
    Expected {
        /// What stands there.
        found: String,
        /// What could.
        expected: String,
    },
    /// A number is beyond what its type can hold.
    #[error("{number} is no {dtype}")]
    Number {
        /// As written.
        number: String,
        /// The type.
        dtype: DType,
    },
    /// A tensor has more or fewer elements than its type says.
    #[error("elements: found {found}, expected {expected}")]
    ElementCount {
        /// How many there are.
        found: usize,
        /// How many the extents say.
        expected: usize,
    },
    /// A recipe asks for more elements than the limit.
    #[error("the text's recipes make more than {limit} elements")]
    TooManyElements {
        /// The limit.
        limit: usize,
    },
    /// A recipe does not fit the element type.
    #[error("`{recipe}` makes no elements of {dtype}")]
    Recipe {
        /// The recipe.
        recipe: &'static str,
        /// The element type.
        dtype: DType,
    },
    /// A brief text left elements out.
    #[error("elements were left out when this text was printed; only the exact form can be read back")]
    Elided,
    /// Data in another file.
    #[error("the data is in another file; a text can hold only what is written in it")]
    External,
    /// Types or graphs within each other, too deep.
    #[error("more than {limit} levels of nesting")]
    Nesting {
        /// The limit.
        limit: usize,
    },
    /// Something that can be said once is said again.
    #[error("`{what}` is given twice")]
    Twice {
        /// What.
        what: String,
    },
    /// Extents and elements make no tensor.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}
