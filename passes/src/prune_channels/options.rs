//! What can be asked of `prune-channels`, and the run.

use onnxpress_ir::Model;
use onnxpress_ops::coupling::Norms;

use super::apply;
use super::cost::Quantity;
use super::factors::Factors;
use super::score::{Aggregate, Criterion, Normalize, Scoring};
use super::select::Limits;
use crate::digest;
use crate::options::{ByName, Options, Pattern, Ratio, Share};
use crate::pass::{Pass, PassCx, PassError};

crate::option_enum! {
    /// Among which channels the least are looked for.
    pub enum Scope {
        /// In each group of coupled channels, the same share of all.
        Group,
        /// In the whole model: groups that matter less lose more.
        Global,
    }
}

crate::option_enum! {
    /// What is done for what is lost with a channel.
    pub enum Compensate {
        /// `least-squares` where there are samples, `mean` otherwise.
        Auto,
        /// Nothing: the result is the model whose removed channels are zero.
        Nothing = "false",
        /// The mean of a removed channel goes into its readers' biases, where batch normalization tells it or it is constant.
        Mean,
        /// Layers are fitted, one after the other, to what the original answers on the samples.
        LeastSquares,
    }
}

crate::options! {
    /// Cuts whole channels, filters, neurons and attention heads out of the model.
    ///
    /// What depends on a channel goes with it, through the whole graph: slices of weights of any element type, numbers of groups and
    /// heads, shape constants. Channels that the graph's interface or an operator that is not understood needs stay; the plan says
    /// which, and why. The result computes what the model computes whose removed channels are zero, but for biases that make up for
    /// the means of what was removed; prune before batch normalizations are folded, since they are what tells the means.
    pub struct PruneChannels {
        /// Share of the channels to remove, of each group or, with `scope=global`, of all.
        ratio: Ratio = Ratio::HALF,
        /// By what channels are ranked.
        criterion: Criterion = Criterion::L2,
        /// How the scores of all weights that lose a channel together become one.
        aggregate: Aggregate = Aggregate::Mean,
        /// How the scores of a weight or a group are made to compare with those of others.
        normalize: Normalize = Normalize::Mean,
        /// In so many steps, after each of which what is left is scored anew; first large ones, then small.
        steps: usize = 1,
        /// Among which channels the least are looked for.
        scope: Scope = Scope::Group,
        /// Which factors of an axis lose channels where it is a product of several groups, as of heads and what is in them.
        factors: Factors = Factors::Best,
        /// What `remove` is a share of; `ratio` is then found by search.
        target: Option<Quantity> = None,
        /// Share of the model's `target` to remove.
        remove: Option<Share> = None,
        /// What is left of a group is a multiple of this.
        round_to: usize = 1,
        /// So many channels are left of each group at least.
        min_channels: usize = 1,
        /// Shares of their own for groups with a constant or a node of such a name, as in `["head*=0.2"]`; the first that fits
        /// holds, whatever the scope.
        layers: Vec<ByName<Ratio>> = Vec::new(),
        /// The most of a group that may go.
        max_ratio: Ratio = Ratio::percent::<95>(),
        /// Only groups with a constant or a node of such a name; all, where none is given.
        include: Vec<Pattern> = Vec::new(),
        /// No group with a constant or a node of such a name.
        exclude: Vec<Pattern> = Vec::new(),
        /// Channels along which `LayerNormalization`, `RMSNormalization` or `GroupNormalization` takes statistics may go, too:
        /// statistics are then taken over those that stay.
        through_norm: bool = false,
        /// For `criterion=random`.
        seed: u64 = 0,
        /// What is done for what is lost with a channel.
        compensate: Compensate = Compensate::Auto,
    }
}

/// More steps than this only take time.
const MOST_STEPS: usize = 1000;

impl PruneChannels {
    pub(super) fn norms(&self) -> Norms {
        if self.through_norm { Norms::Follow } else { Norms::Pin }
    }

    pub(super) fn limits(&self) -> Limits {
        Limits { max_ratio: self.max_ratio.get(), round_to: self.round_to, min_channels: self.min_channels }
    }

    pub(super) fn scoring(&self) -> Scoring {
        Scoring { criterion: self.criterion, aggregate: self.aggregate, normalize: self.normalize, seed: self.seed }
    }

    /// What is to be met, where a share of the whole is asked for.
    pub(super) fn goal(&self) -> Result<Option<(Quantity, f64)>, PassError> {
        match (self.target, self.remove) {
            (None, None) => Ok(None),
            (Some(target), Some(share)) => Ok(Some((target, share.get()))),
            (Some(_), None) => Err(PassError::Request("`target` needs `remove`, the share to remove".to_owned())),
            (None, Some(_)) => Err(PassError::Request("`remove` needs `target`, what it is a share of".to_owned())),
        }
    }
}

impl Pass for PruneChannels {
    const NAME: &'static str = "prune-channels";
    const LOSSY: bool = true;

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        if self.round_to == 0 {
            return Err(PassError::Request("`round-to` is 0, expected at least 1".to_owned()));
        }
        if self.steps == 0 || self.steps > MOST_STEPS {
            return Err(PassError::Request(format!("`steps` is {}, expected 1 to {MOST_STEPS}", self.steps)));
        }
        self.goal()?;
        let digest = digest::of(model);
        let text = format!("{}{{{}}}", Self::NAME, self.to_text());
        // Where nothing goes, functions stay what they are, too.
        let mut inlined = model.clone();
        apply::prepare(&mut inlined, cx)?;
        if apply::plan_and_cut(self, &mut inlined, cx, &digest, &text)? {
            *model = inlined;
        }
        Ok(())
    }
}
