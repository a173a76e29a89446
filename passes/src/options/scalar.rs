//! Truth values, numbers and strings.

use std::borrow::Cow;

use super::{BadValue, OptionType};
use crate::pipeline::text::{Spanned, Value};

impl OptionType for bool {
    fn type_name() -> Cow<'static, str> {
        "`true` or `false`".into()
    }

    fn parse(value: &Spanned<Value>) -> Result<Self, BadValue> {
        match value.it.text() {
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            _ => Err(BadValue::of::<Self>(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::from_text(if *self { "true" } else { "false" })
    }
}

macro_rules! integers {
    ($($type:ty: $name:literal;)+) => {$(
        impl OptionType for $type {
            fn type_name() -> Cow<'static, str> {
                $name.into()
            }

            fn parse(value: &Spanned<Value>) -> Result<Self, BadValue> {
                use std::num::IntErrorKind::{NegOverflow, PosOverflow};
                let text = value.it.text().unwrap_or_default();
                text.parse().map_err(|error: std::num::ParseIntError| {
                    let bad = BadValue::of::<Self>(value);
                    match error.kind() {
                        PosOverflow => bad.with_help(format!("the largest is {}", <$type>::MAX)),
                        NegOverflow => bad.with_help(format!("the smallest is {}", <$type>::MIN)),
                        _ => bad,
                    }
                })
            }

            fn to_value(&self) -> Value {
                Value::from_text(&self.to_string())
            }
        }
    )+};
}

integers! {
    i64: "integer";
    u32: "non-negative integer";
    u64: "non-negative integer";
    usize: "non-negative integer";
}

/// Finite numbers. Infinities and NaN have no text: no option has a use for them, and an `inf` in a threshold is more
/// often an overflow than a wish.
impl OptionType for f64 {
    fn type_name() -> Cow<'static, str> {
        "number".into()
    }

    fn parse(value: &Spanned<Value>) -> Result<Self, BadValue> {
        finite(value).ok_or_else(|| BadValue::of::<Self>(value))
    }

    fn to_value(&self) -> Value {
        number(*self)
    }
}

/// The finite number that `value` spells.
pub(super) fn finite(value: &Spanned<Value>) -> Option<f64> {
    value.it.text()?.parse().ok().filter(|number: &f64| number.is_finite())
}

/// `number` in the fewest digits that read back as the same number, with an exponent where zeros would be many.
pub(super) fn number(number: f64) -> Value {
    Value::from_text(&format!("{number:?}"))
}

impl OptionType for String {
    fn type_name() -> Cow<'static, str> {
        "string".into()
    }

    fn parse(value: &Spanned<Value>) -> Result<Self, BadValue> {
        value.it.text().map(str::to_owned).ok_or_else(|| BadValue::of::<Self>(value))
    }

    fn to_value(&self) -> Value {
        Value::from_text(self)
    }
}
