//! A hand that adds nodes: what is said over and over where nodes are written, said once.

use onnxpress_ir::{Attr, DType, Edit, Graph, Node, NodeId, Shape, Tensor, ValueId};

use super::GradientError;

/// Adds nodes to a graph; the numbers of formulas take one element type.
pub struct Hand<'e, 'g> {
    pub(super) edit: &'e mut Edit<'g>,
    dtype: Option<DType>,
}

impl<'e, 'g> Hand<'e, 'g> {
    /// Nothing written yet.
    pub fn new(edit: &'e mut Edit<'g>, dtype: Option<DType>) -> Self {
        Self { edit, dtype }
    }

    /// The graph, with what was written.
    pub fn graph(&self) -> &Graph {
        self.edit.graph()
    }

    /// The element type that the formulas' numbers are of.
    ///
    /// # Errors
    /// Where it is not known.
    pub fn dtype(&self) -> Result<DType, GradientError> {
        self.dtype.ok_or_else(|| GradientError::not_possible("the element type is not known"))
    }

    /// The shape of a value.
    ///
    /// # Errors
    /// Where not even its rank is known.
    pub fn shape(&self, value: ValueId) -> Result<Shape, GradientError> {
        let shape = self.edit.graph().ty(value).shape().cloned();
        shape.ok_or_else(|| GradientError::not_possible("the rank of an operand is not known"))
    }

    /// The rank of a value.
    ///
    /// # Errors
    /// Where it is not known.
    pub fn rank(&self, value: ValueId) -> Result<usize, GradientError> {
        Ok(self.shape(value)?.len())
    }

    /// Adds a node with one output; answers it.
    ///
    /// # Errors
    /// Where the node makes no sense.
    pub fn add(&mut self, node: Node, operands: &[ValueId]) -> Result<ValueId, GradientError> {
        Ok(self.edit.add(node, operands)?)
    }

    /// Adds a node that may have several outputs and leave operands out.
    ///
    /// # Errors
    /// Where the node makes no sense.
    pub fn add_node(&mut self, node: Node, operands: &[Option<ValueId>]) -> Result<NodeId, GradientError> {
        Ok(self.edit.add_node(node, operands)?)
    }

    /// Adds a node of an operator without attributes and with one output.
    ///
    /// # Errors
    /// Where the node makes no sense.
    pub fn apply(&mut self, op_type: &'static str, operands: &[ValueId]) -> Result<ValueId, GradientError> {
        self.add(Node::new(op_type, 1), operands)
    }

    /// A constant.
    pub fn constant(&mut self, tensor: Tensor) -> ValueId {
        self.edit.add_constant(None, tensor)
    }

    /// A constant list of whole numbers.
    pub fn ints(&mut self, values: impl Into<Vec<i64>>) -> ValueId {
        self.constant(Tensor::vector(values.into()))
    }

    /// A constant number of an element type.
    ///
    /// # Errors
    /// Where the type has no numbers.
    pub fn number(&mut self, value: f64, dtype: DType) -> Result<ValueId, GradientError> {
        let tensor =
            Tensor::from_f64s(dtype, &[], &[value]).map_err(|error| GradientError::not_possible(error.to_string()))?;
        Ok(self.constant(tensor))
    }

    /// The sum along some axes, of which each stays with extent 1 where `keep` says so.
    ///
    /// # Errors
    /// Where the node makes no sense.
    pub fn sum(&mut self, value: ValueId, axes: Vec<i64>, keep: bool) -> Result<ValueId, GradientError> {
        if axes.is_empty() {
            return Ok(value);
        }
        let axes = self.ints(axes);
        self.add(Node::new("ReduceSum", 1).with(Attr::int("keepdims", i64::from(keep))), &[value, axes])
    }

    /// The mean along the last axis, which stays with extent 1.
    ///
    /// # Errors
    /// Where the rank is not known, or 0.
    pub fn mean(&mut self, value: ValueId) -> Result<ValueId, GradientError> {
        let last = self.rank(value)?.checked_sub(1);
        let last = last.ok_or_else(|| GradientError::not_possible("the mean of a single number"))?;
        let (sum, count) = (self.sum(value, vec![last as i64], true)?, self.count_along(value, &[last])?);
        self.apply("Div", &[sum, count])
    }

    /// The axes in another order.
    ///
    /// # Errors
    /// Where the node makes no sense.
    pub fn transpose(&mut self, value: ValueId, order: Vec<i64>) -> Result<ValueId, GradientError> {
        if order.iter().copied().eq(0..order.len() as i64) {
            return Ok(value);
        }
        self.add(Node::new("Transpose", 1).with(Attr::ints("perm", order)), &[value])
    }

    /// The last two axes exchanged.
    ///
    /// # Errors
    /// Where there are fewer, or the rank is not known.
    pub fn transposed(&mut self, value: ValueId) -> Result<ValueId, GradientError> {
        let rank = self.rank(value)?;
        let mut order: Vec<i64> = (0..rank as i64).collect();
        if rank < 2 {
            return Err(GradientError::not_possible("a matrix of fewer than two axes"));
        }
        order.swap(rank - 1, rank - 2);
        self.transpose(value, order)
    }
}
