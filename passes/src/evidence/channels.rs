//! What is known of a value along one of its axes.

/// Of the elements at each index along an axis, over all samples.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelStatistics {
    /// The axis, counted from the front.
    pub axis: usize,
    /// Elements of each index.
    pub count: Vec<u64>,
    /// The smallest of each.
    pub min: Vec<f32>,
    /// The largest of each.
    pub max: Vec<f32>,
    /// The sum of each.
    pub sum: Vec<f64>,
    /// The sum of the squares of each.
    pub squares: Vec<f64>,
}

impl ChannelStatistics {
    /// Of no elements yet.
    pub fn new(axis: usize) -> Self {
        let (count, sum, squares) = (Vec::new(), Vec::new(), Vec::new());
        Self { axis, count, min: Vec::new(), max: Vec::new(), sum, squares }
    }

    /// How many indices there are.
    pub fn len(&self) -> usize {
        self.count.len()
    }

    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.count.is_empty()
    }

    /// The mean of each index.
    pub fn means(&self) -> Vec<f64> {
        self.sum.iter().zip(&self.count).map(|(sum, &count)| sum / count.max(1) as f64).collect()
    }

    /// The mean of the squares of each index.
    pub fn mean_squares(&self) -> Vec<f64> {
        self.squares.iter().zip(&self.count).map(|(sum, &count)| sum / count.max(1) as f64).collect()
    }

    /// The largest magnitude of each index.
    pub fn magnitudes(&self) -> Vec<f32> {
        self.min.iter().zip(&self.max).map(|(min, max)| min.abs().max(max.abs())).collect()
    }

    /// Takes in those elements of a tensor that count. A tensor without the axis, or of another extent than before, says nothing.
    pub(super) fn add(&mut self, values: &[f32], dims: &[usize], counts: impl Fn(f32) -> bool) {
        let Some(&extent) = dims.get(self.axis) else { return };
        if self.is_empty() {
            self.count = vec![0; extent];
            self.min = vec![0.0; extent];
            self.max = vec![0.0; extent];
            self.sum = vec![0.0; extent];
            self.squares = vec![0.0; extent];
        }
        let inner: usize = dims[self.axis + 1..].iter().product();
        if extent != self.len() || inner == 0 {
            return;
        }
        for (row, elements) in values.chunks_exact(inner).enumerate() {
            let index = row % extent;
            let (mut count, mut sum, mut squares) = (self.count[index], 0.0, 0.0);
            let (mut min, mut max) = (self.min[index], self.max[index]);
            for &value in elements.iter().filter(|&&value| counts(value)) {
                if count == 0 {
                    (min, max) = (value, value);
                }
                count += 1;
                min = min.min(value);
                max = max.max(value);
                sum += f64::from(value);
                squares += f64::from(value) * f64::from(value);
            }
            (self.count[index], self.min[index], self.max[index]) = (count, min, max);
            self.sum[index] += sum;
            self.squares[index] += squares;
        }
    }
}
