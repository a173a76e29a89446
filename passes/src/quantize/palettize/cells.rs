//! Numbers in ascending order with weights, for clustering on a line.
//!
//! The elements of a tensor, where they are few, else the cells of a histogram, each standing for the mean of what is in it. Prefix
//! sums give the cost of any run of cells at once.

/// The most cells: a thousandth of the range each is finer than any codebook of 8 bits needs.
const MOST: usize = 1 << 12;

/// Numbers with weights.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cells {
    values: Vec<f64>,
    /// Sums of weights, of weighted numbers and of weighted squares over all cells before each, and over all.
    mass: Vec<f64>,
    first: Vec<f64>,
    second: Vec<f64>,
}

impl Cells {
    /// Of numbers, which count by their importance where one is given. Those of no importance count a little, so that they are near
    /// something.
    pub(super) fn of(values: &[f32], importance: Option<&[f32]>) -> Self {
        let mean =
            importance.map_or(1.0, |all| all.iter().copied().map(f64::from).sum::<f64>() / all.len().max(1) as f64);
        let floor = if mean > 0.0 { mean * 1e-3 } else { 1.0 };
        let weight = |place: usize| importance.map_or(1.0, |all| f64::from(all[place]).max(floor));
        let mut pairs: Vec<(f64, f64)> = if values.len() <= MOST {
            values.iter().enumerate().map(|(place, &value)| (f64::from(value), weight(place))).collect()
        } else {
            Self::histogram(values, weight)
        };
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        pairs.dedup_by(|later, first| {
            let same = later.0 == first.0;
            first.1 += if same { later.1 } else { 0.0 };
            same
        });
        let sums = |of: fn(f64, f64) -> f64| {
            let mut sum = 0.0;
            let running = pairs.iter().map(|&(value, weight)| {
                sum += of(value, weight);
                sum
            });
            std::iter::once(0.0).chain(running).collect()
        };
        Self {
            values: pairs.iter().map(|pair| pair.0).collect(),
            mass: sums(|_, weight| weight),
            first: sums(|value, weight| weight * value),
            second: sums(|value, weight| weight * value * value),
        }
    }

    fn histogram(values: &[f32], weight: impl Fn(usize) -> f64) -> Vec<(f64, f64)> {
        let (low, high) = values
            .iter()
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &value| (low.min(value), high.max(value)));
        let step = (f64::from(high) - f64::from(low)) / MOST as f64;
        let mut sums = vec![(0.0, 0.0); MOST];
        for (place, &value) in values.iter().enumerate() {
            let cell = if step > 0.0 { ((f64::from(value) - f64::from(low)) / step) as usize } else { 0 };
            let (sum, mass) = &mut sums[cell.min(MOST - 1)];
            let weight = weight(place);
            *sum += weight * f64::from(value);
            *mass += weight;
        }
        sums.into_iter().filter(|(_, mass)| *mass > 0.0).map(|(sum, mass)| (sum / mass, mass)).collect()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// The number of a cell.
    pub(super) fn value(&self, cell: usize) -> f64 {
        self.values[cell]
    }

    /// The first cell whose number is not below one.
    pub(super) fn from(&self, value: f64) -> usize {
        self.values.partition_point(|&own| own < value)
    }

    /// The weight of cells `from..to`.
    pub(super) fn mass(&self, from: usize, to: usize) -> f64 {
        self.mass[to] - self.mass[from]
    }

    /// The mean of cells `from..to`; none of no weight.
    pub(super) fn mean(&self, from: usize, to: usize) -> Option<f64> {
        let mass = self.mass(from, to);
        (mass > 0.0).then(|| (self.first[to] - self.first[from]) / mass)
    }

    /// The weighted squares of cells `from..to` around their mean.
    pub(super) fn spread(&self, from: usize, to: usize) -> f64 {
        let (mass, sum) = (self.mass(from, to), self.first[to] - self.first[from]);
        let squares = self.second[to] - self.second[from];
        if mass > 0.0 { (squares - sum * sum / mass).max(0.0) } else { 0.0 }
    }

    /// The weighted squares of what all numbers are off the nearest of ascending centres.
    pub(super) fn lost(&self, centres: &[f64]) -> f64 {
        let mut from = 0;
        let mut lost = 0.0;
        for (place, &centre) in centres.iter().enumerate() {
            let to = centres.get(place + 1).map_or(self.len(), |next| self.from((centre + next) / 2.0));
            let (mass, sum) = (self.mass(from, to), self.first[to] - self.first[from]);
            lost += self.second[to] - self.second[from] - 2.0 * centre * sum + centre * centre * mass;
            from = to;
        }
        lost.max(0.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn runs_of_cells() {
        let cells = Cells::of(&[3.0, 1.0, 1.0, 2.0], Some(&[1.0, 2.0, 2.0, 1.0]));
        assert_eq!((cells.len(), cells.value(0), cells.mass(0, 1)), (3, 1.0, 4.0));
        assert_eq!(cells.mean(1, 3), Some(2.5));
        assert_eq!(cells.spread(1, 3), 0.5);
        assert_eq!(cells.lost(&[1.0, 3.0]), 1.0);
        assert_eq!(cells.from(1.5), 1);
        assert_eq!(Cells::of(&[1.0, 2.0], Some(&[0.0, 0.0])).mass(0, 2), 2.0);
    }

    #[test]
    fn many_numbers_are_counted_in_cells() {
        let values: Vec<f32> = (0..100_000u32).map(|at| (at % 1000) as f32).collect();
        let cells = Cells::of(&values, None);
        assert_eq!((cells.len(), cells.mass(0, cells.len())), (1000, 100_000.0));
        assert!((cells.mean(0, cells.len()).unwrap() - 499.5).abs() < 1e-6);
        assert_eq!(Cells::of(&[2.0; 5000], None).len(), 1);
    }
}
