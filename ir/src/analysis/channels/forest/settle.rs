//! What came of it all: leaves by number, why some stay whole, and which indices of a span are left when some of leaves go.

use super::{Forest, Kind, SpanId};

/// Spans nested deeper than this are pinned.
const DEEPEST: usize = 256;

/// A set of indices that stand for themselves, wherever it occurs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// How many indices it has; 0 where that is not constant.
    pub extent: usize,
    /// Why none of them may go.
    pub pinned: Option<String>,
    /// Leaves that were one before they were split have the same number.
    pub family: u32,
}

/// The spans of a graph when all has been said.
#[derive(Clone, Debug, Default)]
pub struct Settled {
    forest: Forest,
    leaves: Vec<Leaf>,
    /// By span: the number of the leaf that it is.
    numbers: Vec<u32>,
}

const NO_LEAF: u32 = u32::MAX;

impl Forest {
    /// Numbers the leaves of spans that are used, in the order of use, and tells which are pinned.
    pub(in crate::analysis::channels) fn settle(mut self, used: impl IntoIterator<Item = SpanId>) -> Settled {
        let mut numbers = vec![NO_LEAF; self.spans.len()];
        let mut found: Vec<SpanId> = Vec::new();
        let mut seen = vec![false; self.spans.len()];
        for root in used {
            let root = self.find_short(root);
            if self.is_too_deep(root) {
                self.pin(root, "it is taken apart too often to follow");
            }
            let mut open = vec![root];
            while let Some(span) = open.pop() {
                let span = self.find_short(span);
                if std::mem::replace(&mut seen[span.0 as usize], true) {
                    continue;
                }
                match self.kind(span) {
                    Kind::Sum(parts) | Kind::Product(parts) => open.extend(parts.iter().rev().copied()),
                    Kind::Leaf | Kind::Same(_) => {
                        numbers[span.0 as usize] = found.len() as u32;
                        found.push(span);
                    }
                }
            }
        }
        let mut pinned: Vec<Option<u32>> = vec![None; self.spans.len()];
        for (span, reason) in std::mem::take(&mut self.pins) {
            let mut open = vec![span];
            while let Some(span) = open.pop() {
                let span = self.find_short(span);
                if pinned[span.0 as usize].is_some() {
                    continue;
                }
                pinned[span.0 as usize] = Some(reason);
                if let Kind::Sum(parts) | Kind::Product(parts) = self.kind(span) {
                    open.extend(parts.iter().rev().copied());
                }
            }
        }
        let leaf = |span: &SpanId| {
            let extent = self.extent(*span).and_then(|extent| usize::try_from(extent).ok());
            let why = pinned[span.0 as usize].map(|reason| self.reasons[reason as usize].clone());
            let open = extent.is_none().then(|| "its extent is not constant".to_owned());
            Leaf {
                extent: extent.unwrap_or(0),
                pinned: why.or(open),
                family: self.family(self.spans[span.0 as usize].family),
            }
        };
        let leaves = found.iter().map(leaf).collect();
        Settled { leaves, numbers, forest: self }
    }

    fn is_too_deep(&self, root: SpanId) -> bool {
        let mut open = vec![(root, 0)];
        let mut steps = 0;
        while let Some((span, depth)) = open.pop() {
            steps += 1;
            if depth > DEEPEST || steps > 1 << 20 {
                return true;
            }
            if let Kind::Sum(parts) | Kind::Product(parts) = self.kind(span) {
                open.extend(parts.iter().map(|&part| (part, depth + 1)));
            }
        }
        false
    }
}

/// What a span is made of, for who walks down.
#[derive(Clone, Copy, Debug)]
pub enum Made<'a> {
    /// The leaf of this number.
    Leaf(usize),
    /// Segments one after the other.
    Sum(&'a [SpanId]),
    /// Every combination of indices, the first factor slowest.
    Product(&'a [SpanId]),
}

impl Settled {
    /// The leaves, in the order of first use.
    pub fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    pub(in crate::analysis::channels) fn pin(&mut self, span: SpanId, reason: &str) {
        let mut found = Vec::new();
        self.visit_leaves(span, &mut |leaf| found.push(leaf));
        for leaf in found {
            self.leaves[leaf].pinned.get_or_insert_with(|| reason.to_owned());
        }
    }

    /// How many indices the span has, where that is constant.
    pub fn extent(&self, span: SpanId) -> Option<usize> {
        self.forest.extent(span).and_then(|extent| usize::try_from(extent).ok())
    }

    /// The span that stands for this one: equal spans have the same.
    pub fn representative(&self, span: SpanId) -> SpanId {
        self.forest.find(span)
    }

    /// What the span is made of.
    pub fn made(&self, span: SpanId) -> Made<'_> {
        let span = self.forest.find(span);
        match self.forest.kind(span) {
            Kind::Sum(parts) => Made::Sum(parts),
            Kind::Product(parts) => Made::Product(parts),
            Kind::Leaf | Kind::Same(_) => Made::Leaf(self.numbers[span.0 as usize] as usize),
        }
    }

    /// Calls `visit` with the number of every leaf that the span is made of, those that occur twice twice.
    pub fn visit_leaves(&self, span: SpanId, visit: &mut impl FnMut(usize)) {
        let mut open = vec![span];
        while let Some(span) = open.pop() {
            match self.made(span) {
                Made::Leaf(number) => visit(number),
                Made::Sum(parts) | Made::Product(parts) => open.extend(parts.iter().rev().copied()),
            }
        }
    }

    /// Whether any leaf of the span can lose an index.
    pub fn is_free(&self, span: SpanId) -> bool {
        let mut free = false;
        self.visit_leaves(span, &mut |leaf| free |= self.leaves[leaf].pinned.is_none());
        free
    }

    /// How many indices are left when so many of each leaf are.
    pub fn count(&self, span: SpanId, left: &[usize]) -> usize {
        match self.made(span) {
            Made::Leaf(number) => left[number],
            Made::Sum(parts) => parts.iter().map(|&part| self.count(part, left)).sum(),
            Made::Product(parts) => parts.iter().map(|&part| self.count(part, left)).product(),
        }
    }

    /// Which indices are left, ascending, when these of each leaf are. The extents must be constant.
    pub fn kept(&self, span: SpanId, left: &[Vec<usize>]) -> Vec<usize> {
        match self.made(span) {
            Made::Leaf(number) => left[number].clone(),
            Made::Sum(parts) => {
                let mut start = 0;
                let mut kept = Vec::new();
                for &part in parts {
                    kept.extend(self.kept(part, left).into_iter().map(|index| start + index));
                    start += self.extent(part).unwrap_or(0);
                }
                kept
            }
            Made::Product(parts) => parts.iter().fold(vec![0], |outer, &part| {
                let (inner, extent) = (self.kept(part, left), self.extent(part).unwrap_or(0));
                outer.iter().flat_map(|&row| inner.iter().map(move |&index| row * extent + index)).collect()
            }),
        }
    }
}
