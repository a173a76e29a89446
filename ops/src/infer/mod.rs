//! Inference: types, symbolic shapes and symbolic values, operator by operator and over whole models.
//!
//! An operator's facet says what its definition says and no more: what is not known stays unknown, and only what contradicts
//! the definition is an error. The driver ([`model`]) visits nodes in topological order, merges what a file declares with what
//! follows, and gives each unknown extent a symbol of its own, so that it is known to equal itself further down.

mod body;
mod broadcast;
mod driver;
mod either;
mod tracked;

use std::sync::Arc;

use onnxpress_ir::{DType, Dim, Fact, Shape, Type};

pub use body::{BodyInference, as_declared};
pub use broadcast::{broadcast, elementwise, same_as_first};
pub use driver::{Inferred, Standard, graph, model, readers_of};
pub use either::{either, either_type};
pub use tracked::{elements_of_each, elements_of_pairs, keep_elements, pairwise, tracked, wholes_of};

use crate::node::NodeCx;

/// Why an operator's facet gives no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undecided {
    /// Too little is known of the operands for more than what was set already; not an error.
    Unknown,
    /// The node contradicts its operator's definition.
    Invalid(String),
}

impl Undecided {
    /// The node contradicts its operator's definition: what was found, what was expected.
    pub fn invalid(reason: impl Into<String>) -> Self {
        Self::Invalid(reason.into())
    }
}

impl<E: std::error::Error> From<E> for Undecided {
    fn from(error: E) -> Self {
        Self::Invalid(error.to_string())
    }
}

/// A node whose outputs are being inferred: what is known of its operands, and room for what follows.
pub struct InferCx<'a> {
    node: NodeCx<'a>,
    outputs: Vec<Fact>,
}

impl<'a> std::ops::Deref for InferCx<'a> {
    type Target = NodeCx<'a>;
    fn deref(&self) -> &NodeCx<'a> {
        &self.node
    }
}

impl<'a> InferCx<'a> {
    /// Nothing known yet of any output.
    pub fn new(node: NodeCx<'a>) -> Self {
        Self { node, outputs: vec![Fact::default(); node.node.port_count()] }
    }

    /// The shape of operand `index`; [`Undecided::Unknown`] where its rank is not known.
    ///
    /// # Errors
    /// As said.
    pub fn known_shape(&self, index: usize) -> Result<&'a Shape, Undecided> {
        self.node.shape(index).ok_or(Undecided::Unknown)
    }

    /// An axis counted from the front, given one that may count from the back.
    ///
    /// # Errors
    /// Where the tensor has no such axis.
    pub fn axis(&self, axis: i64, rank: usize) -> Result<usize, Undecided> {
        onnxpress_ir::shape::normalize_axis(axis, rank)
            .ok_or_else(|| Undecided::invalid(format!("axis {axis} of a tensor of rank {rank}")))
    }

    /// Fails unless operand `index` has this rank, as far as is known.
    ///
    /// # Errors
    /// As said.
    pub fn expect_rank(&self, index: usize, rank: usize) -> Result<(), Undecided> {
        match self.node.rank(index) {
            Some(found) if found != rank => {
                Err(Undecided::invalid(format!("operand {index} has rank {found}, not {rank}")))
            }
            _ => Ok(()),
        }
    }

    /// What is known of output `index`; ignored where the node has no such output.
    pub fn set(&mut self, index: usize, ty: Type) {
        if let Some(fact) = self.outputs.get_mut(index) {
            fact.ty = ty;
        }
    }

    /// Output `index` is a tensor of this element type (where known) and shape (where known).
    pub fn set_tensor(&mut self, index: usize, dtype: impl Into<Option<DType>>, shape: impl Into<Option<Shape>>) {
        self.set(index, Type::tensor(dtype, shape));
    }

    /// The elements of output `index`, a small tensor of whole numbers, row-major.
    pub fn set_elements(&mut self, index: usize, elements: impl Into<Arc<[Dim]>>) {
        if let Some(fact) = self.outputs.get_mut(index) {
            fact.elements = Some(elements.into());
        }
    }

    /// What was inferred.
    pub fn into_facts(self) -> Vec<Fact> {
        self.outputs
    }
}

/// Longest tensor whose elements are tracked symbolically.
pub const MAX_ELEMENTS: usize = 64;
