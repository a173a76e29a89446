//! Sets of indices and what they are made of.
//!
//! An axis is a *span*: a set of indices in order. A span is a leaf, whose indices stand for themselves; a sum, segments one
//! after the other; or a product, the first factor slowest. To say that two spans are one is to take both apart until only
//! leaves are left to be made one: `64` and `24+40` makes the 64 a sum, `768` and `(12 64)` makes the 768 a product. Where two
//! ways to factor an axis have no common refinement, `(20 3)` and `(3 20)`, the factors are pinned.
//!
//! Everything is an index into one vector and nothing ever goes away, so a span that was handed out stays valid; whoever holds
//! it sees what others found out. The work is bounded: beyond a budget, spans are pinned instead of being taken apart.

mod align;
mod factor;
mod settle;
mod split;
#[cfg(test)]
mod tests;

pub use settle::{Leaf, Made, Settled};

/// A set of indices in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(pub(super) u32);

/// What a span is made of.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Indices of its own.
    Leaf,
    /// Segments one after the other.
    Sum(Vec<SpanId>),
    /// Every combination of indices, the first factor slowest.
    Product(Vec<SpanId>),
    /// Another span.
    Same(SpanId),
}

#[derive(Clone, Debug)]
struct Span {
    /// `None` where it is not constant.
    extent: Option<u64>,
    kind: Kind,
    /// Leaves that were one before they were split have the same family.
    family: u32,
}

/// Why nothing may be removed from a span; an index into the reasons of the forest.
pub(super) type Reason = u32;

/// More spans than this for each that was asked for, and the rest is pinned.
const REFINEMENTS: usize = 64;
/// A floor under the budget, so that small graphs can be taken apart index by index.
const LEAST_BUDGET: usize = 1 << 16;

/// All spans of a graph.
#[derive(Clone, Debug, Default)]
pub(in crate::analysis::channels) struct Forest {
    spans: Vec<Span>,
    pins: Vec<(SpanId, Reason)>,
    reasons: Vec<String>,
    asked_for: usize,
}

impl Forest {
    /// A span of its own.
    pub(in crate::analysis::channels) fn leaf(&mut self, extent: Option<u64>) -> SpanId {
        self.asked_for += 1;
        self.push(extent, Kind::Leaf, None)
    }

    fn push(&mut self, extent: Option<u64>, kind: Kind, family: Option<u32>) -> SpanId {
        let id = self.spans.len() as u32;
        self.spans.push(Span { extent, kind, family: family.unwrap_or(id) });
        SpanId(id)
    }

    /// Segments one after the other; the only one, if there is but one.
    pub(in crate::analysis::channels) fn sum(&mut self, segments: Vec<SpanId>) -> SpanId {
        let mut flat = Vec::with_capacity(segments.len());
        for segment in segments {
            let segment = self.find(segment);
            match &self.spans[segment.0 as usize].kind {
                Kind::Sum(inner) => flat.extend(inner.iter().copied()),
                _ if self.extent(segment) == Some(0) => {}
                _ => flat.push(segment),
            }
        }
        match flat.as_slice() {
            [one] => *one,
            _ => {
                let extent = flat.iter().try_fold(0u64, |sum, &span| sum.checked_add(self.extent(span)?));
                self.push(extent, Kind::Sum(flat), None)
            }
        }
    }

    /// Every combination of indices, the first factor slowest; the only factor, if there is but one.
    pub(in crate::analysis::channels) fn product(&mut self, factors: Vec<SpanId>) -> SpanId {
        let mut flat = Vec::with_capacity(factors.len());
        for factor in factors {
            let factor = self.find(factor);
            match &self.spans[factor.0 as usize].kind {
                Kind::Product(inner) => flat.extend(inner.iter().copied()),
                _ => flat.push(factor),
            }
        }
        match flat.as_slice() {
            [one] => *one,
            _ => {
                let extent = self.size_of(&flat);
                self.push(extent, Kind::Product(flat), None)
            }
        }
    }

    fn size_of(&self, factors: &[SpanId]) -> Option<u64> {
        factors.iter().try_fold(1u64, |product, &span| product.checked_mul(self.extent(span)?))
    }

    /// The span that stands for this one.
    pub(in crate::analysis::channels) fn find(&self, mut span: SpanId) -> SpanId {
        while let Kind::Same(other) = self.spans[span.0 as usize].kind {
            span = other;
        }
        span
    }

    /// The same, and shortens the way for the next who asks.
    fn find_short(&mut self, span: SpanId) -> SpanId {
        let root = self.find(span);
        let mut next = span;
        while let Kind::Same(other) = self.spans[next.0 as usize].kind {
            self.spans[next.0 as usize].kind = Kind::Same(root);
            next = other;
        }
        root
    }

    /// How many indices it has, where that is constant.
    pub(in crate::analysis::channels) fn extent(&self, span: SpanId) -> Option<u64> {
        self.spans[self.find(span).0 as usize].extent
    }

    pub(super) fn kind(&self, span: SpanId) -> &Kind {
        &self.spans[self.find(span).0 as usize].kind
    }

    /// Keeps whole whatever the span is made of, now or later.
    pub(in crate::analysis::channels) fn pin(&mut self, span: SpanId, reason: impl AsRef<str>) {
        let reason = reason.as_ref();
        let number = match self.reasons.last() {
            Some(last) if last == reason => self.reasons.len() - 1,
            _ => {
                self.reasons.push(reason.to_owned());
                self.reasons.len() - 1
            }
        };
        self.pins.push((span, number as Reason));
    }

    fn exhausted(&self) -> bool {
        self.spans.len() > LEAST_BUDGET.max(self.asked_for.saturating_mul(REFINEMENTS))
    }

    fn set(&mut self, span: SpanId, kind: Kind) {
        self.spans[span.0 as usize].kind = kind;
    }
}
