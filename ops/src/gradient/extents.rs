//! Extents as operands: constants where they are known, `Shape` nodes where not, and what is made of them.

use onnxpress_ir::{Attr, Dim, Node, Tensor, ValueId};

use super::{GradientError, Hand};

impl Hand<'_, '_> {
    /// The extents of a value, as a list.
    ///
    /// # Errors
    /// Where a node makes no sense.
    pub fn extents(&mut self, value: ValueId) -> Result<ValueId, GradientError> {
        let known = self.graph().ty(value).shape();
        let known: Option<Vec<i64>> = known.and_then(|shape| shape.iter().map(Dim::as_const).collect());
        match known {
            Some(extents) => Ok(self.ints(extents)),
            None => self.apply("Shape", &[value]),
        }
    }

    /// The extents of a value along some axes, as a list.
    ///
    /// # Errors
    /// Where the value has no such axes, or its rank is not known.
    pub fn extents_along(&mut self, value: ValueId, axes: &[usize]) -> Result<ValueId, GradientError> {
        let shape = self.shape(value)?;
        let known: Option<Vec<i64>> = axes.iter().map(|&axis| shape.get(axis).and_then(Dim::as_const)).collect();
        if let Some(extents) = known {
            return Ok(self.ints(extents));
        }
        let all = self.apply("Shape", &[value])?;
        let axes = self.ints(axes.iter().map(|&axis| axis as i64).collect::<Vec<_>>());
        self.apply("Gather", &[all, axes])
    }

    /// The numbers from 0 on of the indices along an axis, as a list.
    ///
    /// # Errors
    /// Where the value has no such axis, or its rank is not known.
    pub fn indices_along(&mut self, value: ValueId, axis: usize) -> Result<ValueId, GradientError> {
        let extent = self.extents_along(value, &[axis])?;
        let scalar = self.ints(Vec::new());
        let extent = self.apply("Reshape", &[extent, scalar])?;
        let (zero, one) = (self.constant(Tensor::scalar(0i64)), self.constant(Tensor::scalar(1i64)));
        self.apply("Range", &[zero, extent, one])
    }

    /// How many elements a value has along some axes, as a number of the element type of formulas.
    ///
    /// # Errors
    /// Where the value has no such axes, or its rank is not known.
    pub fn count_along(&mut self, value: ValueId, axes: &[usize]) -> Result<ValueId, GradientError> {
        let shape = self.shape(value)?;
        let dtype = self.dtype()?;
        let known: Option<Vec<i64>> = axes.iter().map(|&axis| shape.get(axis).and_then(Dim::as_const)).collect();
        if let Some(extents) = known {
            return self.number(extents.iter().map(|&extent| extent as f64).product(), dtype);
        }
        let extents = self.extents_along(value, axes)?;
        let count = self.add(Node::new("ReduceProd", 1).with(Attr::int("keepdims", 0)), &[extents])?;
        self.add(Node::new("Cast", 1).with(Attr::int("to", dtype.code())), &[count])
    }

    /// Lists one behind the other.
    ///
    /// # Errors
    /// Where a node makes no sense.
    pub fn concat(&mut self, lists: &[ValueId]) -> Result<ValueId, GradientError> {
        self.add(Node::new("Concat", 1).with(Attr::int("axis", 0)), lists)
    }

    /// The value with these extents, in the notation of `Reshape`.
    ///
    /// # Errors
    /// Where a node makes no sense.
    pub fn reshape(&mut self, value: ValueId, extents: &[i64]) -> Result<ValueId, GradientError> {
        let extents = self.ints(extents);
        self.apply("Reshape", &[value, extents])
    }

    /// All elements along one axis.
    ///
    /// # Errors
    /// Where a node makes no sense.
    pub fn flat(&mut self, value: ValueId) -> Result<ValueId, GradientError> {
        self.reshape(value, &[-1])
    }

    /// The value with the extents of another that has as many elements.
    ///
    /// # Errors
    /// Where a node makes no sense.
    pub fn shaped_like(&mut self, value: ValueId, like: ValueId) -> Result<ValueId, GradientError> {
        let extents = self.extents(like)?;
        self.apply("Reshape", &[value, extents])
    }

    /// The value repeated to the extents of another that it broadcasts to.
    ///
    /// # Errors
    /// Where a node makes no sense.
    pub fn spread_like(&mut self, value: ValueId, like: ValueId) -> Result<ValueId, GradientError> {
        let extents = self.extents(like)?;
        self.apply("Expand", &[value, extents])
    }

    /// Zeros with the extents and the element type of another value.
    ///
    /// # Errors
    /// Where the element type is not known.
    pub fn zeros_like(&mut self, like: ValueId) -> Result<ValueId, GradientError> {
        let dtype = self.graph().ty(like).dtype();
        let dtype = dtype.ok_or_else(|| GradientError::not_possible("the element type is not known"))?;
        let zero = self.number(0.0, dtype)?;
        self.spread_like(zero, like)
    }
}
