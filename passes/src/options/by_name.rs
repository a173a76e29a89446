//! A value of its own for those that a pattern names.

use std::borrow::Cow;

use super::{BadValue, OptionType, Pattern};
use crate::pipeline::text::{Spanned, Value};

/// A value for whatever has a name of the pattern, written `"head*=0.2"`.
#[derive(Debug, Clone, PartialEq)]
pub struct ByName<T> {
    /// Whose it is.
    pub pattern: Pattern,
    /// The value.
    pub value: T,
}

impl<T: OptionType> OptionType for ByName<T> {
    fn type_name() -> Cow<'static, str> {
        format!("string `PATTERN=VALUE`, the value {}", super::with_article(&T::type_name())).into()
    }

    fn parse(value: &Spanned<Value>) -> Result<Self, BadValue> {
        let bad = || BadValue::of::<Self>(value);
        let (pattern, text) = value.it.text().and_then(|text| text.rsplit_once('=')).ok_or_else(bad)?;
        let own = Spanned { it: Value::from_text(text), span: value.span };
        match T::parse(&own) {
            Ok(it) if !pattern.is_empty() => Ok(Self { pattern: Pattern::new(pattern), value: it }),
            _ => Err(bad()),
        }
    }

    fn to_value(&self) -> Value {
        Value::from_text(&format!("{}={}", self.pattern, self.value.to_value().text().unwrap_or_default()))
    }
}
