//! Which form each layer gets, and which ranks.

use super::form::{Extents, Form, Price};
use super::layers::Layer;
use super::offer::{Asked, Candidate, Offer};
use super::options::{Ranks, Save};
use crate::allocation::{Choice, allocate};
use crate::prune_channels::Quantity;

/// The candidate that each layer takes, by its number; where it is left alone, the reason.
pub(super) fn choose(layers: &[Layer], offers: &[Offer], asked: &Asked) -> Vec<Result<usize, String>> {
    let one = |(layer, offer): (&Layer, &Offer)| {
        if offer.candidates.is_empty() {
            return Err(nothing_saved(layer, asked));
        }
        match asked.ranks {
            Ranks::Energy(share) => cheapest(layer, offer, share, asked.save),
            _ => {
                let rank = asked.rank(&layer.extents, Form::Channel).unwrap_or(offer.signal);
                best(layer, offer, rank, asked)
            }
        }
    };
    match asked.ranks {
        Ranks::Target(quantity, share) => shared(layers, offers, quantity, share),
        _ => layers.iter().zip(offers).map(one).collect(),
    }
}

fn nothing_saved(layer: &Layer, asked: &Asked) -> String {
    if layer.extents.is_table {
        return "its factors would multiply where it looks up".to_owned();
    }
    let form = Form::Channel;
    let saves = asked.saves(&layer.extents, layer.extents.at(form, 1));
    match asked.rank(&layer.extents, form).map(|rank| layer.extents.at(form, rank).rank) {
        Some(rank) if saves => format!("factors of rank {rank} would save nothing"),
        _ => "factors of any rank would save nothing".to_owned(),
    }
}

/// The candidate that costs least of those that keep a share of what all ranks together hold.
fn cheapest(layer: &Layer, offer: &Offer, share: f64, save: Save) -> Result<usize, String> {
    // Eigenvalues that are nothing but rounding hold nothing.
    let most = ((1.0 - share) * offer.whole).max(offer.whole * 1e-14);
    let whole = layer.extents.price();
    let cost = |candidate: &Candidate| {
        let (params, macs) = (candidate.price.params / whole.params, candidate.price.macs / whole.macs.max(1.0));
        match save {
            Save::Both | Save::Nothing => params + macs,
            Save::Macs => macs,
            Save::Bytes => params,
        }
    };
    let enough = offer.candidates.iter().enumerate().filter(|(_, candidate)| candidate.loss <= most);
    let least = enough.min_by(|a, b| cost(a.1).total_cmp(&cost(b.1)).then(a.0.cmp(&b.0)));
    least.map(|(at, _)| at).ok_or_else(|| format!("factors that keep {share} of its energy would save nothing"))
}

/// The candidate that loses least of those that cost no more than two factors of a rank, or, where a form is asked for, that form at it.
fn best(layer: &Layer, offer: &Offer, rank: usize, asked: &Asked) -> Result<usize, String> {
    let extents: &Extents = &layer.extents;
    let lone = offer.candidates.first().filter(|_| asked.forms != super::options::Forms::Auto).map(|one| one.size.form);
    if let Some(form) = lone.filter(|_| asked.rank(extents, Form::Channel).is_some()) {
        let rank = asked.rank(extents, form).unwrap_or(rank);
        let wanted = extents.at(form, rank).rank;
        let found = offer.candidates.iter().position(|candidate| candidate.size.rank == wanted);
        return found.ok_or_else(|| format!("factors of rank {wanted} would save nothing"));
    }
    let two = extents.at(Form::Channel, rank);
    let Price { params, macs } = extents.price_of(two);
    let affordable = offer.candidates.iter().enumerate();
    let affordable = affordable.filter(|(_, one)| one.price.params <= params && one.price.macs <= macs);
    let least = affordable.min_by(|a, b| a.1.loss.total_cmp(&b.1.loss).then(a.0.cmp(&b.0)));
    match least {
        Some((at, _)) if asked.saves(extents, two) => Ok(at),
        _ => Err(format!("factors of rank {} would save nothing", two.rank)),
    }
}

/// So that all layers together lose a share of what they hold, where that costs least.
fn shared(layers: &[Layer], offers: &[Offer], quantity: Quantity, share: f64) -> Vec<Result<usize, String>> {
    let of = |price: Price| if quantity == Quantity::Macs { price.macs } else { price.params };
    let curve = |(layer, offer): (&Layer, &Offer)| {
        let whole = of(layer.extents.price());
        let at = |one: &Candidate| Choice { saved: whole - of(one.price), loss: offer.cost(one.loss) };
        let untouched = Choice { saved: 0.0, loss: 0.0 };
        std::iter::once(untouched).chain(offer.candidates.iter().map(at)).collect::<Vec<_>>()
    };
    let curves: Vec<Vec<Choice>> = layers.iter().zip(offers).map(curve).collect();
    // A table whose factors may not multiply has none.
    let counts = |(layer, offer): &(&Layer, &Offer)| !layer.extents.is_table || !offer.candidates.is_empty();
    let whole: f64 = layers.iter().zip(offers).filter(counts).map(|(layer, _)| of(layer.extents.price())).sum();
    let reason = |layer: &Layer, offer: &Offer| match (offer.candidates.is_empty(), layer.extents.is_table) {
        (true, true) => "its factors would multiply where it looks up".to_owned(),
        (true, false) => "factors of any rank would save nothing".to_owned(),
        (false, _) => "it would lose more than others do".to_owned(),
    };
    let named =
        |(pick, (layer, offer)): (usize, (&Layer, &Offer))| pick.checked_sub(1).ok_or_else(|| reason(layer, offer));
    allocate(&curves, share * whole).into_iter().zip(layers.iter().zip(offers)).map(named).collect()
}
