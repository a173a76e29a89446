//! The values of one element type in another.
//!
//! | from | to | what the type does not have |
//! |---|---|---|
//! | float | float of 16 bits and more | nearest, ties to even; infinity beyond the range |
//! | float | float of 8, 6, 4 bits | nearest, ties to even; beyond the range the largest, without `saturate` infinity or NaN |
//! | float | `float8e8m0` | a power of two by `round_mode`; beyond the range the nearest end, without `saturate` NaN |
//! | float | whole | cut off; beyond the range not defined, here as x86 converts, and so runtimes |
//! | whole | whole | wraps |
//! | any | bool | whether it is not 0 |
//!
//! Source: the tables in the ONNX operator specification, `Cast`, opset 28.

use bytes::Bytes;
use onnxpress_ir::{DType, Kind, Tensor, TensorError, tensor::minifloat};

use super::numeral;
use crate::evaluate::EvalError;
use crate::evaluate::whole::{from_wholes, to_wholes};

/// How a number between two powers of two becomes one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rounding {
    /// The larger.
    Up,
    /// The smaller.
    Down,
    /// The nearer, of two as near the larger.
    Nearest,
}

/// The tensor in another element type.
pub(super) fn convert(x: &Tensor, to: DType, saturate: bool, rounding: Rounding) -> Result<Tensor, EvalError> {
    if x.dtype() == to {
        return Ok(x.clone());
    }
    match (x.dtype().kind(), to.kind()) {
        (Kind::Complex, _) | (_, Kind::Complex) => {
            Err(EvalError::invalid(format!("a cast from {} to {to}", x.dtype())))
        }
        (_, Kind::String) => Ok(Tensor::from_strings(x.dims(), to_strings(x)?)?),
        (Kind::String, _) => of_strings(x, to, saturate, rounding),
        (Kind::Float, _) => Ok(of_floats(x.dims(), &x.to_f64s()?, to, saturate, rounding)?),
        (_, Kind::Float) => of_wholes(x, to, saturate, rounding),
        _ => Ok(from_wholes(to, x.dims(), &to_wholes(x)?)?),
    }
}

fn of_floats(
    dims: &[usize],
    values: &[f64],
    to: DType,
    saturate: bool,
    rounding: Rounding,
) -> Result<Tensor, TensorError> {
    match to {
        DType::Float8e8m0 => {
            let codes: Vec<u8> = values.iter().map(|&value| power_of_two(value, saturate, rounding)).collect();
            Tensor::from_codes(to, dims, &codes)
        }
        _ if to.is_float() && to.bits() <= 8 => {
            let codes: Vec<u8> = values.iter().filter_map(|&value| minifloat::encode(to, value, saturate)).collect();
            Tensor::from_codes(to, dims, &codes)
        }
        _ if to.is_integer() => {
            let wholes: Vec<i128> = values.iter().map(|&value| cut_off(value, to)).collect();
            from_wholes(to, dims, &wholes)
        }
        _ => Tensor::from_f64s(to, dims, values),
    }
}

fn of_wholes(x: &Tensor, to: DType, saturate: bool, rounding: Rounding) -> Result<Tensor, EvalError> {
    let wholes = to_wholes(x)?;
    if to == DType::Float {
        // By way of binary64 large numbers would be rounded twice.
        return Ok(Tensor::from_values(x.dims(), wholes.into_iter().map(|value| value as f32).collect())?);
    }
    let values: Vec<f64> = wholes.into_iter().map(|value| value as f64).collect();
    Ok(of_floats(x.dims(), &values, to, saturate, rounding)?)
}

/// The whole part. What is beyond the type's range is not defined by the standard; here it is what the conversions of x86 give
/// (the smallest number of 32 or 64 bits), cut to the type's width, since that is what runtimes give on most machines.
fn cut_off(value: f64, to: DType) -> i128 {
    let of_64_bits = |value: f64| if value.abs() < 2f64.powi(63) { value as i64 } else { i64::MIN };
    match to {
        DType::Uint64 if value >= 2f64.powi(63) => i128::from(of_64_bits(value - 2f64.powi(63)) ^ i64::MIN),
        DType::Int64 | DType::Uint64 | DType::Uint32 => i128::from(of_64_bits(value)),
        _ if value.trunc().abs() < 2f64.powi(31) => i128::from(value as i32),
        _ => i128::from(i32::MIN),
    }
}

/// The code of a power of two near the magnitude of the number: its exponent plus 127, or 255 for NaN.
fn power_of_two(value: f64, saturate: bool, rounding: Rounding) -> u8 {
    const LOWEST: i32 = -127;
    const HIGHEST: i32 = 127;
    let magnitude = value.abs();
    let beyond = |end: i32| if saturate { (end + 127) as u8 } else { u8::MAX };
    if value.is_nan() {
        return u8::MAX;
    }
    if magnitude < 2f64.powi(LOWEST) {
        return beyond(LOWEST);
    }
    if magnitude.is_infinite() {
        return beyond(HIGHEST);
    }
    // The number is normal, so its bits tell the exponent.
    let exponent = ((magnitude.to_bits() >> 52) as i32) - 1023;
    let part = magnitude / 2f64.powi(exponent);
    let up = match rounding {
        Rounding::Up => part > 1.0,
        Rounding::Down => false,
        Rounding::Nearest => part >= 1.5,
    };
    match exponent + i32::from(up) {
        exponent if exponent > HIGHEST => beyond(HIGHEST),
        exponent => (exponent + 127) as u8,
    }
}

fn to_strings(x: &Tensor) -> Result<Vec<Bytes>, EvalError> {
    let texts: Vec<String> = if x.dtype().is_float() {
        x.to_f64s()?.into_iter().map(numeral::of_float).collect()
    } else {
        to_wholes(x)?.into_iter().map(|value| value.to_string()).collect()
    };
    Ok(texts.into_iter().map(Bytes::from).collect())
}

fn of_strings(x: &Tensor, to: DType, saturate: bool, rounding: Rounding) -> Result<Tensor, EvalError> {
    let strings = x.strings().unwrap_or_default();
    let unreadable = |text: &Bytes| EvalError::invalid(format!("`{}` is no numeral", String::from_utf8_lossy(text)));
    if to.is_integer() {
        // Whole numbers of 64 bits are not exact as floats.
        let wholes: Option<Vec<i128>> = strings.iter().map(|text| numeral::to_whole(text)).collect();
        if let Some(wholes) = wholes {
            return Ok(from_wholes(to, x.dims(), &wholes)?);
        }
    }
    let read = |text: &Bytes| numeral::to_float(text).ok_or_else(|| unreadable(text));
    let values = strings.iter().map(read).collect::<Result<Vec<f64>, _>>()?;
    Ok(of_floats(x.dims(), &values, to, saturate, rounding)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn cast(values: &[f64], to: DType, saturate: bool) -> Vec<f64> {
        let x = Tensor::vector(values.to_vec());
        convert(&x, to, saturate, Rounding::Up).unwrap().to_f64s().unwrap()
    }

    #[test]
    fn narrow_floats_saturate_unless_told_not_to() {
        let values = [0.3, 1e6, f64::INFINITY, f64::NEG_INFINITY, -0.0];
        let saturated = cast(&values, DType::Float8e4m3fn, true);
        assert_eq!(saturated, [0.3125, 448.0, 448.0, -448.0, 0.0]);
        assert!(saturated[4].is_sign_negative() && cast(&values, DType::Float8e4m3fnuz, true)[4].is_sign_positive());
        let open = cast(&values, DType::Float8e5m2, false);
        assert_eq!(open, [0.3125, f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, 0.0]);
        let nan = cast(&values, DType::Float8e4m3fnuz, false);
        assert!(nan[1..4].iter().all(|value| value.is_nan()));
        assert_eq!(cast(&[1e6], DType::Float4e2m1, false), [6.0], "which has nothing else");
    }

    #[test]
    fn powers_of_two_by_rounding_mode() {
        let code = |value, saturate, rounding| power_of_two(value, saturate, rounding);
        let of = |value, rounding| 2f64.powi(i32::from(code(value, true, rounding)) - 127);
        assert_eq!([of(1.1, Rounding::Up), of(1.9, Rounding::Down)], [2.0, 1.0]);
        assert_eq!([of(1.4, Rounding::Nearest), of(1.5, Rounding::Nearest)], [1.0, 2.0]);
        assert_eq!(code(0.0, true, Rounding::Up), 0);
        assert_eq!(code(0.0, false, Rounding::Nearest), u8::MAX);
        assert_eq!(code(f64::INFINITY, true, Rounding::Up), 254);
        assert_eq!(code(f64::INFINITY, false, Rounding::Nearest), u8::MAX);
        assert_eq!(code(2f64.powi(127) * 1.5, true, Rounding::Up), 254);
        assert_eq!(code(f64::NAN, true, Rounding::Up), u8::MAX);
    }

    #[test]
    fn whole_numbers_wrap_and_floats_are_cut_off() {
        let wide = Tensor::vector(vec![200i16, -1]);
        assert_eq!(convert(&wide, DType::Int8, true, Rounding::Up).unwrap().to_i64s().unwrap(), [-56, -1]);
        assert_eq!(cast(&[-1.9, 300.0, f64::NAN], DType::Uint8, true), [255.0, 44.0, 0.0]);
        assert_eq!(cast(&[1e20, -2.5], DType::Int64, true), [-(2f64.powi(63)), -2.0]);
        assert_eq!(cast(&[2f64.powi(63), 1.5], DType::Uint64, true), [2f64.powi(63), 1.0]);
        assert_eq!(cast(&[0.1, 0.0, f64::NAN], DType::Bool, true), [1.0, 0.0, 1.0]);
        let large = Tensor::vector(vec![(1i64 << 60) + (1 << 36) + 1]);
        let rounded = convert(&large, DType::Float, true, Rounding::Up).unwrap().to_f64s().unwrap()[0];
        assert_eq!(rounded, 2f64.powi(60) + 2f64.powi(37), "rounded once");
    }

    #[test]
    fn strings_are_numerals() {
        let words = ["1e-5", " 100.5", "+INF", "nan"].map(|word| Bytes::from_static(word.as_bytes()));
        let strings = Tensor::from_strings(&[4], words.to_vec()).unwrap();
        let read = convert(&strings, DType::Double, true, Rounding::Up).unwrap().to_f64s().unwrap();
        assert!(read[..3] == [1e-5, 100.5, f64::INFINITY] && read[3].is_nan());
        assert_eq!(convert(&strings, DType::Int32, true, Rounding::Up).unwrap().to_i64s().unwrap()[1], 100);
        let word = Tensor::from_strings(&[1], vec![Bytes::from_static(b"ten")]).unwrap();
        assert_eq!(convert(&word, DType::Float, true, Rounding::Up).unwrap_err().to_string(), "`ten` is no numeral");
    }
}
