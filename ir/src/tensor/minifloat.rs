//! Floats of eight bits and fewer: what each code stands for, and the nearest code of a number.
//!
//! Sources: Micikevicius et al., "FP8 Formats for Deep Learning" (2022) for `e4m3fn` and `e5m2`; Noune et al., "8-bit
//! Numerical Formats for Deep Neural Networks" (2022) for the `fnuz` forms; OCP Microscaling Formats 1.0 for `e2m1`, `e2m3`,
//! `e3m2` and `e8m0`.

use std::sync::OnceLock;

use crate::dtype::DType;

/// How a format spends its codes beyond the finite numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Specials {
    /// Infinities and NaNs as in IEEE 754: the largest exponent is theirs.
    Ieee,
    /// No infinity; the code with all exponent and mantissa bits set is NaN.
    NanAtTop,
    /// No infinity and no -0: the code of -0 is NaN.
    NanAtNegativeZero,
    /// Every code is a finite number.
    None,
}

struct Format {
    exponent_bits: u32,
    mantissa_bits: u32,
    bias: i32,
    specials: Specials,
    /// The numbers of the codes without sign, ascending, finite ones only.
    magnitudes: OnceLock<Vec<f64>>,
}

impl Format {
    const fn new(exponent_bits: u32, mantissa_bits: u32, bias: i32, specials: Specials) -> Self {
        Self { exponent_bits, mantissa_bits, bias, specials, magnitudes: OnceLock::new() }
    }

    fn magnitudes(&self) -> &[f64] {
        self.magnitudes.get_or_init(|| {
            let codes = 1u32 << (self.exponent_bits + self.mantissa_bits);
            let finite = match self.specials {
                Specials::Ieee => codes - (1 << self.mantissa_bits),
                Specials::NanAtTop => codes - 1,
                Specials::NanAtNegativeZero | Specials::None => codes,
            };
            (0..finite)
                .map(|code| {
                    let exponent = (code >> self.mantissa_bits) as i32;
                    let mantissa =
                        f64::from(code & ((1 << self.mantissa_bits) - 1)) / f64::from(1u32 << self.mantissa_bits);
                    match exponent {
                        0 => mantissa * 2f64.powi(1 - self.bias),
                        _ => (1.0 + mantissa) * 2f64.powi(exponent - self.bias),
                    }
                })
                .collect()
        })
    }

    fn sign_bit(&self) -> u8 {
        1 << (self.exponent_bits + self.mantissa_bits)
    }

    fn decode(&self, code: u8) -> f64 {
        let sign = self.sign_bit();
        let magnitude = code & (sign - 1);
        if self.specials == Specials::NanAtNegativeZero && code == sign {
            return f64::NAN;
        }
        let value = match self.magnitudes().get(usize::from(magnitude)) {
            Some(&value) => value,
            None if self.specials == Specials::Ieee && usize::from(magnitude) == self.magnitudes().len() => {
                f64::INFINITY
            }
            None => f64::NAN,
        };
        if code & sign == 0 { value } else { -value }
    }

    /// The code of a NaN without sign. A format without NaN has -0 in its place, as the standard's own casts do.
    fn nan(&self) -> u8 {
        match self.specials {
            Specials::NanAtNegativeZero | Specials::None => self.sign_bit(),
            Specials::NanAtTop => self.sign_bit() - 1,
            // The largest exponent and the first bit of the mantissa, as IEEE 754 has its quiet NaN.
            Specials::Ieee => self.sign_bit() - (1 << (self.mantissa_bits - 1)),
        }
    }

    fn encode(&self, value: f64, saturate: bool) -> u8 {
        let sign = if value.is_sign_negative() { self.sign_bit() } else { 0 };
        if value.is_nan() {
            let sign = if self.specials == Specials::NanAtNegativeZero { 0 } else { sign };
            return self.nan() ^ sign;
        }
        let magnitudes = self.magnitudes();
        let largest = magnitudes.len() - 1;
        let above = magnitudes.partition_point(|&magnitude| magnitude <= value.abs());
        let code = match magnitudes.get(above) {
            Some(&high) => {
                let low = above - 1;
                let (down, up) = (value.abs() - magnitudes[low], high - value.abs());
                if down < up || (down == up && low % 2 == 0) { low } else { above }
            }
            None => {
                let step = magnitudes[largest] - magnitudes[largest - 1];
                let over = value.abs() - magnitudes[largest];
                if over < step / 2.0 || (over == step / 2.0 && largest.is_multiple_of(2)) { largest } else { above }
            }
        };
        if code > largest {
            return match self.specials {
                _ if saturate => sign | largest as u8,
                Specials::Ieee => sign | (largest + 1) as u8,
                Specials::NanAtTop => sign | self.nan(),
                Specials::NanAtNegativeZero => self.nan(),
                Specials::None => sign | largest as u8,
            };
        }
        if code == 0 && self.specials == Specials::NanAtNegativeZero { 0 } else { sign | code as u8 }
    }
}

fn format(dtype: DType) -> Option<&'static Format> {
    static E4M3FN: Format = Format::new(4, 3, 7, Specials::NanAtTop);
    static E4M3FNUZ: Format = Format::new(4, 3, 8, Specials::NanAtNegativeZero);
    static E5M2: Format = Format::new(5, 2, 15, Specials::Ieee);
    static E5M2FNUZ: Format = Format::new(5, 2, 16, Specials::NanAtNegativeZero);
    static E2M1: Format = Format::new(2, 1, 1, Specials::None);
    static E2M3: Format = Format::new(2, 3, 1, Specials::None);
    static E3M2: Format = Format::new(3, 2, 3, Specials::None);
    Some(match dtype {
        DType::Float8e4m3fn => &E4M3FN,
        DType::Float8e4m3fnuz => &E4M3FNUZ,
        DType::Float8e5m2 => &E5M2,
        DType::Float8e5m2fnuz => &E5M2FNUZ,
        DType::Float4e2m1 => &E2M1,
        DType::Float6e2m3 => &E2M3,
        DType::Float6e3m2 => &E3M2,
        _ => return None,
    })
}

/// What a code (in the low bits) of a float type of at most eight bits stands for; `None` for other types.
pub fn decode(dtype: DType, code: u8) -> Option<f64> {
    match dtype {
        DType::Float8e8m0 if code == u8::MAX => Some(f64::NAN),
        DType::Float8e8m0 => Some(2f64.powi(i32::from(code) - 127)),
        _ => Some(format(dtype)?.decode(code)),
    }
}

/// The code of the nearest number, ties to even; `None` for types that are no floats of at most eight bits.
///
/// Beyond the largest number: that, with `saturate`; otherwise infinity or NaN, whichever the type has. `float8e8m0`, which
/// has powers of two only, rounds to the nearest, ties up, and has no sign.
pub fn encode(dtype: DType, value: f64, saturate: bool) -> Option<u8> {
    if dtype == DType::Float8e8m0 {
        if value.is_nan() {
            return Some(u8::MAX);
        }
        let magnitude = value.abs();
        let exponent = if magnitude == 0.0 { -127.0 } else { magnitude.log2().floor() };
        let power = 2f64.powf(exponent);
        let rounded = exponent + if magnitude >= 1.5 * power { 1.0 } else { 0.0 } + 127.0;
        return Some(match rounded {
            r if r > 254.0 => {
                if saturate {
                    254
                } else {
                    u8::MAX
                }
            }
            r if r < 0.0 => 0,
            r => r as u8,
        });
    }
    Some(format(dtype)?.encode(value, saturate))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_number_is_its_own_nearest() {
        for &dtype in DType::ALL.iter().filter(|&&dtype| format(dtype).is_some()) {
            for code in 0..1u32 << dtype.bits() {
                let value = decode(dtype, code as u8).unwrap();
                let back = encode(dtype, value, false).unwrap();
                assert!(decode(dtype, back).unwrap() == value || value.is_nan(), "{dtype} {code}: {value}");
            }
        }
    }

    #[test]
    fn the_largest_numbers_are_those_of_the_papers() {
        let largest = |dtype| decode(dtype, encode(dtype, f64::MAX, true).unwrap()).unwrap();
        assert_eq!(largest(DType::Float8e4m3fn), 448.0);
        assert_eq!(largest(DType::Float8e4m3fnuz), 240.0);
        assert_eq!(largest(DType::Float8e5m2), 57344.0);
        assert_eq!(largest(DType::Float8e5m2fnuz), 57344.0);
        assert_eq!(largest(DType::Float4e2m1), 6.0);
        assert_eq!(largest(DType::Float6e2m3), 7.5);
        assert_eq!(largest(DType::Float6e3m2), 28.0);
    }

    #[test]
    fn what_is_no_number_stays_none_where_the_format_allows() {
        let code = |dtype, value| encode(dtype, value, true).unwrap();
        for dtype in [DType::Float8e4m3fn, DType::Float8e4m3fnuz, DType::Float8e5m2, DType::Float8e5m2fnuz] {
            assert!(decode(dtype, code(dtype, f64::NAN)).unwrap().is_nan(), "{dtype}");
            assert!(decode(dtype, code(dtype, -f64::NAN)).unwrap().is_nan(), "{dtype}");
        }
        assert_eq!([code(DType::Float8e5m2, f64::NAN), code(DType::Float8e4m3fn, -f64::NAN)], [0x7e, 0xff]);
        assert_eq!([code(DType::Float4e2m1, f64::NAN), code(DType::Float4e2m1, -f64::NAN)], [8, 0]);
    }

    #[test]
    fn ties_go_to_even_and_overflow_as_asked() {
        assert_eq!(decode(DType::Float4e2m1, encode(DType::Float4e2m1, 2.5, true).unwrap()), Some(2.0));
        assert_eq!(decode(DType::Float4e2m1, encode(DType::Float4e2m1, 3.5, true).unwrap()), Some(4.0));
        assert_eq!(decode(DType::Float8e4m3fn, encode(DType::Float8e4m3fn, 464.0, false).unwrap()), Some(448.0));
        assert!(decode(DType::Float8e4m3fn, encode(DType::Float8e4m3fn, 465.0, false).unwrap()).unwrap().is_nan());
        assert_eq!(decode(DType::Float8e5m2, encode(DType::Float8e5m2, 61440.0, false).unwrap()), Some(f64::INFINITY));
        assert_eq!(encode(DType::Float8e8m0, 3.0, true), Some(129));
    }
}
