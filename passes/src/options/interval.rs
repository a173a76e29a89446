//! Parts of a whole. Whether the ends belong to the range is the difference between a sensible request and an empty
//! model, so it is in the type and not in every pass.

use std::borrow::Cow;

use super::scalar::{finite, number};
use super::{BadValue, OptionType};
use crate::pipeline::text::{Spanned, Value};

macro_rules! interval {
    ($(#[doc = $doc:literal])+ $type:ident, $name:literal, $value:ident => $holds:expr, $percent:ident => $percent_holds:expr) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
        pub struct $type(f64);

        impl $type {
            /// `value` if it is in the range.
            pub const fn new($value: f64) -> Option<Self> {
                // Adding 0 makes a negative zero the ordinary one.
                if $holds { Some(Self($value + 0.0)) } else { None }
            }

            /// So many percent, for constants: a number outside the range does not compile.
            pub const fn percent<const PERCENT: u8>() -> Self {
                const {
                    let $percent = PERCENT;
                    assert!($percent_holds, "the percentage is outside the range");
                }
                Self(PERCENT as f64 / 100.0)
            }

            /// The part as a number, 1 being the whole.
            pub const fn get(self) -> f64 {
                self.0
            }
        }

        impl OptionType for $type {
            fn type_name() -> Cow<'static, str> {
                $name.into()
            }

            fn parse(value: &Spanned<Value>) -> Result<Self, BadValue> {
                finite(value).and_then(Self::new).ok_or_else(|| BadValue::of::<Self>(value))
            }

            fn to_value(&self) -> Value {
                number(self.0)
            }
        }
    };
}

interval! {
    /// A part to take away, in `[0, 1)`: possibly nothing, never all.
    Ratio, "number in [0, 1)", value => value >= 0.0 && value < 1.0, percent => percent < 100
}

interval! {
    /// A part to keep, in `(0, 1]`: possibly all, never nothing.
    Share, "number in (0, 1]", value => value > 0.0 && value <= 1.0, percent => 0 < percent && percent <= 100
}

impl Ratio {
    /// Nothing.
    pub const ZERO: Ratio = Ratio::percent::<0>();
    /// One half.
    pub const HALF: Ratio = Ratio::percent::<50>();
}

impl Share {
    /// All of it.
    pub const ALL: Share = Share::percent::<100>();
}
