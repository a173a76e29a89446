//! Reading tokens of the text form, with positions for what is wrong.

use bytes::Bytes;

use super::error::{Fault, TextError};
use super::word::{continues_identifier, is_type_word, starts_identifier};
use crate::name::Name;

/// Graphs and types within each other: more than the 106 graphs that a file may nest.
const MAX_NESTING: usize = 128;

/// A number as written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number<'t> {
    pub(super) text: &'t str,
    /// Whether it is written without point, exponent and word.
    pub(super) whole: bool,
    pub(super) at: usize,
}

/// A place in a text.
pub(super) struct Cursor<'t> {
    text: &'t str,
    at: usize,
    nesting: usize,
    /// Elements that recipes may still make.
    pub(super) elements: usize,
    pub(super) element_limit: usize,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(text: &'t str, element_limit: usize) -> Self {
        Self { text, at: 0, nesting: 0, elements: element_limit, element_limit }
    }

    /// What is left, from the next token on.
    fn rest(&mut self) -> &'t str {
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\x0b' | b'\x0c' | b'\r') => self.at += 1,
                Some(b'#') => {
                    self.at += bytes[self.at..].iter().position(|&b| b == b'\n').unwrap_or(bytes.len() - self.at)
                }
                _ => return &self.text[self.at..],
            }
        }
    }

    /// Where the next token begins.
    pub(super) fn place(&mut self) -> usize {
        self.rest();
        self.at
    }

    /// The first byte of the next token.
    pub(super) fn peek(&mut self) -> Option<u8> {
        self.rest().bytes().next()
    }

    pub(super) fn at_end(&mut self) -> bool {
        self.rest().is_empty()
    }

    /// Takes a token if it is next.
    pub(super) fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    pub(super) fn expect(&mut self, token: &str) -> Result<(), TextError> {
        if self.take(token) { Ok(()) } else { Err(self.expected(&format!("`{token}`"))) }
    }

    /// The error that something else stands here.
    pub(super) fn expected(&mut self, expected: &str) -> TextError {
        let at = self.place();
        let found = self.found();
        self.error_at(at, Fault::Expected { found, expected: expected.to_owned() })
    }

    fn found(&mut self) -> String {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return "the end".to_owned() };
        let word = if first == '"' {
            rest.char_indices().skip(1).find(|&(_, c)| c == '"').map(|(at, _)| at + 1)
        } else {
            None
        };
        let word =
            word.or_else(|| Some(rest.bytes().take_while(|&b| continues_identifier(b)).count()).filter(|&len| len > 0));
        let token = &rest[..word.unwrap_or(first.len_utf8())];
        let mut shown: String = token.chars().take(24).map(|c| if c.is_control() { ' ' } else { c }).collect();
        if token.chars().nth(24).is_some() {
            shown.push('…');
        }
        format!("`{shown}`")
    }

    pub(super) fn error_at(&self, offset: usize, fault: Fault) -> TextError {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        TextError::At { line, column, offset, fault }
    }

    /// The identifier that is next, if one is.
    pub(super) fn peek_identifier(&mut self) -> Option<&'t str> {
        let rest = self.rest();
        let starts = rest.bytes().next().is_some_and(starts_identifier);
        let len = rest.bytes().take_while(|&b| continues_identifier(b)).count();
        let is_bytes = rest.starts_with("b\"");
        (starts && !is_bytes).then(|| &rest[..len])
    }

    pub(super) fn identifier(&mut self) -> Option<&'t str> {
        let word = self.peek_identifier()?;
        self.at += word.len();
        Some(word)
    }

    pub(super) fn expect_identifier(&mut self, expected: &str) -> Result<&'t str, TextError> {
        self.identifier().ok_or_else(|| self.expected(expected))
    }

    pub(super) fn next_is_string(&mut self) -> bool {
        let rest = self.rest();
        rest.starts_with('"') || rest.starts_with("b\"")
    }

    pub(super) fn next_is_type(&mut self) -> bool {
        self.peek() == Some(b'?') || self.peek_identifier().is_some_and(is_type_word)
    }

    /// The name that is next, an identifier or quoted, if one is.
    pub(super) fn name(&mut self) -> Result<Option<Name>, TextError> {
        if self.next_is_string() {
            return Ok(Some(Name::from_bytes(self.string()?)));
        }
        Ok(self.identifier().map(|word| Name::from(word.to_owned())))
    }

    pub(super) fn expect_name(&mut self, expected: &str) -> Result<Name, TextError> {
        match self.name()? {
            Some(name) => Ok(name),
            None => Err(self.expected(expected)),
        }
    }

    /// A list of names, any of which may be missing; after a last comma nothing is missing.
    pub(super) fn names(&mut self) -> Result<Vec<Name>, TextError> {
        let mut names = Vec::new();
        loop {
            match self.name()? {
                Some(name) => names.push(name),
                None if self.peek() == Some(b',') => names.push(Name::empty()),
                None => return Ok(names),
            }
            if !self.take(",") {
                return Ok(names);
            }
        }
    }

    /// A string in quotation marks, or bytes in ours.
    pub(super) fn string(&mut self) -> Result<Bytes, TextError> {
        let start = self.place();
        let is_bytes = self.take("b\"");
        if !is_bytes && !self.take("\"") {
            return Err(self.expected("a string in quotation marks"));
        }
        let text = self.text.as_bytes();
        let mut string = Vec::new();
        loop {
            match text.get(self.at) {
                None => {
                    let expected = "a string with an end".to_owned();
                    return Err(self.error_at(start, Fault::Expected { found: "the end".to_owned(), expected }));
                }
                Some(b'"') => break,
                Some(b'\\') if is_bytes && text.get(self.at + 1) == Some(&b'x') => {
                    let digits = self.text.get(self.at + 2..self.at + 4);
                    match digits.filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit())).map(|d| u8::from_str_radix(d, 16))
                    {
                        Some(Ok(byte)) => string.push(byte),
                        _ => {
                            let fault = Fault::Expected {
                                found: "`\\x`".to_owned(),
                                expected: "two hexadecimal digits".to_owned(),
                            };
                            return Err(self.error_at(self.at, fault));
                        }
                    }
                    self.at += 4;
                }
                Some(b'\\') => {
                    string.extend(text.get(self.at + 1));
                    self.at += 2;
                }
                Some(&byte) => {
                    string.push(byte);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        Ok(Bytes::from(string))
    }

    /// Whether a number is next, rather than a word that only begins like one.
    pub(super) fn next_is_number(&mut self) -> bool {
        self.peek().is_some_and(|b| b.is_ascii_digit() || b == b'-')
            || self.peek_identifier().is_some_and(super::word::is_float_word)
    }

    /// A number: `-?` and digits with point and exponent, or `inf`, `infinity` or `nan` in any case.
    pub(super) fn number(&mut self) -> Result<Number<'t>, TextError> {
        let rest = self.rest();
        let at = self.at;
        let bytes = rest.as_bytes();
        let count = |from: usize, of: fn(&u8) -> bool| bytes[from..].iter().take_while(|b| of(b)).count();
        let mut len = usize::from(bytes.first() == Some(&b'-'));
        let mut whole = true;
        let letters = count(len, u8::is_ascii_alphabetic);
        if letters > 0 {
            whole = false;
            if !super::word::is_float_word(&rest[len..]) {
                return Err(self.expected("a number"));
            }
            len += letters;
        } else {
            let digits = count(len, u8::is_ascii_digit);
            if digits == 0 {
                return Err(self.expected("a number"));
            }
            len += digits;
            if bytes.get(len) == Some(&b'.') {
                whole = false;
                len += 1;
                len += count(len, u8::is_ascii_digit);
            }
            if matches!(bytes.get(len), Some(b'e' | b'E')) {
                whole = false;
                len += 1;
                len += usize::from(matches!(bytes.get(len), Some(b'+' | b'-')));
                let exponent = count(len, u8::is_ascii_digit);
                if exponent == 0 {
                    self.at += len;
                    return Err(self.expected("an exponent"));
                }
                len += exponent;
            }
        }
        self.at += len;
        Ok(Number { text: &rest[..len], whole, at })
    }

    /// The text of an extent: up to a comma or the closing bracket, whichever is not within parentheses or quotation marks.
    pub(super) fn extent(&mut self) -> (usize, &'t str) {
        let rest = self.rest();
        let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
        let end = rest.bytes().position(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ if quoted => {}
                b'(' => depth += 1,
                b')' => depth = depth.saturating_sub(1),
                b',' | b']' if depth == 0 => return true,
                b'\n' | b'{' | b'}' | b'#' => return true,
                _ => {}
            }
            false
        });
        let text = &rest[..end.unwrap_or(rest.len())];
        let at = self.at;
        self.at += text.len();
        (at, text.trim_end())
    }

    /// Goes back (or forward) to a place that [`place`](Self::place) answered.
    pub(super) fn return_to(&mut self, place: usize) {
        self.at = place;
    }

    /// Goes a level deeper, if the limit allows.
    pub(super) fn enter(&mut self) -> Result<(), TextError> {
        if self.nesting == MAX_NESTING {
            let at = self.place();
            return Err(self.error_at(at, Fault::Nesting { limit: MAX_NESTING }));
        }
        self.nesting += 1;
        Ok(())
    }

    /// Comes back up.
    pub(super) fn leave(&mut self) {
        self.nesting -= 1;
    }
}
