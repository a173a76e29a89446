//! What flows along the edges when a graph runs.

use onnxpress_ir::{SparseTensor, Tensor};

use super::EvalError;

/// A value at run time.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A dense tensor.
    Tensor(Tensor),
    /// A sparse tensor.
    Sparse(SparseTensor),
    /// A sequence.
    Sequence(Vec<Value>),
    /// A value or none.
    Optional(Option<Box<Value>>),
    /// A map, in the order of insertion: keys (rank 1, integral or strings) and as many values.
    Map(Tensor, Vec<Value>),
}

impl Value {
    /// The tensor; an optional one that is there counts.
    ///
    /// # Errors
    /// Where it is none.
    pub fn as_tensor(&self) -> Result<&Tensor, EvalError> {
        match self {
            Self::Tensor(tensor) => Ok(tensor),
            Self::Optional(Some(value)) => value.as_tensor(),
            other => Err(EvalError::invalid(format!("a tensor was expected, not {}", other.kind()))),
        }
    }

    /// The sequence; an optional one that is there counts.
    ///
    /// # Errors
    /// Where it is none.
    pub fn as_sequence(&self) -> Result<&[Value], EvalError> {
        match self {
            Self::Sequence(values) => Ok(values),
            Self::Optional(Some(value)) => value.as_sequence(),
            other => Err(EvalError::invalid(format!("a sequence was expected, not {}", other.kind()))),
        }
    }

    /// What messages call it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Tensor(_) => "a tensor",
            Self::Sparse(_) => "a sparse tensor",
            Self::Sequence(_) => "a sequence",
            Self::Optional(_) => "an optional",
            Self::Map(..) => "a map",
        }
    }
}

impl From<Tensor> for Value {
    fn from(tensor: Tensor) -> Self {
        Self::Tensor(tensor)
    }
}
