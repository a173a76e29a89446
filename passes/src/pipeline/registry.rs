//! Which passes and presets there are. A registry is a value and no global: two programs in one process, or a test, may
//! know different passes, and what a third party adds is seen where it adds it.

use std::sync::Arc;

use indexmap::IndexMap;

use super::text::{Ast, FIXPOINT, OptionArg, parse};
use super::{PipelineError, nearest};
use crate::options::{OptionSpec, Options};
use crate::rewrite::AnyRule;

/// What is known of a pass without running it; documentation is made from this.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PassSpec {
    /// Its name in pipeline text.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub summary: String,
    /// All there is to say about it, the summary included.
    pub doc: String,
    /// Its options, in order.
    pub options: &'static [OptionSpec],
    /// Whether its result computes something else than its input, on purpose.
    pub lossy: bool,
    /// The rules that it applies, in order; none where it does not work by rules.
    pub rules: Vec<RuleSpec>,
}

/// What is known of a rule without running it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RuleSpec {
    /// Its name in reports.
    pub name: &'static str,
    /// Its contract: before, after, when it fires, why that is exact, why it ends.
    pub contract: &'static str,
}

impl PassSpec {
    /// The pass `name`, exact, documented by its options `T`: the first paragraph of `T`'s doc comment is the summary.
    pub fn of<T: Options>(name: &'static str) -> PassSpec {
        let doc = T::doc();
        let summary = doc.split("\n\n").next().unwrap_or_default().replace('\n', " ");
        PassSpec { name, summary, doc, options: T::specs(), lossy: false, rules: Vec::new() }
    }

    /// The same, `lossy` or not.
    #[must_use]
    pub fn lossy(mut self, lossy: bool) -> PassSpec {
        self.lossy = lossy;
        self
    }

    /// The same, applying these rules.
    #[must_use]
    pub fn with_rules(mut self, rules: &[&dyn AnyRule]) -> PassSpec {
        self.rules = rules.iter().map(|rule| RuleSpec { name: rule.name(), contract: rule.contract() }).collect();
        self
    }
}

/// A pipeline with a name. Where the name stands in another pipeline, its items stand.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Preset {
    /// The name in pipeline text.
    pub name: String,
    /// What it is for, in a sentence.
    pub summary: String,
    /// What it stands for, as it was written.
    pub pipeline: Ast,
}

/// A pass object and its options with every default spelled out.
pub(super) type Made<P> = (P, Vec<OptionArg>);

type Make<P> = Box<dyn Fn(&[OptionArg]) -> Result<Made<P>, PipelineError> + Send + Sync>;

/// A registered pass: its description, and how it is made from options.
pub(super) struct Entry<P> {
    pub(super) spec: Arc<PassSpec>,
    pub(super) make: Make<P>,
}

/// Passes and presets by name, in the order in which they were added.
///
/// ```
/// use onnxpress_passes::pipeline::{PassSpec, Registry};
///
/// onnxpress_passes::options! {
///     /// Does nothing, so many times.
///     pub struct Idle {
///         /// How often.
///         times: u32 = 1,
///     }
/// }
///
/// let mut registry: Registry<Box<dyn Fn() -> u32>> = Registry::default();
/// registry.add(PassSpec::of::<Idle>("idle"), |idle: Idle| Box::new(move || idle.times))?;
/// registry.add_preset("rest", "A long pause.", "idle,idle{times=8}")?;
///
/// assert_eq!(registry.pipeline("rest")?.to_string(), "idle{times=1},idle{times=8}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Registry<P> {
    passes: IndexMap<&'static str, Entry<P>>,
    presets: IndexMap<String, Preset>,
}

impl<P> Default for Registry<P> {
    fn default() -> Self {
        Registry { passes: IndexMap::new(), presets: IndexMap::new() }
    }
}

impl<P> std::fmt::Debug for Registry<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (passes, presets) = (self.passes.keys(), self.presets.keys());
        f.debug_struct("Registry").field("passes", &passes).field("presets", &presets).finish()
    }
}

/// Why a pass or preset cannot be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// Another has the name.
    #[error("the name `{name}` is taken by a {by}")]
    Taken {
        /// The name.
        name: String,
        /// `pass` or `preset`.
        by: &'static str,
    },
    /// The name is none that documentation and suggestions could count on.
    #[error("`{name}` is no name for a pass: small letters, digits, `-` and `.`, a letter first, not `{FIXPOINT}`")]
    Name {
        /// The name.
        name: String,
    },
    /// The text of a preset is no pipeline of what has been added so far.
    #[error("preset `{name}`: {source}")]
    Preset {
        /// The name of the preset.
        name: String,
        /// What is wrong with its text.
        source: PipelineError,
    },
}

impl<P> Registry<P> {
    /// Adds the pass of `spec`; `make` turns its options, read from text as a `T`, into the pass object.
    ///
    /// # Errors
    /// The name is taken, or is no name.
    pub fn add<T: Options>(
        &mut self,
        spec: PassSpec,
        make: impl Fn(T) -> P + Send + Sync + 'static,
    ) -> Result<&mut Self, RegistryError> {
        self.check_name(spec.name)?;
        let spec = PassSpec { options: T::specs(), ..spec }; // Those of `T`, whatever the description was made from.
        let make: Make<P> = Box::new(move |args| {
            let options = T::from_options(args)?;
            let spelled_out = options.to_options();
            Ok((make(options), spelled_out))
        });
        self.passes.insert(spec.name, Entry { spec: Arc::new(spec), make });
        Ok(self)
    }

    /// Adds a preset, which may name passes and presets added before it and nothing else: so no preset can contain
    /// itself, and a mistake in one is found here and not by whoever uses it.
    ///
    /// # Errors
    /// The name is taken or is no name, or `text` is no pipeline.
    pub fn add_preset(
        &mut self,
        name: impl Into<String>,
        summary: impl Into<String>,
        text: &str,
    ) -> Result<&mut Self, RegistryError> {
        let (name, summary) = (name.into(), summary.into());
        self.check_name(&name)?;
        let checked = parse(text).and_then(|pipeline| self.resolve(&pipeline).map(|_| pipeline));
        let pipeline = checked.map_err(|source| RegistryError::Preset { name: name.clone(), source })?;
        self.presets.insert(name.clone(), Preset { name, summary, pipeline });
        Ok(self)
    }

    /// The passes, in the order in which they were added.
    pub fn passes(&self) -> impl Iterator<Item = &PassSpec> {
        self.passes.values().map(|entry| entry.spec.as_ref())
    }

    /// The presets, in the order in which they were added.
    pub fn presets(&self) -> impl Iterator<Item = &Preset> {
        self.presets.values()
    }

    /// The pass of that name.
    pub fn pass(&self, name: &str) -> Option<&PassSpec> {
        self.entry(name).map(|entry| entry.spec.as_ref())
    }

    /// The preset of that name.
    pub fn preset(&self, name: &str) -> Option<&Preset> {
        self.presets.get(name)
    }

    /// The name of a pass or preset that `wanted`, which is none, was probably meant to be.
    pub fn nearest(&self, wanted: &str) -> Option<&str> {
        nearest(wanted, self.names())
    }

    pub(super) fn entry(&self, name: &str) -> Option<&Entry<P>> {
        self.passes.get(name)
    }

    /// Every name, presets first: they are what most pipelines begin with.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.presets.keys().map(String::as_str).chain(self.passes.keys().copied())
    }

    fn check_name(&self, name: &str) -> Result<(), RegistryError> {
        let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(letters) || name == FIXPOINT {
            return Err(RegistryError::Name { name: name.to_owned() });
        }
        let by = match (self.passes.contains_key(name), self.presets.contains_key(name)) {
            (false, false) => return Ok(()),
            (true, _) => "pass",
            (false, true) => "preset",
        };
        Err(RegistryError::Taken { name: name.to_owned(), by })
    }
}
