//! A span in two: what comes before a place, and what comes behind.

use super::{Forest, Kind, SpanId};

/// Spans that are made of spans that are made of spans, so deep, are left alone.
const DEEPEST: usize = 64;

impl Forest {
    /// The indices before `at` and those from there on. `None` where the extents are open or nothing would be on one side.
    pub(super) fn split(&mut self, span: SpanId, at: u64) -> Option<(SpanId, SpanId)> {
        self.split_at_depth(span, at, 0)
    }

    fn split_at_depth(&mut self, span: SpanId, at: u64, depth: usize) -> Option<(SpanId, SpanId)> {
        let span = self.find_short(span);
        let extent = self.extent(span)?;
        if at == 0 || at >= extent || depth > DEEPEST || self.exhausted() {
            return None;
        }
        match self.kind(span) {
            Kind::Sum(parts) => {
                let mut parts = parts.clone();
                let (mut start, mut index) = (0, 0);
                while start + self.extent(parts[index])? <= at {
                    start += self.extent(parts[index])?;
                    index += 1;
                }
                if start < at {
                    let (head, tail) = self.split_at_depth(parts[index], at - start, depth + 1)?;
                    parts.splice(index..=index, [head, tail]);
                    index += 1;
                }
                let behind = parts.split_off(index);
                Some((self.sum(parts), self.sum(behind)))
            }
            Kind::Product(_) => self.split_product(span, at, depth),
            Kind::Leaf | Kind::Same(_) => {
                let family = self.spans[span.0 as usize].family;
                let head = self.push(Some(at), Kind::Leaf, Some(family));
                let tail = self.push(Some(extent - at), Kind::Leaf, Some(family));
                self.set(span, Kind::Sum(vec![head, tail]));
                Some((head, tail))
            }
        }
    }

    fn split_product(&mut self, span: SpanId, at: u64, depth: usize) -> Option<(SpanId, SpanId)> {
        let factors = self.factors(span);
        let (&first, rest) = factors.split_first()?;
        if rest.is_empty() {
            return self.split_at_depth(first, at, depth + 1);
        }
        let (count, inner) = (self.extent(first)?, self.size_of(rest)?);
        let (row, inside) = (at.checked_div(inner)?, at.checked_rem(inner)?);
        let with_rest = |forest: &mut Self, factor: SpanId| {
            let mut all = vec![factor];
            all.extend(rest);
            forest.product(all)
        };
        if inside == 0 {
            let (head, tail) = self.split_at_depth(first, row, depth + 1)?;
            return Some((with_rest(self, head), with_rest(self, tail)));
        }
        // The cut goes through a row: rows before it, its own two parts, rows behind it.
        let whole_row = self.product(rest.to_vec());
        let (before, behind) = self.split_at_depth(whole_row, inside, depth + 1)?;
        let (mut head, mut tail) = (Vec::new(), Vec::new());
        let mut own = first;
        if row > 0 {
            let (above, from_here) = self.split_at_depth(own, row, depth + 1)?;
            head.push(with_rest(self, above));
            own = from_here;
        }
        let mut below = None;
        if row + 1 < count {
            let (this, others) = self.split_at_depth(own, 1, depth + 1)?;
            own = this;
            below = Some(with_rest(self, others));
        }
        head.push(self.product(vec![own, before]));
        tail.push(self.product(vec![own, behind]));
        tail.extend(below);
        Some((self.sum(head), self.sum(tail)))
    }
}
