//! Amounts of memory, in the units people write them in.

use std::borrow::Cow;
use std::fmt::{Display, Formatter};

use super::{BadValue, OptionType};
use crate::pipeline::text::{Spanned, Value};

/// The units, largest first: powers of 1000 as of storage, powers of 1024 as of memory.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

/// A number of bytes, written `10MB`, `1.5GiB` or, for bytes, `4096`. Case does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// The number, as far as memory can hold so many.
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// Reads `1.5GiB`. `None` for anything else, for a part of a byte, and beyond 64 bits.
    fn read(text: &str) -> Option<ByteSize> {
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit = if unit.is_empty() { "B" } else { unit };
        let (_, scale) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
        // Exact, without floating point: the digits as an integer, over the power of ten that the point stands for.
        let (whole, fraction) =
            number.split_once('.').map_or((number, ""), |(whole, part)| (whole, part.trim_end_matches('0')));
        let tens = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let scaled = format!("{whole}{fraction}").parse::<u128>().ok()?.checked_mul(u128::from(*scale))?;
        let whole_bytes = scaled.is_multiple_of(tens) && !whole.is_empty();
        whole_bytes.then(|| u64::try_from(scaled / tens).ok()).flatten().map(ByteSize)
    }
}

/// The largest unit of which it is a whole number.
impl Display for ByteSize {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let whole = UNITS.iter().find(|(_, scale)| self.0 > 0 && self.0.is_multiple_of(*scale));
        let (unit, scale) = whole.unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / scale)
    }
}

impl OptionType for ByteSize {
    fn type_name() -> Cow<'static, str> {
        "size such as `10MB`".into()
    }

    fn parse(value: &Spanned<Value>) -> Result<Self, BadValue> {
        value.it.text().and_then(ByteSize::read).ok_or_else(|| {
            let units = super::listed(UNITS.iter().rev().map(|(name, _)| *name));
            BadValue::of::<Self>(value).with_help(format!("a whole number of bytes, in one of {units}"))
        })
    }

    fn to_value(&self) -> Value {
        Value::from_text(&self.to_string())
    }
}
