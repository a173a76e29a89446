//! Element types of tensors: all that the standard has, down to two bits.

use std::fmt;
use std::str::FromStr;

macro_rules! dtypes {
    ($($(#[doc = $doc:literal])* $variant:ident = $code:literal, $name:literal, $bits:literal, $kind:ident;)*) => {
        /// The type of a tensor's elements.
        ///
        /// The discriminant is ONNX's own number for it (`TensorProto.DataType`), which also stands in attributes such as `Cast.to`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum DType { $($(#[doc = $doc])* $variant = $code,)* }

        impl DType {
            /// Every element type, by ascending number.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The type with this number in the standard, if there is one.
            pub fn from_code(code: i64) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }

            /// The word that ONNX's text syntax and type strings have for it: `float`, `int64`, `bfloat16`, ….
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Bits that an element takes in packed storage; 0 for strings, which have no fixed size.
            pub const fn bits(self) -> usize {
                match self { $(Self::$variant => $bits,)* }
            }

            /// What family of numbers it belongs to.
            pub const fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind,)* }
            }
        }

        impl FromStr for DType {
            type Err = UnknownDType;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text { $($name => Ok(Self::$variant),)* _ => Err(UnknownDType(text.to_owned())) }
            }
        }
    };
}

dtypes! {
    /// IEEE 754 binary32.
    Float = 1, "float", 32, Float;
    /// Unsigned, 8 bits.
    Uint8 = 2, "uint8", 8, Unsigned;
    /// Signed, 8 bits.
    Int8 = 3, "int8", 8, Signed;
    /// Unsigned, 16 bits.
    Uint16 = 4, "uint16", 16, Unsigned;
    /// Signed, 16 bits.
    Int16 = 5, "int16", 16, Signed;
    /// Signed, 32 bits.
    Int32 = 6, "int32", 32, Signed;
    /// Signed, 64 bits.
    Int64 = 7, "int64", 64, Signed;
    /// Byte strings, UTF-8 by the standard.
    String = 8, "string", 0, String;
    /// One byte, 0 or 1.
    Bool = 9, "bool", 8, Bool;
    /// IEEE 754 binary16.
    Float16 = 10, "float16", 16, Float;
    /// IEEE 754 binary64.
    Double = 11, "double", 64, Float;
    /// Unsigned, 32 bits.
    Uint32 = 12, "uint32", 32, Unsigned;
    /// Unsigned, 64 bits.
    Uint64 = 13, "uint64", 64, Unsigned;
    /// Two binary32: real, imaginary.
    Complex64 = 14, "complex64", 64, Complex;
    /// Two binary64: real, imaginary.
    Complex128 = 15, "complex128", 128, Complex;
    /// The upper half of a binary32.
    Bfloat16 = 16, "bfloat16", 16, Float;
    /// 8-bit float, 4 exponent bits, no infinities.
    Float8e4m3fn = 17, "float8e4m3fn", 8, Float;
    /// 8-bit float, 4 exponent bits, no infinities, no negative zero.
    Float8e4m3fnuz = 18, "float8e4m3fnuz", 8, Float;
    /// 8-bit float, 5 exponent bits.
    Float8e5m2 = 19, "float8e5m2", 8, Float;
    /// 8-bit float, 5 exponent bits, no infinities, no negative zero.
    Float8e5m2fnuz = 20, "float8e5m2fnuz", 8, Float;
    /// Unsigned, 4 bits, two to a byte, the first in the low half.
    Uint4 = 21, "uint4", 4, Unsigned;
    /// Signed, 4 bits, two to a byte, the first in the low half.
    Int4 = 22, "int4", 4, Signed;
    /// 4-bit float, 2 exponent bits, two to a byte.
    Float4e2m1 = 23, "float4e2m1", 4, Float;
    /// 8-bit power of two (the scale type of microscaling formats).
    Float8e8m0 = 24, "float8e8m0", 8, Float;
    /// Unsigned, 2 bits, four to a byte, the first in the lowest bits.
    Uint2 = 25, "uint2", 2, Unsigned;
    /// Signed, 2 bits, four to a byte, the first in the lowest bits.
    Int2 = 26, "int2", 2, Signed;
    /// 6-bit float, 2 exponent bits.
    Float6e2m3 = 27, "float6e2m3", 6, Float;
    /// 6-bit float, 3 exponent bits.
    Float6e3m2 = 28, "float6e3m2", 6, Float;
}

/// Families of element types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Floating point of any width.
    Float,
    /// Signed integers.
    Signed,
    /// Unsigned integers.
    Unsigned,
    /// Truth values.
    Bool,
    /// Complex numbers.
    Complex,
    /// Byte strings.
    String,
}

impl DType {
    /// ONNX's number for the type.
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// Whether it is a floating-point type of any width.
    pub const fn is_float(self) -> bool {
        matches!(self.kind(), Kind::Float)
    }

    /// Whether it is an integer type, signed or not, of any width.
    pub const fn is_integer(self) -> bool {
        matches!(self.kind(), Kind::Signed | Kind::Unsigned)
    }

    /// Bytes that `elements` of this type take in packed storage; `None` for strings and on overflow.
    pub const fn packed_len(self, elements: usize) -> Option<usize> {
        match (self.bits(), elements.checked_mul(self.bits())) {
            (0, _) | (_, None) => None,
            (_, Some(bits)) => Some(bits.div_ceil(8)),
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A word that names no element type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no element type")]
pub struct UnknownDType(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_lead_back_to_the_type() {
        for &dtype in DType::ALL {
            assert_eq!(DType::from_code(dtype.code()), Some(dtype));
            assert_eq!(dtype.name().parse(), Ok(dtype));
        }
        assert_eq!(DType::from_code(0), None);
        assert!("float7".parse::<DType>().is_err());
    }

    #[test]
    fn packed_lengths_round_up_to_whole_bytes() {
        assert_eq!(DType::Int4.packed_len(3), Some(2));
        assert_eq!(DType::Uint2.packed_len(5), Some(2));
        assert_eq!(DType::Float.packed_len(3), Some(12));
        assert_eq!(DType::String.packed_len(3), None);
        assert_eq!(DType::Double.packed_len(usize::MAX), None);
    }
}
