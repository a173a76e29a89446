//! The tree of a pipeline text. Two trees are equal if they say the same; where they say it (the spans) is not compared,
//! and neither is white space, so `parse(print(tree)) == tree` is a law that tests can state.

use std::ops::Range;

/// A range of bytes in the pipeline text, empty at 0 in a tree that was not parsed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset behind the last byte.
    pub end: usize,
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        Span { start: range.start, end: range.end }
    }
}

/// Something and where in the text it stands. Equality is that of the thing alone.
#[derive(Debug, Clone)]
pub struct Spanned<T> {
    /// What was read.
    pub it: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// `it`, read at `span`.
    pub fn new(it: T, span: impl Into<Span>) -> Self {
        Spanned { it, span: span.into() }
    }
}

impl<T> From<T> for Spanned<T> {
    /// Something that was made and not read: its span is empty.
    fn from(it: T) -> Self {
        Spanned { it, span: Span::default() }
    }
}

impl<T: PartialEq> PartialEq for Spanned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.it == other.it
    }
}

impl<T: Eq> Eq for Spanned<T> {}

/// Text that the grammar can write without quotes; being a type, it makes a tree that does not print unrepresentable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Word(String);

impl Word {
    /// `text` as a word, or `None` if it is empty or needs quotes.
    pub fn new(text: impl Into<String>) -> Option<Word> {
        let text = text.into();
        (!text.is_empty() && text.chars().all(Word::may_hold)).then_some(Word(text))
    }

    /// The word as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a word may hold `c`, at any place.
    pub(super) fn may_hold(c: char) -> bool {
        !c.is_whitespace()
            && !c.is_control()
            && !matches!(c, ',' | '{' | '}' | '[' | ']' | '(' | ')' | '=' | '"' | '\'')
    }
}

/// A pipeline as written: its items in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ast {
    /// Passes, presets and groups, in the order in which they run.
    pub items: Vec<Spanned<Item>>,
}

/// One item of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// `name{options}`: a pass or a preset; the text alone does not tell which.
    Pass(PassCall),
    /// `fixpoint(pipeline)`: the pipeline, again and again until it changes nothing.
    Fixpoint(Ast),
}

/// The name of a pass or preset and the options written behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassCall {
    /// The name.
    pub name: Spanned<Word>,
    /// The options as written: possibly unknown, twice, or of the wrong type.
    pub options: Vec<OptionArg>,
}

/// `key=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionArg {
    /// The name of the option.
    pub key: Spanned<Word>,
    /// Its value. A bare key has the value `true`, at the place of the key.
    pub value: Spanned<Value>,
}

impl OptionArg {
    /// Whether the text has the key alone.
    pub fn is_bare(&self) -> bool {
        self.value.span == self.key.span && self.key.span != Span::default()
    }
}

/// A value as written; what it means is for the option's type to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Without quotes: `0.5`, `global`, `conv*`, `plans/a.json`.
    Word(Word),
    /// With quotes; the text is without them, escapes replaced.
    Quoted(String),
    /// `[a, b]`
    List(Vec<Spanned<Value>>),
}

impl Value {
    /// A value that reads as `text`: a word where that can be, else quoted.
    pub fn from_text(text: &str) -> Value {
        Word::new(text).map_or_else(|| Value::Quoted(text.to_owned()), Value::Word)
    }

    /// The text of a word or a quoted string, `None` for a list.
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Word(word) => Some(word.as_str()),
            Value::Quoted(text) => Some(text),
            Value::List(_) => None,
        }
    }

    /// Whether this is the word `text`, without quotes.
    pub fn is_word(&self, text: &str) -> bool {
        matches!(self, Value::Word(word) if word.as_str() == text)
    }
}
