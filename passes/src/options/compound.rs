//! Options that may be absent, and lists.

use std::borrow::Cow;

use super::{BadValue, Choice, OptionType};
use crate::pipeline::text::{Spanned, Value};

const NONE: &str = "none";

/// `none` without quotes is `None`, so a string that says "none" is quoted. Not for an `Option` of an `Option`, whose two
/// kinds of nothing would read the same.
impl<T: OptionType> OptionType for Option<T> {
    fn type_name() -> Cow<'static, str> {
        format!("{}, or `{NONE}`", T::type_name()).into()
    }

    fn parse(value: &Spanned<Value>) -> Result<Self, BadValue> {
        if value.it.is_word(NONE) {
            return Ok(None);
        }
        match T::parse(value) {
            Ok(it) => Ok(Some(it)),
            // The whole value was not understood, so all it could have been is told; an element of a list is told apart.
            Err(bad) if bad.span == value.span => Err(BadValue { help: bad.help, ..BadValue::of::<Self>(value) }),
            Err(bad) => Err(bad),
        }
    }

    fn to_value(&self) -> Value {
        match self.as_ref().map(T::to_value) {
            None => Value::from_text(NONE),
            Some(value) if value.is_word(NONE) => Value::Quoted(NONE.to_owned()),
            Some(value) => value,
        }
    }

    fn choices() -> &'static [Choice] {
        T::choices()
    }
}

/// `[a, b]`. A single value without brackets is refused: the next reader would take the list for a single value too.
impl<T: OptionType> OptionType for Vec<T> {
    fn type_name() -> Cow<'static, str> {
        let element = super::with_article(&T::type_name());
        format!("list, each {element}").into()
    }

    fn parse(value: &Spanned<Value>) -> Result<Self, BadValue> {
        match &value.it {
            Value::List(values) => values.iter().map(T::parse).collect(),
            Value::Word(_) | Value::Quoted(_) => {
                Err(BadValue::of::<Self>(value).with_help("lists stand in brackets, as in `[a, b]`"))
            }
        }
    }

    fn to_value(&self) -> Value {
        Value::List(self.iter().map(|it| it.to_value().into()).collect())
    }

    fn choices() -> &'static [Choice] {
        T::choices()
    }
}
