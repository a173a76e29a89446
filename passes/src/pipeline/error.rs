//! What can be wrong with a pipeline text, and how it is told: the place, what was found, what was expected, what to do.

use std::fmt::{Display, Formatter};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::text::{Span, Value};

/// The longest piece of the text that a message repeats, in characters: enough to recognise it, and one line at most.
const CLIP: usize = 40;

/// How far from the problem a second place may stand to be shown, in bytes: what lies between two marks is shown whole.
const NEARBY: usize = 1_000;

/// What is wrong, apart from where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The text leaves the grammar.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What could have stood there.
        expected: String,
        /// What stands there, in backticks, or `the end of the text`.
        found: String,
    },
    /// The text ends inside brackets or quotes.
    #[error("this {} is never closed", bracket_name(*open))]
    Unclosed {
        /// The opening bracket or quote.
        open: char,
    },
    /// A backslash in a string with something behind it that is no escape.
    #[error("unknown escape `{found}`")]
    Escape {
        /// The backslash and what follows.
        found: String,
    },
    /// Groups or lists inside each other beyond the limit.
    #[error("{what} nest more than {limit} deep")]
    TooDeep {
        /// What nests, in the plural.
        what: &'static str,
        /// How deep it may.
        limit: usize,
    },
    /// A name that no pass and no preset has.
    #[error("unknown pass `{}`", clipped(name))]
    UnknownPass {
        /// The name as written.
        name: String,
    },
    /// An option that the pass does not have.
    #[error("unknown option `{}`", clipped(option))]
    UnknownOption {
        /// The key as written.
        option: String,
    },
    /// An option that is given twice.
    #[error("option `{option}` is given twice")]
    DuplicateOption {
        /// The key.
        option: String,
    },
    /// Options on a preset, which is no pass.
    #[error("preset `{name}` takes no options")]
    PresetOptions {
        /// The preset.
        name: String,
    },
    /// A value that the option's type does not have.
    #[error("option `{option}` takes {expected}, found {found}")]
    BadValue {
        /// The key.
        option: String,
        /// What the option takes, such as `a number in [0, 1)`.
        expected: String,
        /// The value as written, in backticks, or `no value`.
        found: String,
    },
}

/// Why a text is no pipeline: one problem, its place, and advice.
///
/// `Display` is one line without the text; [`render`](PipelineError::render) shows the text with the place marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineError(Box<Details>);

/// Boxed, so that the `Ok` way of every parsing function stays small.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Details {
    problem: Problem,
    span: Span,
    pass: Option<String>,
    note: Option<(Span, &'static str)>,
    help: Option<String>,
}

impl PipelineError {
    /// `problem`, at `span` of the text.
    pub fn new(span: impl Into<Span>, problem: Problem) -> Self {
        let span = span.into();
        PipelineError(Box::new(Details { problem, span, pass: None, note: None, help: None }))
    }

    /// With advice: lower case, no final period.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// With a second place that explains the first; it is shown if it is not far.
    #[must_use]
    pub fn with_note(mut self, span: impl Into<Span>, note: &'static str) -> Self {
        self.0.note = Some((span.into(), note));
        self
    }

    /// As a problem with the options of `pass`, which the message then names.
    #[must_use]
    pub fn in_pass(mut self, pass: &str) -> Self {
        self.0.pass = Some(pass.to_owned());
        self
    }

    /// What is wrong.
    pub fn problem(&self) -> &Problem {
        &self.0.problem
    }

    /// Where in the text.
    pub fn span(&self) -> Span {
        self.0.span
    }

    /// What to do about it, if anything is known.
    pub fn help(&self) -> Option<&str> {
        self.0.help.as_deref()
    }

    /// One line without place and advice.
    pub fn message(&self) -> String {
        match &self.0.pass {
            Some(pass) => format!("`{pass}`: {}", self.0.problem),
            None => self.0.problem.to_string(),
        }
    }

    /// The error over the line of `text` it is about, with the column marked and the advice below; several lines
    /// without a final line break. `text` is what was parsed; of any other the marks mean nothing. `color` writes
    /// terminal escapes.
    pub fn render(&self, text: &str, color: bool) -> String {
        let primary = AnnotationKind::Primary.span(within(text, self.0.span));
        let nearby = |(note, _): &(Span, _)| self.0.span.start.abs_diff(note.start) < NEARBY;
        let note = self
            .0
            .note
            .filter(nearby)
            .map(|(span, label)| AnnotationKind::Context.span(within(text, span)).label(label));
        let snippet = Snippet::source(text).path("pipeline").annotation(primary).annotations(note);
        let help = self.help().map(|help| Level::HELP.message(help));
        let report = [Level::ERROR.primary_title(self.message()).element(snippet).elements(help)];
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&report)
    }
}

impl Display for PipelineError {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (at byte {} of the pipeline)", self.message(), self.0.span.start)?;
        match self.help() {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for PipelineError {}

/// `span` moved onto character boundaries inside `text`, so that an error shown over another text is merely useless.
fn within(text: &str, span: Span) -> std::ops::Range<usize> {
    let start = text.floor_char_boundary(span.start);
    start..text.floor_char_boundary(span.end).max(start)
}

fn bracket_name(open: char) -> &'static str {
    match open {
        '(' => "parenthesis",
        '{' => "brace",
        '[' => "bracket",
        _ => "quote",
    }
}

/// `text` on one line, cut where it gets long.
pub(super) fn clipped(text: &str) -> String {
    let mut shown: String = text.chars().take(CLIP).flat_map(printable).collect();
    if text.chars().nth(CLIP).is_some() {
        shown.push('…');
    }
    shown
}

/// Control characters as escapes, all others as they are.
fn printable(c: char) -> impl Iterator<Item = char> {
    let escaped = c.is_control().then(|| c.escape_default());
    let plain = escaped.is_none().then_some(c);
    escaped.into_iter().flatten().chain(plain)
}

/// `value` as it is written, in backticks, cut where it gets long.
pub(crate) fn shown(value: &Value) -> String {
    format!("`{}`", clipped(&value.to_string()))
}
