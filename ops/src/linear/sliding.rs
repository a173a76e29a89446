//! A window sliding over a tensor, for kernels: convolutions, transposed ones and pooling all walk the same way.

use ndarray::{Dimension, IxDyn, indices};

/// Positions of a window and the extents it slides over, one entry a spatial axis.
///
/// At position `p`, offset `k` of the window lies over `p * stride + k * dilation - before`, which may be outside.
#[derive(Debug, Clone)]
pub(crate) struct Sliding {
    /// The number of positions.
    pub positions: Vec<usize>,
    /// The extents of what lies below.
    pub extents: Vec<usize>,
    pub strides: Vec<i64>,
    pub dilations: Vec<i64>,
    /// Padding before the first element.
    pub before: Vec<i64>,
}

/// A row of positions along the last axis, and the elements below them, all inside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// The first position, counted row-major among all.
    pub position: usize,
    /// The element below it, counted row-major among all.
    pub element: usize,
    /// How many there are.
    pub count: usize,
    /// How far apart the elements are; positions are neighbours.
    pub step: usize,
}

impl Row {
    /// Pairs of a position and the element below it.
    pub(crate) fn pairs(self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.count).map(move |index| (self.position + index, self.element + index * self.step))
    }
}

impl Sliding {
    /// The offsets of the window in row-major order, each with its number.
    pub(crate) fn offsets(kernel: &[usize]) -> impl Iterator<Item = (usize, Vec<usize>)> {
        indices(IxDyn(kernel)).into_iter().map(|offset| offset.slice().to_vec()).enumerate()
    }

    /// Hands every row of positions to `f` for which offset `offset` of the window lies inside.
    pub(crate) fn rows(&self, offset: &[usize], mut f: impl FnMut(Row)) {
        let Some(last) = self.positions.len().checked_sub(1) else { return };
        let inside = |axis: usize| self.inside(axis, offset[axis] as i64 * self.dilations[axis] - self.before[axis]);
        let ranges: Vec<(i64, i64, i64)> = (0..=last).map(inside).collect();
        let counts: Vec<usize> = ranges.iter().map(|&(from, to, _)| usize::try_from(to - from).unwrap_or(0)).collect();
        if counts.contains(&0) {
            return;
        }
        for outer in indices(IxDyn(&counts[..last])) {
            let (mut position, mut element) = (0, 0);
            for axis in 0..=last {
                let (from, _, shift) = ranges[axis];
                let at = from + if axis < last { outer[axis] as i64 } else { 0 };
                position = position * self.positions[axis] + at as usize;
                element = element * self.extents[axis] + (at * self.strides[axis] + shift) as usize;
            }
            f(Row { position, element, count: counts[last], step: self.strides[last] as usize });
        }
    }

    /// The positions `from..to` along an axis that are inside when shifted, and the shift.
    fn inside(&self, axis: usize, shift: i64) -> (i64, i64, i64) {
        let stride = self.strides[axis];
        // The first p with p * stride + shift >= 0, the first with p * stride + shift >= extent.
        let reach = |bound: i64| -(shift - bound).div_euclid(stride);
        let from = reach(0).max(0);
        let to = reach(self.extents[axis] as i64).min(self.positions[axis] as i64);
        (from, to.max(from), shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(sliding: &Sliding, offset: &[usize]) -> Vec<(usize, usize)> {
        let mut all = Vec::new();
        sliding.rows(offset, |row| all.extend(row.pairs()));
        all
    }

    #[test]
    fn only_what_is_inside_is_visited() {
        // Five elements, padded by two: positions 0, 2, 4 of a window of two offsets three apart.
        let sliding =
            Sliding { positions: vec![3], extents: vec![5], strides: vec![2], dilations: vec![3], before: vec![2] };
        assert_eq!(pairs(&sliding, &[0]), [(1, 0), (2, 2)]);
        assert_eq!(pairs(&sliding, &[1]), [(0, 1), (1, 3)]);
    }

    #[test]
    fn rows_of_a_plane() {
        let sliding = Sliding {
            positions: vec![2, 2],
            extents: vec![2, 3],
            strides: vec![1, 1],
            dilations: vec![1, 1],
            before: vec![0, 0],
        };
        assert_eq!(pairs(&sliding, &[0, 1]), [(0, 1), (1, 2), (2, 4), (3, 5)]);
        assert_eq!(pairs(&sliding, &[1, 1]), [(0, 4), (1, 5)]);
        assert_eq!(Sliding::offsets(&[2, 1]).collect::<Vec<_>>(), [(0, vec![0, 0]), (1, vec![1, 0])]);
    }
}
