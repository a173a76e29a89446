//! A version of the standard's operator set, as an option.

use std::borrow::Cow;

use onnxpress_ops::schema;

use crate::options::{BadValue, OptionType};
use crate::pipeline::text::{Spanned, Value};

/// A version of the standard's operator set that models can be brought to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opset(i64);

impl Opset {
    /// The newest version that the schemas know.
    pub fn newest() -> Self {
        Self(schema::newest_opset(schema::STANDARD).unwrap_or(super::OLDEST))
    }

    /// This version, which is one that models can be brought to.
    pub(crate) fn of(version: i64) -> Self {
        Self(version)
    }

    /// The version's number.
    pub fn version(self) -> i64 {
        self.0
    }
}

impl OptionType for Opset {
    fn type_name() -> Cow<'static, str> {
        format!("opset version from {} to {}", super::OLDEST, Self::newest().0).into()
    }

    fn parse(value: &Spanned<Value>) -> Result<Self, BadValue> {
        let known = super::OLDEST..=Self::newest().0;
        let version = value.it.text().and_then(|text| text.parse().ok()).filter(|version| known.contains(version));
        version.map(Self).ok_or_else(|| BadValue::of::<Self>(value))
    }

    fn to_value(&self) -> Value {
        Value::from_text(&self.0.to_string())
    }
}
