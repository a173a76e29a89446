//! The module doc of a rule, at run time.
//!
//! A rule's contract (before, after, when, why exact, why it ends) is the doc of its module, and what the command line prints
//! of it. So that it is written once, [`contract!`](crate::contract) cuts it out of the source while the crate compiles.

/// The text of the `//!` comment at the head of a source file, named relative to the one where this stands, as a
/// `&'static str`: `const CONTRACT: &'static str = contract!("fuse_relu.rs");`.
#[macro_export]
macro_rules! contract {
    ($file:literal) => {{
        const SOURCE: &str = ::std::include_str!($file);
        const TEXT: &[u8; $crate::rewrite::contract::length(SOURCE)] = &$crate::rewrite::contract::text(SOURCE);
        match ::std::str::from_utf8(TEXT) {
            Ok(text) => text,
            Err(_) => "",
        }
    }};
}

/// The number of bytes that [`text`] takes out of a source.
pub const fn length(source: &str) -> usize {
    let source = source.as_bytes();
    let (mut at, mut length) = (0, 0);
    while is_doc(source, at) {
        let (from, to) = line(source, at);
        length += to - from + 1;
        at = to + 1;
    }
    length
}

/// The comment at the head of a source, a line a line, the slashes and the space behind them dropped.
pub const fn text<const N: usize>(source: &str) -> [u8; N] {
    let source = source.as_bytes();
    let mut text = [b'\n'; N];
    let (mut at, mut end) = (0, 0);
    while is_doc(source, at) {
        let (mut from, to) = line(source, at);
        while from < to {
            text[end] = source[from];
            (from, end) = (from + 1, end + 1);
        }
        end += 1;
        at = to + 1;
    }
    text
}

const fn is_doc(source: &[u8], at: usize) -> bool {
    at + 3 <= source.len() && source[at] == b'/' && source[at + 1] == b'/' && source[at + 2] == b'!'
}

/// From where to where the text of the line that begins at `at` goes.
const fn line(source: &[u8], at: usize) -> (usize, usize) {
    let mut from = at + 3;
    if from < source.len() && source[from] == b' ' {
        from += 1;
    }
    let mut to = from;
    while to < source.len() && source[to] != b'\n' {
        to += 1;
    }
    (from, to)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_doc_of_a_module_is_there_at_run_time() {
        const HERE: &str = crate::contract!("contract.rs");
        assert!(HERE.starts_with("The module doc of a rule, at run time.\n\nA rule's contract"), "{HERE}");
        assert!(HERE.ends_with("while the crate compiles.\n"), "{HERE}");
    }

    #[test]
    fn only_the_head_of_a_source_is_taken() {
        const SOURCE: &str = "//! Folds.\n//!\n//!  Ends.\nuse x;\n//! Not this.\n";
        const TEXT: [u8; super::length(SOURCE)] = super::text(SOURCE);
        assert_eq!(&TEXT, b"Folds.\n\n Ends.\n");
    }
}
