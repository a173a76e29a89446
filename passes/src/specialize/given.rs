//! What the options of these passes give: `NAME=SIZE`, `NAME=FILE`.

use std::borrow::Cow;

use crate::options::{BadValue, OptionType};
use crate::pipeline::text::{Spanned, Value};

/// A size for a dimension: `batch=1` by its name, `x:0=1` (or `x.0=1`) by input and axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SizeOf {
    /// The dimension's name, or input and axis.
    pub dim: String,
    /// The size.
    pub size: i64,
}

/// A file for an input: `mask=ones.npy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FromFile {
    /// The input.
    pub input: String,
    /// The file of arrays that its value is in.
    pub file: String,
}

impl std::str::FromStr for SizeOf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (dim, size) = split(text).ok_or("a size is given as NAME=N")?;
        let size = size.parse().ok().filter(|&size: &i64| size >= 0).ok_or_else(|| format!("`{size}` is no size"))?;
        Ok(Self { dim: dim.to_owned(), size })
    }
}

impl std::str::FromStr for FromFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (input, file) = text.split_once('=').ok_or("a value is given as NAME=FILE")?;
        if input.is_empty() || file.is_empty() {
            return Err("a value is given as NAME=FILE".to_owned());
        }
        Ok(Self { input: input.to_owned(), file: file.to_owned() })
    }
}

fn split(text: &str) -> Option<(&str, &str)> {
    text.rsplit_once('=').filter(|(name, _)| !name.is_empty())
}

macro_rules! pairs {
    ($($type:ident: $name:literal, $key:ident, $value:ident;)+) => {$(
        impl OptionType for $type {
            fn type_name() -> Cow<'static, str> {
                $name.into()
            }

            fn parse(value: &Spanned<Value>) -> Result<Self, BadValue> {
                let text = value.it.text().unwrap_or_default();
                text.parse().map_err(|help: String| BadValue::of::<Self>(value).with_help(help))
            }

            fn to_value(&self) -> Value {
                Value::from_text(&format!("{}={}", self.$key, self.$value))
            }
        }
    )+};
}

pairs! {
    SizeOf: "string `NAME=N`", dim, size;
    FromFile: "string `NAME=FILE`", input, file;
}
