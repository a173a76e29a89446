//! Words of the text form: what can stand as it is, and how everything else is quoted.
//!
//! ONNX's identifiers are ASCII letters, digits and `_`. Anything else stands in quotation marks, where `\` makes the next
//! character literal and there are no other escapes. Bytes that are no text have a form of our own, `b"caf\xe9"`: ONNX's
//! parser stops at it, where an escape inside ordinary quotes would be misread in silence.

use crate::dtype::DType;

/// Words that open a type other than that of a dense tensor.
const TYPE_WORDS: [&str; 5] = ["seq", "map", "optional", "sparse_tensor", "opaque"];

/// Whether ONNX's parser takes the bytes for an identifier.
pub(super) fn is_identifier(bytes: &[u8]) -> bool {
    bytes.first().copied().is_some_and(starts_identifier) && bytes.iter().copied().all(continues_identifier)
}

pub(super) fn starts_identifier(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

pub(super) fn continues_identifier(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether an identifier begins a type.
pub(super) fn is_type_word(word: &str) -> bool {
    word.parse::<DType>().is_ok() || TYPE_WORDS.contains(&word)
}

/// Whether ONNX's parser takes the beginning of an identifier for a number: it looks at the letters alone, so `inf_1` is one,
/// and `inf1` is none.
pub(super) fn is_float_word(word: &str) -> bool {
    let letters = word.bytes().take(9).take_while(u8::is_ascii_alphabetic).count();
    let followed_by_digit = word.as_bytes().get(letters).is_some_and(u8::is_ascii_digit);
    let candidate = word[..letters].to_ascii_lowercase();
    !followed_by_digit && matches!(candidate.as_str(), "inf" | "infinity" | "nan")
}

/// Writes a name, in quotation marks unless it is an identifier that cannot be taken for a type.
pub(super) fn push_name(out: &mut String, name: &[u8]) {
    match std::str::from_utf8(name) {
        Ok(word) if is_identifier(name) && !is_type_word(word) => out.push_str(word),
        _ => push_string(out, name),
    }
}

/// Writes a word that stands where no type can, in quotation marks unless it is an identifier.
pub(super) fn push_word(out: &mut String, word: &[u8]) {
    match std::str::from_utf8(word) {
        Ok(text) if is_identifier(word) => out.push_str(text),
        _ => push_string(out, word),
    }
}

/// Writes a string in quotation marks.
pub(super) fn push_string(out: &mut String, bytes: &[u8]) {
    // A NUL would end the text for ONNX's Python binding.
    match std::str::from_utf8(bytes) {
        Ok(text) if !bytes.contains(&0) => {
            out.push('"');
            for c in text.chars() {
                if matches!(c, '"' | '\\') {
                    out.push('\\');
                }
                out.push(c);
            }
            out.push('"');
        }
        _ => push_bytes(out, bytes),
    }
}

fn push_bytes(out: &mut String, bytes: &[u8]) {
    out.push_str("b\"");
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(byte)]),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(bytes: &[u8]) -> String {
        let mut out = String::new();
        push_name(&mut out, bytes);
        out
    }

    #[test]
    fn only_identifiers_that_are_no_types_stand_bare() {
        assert_eq!(name(b"conv1_w"), "conv1_w");
        assert_eq!(name(b"float"), "\"float\"");
        assert_eq!(name(b"/layer.0/Conv:0"), "\"/layer.0/Conv:0\"");
        assert_eq!(name(b""), "\"\"");
        assert_eq!(name("a\"b\\\n\u{e9}".as_bytes()), "\"a\\\"b\\\\\n\u{e9}\"");
        assert_eq!(name(b"caf\xe9\"\0"), r#"b"caf\xe9\"\x00""#);
    }

    #[test]
    fn a_number_is_seen_in_the_first_letters_alone() {
        assert!(["inf", "Infinity", "nan_graph", "INF_1"].into_iter().all(is_float_word));
        assert!(!["inf1", "info", "nano", "x", "_inf"].into_iter().any(is_float_word));
    }
}
