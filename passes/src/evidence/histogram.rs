//! A histogram whose range grows with what it sees.
//!
//! Bins lie symmetrically around zero and have a width that is a power of two. What falls outside doubles the width: two bins
//! become one, so no element is lost or moved, and the result depends on the elements alone, not on their order or on how they
//! came in batches. Memory is the same for any number of elements.

/// Bins on each side of zero.
const HALF: usize = 4096;

/// How often elements were seen, by magnitude and sign.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// The width of a bin is 2 to this power.
    exponent: i32,
    counts: Vec<u64>,
}

/// The smallest width: what is finer than that in `f32` is zero to any quantizer.
const FINEST: i32 = -140;

impl Default for Histogram {
    fn default() -> Self {
        Self { exponent: FINEST, counts: vec![0; 2 * HALF] }
    }
}

impl Histogram {
    /// From a width, as a power of two, and counts of bins, the lowest first; `None` where there are not as many as there have
    /// to be.
    pub fn from_parts(exponent: i32, counts: Vec<u64>) -> Option<Self> {
        (counts.len() == 2 * HALF && (FINEST..=128).contains(&exponent)).then_some(Self { exponent, counts })
    }

    /// The width of a bin as a power of two.
    pub fn exponent(&self) -> i32 {
        self.exponent
    }

    /// The width of a bin.
    pub fn width(&self) -> f64 {
        f64::from(self.exponent).exp2()
    }

    /// How many elements each bin has, the lowest first.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// How many elements there are.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The lower bound of a bin.
    pub fn lower(&self, bin: usize) -> f64 {
        (bin as f64 - HALF as f64) * self.width()
    }

    /// The middle of a bin.
    pub fn middle(&self, bin: usize) -> f64 {
        self.lower(bin) + self.width() / 2.0
    }

    /// Makes room for magnitudes up to `largest`.
    fn reach(&mut self, largest: f32) {
        while f64::from(largest) >= HALF as f64 * self.width() {
            // From an empty one to where it is needed at once.
            let doublings = if self.counts.iter().all(|&count| count == 0) {
                let needed = (f64::from(largest) / HALF as f64).log2().floor() as i32 + 1;
                (needed - self.exponent).max(1)
            } else {
                let mut counts = vec![0; 2 * HALF];
                for (bin, count) in self.counts.iter().enumerate() {
                    counts[(bin + HALF) / 2] += count;
                }
                self.counts = counts;
                1
            };
            self.exponent += doublings;
        }
    }

    /// Counts elements, all finite.
    pub fn add(&mut self, values: &[f32]) {
        let largest = values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        self.reach(largest);
        let scale = f64::from(-self.exponent).exp2();
        for &value in values {
            // Rounding down keeps bins closed below, on both sides of zero, as halving them does.
            let bin = (f64::from(value) * scale).floor() as i64 + HALF as i64;
            self.counts[usize::try_from(bin).unwrap_or(0).min(2 * HALF - 1)] += 1;
        }
    }

    /// Adds what another has counted.
    pub fn merge(&mut self, other: &Self) {
        let mut other = other.clone();
        if other.total() == 0 {
            return;
        }
        if self.total() == 0 {
            *self = other;
            return;
        }
        while other.exponent < self.exponent {
            other.reach(HALF as f32 * other.width() as f32);
        }
        while self.exponent < other.exponent {
            self.reach(HALF as f32 * self.width() as f32);
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
    }

    /// The value below which this share of the elements lies, to the width of a bin; zero where there are none.
    pub fn quantile(&self, share: f64) -> f64 {
        let total = self.total();
        let wanted = share.clamp(0.0, 1.0) * total as f64;
        let mut seen = 0u64;
        for (bin, &count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            if (seen + count) as f64 >= wanted {
                let inside = ((wanted - seen as f64) / count as f64).clamp(0.0, 1.0);
                return self.lower(bin) + inside * self.width();
            }
            seen += count;
        }
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f32]) -> Histogram {
        let mut histogram = Histogram::default();
        histogram.add(values);
        histogram
    }

    fn numbers(count: u32) -> Vec<f32> {
        (0..count).map(|index| (index as f32 * 0.37).sin() * (1.0 + (index % 13) as f32)).collect()
    }

    #[test]
    fn the_order_of_elements_does_not_matter() {
        let all = numbers(1000);
        let mut backwards = all.clone();
        backwards.reverse();
        let mut by_parts = Histogram::default();
        all.chunks(77).for_each(|part| by_parts.add(part));
        let mut merged = of(&all[..300]);
        merged.merge(&of(&all[300..]));
        assert_eq!(of(&backwards), of(&all));
        assert_eq!(by_parts, of(&all));
        assert_eq!(merged, of(&all));
        assert_eq!(of(&all).total(), 1000);
    }

    #[test]
    fn it_grows_to_what_it_sees() {
        let mut histogram = of(&[0.001, -0.002]);
        assert!(histogram.width() < 1e-6);
        histogram.add(&[3.0e38, -3.4e38]);
        assert_eq!(histogram.total(), 4);
        assert!(histogram.lower(0) <= -3.4e38);
        assert_eq!(of(&[0.0; 5]).total(), 5);
        assert_eq!(of(&[f32::MIN_POSITIVE]).total(), 1);
    }

    #[test]
    fn shares_are_found_to_the_width_of_a_bin() {
        let values: Vec<f32> = (0..=1000u16).map(|index| f32::from(index) / 1000.0).collect();
        let histogram = of(&values);
        assert!(histogram.width() <= 1.0 / 2048.0);
        for share in [0.01, 0.5, 0.999] {
            assert!((histogram.quantile(share) - share).abs() < 2.0 * histogram.width(), "{share}");
        }
        assert_eq!(Histogram::default().quantile(0.5), 0.0);
    }
}
