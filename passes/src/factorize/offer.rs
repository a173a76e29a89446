//! What a layer offers: its forms, at the ranks at which they save something, with what each loses.

use faer::Mat;

use super::form::{Extents, Form, Price, Size};
use super::layers::Layer;
use super::options::{Forms, Ranks, Save};
use super::parts::Parts;
use super::spectrum::{self, Spectrum, is_vast};
use super::stages::Stages;
use super::weigh::Worth;
use super::{cp, features, tucker, vbmf};
use crate::evidence::{SecondMoment, shrunk};
use crate::reconstruction::BiasSite;

/// A way to write a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    pub(super) size: Size,
    pub(super) price: Price,
    /// What it loses of the output's energy.
    pub(super) loss: f64,
}

/// What a layer offers.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    /// Form by form, in the order of their ranks.
    pub(super) candidates: Vec<Candidate>,
    /// What is lost where nothing is kept.
    pub(super) whole: f64,
    /// The energy of the output, in what the losses are.
    pub(super) energy: f64,
    /// How many singular values of the weight are no noise: the most of all groups.
    pub(super) signal: usize,
    /// What the model's outputs lose with it.
    pub(super) worth: Worth,
}

impl Offer {
    /// The share of the energy that is lost with so much.
    pub(super) fn share(&self, loss: f64) -> f64 {
        if self.energy > 0.0 { loss / self.energy } else { 0.0 }
    }

    /// What the outputs lose with so much.
    pub(super) fn cost(&self, loss: f64) -> f64 {
        self.worth.of(self.share(loss))
    }
}

/// What a layer offers, and what its plain factors are made of, one a group.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) offer: Offer,
    pub(super) spectra: Vec<Spectrum>,
}

/// What is asked of all layers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) forms: Forms,
    pub(super) ranks: Ranks,
    pub(super) save: Save,
}

impl Asked {
    /// Whether a form saves of a layer what it must.
    pub(super) fn saves(&self, extents: &Extents, size: Size) -> bool {
        let (before, after) = (extents.price(), extents.price_of(size));
        let (params, macs) = (after.params < before.params, after.macs < before.macs);
        match (self.save, self.ranks) {
            (Save::Macs, _) => macs,
            (Save::Bytes, _) => params,
            (Save::Both, _) | (Save::Nothing, Ranks::Target(..)) => params && macs,
            (Save::Nothing, _) => true,
        }
    }

    /// The rank that is asked for of a layer, if one is.
    pub(super) fn rank(&self, extents: &Extents, form: Form) -> Option<usize> {
        match self.ranks {
            Ranks::Rank(rank) => Some(rank),
            Ranks::Ratio(ratio) => Some((ratio * extents.full(form).rank as f64).round() as usize),
            Ranks::Energy(_) | Ranks::Vbmf | Ranks::Target(..) => None,
        }
    }

    /// What is looked at of a form.
    fn sizes(&self, extents: &Extents, form: Form) -> Vec<Size> {
        let all = match (form, self.rank(extents, form)) {
            (Form::Tucker, Some(_)) if self.forms == Forms::Tucker => self.settled(extents, form),
            (Form::Cp, Some(_)) => self.settled(extents, form),
            (Form::Tucker, _) => tucker::sizes(extents),
            (Form::Cp, _) => cp::sizes(extents),
            _ => (1..=extents.full(form).rank).map(|rank| extents.at(form, rank)).collect(),
        };
        all.into_iter().filter(|&size| self.saves(extents, size)).collect()
    }

    /// A form at the rank or, of ranks that are shares, ranks that are asked for.
    fn settled(&self, extents: &Extents, form: Form) -> Vec<Size> {
        let full = extents.full(form);
        let share = |of: usize, ratio: f64| ((ratio * of as f64).round() as usize).max(1);
        match self.ranks {
            Ranks::Rank(rank) => vec![extents.at(form, rank)],
            Ranks::Ratio(ratio) => vec![Size { form, rank: share(full.rank, ratio), inner: share(full.inner, ratio) }],
            Ranks::Energy(_) | Ranks::Vbmf | Ranks::Target(..) => Vec::new(),
        }
    }

    fn forms(&self, extents: &Extents) -> Vec<Form> {
        let one = match self.forms {
            Forms::Auto => return extents.forms(),
            Forms::Channel => Form::Channel,
            Forms::Spatial => Form::Spatial,
            Forms::Tucker => Form::Tucker,
            Forms::Cp => Form::Cp,
        };
        vec![if extents.has(one) { one } else { Form::Channel }]
    }
}

/// What is lost of one group with a form at some ranks.
fn losses(
    extents: &Extents,
    sizes: &[Size],
    weight: &Mat<f64>,
    metric: Option<&Mat<f64>>,
    spectrum: &Spectrum,
) -> Option<Vec<f64>> {
    let Some(last) = sizes.last() else { return Some(Vec::new()) };
    match last.form {
        Form::Channel => {
            let losses = spectrum.losses();
            Some(sizes.iter().map(|size| losses.get(size.rank).copied().unwrap_or(0.0)).collect())
        }
        Form::Spatial => {
            let span = extents.span(Form::Spatial);
            let v = features::head(&features::basis(weight, metric, span)?, last.rank);
            let told = features::explained(&v, weight, metric, span)?;
            let mut left = features::energy(weight, metric);
            let mut by_rank = Vec::with_capacity(v.nrows());
            for rank in 0..v.nrows() {
                for feature in rank * span..(rank + 1) * span {
                    left -= told.row(feature).iter().map(|value| value * value).sum::<f64>();
                }
                by_rank.push(left.max(0.0));
            }
            Some(sizes.iter().map(|size| by_rank.get(size.rank - 1).copied().unwrap_or(0.0)).collect())
        }
        Form::Tucker => tucker::losses(extents, sizes, weight, metric),
        Form::Cp => cp::losses(extents, sizes, weight, metric),
    }
}

/// What a layer offers, its weights being these, one a group; in the metric of its rows where those are known. `None` where the numbers
/// are beyond what can be computed with.
pub(super) fn offer(
    layer: &Layer,
    weights: &[Mat<f64>],
    rows: Option<&[SecondMoment]>,
    asked: &Asked,
) -> Option<Known> {
    let extents = &layer.extents;
    let sizes: Vec<Vec<Size>> =
        asked.forms(extents).into_iter().map(|form| asked.sizes(extents, form)).filter(|of| !of.is_empty()).collect();
    let mut lost: Vec<Vec<f64>> = sizes.iter().map(|of| vec![0.0; of.len()]).collect();
    let (mut whole, mut energy, mut spectra, mut signal) = (0.0, 0.0, Vec::new(), 1);
    let weights = if sizes.is_empty() { &[] } else { weights };
    for (group, weight) in weights.iter().enumerate() {
        // The mean is the bias's to hold, where there is one.
        let metric = rows.map(|rows| {
            let raw = match layer.bias {
                BiasSite::Fixed | BiasSite::Nowhere => rows[group].second(),
                BiasSite::Own(_) | BiasSite::Added(_) | BiasSite::Free => rows[group].covariance(),
            };
            shrunk(raw, rows[group].count())
        });
        // Where a rank is asked for, no other is looked at.
        let spectrum = match asked.rank(extents, Form::Channel) {
            Some(rank) if metric.is_none() && is_vast(weight.nrows().min(weight.ncols()), rank) => {
                Spectrum::drawn(weight, rank)?
            }
            _ => Spectrum::of(weight, metric.as_ref())?,
        };
        whole += spectrum.energy();
        energy += match rows {
            Some(rows) => features::energy(weight, Some(&rows[group].second())),
            None => spectrum.energy(),
        };
        for (sizes, lost) in sizes.iter().zip(&mut lost) {
            let own = losses(extents, sizes, weight, metric.as_ref(), &spectrum)?;
            lost.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
        }
        if asked.ranks == Ranks::Vbmf {
            let own = rows.map(|_| Spectrum::of(weight, None));
            let values = own.as_ref().map_or(Some(&spectrum.values), |own| own.as_ref().map(|own| &own.values))?;
            signal = signal.max(vbmf::rank(values, weight.nrows(), weight.ncols()));
        }
        spectra.push(spectrum);
    }
    let of = |(&size, &loss): (&Size, &f64)| candidate(extents, size, loss);
    let candidates: Vec<Candidate> = sizes.iter().flatten().zip(lost.iter().flatten()).map(of).collect();
    let finite = candidates.iter().all(|candidate| candidate.loss.is_finite());
    finite.then_some(Known { offer: Offer { candidates, whole, energy, signal, worth: Worth::default() }, spectra })
}

fn candidate(extents: &Extents, size: Size, loss: f64) -> Candidate {
    // A form is exact at its full ranks, whatever rounding says.
    Candidate { size, price: extents.price_of(size), loss: if size == extents.full(size.form) { 0.0 } else { loss } }
}

/// What a layer offers whose weight is read by parts; the same otherwise.
pub(super) fn by_parts(layer: &Layer, weight: &Parts<'_>, asked: &Asked) -> Option<Known> {
    let (extents, sizes) = (&layer.extents, asked.sizes(&layer.extents, Form::Channel));
    let mut offer = Offer { candidates: Vec::new(), whole: 0.0, energy: 0.0, signal: 1, worth: Worth::default() };
    if sizes.is_empty() {
        return Some(Known { offer, spectra: Vec::new() });
    }
    let spectrum = weight.spectrum(asked.rank(extents, Form::Channel))?;
    let losses = spectrum.losses();
    let lost = |size: &Size| losses.get(size.rank).copied().unwrap_or(0.0);
    offer.candidates = sizes.iter().map(|size| candidate(extents, *size, lost(size))).collect();
    (offer.whole, offer.energy) = (spectrum.energy(), spectrum.energy());
    if asked.ranks == Ranks::Vbmf {
        offer.signal = vbmf::rank(&spectrum.values, extents.outputs, extents.columns()).max(1);
    }
    offer.whole.is_finite().then(|| Known { offer, spectra: vec![spectrum] })
}

/// The factors of one group with a form at its ranks, its spectrum being known or not.
pub(super) fn factors(
    extents: &Extents,
    size: Size,
    weight: &Mat<f64>,
    metric: Option<&Mat<f64>>,
    known: Option<&Spectrum>,
) -> Option<Stages> {
    match size.form {
        Form::Channel => {
            let (u, v) = match known {
                _ if size == extents.full(size.form) => spectrum::whole(weight),
                _ if metric.is_none() && is_vast(weight.nrows().min(weight.ncols()), size.rank) => {
                    Spectrum::drawn(weight, size.rank)?.factors(weight, size.rank)
                }
                Some(known) => known.factors(weight, size.rank),
                None => Spectrum::of(weight, metric)?.factors(weight, size.rank),
            };
            Some(Stages { v, core: None, u })
        }
        Form::Spatial => {
            let span = extents.span(Form::Spatial);
            let v = features::head(&features::basis(weight, metric, span)?, size.rank);
            let (u, _) = features::last(&v, weight, metric, span)?;
            Some(Stages { v, core: None, u })
        }
        Form::Tucker => tucker::factors(extents, size, weight, metric),
        Form::Cp => cp::factors(extents, size, weight, metric),
    }
}
