//! Protobuf's wire format: keys and varints, each read with the place it stands at.
//!
//! Only what the scan needs. Decoding proper is prost's work; this module exists because prost's
//! errors name no byte offset, and a damaged file can only be repaired or reported by one.

use std::fmt;

/// How the payload of a field is laid out; the low three bits of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireType {
    /// A number of one to ten bytes, seven bits each.
    Varint,
    /// Eight bytes.
    Fixed64,
    /// A varint length and that many bytes.
    Length,
    /// Start of a group: a form that ONNX never had.
    GroupStart,
    /// End of a group.
    GroupEnd,
    /// Four bytes.
    Fixed32,
}

impl fmt::Display for WireType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WireType::Varint => "a varint",
            WireType::Fixed64 => "8 fixed bytes",
            WireType::Length => "a length and bytes",
            WireType::GroupStart => "the start of a group",
            WireType::GroupEnd => "the end of a group",
            WireType::Fixed32 => "4 fixed bytes",
        })
    }
}

/// What is wrong with bytes that should be a key or a varint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireFault {
    /// The bytes end within a number.
    #[error("the bytes end in the middle of a number")]
    NumberCut,
    /// A varint of more than 64 bits.
    #[error("found a number of more than 64 bits")]
    NumberTooLong,
    /// A key whose field number is 0 or above 2^29 - 1.
    #[error("found {0} where the key of a field was expected")]
    Key(u64),
    /// A key with a wire type that protobuf does not have (6 or 7).
    #[error("found wire type {0}, which does not exist")]
    WireType(u8),
}

/// Reads the varint at `at`, within the first `end` bytes; answers the value and the place after it.
pub(crate) fn varint(bytes: &[u8], at: usize, end: usize) -> Result<(u64, usize), WireFault> {
    let mut value = 0_u64;
    for (i, &byte) in bytes[at..end].iter().take(10).enumerate() {
        // The tenth byte holds bit 63 alone.
        if i == 9 && byte > 1 {
            return Err(WireFault::NumberTooLong);
        }
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            return Ok((value, at + i + 1));
        }
    }
    Err(WireFault::NumberCut)
}

/// Reads the key at `at`: field number, wire type and the place after it.
pub(crate) fn key(bytes: &[u8], at: usize, end: usize) -> Result<(u32, WireType, usize), WireFault> {
    let (key, next) = varint(bytes, at, end)?;
    let number = u32::try_from(key).map_err(|_| WireFault::Key(key))? >> 3;
    if number == 0 {
        return Err(WireFault::Key(key));
    }
    let wire = match key & 7 {
        0 => WireType::Varint,
        1 => WireType::Fixed64,
        2 => WireType::Length,
        3 => WireType::GroupStart,
        4 => WireType::GroupEnd,
        5 => WireType::Fixed32,
        other => return Err(WireFault::WireType(other as u8)),
    };
    Ok((number, wire, next))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn whole(bytes: &[u8]) -> Result<(u64, usize), WireFault> {
        varint(bytes, 0, bytes.len())
    }

    #[test]
    fn a_varint_has_at_most_64_bits() {
        let mut max = vec![0xff; 9];
        max.push(1);
        assert_eq!(whole(&max), Ok((u64::MAX, 10)));
        max[9] = 2;
        assert_eq!(whole(&max), Err(WireFault::NumberTooLong));
        assert_eq!(whole(&[0x80; 12]), Err(WireFault::NumberTooLong));
    }

    #[test]
    fn a_number_cut_short_is_told_from_one_too_long() {
        assert_eq!(whole(&[]), Err(WireFault::NumberCut));
        assert_eq!(whole(&[0x80; 9]), Err(WireFault::NumberCut));
    }

    #[test]
    fn field_zero_and_unknown_wire_types_are_no_keys() {
        assert_eq!(key(&[0x02], 0, 1), Err(WireFault::Key(2)));
        assert_eq!(key(&[0x0f], 0, 1), Err(WireFault::WireType(7)));
        assert_eq!(key(&[0x3a], 0, 1), Ok((7, WireType::Length, 1)));
    }

    proptest! {
        #[test]
        fn reads_what_prost_writes(value: u64) {
            let mut bytes = Vec::new();
            prost::encoding::encode_varint(value, &mut bytes);
            prop_assert_eq!(whole(&bytes), Ok((value, bytes.len())));
        }
    }
}
