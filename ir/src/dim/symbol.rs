//! The unknowns of symbolic dimensions.
//!
//! A file names some of its extents (`dim_param`) and leaves others blank. Both stand for a size, so both are
//! non-negative integers; a blank one gets a number so that two blanks are never taken for the same size.

use std::fmt;
use std::sync::Arc;

/// An unknown extent: a size, hence a non-negative integer.
///
/// Equal symbols stand for equal sizes throughout one model. Named symbols sort before anonymous ones.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Symbol {
    /// An extent that the file names, by its `dim_param`.
    Named(Arc<str>),
    /// An extent that nobody named, by the number that inference gave it.
    Anonymous(u32),
}

impl Symbol {
    /// The symbol of a `dim_param`.
    pub fn named(name: &str) -> Self {
        Self::Named(Arc::from(name))
    }
}

/// Whether a name can stand in the text form as it is; any other is quoted there.
fn is_plain(name: &str) -> bool {
    name.starts_with(starts_name) && name.chars().all(continues_name)
}

/// Whether a plain name may begin with this character.
pub(super) fn starts_name(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

/// Whether a plain name may go on with this character. Exporters derive names from tensor names, with `.`, `:` and `/`
/// in them; the slash means division here, so a name that has it is quoted.
pub(super) fn continues_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | ':')
}

/// `N`, `?12`; a name that is not a plain word is quoted, with `\"` and `\\` for those two characters: `"batch size"`.
impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) if is_plain(name) => f.write_str(name),
            Self::Named(name) => {
                let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
                write!(f, "\"{escaped}\"")
            }
            Self::Anonymous(number) => write!(f, "?{number}"),
        }
    }
}
