//! Operators that only move elements: two rules, one for extents and one for places, from which inference, tracked elements
//! and the kernel follow.

use onnxpress_ir::tensor::element_count;
use onnxpress_ir::{Dim, Shape, Tensor};

use crate::evaluate::pick::{pick_or, zero};
use crate::evaluate::walk::Walk;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::infer::{InferCx, MAX_ELEMENTS, Undecided, tracked};
use crate::parameters::Parameters;

/// A rule for the extents of an output.
type ShapeRule = fn(&dyn Parameters) -> Result<Shape, Undecided>;

/// A rule for places in operand 0, given its extents and those of the output.
type WalkRule = fn(&dyn Parameters, &[usize], &[usize]) -> Result<Walk, Undecided>;

/// How an operator makes output 0 of the elements of operand 0.
pub(crate) struct Moves {
    /// The extents of the output.
    pub shape: ShapeRule,
    /// Where each of its elements stands in operand 0, row-major; nowhere means 0. Not asked where there are none.
    pub walk: WalkRule,
}

impl Moves {
    /// The facet `infer`.
    pub(crate) fn infer(&self, cx: &mut InferCx<'_>) -> Result<(), Undecided> {
        self.infer_with(cx, &Dim::from(0))
    }

    /// The same with another element than 0 where a place is nowhere.
    pub(crate) fn infer_with(&self, cx: &mut InferCx<'_>, fill: &Dim) -> Result<(), Undecided> {
        let dtype = cx.dtype(0);
        cx.set_tensor(0, dtype, None);
        let shape = (self.shape)(&**cx)?;
        let elements = self.elements(cx, &shape, fill);
        cx.set_tensor(0, dtype, shape);
        if let Some(elements) = elements {
            cx.set_elements(0, elements);
        }
        Ok(())
    }

    /// The output's elements, where those of operand 0 are tracked.
    fn elements(&self, cx: &InferCx<'_>, shape: &Shape, fill: &Dim) -> Option<Vec<Dim>> {
        let elements = tracked(cx, 0)?;
        let from = tracked_extents(cx.shape(0)?)?;
        let to = tracked_extents(shape)?;
        if to.contains(&0) {
            return Some(Vec::new());
        }
        // A place that is not there is no contradiction yet: the node may stand in a branch that is never taken.
        let walk = (self.walk)(&**cx, &from, &to).ok()?;
        walk.map(|place| place.map_or(Some(fill), |place| elements.get(place)).cloned()).collect()
    }

    /// The facet `evaluate`.
    pub(crate) fn evaluate(&self, cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
        let data = cx.tensor(0)?;
        Ok(vec![self.evaluate_with(cx, &zero(data.dtype()))?.into()])
    }

    /// The same with another element than 0 where a place is nowhere.
    pub(crate) fn evaluate_with(&self, cx: &EvalCx<'_>, fill: &Tensor) -> Result<Tensor, EvalError> {
        let data = cx.tensor(0)?;
        let dims = extents_of_result(cx, &(self.shape)(cx)?)?;
        if dims.contains(&0) {
            // Nothing is moved, and the other extents may be anything.
            return pick_or(data, fill, &dims, std::iter::empty());
        }
        let walk = (self.walk)(cx, data.dims(), &dims)?;
        pick_or(data, fill, &dims, walk)
    }
}

/// The extents of a tensor whose elements can be tracked.
pub(crate) fn tracked_extents(shape: &Shape) -> Option<Vec<usize>> {
    shape.as_consts().filter(|dims| element_count(dims).is_some_and(|count| count <= MAX_ELEMENTS))
}

/// The extents of a result that is about to be computed, where there is room for it.
///
/// # Errors
/// Where one of them is negative or the result is larger than the caller allows.
pub(crate) fn extents_of_result(cx: &EvalCx<'_>, shape: &Shape) -> Result<Vec<usize>, EvalError> {
    let dims = shape.as_consts().ok_or_else(|| EvalError::invalid(format!("a result of shape {shape}")))?;
    cx.room_for(&dims)?;
    Ok(dims)
}

/// Output 0 has the elements of operand 0, in their order, under these extents.
///
/// # Errors
/// Where the extents are not decided; what is known without them holds.
pub(crate) fn infer_regrouped(cx: &mut InferCx<'_>, shape: Result<Shape, Undecided>) -> Result<(), Undecided> {
    let dtype = cx.dtype(0);
    cx.set_tensor(0, dtype, None);
    if let Some(elements) = tracked(cx, 0) {
        cx.set_elements(0, elements.into_owned());
    }
    cx.set_tensor(0, dtype, shape?);
    Ok(())
}

/// Operand 0 under these extents.
///
/// # Errors
/// Where that would be another number of elements.
pub(crate) fn evaluate_regrouped(cx: &EvalCx<'_>, shape: &Shape) -> Result<Vec<Value>, EvalError> {
    let dims = extents_of_result(cx, shape)?;
    Ok(vec![cx.tensor(0)?.reshaped(&dims)?.into()])
}
