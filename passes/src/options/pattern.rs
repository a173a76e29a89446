//! Which nodes or values are meant, by name.

use std::borrow::Cow;
use std::fmt::{Display, Formatter};

use wildmatch::WildMatch;

use super::{BadValue, OptionType};
use crate::pipeline::text::{Spanned, Value};

/// A pattern over names: `*` is any run of characters, also none, `?` is one character, all else is itself.
///
/// Names in models are no paths: `/`, `.`, `[` and `:` occur in them freely and mean nothing, so they mean nothing here
/// either. The whole name must match, case included.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern(WildMatch);

impl Pattern {
    /// The pattern written `text`; every text is one.
    pub fn new(text: &str) -> Pattern {
        Pattern(WildMatch::new(text))
    }

    /// Whether the whole of `name` is as the pattern says. Cost: at most the product of their lengths.
    pub fn matches(&self, name: &str) -> bool {
        self.0.matches(name)
    }
}

impl Display for Pattern {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl OptionType for Pattern {
    fn type_name() -> Cow<'static, str> {
        "name pattern".into()
    }

    fn parse(value: &Spanned<Value>) -> Result<Self, BadValue> {
        value.it.text().map(Pattern::new).ok_or_else(|| BadValue::of::<Self>(value))
    }

    fn to_value(&self) -> Value {
        Value::from_text(&self.to_string())
    }
}
