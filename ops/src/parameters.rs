//! Operands that steer an operator: axes, pads, a target shape.
//!
//! Inference takes them from constants and tracked elements, a kernel from values at hand. Behind one trait the rule that
//! turns them into extents is written once, so what is inferred and what is computed cannot disagree.

use onnxpress_ir::{Dim, Shape, Tensor};

use crate::evaluate::EvalCx;
use crate::infer::{MAX_ELEMENTS, Undecided};
use crate::node::{Attrs, NodeCx};

/// What an operator's rule for extents may ask of its node.
pub(crate) trait Parameters {
    /// The attributes.
    fn attrs(&self) -> Attrs<'_>;

    /// The version of the node's domain.
    fn version(&self) -> i64;

    /// The number of outputs, omitted ones counted.
    fn output_count(&self) -> usize;

    /// The shape of operand `index`.
    ///
    /// # Errors
    /// [`Undecided::Unknown`] where its rank is not known, or it is left out.
    fn extents(&self, index: usize) -> Result<Shape, Undecided>;

    /// The elements of operand `index`, row-major; `None` where it is left out. Where only their number is known, they are
    /// so many unknowns.
    ///
    /// # Errors
    /// [`Undecided::Unknown`] where not even their number is known.
    fn entries(&self, index: usize) -> Result<Option<Vec<Dim>>, Undecided>;

    /// The elements of operand `index`, all of them constant; `None` where it is left out.
    ///
    /// # Errors
    /// [`Undecided::Unknown`] where one of them is not known.
    fn numbers(&self, index: usize) -> Result<Option<Vec<i64>>, Undecided> {
        let Some(entries) = self.entries(index)? else { return Ok(None) };
        entries.iter().map(Dim::as_const).collect::<Option<Vec<_>>>().map(Some).ok_or(Undecided::Unknown)
    }

    /// The only element of operand `index`, perhaps unknown; `None` where it is left out.
    ///
    /// # Errors
    /// Where there is not exactly one.
    fn sole_entry(&self, index: usize) -> Result<Option<Dim>, Undecided> {
        match self.entries(index)? {
            None => Ok(None),
            Some(entries) => match entries.as_slice() {
                [one] => Ok(Some(one.clone())),
                many => Err(Undecided::invalid(format!("operand {index} has {} elements, not one", many.len()))),
            },
        }
    }

    /// The axes that the node names: in attribute `axes` before version `operand_since`, from then on in operand 1.
    /// `None` where it names none.
    ///
    /// # Errors
    /// As [`entries`](Self::entries).
    fn named_axes(&self, operand_since: i64) -> Result<Option<Vec<Dim>>, Undecided> {
        if self.version() >= operand_since {
            return self.entries(1);
        }
        Ok(self.attrs().ints("axes")?.map(|axes| axes.into_iter().map(Dim::from).collect()))
    }
}

impl Parameters for NodeCx<'_> {
    fn attrs(&self) -> Attrs<'_> {
        NodeCx::attrs(self)
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn output_count(&self) -> usize {
        self.node.port_count()
    }

    fn extents(&self, index: usize) -> Result<Shape, Undecided> {
        self.shape(index).cloned().ok_or(Undecided::Unknown)
    }

    fn entries(&self, index: usize) -> Result<Option<Vec<Dim>>, Undecided> {
        if !self.has(index) {
            return Ok(None);
        }
        if let Some(elements) = self.elements(index) {
            return Ok(Some(elements.to_vec()));
        }
        if let Some(numbers) = self.ints(index) {
            return Ok(Some(numbers.into_iter().map(Dim::from).collect()));
        }
        let count = self.shape(index).and_then(|shape| shape.size().as_const());
        match count.map(usize::try_from) {
            Some(Ok(count)) if count <= MAX_ELEMENTS => Ok(Some(vec![Dim::unknown(); count])),
            _ => Err(Undecided::Unknown),
        }
    }
}

impl Parameters for EvalCx<'_> {
    fn attrs(&self) -> Attrs<'_> {
        EvalCx::attrs(self)
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn output_count(&self) -> usize {
        self.node.port_count()
    }

    fn extents(&self, index: usize) -> Result<Shape, Undecided> {
        Ok(Shape::from_extents(self.tensor(index)?.dims()))
    }

    fn entries(&self, index: usize) -> Result<Option<Vec<Dim>>, Undecided> {
        Ok(self.numbers(index)?.map(|numbers| numbers.into_iter().map(Dim::from).collect()))
    }

    fn numbers(&self, index: usize) -> Result<Option<Vec<i64>>, Undecided> {
        Ok(self.optional_tensor(index)?.map(Tensor::to_i64s).transpose()?)
    }
}

/// An axis counted from the front, given one that may count from the back.
///
/// # Errors
/// Where the tensor has no such axis.
pub(crate) fn axis_of(axis: i64, rank: usize) -> Result<usize, Undecided> {
    onnxpress_ir::shape::normalize_axis(axis, rank)
        .ok_or_else(|| Undecided::invalid(format!("axis {axis} of a tensor of rank {rank}")))
}

/// Which of `rank` axes are among `axes`; to name one twice says no more than to name it once.
///
/// # Errors
/// [`Undecided::Unknown`] where one is not constant; invalid where the tensor has no such axis.
pub(crate) fn axis_set(axes: &[Dim], rank: usize) -> Result<Vec<bool>, Undecided> {
    let mut chosen = vec![false; rank];
    for axis in axes {
        chosen[axis_of(axis.as_const().ok_or(Undecided::Unknown)?, rank)?] = true;
    }
    Ok(chosen)
}

/// The axes counted from the front, each of which may be there once.
///
/// # Errors
/// [`Undecided::Unknown`] where one is not constant; invalid where the tensor has no such axis, or one comes twice.
pub(crate) fn distinct_axes(axes: &[Dim], rank: usize) -> Result<Vec<usize>, Undecided> {
    let mut seen = vec![false; rank];
    let mut distinct = Vec::with_capacity(axes.len().min(rank));
    for axis in axes {
        let axis = axis_of(axis.as_const().ok_or(Undecided::Unknown)?, rank)?;
        if std::mem::replace(&mut seen[axis], true) {
            return Err(Undecided::invalid(format!("axis {axis} is named twice")));
        }
        distinct.push(axis);
    }
    Ok(distinct)
}

/// The extents that an operand asks for as a target shape.
///
/// # Errors
/// [`Undecided::Unknown`] where not even their number is known, or where there are more than any tensor has axes.
pub(crate) fn asked_extents(p: &dyn Parameters, index: usize) -> Result<Vec<Dim>, Undecided> {
    let asked = p.entries(index)?.ok_or_else(|| Undecided::invalid(format!("operand {index} is missing")))?;
    if asked.len() > MAX_ELEMENTS { Err(Undecided::Unknown) } else { Ok(asked) }
}
