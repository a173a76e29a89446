//! `options!`: the one block that declares the options of a pass.

use super::{OptionSpec, OptionType};
use crate::pipeline::text::{OptionArg, Word};

/// Declares the options of a pass: a struct, its fields as visible as it is, its default, and [`Options`](crate::options::Options).
///
/// The doc comment of the struct documents the pass, its first paragraph being the summary; those of the fields document
/// the options; all are required. A field `keep_io` is the option `keep-io`. A pass without options is written
/// `pub struct Name;`.
///
/// ```
/// use onnxpress_passes::options::{Options, Ratio};
///
/// onnxpress_passes::options! {
///     /// Removes the weights that matter least.
///     pub struct Thin {
///         /// Part of the weights to remove.
///         ratio: Ratio = Ratio::HALF,
///         /// Values by these names keep theirs.
///         keep: Vec<String> = Vec::new(),
///     }
/// }
///
/// let thin = Thin { ratio: Ratio::percent::<25>(), ..Thin::default() };
/// assert_eq!(Thin::specs()[0].type_name, "number in [0, 1)");
/// assert_eq!(thin.to_text(), "ratio=0.25, keep=[]");
/// ```
#[macro_export]
macro_rules! options {
    ($(#[doc = $doc:literal])+ $vis:vis struct $name:ident;) => {
        $crate::options!(@declare [$($doc),+] [;] $vis $name);
    };
    (
        $(#[doc = $doc:literal])+
        $vis:vis struct $name:ident {
            $($(#[doc = $field_doc:literal])+ $field:ident: $type:ty = $default:expr),+ $(,)?
        }
    ) => {
        $crate::options!(@declare [$($doc),+] [{
            $($(#[doc = $field_doc])+ $vis $field: $type),+
        }] $vis $name $([$($field_doc),+] $field $type = $default;)+);
    };
    (@declare [$($doc:literal),+] [$($body:tt)+] $vis:vis $name:ident $([$($field_doc:literal),+] $field:ident $type:ty = $default:expr;)*) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq)]
        $vis struct $name $($body)+

        impl ::std::default::Default for $name {
            fn default() -> Self {
                Self { $($field: $default),* }
            }
        }

        impl $crate::options::Options for $name {
            fn doc() -> ::std::string::String {
                $crate::options::doc_text(&[$($doc),+])
            }

            fn specs() -> &'static [$crate::options::OptionSpec] {
                static SPECS: ::std::sync::LazyLock<::std::vec::Vec<$crate::options::OptionSpec>> =
                    ::std::sync::LazyLock::new(|| {
                        let _default = <$name as ::std::default::Default>::default();
                        ::std::vec![$($crate::options::spec(stringify!($field), &_default.$field, &[$($field_doc),+])),*]
                    });
                &SPECS
            }

            fn assign(
                &mut self,
                _name: &str,
                _value: &$crate::pipeline::text::Spanned<$crate::pipeline::text::Value>,
            ) -> ::std::result::Result<(), $crate::options::BadValue> {
                $(if _name == $crate::options::option_name(stringify!($field)) {
                    self.$field = $crate::options::OptionType::parse(_value)?;
                })*
                ::std::result::Result::Ok(())
            }

            fn to_options(&self) -> ::std::vec::Vec<$crate::pipeline::text::OptionArg> {
                ::std::vec![$($crate::options::arg(stringify!($field), &self.$field)),*]
            }
        }
    };
}

/// The name of the option that `field` holds: kebab case, the `r#` of a keyword dropped.
#[doc(hidden)]
pub fn option_name(field: &str) -> String {
    field.trim_start_matches("r#").replace('_', "-")
}

/// The documentation of an option.
#[doc(hidden)]
pub fn spec<T: OptionType>(field: &str, default: &T, doc: &[&str]) -> OptionSpec {
    OptionSpec {
        name: option_name(field),
        type_name: T::type_name().into_owned(),
        default: default.to_value().to_string(),
        doc: doc_text(doc),
        choices: T::choices(),
    }
}

/// An option as pipeline text writes it.
#[doc(hidden)]
pub fn arg<T: OptionType>(field: &str, value: &T) -> OptionArg {
    let key = Word::new(option_name(field)).expect("every character of a Rust identifier may stand in a word");
    OptionArg { key: key.into(), value: value.to_value().into() }
}

/// The text of doc comments, one item a line, without the space that follows the slashes.
#[doc(hidden)]
pub fn doc_text(lines: &[&str]) -> String {
    let lines: Vec<&str> = lines.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    lines.join("\n").trim().to_owned()
}
