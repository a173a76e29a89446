//! Tree to pass objects: names become passes, presets what they stand for, options typed values.

use std::fmt::{Display, Formatter};
use std::sync::Arc;

use super::registry::{PassSpec, Registry};
use super::text::{Ast, FIXPOINT, Item, MAX_FIXPOINT_DEPTH, PassCall, Span, Spanned, Word, parse};
use super::{PipelineError, Problem};
use crate::options::listed;

/// Passes in the order in which they run. Prints as text that says the same, every option spelled out, presets replaced
/// by what they stand for: enough to repeat a run, also with a program whose defaults and presets have changed.
#[derive(Debug, Clone)]
pub struct Pipeline<P> {
    /// The steps, in order; none is a pipeline too.
    pub steps: Vec<Step<P>>,
}

/// One step of a pipeline.
#[derive(Debug, Clone)]
pub enum Step<P> {
    /// A pass, once.
    Pass(PassStep<P>),
    /// Steps to repeat until a round of them changes nothing.
    Fixpoint(Pipeline<P>),
}

/// A pass with its options.
#[derive(Debug, Clone)]
pub struct PassStep<P> {
    /// The pass object, made from the options.
    pub pass: P,
    /// What is known of the pass.
    pub spec: Arc<PassSpec>,
    /// Its name and every option with its value, defaults included.
    pub call: PassCall,
}

impl<P> Registry<P> {
    /// The pipeline that `text` says.
    ///
    /// # Errors
    /// As for [`parse`] and [`resolve`](Registry::resolve).
    pub fn pipeline(&self, text: &str) -> Result<Pipeline<P>, PipelineError> {
        self.resolve(&parse(text)?)
    }

    /// The pipeline that `ast` says.
    ///
    /// # Errors
    /// A name that is neither pass nor preset, options that the pass does not take (or any, on a preset), groups that
    /// nest too deep once presets are expanded.
    pub fn resolve(&self, ast: &Ast) -> Result<Pipeline<P>, PipelineError> {
        let mut pipeline = Pipeline::default();
        self.expand(ast, 0, None, &mut pipeline)?;
        Ok(pipeline)
    }

    /// Appends what `ast` stands for to `into`, inside `depth` groups; `preset` is where the text names the preset that
    /// `ast` is of, since positions in a preset mean nothing to the reader of the text.
    fn expand(
        &self,
        ast: &Ast,
        depth: usize,
        preset: Option<Span>,
        into: &mut Pipeline<P>,
    ) -> Result<(), PipelineError> {
        for item in &ast.items {
            let span = preset.unwrap_or(item.span);
            match &item.it {
                Item::Fixpoint(inner) => {
                    if depth == MAX_FIXPOINT_DEPTH {
                        let problem = Problem::TooDeep { what: "`fixpoint` groups", limit: MAX_FIXPOINT_DEPTH };
                        return Err(PipelineError::new(span, problem));
                    }
                    let mut group = Pipeline::default();
                    self.expand(inner, depth + 1, preset, &mut group)?;
                    into.steps.push(Step::Fixpoint(group));
                }
                Item::Pass(call) => match self.preset(call.name.it.as_str()) {
                    Some(it) if call.options.is_empty() => self.expand(&it.pipeline, depth, Some(span), into)?,
                    Some(it) => return Err(options_on_preset(call, &it.pipeline)),
                    None => into.steps.push(Step::Pass(self.make(call)?)),
                },
            }
        }
        Ok(())
    }

    fn make(&self, call: &PassCall) -> Result<PassStep<P>, PipelineError> {
        let name = call.name.it.as_str();
        let entry = self.entry(name).ok_or_else(|| self.unknown(&call.name))?;
        let (pass, options) = (entry.make)(&call.options).map_err(|error| error.in_pass(name))?;
        Ok(PassStep { pass, spec: Arc::clone(&entry.spec), call: PassCall { name: call.name.clone(), options } })
    }

    fn unknown(&self, name: &Spanned<Word>) -> PipelineError {
        let wanted = name.it.as_str();
        let help = if wanted == FIXPOINT {
            format!("`{FIXPOINT}` takes a pipeline in parentheses, as in `{FIXPOINT}(a,b)`")
        } else if let Some(near) = self.nearest(wanted) {
            format!("did you mean `{near}`?")
        } else {
            format!("passes and presets are {}", listed(self.names()))
        };
        PipelineError::new(name.span, Problem::UnknownPass { name: wanted.to_owned() }).with_help(help)
    }
}

fn options_on_preset(call: &PassCall, stands_for: &Ast) -> PipelineError {
    let name = call.name.it.to_string();
    let span = call.options.first().map_or(call.name.span, |option| option.key.span);
    PipelineError::new(span, Problem::PresetOptions { name })
        .with_help(format!("it stands for `{stands_for}`, whose options can be set where they are written out"))
}

impl<P> Pipeline<P> {
    /// As a tree, every option spelled out.
    pub fn to_ast(&self) -> Ast {
        let items = self.steps.iter().map(|step| Spanned::from(step.to_item())).collect();
        Ast { items }
    }
}

impl<P> Step<P> {
    /// As an item of a tree, every option spelled out.
    pub fn to_item(&self) -> Item {
        match self {
            Step::Pass(step) => Item::Pass(step.call.clone()),
            Step::Fixpoint(pipeline) => Item::Fixpoint(pipeline.to_ast()),
        }
    }
}

impl<P> Default for Pipeline<P> {
    fn default() -> Self {
        Pipeline { steps: Vec::new() }
    }
}

impl<P> Display for Pipeline<P> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        self.to_ast().fmt(f)
    }
}

impl<P> Display for Step<P> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        self.to_item().fmt(f)
    }
}
