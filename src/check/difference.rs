//! How far one value lies from another.

use half::{bf16, f16};
use num_complex::Complex;
use onnxpress_ir::{DType, Element, Kind, SparseTensor, Tensor};
use onnxpress_ops::evaluate::Value;

use crate::inputs::type_of;

/// A peak below this counts as this: an output that is all but zero has no scale of its own.
const LEAST_PEAK: f64 = 1e-3;

/// What is taken off the error of 16-bit outputs, relative to the peak: a rounding of bfloat16, on top of which nobody can
/// compute.
const ROUNDING_OF_16_BITS: f64 = 1.0 / 512.0;

/// How far a value lies from the one it is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Why the two are not comparable: other types, extents, or places of NaNs and infinities.
    pub mismatch: Option<String>,
    /// The largest difference, relative to the largest magnitude of the value that is to be (at least 1e-3). For what is no
    /// number of floating point: 1 as soon as anything differs. Infinite where the two are not comparable.
    pub error: f64,
    /// The mean difference, relative to the same.
    pub mean_error: f64,
    /// Signal to noise in decibels: ten times the logarithm of the ratio of energies; infinite where nothing differs.
    pub snr_db: f64,
    /// Of the rows along the last axis, which may be scores of classes, the share whose largest element is in the same place.
    /// `None` where there is nothing to choose from.
    pub top_agreement: Option<f64>,
    /// Elements compared.
    pub elements: usize,
}

impl Difference {
    fn none(elements: usize) -> Self {
        Self { mismatch: None, error: 0.0, mean_error: 0.0, snr_db: f64::INFINITY, top_agreement: None, elements }
    }

    fn mismatch(reason: String) -> Self {
        let (error, snr_db) = (f64::INFINITY, f64::NEG_INFINITY);
        Self { mismatch: Some(reason), error, mean_error: error, snr_db, top_agreement: None, elements: 0 }
    }

    /// What holds of two values together, as of the same output for different inputs: the worse of each.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        let weight = |part: &Self| part.elements as f64;
        let all = weight(&self) + weight(&other);
        let mean = |a: f64, b: f64| if all > 0.0 { (a * weight(&self) + b * weight(&other)) / all } else { a.max(b) };
        Self {
            error: self.error.max(other.error),
            mean_error: if self.mismatch.is_some() || other.mismatch.is_some() {
                f64::INFINITY
            } else {
                mean(self.mean_error, other.mean_error)
            },
            snr_db: self.snr_db.min(other.snr_db),
            top_agreement: match (self.top_agreement, other.top_agreement) {
                (Some(a), Some(b)) => Some(mean(a, b)),
                (a, b) => a.or(b),
            },
            elements: self.elements + other.elements,
            mismatch: self.mismatch.or(other.mismatch),
        }
    }
}

/// How far `found` lies from `expected`.
pub fn difference(expected: &Value, found: &Value) -> Difference {
    match (expected, found) {
        (Value::Tensor(a), Value::Tensor(b)) => of_tensors(a, b),
        (Value::Sparse(a), Value::Sparse(b)) => of_sparse(a, b),
        (Value::Sequence(a), Value::Sequence(b)) if a.len() == b.len() => of_all(a, b),
        (Value::Sequence(a), Value::Sequence(b)) => {
            Difference::mismatch(format!("{} elements instead of {}", b.len(), a.len()))
        }
        (Value::Optional(None), Value::Optional(None)) => Difference::none(0),
        (Value::Optional(Some(a)), Value::Optional(Some(b))) => difference(a, b),
        (Value::Map(keys, a), Value::Map(other_keys, b)) if keys == other_keys && a.len() == b.len() => of_all(a, b),
        (Value::Map(..), Value::Map(..)) => Difference::mismatch("other keys".to_owned()),
        _ => other_type(expected, found),
    }
}

fn other_type(expected: &Value, found: &Value) -> Difference {
    Difference::mismatch(format!("{} instead of {}", type_of(found), type_of(expected)))
}

fn of_all(expected: &[Value], found: &[Value]) -> Difference {
    let parts = expected.iter().zip(found).map(|(a, b)| difference(a, b));
    parts.reduce(Difference::worst).unwrap_or_else(|| Difference::none(0))
}

fn of_sparse(a: &SparseTensor, b: &SparseTensor) -> Difference {
    if a.dims != b.dims || a.indices != b.indices {
        return Difference::mismatch("elements stored in other places".to_owned());
    }
    of_tensors(&a.values, &b.values)
}

fn of_tensors(a: &Tensor, b: &Tensor) -> Difference {
    if a.dtype() != b.dtype() || a.dims() != b.dims() {
        return other_type(&Value::Tensor(a.clone()), &Value::Tensor(b.clone()));
    }
    let measured = match a.dtype() {
        DType::Float => plain(a, b, |x: f32| x.into()),
        DType::Double => plain(a, b, |x: f64| x),
        DType::Float16 => plain(a, b, |x: f16| x.into()),
        DType::Bfloat16 => plain(a, b, |x: bf16| x.into()),
        DType::Complex64 => complex(a, b, |z: Complex<f32>| [z.re.into(), z.im.into()]),
        DType::Complex128 => complex(a, b, |z: Complex<f64>| [z.re, z.im]),
        dtype if dtype.kind() == Kind::Float => match (a.to_f64s(), b.to_f64s()) {
            (Ok(x), Ok(y)) => Some(measure(&x, &y, |x| x)),
            _ => None,
        },
        _ => return exact(a, b),
    };
    let Some(mut difference) = measured else { return exact(a, b) };
    if a.dtype().bits() == 16 {
        difference.error = (difference.error - ROUNDING_OF_16_BITS).max(0.0);
    }
    let row = a.dims().last().copied().unwrap_or(0);
    if row > 1
        && difference.mismatch.is_none()
        && let (Ok(x), Ok(y)) = (a.to_f32s(), b.to_f32s())
    {
        let same = x.chunks_exact(row).zip(y.chunks_exact(row)).filter(|(x, y)| top(x) == top(y)).count();
        let rows = x.len() / row;
        difference.top_agreement = (rows > 0).then(|| same as f64 / rows as f64);
    }
    difference
}

/// Where the first of the largest elements stands.
fn top(row: &[f32]) -> usize {
    let larger = |best: usize, at: usize| if row[at] > row[best] { at } else { best };
    (0..row.len()).fold(0, larger)
}

fn plain<T: Element>(a: &Tensor, b: &Tensor, number: impl Fn(T) -> f64) -> Option<Difference> {
    Some(measure(&a.values::<T>().ok()?, &b.values::<T>().ok()?, number))
}

fn complex<T: Element>(a: &Tensor, b: &Tensor, parts: impl Fn(T) -> [f64; 2]) -> Option<Difference> {
    let flat = |tensor: &Tensor| -> Option<Vec<f64>> {
        Some(tensor.values::<T>().ok()?.iter().flat_map(|&z| parts(z)).collect())
    };
    Some(measure(&flat(a)?, &flat(b)?, |x| x))
}

fn measure<T: Copy>(a: &[T], b: &[T], number: impl Fn(T) -> f64) -> Difference {
    let pairs = || a.iter().zip(b).map(|(&a, &b)| (number(a), number(b)));
    let kind = |x: f64| (x.is_nan(), x == f64::INFINITY, x == f64::NEG_INFINITY);
    if let Some(at) = pairs().position(|(x, y)| kind(x) != kind(y)) {
        let (x, y) = (number(a[at]), number(b[at]));
        return Difference::mismatch(format!("element {at} is {y} instead of {x}"));
    }
    let finite = || pairs().filter(|(x, _)| x.is_finite());
    let (mut peak, mut largest, mut sum, mut signal, mut noise) = (0f64, 0f64, 0f64, 0f64, 0f64);
    let mut count = 0usize;
    for (x, y) in finite() {
        let distance = (x - y).abs();
        peak = peak.max(x.abs());
        largest = largest.max(distance);
        sum += distance;
        signal += x * x;
        noise += distance * distance;
        count += 1;
    }
    let scale = peak.max(LEAST_PEAK);
    Difference {
        error: largest / scale,
        mean_error: if count == 0 { 0.0 } else { sum / count as f64 / scale },
        // A signal of nothing but zeros has no decibels; this is what it is held to instead.
        snr_db: if noise == 0.0 { f64::INFINITY } else { 10.0 * (signal.max(1e-300) / noise).log10() },
        ..Difference::none(a.len())
    }
}

/// Whole numbers, truth values, strings: equal or not.
fn exact(a: &Tensor, b: &Tensor) -> Difference {
    let count = a.len();
    let differing = match (a.strings(), b.strings()) {
        (Some(a), Some(b)) => a.iter().zip(b).filter(|(a, b)| a != b).count(),
        _ => match (a.to_i64s(), b.to_i64s()) {
            (Ok(a), Ok(b)) => a.iter().zip(&b).filter(|(a, b)| a != b).count(),
            _ => usize::from(a != b),
        },
    };
    if differing == 0 {
        return Difference::none(count);
    }
    Difference {
        error: 1.0,
        mean_error: differing as f64 / count.max(1) as f64,
        snr_db: 0.0,
        ..Difference::none(count)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn floats(values: &[f32]) -> Value {
        Value::Tensor(Tensor::vector(values.to_vec()))
    }

    fn error(expected: &[f32], found: &[f32]) -> f64 {
        difference(&floats(expected), &floats(found)).error
    }

    #[test]
    fn errors_are_relative_to_the_peak_of_what_is_expected() {
        assert_eq!(error(&[4.0, 0.0], &[4.0, 1.0]), 0.25);
        assert_eq!(error(&[-8.0, 0.0], &[-8.0, 1.0]), 0.125);
        assert!((error(&[0.0], &[1e-6]) - 1e-3).abs() < 1e-9, "what is all but zero counts as 1e-3");
        assert_eq!(error(&[], &[]), 0.0);
    }

    #[test]
    fn decibels_and_means_tell_how_much_on_the_whole() {
        let found = difference(&floats(&[10.0, 0.0]), &floats(&[9.0, 0.0]));
        assert_eq!((found.snr_db, found.mean_error), (20.0, 0.05));
        assert_eq!(difference(&floats(&[1.0]), &floats(&[1.0])).snr_db, f64::INFINITY);
    }

    #[test]
    fn nans_and_infinities_must_stand_in_the_same_places() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        assert_eq!(error(&[nan, inf, 2.0], &[nan, inf, 2.0]), 0.0);
        assert_eq!(error(&[nan, 1.0], &[nan, 2.0]), 1.0, "what is not finite does not count into the peak");
        for found in [[1.0, nan], [nan, inf], [nan, nan]] {
            let found = difference(&floats(&[nan, 1.0]), &floats(&found));
            assert_eq!(found.error, f64::INFINITY);
            assert!(found.mismatch.is_some());
        }
        assert_eq!(error(&[inf], &[-inf]), f64::INFINITY);
    }

    #[test]
    fn types_and_extents_must_be_the_same() {
        let two = |dims: &[usize]| Value::Tensor(Tensor::from_values(dims, vec![1f32, 2.0]).unwrap());
        let found = difference(&two(&[2, 1]), &two(&[1, 2]));
        assert_eq!(found.mismatch.as_deref(), Some("float[1,2] instead of float[2,1]"));
        let whole = Value::Tensor(Tensor::vector(vec![1i32, 2]));
        assert_eq!(difference(&two(&[2]), &whole).mismatch.as_deref(), Some("int32[2] instead of float[2]"));
        let longer = difference(&Value::Sequence(vec![whole.clone()]), &Value::Sequence(vec![]));
        assert_eq!(longer.mismatch.as_deref(), Some("0 elements instead of 1"));
        assert!(difference(&whole, &Value::Optional(None)).mismatch.is_some());
    }

    #[test]
    fn whole_numbers_and_strings_are_equal_or_wrong() {
        let whole = |values: Vec<i64>| Value::Tensor(Tensor::vector(values));
        let found = difference(&whole(vec![1 << 60, 2, 3, 4]), &whole(vec![(1 << 60) + 1, 2, 3, 4]));
        assert_eq!((found.error, found.mean_error, found.mismatch), (1.0, 0.25, None));
        let word = |text: &'static str| {
            Value::Tensor(
                Tensor::from_strings(&[1], vec![onnxpress_proto::Bytes::from_static(text.as_bytes())]).unwrap(),
            )
        };
        assert_eq!(difference(&word("a"), &word("a")).error, 0.0);
        assert_eq!(difference(&word("a"), &word("b")).error, 1.0);
    }

    #[test]
    fn a_rounding_of_sixteen_bits_is_no_error() {
        let half = |values: &[f32]| {
            Value::Tensor(Tensor::vector(values.iter().map(|&x| f16::from_f32(x)).collect::<Vec<_>>()))
        };
        assert_eq!(difference(&half(&[1.0]), &half(&[1.001])).error, 0.0);
        assert!(difference(&half(&[1.0]), &half(&[1.01])).error > 5e-3);
    }

    #[test]
    fn rows_agree_where_the_same_class_wins() {
        let scores = |values: [f32; 6]| Value::Tensor(Tensor::from_values(&[2, 3], values.to_vec()).unwrap());
        let found = difference(&scores([1.0, 2.0, 3.0, 3.0, 2.0, 1.0]), &scores([1.0, 2.0, 2.5, 1.0, 2.0, 1.0]));
        assert_eq!(found.top_agreement, Some(0.5));
        assert_eq!(difference(&floats(&[1.0]), &floats(&[1.0])).top_agreement, None);
    }

    #[test]
    fn the_worse_of_two_counts_and_means_are_weighed() {
        let a = difference(&floats(&[1.0, 0.0, 0.0]), &floats(&[1.0, 0.0, 0.0]));
        let b = difference(&floats(&[1.0]), &floats(&[0.5]));
        let both = a.worst(b);
        assert_eq!((both.error, both.mean_error, both.elements), (0.5, 0.125, 4));
        assert_eq!(both.top_agreement, Some(1.0));
    }
}
