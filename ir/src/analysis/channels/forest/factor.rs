//! Products: their factors, and a span as the product of two.

use super::{Forest, Kind, SpanId};

impl Forest {
    /// The factors, products among them written out.
    pub(super) fn factors(&self, span: SpanId) -> Vec<SpanId> {
        let (mut factors, mut open) = (Vec::new(), vec![span]);
        while let Some(span) = open.pop() {
            let span = self.find(span);
            match self.kind(span) {
                Kind::Product(inner) => open.extend(inner.iter().rev().copied()),
                _ => factors.push(span),
            }
        }
        factors
    }

    /// The span as `major` indices times as many as it takes. `None` where it is not made that way.
    pub(super) fn factorize(&mut self, span: SpanId, major: u64) -> Option<(SpanId, SpanId)> {
        let span = self.find(span);
        let minor = self.extent(span)?.checked_div(major)?;
        match self.kind(span) {
            Kind::Leaf => {
                let (slow, fast) = (self.push(Some(major), Kind::Leaf, None), self.push(Some(minor), Kind::Leaf, None));
                self.set(span, Kind::Product(vec![slow, fast]));
                return Some((slow, fast));
            }
            Kind::Sum(_) | Kind::Same(_) => return None,
            Kind::Product(_) => {}
        }
        let factors = self.factors(span);
        let mut left = major;
        for at in 0..factors.len() {
            let extent = self.extent(factors[at])?;
            if left == 1 && extent != 1 {
                return (at > 0).then(|| (self.product(factors[..at].to_vec()), self.product(factors[at..].to_vec())));
            }
            if extent > 0 && left.is_multiple_of(extent) {
                left /= extent;
                continue;
            }
            if !extent.is_multiple_of(left) {
                return None;
            }
            let (slow, fast) = self.factorize(factors[at], left)?;
            let (mut front, mut back) = (factors[..at].to_vec(), vec![fast]);
            front.push(slow);
            back.extend(&factors[at + 1..]);
            return Some((self.product(front), self.product(back)));
        }
        None
    }
}
