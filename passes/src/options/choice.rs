//! Options with a few named values: `option_enum!` makes an enum an option type, docs included.

use std::borrow::Cow;

use super::declare::doc_text;
use super::{BadValue, OptionType, listed};
use crate::pipeline::nearest;
use crate::pipeline::text::{Spanned, Value};

/// One named value of an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The name in pipeline text, such as `per-channel`.
    pub text: String,
    /// What it means: the doc comment of the variant.
    pub doc: String,
}

/// Declares an enum whose variants are the values of an option.
///
/// A variant is written in kebab case (`PerChannel` is `per-channel`, `Int8` is `int8`) unless its text is given. Docs are
/// required: they are what the command line shows.
///
/// ```
/// onnxpress_passes::option_enum! {
///     /// How far a scale reaches.
///     pub enum Granularity {
///         /// One for the tensor.
///         PerTensor,
///         /// One for each output channel.
///         PerChannel,
///         /// One for each block of 32 along the input axis.
///         Block32 = "block-32",
///     }
/// }
/// assert_eq!(Granularity::PerChannel.text(), "per-channel");
/// assert_eq!(Granularity::ALL.map(Granularity::text).join(" "), "per-tensor per-channel block-32");
/// ```
#[macro_export]
macro_rules! option_enum {
    (
        $(#[doc = $doc:literal])+
        $vis:vis enum $name:ident {
            $($(#[doc = $variant_doc:literal])+ $variant:ident $(= $text:literal)?),+ $(,)?
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name {
            $($(#[doc = $variant_doc])+ $variant),+
        }

        impl $name {
            /// Every variant, in the order of declaration.
            $vis const ALL: [Self; [$(stringify!($variant)),+].len()] = [$(Self::$variant),+];

            /// The variant as pipeline text writes it.
            $vis fn text(self) -> &'static str {
                &<Self as $crate::options::OptionType>::choices()[self as usize].text
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.text())
            }
        }

        impl $crate::options::OptionType for $name {
            fn type_name() -> ::std::borrow::Cow<'static, str> {
                $crate::options::type_name_of_choices(Self::choices())
            }

            fn parse(
                value: &$crate::pipeline::text::Spanned<$crate::pipeline::text::Value>,
            ) -> ::std::result::Result<Self, $crate::options::BadValue> {
                $crate::options::parse_choice(value, &Self::ALL)
            }

            fn to_value(&self) -> $crate::pipeline::text::Value {
                $crate::pipeline::text::Value::from_text(self.text())
            }

            fn choices() -> &'static [$crate::options::Choice] {
                static CHOICES: ::std::sync::LazyLock<::std::vec::Vec<$crate::options::Choice>> =
                    ::std::sync::LazyLock::new(|| ::std::vec![$(
                        $crate::options::choice(stringify!($variant), &[$($text)?], &[$($variant_doc),+])
                    ),+]);
                &CHOICES
            }
        }
    };
}

/// The choice of a variant: named by the text given, if one is, else by the variant.
#[doc(hidden)]
pub fn choice(variant: &str, text: &[&str], doc: &[&str]) -> Choice {
    let text = text.first().map_or_else(|| kebab(variant), |text| (*text).to_owned());
    Choice { text, doc: doc_text(doc) }
}

/// Reads one of the names of `all`, whose order is that of `T::choices`.
#[doc(hidden)]
pub fn parse_choice<T: OptionType + Copy>(value: &Spanned<Value>, all: &[T]) -> Result<T, BadValue> {
    let text = value.it.text();
    let known = || T::choices().iter().map(|choice| choice.text.as_str());
    known().zip(all).find(|(name, _)| text == Some(*name)).map(|(_, variant)| *variant).ok_or_else(|| {
        let bad = BadValue::of::<T>(value);
        match text.and_then(|text| nearest(text, known())) {
            Some(near) => bad.with_help(format!("did you mean `{near}`?")),
            None => bad,
        }
    })
}

/// `` `a`, `b` or `c` ``
#[doc(hidden)]
pub fn type_name_of_choices(choices: &[Choice]) -> Cow<'static, str> {
    let names = |choices: &[Choice]| listed(choices.iter().map(|choice| choice.text.as_str()));
    match choices.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or `{}`", names(rest), last.text).into(),
        _ => names(choices).into(),
    }
}

/// `PerChannel` to `per-channel`: a new word begins with a capital behind a small letter, so that `UInt8` and
/// `Float8E4M3FN` stay one.
fn kebab(variant: &str) -> String {
    let mut text = String::new();
    let mut after_small = false;
    for c in variant.chars() {
        if c.is_uppercase() && after_small {
            text.push('-');
        }
        after_small = c.is_lowercase();
        text.extend(c.to_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::kebab;

    #[test]
    fn variants_become_kebab_case() {
        let words = ["Global", "PerChannel", "UInt8", "Float8E4M3FN", "NF4"].map(kebab);
        assert_eq!(words.join(" "), "global per-channel uint8 float8e4m3fn nf4");
    }
}
