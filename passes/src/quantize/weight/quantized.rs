//! A weight and its codes.

use onnxpress_ir::{DType, Tensor};

use super::grid::Grid;
use super::layout::{Granularity, Layout};
use super::scheme::{Meaning, Refusal, Scheme};
use super::table::NF4;

/// A weight in few bits: what `DequantizeLinear` reads, and how it is to read it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Quantized {
    /// The codes, of the weight's extents.
    pub(crate) codes: Tensor,
    /// The scales, of the weight's element type: a scalar, one an index of the axis, or one a block.
    pub(crate) scale: Tensor,
    /// The zero points, of the codes' type and the scales' extents; `None` where all are 0.
    pub(crate) zero_point: Option<Tensor>,
    /// How the scales lie.
    pub(crate) granularity: Granularity,
    /// What the codes stand for.
    pub(crate) meaning: Meaning,
}

impl Quantized {
    /// The zero points, where all are 0 too.
    #[allow(dead_code, reason = "static quantization reads it")]
    ///
    /// # Errors
    /// Never: zeros are in the range of every type of codes.
    pub(crate) fn zero_points(&self) -> Result<Tensor, Refusal> {
        match &self.zero_point {
            Some(zeros) => Ok(zeros.clone()),
            None => Ok(Tensor::from_i64s(self.codes.dtype(), self.scale.dims(), &vec![0; self.scale.len()])?),
        }
    }

    /// The weight that the codes stand for: `(code - zero point) * scale`, in the scales' type.
    ///
    /// # Errors
    /// Where the parts do not fit each other.
    pub(crate) fn dequantized(&self) -> Result<Tensor, Refusal> {
        let layout = Layout::of(self.codes.dims(), self.granularity)?;
        let scales = self.scale.to_f32s()?;
        let zeros = match &self.zero_point {
            Some(zeros) => zeros.to_f32s()?,
            None => vec![0.0; scales.len()],
        };
        let codes = match self.meaning {
            Meaning::Nf4 => self.codes.to_codes()?.into_iter().map(|code| NF4[usize::from(code & 15)]).collect(),
            Meaning::Number => self.codes.to_f32s()?,
        };
        let mut values = vec![0f32; layout.elements()];
        for segment in (0..layout.segment_count()).map(|number| layout.segment(number)) {
            for place in segment.start..segment.start + segment.length {
                let number = segment.scale_of(place);
                values[place] = (codes[place] - zeros[number]) * scales[number];
            }
        }
        match self.scale.dtype() {
            DType::Float => Ok(Tensor::from_values(self.codes.dims(), values)?),
            dtype => {
                let values: Vec<f64> = values.into_iter().map(f64::from).collect();
                Ok(Tensor::from_f64s(dtype, self.codes.dims(), &values)?)
            }
        }
    }
}

/// The weight in few bits. Scales are of the weight's own type, and codes are chosen for scales as they are stored.
///
/// # Errors
/// Where the weight is of no type that can be scaled, has no elements, or holds what is no number; where the axis is none of
/// its own.
pub(crate) fn quantize(weight: &Tensor, granularity: Granularity, scheme: &Scheme) -> Result<Quantized, Refusal> {
    Grid::of(weight, granularity, scheme, None)?.encoded(weight)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use proptest::prelude::*;

    use super::super::scheme::Rounding;
    use super::*;

    fn scheme(dtype: DType, symmetric: bool, rounding: Rounding) -> Scheme {
        Scheme::of(dtype, symmetric, rounding)
    }

    #[test]
    fn codes_scales_and_zero_points_of_channels() {
        let weight = Tensor::from_values(&[2, 3], vec![1.27f32, -0.5, 0.0, 0.01, 0.02, -2.54]).unwrap();
        let of = |granularity, dtype, symmetric| {
            let it = quantize(&weight, granularity, &scheme(dtype, symmetric, Rounding::Nearest)).unwrap();
            let zeros = it.zero_point.as_ref().map(|zeros| zeros.to_i64s().unwrap());
            (it.codes.to_i64s().unwrap(), it.scale.dims().to_vec(), zeros)
        };
        assert_eq!(of(Granularity::Channel(0), DType::Int8, true), (vec![127, -50, 0, 0, 1, -127], vec![2], None));
        assert_eq!(
            of(Granularity::Channel(1), DType::Uint8, true),
            (vec![255, 1, 128, 129, 133, 1], vec![3], Some(vec![128; 3]))
        );
        assert_eq!(of(Granularity::Tensor, DType::Uint4, false), (vec![15, 8, 10, 10, 10, 0], vec![], Some(vec![10])));
        assert_eq!(
            of(Granularity::Blocks { axis: 1, size: 2 }, DType::Int4, true),
            (vec![7, -3, 0, 4, 7, -8], vec![2, 2], None)
        );
    }

    #[test]
    fn what_cannot_be_quantized_says_why() {
        let fails = |weight: Tensor, dtype| {
            quantize(&weight, Granularity::Tensor, &scheme(dtype, true, Rounding::Nearest)).unwrap_err().to_string()
        };
        assert_eq!(fails(Tensor::vector(vec![1f32, f32::NAN]), DType::Int8), "it holds a NaN or an infinity");
        assert_eq!(fails(Tensor::vector(vec![1i64]), DType::Int8), "it is of type int64");
        assert_eq!(fails(Tensor::vector(vec![1f32]), DType::Float16), "float16 is no type for codes");
        assert_eq!(fails(Tensor::vector(Vec::<f32>::new()), DType::Int8), "it has no elements");
    }

    #[test]
    fn halves_have_scales_of_halves() {
        let weight = Tensor::from_f64s(DType::Float16, &[3], &[1.0, -0.3, 0.5]).unwrap();
        let it = quantize(&weight, Granularity::Tensor, &Scheme::INT8).unwrap();
        assert_eq!((it.scale.dtype(), it.dequantized().unwrap().dtype()), (DType::Float16, DType::Float16));
        let tiny = Tensor::from_f64s(DType::Float16, &[1], &[6e-8]).unwrap();
        assert!(quantize(&tiny, Granularity::Tensor, &Scheme::INT8).unwrap().scale.to_f32s().unwrap()[0] > 0.0);
    }

    #[test]
    fn small_floats_and_quantiles() {
        let weight = Tensor::from_values(&[1, 4], vec![6.0f32, -2.9, 0.5, 1.0]).unwrap();
        let of = |dtype, meaning| {
            let scheme = Scheme { meaning, ..scheme(dtype, true, Rounding::Nearest) };
            let it = quantize(&weight, Granularity::Tensor, &scheme).unwrap();
            assert_eq!(it.zero_point, None);
            it.dequantized().unwrap().to_f32s().unwrap()
        };
        assert_eq!(of(DType::Float4e2m1, Meaning::Number), [6.0, -3.0, 0.5, 1.0]);
        let nf4 = of(DType::Uint4, Meaning::Nf4);
        assert!(nf4[0] == 6.0 && (nf4[2] - 0.477_482).abs() < 1e-5);
        assert_eq!(of(DType::Float8e4m3fn, Meaning::Number)[0], 6.0);
    }

    #[test]
    fn a_zero_point_makes_the_error_sparse() {
        let values: Vec<f32> = (0..32).map(|index| ((index * 37 % 32) as f32 / 31.0).powi(2) + 0.3).collect();
        let weight = Tensor::vector(values.clone());
        let lost = |rounding| {
            let it = quantize(&weight, Granularity::Tensor, &scheme(DType::Uint4, false, rounding)).unwrap();
            let back = it.dequantized().unwrap().to_f32s().unwrap();
            values.iter().zip(&back).map(|(a, b)| (a - b).abs().powf(0.7)).sum::<f32>()
        };
        assert!(lost(Rounding::Hqq) <= lost(Rounding::Mse));
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(1), ..ProptestConfig::with_cases(64) })]
        /// Nothing is off by more than half a step, however scales lie; the search never loses more than it began with.
        #[test]
        fn nothing_is_off_by_more_than_half_a_step(
            values in proptest::collection::vec(-4f32..4.0, 24),
            which in 0usize..5, symmetric: bool, bits in 0usize..4,
        ) {
            let dtype = [DType::Int8, DType::Uint8, DType::Int4, DType::Int16][bits];
            let granularity = [
                Granularity::Tensor, Granularity::Channel(0), Granularity::Channel(2),
                Granularity::Blocks { axis: 2, size: 3 }, Granularity::Blocks { axis: 0, size: 2 },
            ][which];
            let weight = Tensor::from_values(&[2, 3, 4], values.clone()).unwrap();
            let it = quantize(&weight, granularity, &scheme(dtype, symmetric, Rounding::Nearest)).unwrap();
            let back = it.dequantized().unwrap().to_f32s().unwrap();
            let step = it.scale.to_f32s().unwrap().into_iter().fold(0f32, f32::max);
            let lost = |back: &[f32]| values.iter().zip(back).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
            for (value, back) in values.iter().zip(&back) {
                prop_assert!((value - back).abs() <= step * 0.5001 + 1e-6, "{value} {back} {step}");
            }
            let searched = quantize(&weight, granularity, &scheme(dtype, symmetric, Rounding::Mse)).unwrap();
            let found = searched.dequantized().unwrap().to_f32s().unwrap();
            prop_assert!(lost(&found) <= lost(&back) * 1.0001 + 1e-9);
        }
    }
}
