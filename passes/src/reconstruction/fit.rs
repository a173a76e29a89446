//! A layer fitted to what it should answer: weight and bias, all groups.

use faer::Mat;
use onnxpress_ir::Graph;

use super::{BiasSite, Seen, refit};

impl BiasSite {
    /// What is added to the results, where that can be changed.
    pub(crate) fn numbers(self, graph: &Graph) -> Option<Vec<f64>> {
        match self {
            Self::Own(value) | Self::Added(value) => graph.constant(value)?.to_f64s().ok(),
            Self::Free | Self::Fixed | Self::Nowhere => None,
        }
    }
}

/// What a layer becomes.
#[derive(Debug, Clone)]
pub(crate) struct Fit {
    /// One matrix a group; zero in columns that were not to be used.
    pub(crate) weight: Vec<Mat<f64>>,
    /// One number an output, where there is a bias that can be changed.
    pub(crate) bias: Option<Vec<f64>>,
}

impl Fit {
    /// Lets the biases of one group make up for what its outputs lose in the mean where `before` becomes `after`, `mean` being that of
    /// what they are multiplied with.
    pub(crate) fn keep_means(bias: &mut [f64], before: &Mat<f64>, after: &Mat<f64>, mean: &[f64]) {
        for (output, bias) in bias.iter_mut().enumerate() {
            let lost = mean.iter().enumerate().map(|(k, mean)| (before[(output, k)] - after[(output, k)]) * mean);
            *bias += lost.sum::<f64>();
        }
    }
}

/// Fits a layer. `uses` says which columns of a group may hold something; `own` has the [numbers](BiasSite::numbers) of the bias, and
/// `ridge` how strongly weights are pulled to those at hand. Where nothing can be fitted, the layer stays as it is in these columns.
pub(crate) fn fit(
    seen: &Seen,
    weights: &[Mat<f64>],
    uses: impl Fn(usize, usize) -> bool,
    site: BiasSite,
    own: Option<&[f64]>,
    ridge: f64,
) -> Fit {
    let (mut fitted, mut bias) = (Vec::new(), Vec::new());
    for (group, weight) in weights.iter().enumerate() {
        let (outputs, all) = (weight.nrows(), weight.ncols());
        let columns: Vec<usize> = (0..all).filter(|&column| uses(group, column)).collect();
        let at_hand = Mat::from_fn(outputs, columns.len(), |output, place| weight[(output, columns[place])]);
        let own = |output: usize| own.map_or(0.0, |own| own[group * outputs + output]);
        // Results with a bias that stays are no measure of the product alone.
        let results = seen.results.get(group).filter(|_| site != BiasSite::Fixed);
        let has_bias = matches!(site, BiasSite::Own(_) | BiasSite::Added(_));
        let found = results.and_then(|results| refit(&seen.rows[group], results, &columns, &at_hand, has_bias, ridge));
        let mut whole = Mat::zeros(outputs, all);
        for (place, &column) in columns.iter().enumerate() {
            for output in 0..outputs {
                whole[(output, column)] = found.as_ref().map_or(&at_hand, |found| &found.weight)[(output, place)];
            }
        }
        bias.extend((0..outputs).map(|output| match (&found, site) {
            (None, _) => own(output),
            // A bias that the next node adds is not in the results that are seen.
            (Some(found), BiasSite::Added(_)) => found.bias[output] + own(output),
            (Some(found), _) => found.bias[output],
        }));
        fitted.push(whole);
    }
    Fit { weight: fitted, bias: own.is_some().then_some(bias) }
}
