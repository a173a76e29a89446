//! Names of values, nodes, operators and attributes.
//!
//! A name is a label for people and for the interfaces of a model, never an identity: values are identified by
//! [`ValueId`](crate::ValueId). Real exporters write names that are not UTF-8, so a name is kept as the bytes that
//! the file has and shown lossily; a name that came from a mapped file is a slice of that file and costs no copy.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

/// A label as the file has it; usually, but not always, UTF-8.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Bytes);

impl Name {
    /// A name of these bytes, without a copy.
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The empty name, which ONNX uses for "no value here".
    pub const fn empty() -> Self {
        Self(Bytes::new())
    }

    /// The name's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name's bytes as a shared slice.
    pub fn to_bytes(&self) -> Bytes {
        self.0.clone()
    }

    /// The name as text; bytes that are not UTF-8 are shown as U+FFFD.
    pub fn to_str(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// Whether the name has no characters.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A name derived from this one, as in `conv1.weight` → `conv1.weight_quantized`.
    #[must_use]
    pub fn suffixed(&self, suffix: &str) -> Self {
        Self(Bytes::from([self.as_bytes(), suffix.as_bytes()].concat()))
    }
}

impl From<&'static str> for Name {
    fn from(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        Self(Bytes::from(text))
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_utf8_is_kept_and_shown_lossily() {
        let name = Name::from_bytes(Bytes::from_static(b"caf\xe9"));
        assert_eq!(name.as_bytes(), b"caf\xe9");
        assert_eq!(name.to_string(), "caf\u{fffd}");
        assert_eq!(name.suffixed("_1").as_bytes(), b"caf\xe9_1");
    }
}
