//! Which scale and zero point an element has: one for all, one for each index of an axis, or one for each block.

use onnxpress_ir::Tensor;

use crate::evaluate::{EvalCx, EvalError};
use crate::infer::{InferCx, Undecided};
use crate::node::NodeCx;

/// How the parameters of a tensor lie along its axes.
///
/// Index `(outer, at, inner)` of the tensor, split at the axis of quantization, has the parameter
/// `(outer, at / block, inner)`, or `at` alone, or the only one.
pub(crate) struct Granularity {
    inner: usize,
    extent: usize,
    kind: Kind,
}

enum Kind {
    PerTensor,
    PerAxis,
    Blocked { block: usize, blocks: usize },
}

impl Granularity {
    /// Of operand 0 with parameters of the extents `parameters`, by the attributes `axis` and `block_size`.
    ///
    /// # Errors
    /// Where parameters of these extents do not cover the tensor.
    pub(crate) fn of(cx: &EvalCx<'_>, dims: &[usize], parameters: &[usize]) -> Result<Self, EvalError> {
        let axis = cx.attrs().int_or("axis", 1)?;
        Self::along(dims, parameters, axis, cx.attrs().int_or("block_size", 0)?)
    }

    /// The same for an axis and a block size at hand; 0 is no block.
    ///
    /// # Errors
    /// As [`Granularity::of`].
    pub(crate) fn along(dims: &[usize], parameters: &[usize], axis: i64, block: i64) -> Result<Self, EvalError> {
        let fail = || EvalError::invalid(format!("parameters {parameters:?} of a tensor {dims:?} along axis {axis}"));
        if block == 0 && parameters.iter().all(|&extent| extent == 1) {
            return Ok(Self { inner: 1, extent: 1, kind: Kind::PerTensor });
        }
        let axis = onnxpress_ir::shape::normalize_axis(axis, dims.len()).ok_or_else(fail)?;
        let extent = dims[axis];
        let kind = match usize::try_from(block).map_err(|_| fail())? {
            0 if *parameters == [extent] => Kind::PerAxis,
            0 => return Err(fail()),
            block => {
                let blocks = extent.div_ceil(block);
                let mut expected = dims.to_vec();
                expected[axis] = blocks;
                if parameters.is_empty() {
                    return Ok(Self { inner: 1, extent: 1, kind: Kind::PerTensor });
                }
                if parameters != expected {
                    return Err(fail());
                }
                Kind::Blocked { block, blocks }
            }
        };
        let inner = if dims.contains(&0) { 1 } else { dims[axis + 1..].iter().product() };
        Ok(Self { inner, extent, kind })
    }

    /// The parameter of element `index`, row-major.
    pub(crate) fn parameter(&self, index: usize) -> usize {
        let at = (index / self.inner).checked_rem(self.extent).unwrap_or(0);
        match self.kind {
            Kind::PerTensor => 0,
            Kind::PerAxis => at,
            Kind::Blocked { block, blocks } => {
                let outer = (index / self.inner).checked_div(self.extent).unwrap_or(0);
                (outer * blocks + at / block) * self.inner + index % self.inner
            }
        }
    }

    /// The zero points, one a parameter; 0 where the operand is left out.
    ///
    /// # Errors
    /// Where there are more or fewer than scales.
    pub(crate) fn zero_points(zero_point: Option<&Tensor>, scale: &Tensor) -> Result<Vec<f64>, EvalError> {
        let Some(zero_point) = zero_point else { return Ok(vec![0.0; scale.len()]) };
        if zero_point.len() != scale.len() {
            return Err(EvalError::invalid(format!("{} zero points for {} scales", zero_point.len(), scale.len())));
        }
        Ok(zero_point.to_f64s()?)
    }
}

/// Fails where operand 1 holds one scale for each index of an axis and there are more or fewer indices.
pub(super) fn expect_scales(cx: &InferCx<'_>) -> Result<(), Undecided> {
    let (Some(x), Some(scale)) = (cx.shape(0), cx.shape(1)) else { return Ok(()) };
    let [scales] = &scale[..] else { return Ok(()) };
    if cx.version < 13 || cx.attrs().int_or("block_size", 0)? != 0 || scales.as_const() == Some(1) {
        return Ok(());
    }
    // One scale is for all elements, whatever the axis says; and how many there are may not be known.
    if scales.as_const().is_none() {
        return Ok(());
    }
    let axis = cx.axis(cx.attrs().int_or("axis", 1)?, x.len())?;
    match x[axis].equals(scales) {
        Some(false) => Err(Undecided::invalid(format!("{scales} scales along an axis of extent {}", x[axis]))),
        _ => Ok(()),
    }
}

/// The axes of a tensor, its parameters (operands 1 and 2) and the result.
pub(super) fn relation(cx: &NodeCx<'_>) -> Result<String, String> {
    let parameters = cx.operand_count().saturating_sub(1);
    let text = |x: &str, parameter: &str| format!("{x}{} -> {x}", format!(", {parameter}").repeat(parameters));
    let attrs = cx.attrs();
    let (Ok(axis), Ok(block)) = (attrs.int_or("axis", 1), attrs.int_or("block_size", 0)) else {
        return Err("which axis is quantized is not known here".to_owned());
    };
    let scale = cx.shape(1).ok_or("the rank of the scale is not known")?;
    if scale.is_empty() {
        return Ok(text("s..", ""));
    }
    if block == 0 && scale.len() == 1 && scale[0].as_const() == Some(1) {
        return Ok(text("s..", "1"));
    }
    let rank = cx.rank(0).ok_or("the rank of the tensor is not known")?;
    let axis = onnxpress_ir::shape::normalize_axis(axis, rank).ok_or("there is no such axis")?;
    let mut letters: Vec<String> = (0..rank).map(|index| format!("s{index}")).collect();
    if block == 0 {
        return Ok(text(&letters.join(" "), &letters[axis]));
    }
    // Some indices of a block cannot be removed without the others moving over to the next one.
    "_".clone_into(&mut letters[axis]);
    Ok(text(&letters.join(" "), &letters.join(" ")))
}
