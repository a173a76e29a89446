//! What can be asked of `sparsify`, and the run.

use std::borrow::Cow;

use onnxpress_ir::Model;

use super::structure::Structure;
use crate::options::{BadValue, ByName, OptionType, Options, Pattern, Ratio, Share};
use crate::pass::{Pass, PassCx, PassError};
use crate::pipeline::text::{Spanned, Value};

crate::option_enum! {
    /// Which weights go first.
    pub enum Criterion {
        /// `obs` where there are samples, `magnitude` otherwise.
        Auto,
        /// The smallest.
        Magnitude,
        /// Any.
        Random,
        /// Those whose product with the norm of what they multiply is smallest, output by output; the others stay as they are.
        Wanda,
        /// Those whose removal, repaired by the others, changes the layer's output least; the others repair it.
        Obs,
    }
}

crate::option_enum! {
    /// How the zeros are shared out over layers.
    pub enum Scope {
        /// Each layer has the same share.
        Layer,
        /// The least of the whole model go, by what the criterion says of each.
        Global,
        /// Each layer has the share at which all lose the same for one weight more, relative to their outputs.
        Sensitivity,
    }
}

crate::option_enum! {
    /// How weights with zeros are written.
    pub enum Store {
        /// As they were, zeros and all: smaller only for whoever compresses the file.
        Dense,
        /// As values and their places, where that takes less: where about two of three are zero.
        SparseInitializer,
        /// As values and one bit a weight that tells where they stand, put together by nodes which runtimes compute once, when they load
        /// the model; where that takes less.
        Bitmask,
    }
}

/// So many weights stay of so many neighbours, written `2:4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptOf {
    /// How many stay.
    pub kept: usize,
    /// Of how many.
    pub of: usize,
}

/// Weights go in blocks of so many outputs by so many inputs, written `4x1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocks {
    /// Outputs.
    pub outputs: usize,
    /// Inputs.
    pub inputs: usize,
}

/// Below which magnitude weights go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// This one.
    Magnitude(f64),
    /// That of the weight in the middle, for each layer its own.
    Median,
}

/// Two numbers of at most so much, around a sign.
fn pair(value: &Spanned<Value>, sign: char) -> Option<(usize, usize)> {
    const MOST: usize = 1024;
    let (a, b) = value.it.text()?.split_once(sign)?;
    let number = |text: &str| text.parse().ok().filter(|number| (1..=MOST).contains(number));
    number(a).zip(number(b))
}

impl OptionType for KeptOf {
    fn type_name() -> Cow<'static, str> {
        "pattern `N:M`, N of M neighbours that stay, N less than M".into()
    }

    fn parse(value: &Spanned<Value>) -> Result<Self, BadValue> {
        let found = pair(value, ':').filter(|(kept, of)| kept < of);
        found.map(|(kept, of)| Self { kept, of }).ok_or_else(|| BadValue::of::<Self>(value))
    }

    fn to_value(&self) -> Value {
        Value::from_text(&format!("{}:{}", self.kept, self.of))
    }
}

impl OptionType for Blocks {
    fn type_name() -> Cow<'static, str> {
        "block `OUTPUTSxINPUTS`".into()
    }

    fn parse(value: &Spanned<Value>) -> Result<Self, BadValue> {
        let found = pair(value, 'x');
        found.map(|(outputs, inputs)| Self { outputs, inputs }).ok_or_else(|| BadValue::of::<Self>(value))
    }

    fn to_value(&self) -> Value {
        Value::from_text(&format!("{}x{}", self.outputs, self.inputs))
    }
}

impl OptionType for Threshold {
    fn type_name() -> Cow<'static, str> {
        "number above 0, or `median`".into()
    }

    fn parse(value: &Spanned<Value>) -> Result<Self, BadValue> {
        if value.it.text() == Some("median") {
            return Ok(Self::Median);
        }
        f64::parse(value)
            .ok()
            .filter(|number| *number > 0.0)
            .map(Self::Magnitude)
            .ok_or_else(|| BadValue::of::<Self>(value))
    }

    fn to_value(&self) -> Value {
        match self {
            Self::Magnitude(number) => number.to_value(),
            Self::Median => Value::from_text("median"),
        }
    }
}

crate::options! {
    /// Makes weights zero that matter least.
    ///
    /// Weights are constants that layers multiply by, in subgraphs and functions too. How many go is asked for as a share of each
    /// layer or of all, by a magnitude, or as a pattern of neighbours along the axis that is summed over (of a convolution: its input
    /// channels). With samples (`--calib`) the default criterion repairs what it removes, layer after layer against what the original
    /// answers. The result computes what the model computes whose weights are masked; the file is smaller with `store`, or once it
    /// is compressed: the report says by how much.
    pub struct Sparsify {
        /// The share of weights that are zero afterwards; one half where nothing else says how many.
        sparsity: Option<Ratio> = None,
        /// How the zeros are shared out over layers.
        scope: Scope = Scope::Layer,
        /// In the place of `sparsity`: what is smaller than this goes.
        threshold: Option<Threshold> = None,
        /// In the place of `sparsity`: what is smaller than this share of a layer's largest magnitude goes.
        alpha: Option<Share> = None,
        /// In the place of `sparsity`: how many of how many neighbours stay, such as `2:4`.
        pattern: Option<KeptOf> = None,
        /// Weights go in blocks, such as `4x1`: of so many outputs, of so many inputs.
        block: Option<Blocks> = None,
        /// Which weights go first.
        criterion: Criterion = Criterion::Auto,
        /// With `criterion=obs`, in so many steps, along a cubic curve; after each, those that are left are fitted anew.
        steps: usize = 1,
        /// Shares of their own for layers of such a name, as in `["head*=0.2"]`; the first that fits holds.
        layers: Vec<ByName<Ratio>> = Vec::new(),
        /// How weights with zeros are written.
        store: Store = Store::Dense,
        /// With `criterion=obs`, how strongly fitted weights are pulled toward those at hand: a share of the mean square of the layer's inputs.
        ridge: Share = Share::percent::<1>(),
        /// With `criterion=obs`, at most so many samples are taken along from layer to layer: more take longer and say little more.
        samples: usize = 320,
        /// For `criterion=random`.
        seed: u64 = 0,
        /// Weights that stay: by their own name, or that of a node that reads them or of its output.
        keep: Vec<Pattern> = Vec::new(),
        /// Only weights of such a name; all, where none is given.
        only: Vec<Pattern> = Vec::new(),
    }
}

/// How many weights of a layer go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Amount {
    /// This share, however it is shared out.
    Share(f64),
    /// What is below a magnitude.
    Below(Threshold),
    /// What is below a share of the largest magnitude.
    OfLargest(f64),
    /// What the pattern says.
    Pattern,
}

/// More steps than this only take time.
const MOST_STEPS: usize = 100;

impl Sparsify {
    /// How many weights go.
    pub(super) fn amount(&self) -> Result<Amount, PassError> {
        let error = |text: &str| Err(PassError::Request(text.to_owned()));
        let ways = [self.sparsity.is_some(), self.threshold.is_some(), self.alpha.is_some(), self.pattern.is_some()];
        if ways.iter().filter(|way| **way).count() > 1 {
            return error("`sparsity`, `threshold`, `alpha` and `pattern` are four ways to say how many go: give one");
        }
        if self.pattern.is_some() && self.block.is_some() {
            return error("`pattern` and `block` exclude each other");
        }
        if self.steps == 0 || self.steps > MOST_STEPS {
            return Err(PassError::Request(format!("`steps` is {}, expected 1 to {MOST_STEPS}", self.steps)));
        }
        if self.samples == 0 {
            return error("`samples` is 0, expected at least 1");
        }
        let amount = match (self.threshold, self.alpha, self.pattern) {
            (Some(threshold), ..) => Amount::Below(threshold),
            (_, Some(alpha), _) => Amount::OfLargest(alpha.get()),
            (.., Some(_)) => Amount::Pattern,
            _ => Amount::Share(self.sparsity.map_or(0.5, Ratio::get)),
        };
        if self.scope != Scope::Layer && !matches!(amount, Amount::Share(_)) {
            return error("`scope` shares out `sparsity`: it says nothing with `threshold`, `alpha` or `pattern`");
        }
        if !self.layers.is_empty() && amount == Amount::Pattern {
            return error("`layers` gives shares, which `pattern` has none of");
        }
        Ok(amount)
    }

    /// Which weights go together.
    pub(super) fn structure(&self) -> Structure {
        match (self.pattern, self.block) {
            (Some(KeptOf { kept, of }), _) => Structure::Neighbours { kept, of },
            (_, Some(Blocks { outputs, inputs })) => Structure::Blocks { outputs, inputs },
            _ => Structure::Single,
        }
    }
}

impl Pass for Sparsify {
    const NAME: &'static str = "sparsify";
    const LOSSY: bool = true;

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        let amount = self.amount()?;
        super::run::run(self, amount, &format!("{}{{{}}}", Self::NAME, self.to_text()), model, cx)
    }
}
