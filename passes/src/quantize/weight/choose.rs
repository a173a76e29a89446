//! Scales and zero points for ranges, and the search for those that lose least.

use super::kernel::{self, Bytes4, Ranges};
use super::layout::Layout;
use super::scheme::Codes;

/// Scales that the search tries: from the one that reaches the largest weight down to a good third of it.
const TRIED: usize = 32;
/// Between two of them.
const STEP: f32 = 0.02;

/// A scale and the code of zero.
pub(super) type Parameter = (f32, i32);

/// The parameter with which the codes reach from `low` to `high`, which hold zero between them; `round` brings a scale to what
/// its type can hold.
pub(super) fn reaching(low: f32, high: f32, codes: Codes, round: &impl Fn(f32) -> f32) -> Parameter {
    let (low, high) = (f64::from(low), f64::from(high));
    let wide = match codes.zero {
        Some(zero) => {
            let (above, below) = (f64::from(codes.high - zero), f64::from(zero - codes.low));
            (high / above).max(-low / below)
        }
        None => (high - low) / f64::from(codes.high - codes.low),
    };
    // A weight that is zero has any scale; one is the plainest.
    let scale = if wide > 0.0 { usable(round(wide as f32)) } else { 1.0 };
    let zero = codes.zero.unwrap_or_else(|| {
        let zero = f64::from(codes.low) - low / f64::from(scale);
        (zero.round_ties_even() as i32).clamp(codes.low, codes.high)
    });
    (scale, zero)
}

/// A scale that can divide: neither zero nor infinite.
fn usable(scale: f32) -> f32 {
    scale.clamp(f32::MIN_POSITIVE, f32::MAX)
}

/// The parameters of ranges, one each.
pub(super) fn nearest(ranges: &Ranges, codes: Codes, round: &impl Fn(f32) -> f32) -> (Vec<f32>, Vec<i32>) {
    ranges.low.iter().zip(&ranges.high).map(|(&low, &high)| reaching(low, high, codes, round)).unzip()
}

/// The elements that share a scale.
pub(super) fn group(elements: &[Bytes4], layout: &Layout, scale: usize) -> Vec<f32> {
    layout.group(scale).places().map(|place| f32::from_le_bytes(elements[place])).collect()
}

/// The numbers of the elements that share a scale, of one for each element.
pub(super) fn of_group(numbers: &[f32], layout: &Layout, scale: usize) -> Vec<f32> {
    layout.group(scale).places().map(|place| numbers[place]).collect()
}

/// The parameter of a group that loses least, its range being given; ties go to the widest. With `importance`, one number an
/// element, errors count by it.
///
/// Tried are ranges that are clipped more and more, then, of the best, the scale that fits its codes best in the sense of least
/// squares, as long as that is better.
pub(super) fn least_lost(
    group: &[f32],
    importance: Option<&[f32]>,
    (low, high): (f32, f32),
    codes: Codes,
    round: &impl Fn(f32) -> f32,
) -> Parameter {
    let errors = |candidates: &[Parameter], sums: &mut [f64]| match importance {
        None => kernel::errors(group, candidates, (codes.low, codes.high), sums),
        Some(importance) => kernel::weighted_errors(group, importance, candidates, (codes.low, codes.high), sums),
    };
    let clipped = |step: usize| {
        let share = 1.0 - STEP * step as f32;
        reaching(low * share, high * share, codes, round)
    };
    let candidates: Vec<Parameter> = (0..TRIED).map(clipped).collect();
    let mut sums = vec![0.0; TRIED];
    errors(&candidates, &mut sums);
    let (mut best, mut lost) = (candidates[0], sums[0]);
    for (&candidate, &sum) in candidates.iter().zip(&sums) {
        if sum < lost {
            (best, lost) = (candidate, sum);
        }
    }
    for _ in 0..4 {
        let fitted = (usable(round(fitted(group, importance, best, codes))), best.1);
        let mut sum = [0.0];
        errors(&[fitted], &mut sum);
        if sum[0] >= lost {
            break;
        }
        (best, lost) = (fitted, sum[0]);
    }
    best
}

/// Rounds of [`half_quadratic`], the exponent of its norm, and the weight of its penalty with its growth.
const ROUNDS: usize = 20;
const NORM: f64 = 0.7;
const PENALTY: (f64, f64) = (10.0, 1.01);

/// The zero point that makes the error of a group sparse, the scale being given, where zero points are chosen at all.
///
/// In turns the error is shrunk as its norm of exponent 0.7 has it, and the zero point set to what then fits best; it is
/// stored as a code, so the best code of those that were met is kept.
///
/// Source: H. Badri, A. Shaji, "Half-quadratic quantization of large machine learning models" (2023).
pub(super) fn half_quadratic(group: &[f32], (scale, zero): Parameter, codes: Codes) -> Parameter {
    if codes.zero.is_some() || group.is_empty() {
        return (scale, zero);
    }
    let (step, low, high) = (f64::from(scale), f64::from(codes.low), f64::from(codes.high));
    let code = |value: f32, zero: f64| (f64::from(value) / step + zero).round_ties_even().clamp(low, high);
    let norm = |zero: f64| -> f64 {
        group.iter().map(|&value| (f64::from(value) - (code(value, zero) - zero) * step).abs().powf(NORM)).sum()
    };
    let (mut best, mut least) = (f64::from(zero), norm(f64::from(zero)));
    let (mut at, mut penalty) = (f64::from(zero), PENALTY.0);
    for _ in 0..ROUNDS {
        let mut sum = 0.0;
        for &value in group {
            let code = code(value, at);
            let error = f64::from(value) - (code - at) * step;
            let shrunk = error.signum() * (error.abs() - error.abs().powf(NORM - 1.0) / penalty).max(0.0);
            sum += code - (f64::from(value) - if error == 0.0 { 0.0 } else { shrunk }) / step;
        }
        at = sum / group.len() as f64;
        penalty *= PENALTY.1;
        let stored = at.round_ties_even().clamp(low, high);
        let lost = norm(stored);
        if lost < least {
            (best, least) = (stored, lost);
        }
    }
    (scale, best as i32)
}

/// The scale that fits best, by least squares, the codes that elements have with this one.
fn fitted(group: &[f32], importance: Option<&[f32]>, (scale, zero): Parameter, codes: Codes) -> f32 {
    let (low, high) = ((codes.low - zero) as f32, (codes.high - zero) as f32);
    let (mut product, mut square) = (0f64, 0f64);
    for (place, &value) in group.iter().enumerate() {
        let code = f64::from((value / scale).clamp(low, high).round_ties_even());
        let weight = importance.map_or(1.0, |all| f64::from(all[place]));
        product += weight * f64::from(value) * code;
        square += weight * code * code;
    }
    if square > 0.0 && product > 0.0 { (product / square) as f32 } else { scale }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INT8: Codes = Codes { low: -127, high: 127, zero: Some(0) };
    const UINT8: Codes = Codes { low: 0, high: 255, zero: None };

    #[test]
    fn the_largest_weight_has_the_last_code() {
        let plain = |scale: f32| scale;
        assert_eq!(reaching(-2.54, 1.0, INT8, &plain), (0.02, 0));
        assert_eq!(reaching(-1.0, 1.55, UINT8, &plain), (0.01, 100));
        assert_eq!(reaching(0.0, 0.0, UINT8, &plain), (1.0, 0));
        assert_eq!(reaching(0.0, 1e-44, INT8, &plain).0, f32::MIN_POSITIVE);
        assert!(reaching(f32::MIN, f32::MAX, UINT8, &plain).0.is_finite());
    }

    #[test]
    fn an_outlier_is_clipped_where_that_pays() {
        let mut values = [1.0f32, -1.0, 0.5, -0.5].repeat(64);
        values.push(2.0);
        let four = Codes { low: -8, high: 7, zero: Some(0) };
        let (scale, zero) = least_lost(&values, None, (-1.0, 2.0), four, &|scale| scale);
        let mut sums = [0.0; 2];
        kernel::errors(&values, &[(scale, zero), reaching(-1.0, 2.0, four, &|scale| scale)], (-8, 7), &mut sums);
        assert!(sums[0] < sums[1], "{scale}: {sums:?}");
        // Where it alone counts, it is held.
        let mut importance = vec![0.0; values.len()];
        importance[values.len() - 1] = 1.0;
        let (scale, zero) = least_lost(&values, Some(&importance), (-1.0, 2.0), four, &|scale| scale);
        assert!(
            (2.0 - (2.0 / scale).clamp((-8 - zero) as f32, (7 - zero) as f32).round_ties_even() * scale).abs() < 1e-6
        );
    }
}
