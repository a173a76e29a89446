//! How scales lie over a tensor, and the tensor cut into segments that one loop can run over.
//!
//! A tensor is seen as `[outer, extent, inner]` around the axis of quantization. Elements beside each other in memory either
//! share a scale or have scales beside each other; a segment is a run of one kind or the other, so the loops know nothing of
//! axes.

use std::ops::Range;

use super::scheme::Refusal;

/// Elements of a segment where all elements share a scale.
const PIECE: usize = 1 << 14;

/// How many scales a tensor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Granularity {
    /// One.
    Tensor,
    /// One for each index of an axis.
    Channel(usize),
    /// One for each block of so many neighbours along an axis, the last of which may be shorter.
    Blocks {
        /// The axis.
        axis: usize,
        /// The elements of a block, along the axis.
        size: usize,
    },
}

/// Which scales the elements of a segment have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scales {
    /// All this one.
    One(usize),
    /// Each its own: the first this one, the others those after it.
    Row(usize),
}

/// A run of elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) start: usize,
    pub(super) length: usize,
    pub(super) scales: Scales,
}

impl Segment {
    /// The scale of the element at a place of the segment.
    pub(super) fn scale_of(&self, place: usize) -> usize {
        match self.scales {
            Scales::One(scale) => scale,
            Scales::Row(first) => first + (place - self.start),
        }
    }
}

/// How scales lie over a tensor of certain extents, none of them 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    outer: usize,
    extent: usize,
    inner: usize,
    /// Elements along the axis that share a scale; `None` where all of the tensor do.
    size: Option<usize>,
    /// Whether indices of the outer axes share scales.
    across: bool,
    dims: Vec<usize>,
}

impl Layout {
    /// Of a tensor of these extents.
    ///
    /// # Errors
    /// Where it has no elements or no such axis, or a block has none.
    pub(super) fn of(dims: &[usize], granularity: Granularity) -> Result<Self, Refusal> {
        if dims.contains(&0) {
            return Err(Refusal::Empty);
        }
        let (axis, size, across) = match granularity {
            Granularity::Tensor => {
                let count = dims.iter().product();
                return Ok(Self { outer: 1, extent: count, inner: 1, size: None, across: true, dims: Vec::new() });
            }
            Granularity::Channel(axis) => (axis, 1, true),
            Granularity::Blocks { size: 0, .. } => return Err(Refusal::Block(0)),
            Granularity::Blocks { axis, size } => (axis, size, false),
        };
        let Some(&extent) = dims.get(axis) else { return Err(Refusal::Axis { axis, rank: dims.len() }) };
        let (outer, inner) = (dims[..axis].iter().product(), dims[axis + 1..].iter().product());
        let parameters = if across {
            vec![extent]
        } else {
            let blocks = |(index, &dim): (usize, &usize)| if index == axis { dim.div_ceil(size) } else { dim };
            dims.iter().enumerate().map(blocks).collect()
        };
        Ok(Self { outer, extent, inner, size: Some(size), across, dims: parameters })
    }

    /// The extents of the tensor of scales.
    pub(super) fn parameter_dims(&self) -> &[usize] {
        &self.dims
    }

    /// How many scales there are.
    pub(super) fn count(&self) -> usize {
        self.dims.iter().product()
    }

    /// How many elements the tensor has.
    pub(super) fn elements(&self) -> usize {
        self.outer * self.extent * self.inner
    }

    /// The number of the scale that the element at a place has.
    pub(super) fn scale_at(&self, place: usize) -> usize {
        let Some(size) = self.size else { return 0 };
        let (outer, index, within) = (place / self.row(), place / self.inner % self.extent, place % self.inner);
        match self.across {
            true => index,
            false => (outer * self.extent.div_ceil(size) + index / size) * self.inner + within,
        }
    }

    /// The elements of a row, that is, of what lies at one place of the outer axes.
    fn row(&self) -> usize {
        self.extent * self.inner
    }

    /// The runs of a row.
    fn runs(&self) -> usize {
        match (self.size, self.inner) {
            (None, _) => self.extent.div_ceil(PIECE),
            (Some(1), 1) => 1,
            (Some(size), 1) => self.extent.div_ceil(size),
            (Some(_), _) => self.extent,
        }
    }

    /// How many segments there are.
    pub(super) fn segment_count(&self) -> usize {
        self.outer * self.runs()
    }

    /// A segment. They follow each other in memory.
    pub(super) fn segment(&self, number: usize) -> Segment {
        let (outer, run) = (number / self.runs(), number % self.runs());
        let (extent, inner) = (self.extent, self.inner);
        let (start, length, scales) = match (self.size, inner) {
            (None, _) => (run * PIECE, PIECE.min(extent - run * PIECE), Scales::One(0)),
            (Some(1), 1) => (0, extent, Scales::Row(if self.across { 0 } else { outer * extent })),
            (Some(size), 1) => {
                let start = run * size;
                (start, size.min(extent - start), Scales::One(outer * extent.div_ceil(size) + run))
            }
            (Some(_), _) if self.across => (run * inner, inner, Scales::One(run)),
            (Some(size), _) => {
                let block = outer * extent.div_ceil(size) + run / size;
                (run * inner, inner, Scales::Row(block * inner))
            }
        };
        Segment { start: outer * self.row() + start, length, scales }
    }

    /// The segments cut into parts of about so many elements.
    pub(super) fn parts(&self, elements: usize) -> Vec<Range<usize>> {
        let each = self.elements().div_ceil(self.segment_count());
        let step = elements.div_ceil(each);
        (0..self.segment_count()).step_by(step).map(|at| at..(at + step).min(self.segment_count())).collect()
    }

    /// The places of a part's elements.
    pub(super) fn places(&self, part: &Range<usize>) -> Range<usize> {
        let start = |number: usize| match number < self.segment_count() {
            true => self.segment(number).start,
            false => self.elements(),
        };
        start(part.start)..start(part.end)
    }

    /// The scales of a part's elements, and perhaps others.
    pub(super) fn scales(&self, part: &Range<usize>) -> Range<usize> {
        // Unless each place of the outer axes begins with the first scale again, scales ascend with segments.
        if self.across && self.outer > 1 || part.is_empty() {
            return 0..self.count();
        }
        let (first, last) = (self.segment(part.start), self.segment(part.end - 1));
        first.scale_of(first.start)..last.scale_of(last.start + last.length - 1) + 1
    }

    /// Of scale number `scale`: the places of its elements, as the first of each of several runs, their length, and the step
    /// within a run.
    pub(super) fn group(&self, scale: usize) -> Group {
        let (extent, inner, row) = (self.extent, self.inner, self.row());
        match self.size {
            None => Group { first: 0, runs: 1, apart: 0, length: extent, step: 1 },
            Some(_) if self.across => {
                Group { first: scale * inner, runs: self.outer, apart: row, length: inner, step: 1 }
            }
            Some(size) => {
                let blocks = extent.div_ceil(size);
                let (place, within) = (scale / inner, scale % inner);
                let (outer, block) = (place / blocks, place % blocks);
                let length = size.min(extent - block * size);
                let first = outer * row + block * size * inner + within;
                Group { first, runs: 1, apart: 0, length, step: inner }
            }
        }
    }
}

/// The elements that share a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Group {
    first: usize,
    runs: usize,
    apart: usize,
    length: usize,
    step: usize,
}

impl Group {
    /// Their places, ascending.
    pub(super) fn places(self) -> impl Iterator<Item = usize> {
        (0..self.runs).flat_map(move |run| {
            let first = self.first + run * self.apart;
            (0..self.length).map(move |index| first + index * self.step)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The scale of every element, by segments.
    fn map(dims: &[usize], granularity: Granularity) -> Vec<usize> {
        let layout = Layout::of(dims, granularity).unwrap();
        let mut scales = vec![usize::MAX; layout.elements()];
        for segment in (0..layout.segment_count()).map(|number| layout.segment(number)) {
            (segment.start..segment.start + segment.length).for_each(|place| scales[place] = segment.scale_of(place));
            assert_eq!(scales[segment.start], layout.scale_at(segment.start), "{dims:?}");
        }
        for part in layout.parts(3) {
            let (places, within) = (layout.places(&part), layout.scales(&part));
            assert!(scales[places].iter().all(|scale| within.contains(scale)), "{dims:?}");
        }
        for scale in 0..layout.count() {
            layout.group(scale).places().for_each(|place| assert_eq!(scales[place], scale, "{dims:?}"));
        }
        scales
    }

    #[test]
    fn every_element_has_a_scale() {
        assert_eq!(map(&[2, 2], Granularity::Tensor), [0; 4]);
        assert_eq!(map(&[2, 3], Granularity::Channel(0)), [0, 0, 0, 1, 1, 1]);
        assert_eq!(map(&[2, 3], Granularity::Channel(1)), [0, 1, 2, 0, 1, 2]);
        assert_eq!(map(&[2, 2, 2], Granularity::Channel(1)), [0, 0, 1, 1, 0, 0, 1, 1]);
        assert_eq!(map(&[2, 3], Granularity::Blocks { axis: 1, size: 2 }), [0, 0, 1, 2, 2, 3]);
        assert_eq!(map(&[3, 2], Granularity::Blocks { axis: 0, size: 2 }), [0, 1, 0, 1, 2, 3]);
        assert_eq!(map(&[2, 3, 1], Granularity::Blocks { axis: 1, size: 1 }), [0, 1, 2, 3, 4, 5]);
        assert_eq!(map(&[2, 2, 2], Granularity::Blocks { axis: 0, size: 8 }), [0, 1, 2, 3, 0, 1, 2, 3]);
    }

    #[test]
    fn what_has_no_axis_or_no_elements_is_refused() {
        assert_eq!(Layout::of(&[2], Granularity::Channel(1)), Err(Refusal::Axis { axis: 1, rank: 1 }));
        assert_eq!(Layout::of(&[2, 0], Granularity::Tensor), Err(Refusal::Empty));
        assert_eq!(Layout::of(&[2], Granularity::Blocks { axis: 0, size: 0 }), Err(Refusal::Block(0)));
    }
}
