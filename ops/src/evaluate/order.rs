//! The order of a tensor's elements, whatever their type: for maxima, sorting and finding equal ones.

use std::cmp::Ordering;

use bytes::Bytes;
use num_complex::Complex;
use onnxpress_ir::{DType, Tensor};

use super::EvalError;
use super::whole::to_wholes;

/// The elements of a tensor, to be compared by place.
///
/// NaN comes after all numbers and equals itself; 0 equals -0; complex numbers are ordered by their real parts, then their
/// imaginary ones; strings by their bytes.
pub struct Ordered<'a>(Elements<'a>);

enum Elements<'a> {
    Floats(Vec<f64>),
    Wholes(Vec<i128>),
    Pairs(Vec<(f64, f64)>),
    Strings(&'a [Bytes]),
}

impl<'a> Ordered<'a> {
    /// The elements of a tensor of any type.
    ///
    /// # Errors
    /// Never for a tensor that is well formed.
    pub fn of(tensor: &'a Tensor) -> Result<Self, EvalError> {
        fn pairs<T: Copy + Into<f64>>(values: &[Complex<T>]) -> Vec<(f64, f64)> {
            values.iter().map(|value| (value.re.into(), value.im.into())).collect()
        }
        Ok(Self(match tensor.dtype() {
            DType::String => Elements::Strings(tensor.strings().unwrap_or_default()),
            DType::Complex64 => Elements::Pairs(pairs(&tensor.values::<Complex<f32>>()?)),
            DType::Complex128 => Elements::Pairs(pairs(&tensor.values::<Complex<f64>>()?)),
            dtype if dtype.is_float() => Elements::Floats(tensor.to_f64s()?),
            _ => Elements::Wholes(to_wholes(tensor)?),
        }))
    }

    /// How the elements at two places compare; both must be there.
    pub fn compare(&self, a: usize, b: usize) -> Ordering {
        match &self.0 {
            Elements::Floats(values) => numbers(values[a], values[b]),
            Elements::Wholes(values) => values[a].cmp(&values[b]),
            Elements::Pairs(values) => {
                numbers(values[a].0, values[b].0).then_with(|| numbers(values[a].1, values[b].1))
            }
            Elements::Strings(values) => values[a].cmp(&values[b]),
        }
    }

    fn is_nan(&self, place: usize) -> bool {
        matches!(&self.0, Elements::Floats(values) if values[place].is_nan())
    }

    /// The first of these places (or the last, if `last`) whose element no other exceeds in the sense of `wanted`: `Greater`
    /// for a maximum, `Less` for a minimum. A NaN is both. `None` without places.
    pub fn extremum(&self, places: impl Iterator<Item = usize>, wanted: Ordering, last: bool) -> Option<usize> {
        places.reduce(|best, place| {
            let better = match (self.is_nan(best), self.is_nan(place)) {
                (false, false) => match self.compare(place, best) {
                    Ordering::Equal => last,
                    order => order == wanted,
                },
                (true, is_nan) => is_nan && last,
                (false, true) => true,
            };
            if better { place } else { best }
        })
    }
}

fn numbers(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn elements_of_every_type_are_ordered() {
        let large = Tensor::vector(vec![u64::MAX, 1]);
        assert_eq!(Ordered::of(&large).unwrap().compare(0, 1), Ordering::Greater);
        let words = Tensor::from_strings(&[2], vec![Bytes::from_static(b"b"), Bytes::from_static(b"a")]).unwrap();
        assert_eq!(Ordered::of(&words).unwrap().compare(0, 1), Ordering::Greater);
        let floats = Tensor::vector(vec![f32::NAN, f32::INFINITY, 0.0, -0.0]);
        let floats = Ordered::of(&floats).unwrap();
        assert_eq!(floats.compare(0, 1), Ordering::Greater);
        assert_eq!(floats.compare(0, 0), Ordering::Equal);
        assert_eq!(floats.compare(2, 3), Ordering::Equal);
    }

    #[test]
    fn a_nan_is_the_maximum_and_the_minimum() {
        let tensor = Tensor::vector(vec![1.0f32, f32::NAN, 3.0, f32::NAN]);
        let ordered = Ordered::of(&tensor).unwrap();
        assert_eq!(ordered.extremum(0..4, Ordering::Less, false), Some(1));
        assert_eq!(ordered.extremum(0..4, Ordering::Greater, true), Some(3));
        let tensor = Tensor::vector(vec![2i8, 3, 3, 2]);
        let ordered = Ordered::of(&tensor).unwrap();
        assert_eq!(ordered.extremum(0..4, Ordering::Greater, false), Some(1));
        assert_eq!(ordered.extremum(0..4, Ordering::Greater, true), Some(2));
        assert_eq!(ordered.extremum(0..0, Ordering::Greater, true), None);
    }
}
