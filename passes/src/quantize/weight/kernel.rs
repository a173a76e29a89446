//! The loops over elements, in machine code for the processor at hand.
//!
//! Written so that the compiler makes vector code of them: rounding by adding and taking away 1.5·2²³, which leaves the nearest
//! whole number, ties to even, in the low bits; clamping before it, by comparison; no saturating casts, which would keep the
//! loop scalar. Elements are read from bytes of any alignment, as a mapped file has them.

use std::ops::Range;

use super::layout::{Scales, Segment};

/// An element of binary32 as it lies in a file.
pub(super) type Bytes4 = [u8; 4];

/// Adding it leaves no bits for a fraction. Source: ulp(1.5·2²³) = 1 in binary32.
const WHOLE: f32 = 12_582_912.0;

/// The exponent of NaN and infinity.
const NOT_FINITE: u32 = 0x7f80_0000;

/// Lanes of the reductions.
const LANES: usize = 16;

/// A type of codes.
pub(super) trait Code: Copy + Default + Send + Sync {
    /// The low bits.
    fn cut(value: i32) -> Self;
}

impl Code for u8 {
    #[inline(always)]
    fn cut(value: i32) -> Self {
        value as u8
    }
}

impl Code for u16 {
    #[inline(always)]
    fn cut(value: i32) -> Self {
        value as u16
    }
}

/// Ranges of elements around zero, one a scale from `first` on, and whether all were numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ranges {
    first: usize,
    pub(super) low: Vec<f32>,
    pub(super) high: Vec<f32>,
    /// The largest magnitude as bits, which order as the numbers do; NaN and infinity stand above.
    peak: u32,
}

impl Ranges {
    pub(super) fn new(scales: Range<usize>) -> Self {
        Self { first: scales.start, low: vec![0.0; scales.len()], high: vec![0.0; scales.len()], peak: 0 }
    }

    /// Whether all elements were numbers.
    pub(super) fn is_finite(&self) -> bool {
        self.peak < NOT_FINITE
    }

    /// Takes in what another part of the tensor has, whose scales are among these.
    pub(super) fn merge(&mut self, other: &Self) {
        let at = other.first - self.first..other.first - self.first + other.low.len();
        let pairs = self.low[at.clone()].iter_mut().zip(&other.low);
        pairs.for_each(|(low, &other)| *low = least(*low, other));
        let pairs = self.high[at].iter_mut().zip(&other.high);
        pairs.for_each(|(high, &other)| *high = most(*high, other));
        self.peak = self.peak.max(other.peak);
    }
}

#[inline(always)]
fn least(a: f32, b: f32) -> f32 {
    if b < a { b } else { a }
}

#[inline(always)]
fn most(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// Runs the body in vector code where the processor has it.
macro_rules! dispatched {
    ($(#[doc = $doc:literal])+ $name:ident $(<$code:ident>)?, $body:ident($($arg:ident: $type:ty),* $(,)?)) => {
        $(#[doc = $doc])+
        pub(super) fn $name$(<$code: Code>)?($($arg: $type),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn vectors$(<$code: Code>)?($($arg: $type),*) {
                    $body($($arg),*);
                }
                if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
                    // SAFETY: the processor has what the function is compiled for.
                    unsafe { vectors($($arg),*) };
                    return;
                }
            }
            $body($($arg),*);
        }
    };
}

dispatched! {
    /// Widens ranges by the elements of segments, which start at element `from` of the tensor.
    widen, widen_body(elements: &[Bytes4], from: usize, segments: &mut dyn Iterator<Item = Segment>, ranges: &mut Ranges)
}

#[inline(always)]
fn widen_body(elements: &[Bytes4], from: usize, segments: &mut dyn Iterator<Item = Segment>, ranges: &mut Ranges) {
    for segment in segments {
        let part = &elements[segment.start - from..][..segment.length];
        match segment.scales {
            Scales::One(scale) => {
                let (low, high, peak) = range(part);
                let scale = scale - ranges.first;
                ranges.low[scale] = least(ranges.low[scale], low);
                ranges.high[scale] = most(ranges.high[scale], high);
                ranges.peak = ranges.peak.max(peak);
            }
            Scales::Row(first) => {
                let first = first - ranges.first;
                let low = &mut ranges.low[first..][..part.len()];
                let high = &mut ranges.high[first..][..part.len()];
                ranges.peak = ranges.peak.max(widen_row(part, low, high));
            }
        }
    }
}

/// Widens a range for each element; answers the largest magnitude as bits.
#[inline(always)]
fn widen_row(part: &[Bytes4], low: &mut [f32], high: &mut [f32]) -> u32 {
    let mut peak = [0u32; LANES];
    let (chunks, rest) = part.as_chunks::<LANES>();
    let (low_chunks, low_rest) = low.as_chunks_mut::<LANES>();
    let (high_chunks, high_rest) = high.as_chunks_mut::<LANES>();
    for ((chunk, low), high) in chunks.iter().zip(low_chunks).zip(high_chunks) {
        // Whole chunks are written back: single elements, each on a condition, would become masked stores, which are slow.
        let (mut lower, mut higher) = (*low, *high);
        for lane in 0..LANES {
            let value = f32::from_le_bytes(chunk[lane]);
            lower[lane] = least(lower[lane], value);
            higher[lane] = most(higher[lane], value);
            peak[lane] = peak[lane].max(value.to_bits() & !(1 << 31));
        }
        (*low, *high) = (lower, higher);
    }
    for (lane, ((bytes, low), high)) in rest.iter().zip(low_rest).zip(high_rest).enumerate() {
        let value = f32::from_le_bytes(*bytes);
        *low = least(*low, value);
        *high = most(*high, value);
        peak[lane] = peak[lane].max(value.to_bits() & !(1 << 31));
    }
    peak.into_iter().fold(0, u32::max)
}

/// The least and the largest, zero among them, and the largest magnitude as bits.
#[inline(always)]
fn range(part: &[Bytes4]) -> (f32, f32, u32) {
    let (mut low, mut high, mut peak) = ([0f32; LANES], [0f32; LANES], [0u32; LANES]);
    let (chunks, rest) = part.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            let value = f32::from_le_bytes(chunk[lane]);
            low[lane] = least(low[lane], value);
            high[lane] = most(high[lane], value);
            peak[lane] = peak[lane].max(value.to_bits() & !(1 << 31));
        }
    }
    for (lane, bytes) in rest.iter().enumerate() {
        let value = f32::from_le_bytes(*bytes);
        low[lane] = least(low[lane], value);
        high[lane] = most(high[lane], value);
        peak[lane] = peak[lane].max(value.to_bits() & !(1 << 31));
    }
    (low.into_iter().fold(0.0, least), high.into_iter().fold(0.0, most), peak.into_iter().fold(0, u32::max))
}

/// Scales and zero points, one each a scale, and the codes in use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameters<'a> {
    pub(super) scales: &'a [f32],
    pub(super) zeros: &'a [i32],
    pub(super) low: i32,
    pub(super) high: i32,
}

dispatched! {
    /// Writes the codes of segments, which start at element `from` of the tensor; all elements are numbers.
    encode<C>, encode_body(elements: &[Bytes4], from: usize, segments: &mut dyn Iterator<Item = Segment>, parameters: Parameters<'_>, codes: &mut [C])
}

#[inline(always)]
fn encode_body<C: Code>(
    elements: &[Bytes4],
    from: usize,
    segments: &mut dyn Iterator<Item = Segment>,
    parameters: Parameters<'_>,
    codes: &mut [C],
) {
    let Parameters { scales, zeros, low, high } = parameters;
    for segment in segments {
        let at = segment.start - from;
        let part = &elements[at..][..segment.length];
        let codes = &mut codes[at..][..segment.length];
        match segment.scales {
            Scales::One(scale) => {
                let (scale, zero) = (scales[scale], zeros[scale]);
                let (least, most) = ((low - zero) as f32, (high - zero) as f32);
                let add = zero.wrapping_sub(WHOLE.to_bits() as i32);
                for (bytes, code) in part.iter().zip(codes) {
                    *code = coded(f32::from_le_bytes(*bytes) / scale, least, most, add);
                }
            }
            Scales::Row(first) => {
                let (scales, zeros) = (&scales[first..][..part.len()], &zeros[first..][..part.len()]);
                for (((bytes, code), &scale), &zero) in part.iter().zip(codes).zip(scales).zip(zeros) {
                    let (least, most) = ((low - zero) as f32, (high - zero) as f32);
                    let add = zero.wrapping_sub(WHOLE.to_bits() as i32);
                    *code = coded(f32::from_le_bytes(*bytes) / scale, least, most, add);
                }
            }
        }
    }
}

/// The code of a quotient: rounded, clamped, and moved by the zero point, which `add` holds less the bits of [`WHOLE`].
#[inline(always)]
fn coded<C: Code>(quotient: f32, low: f32, high: f32, add: i32) -> C {
    let clamped = least(most(quotient, low), high);
    C::cut(((clamped + WHOLE).to_bits() as i32).wrapping_add(add))
}

dispatched! {
    /// For each scale of a list: the sum of squares of what rounding loses of the elements, which are numbers of one group.
    errors, errors_body(elements: &[f32], candidates: &[(f32, i32)], codes: (i32, i32), sums: &mut [f64])
}

#[inline(always)]
fn errors_body(elements: &[f32], candidates: &[(f32, i32)], codes: (i32, i32), sums: &mut [f64]) {
    for (&(scale, zero), sum) in candidates.iter().zip(sums) {
        let (low, high) = ((codes.0 - zero) as f32, (codes.1 - zero) as f32);
        let mut total = 0f64;
        // Parts of a size that binary32 sums well.
        for part in elements.chunks(1 << 10) {
            let mut lanes = [0f32; LANES];
            let (chunks, rest) = part.as_chunks::<LANES>();
            for chunk in chunks {
                for lane in 0..LANES {
                    let lost = lost(chunk[lane], scale, low, high);
                    lanes[lane] += lost * lost;
                }
            }
            for (lane, &value) in rest.iter().enumerate() {
                let lost = lost(value, scale, low, high);
                lanes[lane] += lost * lost;
            }
            total += lanes.into_iter().map(f64::from).sum::<f64>();
        }
        *sum = total;
    }
}

dispatched! {
    /// As [`errors`], each element's square by its importance.
    weighted_errors, weighted_errors_body(elements: &[f32], importance: &[f32], candidates: &[(f32, i32)], codes: (i32, i32), sums: &mut [f64])
}

#[inline(always)]
fn weighted_errors_body(
    elements: &[f32],
    importance: &[f32],
    candidates: &[(f32, i32)],
    codes: (i32, i32),
    sums: &mut [f64],
) {
    for (&(scale, zero), sum) in candidates.iter().zip(sums) {
        let (low, high) = ((codes.0 - zero) as f32, (codes.1 - zero) as f32);
        let mut total = 0f64;
        for (part, weights) in elements.chunks(1 << 10).zip(importance.chunks(1 << 10)) {
            let mut lanes = [0f32; LANES];
            let ((chunks, rest), (weight_chunks, rest_weights)) =
                (part.as_chunks::<LANES>(), weights.as_chunks::<LANES>());
            for (chunk, weights) in chunks.iter().zip(weight_chunks) {
                for lane in 0..LANES {
                    let lost = lost(chunk[lane], scale, low, high);
                    lanes[lane] += weights[lane] * lost * lost;
                }
            }
            for (lane, (&value, weight)) in rest.iter().zip(rest_weights).enumerate() {
                let lost = lost(value, scale, low, high);
                lanes[lane] += weight * lost * lost;
            }
            total += lanes.into_iter().map(f64::from).sum::<f64>();
        }
        *sum = total;
    }
}

/// What rounding loses of an element.
#[inline(always)]
fn lost(value: f32, scale: f32, low: f32, high: f32) -> f32 {
    let rounded = (least(most(value / scale, low), high) + WHOLE) - WHOLE;
    value - rounded * scale
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(values: &[f32]) -> Vec<Bytes4> {
        values.iter().map(|value| value.to_le_bytes()).collect()
    }

    fn one(length: usize) -> impl Iterator<Item = Segment> {
        std::iter::once(Segment { start: 0, length, scales: Scales::One(0) })
    }

    #[test]
    fn ties_go_to_even_and_the_ends_clamp() {
        let values = [0.5, 1.5, 2.5, -0.5, -1.5, 1e30, -1e30, 3.49];
        let mut codes = [0u8; 8];
        let parameters = Parameters { scales: &[1.0], zeros: &[0], low: -127, high: 127 };
        encode(&bytes(&values), 0, &mut one(8), parameters, &mut codes);
        assert_eq!(codes.map(|code| code as i8), [0, 2, 2, 0, -2, 127, -127, 3]);
        let mut wide = [0u16; 8];
        let parameters = Parameters { scales: &[1.0], zeros: &[10], low: 0, high: 65535 };
        encode(&bytes(&values), 0, &mut one(8), parameters, &mut wide);
        assert_eq!(wide, [10, 12, 12, 10, 8, 65535, 0, 13]);
    }

    #[test]
    fn ranges_hold_zero_and_tell_what_is_no_number() {
        let mut ranges = Ranges::new(0..1);
        let values: Vec<f32> = (1u8..40).map(f32::from).collect();
        widen(&bytes(&values), 0, &mut one(39), &mut ranges);
        assert_eq!((ranges.low[0], ranges.high[0], ranges.is_finite()), (0.0, 39.0, true));
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut ranges = Ranges::new(0..1);
            widen(&bytes(&[1.0, wrong]), 0, &mut one(2), &mut ranges);
            assert!(!ranges.is_finite());
        }
    }

    #[test]
    fn what_rounding_loses() {
        let mut sums = [0.0; 2];
        errors(&[0.25, -1.0, 9.0], &[(1.0, 0), (0.25, 0)], (-8, 7), &mut sums);
        assert_eq!(sums, [0.0625 + 4.0, 7.25 * 7.25]);
        weighted_errors(&[0.25, -1.0, 9.0], &[2.0, 1.0, 0.5], &[(1.0, 0), (0.25, 0)], (-8, 7), &mut sums);
        assert_eq!(sums, [0.125 + 2.0, 7.25 * 7.25 / 2.0]);
    }
}
