//! What a facet that writes gradients is given: the node, the gradients of its results, and a hand that adds nodes.

use onnxpress_ir::{Attr, DType, Edit, Node, NodeId, Shape, Tensor, ValueId};

use super::{Expression, GradientError};
use crate::node::NodeCx;

/// A node whose gradients are being written.
pub struct GradientCx<'e, 'g> {
    pub(super) edit: &'e mut Edit<'g>,
    id: NodeId,
    results: &'e [Option<ValueId>],
    wanted: &'e [bool],
    given: Vec<Option<ValueId>>,
    settled: Vec<bool>,
}

impl<'e, 'g> GradientCx<'e, 'g> {
    /// Nothing written yet.
    pub(super) fn new(edit: &'e mut Edit<'g>, id: NodeId, results: &'e [Option<ValueId>], wanted: &'e [bool]) -> Self {
        let count = edit.graph().node(id).map_or(0, Node::operand_count);
        Self { edit, id, results, wanted, given: vec![None; count], settled: vec![false; count] }
    }

    /// The gradients, once all that were wanted are there.
    pub(super) fn finish(self) -> Result<Vec<Option<ValueId>>, GradientError> {
        match (0..self.given.len()).find(|&index| self.wants(index) && !self.settled[index]) {
            Some(index) => Err(GradientError::NotPossible(format!("operand {index} has no gradient"))),
            None => Ok(self.given),
        }
    }

    /// The node, with its operands and attributes.
    pub fn node(&self) -> NodeCx<'_> {
        NodeCx::new(self.edit.graph(), self.id).expect("a facet is asked about a node that is in the graph")
    }

    /// Operand `index`, which the operator requires.
    ///
    /// # Errors
    /// Where it is left out.
    pub fn operand(&self, index: usize) -> Result<ValueId, GradientError> {
        self.optional(index).ok_or_else(|| GradientError::NotPossible(format!("operand {index} is missing")))
    }

    /// Operand `index`, unless it is left out.
    pub fn optional(&self, index: usize) -> Option<ValueId> {
        self.edit.graph().operand(self.id, index)
    }

    /// The operands from `first` on that are there, each with its number.
    pub fn operands_from(&self, first: usize) -> Vec<(usize, ValueId)> {
        let operands = self.edit.graph().operands(self.id).enumerate();
        operands.filter_map(|(index, operand)| Some((index, operand?))).filter(|&(index, _)| index >= first).collect()
    }

    /// Output `index` of the node.
    pub fn output(&self, index: u32) -> ValueId {
        self.id.port(index)
    }

    /// Gradients of the results, one entry an output; `None` for those on which nothing depends.
    pub fn results(&self) -> &'e [Option<ValueId>] {
        self.results
    }

    /// The gradient of the first output, on which alone anything depends.
    ///
    /// # Errors
    /// Where something depends on another output.
    pub fn result(&self) -> Result<ValueId, GradientError> {
        if let Some(index) = self.results.iter().skip(1).position(Option::is_some) {
            return Err(GradientError::NotPossible(format!("something depends on output {}", index + 1)));
        }
        self.results.first().copied().flatten().ok_or_else(|| GradientError::not_possible("nothing depends on it"))
    }

    /// Whether the gradient of operand `index` is asked for.
    pub fn wants(&self, index: usize) -> bool {
        self.wanted.get(index) == Some(&true) && self.optional(index).is_some()
    }

    /// The gradient of operand `index`, perhaps with the extents of what that was broadcast to: then it is summed up.
    ///
    /// # Errors
    /// Where too little is known to sum up.
    pub fn give(&mut self, index: usize, gradient: ValueId) -> Result<(), GradientError> {
        if self.wants(index) {
            let operand = self.operand(index)?;
            let summed = self.sum_to(gradient, operand)?;
            self.given[index] = Some(summed);
            self.settled[index] = true;
        }
        Ok(())
    }

    /// The same for a formula, which is written only where it is asked for.
    ///
    /// # Errors
    /// As [`give`](Self::give).
    pub fn give_by(&mut self, index: usize, formula: impl FnOnce() -> Expression) -> Result<(), GradientError> {
        if self.wants(index) {
            let gradient = self.write(&formula())?;
            self.give(index, gradient)?;
        }
        Ok(())
    }

    /// Nothing depends on operand `index`, as far as small changes go.
    pub fn give_zero(&mut self, index: usize) {
        if let Some(settled) = self.settled.get_mut(index) {
            *settled = true;
        }
    }

    /// The element type that the formulas' numbers are of: that of the first operand with one of floats.
    ///
    /// # Errors
    /// Where it is not known.
    pub fn dtype(&self) -> Result<DType, GradientError> {
        let node = self.node();
        let mut types =
            (0..node.operand_count()).filter_map(|index| node.dtype(index)).filter(|dtype| dtype.is_float());
        types.next().ok_or_else(|| GradientError::not_possible("the element type is not known"))
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
