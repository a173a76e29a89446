//! Which rank each layer gets.

use super::layers::Layer;
use super::options::{Ranks, Save};
use crate::allocation::{Choice, allocate};
use crate::prune_channels::Quantity;

/// What a layer offers: by rank, from zero to the full one, what it loses of its output's energy.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    pub(super) losses: Vec<f64>,
    /// The energy of the output, in what the losses are.
    pub(super) energy: f64,
    /// How many singular values of the weight are no noise: the most of all groups.
    pub(super) signal: usize,
}

impl Offer {
    /// The share of the energy that is kept at a rank.
    pub(super) fn kept(&self, rank: usize) -> f64 {
        let lost = self.losses.get(rank).copied().unwrap_or(0.0);
        if self.energy > 0.0 { 1.0 - lost / self.energy } else { 1.0 }
    }

    /// The least rank that keeps a share of what all ranks together hold.
    fn rank_for(&self, share: f64) -> usize {
        let whole = self.losses.first().copied().unwrap_or(0.0);
        let most = (1.0 - share) * whole;
        // Eigenvalues that are nothing but rounding hold nothing.
        let rank = self.losses.iter().position(|&loss| loss <= most.max(whole * 1e-14));
        rank.unwrap_or(self.losses.len().saturating_sub(1)).max(1)
    }
}

/// Whether factors of a rank save what they must.
fn saves(layer: &Layer, rank: usize, save: Save) -> bool {
    // Both are in proportion: factors are applied as often as the weight was.
    save == Save::Nothing || layer.params_at(rank) < layer.params()
}

/// The rank of each layer; `None` where it is left alone, with the reason.
pub(super) fn choose(layers: &[Layer], offers: &[Offer], ranks: Ranks, save: Save) -> Vec<Result<usize, String>> {
    let by = |rank: &dyn Fn(&Layer, &Offer) -> usize| {
        let one = |(layer, offer): (&Layer, &Offer)| {
            let rank = rank(layer, offer).clamp(1, layer.full_rank());
            let least = layer.params_at(1) < layer.params();
            match (saves(layer, rank, save), least) {
                (true, _) => Ok(rank),
                (false, true) => Err(format!("factors of rank {rank} would save nothing")),
                (false, false) => Err("factors of any rank would save nothing".to_owned()),
            }
        };
        layers.iter().zip(offers).map(one).collect()
    };
    match ranks {
        Ranks::Energy(share) => by(&|_, offer| offer.rank_for(share)),
        Ranks::Rank(rank) => by(&|_, _| rank),
        Ranks::Vbmf => by(&|_, offer| offer.signal),
        Ranks::Ratio(ratio) => by(&|layer, _| (ratio * layer.full_rank() as f64).round() as usize),
        Ranks::Target(quantity, share) => {
            let weight = |layer: &Layer| match quantity {
                Quantity::Macs => layer.uses,
                _ => 1.0,
            };
            let curve = |(layer, offer): (&Layer, &Offer)| {
                let untouched = Choice { saved: 0.0, loss: 0.0 };
                let at = |rank: usize| Choice {
                    saved: weight(layer) * (layer.params() - layer.params_at(rank)),
                    loss: 1.0 - offer.kept(rank),
                };
                let ranks = (1..=layer.full_rank()).filter(|&rank| saves(layer, rank, Save::Both)).map(at);
                std::iter::once(untouched).chain(ranks).collect::<Vec<_>>()
            };
            let curves: Vec<Vec<Choice>> = layers.iter().zip(offers).map(curve).collect();
            let whole: f64 = layers.iter().map(|layer| weight(layer) * layer.params()).sum();
            let picks = allocate(&curves, share * whole);
            let named = |pick: usize| match pick {
                0 => Err("it would lose more than others do".to_owned()),
                rank => Ok(rank),
            };
            picks.into_iter().map(named).collect()
        }
    }
}
