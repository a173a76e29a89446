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

    /// A walk through a tensor of these extents whose axes come in another order.
    ///
    /// The entries of `order` are axes, each once.
    pub fn transposed(dims: &[usize], order: &[usize]) -> Self {
        let strides = strides(dims);
        let to: Vec<usize> = order.iter().map(|&axis| dims[axis]).collect();
        Self::new(&to, |axis, index| index.checked_mul(strides[order[axis]]))
    }

    /// A walk over the extents `to`, to which a tensor of extents `from` is broadcast.
    pub fn broadcast(from: &[usize], to: &[usize]) -> Self {
        let strides = strides(from);
        let front = to.len().saturating_sub(from.len());
        Self::new(to, |axis, index| match axis.checked_sub(front) {
            Some(own) if from[own] != 1 => index.checked_mul(strides[own]),
            _ => Some(0),
        })
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

/// Where the elements of the slice of `length` indices from `start` on along an axis stand in a tensor of extents `dims`.
pub fn slice_places(dims: &[usize], axis: usize, start: usize, length: usize) -> impl Iterator<Item = usize> {
    let (outer, extent, inner) = around(dims, axis).unwrap_or_default();
    // Rows without elements may be any number.
    let rows = if length == 0 || inner == 0 { 0 } else { outer };
    (0..rows).flat_map(move |row| {
        let from = (row * extent + start) * inner;
        from..from + length * inner
    })
}

/// For tensors of extents `dims`, one after the other along an axis: which of them each element is of, and where it stands there.
///
/// The caller has made sure that the extents agree but for that axis.
pub fn concat_places(dims: &[&[usize]], axis: usize) -> impl Iterator<Item = (usize, usize)> {
    let around: Vec<_> = dims.iter().map(|dims| around(dims, axis).unwrap_or_default()).collect();
    let chunks: Vec<usize> = around.iter().map(|(_, extent, inner)| extent.saturating_mul(*inner)).collect();
    // Rows without elements may be any number.
    let rows = around.first().filter(|_| chunks.iter().any(|&chunk| chunk > 0)).map_or(0, |&(outer, ..)| outer);
    let pieces = chunks.len();
    (0..rows).flat_map(move |row| (0..pieces).map(move |which| (row, which))).flat_map(move |(row, which)| {
        let chunk = chunks[which];
        (row * chunk..(row + 1) * chunk).map(move |place| (which, place))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_adds_up_what_the_axes_say() {
        let transposed = Walk::transposed(&[2, 3], &[1, 0]);
        assert_eq!(transposed.map(Option::unwrap_or_default).collect::<Vec<_>>(), [0, 3, 1, 4, 2, 5]);
        assert_eq!(Walk::new(&[], |_, _| None).collect::<Vec<_>>(), [Some(0)], "a scalar has one element");
    }

    #[test]
    fn pieces_lie_in_rows() {
        assert_eq!(slice_places(&[2, 3, 2], 1, 1, 1).collect::<Vec<_>>(), [2, 3, 8, 9]);
        let joined: Vec<_> = concat_places(&[&[2, 1], &[2, 2]], 1).collect();
        assert_eq!(joined, [(0, 0), (1, 0), (1, 1), (0, 1), (1, 2), (1, 3)]);
        assert_eq!(slice_places(&[usize::MAX, 0], 1, 0, 0).count(), 0);
        assert_eq!(concat_places(&[&[usize::MAX, 0], &[usize::MAX, 0]], 1).count(), 0);
    }

    #[test]
    fn a_broadcast_walk_stays_where_the_extent_is_one() {
        let places: Vec<_> = Walk::broadcast(&[2, 1], &[2, 2, 2]).flatten().collect();
        assert_eq!(places, [0, 0, 1, 1, 0, 0, 1, 1]);
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
