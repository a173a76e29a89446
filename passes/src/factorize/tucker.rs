//! Tucker-2 of a kernel: fewer channels in, the kernel between those, more channels out.
//!
//! The input's side comes first (higher-order SVD), the core and the output's side are the best there are for it; then each side is chosen
//! again for the other as long as that gains something (higher-order orthogonal iteration; De Lathauwer, De Moor and Vandewalle 2000).

use faer::Mat;

use super::features;
use super::form::{Extents, Form, Size};
use super::spectrum::{Spectrum, eigen};
use super::stages::Stages;

/// The most times that sides are chosen again.
const SWEEPS: usize = 4;
/// A gain of a smaller share is none.
const GAIN: f64 = 1e-4;
/// How many ranks of the input's side are looked at.
const INNER: usize = 8;

/// The ranks that are looked at: of the input's side a few, of the output's all.
pub(super) fn sizes(extents: &Extents) -> Vec<Size> {
    let full = extents.full(Form::Tucker);
    let mut sizes = Vec::new();
    let mut before = 0;
    for part in 1..=INNER {
        let inner = (full.inner * part).div_ceil(INNER);
        if inner > before {
            let most = full.rank.min(inner * extents.kernel());
            sizes.extend((1..=most).map(|rank| Size { form: Form::Tucker, rank, inner }));
        }
        before = inner;
    }
    sizes
}

/// What is lost of one group at each of the sizes.
pub(super) fn losses(
    extents: &Extents,
    sizes: &[Size],
    weight: &Mat<f64>,
    metric: Option<&Mat<f64>>,
) -> Option<Vec<f64>> {
    let span = extents.kernel();
    let whole = features::energy(weight, metric);
    let most = sizes.iter().map(|size| size.inner).max()?;
    let v = features::head(&features::basis(weight, metric, span)?, most);
    let told = features::explained(&v, weight, metric, span)?;
    let mut known: Option<(usize, Vec<f64>)> = None;
    let mut losses = Vec::with_capacity(sizes.len());
    for size in sizes {
        if known.as_ref().is_none_or(|(inner, _)| *inner != size.inner) {
            let told = told.get(..size.inner * span, ..);
            let square = if told.nrows() < told.ncols() { told * told.transpose() } else { told.transpose() * told };
            let mut sum = 0.0;
            let explained = |value: f64| {
                sum += value;
                sum
            };
            known = Some((size.inner, eigen(square)?.0.into_iter().map(explained).collect()));
        }
        let explained = known.as_ref().and_then(|(_, explained)| explained.get(size.rank - 1).or(explained.last()));
        losses.push((whole - explained.copied().unwrap_or(0.0)).max(0.0));
    }
    Some(losses)
}

/// The factors of one group.
pub(super) fn factors(extents: &Extents, size: Size, weight: &Mat<f64>, metric: Option<&Mat<f64>>) -> Option<Stages> {
    let span = extents.kernel();
    let v = features::head(&features::basis(weight, metric, span)?, size.inner);
    let (mut best, mut explained) = outer(v, size.rank, weight, metric, span)?;
    let is_full = size == extents.full(Form::Tucker);
    for _ in 0..if is_full { 0 } else { SWEEPS } {
        let seen = best.u.transpose() * weight;
        let v = features::head(&features::basis(&seen, metric, span)?, size.inner);
        if v.nrows() < size.inner {
            break;
        }
        let (again, more) = outer(v, size.rank, weight, metric, span)?;
        if more <= explained * (1.0 + GAIN) {
            break;
        }
        (best, explained) = (again, more);
    }
    Some(best)
}

/// The best core and output's side for an input's side, and what they explain.
fn outer(v: Mat<f64>, rank: usize, weight: &Mat<f64>, metric: Option<&Mat<f64>>, span: usize) -> Option<(Stages, f64)> {
    let (whole, square) = features::last(&v, weight, metric, span)?;
    let spectrum = Spectrum::of(&whole, square.as_ref())?;
    let explained = spectrum.values.iter().take(rank).sum();
    let (u, core) = spectrum.factors(&whole, rank);
    Some((Stages { v, core: Some(core), u }, explained))
}
