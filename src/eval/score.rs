//! Scores of classes, and what is counted over them.

use onnxpress_ops::evaluate::Value;

/// Signal-to-noise of one sample is held to this, in decibels: equal outputs would else outweigh all others.
const SNR_CAP: f64 = 150.0;

/// How many of the best classes count for the wider of the two accuracies.
const FEW: usize = 5;

/// A row of scores for each sample.
pub(super) struct Scores {
    values: Vec<f32>,
    /// Numbers of a row.
    pub(super) classes: usize,
}

impl Scores {
    /// The scores in an output whose first axis is that of `size` samples; all other axes are one.
    pub(super) fn new(output: &Value, size: usize) -> Option<Self> {
        let Value::Tensor(tensor) = output else { return None };
        let values = tensor.to_f32s().ok()?;
        let classes = values.len().checked_div(size)?;
        (tensor.dims().first() == Some(&size) && classes > 0).then_some(Self { values, classes })
    }

    fn row(&self, row: usize) -> &[f32] {
        self.values.get(row * self.classes..(row + 1) * self.classes).unwrap_or_default()
    }

    /// How many classes have a better score than this one; of equal scores the first is the best, and what is no number is
    /// worse than any.
    pub(super) fn rank(&self, row: usize, class: usize) -> usize {
        let row = self.row(row);
        let Some(score) = row.get(class).filter(|score| !score.is_nan()) else { return self.classes };
        row.iter().enumerate().filter(|(other, value)| *value > score || (*value == score && *other < class)).count()
    }

    /// The class with the best score.
    fn best(&self, row: usize) -> Option<usize> {
        let numbers = self.row(row).iter().enumerate().filter(|(_, value)| !value.is_nan());
        numbers.reduce(|best, one| if one.1 > best.1 { one } else { best }).map(|(class, _)| class)
    }
}

/// How often a model was right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Right {
    /// Samples.
    pub samples: usize,
    /// The right class had the best score.
    pub top1: usize,
    /// The right class was among the best five; `None` where there are no more than five.
    pub top5: Option<usize>,
}

impl Right {
    pub(super) fn of(classes: usize) -> Self {
        Self { top5: (classes > FEW).then_some(0), ..Self::default() }
    }

    pub(super) fn add(&mut self, rank: usize) {
        self.samples += 1;
        self.top1 += usize::from(rank == 0);
        if let Some(top5) = &mut self.top5 {
            *top5 += usize::from(rank < FEW);
        }
    }
}

/// How like the outputs of two models are.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Likeness {
    samples: usize,
    agreed: usize,
    decibels: f64,
}

impl Likeness {
    pub(super) fn add(&mut self, reference: &Scores, model: &Scores, samples: usize) {
        for row in 0..samples {
            self.samples += 1;
            self.agreed += usize::from(reference.best(row) == model.best(row));
            self.decibels += snr_db(reference.row(row), model.row(row));
        }
    }

    /// Share of the samples for which both have the same best class.
    pub fn agreement(&self) -> f64 {
        self.agreed as f64 / self.samples.max(1) as f64
    }

    /// Signal-to-noise of the model's output to the reference's, in decibels: the mean over the samples of each one's, of which
    /// none counts for more than 150.
    pub fn snr_db(&self) -> f64 {
        self.decibels / self.samples.max(1) as f64
    }
}

fn snr_db(reference: &[f32], model: &[f32]) -> f64 {
    let square = |x: f64| x * x;
    let signal: f64 = reference.iter().map(|&x| square(f64::from(x))).sum();
    let noise: f64 = reference.iter().zip(model).map(|(&x, &y)| square(f64::from(x) - f64::from(y))).sum();
    if noise == 0.0 {
        return SNR_CAP;
    }
    let decibels = 10.0 * (signal.max(1e-30) / noise).log10();
    // Of what is no number, all is noise.
    if decibels.is_nan() { -SNR_CAP } else { decibels.clamp(-SNR_CAP, SNR_CAP) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use onnxpress_ir::Tensor;

    use super::*;

    fn scores(rows: usize, values: &[f32]) -> Scores {
        let tensor = Tensor::from_values(&[rows, values.len() / rows], values.to_vec()).unwrap();
        Scores::new(&Value::Tensor(tensor), rows).unwrap()
    }

    #[test]
    fn of_equal_scores_the_first_is_the_best() {
        let one = scores(1, &[1.0, 3.0, f32::NAN, 3.0]);
        assert_eq!([0, 1, 2, 3].map(|class| one.rank(0, class)), [2, 0, 4, 1]);
        assert_eq!(one.best(0), Some(1));
        assert_eq!(scores(1, &[f32::NAN]).best(0), None);
    }

    #[test]
    fn an_output_has_a_row_for_each_sample() {
        let picture = Value::Tensor(Tensor::from_values(&[2, 3, 1, 1], vec![0f32; 6]).unwrap());
        assert_eq!(Scores::new(&picture, 2).unwrap().classes, 3);
        assert!(Scores::new(&picture, 3).is_none());
        assert!(Scores::new(&Value::Tensor(Tensor::scalar(1f32)), 1).is_none());
    }

    #[test]
    fn the_best_five_count_where_there_are_more() {
        let mut right = Right::of(6);
        [0, 4, 5].into_iter().for_each(|rank| right.add(rank));
        assert_eq!(right, Right { samples: 3, top1: 1, top5: Some(2) });
        assert_eq!(Right::of(5).top5, None);
    }

    #[test]
    fn likeness_is_a_mean_over_samples_that_equal_ones_do_not_outweigh() {
        let mut likeness = Likeness::default();
        likeness.add(&scores(2, &[0.0, 10.0, 1.0, 0.0]), &scores(2, &[0.0, 9.0, 1.0, 0.0]), 2);
        assert_eq!((likeness.agreement(), likeness.snr_db()), (1.0, 85.0));
        likeness.add(&scores(1, &[1.0, 0.0]), &scores(1, &[f32::NAN, 2.0]), 1);
        assert_eq!(likeness.agreement(), 2.0 / 3.0);
        assert!(likeness.snr_db().is_finite());
    }
}
