//! Lanes: the one-dimensional stretches of a tensor along an axis (or several that lie together), for kernels that work on
//! one stretch at a time.

/// The number of elements of these extents. Beyond what memory can address it is the largest number: extents of a tensor
/// without elements can be anything.
pub fn volume(dims: &[usize]) -> usize {
    dims.iter().fold(1, |volume, &extent| volume.saturating_mul(extent))
}

/// How a tensor of row-major values falls into lanes.
#[derive(Debug, Clone, Copy)]
pub struct Lanes {
    /// Lanes that lie apart by whole blocks.
    outer: usize,
    /// Elements of a lane.
    length: usize,
    /// Lanes that are interleaved; the step from one element of a lane to the next.
    inner: usize,
}

impl Lanes {
    /// Along the axes `from..to`, taken as one; they must be axes of the tensor.
    pub fn along(dims: &[usize], from: usize, to: usize) -> Self {
        Self { outer: volume(&dims[..from]), length: volume(&dims[from..to]), inner: volume(&dims[to..]) }
    }

    /// Elements of a lane.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The place of each lane's first element.
    fn starts(self) -> impl Iterator<Item = usize> {
        (0..self.outer)
            .flat_map(move |outer| (0..self.inner).map(move |inner| outer * self.length * self.inner + inner))
    }

    /// Hands each lane, as a list of its own, to `f` and puts what that makes of it in its place. Where there is no element,
    /// there is no lane to hand over, however many the extents make.
    pub fn rewrite(&self, values: &mut [f64], mut f: impl FnMut(&mut [f64])) {
        if values.is_empty() {
            return;
        }
        let mut lane = vec![0.0; self.length];
        for start in self.starts() {
            for (index, value) in lane.iter_mut().enumerate() {
                *value = values[start + index * self.inner];
            }
            f(&mut lane);
            for (index, value) in lane.iter().enumerate() {
                values[start + index * self.inner] = *value;
            }
        }
    }

    /// One number for each lane, in order. There are as many lanes as extents make, so the caller sees to it that there is room.
    pub fn fold(&self, values: &[f64], mut f: impl FnMut(&[f64]) -> f64) -> Vec<f64> {
        if values.is_empty() && self.length > 0 {
            return Vec::new();
        }
        let mut lane = vec![0.0; self.length];
        let mut results = Vec::new();
        for start in self.starts() {
            for (index, value) in lane.iter_mut().enumerate() {
                *value = values[start + index * self.inner];
            }
            results.push(f(&lane));
        }
        results
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_run_along_their_axes() {
        let values: Vec<f64> = (0..12).map(f64::from).collect();
        let first = |dims: &[usize], from, to| Lanes::along(dims, from, to).fold(&values, |lane| lane.iter().sum());
        assert_eq!(first(&[2, 3, 2], 1, 2), [6.0, 9.0, 24.0, 27.0]);
        assert_eq!(first(&[2, 3, 2], 1, 3), [15.0, 51.0]);
        assert_eq!(first(&[2, 3, 2], 0, 3), [66.0]);
        assert_eq!(first(&[12], 1, 1).len(), 12, "a lane of one element each");
    }

    #[test]
    fn a_lane_is_put_back_where_it_was() {
        let mut values = vec![1.0, 2.0, 3.0, 4.0];
        Lanes::along(&[2, 2], 0, 1).rewrite(&mut values, <[f64]>::reverse);
        assert_eq!(values, [3.0, 4.0, 1.0, 2.0]);
    }
}
