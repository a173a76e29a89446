//! Walking through a tensor in another order than its own.
//!
//! Nearly all operators that move elements do so axis by axis: where an element comes from is the sum of what each of its
//! indices says. So the way is a table an axis, and memory for it grows with the extents, not with their product.

use onnxpress_ir::tensor::element_count;

/// Places in a source, in row-major order of the indices of what is made of it. An index may lead nowhere (padding).
#[derive(Debug, Clone)]
pub struct Walk {
    /// By axis and index: how far that is into the source.
    axes: Vec<Vec<Option<usize>>>,
    at: Vec<usize>,
    /// Before each axis: the sum of what the axes in front of it say.
    sums: Vec<Option<usize>>,
    /// From which axis on the sums are to be computed anew.
    stale: usize,
    left: usize,
}

impl Walk {
    /// A walk over these extents; `lead(axis, index)` says how far an index leads into the source.
    ///
    /// The caller has made sure that there is room for so many elements.
    pub fn new(dims: &[usize], lead: impl Fn(usize, usize) -> Option<usize>) -> Self {
        let left = element_count(dims).unwrap_or(0);
        // Without elements an extent may be anything, and no table is needed.
        let table = |(axis, &extent): (usize, &usize)| (0..extent).map(|index| lead(axis, index)).collect();
        let axes = if left == 0 { Vec::new() } else { dims.iter().enumerate().map(table).collect() };
        let rank = axes.len();
        Self { axes, at: vec![0; rank], sums: vec![Some(0); rank + 1], stale: 0, left }
    }

    /// A walk to places that were computed one by one.
    pub fn to_places(places: Vec<Option<usize>>) -> Self {
        Self { left: places.len(), axes: vec![places], at: vec![0], sums: vec![Some(0); 2], stale: 0 }
    }
}

impl Iterator for Walk {
    type Item = Option<usize>;

    fn next(&mut self) -> Option<Option<usize>> {
        self.left = self.left.checked_sub(1)?;
        let rank = self.axes.len();
        for axis in self.stale..rank {
            let step = self.axes[axis][self.at[axis]];
            self.sums[axis + 1] = self.sums[axis].zip(step).and_then(|(sum, step)| sum.checked_add(step));
        }
        for axis in (0..rank).rev() {
            self.stale = axis;
            self.at[axis] += 1;
            if self.at[axis] < self.axes[axis].len() {
                break;
            }
            self.at[axis] = 0;
        }
        Some(self.sums[rank])
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Walk {}

/// How far one step along each axis of a row-major tensor leads.
pub fn strides(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; dims.len()];
    for axis in (1..dims.len()).rev() {
        // What is too large belongs to a tensor without elements.
        strides[axis - 1] = strides[axis].saturating_mul(dims[axis]);
    }
    strides
}

/// The extents before an axis, of it, and after it, each multiplied up.
///
/// `None` where the tensor has no such axis, or a product overflows.
pub fn around(dims: &[usize], axis: usize) -> Option<(usize, usize, usize)> {
    Some((element_count(dims.get(..axis)?)?, *dims.get(axis)?, element_count(dims.get(axis + 1..)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_adds_up_what_the_axes_say() {
        let transposed = Walk::new(&[3, 2], |axis, index| Some(index * [1, 3][axis]));
        assert_eq!(transposed.map(Option::unwrap_or_default).collect::<Vec<_>>(), [0, 3, 1, 4, 2, 5]);
        assert_eq!(Walk::new(&[], |_, _| None).collect::<Vec<_>>(), [Some(0)], "a scalar has one element");
    }

    #[test]
    fn nowhere_on_one_axis_is_nowhere_at_all() {
        let padded = Walk::new(&[2, 3], |axis, index| if axis == 1 { index.checked_sub(1) } else { Some(2 * index) });
        assert_eq!(padded.collect::<Vec<_>>(), [None, Some(0), Some(1), None, Some(2), Some(3)]);
    }

    #[test]
    fn an_empty_tensor_needs_no_tables_whatever_its_other_extents() {
        assert_eq!(Walk::new(&[usize::MAX, 0], |_, index| Some(index)).count(), 0);
        assert_eq!(strides(&[2, usize::MAX, 0]), [0, 0, 1]);
        assert_eq!(around(&[2, 3, 4], 1), Some((2, 3, 4)));
        assert_eq!(around(&[2], 1), None);
    }
}
