//! Evaluation: what an operator computes, plain and by the standard's words.
//!
//! The kernels fold constants, are the oracle in tests, and run small models where no runtime can. They are written to be
//! right, on ndarray, one straightforward loop each; speed is what runtimes are for.

pub mod elementwise;
pub mod lanes;
pub mod order;
pub mod pick;
pub mod pieces;
mod value;
pub mod walk;
pub mod whole;

use std::cell::Cell;

use onnxpress_ir::{Graph, Node, Tensor, TensorError};

pub use value::Value;

use crate::infer::Undecided;
use crate::node::Attrs;

/// Why a kernel gives no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// The node contradicts its operator's definition, or its operands are none it is defined for.
    #[error("{0}")]
    Invalid(String),
    /// The definition allows it, and this kernel does not do it.
    #[error("{0} is not supported by the interpreter")]
    Unsupported(String),
    /// The result would not fit into the memory that the caller allows.
    #[error("the result has {elements} elements, more than the {limit} allowed")]
    TooLarge {
        /// Elements of the result.
        elements: u128,
        /// Elements allowed.
        limit: usize,
    },
}

impl EvalError {
    /// The node or its operands make no sense: what was found, what was expected.
    pub fn invalid(reason: impl Into<String>) -> Self {
        Self::Invalid(reason.into())
    }

    /// This kernel does not do it.
    pub fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported(what.into())
    }
}

impl From<Undecided> for EvalError {
    fn from(undecided: Undecided) -> Self {
        match undecided {
            Undecided::Unknown => Self::Unsupported("an attribute that a function's caller sets".to_owned()),
            Undecided::Invalid(reason) => Self::Invalid(reason),
        }
    }
}

impl From<TensorError> for EvalError {
    fn from(error: TensorError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<ndarray::ShapeError> for EvalError {
    fn from(error: ndarray::ShapeError) -> Self {
        Self::Invalid(error.to_string())
    }
}

/// Runs the subgraphs of a node for its kernel.
pub trait Bodies {
    /// The outputs of `body` for these inputs; what it captures is known to whoever implements this.
    ///
    /// # Errors
    /// Where a node inside fails.
    fn run(&self, body: &Graph, inputs: Vec<Value>) -> Result<Vec<Value>, EvalError>;
}

/// A node about to be computed.
pub struct EvalCx<'a> {
    /// The node: operator, attributes, number of outputs asked for.
    pub node: &'a Node,
    /// The version of the node's domain.
    pub version: i64,
    /// The operands, `None` for those left out.
    pub inputs: &'a [Option<Value>],
    /// The most elements that one result may have.
    pub limit: usize,
    /// Elementary steps that the run may still take, where they are counted.
    pub fuel: &'a Cell<u64>,
    /// Whoever runs the node's subgraphs.
    pub bodies: &'a dyn Bodies,
}

impl<'a> EvalCx<'a> {
    /// The attributes.
    pub fn attrs(&self) -> Attrs<'a> {
        Attrs::of(self.node, self.version)
    }

    /// Operand `index`, which the operator requires.
    ///
    /// # Errors
    /// Where it is left out.
    pub fn input(&self, index: usize) -> Result<&'a Value, EvalError> {
        self.optional(index).ok_or_else(|| EvalError::invalid(format!("operand {index} is missing")))
    }

    /// Operand `index`, unless it is left out.
    pub fn optional(&self, index: usize) -> Option<&'a Value> {
        self.inputs.get(index).and_then(Option::as_ref)
    }

    /// Operand `index`, a tensor that the operator requires.
    ///
    /// # Errors
    /// Where it is left out or no tensor.
    pub fn tensor(&self, index: usize) -> Result<&'a Tensor, EvalError> {
        self.input(index)?.as_tensor()
    }

    /// Operand `index`, a tensor, unless it is left out.
    ///
    /// # Errors
    /// Where it is no tensor.
    pub fn optional_tensor(&self, index: usize) -> Result<Option<&'a Tensor>, EvalError> {
        self.optional(index).map(Value::as_tensor).transpose()
    }

    /// The elements of operand `index`, whole numbers of any width; `None` where it is left out.
    ///
    /// # Errors
    /// Where it is no tensor of whole numbers.
    pub fn ints(&self, index: usize) -> Result<Option<Vec<i64>>, EvalError> {
        let Some(tensor) = self.optional_tensor(index)? else { return Ok(None) };
        Ok(Some(tensor.to_i64s()?))
    }

    /// The number of elements of a result of these extents, where memory may be taken for it.
    ///
    /// # Errors
    /// Where that is more than the caller allows.
    pub fn room_for(&self, dims: &[usize]) -> Result<usize, EvalError> {
        let elements = if dims.contains(&0) {
            0
        } else {
            dims.iter().fold(1u128, |product, &dim| product.saturating_mul(dim as u128))
        };
        match usize::try_from(elements) {
            Ok(count) if count <= self.limit => Ok(count),
            _ => Err(EvalError::TooLarge { elements, limit: self.limit }),
        }
    }

    /// An axis counted from the front, given one that may count from the back.
    ///
    /// # Errors
    /// Where the tensor has no such axis.
    pub fn axis(&self, axis: i64, rank: usize) -> Result<usize, EvalError> {
        onnxpress_ir::shape::normalize_axis(axis, rank)
            .ok_or_else(|| EvalError::invalid(format!("axis {axis} of a tensor of rank {rank}")))
    }

    /// Takes `steps` elementary steps off what the run may still take.
    ///
    /// # Errors
    /// Where too few are left.
    pub fn spend(&self, steps: u64) -> Result<(), EvalError> {
        match self.fuel.get().checked_sub(steps) {
            Some(left) => {
                self.fuel.set(left);
                Ok(())
            }
            None => Err(EvalError::unsupported("so long a computation")),
        }
    }
}
