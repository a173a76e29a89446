//! Codes that stand for values of a table: floats of eight and four bits, and the quantiles of a normal distribution.
//!
//! Sources: the values of the small floats are the standard's; NF4: T. Dettmers et al., "QLoRA: efficient finetuning of quantized
//! language models" (2023), whose sixteen values are given there to sixteen digits.

use onnxpress_ir::DType;
use onnxpress_ir::tensor::minifloat;
use rayon::prelude::*;

use super::choose;
use super::kernel::Bytes4;
use super::layout::Layout;
use super::scheme::{Refusal, Rounding};

/// The values of NF4, by code.
pub(crate) const NF4: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

/// Scales that the search tries, and how far they are apart.
const TRIED: usize = 24;
const STEP: f32 = 0.02;

/// Values with their codes, ascending.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    values: Vec<f32>,
    codes: Vec<u8>,
    /// Between each value and the next.
    borders: Vec<f32>,
}

impl Table {
    /// Of these values, each with its place as the code.
    pub(super) fn of_values(values: &[f32]) -> Self {
        Self::new((0u8..).zip(values.iter().copied()).map(|(code, value)| (value, code)).collect())
    }

    /// Of a float type of at most eight bits.
    ///
    /// # Errors
    /// Where it is none.
    pub(super) fn of_floats(dtype: DType) -> Result<Self, Refusal> {
        if !dtype.is_float() || dtype.bits() > 8 {
            return Err(Refusal::Codes(dtype));
        }
        let last = u8::MAX >> (8 - dtype.bits());
        let finite = |code: u8| {
            let value = minifloat::decode(dtype, code)? as f32;
            value.is_finite().then_some((value, code))
        };
        Ok(Self::new((0..=last).filter_map(finite).collect()))
    }

    fn new(mut pairs: Vec<(f32, u8)>) -> Self {
        // Of the two zeros the positive one has the lower code.
        pairs.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(std::cmp::Ordering::Equal).then(a.1.cmp(&b.1)));
        pairs.dedup_by(|later, first| later.0 == first.0);
        let (values, codes): (Vec<f32>, Vec<u8>) = pairs.into_iter().unzip();
        let borders = values.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0).collect();
        Self { values, codes, borders }
    }

    /// The largest magnitude that it has on both sides.
    fn reach(&self) -> f32 {
        let ends = [self.values.first(), self.values.last()];
        ends.into_iter().flatten().fold(f32::INFINITY, |reach, value| reach.min(value.abs()))
    }

    /// The place of the value nearest to a quotient.
    fn place(&self, quotient: f32) -> usize {
        self.borders.partition_point(|&border| border < quotient)
    }

    /// The value nearest to a quotient.
    pub(super) fn nearest(&self, quotient: f32) -> f32 {
        self.values[self.place(quotient)]
    }

    /// What is lost of a group with a scale.
    fn lost(&self, group: &[f32], importance: Option<&[f32]>, scale: f32) -> f64 {
        let one = |(place, &value): (usize, &f32)| {
            let weight = importance.map_or(1.0, |all| f64::from(all[place]));
            weight * f64::from(value - self.nearest(value / scale) * scale).powi(2)
        };
        group.iter().enumerate().map(one).sum()
    }

    /// The scale of a group.
    fn scale(&self, group: &[f32], importance: Option<&[f32]>, rounding: Rounding, round: &impl Fn(f32) -> f32) -> f32 {
        let peak = group.iter().fold(0f32, |peak, value| peak.max(value.abs()));
        let widest = (peak / self.reach()).clamp(f32::MIN_POSITIVE, f32::MAX);
        if peak == 0.0 {
            return 1.0;
        }
        let steps = if rounding == Rounding::Nearest { 1 } else { TRIED };
        let candidates =
            (0..steps).map(|step| round(widest * (1.0 - STEP * step as f32)).clamp(f32::MIN_POSITIVE, f32::MAX));
        let mut best = (f64::INFINITY, widest);
        for scale in candidates {
            let lost = if steps == 1 { 0.0 } else { self.lost(group, importance, scale) };
            if lost < best.0 {
                best = (lost, scale);
            }
        }
        best.1
    }

    /// The scales of a tensor; with `importance`, one number an element, errors count by it.
    pub(super) fn scales(
        &self,
        elements: &[Bytes4],
        importance: Option<&[f32]>,
        layout: &Layout,
        rounding: Rounding,
        round: &(impl Fn(f32) -> f32 + Sync),
    ) -> Vec<f32> {
        let of_group = |scale: usize| {
            let importance = importance.map(|all| choose::of_group(all, layout, scale));
            self.scale(&choose::group(elements, layout, scale), importance.as_deref(), rounding, round)
        };
        (0..layout.count()).into_par_iter().map(of_group).collect()
    }

    /// The codes of a tensor, one a place.
    pub(super) fn encoded(&self, elements: &[Bytes4], layout: &Layout, scales: &[f32]) -> Vec<u8> {
        let segments = (0..layout.segment_count()).into_par_iter().map(|number| layout.segment(number));
        let codes = segments.flat_map_iter(|segment| {
            (segment.start..segment.start + segment.length).map(move |place| {
                let value = f32::from_le_bytes(elements[place]);
                self.codes[self.place(value / scales[segment.scale_of(place)])]
            })
        });
        codes.collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_nearest_value_of_a_small_float() {
        let table = Table::of_floats(DType::Float4e2m1).unwrap();
        assert_eq!(table.values, [-6.0, -4.0, -3.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]);
        assert_eq!(table.codes[table.place(0.1)], 0);
        assert_eq!(table.values[table.place(-9.0)], -6.0);
        assert_eq!(Table::of_floats(DType::Float8e4m3fn).unwrap().reach(), 448.0);
        assert!(Table::of_floats(DType::Float).is_err());
        assert_eq!(Table::of_values(&NF4).reach(), 1.0);
    }
}
