//! What is known of a value: its range, its moments, how its elements are distributed.

use super::{ChannelStatistics, Histogram};

/// From this magnitude on an element is a mask's, which says "not this one" and is no number to be held: exporters write the
/// lowest `f32` or infinity where a softmax should answer zero.
const MASK: f32 = 1e30;

/// Of all elements of a value, over all samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// Elements that count.
    pub count: u64,
    /// Elements that do not: infinite, not a number, or of the magnitude that masks have.
    pub masked: u64,
    /// The smallest; zero where there are none.
    pub min: f32,
    /// The largest; zero where there are none.
    pub max: f32,
    /// The sum of all.
    pub sum: f64,
    /// The sum of their squares.
    pub squares: f64,
    /// How they are distributed.
    pub histogram: Histogram,
    /// The same along an axis, where that was asked for.
    pub channels: Option<ChannelStatistics>,
}

impl Statistics {
    /// Of no elements yet; with statistics of each index along `axis`, where asked for.
    pub fn new(axis: Option<usize>) -> Self {
        Self {
            count: 0,
            masked: 0,
            min: 0.0,
            max: 0.0,
            sum: 0.0,
            squares: 0.0,
            histogram: Histogram::default(),
            channels: axis.map(ChannelStatistics::new),
        }
    }

    /// The mean; zero where there are no elements.
    pub fn mean(&self) -> f64 {
        self.sum / (self.count.max(1)) as f64
    }

    /// The mean of the squares.
    pub fn mean_square(&self) -> f64 {
        self.squares / (self.count.max(1)) as f64
    }

    /// Takes in the elements of a tensor of these extents.
    pub fn add(&mut self, values: &[f32], dims: &[usize]) {
        let counts = |value: f32| value.abs() < MASK;
        let kept: Vec<f32>;
        let all = if values.iter().all(|&value| counts(value)) {
            values
        } else {
            kept = values.iter().copied().filter(|&value| counts(value)).collect();
            &kept
        };
        self.masked += (values.len() - all.len()) as u64;
        if !all.is_empty() {
            let (mut min, mut max) = if self.count == 0 { (all[0], all[0]) } else { (self.min, self.max) };
            let (mut sum, mut squares) = (0.0f64, 0.0f64);
            for &value in all {
                min = min.min(value);
                max = max.max(value);
                let value = f64::from(value);
                sum += value;
                squares += value * value;
            }
            (self.min, self.max) = (min, max);
            self.sum += sum;
            self.squares += squares;
            self.count += all.len() as u64;
            self.histogram.add(all);
        }
        if let Some(channels) = &mut self.channels {
            channels.add(values, dims, counts);
        }
    }
}
