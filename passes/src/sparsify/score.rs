//! How much each weight of a layer matters.

use onnxpress_ir::random::SplitMix64;

use super::layers::Layer;
use super::obs;
use super::options::Criterion;
use super::structure::Among;
use crate::evidence::SecondMoment;
use crate::reconstruction::{BiasSite, ridge};

/// How weights of a layer are scored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scoring {
    /// By what; never [`Criterion::Auto`].
    pub(super) criterion: Criterion,
    /// For random ones.
    pub(super) seed: u64,
    /// How strongly weights are pulled to what they were.
    pub(super) ridge: f64,
}

impl Criterion {
    /// Whether it takes samples.
    pub(super) fn needs_data(self) -> bool {
        matches!(self, Self::Wanda | Self::Obs)
    }

    /// Among which weights the least are looked for.
    pub(super) fn among(self) -> Among {
        // Sun et al. 2023 compare the weights of one output only.
        if self == Self::Wanda { Among::Rows } else { Among::All }
    }
}

/// The metric of one group's rows: centred where a bias takes the mean, and pulled to the diagonal; columns in the layer's order.
pub(super) fn metric(layer: &Layer, moment: &SecondMoment, bias: BiasSite, share: f64) -> faer::Mat<f64> {
    let second = match bias {
        BiasSite::Own(_) | BiasSite::Added(_) => moment.covariance(),
        BiasSite::Free | BiasSite::Fixed | BiasSite::Nowhere => moment.second(),
    };
    let (order, pull) = (layer.order(), ridge(moment, share));
    faer::Mat::from_fn(order.len(), order.len(), |i, j| second[(order[i], order[j])] + if i == j { pull } else { 0.0 })
}

impl Scoring {
    /// The scores of the weights of a layer, as [`Layer::flat`] has them, in what makes sense as a loss: squares. `moments` are of its rows,
    /// one a group, for criteria that need them; `None` where they are degenerate.
    pub(super) fn scores(&self, layer: &Layer, flat: &[f64], moments: Option<&[SecondMoment]>) -> Option<Vec<f64>> {
        let columns = layer.matrices.columns();
        let of_group = (layer.matrices.outputs() * columns).max(1);
        let squares = || flat.iter().map(|weight| weight * weight);
        match (self.criterion, moments) {
            (Criterion::Random, _) => {
                // Each weight of the model draws from a stream of its own.
                let mut streams = SplitMix64::new(self.seed);
                let seed = (0..=layer.id).map(|_| streams.bits()).last().unwrap_or_default();
                let mut random = SplitMix64::new(seed);
                Some(flat.iter().map(|_| random.unit()).collect())
            }
            (Criterion::Wanda, Some(moments)) => {
                let order = layer.order();
                let norms: Vec<Vec<f64>> = moments.iter().map(SecondMoment::mean_squares).collect();
                let score = |(at, square): (usize, f64)| square * norms[at / of_group][order[at % columns]];
                Some(squares().enumerate().map(score).collect())
            }
            (Criterion::Obs, Some(moments)) => {
                let bias = layer.visible.as_ref().map_or(BiasSite::Nowhere, |visible| visible.bias);
                let mut inverses = Vec::new();
                for moment in moments {
                    let root = obs::root_of_inverse(&metric(layer, moment, bias, self.ridge))?;
                    inverses.push(obs::diagonal(&root));
                }
                let score = |(at, square): (usize, f64)| square / inverses[at / of_group][at % columns];
                Some(squares().enumerate().map(score).collect())
            }
            _ => Some(squares().collect()),
        }
    }
}
