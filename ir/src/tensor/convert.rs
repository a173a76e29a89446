//! Reading and writing elements as numbers of one wide type, whatever the tensor's own: for kernels and statistics.

use bytes::Bytes;
use half::{bf16, f16};

use super::{Element, Tensor, TensorError, element_count, minifloat};
use crate::dtype::{DType, Kind};

/// The codes of a type of at most eight bits, one a byte, unpacked from the low bits up.
fn unpack(bytes: &[u8], bits: usize, count: usize) -> Vec<u8> {
    if bits == 8 {
        return bytes.to_vec();
    }
    if bits == 4 {
        let mut codes: Vec<u8> = bytes.iter().flat_map(|byte| [byte & 0x0f, byte >> 4]).collect();
        codes.truncate(count);
        return codes;
    }
    let mask = (1u16 << bits) - 1;
    (0..count)
        .map(|index| {
            let at = index * bits;
            let low = u16::from(bytes[at / 8]);
            let high = bytes.get(at / 8 + 1).copied().map_or(0, u16::from);
            (((low | high << 8) >> (at % 8)) & mask) as u8
        })
        .collect()
}

/// Packs codes of at most eight bits, one a byte, from the low bits up; higher bits are dropped. What is left of `packed` is zero.
///
/// # Panics
/// Where `packed` is shorter than the codes take.
pub fn pack(codes: &[u8], bits: usize, packed: &mut [u8]) {
    let (packed, rest) = packed.split_at_mut((codes.len() * bits).div_ceil(8));
    rest.fill(0);
    match bits {
        8 => packed.copy_from_slice(codes),
        4 => {
            let (pairs, last) = codes.as_chunks::<2>();
            for (&pair, byte) in pairs.iter().zip(&mut *packed) {
                let pair = u16::from_le_bytes(pair);
                *byte = (pair & 0x0f | pair >> 4 & 0xf0) as u8;
            }
            if let ([code], Some(byte)) = (last, packed.last_mut()) {
                *byte = code & 0x0f;
            }
        }
        2 => {
            let (fours, last) = codes.as_chunks::<4>();
            let of = |codes| {
                let codes = u32::from_le_bytes(codes);
                (codes & 0x03 | codes >> 6 & 0x0c | codes >> 12 & 0x30 | codes >> 18 & 0xc0) as u8
            };
            fours.iter().zip(&mut *packed).for_each(|(&four, byte)| *byte = of(four));
            if let (&[_, ..], Some(byte)) = (last, packed.last_mut()) {
                let mut four = [0; 4];
                four[..last.len()].copy_from_slice(last);
                *byte = of(four);
            }
        }
        _ => {
            packed.fill(0);
            for (index, &code) in codes.iter().enumerate() {
                let at = index * bits;
                let shifted = (u16::from(code) & ((1 << bits) - 1)) << (at % 8);
                packed[at / 8] |= shifted as u8;
                if shifted > 0xff {
                    packed[at / 8 + 1] |= (shifted >> 8) as u8;
                }
            }
        }
    }
}

/// The code of a whole number in so many bits, two's complement; out of range it wraps.
fn sign_extended(code: u8, bits: usize) -> i64 {
    let shift = 8 - bits;
    i64::from(((code << shift) as i8) >> shift)
}

impl Tensor {
    /// The codes of a tensor of at most eight bits an element, one a byte.
    ///
    /// # Errors
    /// Where the element type is wider.
    pub fn to_codes(&self) -> Result<Vec<u8>, TensorError> {
        match self.bytes() {
            Some(bytes) if (1..=8).contains(&self.dtype().bits()) => Ok(unpack(bytes, self.dtype().bits(), self.len())),
            _ => Err(TensorError::DType { found: self.dtype(), expected: DType::Uint8 }),
        }
    }

    /// A tensor of at most eight bits an element from its codes, one a byte; higher bits are dropped.
    ///
    /// # Errors
    /// Where the element type is wider, or there are more or fewer codes than the extents say.
    pub fn from_codes(dtype: DType, dims: &[usize], codes: &[u8]) -> Result<Self, TensorError> {
        if !(1..=8).contains(&dtype.bits()) {
            return Err(TensorError::DType { found: dtype, expected: DType::Uint8 });
        }
        if element_count(dims) != Some(codes.len()) {
            let expected = element_count(dims).unwrap_or(usize::MAX);
            return Err(TensorError::Length { dtype, dims: dims.to_vec(), found: codes.len(), expected });
        }
        let mut packed = vec![0u8; (codes.len() * dtype.bits()).div_ceil(8)];
        pack(codes, dtype.bits(), &mut packed);
        Self::from_bytes(dtype, dims, Bytes::from(packed))
    }

    /// The elements as binary64: exact for all but 64-bit integers. Truth values are 0 and 1.
    ///
    /// # Errors
    /// For complex numbers and strings.
    pub fn to_f64s(&self) -> Result<Vec<f64>, TensorError> {
        fn all<T: Element>(tensor: &Tensor, f: impl Fn(T) -> f64) -> Result<Vec<f64>, TensorError> {
            Ok(tensor.values::<T>()?.iter().map(|&value| f(value)).collect())
        }
        match self.dtype() {
            DType::Float => all::<f32>(self, f64::from),
            DType::Double => all::<f64>(self, |x| x),
            DType::Float16 => all::<f16>(self, f64::from),
            DType::Bfloat16 => all::<bf16>(self, f64::from),
            DType::Uint64 => all::<u64>(self, |x| x as f64),
            DType::Complex64 | DType::Complex128 | DType::String => {
                Err(TensorError::DType { found: self.dtype(), expected: DType::Double })
            }
            dtype if dtype.is_float() => {
                Ok(self.to_codes()?.into_iter().filter_map(|code| minifloat::decode(dtype, code)).collect())
            }
            _ => Ok(self.to_i64s()?.into_iter().map(|x| x as f64).collect()),
        }
    }

    /// The elements as binary32, rounded to nearest where the element type is wider.
    ///
    /// # Errors
    /// For complex numbers and strings.
    pub fn to_f32s(&self) -> Result<Vec<f32>, TensorError> {
        match self.dtype() {
            DType::Float => Ok(self.values::<f32>()?.into_owned()),
            DType::Float16 => Ok(self.values::<f16>()?.iter().map(|x| x.to_f32()).collect()),
            DType::Bfloat16 => Ok(self.values::<bf16>()?.iter().map(|x| x.to_f32()).collect()),
            _ => Ok(self.to_f64s()?.into_iter().map(|x| x as f32).collect()),
        }
    }

    /// The elements as 64-bit whole numbers; those of `uint64` above the range wrap. Truth values are 0 and 1.
    ///
    /// # Errors
    /// Where the elements are no whole numbers.
    pub fn to_i64s(&self) -> Result<Vec<i64>, TensorError> {
        fn all<T: Element>(tensor: &Tensor, f: impl Fn(T) -> i64) -> Result<Vec<i64>, TensorError> {
            Ok(tensor.values::<T>()?.iter().map(|&value| f(value)).collect())
        }
        match self.dtype() {
            DType::Int64 => all::<i64>(self, |x| x),
            DType::Int32 => all::<i32>(self, i64::from),
            DType::Int16 => all::<i16>(self, i64::from),
            DType::Int8 => all::<i8>(self, i64::from),
            DType::Uint64 => all::<u64>(self, |x| x as i64),
            DType::Uint32 => all::<u32>(self, i64::from),
            DType::Uint16 => all::<u16>(self, i64::from),
            DType::Uint8 => all::<u8>(self, i64::from),
            DType::Bool => all::<bool>(self, i64::from),
            DType::Uint4 | DType::Uint2 => Ok(self.to_codes()?.into_iter().map(i64::from).collect()),
            DType::Int4 | DType::Int2 => {
                let bits = self.dtype().bits();
                Ok(self.to_codes()?.into_iter().map(|code| sign_extended(code, bits)).collect())
            }
            found => Err(TensorError::DType { found, expected: DType::Int64 }),
        }
    }

    /// A tensor of any numeric type from binary64: floats rounded to nearest, ties to even (floats of eight bits and fewer
    /// saturate); whole numbers truncated toward zero and clamped to the range; truth values by being other than 0.
    ///
    /// # Errors
    /// For complex numbers and strings, or where there are more or fewer values than the extents say.
    pub fn from_f64s(dtype: DType, dims: &[usize], values: &[f64]) -> Result<Self, TensorError> {
        fn all<T: Element>(dims: &[usize], values: &[f64], f: impl Fn(f64) -> T) -> Result<Tensor, TensorError> {
            Tensor::from_values(dims, values.iter().map(|&value| f(value)).collect())
        }
        match dtype {
            DType::Float => all(dims, values, |x| x as f32),
            DType::Double => all(dims, values, |x| x),
            DType::Float16 => all(dims, values, |x| f16::from_f32(to_odd(x))),
            DType::Bfloat16 => all(dims, values, |x| bf16::from_f32(to_odd(x))),
            DType::Bool => all(dims, values, |x| x != 0.0),
            DType::Uint64 => all(dims, values, |x| x as u64),
            DType::Complex64 | DType::Complex128 | DType::String => {
                Err(TensorError::DType { found: DType::Double, expected: dtype })
            }
            _ if dtype.is_float() => {
                let codes: Vec<_> = values.iter().filter_map(|&value| minifloat::encode(dtype, value, true)).collect();
                Self::from_codes(dtype, dims, &codes)
            }
            _ => {
                let (low, high) = range(dtype);
                let whole: Vec<_> = values.iter().map(|&value| (value as i64).clamp(low, high)).collect();
                Self::from_i64s(dtype, dims, &whole)
            }
        }
    }

    /// A tensor of whole numbers of any width, or of truth values (other than 0), from 64-bit ones; out of range they wrap.
    ///
    /// # Errors
    /// Where the element type has no whole numbers, or there are more or fewer values than the extents say.
    pub fn from_i64s(dtype: DType, dims: &[usize], values: &[i64]) -> Result<Self, TensorError> {
        fn all<T: Element>(dims: &[usize], values: &[i64], f: impl Fn(i64) -> T) -> Result<Tensor, TensorError> {
            Tensor::from_values(dims, values.iter().map(|&value| f(value)).collect())
        }
        match dtype {
            DType::Int64 => all(dims, values, |x| x),
            DType::Int32 => all(dims, values, |x| x as i32),
            DType::Int16 => all(dims, values, |x| x as i16),
            DType::Int8 => all(dims, values, |x| x as i8),
            DType::Uint64 => all(dims, values, |x| x as u64),
            DType::Uint32 => all(dims, values, |x| x as u32),
            DType::Uint16 => all(dims, values, |x| x as u16),
            DType::Uint8 => all(dims, values, |x| x as u8),
            DType::Bool => all(dims, values, |x| x != 0),
            _ if matches!(dtype.kind(), Kind::Signed | Kind::Unsigned) => {
                Self::from_codes(dtype, dims, &values.iter().map(|&value| value as u8).collect::<Vec<_>>())
            }
            _ => Err(TensorError::DType { found: DType::Int64, expected: dtype }),
        }
    }
}

/// The number in binary32, rounded to odd: what does not fit is cut off, and the last bit says that there was something.
///
/// Rounded once more, to a type of at most 22 bits of precision, this gives the nearest such number; two roundings to
/// nearest would not, and `half` itself drops the low half of a binary64. Source: S. Boldo, G. Melquiond, "Emulation of a
/// FMA and correctly rounded sums: proved algorithms using rounding to odd", IEEE Transactions on Computers 57 (2008).
fn to_odd(value: f64) -> f32 {
    let nearest = value as f32;
    if f64::from(nearest) == value || value.is_nan() {
        return nearest;
    }
    let beyond = f64::from(nearest).abs() > value.abs();
    f32::from_bits((nearest.to_bits() - u32::from(beyond)) | 1)
}

/// The smallest and the largest number of an integer type, as far as 64 bits with a sign can say. Of other types it says
/// nothing of use.
pub fn range(dtype: DType) -> (i64, i64) {
    match (dtype.kind(), dtype.bits()) {
        (Kind::Signed, 64) => (i64::MIN, i64::MAX),
        (Kind::Unsigned, 64) => (0, i64::MAX),
        (Kind::Signed, bits) => (-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
        (_, bits) => (0, 1i64.checked_shl(bits as u32).map_or(i64::MAX, |beyond| beyond - 1)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sub_byte_elements_are_packed_from_the_low_bits_up() {
        let tensor = Tensor::from_i64s(DType::Int4, &[3], &[-8, 7, -1]).unwrap();
        assert_eq!(tensor.bytes().unwrap().as_ref(), [0x78, 0x0f]);
        assert_eq!(tensor.to_i64s().unwrap(), [-8, 7, -1]);
        let six = Tensor::from_f64s(DType::Float6e2m3, &[5], &[0.0, 1.0, -7.5, 0.125, 2.0]).unwrap();
        assert_eq!(six.bytes().unwrap().len(), 4);
        assert_eq!(six.to_f64s().unwrap(), [0.0, 1.0, -7.5, 0.125, 2.0]);
    }

    #[test]
    fn what_was_packed_is_unpacked() {
        let codes: Vec<u8> = (0u8..=255).rev().collect();
        for (dtype, mask) in [(DType::Uint2, 3), (DType::Uint4, 15), (DType::Float6e2m3, 63), (DType::Uint8, 255)] {
            for count in 0..9 {
                let codes = &codes[..count];
                let tensor = Tensor::from_codes(dtype, &[count], codes).unwrap();
                let expected: Vec<u8> = codes.iter().map(|code| code & mask).collect();
                assert_eq!(tensor.to_codes().unwrap(), expected, "{dtype}");
                let values = tensor.to_f64s().unwrap();
                assert!(dtype.is_float() || values.iter().zip(&expected).all(|(a, &b)| *a == f64::from(b)), "{dtype}");
            }
        }
    }

    #[test]
    fn halves_are_rounded_once() {
        // Just above the middle between 1 and the next number of each type; binary32 does not see the difference.
        let of = |dtype, value: f64| Tensor::from_f64s(dtype, &[1], &[value]).unwrap().to_f64s().unwrap()[0];
        let above = 2f64.powi(-40);
        assert_eq!(of(DType::Float16, 1.0 + 2f64.powi(-11) + above), 1.0 + 2f64.powi(-10));
        assert_eq!(of(DType::Float16, 1.0 + 2f64.powi(-11)), 1.0);
        assert_eq!(of(DType::Float16, -1.0 - 3.0 * 2f64.powi(-11) + above), -1.0 - 2f64.powi(-10));
        assert_eq!(of(DType::Bfloat16, 1.0 + 2f64.powi(-8) + above), 1.0 + 2f64.powi(-7));
        assert_eq!(of(DType::Float16, 1e300), f64::INFINITY);
        assert_eq!(of(DType::Float16, -1e-300), 0.0);
        assert!(of(DType::Bfloat16, f64::NAN).is_nan());
    }

    #[test]
    fn whole_numbers_clamp_from_floats_and_wrap_from_integers() {
        let clamped = Tensor::from_f64s(DType::Uint8, &[3], &[-1.5, 300.0, 2.9]).unwrap();
        assert_eq!(clamped.to_i64s().unwrap(), [0, 255, 2]);
        let wrapped = Tensor::from_i64s(DType::Int8, &[1], &[200]).unwrap();
        assert_eq!(wrapped.to_i64s().unwrap(), [-56]);
    }
}
