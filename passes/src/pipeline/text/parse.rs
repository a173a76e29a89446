//! Text to tree: recursive descent, one function a production, one character of look-ahead.

use std::str::FromStr;

use super::{Ast, FIXPOINT, Item, MAX_FIXPOINT_DEPTH, MAX_LIST_DEPTH, OptionArg, PassCall, Span, Spanned, Value, Word};
use crate::pipeline::error::{PipelineError, Problem, clipped};

/// Reads a pipeline text.
///
/// # Errors
/// The first place where the text leaves the grammar or nests too deep.
pub fn parse(text: &str) -> Result<Ast, PipelineError> {
    let mut parser = Parser { text, at: 0, brackets: Vec::new() };
    let ast = parser.pipeline()?;
    match parser.peek() {
        None => Ok(ast),
        Some(_) => Err(parser.after_item("`,` or the end of the text")),
    }
}

impl FromStr for Ast {
    type Err = PipelineError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text)
    }
}

struct Parser<'t> {
    text: &'t str,
    /// The byte to read next; always on a character boundary.
    at: usize,
    /// The brackets and quotes that are open here, outermost first: character and offset.
    brackets: Vec<(char, usize)>,
}

impl Parser<'_> {
    fn pipeline(&mut self) -> Result<Ast, PipelineError> {
        let mut items = Vec::new();
        self.space();
        let empty = match self.peek() {
            None => true,
            Some(c) => c == ')' && !self.brackets.is_empty(),
        };
        if empty {
            return Ok(Ast { items });
        }
        loop {
            items.push(self.item()?);
            self.space();
            if !self.eat(',') {
                return Ok(Ast { items });
            }
            self.space();
        }
    }

    fn item(&mut self) -> Result<Spanned<Item>, PipelineError> {
        let start = self.at;
        let name = self.word("a pass name")?;
        let end_of_name = self.at;
        self.space();
        let item = match self.peek() {
            Some('(') if name.it.as_str() == FIXPOINT => Item::Fixpoint(self.group(name.span)?),
            Some('{') => Item::Pass(PassCall { name, options: self.options()? }),
            _ => {
                self.at = end_of_name;
                Item::Pass(PassCall { name, options: Vec::new() })
            }
        };
        Ok(Spanned::new(item, start..self.at))
    }

    fn group(&mut self, keyword: Span) -> Result<Ast, PipelineError> {
        self.check_depth("`fixpoint` groups", '(', MAX_FIXPOINT_DEPTH, keyword)?;
        self.enter();
        let inner = self.pipeline()?;
        if !self.leave(')') {
            return Err(self.after_item("`,` or `)`"));
        }
        Ok(inner)
    }

    fn options(&mut self) -> Result<Vec<OptionArg>, PipelineError> {
        self.enter();
        let mut options = Vec::new();
        self.space();
        if self.leave('}') {
            return Ok(options);
        }
        loop {
            options.push(self.option()?);
            let spaced = self.space();
            if self.leave('}') {
                return Ok(options);
            }
            if self.eat(',') {
                self.space();
            } else if !spaced {
                return Err(self.unexpected("`,`, a space or `}`"));
            }
        }
    }

    fn option(&mut self) -> Result<OptionArg, PipelineError> {
        let key = self.word("an option name")?;
        let end_of_key = self.at;
        self.space();
        let value = if self.eat('=') {
            self.space();
            self.value()?
        } else {
            self.at = end_of_key; // The space may be the separator.
            Spanned::new(Value::from_text("true"), key.span)
        };
        Ok(OptionArg { key, value })
    }

    fn value(&mut self) -> Result<Spanned<Value>, PipelineError> {
        let start = self.at;
        let value = match self.peek() {
            Some('[') => Value::List(self.list()?),
            Some(quote @ ('"' | '\'')) => Value::Quoted(self.string(quote)?),
            _ => Value::Word(self.word("a value")?.it),
        };
        Ok(Spanned::new(value, start..self.at))
    }

    fn list(&mut self) -> Result<Vec<Spanned<Value>>, PipelineError> {
        self.check_depth("lists", '[', MAX_LIST_DEPTH, Span::from(self.at..self.at + 1))?;
        self.enter();
        let mut values = Vec::new();
        self.space();
        if self.leave(']') {
            return Ok(values);
        }
        loop {
            values.push(self.value()?);
            self.space();
            if self.leave(']') {
                return Ok(values);
            }
            if !self.eat(',') {
                return Err(self.unexpected("`,` or `]`"));
            }
            self.space();
        }
    }

    fn string(&mut self, quote: char) -> Result<String, PipelineError> {
        self.enter();
        let mut text = String::new();
        loop {
            if self.leave(quote) {
                return Ok(text);
            }
            let start = self.at;
            match self.bump() {
                None => return Err(self.unexpected("the closing quote")),
                Some('\\') => text.push(self.escape(start)?),
                Some(c) => text.push(c),
            }
        }
    }

    /// Reads what stands behind the backslash at `start`.
    fn escape(&mut self, start: usize) -> Result<char, PipelineError> {
        let read = match self.bump() {
            None => return Err(self.unexpected("the closing quote")),
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some('t') => Some('\t'),
            Some(c @ ('\\' | '"' | '\'')) => Some(c),
            Some('u') => self.code_point(),
            Some(_) => None,
        };
        read.ok_or_else(|| {
            let span = Span::from(start..self.at);
            let found = clipped(&self.text[start..self.at]);
            PipelineError::new(span, Problem::Escape { found })
                .with_help(r#"the escapes are \n \r \t \\ \" \' and \u{HEX}, as in \u{e9}"#)
        })
    }

    /// `{HEX}` with one to six digits that name a character.
    fn code_point(&mut self) -> Option<char> {
        let rest = self.text[self.at..].strip_prefix('{')?;
        let digits = &rest[..rest.find('}')?];
        self.at += digits.len() + 2;
        let valid = (1..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
        valid.then(|| u32::from_str_radix(digits, 16).ok()).flatten().and_then(char::from_u32)
    }

    fn word(&mut self, expected: &str) -> Result<Spanned<Word>, PipelineError> {
        let (start, text) = (self.at, self.word_here());
        let word = Word::new(text).ok_or_else(|| self.unexpected(expected))?;
        self.at += text.len();
        Ok(Spanned::new(word, start..self.at))
    }

    /// The run of word characters that begins here, possibly empty.
    fn word_here(&self) -> &str {
        let rest = &self.text[self.at..];
        &rest[..rest.find(|c| !Word::may_hold(c)).unwrap_or(rest.len())]
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    /// Passes over white space; whether there was any.
    fn space(&mut self) -> bool {
        let rest = &self.text[self.at..];
        let blank = rest.len() - rest.trim_start().len();
        self.at += blank;
        blank > 0
    }

    /// Refuses one more `bracket` when `limit` of them are open; `blame` is what the error points at.
    fn check_depth(&self, what: &'static str, bracket: char, limit: usize, blame: Span) -> Result<(), PipelineError> {
        if self.brackets.iter().filter(|(open, _)| *open == bracket).count() < limit {
            return Ok(());
        }
        Err(PipelineError::new(blame, Problem::TooDeep { what, limit }))
    }

    /// Takes the opening bracket or quote that stands here.
    fn enter(&mut self) {
        let at = self.at;
        let bracket = self.bump();
        self.brackets.extend(bracket.map(|bracket| (bracket, at)));
    }

    /// Takes the closing bracket or quote of the innermost open one if it stands here.
    fn leave(&mut self, closing: char) -> bool {
        let found = self.eat(closing);
        if found {
            self.brackets.pop();
        }
        found
    }

    /// What stands here is not what may follow an item.
    fn after_item(&self, expected: &str) -> PipelineError {
        let error = self.unexpected(expected);
        match self.peek() {
            Some('(') => {
                error.with_help("options stand in braces, as in `name{key=value}`; only `fixpoint` takes parentheses")
            }
            Some(c) if Word::may_hold(c) => error.with_help("passes are separated by commas"),
            _ => error,
        }
    }

    /// What stands here is not `expected`. At the end of the text with a bracket open, the bracket is the mistake.
    fn unexpected(&self, expected: &str) -> PipelineError {
        let (end, found) = match (self.peek(), self.brackets.last()) {
            (None, Some(&(open, at))) => {
                return PipelineError::new(at..at + open.len_utf8(), Problem::Unclosed { open });
            }
            (None, None) => (self.at, "the end of the text".to_owned()),
            (Some(next), _) => {
                let end = self.at + self.word_here().len().max(next.len_utf8());
                (end, format!("`{}`", clipped(&self.text[self.at..end])))
            }
        };
        let expected = expected.to_owned();
        PipelineError::new(self.at..end, Problem::Unexpected { expected, found })
    }
}
