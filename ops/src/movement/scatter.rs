//! Writing updates into a copy of a tensor: what `ScatterElements`, `ScatterND` and `TensorScatter` share once they know which
//! element goes where.

use onnxpress_ir::{DType, Dim, Kind, Tensor};

use super::tracked_extents;
use crate::evaluate::EvalError;
use crate::evaluate::pick::pick_among;
use crate::evaluate::whole::{from_wholes, to_wholes};
use crate::infer::{InferCx, Undecided, tracked};
use crate::parameters::Parameters;

/// What becomes of an element that is written to: it is replaced, or combined with the update.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reduction {
    Replace,
    Add,
    Mul,
    Max,
    Min,
}

impl Reduction {
    /// The node's, which the standard has from version 16 on.
    pub(super) fn of(p: &dyn Parameters) -> Result<Self, Undecided> {
        if p.version() < 16 {
            return Ok(Self::Replace);
        }
        match p.attrs().string_or("reduction", "none".into())?.as_ref() {
            "none" => Ok(Self::Replace),
            "add" => Ok(Self::Add),
            "mul" => Ok(Self::Mul),
            "max" => Ok(Self::Max),
            "min" => Ok(Self::Min),
            other => Err(Undecided::invalid(format!("`reduction` is `{other}`"))),
        }
    }

    fn floats(self, old: f64, new: f64) -> f64 {
        match self {
            Self::Replace => new,
            Self::Add => old + new,
            Self::Mul => old * new,
            Self::Max => old.max(new),
            Self::Min => old.min(new),
        }
    }

    /// Wrapped to 128 bits, of which only as many as the element type has are kept in the end.
    fn wholes(self, old: i128, new: i128) -> i128 {
        match self {
            Self::Replace => new,
            Self::Add => old.wrapping_add(new),
            Self::Mul => old.wrapping_mul(new),
            Self::Max => old.max(new),
            Self::Min => old.min(new),
        }
    }
}

/// The data with the updates written to their targets, in order.
///
/// # Errors
/// Where a target is outside the data, there are more or fewer of them than updates, or the types do not fit.
pub(super) fn write(
    data: &Tensor,
    updates: &Tensor,
    targets: &[usize],
    reduction: Reduction,
) -> Result<Tensor, EvalError> {
    if targets.len() != updates.len() {
        return Err(EvalError::invalid(format!("{} updates for {} targets", updates.len(), targets.len())));
    }
    if targets.iter().any(|&target| target >= data.len()) {
        return Err(EvalError::invalid("an index is outside of its tensor"));
    }
    if data.dtype() != updates.dtype() {
        return Err(EvalError::invalid(format!("updates of {} to data of {}", updates.dtype(), data.dtype())));
    }
    let dims = data.dims();
    match (reduction, data.dtype()) {
        (Reduction::Replace, _) => {
            let mut places: Vec<(usize, usize)> = (0..data.len()).map(|place| (0, place)).collect();
            for (update, &target) in targets.iter().enumerate() {
                places[target] = (1, update);
            }
            pick_among(&[data, updates], dims, places.into_iter())
        }
        (_, dtype) if dtype.is_float() => {
            let (mut values, updates) = (data.to_f64s()?, updates.to_f64s()?);
            for (&target, &update) in targets.iter().zip(&updates) {
                values[target] = reduction.floats(values[target], update);
            }
            Ok(Tensor::from_f64s(dtype, dims, &values)?)
        }
        (_, dtype) if matches!(dtype.kind(), Kind::Complex | Kind::String) => {
            Err(EvalError::unsupported(format!("a reduction of {dtype}")))
        }
        (_, dtype) => {
            let (mut values, updates) = (to_wholes(data)?, to_wholes(updates)?);
            for (&target, &update) in targets.iter().zip(&updates) {
                let combined = reduction.wholes(values[target], update);
                values[target] = if dtype == DType::Bool { i128::from(combined != 0) } else { combined };
            }
            Ok(from_wholes(dtype, dims, &values)?)
        }
    }
}

/// Output 0 is a copy of operand 0 into which operand `updates` is written; `targets` is asked only for small tensors.
pub(super) fn infer_copy(
    cx: &mut InferCx<'_>,
    updates: usize,
    targets: impl FnOnce(&InferCx<'_>, &[usize]) -> Option<Vec<usize>>,
) {
    let dtype = cx.dtype(0).or(cx.dtype(updates));
    cx.set_tensor(0, dtype, cx.shape(0).cloned());
    let elements = |cx: &InferCx<'_>| -> Option<Vec<Dim>> {
        let mut elements = tracked(cx, 0)?.into_owned();
        let updates = tracked(cx, updates)?;
        let targets = targets(cx, &tracked_extents(cx.shape(0)?)?)?;
        for (target, update) in targets.into_iter().zip(updates.iter()) {
            elements.get_mut(target)?.clone_from(update);
        }
        Some(elements)
    };
    if let Some(elements) = elements(cx) {
        cx.set_elements(0, elements);
    }
}
