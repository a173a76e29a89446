//! Typed options: a pass declares a plain struct, and everything the world needs to know of it is read off that block.
//!
//! [`options!`](crate::options!) declares the struct once, with types, defaults and docs; from it come the parser of
//! pipeline text, the help of the command line, the tables of the docs, and the text that a report repeats a run from.
//! What a type accepts, how it is called and how it prints is an [`OptionType`], one implementation each.

mod by_name;
mod choice;
mod compound;
mod declare;
mod interval;
mod pattern;
mod scalar;
mod size;

#[cfg(test)]
mod tests;

pub use by_name::ByName;
pub use choice::Choice;
pub use interval::{Ratio, Share};
pub use pattern::Pattern;
pub use size::ByteSize;

#[doc(hidden)]
pub use choice::{choice, parse_choice, type_name_of_choices};
#[doc(hidden)]
pub use declare::{arg, doc_text, option_name, spec};

use std::borrow::Cow;
use std::fmt::Debug;

use crate::pipeline::text::{OptionArg, Span, Spanned, Value};
use crate::pipeline::{PipelineError, Problem, nearest, shown};

/// A type that an option may have.
///
/// Law: `parse(to_value(x)) == x` for every value; it is what lets a printed pipeline repeat a run.
pub trait OptionType: Sized {
    /// What values there are, in words that follow "takes a", such as `number in [0, 1)`.
    fn type_name() -> Cow<'static, str>;

    /// Reads a value as it stands in the text.
    ///
    /// # Errors
    /// The value is none of this type.
    fn parse(value: &Spanned<Value>) -> Result<Self, BadValue>;

    /// The value as text has it.
    fn to_value(&self) -> Value;

    /// The values and what each means, if they are few and named; empty for all other types.
    fn choices() -> &'static [Choice] {
        &[]
    }
}

/// A value that an option does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadValue {
    /// Where the value stands; inside a list, where the element stands.
    pub span: Span,
    /// What would have been right, with its article: `a number in [0, 1)`.
    pub expected: String,
    /// What stands there, in backticks.
    pub found: String,
    /// Advice, if there is any beyond that.
    pub help: Option<String>,
}

impl BadValue {
    /// `value` is no `T`.
    pub fn of<T: OptionType>(value: &Spanned<Value>) -> BadValue {
        let expected = with_article(&T::type_name());
        BadValue { span: value.span, expected, found: shown(&value.it), help: None }
    }

    /// With advice: lower case, no final period.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> BadValue {
        self.help = Some(help.into());
        self
    }
}

/// One option, as documentation shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionSpec {
    /// Its name in pipeline text, in kebab case: `keep-io`.
    pub name: String,
    /// What it takes: `number in [0, 1)`.
    pub type_name: String,
    /// Its default, as text.
    pub default: String,
    /// What it is for: the doc comment of the field.
    pub doc: String,
    /// The values it takes, if they are few and named.
    pub choices: &'static [Choice],
}

/// The options of a pass. [`options!`](crate::options!) implements it; by hand only for what a plain struct cannot say.
pub trait Options: Default + Clone + Debug + 'static {
    /// The doc comment of the struct, which documents the pass.
    fn doc() -> String;

    /// The options in the order of declaration.
    fn specs() -> &'static [OptionSpec];

    /// Sets the option `name`, one of [`specs`](Options::specs), to a value from text.
    ///
    /// # Errors
    /// The value is none of the option's type.
    fn assign(&mut self, name: &str, value: &Spanned<Value>) -> Result<(), BadValue>;

    /// Every option with its value, defaults included, in the order of declaration.
    fn to_options(&self) -> Vec<OptionArg>;

    /// The options that `args` say, defaults for the rest.
    ///
    /// # Errors
    /// An option that there is not, one that is given twice, a value that its option does not take: the leftmost.
    fn from_options(args: &[OptionArg]) -> Result<Self, PipelineError> {
        let mut options = Self::default();
        for (i, arg) in args.iter().enumerate() {
            let name = arg.key.it.as_str();
            if !Self::specs().iter().any(|spec| spec.name == name) {
                return Err(unknown(arg, Self::specs()));
            }
            // At most one earlier argument for each spec, so this is no quadratic walk over what the text holds.
            if let Some(first) = args[..i].iter().find(|earlier| earlier.key == arg.key) {
                let problem = Problem::DuplicateOption { option: name.to_owned() };
                return Err(PipelineError::new(arg.key.span, problem).with_note(first.key.span, "first given here"));
            }
            options.assign(name, &arg.value).map_err(|bad| refused(arg, bad))?;
        }
        Ok(options)
    }

    /// Every option with its value, as it stands between the braces of pipeline text: `ratio=0.5, scope=global`.
    fn to_text(&self) -> String {
        let options: Vec<String> = self.to_options().iter().map(OptionArg::to_string).collect();
        options.join(", ")
    }
}

fn unknown(arg: &OptionArg, specs: &[OptionSpec]) -> PipelineError {
    let option = arg.key.it.as_str();
    let names = || specs.iter().map(|spec| spec.name.as_str());
    let help = match nearest(option, names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if specs.is_empty() => "it has no options".to_owned(),
        None => format!("its options are {}", listed(names())),
    };
    PipelineError::new(arg.key.span, Problem::UnknownOption { option: option.to_owned() }).with_help(help)
}

fn refused(arg: &OptionArg, bad: BadValue) -> PipelineError {
    let option = arg.key.to_string();
    let bare = arg.is_bare();
    let found = if bare { "no value".to_owned() } else { bad.found };
    let help = if bare { Some(format!("write `{option}=VALUE`")) } else { bad.help };
    let error = PipelineError::new(bad.span, Problem::BadValue { option, expected: bad.expected, found });
    match help {
        Some(help) => error.with_help(help),
        None => error,
    }
}

/// The `names` in backticks, separated by commas.
pub(crate) fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// `a number`, `an integer`; nothing before the backtick of a literal value.
fn with_article(noun: &str) -> String {
    match noun.chars().next() {
        Some('`') | None => noun.to_owned(),
        Some('a' | 'e' | 'i' | 'o' | 'u') => format!("an {noun}"),
        Some(_) => format!("a {noun}"),
    }
}
