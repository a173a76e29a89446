//! How many weights of each layer go.

use onnxpress_ir::Model;

use super::layers::{Layer, Visible};
use super::options::{Amount, Scope, Threshold};
use super::score::Scoring;
use crate::allocation::{Choice, allocate};
use crate::evidence::{EvidenceError, EvidenceSource, SecondMoment, in_parts};
use crate::quantize::tensor;

/// The most of a layer that goes for another's sake.
const MOST: f64 = 0.95;
/// Points of a layer's curve.
const POINTS: usize = 38;

/// What goes of a layer by what its weights are.
pub(super) fn below(amount: Amount, flat: &[f64]) -> f64 {
    let largest = || flat.iter().fold(0.0f64, |largest, weight| largest.max(weight.abs()));
    let limit = match amount {
        Amount::Share(share) => return share,
        Amount::Pattern => return 0.0,
        Amount::Below(Threshold::Magnitude(limit)) => limit,
        Amount::Below(Threshold::Median) => {
            let mut sizes: Vec<f64> = flat.iter().map(|weight| weight.abs()).collect();
            let middle = sizes.len() / 2;
            *sizes.select_nth_unstable_by(middle, f64::total_cmp).1
        }
        Amount::OfLargest(share) => share * largest(),
    };
    flat.iter().filter(|weight| weight.abs() < limit).count() as f64 / flat.len().max(1) as f64
}

/// What each layer has to offer where its weights go one after the other: how many go at each point, and what is lost then.
struct Curve {
    scores: Vec<f64>,
    energy: f64,
}

/// The share of each layer, so that `share` of all weights go. Layers whose scores cannot be told have `share` itself.
///
/// # Errors
/// Where the samples do not suit the model, or it cannot be run.
pub(super) fn shared_out(
    model: &Model,
    layers: &[Layer],
    scoring: &Scoring,
    (scope, share): (Scope, f64),
    source: Option<&dyn EvidenceSource>,
) -> Result<Vec<f64>, EvidenceError> {
    let mut curves: Vec<Option<Curve>> = layers.iter().map(|_| None).collect();
    let mut measure = |at: usize, moments: Option<&[SecondMoment]>| {
        let layer = &layers[at];
        let flat = tensor(model, &layer.weight).and_then(|(tensor, _)| layer.flat(tensor));
        curves[at] = flat.and_then(|flat| {
            let mut scores = scoring.scores(layer, &flat, moments)?;
            scores.sort_by(f64::total_cmp);
            Some(Curve { scores, energy: energy(layer, &flat, moments) })
        });
    };
    match source.filter(|_| scoring.criterion.needs_data()) {
        Some(source) => {
            let visible: Vec<(usize, &Visible)> =
                layers.iter().enumerate().filter_map(|(at, layer)| Some((at, layer.visible.as_ref().ok()?))).collect();
            let wanted: Vec<_> = visible.iter().map(|(_, visible)| (visible.node, &visible.layer)).collect();
            in_parts(model, &wanted, source, &mut |place, moments| measure(visible[place].0, Some(&moments.groups)))?;
        }
        None => (0..layers.len()).for_each(|at| measure(at, None)),
    }
    let known: Vec<usize> = (0..layers.len()).filter(|&at| curves[at].is_some()).collect();
    let found: Vec<&Curve> = curves.iter().flatten().collect();
    let shares = match scope {
        Scope::Layer => vec![share; known.len()],
        Scope::Global => ranked(&found, share),
        Scope::Sensitivity => allotted(&found, share),
    };
    let mut all = vec![share; layers.len()];
    known.into_iter().zip(shares).for_each(|(at, share)| all[at] = share);
    Ok(all)
}

/// `E|W x|²`, or the sum of squares where nothing is known of x.
fn energy(layer: &Layer, flat: &[f64], moments: Option<&[SecondMoment]>) -> f64 {
    let Some(moments) = moments else { return flat.iter().map(|weight| weight * weight).sum() };
    let (columns, order) = (layer.matrices.columns(), layer.order());
    let groups = flat.chunks_exact((layer.matrices.outputs() * columns).max(1)).zip(moments);
    let of_group = |(flat, moment): (&[f64], &SecondMoment)| {
        let second = moment.second();
        let metric = faer::Mat::from_fn(columns, columns, |i, j| second[(order[i], order[j])]);
        let weight = faer::MatRef::from_row_major_slice(flat, flat.len() / columns.max(1), columns);
        let product = weight * &metric;
        let row = |o: usize| (0..columns).map(|j| product[(o, j)] * weight[(o, j)]).sum::<f64>();
        (0..weight.nrows()).map(row).sum::<f64>()
    };
    groups.map(of_group).sum()
}

/// The least of all weights.
fn ranked(curves: &[&Curve], share: f64) -> Vec<f64> {
    let total: usize = curves.iter().map(|curve| curve.scores.len()).sum();
    let count = (share * total as f64).round() as usize;
    let mut all: Vec<f64> = curves.iter().flat_map(|curve| curve.scores.iter().copied()).collect();
    let Some(last) = count.checked_sub(1).filter(|&last| last < all.len()) else { return vec![0.0; curves.len()] };
    let limit = *all.select_nth_unstable_by(last, f64::total_cmp).1;
    let of = |curve: &&Curve| {
        curve.scores.partition_point(|score| *score <= limit) as f64 / curve.scores.len().max(1) as f64
    };
    curves.iter().map(of).collect()
}

/// Shares at which all lose the same for one weight more, relative to the energy of their outputs.
fn allotted(curves: &[&Curve], share: f64) -> Vec<f64> {
    let at = |point: usize| MOST * point as f64 / POINTS as f64;
    let offers: Vec<Vec<Choice>> = curves
        .iter()
        .map(|curve| {
            let (mut lost, mut done) = (0.0, 0);
            let point = |point: usize| {
                let count = (at(point) * curve.scores.len() as f64).round() as usize;
                lost += curve.scores[done..count].iter().sum::<f64>();
                done = count;
                Choice { saved: count as f64, loss: lost / curve.energy.max(f64::MIN_POSITIVE) }
            };
            (0..=POINTS).map(point).collect()
        })
        .collect();
    let total: usize = curves.iter().map(|curve| curve.scores.len()).sum();
    allocate(&offers, share * total as f64).into_iter().map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(scale: f64, count: usize, energy: f64) -> Curve {
        Curve { scores: (0..count).map(|at| scale * at as f64).collect(), energy }
    }

    #[test]
    fn the_median_and_the_largest_give_shares() {
        let flat: Vec<f64> = (0..100).map(|at| f64::from(at - 50)).collect();
        assert_eq!(below(Amount::Below(Threshold::Magnitude(10.0)), &flat), 0.19);
        assert!((below(Amount::Below(Threshold::Median), &flat) - 0.5).abs() < 0.02);
        assert_eq!(below(Amount::OfLargest(0.5), &flat), 0.49);
        assert_eq!(below(Amount::Share(0.3), &flat), 0.3);
    }

    #[test]
    fn what_matters_less_gives_more() {
        let (small, large) = (curve(1.0, 200, 1.0), curve(9.0, 200, 1.0));
        let shares = ranked(&[&small, &large], 0.5);
        assert!((shares[0] + shares[1] - 1.0).abs() < 0.02 && shares[0] > 0.85, "{shares:?}");
        let shares = allotted(&[&small, &large], 0.5);
        assert!((shares[0] + shares[1] - 1.0).abs() < 0.06 && shares[0] > 0.85, "{shares:?}");
        // Relative to its output the larger one loses no more.
        let shares = allotted(&[&small, &curve(9.0, 200, 9.0)], 0.5);
        assert!((shares[0] - shares[1]).abs() < 0.06, "{shares:?}");
    }
}
