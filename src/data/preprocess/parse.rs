//! The text of a preprocessing, and what can be wrong with it.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use onnxpress_passes::pipeline::nearest;

use super::{Layout, PRESETS, Preprocess};

/// Every option, in the order in which messages list them.
const OPTIONS: [&str; 7] = ["scale", "mean", "std", "layout", "resize", "crop", "bgr"];

/// The most channels that numbers can be given for: more than any picture has, and a bound on what a text can take.
const CHANNELS: usize = 1024;

/// The largest extent that a picture can be given, in pixels.
const EXTENT: u32 = 1 << 14;

/// What is wrong with the text of a preprocessing, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreprocessError {
    /// What is wrong: lower case, no final period.
    pub message: String,
    /// Where, in bytes of the text.
    pub span: Range<usize>,
    /// What to do about it, if anything is known.
    pub help: Option<String>,
}

impl PreprocessError {
    fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { message: message.into(), span, help: None }
    }

    fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// The error over `text`, which is what was parsed, with the column marked and the advice below.
    pub fn render(&self, text: &str) -> String {
        let start = text.floor_char_boundary(self.span.start);
        let end = text.floor_char_boundary(self.span.end).max(start);
        let place = AnnotationKind::Primary.span(start..end);
        let snippet = Snippet::source(text).path("preprocess").annotation(place);
        let help = self.help.as_deref().map(|help| Level::HELP.message(help));
        Renderer::plain().render(&[Level::ERROR.primary_title(self.message.as_str()).element(snippet).elements(help)])
    }
}

impl fmt::Display for PreprocessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {} of the preprocessing)", self.message, self.span.start)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, "; {help}"))
    }
}

impl std::error::Error for PreprocessError {}

/// A piece of the text, and where it stands.
#[derive(Clone, Copy)]
struct Piece<'t> {
    text: &'t str,
    start: usize,
}

impl<'t> Piece<'t> {
    fn span(self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }

    fn trimmed(self) -> Self {
        let text = self.text.trim_start();
        Self { text: text.trim_end(), start: self.start + self.text.len() - text.len() }
    }

    /// The piece from byte `from` to byte `to`.
    fn part(self, from: usize, to: usize) -> Self {
        Self { text: &self.text[from..to], start: self.start + from }
    }

    /// What stands between commas that no brackets enclose.
    fn split(self) -> Result<Vec<Self>, PreprocessError> {
        let (mut parts, mut from, mut open) = (Vec::new(), 0, None);
        for (at, letter) in self.text.char_indices() {
            match letter {
                '[' if open.is_some() => {
                    return Err(PreprocessError::new(self.part(at, at + 1).span(), "a list in a list"));
                }
                '[' => open = Some(at),
                ']' if open.take().is_none() => {
                    return Err(PreprocessError::new(self.part(at, at + 1).span(), "this bracket was never opened"));
                }
                ',' if open.is_none() => {
                    parts.push(self.part(from, at).trimmed());
                    from = at + 1;
                }
                _ => {}
            }
        }
        if let Some(at) = open {
            return Err(PreprocessError::new(self.part(at, at + 1).span(), "this bracket is never closed"));
        }
        parts.push(self.part(from, self.text.len()).trimmed());
        Ok(parts)
    }

    fn wrong(self, expected: &str) -> PreprocessError {
        let found = if self.text.is_empty() { "nothing".to_owned() } else { format!("`{}`", self.text) };
        PreprocessError::new(self.span(), format!("expected {expected}, found {found}"))
    }

    /// A number, or a quotient of two.
    fn number(self) -> Result<f64, PreprocessError> {
        let number = |text: &str| text.trim().parse::<f64>().ok();
        let value = match self.text.split_once('/') {
            Some((above, below)) => number(above).zip(number(below)).map(|(above, below)| above / below),
            None => number(self.text),
        };
        let finite = value.filter(|value| (*value as f32).is_finite());
        finite.ok_or_else(|| self.wrong("a number, as in `0.5` or `1/255`"))
    }

    /// One number, or a list of some.
    fn numbers(self) -> Result<Vec<f64>, PreprocessError> {
        let Some(inside) = self.text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
            return Ok(vec![self.number()?]);
        };
        let parts = Piece { text: inside, start: self.start + 1 }.split()?;
        if parts.len() > CHANNELS {
            return Err(PreprocessError::new(self.span(), format!("more than {CHANNELS} numbers")));
        }
        parts.into_iter().map(Self::number).collect()
    }

    fn extent(self) -> Result<u32, PreprocessError> {
        let extent = self.text.parse().ok().filter(|extent| (1..=EXTENT).contains(extent));
        extent.ok_or_else(|| self.wrong(&format!("an extent in pixels, 1 to {EXTENT}")))
    }
}

impl FromStr for Preprocess {
    type Err = PreprocessError;

    fn from_str(text: &str) -> Result<Self, PreprocessError> {
        let mut made = Self::default();
        let mut given: Vec<&str> = Vec::new();
        for (index, item) in (Piece { text, start: 0 }).split()?.into_iter().enumerate() {
            let (name, value) = match item.text.find('=') {
                Some(at) => (item.part(0, at).trimmed(), Some(item.part(at + 1, item.text.len()).trimmed())),
                None => (item, None),
            };
            if let Some((_, preset)) = PRESETS.iter().find(|(preset, _)| value.is_none() && *preset == name.text) {
                if index > 0 {
                    let error = PreprocessError::new(name.span(), format!("preset `{}` after options", name.text));
                    return Err(error.with_help("a preset stands first, and what follows changes it"));
                }
                made = preset.parse()?;
                continue;
            }
            let Some(&option) = OPTIONS.iter().find(|option| **option == name.text) else {
                return Err(unknown(name));
            };
            if given.contains(&option) {
                return Err(PreprocessError::new(name.span(), format!("option `{option}` is given twice")));
            }
            given.push(option);
            made.set(option, name, value)?;
        }
        Ok(made)
    }
}

impl Preprocess {
    fn set(&mut self, option: &str, name: Piece<'_>, value: Option<Piece<'_>>) -> Result<(), PreprocessError> {
        if option == "bgr" {
            self.bgr = match value.map(|value| (value, value.text)) {
                None | Some((_, "true")) => true,
                Some((_, "false")) => false,
                Some((value, _)) => return Err(value.wrong("`true` or `false`")),
            };
            return Ok(());
        }
        let Some(value) = value else {
            let error = PreprocessError::new(name.span(), format!("option `{option}` has no value"));
            return Err(error.with_help(format!("write `{option}=...`")));
        };
        let singles = |numbers: Vec<f64>| numbers.into_iter().map(|number| number as f32).collect::<Vec<_>>();
        match option {
            "scale" => self.scale = value.number()? as f32,
            "mean" => self.mean = singles(value.numbers()?),
            "std" => {
                let numbers = singles(value.numbers()?);
                if numbers.contains(&0.0) {
                    return Err(PreprocessError::new(value.span(), "nothing can be divided by 0"));
                }
                self.std = numbers;
            }
            "resize" => self.resize = Some(value.extent()?),
            "crop" => self.crop = Some(value.extent()?),
            _ => {
                let layout = Layout::ALL.into_iter().find(|layout| layout.name() == value.text);
                self.layout = layout.ok_or_else(|| value.wrong("`nchw` or `nhwc`"))?;
            }
        }
        Ok(())
    }
}

fn unknown(name: Piece<'_>) -> PreprocessError {
    if name.text.is_empty() {
        return name.wrong("an option or a preset");
    }
    let known = || OPTIONS.into_iter().chain(PRESETS.iter().map(|(preset, _)| *preset));
    let error = PreprocessError::new(name.span(), format!("unknown option or preset `{}`", name.text));
    error.with_help(match nearest(name.text, known()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("there are {}", known().collect::<Vec<_>>().join(", ")),
    })
}
