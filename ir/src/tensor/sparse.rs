//! Sparse tensors in coordinate form, as ONNX stores them.

use crate::carried::Carried;
use crate::dtype::DType;

use super::Tensor;

/// A tensor of which only the elements that are not the default (0, or an empty string) are stored.
#[derive(Clone, Debug)]
pub struct SparseTensor {
    /// The elements stored, `[NNZ]`.
    pub values: Tensor,
    /// Where they stand: `[NNZ]` linear indices in ascending order, or `[NNZ, rank]` coordinates; int64.
    pub indices: Tensor,
    /// The extents of the dense tensor.
    pub dims: Vec<usize>,
    /// The reader's companion.
    pub carried: Carried,
}

impl SparseTensor {
    /// The element type.
    pub fn dtype(&self) -> DType {
        self.values.dtype()
    }

    /// Whether both are stored the same, bit for bit.
    pub fn same_as(&self, other: &Self) -> bool {
        self.dims == other.dims && self.values.same_as(&other.values) && self.indices.same_as(&other.indices)
    }
}

impl PartialEq for SparseTensor {
    fn eq(&self, other: &Self) -> bool {
        self.same_as(other)
    }
}
