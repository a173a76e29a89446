//! What a facet that writes gradients is given: the node, the gradients of its results, and a hand that adds nodes.

use std::ops::{Deref, DerefMut};

use onnxpress_ir::{Edit, Node, NodeId, ValueId};

use super::{Expression, GradientError, Hand};
use crate::node::NodeCx;

/// A node whose gradients are being written.
pub struct GradientCx<'e, 'g> {
    hand: Hand<'e, 'g>,
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
        // Numbers are of the type of the first operand with one of floats.
        let dtype = NodeCx::new(edit.graph(), id).and_then(|node| {
            let types = (0..node.operand_count()).filter_map(|index| node.dtype(index));
            types.into_iter().find(|dtype| dtype.is_float())
        });
        let hand = Hand::new(edit, dtype);
        Self { hand, id, results, wanted, given: vec![None; count], settled: vec![false; count] }
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
        NodeCx::new(self.hand.graph(), self.id).expect("a facet is asked about a node that is in the graph")
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
        self.hand.graph().operand(self.id, index)
    }

    /// The operands from `first` on that are there, each with its number.
    pub fn operands_from(&self, first: usize) -> Vec<(usize, ValueId)> {
        let operands = self.hand.graph().operands(self.id).enumerate();
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
}

impl<'e, 'g> Deref for GradientCx<'e, 'g> {
    type Target = Hand<'e, 'g>;

    fn deref(&self) -> &Self::Target {
        &self.hand
    }
}

impl DerefMut for GradientCx<'_, '_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.hand
    }
}
