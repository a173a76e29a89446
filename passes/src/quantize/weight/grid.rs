//! The numbers that codes can stand for, scales and zero points being settled and codes not yet.
//!
//! Whoever chooses codes by more than the nearest, as [`feedback`](super::feedback) does, asks a [`Grid`] what a number becomes at
//! a place of the weight, and has the grid write down what was chosen.

use bytes::Bytes;
use onnxpress_ir::{DType, Tensor};
use rayon::prelude::*;

use super::choose;
use super::coded::Rounded;
use super::kernel::{self, Bytes4, Ranges};
use super::layout::{Granularity, Layout};
use super::quantized::Quantized;
use super::scheme::{Codes, Meaning, Refusal, Rounding, Scheme};
use super::table::{NF4, Table};

/// Elements that one thread works on at least.
pub(super) const GRAIN: usize = 1 << 18;

/// Scales, zero points and what lies between them, for a weight of certain extents.
#[derive(Debug, Clone)]
pub(crate) struct Grid {
    layout: Layout,
    granularity: Granularity,
    scheme: Scheme,
    /// The element type of the weight.
    dtype: DType,
    dims: Vec<usize>,
    scales: Vec<f32>,
    steps: Steps,
}

/// What lies between scales.
#[derive(Debug, Clone)]
enum Steps {
    /// Whole numbers, less a zero point for each scale.
    Whole { codes: Codes, zeros: Vec<i32> },
    /// Values of a table.
    Table(Table),
}

impl Grid {
    /// The grid that suits a weight. With `importance`, one number an element in their order, errors count by it where scales
    /// are searched. Scales are of the weight's own type.
    ///
    /// # Errors
    /// Where the weight is of no type that can be scaled, has no elements, or holds what is no number; where the axis is none of
    /// its own.
    pub(crate) fn of(
        weight: &Tensor,
        granularity: Granularity,
        scheme: &Scheme,
        importance: Option<&[f32]>,
    ) -> Result<Self, Refusal> {
        let layout = Layout::of(weight.dims(), granularity)?;
        let bytes = floats(weight)?;
        let (elements, _) = bytes.as_chunks::<4>();
        let dtype = weight.dtype();
        let round = |scale: f32| stored(scheme.scales.unwrap_or(dtype), scale);
        let ranges = ranges(elements, &layout);
        if !ranges.is_finite() {
            return Err(Refusal::NotFinite);
        }
        let (scales, steps) = match table(scheme)? {
            Some(table) => (table.scales(elements, importance, &layout, scheme.rounding, &round), Steps::Table(table)),
            None => {
                let codes = scheme.codes()?;
                let (scales, zeros) = match scheme.rounding {
                    Rounding::Nearest => choose::nearest(&ranges, codes, &round),
                    _ => {
                        let search = |scale: usize| {
                            let group = choose::group(elements, &layout, scale);
                            let importance = importance.map(|all| choose::of_group(all, &layout, scale));
                            let range = (ranges.low[scale], ranges.high[scale]);
                            let found = choose::least_lost(&group, importance.as_deref(), range, codes, &round);
                            match scheme.rounding {
                                Rounding::Hqq => choose::half_quadratic(&group, found, codes),
                                _ => found,
                            }
                        };
                        (0..layout.count()).into_par_iter().map(search).unzip()
                    }
                };
                (scales, Steps::Whole { codes, zeros })
            }
        };
        Ok(Self { layout, granularity, scheme: *scheme, dtype, dims: weight.dims().to_vec(), scales, steps })
    }

    /// What a number becomes at a place of the weight: the nearest that a code stands for there.
    pub(crate) fn rounded(&self, place: usize, value: f32) -> f32 {
        let number = self.layout.scale_at(place);
        let scale = self.scales[number];
        match &self.steps {
            Steps::Whole { codes, zeros } => {
                let (low, high) = ((codes.low - zeros[number]) as f32, (codes.high - zeros[number]) as f32);
                (value / scale).round_ties_even().clamp(low, high) * scale
            }
            Steps::Table(table) => table.nearest(value / scale) * scale,
        }
    }

    /// The codes of a weight of the grid's extents: of each element the nearest.
    ///
    /// # Errors
    /// Where the weight is another.
    pub(crate) fn encoded(&self, weight: &Tensor) -> Result<Quantized, Refusal> {
        if weight.dims() != self.dims || weight.dtype() != self.dtype {
            return Err(Refusal::Weight(weight.dtype()));
        }
        let (dtype, layout) = (self.scheme.dtype, &self.layout);
        let (codes, zero_point) = match &self.steps {
            Steps::Table(table) => {
                let bytes = floats(weight)?;
                let (elements, _) = bytes.as_chunks::<4>();
                (Tensor::from_codes(dtype, &self.dims, &table.encoded(elements, layout, &self.scales))?, None)
            }
            Steps::Whole { codes, zeros } => {
                let made = Rounded {
                    weight: weight.clone(),
                    dtype,
                    layout: layout.clone(),
                    codes: *codes,
                    scales: self.scales.clone(),
                    zeros: zeros.clone(),
                };
                let made = made.tensor()?;
                let zeros: Vec<i64> = zeros.iter().map(|&zero| i64::from(zero)).collect();
                let zeros = (codes.zero != Some(0)).then(|| Tensor::from_i64s(dtype, layout.parameter_dims(), &zeros));
                (made, zeros.transpose()?)
            }
        };
        let scale = match self.dtype {
            DType::Float => Tensor::from_values(layout.parameter_dims(), self.scales.clone())?,
            other => {
                let scales: Vec<f64> = self.scales.iter().copied().map(f64::from).collect();
                Tensor::from_f64s(other, layout.parameter_dims(), &scales)?
            }
        };
        Ok(Quantized { codes, scale, zero_point, granularity: self.granularity, meaning: self.scheme.meaning })
    }
}

/// The table that codes of a scheme are looked up in; `None` where they are whole numbers.
fn table(scheme: &Scheme) -> Result<Option<Table>, Refusal> {
    match scheme.meaning {
        Meaning::Nf4 => Ok(Some(Table::of_values(&NF4))),
        Meaning::Number if scheme.dtype.is_float() => Table::of_floats(scheme.dtype).map(Some),
        Meaning::Number => Ok(None),
    }
}

/// The elements of a weight in binary32.
pub(super) fn floats(weight: &Tensor) -> Result<Bytes, Refusal> {
    match (weight.dtype(), weight.bytes()) {
        (DType::Float, Some(bytes)) => Ok(bytes.clone()),
        (DType::Float16 | DType::Bfloat16, Some(_)) => {
            Ok(Bytes::from_iter(weight.to_f32s()?.iter().flat_map(|value| value.to_le_bytes())))
        }
        (other, _) => Err(Refusal::Weight(other)),
    }
}

/// A scale as its type holds it.
pub(crate) fn stored(dtype: DType, scale: f32) -> f32 {
    if dtype == DType::Float {
        return scale;
    }
    let stored = Tensor::from_f64s(dtype, &[], &[f64::from(scale)]).and_then(|tensor| tensor.to_f32s());
    match stored.ok().and_then(|values| values.first().copied()) {
        // What the type cannot tell from zero is as good as its least scale that can divide.
        Some(stored) if stored > 0.0 && stored.is_finite() => stored,
        Some(stored) if stored > 0.0 => 65504.0,
        _ => f32::from_bits(0x3380_0000),
    }
}

/// The ranges of a tensor, in parts side by side.
fn ranges(elements: &[Bytes4], layout: &Layout) -> Ranges {
    let parts = layout.parts(GRAIN).into_par_iter().map(|part| {
        let (places, mut ranges) = (layout.places(&part), Ranges::new(layout.scales(&part)));
        let mut segments = part.map(|number| layout.segment(number));
        kernel::widen(&elements[places.clone()], places.start, &mut segments, &mut ranges);
        ranges
    });
    let mut all = Ranges::new(0..layout.count());
    parts.collect::<Vec<Ranges>>().iter().for_each(|ranges| all.merge(ranges));
    all
}
