//! What can be asked of `factorize`, and the run.

use std::borrow::Cow;

use onnxpress_ir::Model;

use crate::options::{BadValue, OptionType, Options, Pattern, Share};
use crate::pass::{Pass, PassCx, PassError};
use crate::pipeline::text::{Spanned, Value};
use crate::prune_channels::Quantity;

crate::option_enum! {
    /// What factors must save of a layer, or it is left alone.
    pub enum Save {
        /// Parameters and multiply-accumulates.
        Both,
        /// Multiply-accumulates.
        Macs,
        /// Parameters.
        Bytes,
        /// Nothing: any rank will do, the full one too.
        Nothing = "none",
    }
}

crate::option_enum! {
    /// How the factors of convolutions are arranged.
    pub enum Forms {
        /// For each layer `channel`, `spatial` or `tucker`, whichever loses least at its cost.
        Auto,
        /// The whole kernel to fewer channels, then 1×1.
        Channel,
        /// A kernel of k×1 to fewer channels, then one of 1×k.
        Spatial,
        /// 1×1 to fewer channels, the kernel between fewer, then 1×1.
        Tucker,
        /// 1×1, a kernel on each channel alone, then 1×1: a sum of products of vectors.
        Cp,
    }
}

/// The rank that layers get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// This one.
    Of(usize),
    /// What variational Bayes makes of each weight.
    Vbmf,
}

impl OptionType for Rank {
    fn type_name() -> Cow<'static, str> {
        "non-negative integer, or `vbmf`".into()
    }

    fn parse(value: &Spanned<Value>) -> Result<Self, BadValue> {
        if value.it.text() == Some("vbmf") {
            return Ok(Self::Vbmf);
        }
        usize::parse(value).map(Self::Of).map_err(|bad| BadValue { help: bad.help, ..BadValue::of::<Self>(value) })
    }

    fn to_value(&self) -> Value {
        match self {
            Self::Of(rank) => rank.to_value(),
            Self::Vbmf => Value::from_text("vbmf"),
        }
    }
}

crate::options! {
    /// Writes linear layers as products of two smaller ones.
    ///
    /// A `MatMul` or `Gemm` becomes two; a `Conv` two or three, in the form that loses least at its cost. How much of each layer is kept is asked for as
    /// the share of its output's energy, as a rank, as a share of the full rank, or for all layers together as a share of
    /// parameters or multiply-accumulates to remove, which goes where it costs least. With samples (`--calib`) energy is that of
    /// the layer's outputs on them, not of its weight, and layers are fitted one after the other to what the original answers. The result
    /// computes what the model computes whose weights are the products.
    pub struct Factorize {
        /// The share of the energy that each layer keeps at least.
        energy: Option<Share> = None,
        /// The rank of each layer, at most the full one; `vbmf` takes as many singular values of each weight as are no noise
        /// (variational Bayes, Nakajima et al. 2013).
        rank: Option<Rank> = None,
        /// The rank of each layer as a share of the full one.
        ratio: Option<Share> = None,
        /// What `remove` is a share of, over all layers that can be factorized.
        target: Option<Quantity> = None,
        /// Share of the `target` to remove.
        remove: Option<Share> = None,
        /// Whether, with samples, a `target` goes by what the model's outputs lose, which trials tell, and not by what each layer's do.
        weigh: bool = true,
        /// How factors of convolutions are arranged, where the kernel has more places than one.
        form: Forms = Forms::Auto,
        /// What factors must save of a layer, or it is left alone.
        save: Save = Save::Both,
        /// Whether, with samples, layers are fitted one after the other to what the original answers.
        reconstruct: bool = true,
        /// How strongly fitted weights are pulled toward those at hand: a share of the mean square of the layer's inputs.
        ridge: Share = Share::percent::<1>(),
        /// Layers that stay: by the name of the weight, the node or its output.
        keep: Vec<Pattern> = Vec::new(),
        /// Only layers of such a name; all, where none is given.
        only: Vec<Pattern> = Vec::new(),
    }
}

/// How ranks are chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Ranks {
    /// By the share of the energy.
    Energy(f64),
    /// The same for all.
    Rank(usize),
    /// By what is no noise in the weight.
    Vbmf,
    /// A share of the full one.
    Ratio(f64),
    /// So that all layers together lose this share.
    Target(Quantity, f64),
}

impl Factorize {
    /// How ranks are chosen.
    pub(super) fn ranks(&self) -> Result<Ranks, PassError> {
        let ways = [self.energy.is_some(), self.rank.is_some(), self.ratio.is_some(), self.target.is_some()];
        let error = |text: &str| Err(PassError::Request(text.to_owned()));
        if ways.iter().filter(|way| **way).count() > 1 {
            return error("`energy`, `rank`, `ratio` and `target` are four ways to choose ranks: give one");
        }
        match (self.energy, self.rank, self.ratio, self.target, self.remove) {
            (.., Some(_), None) => error("`target` needs `remove`, the share to remove"),
            (.., None, Some(_)) => error("`remove` needs `target`, what it is a share of"),
            (.., Some(Quantity::Bytes), Some(_)) => error("`target` is `bytes`, expected `params` or `macs`"),
            (_, Some(Rank::Of(0)), ..) => error("`rank` is 0, expected at least 1"),
            (.., Some(target), Some(share)) => Ok(Ranks::Target(target, share.get())),
            (_, Some(Rank::Of(rank)), ..) => Ok(Ranks::Rank(rank)),
            (_, Some(Rank::Vbmf), ..) => Ok(Ranks::Vbmf),
            (_, _, Some(ratio), ..) => Ok(Ranks::Ratio(ratio.get())),
            (energy, ..) => Ok(Ranks::Energy(energy.map_or(0.95, Share::get))),
        }
    }
}

impl Pass for Factorize {
    const NAME: &'static str = "factorize";
    const LOSSY: bool = true;

    fn may_grow(&self) -> bool {
        matches!(self.save, Save::Macs | Save::Nothing)
    }

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        let ranks = self.ranks()?;
        super::run::run(self, ranks, &format!("{}{{{}}}", Self::NAME, self.to_text()), model, cx)
    }
}
