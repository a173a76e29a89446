//! Making two spans one: what they are made of is brought in step, part by part.

use std::collections::VecDeque;

use super::{Forest, Kind, SpanId};

const TOO_INTRICATE: &str = "the ways in which its axes are taken apart are too many to follow";
const DIFFERENT: &str = "it is read as axes of different extents";
const WHOLE: &str = "it stands for a whole axis";

impl Forest {
    /// Makes two spans one: the indices at the same place of both can only be removed together.
    pub(in crate::analysis::channels) fn unify(&mut self, a: SpanId, b: SpanId) {
        let mut work = vec![(a, b)];
        while let Some((a, b)) = work.pop() {
            let (a, b) = (self.find_short(a), self.find_short(b));
            if a == b {
                continue;
            }
            let differ = self.extent(a).zip(self.extent(b)).is_some_and(|(a, b)| a != b);
            if differ || self.exhausted() {
                self.pin_both(a, b, if differ { DIFFERENT } else { TOO_INTRICATE });
                continue;
            }
            match (self.kind(a), self.kind(b)) {
                (Kind::Leaf, _) => self.substitute(a, b),
                (_, Kind::Leaf) => self.substitute(b, a),
                (Kind::Product(_), Kind::Product(_)) => self.align_products(a, b, &mut work),
                _ => self.align_sums(a, b, &mut work),
            }
        }
    }

    fn pin_both(&mut self, a: SpanId, b: SpanId, reason: &str) {
        self.pin(a, reason);
        self.pin(b, reason);
    }

    /// Makes a leaf whatever the other span is.
    fn substitute(&mut self, leaf: SpanId, other: SpanId) {
        if self.extent(leaf).is_some_and(|extent| extent > 1) {
            // Only what has as many indices can hold the leaf; the factors beside it have one index each. Since without that
            // index the leaf would lose all of its own, it stays.
            let mut at = other;
            let mut beside = Vec::new();
            while let Kind::Product(factors) = self.kind(at) {
                let Some(&same) = factors.iter().find(|&&factor| self.extent(factor) == self.extent(leaf)) else {
                    break;
                };
                beside.extend(factors.iter().copied().filter(|&factor| factor != same));
                at = self.find(same);
                if at == leaf {
                    beside.into_iter().for_each(|span| self.pin(span, WHOLE));
                    return;
                }
            }
        } else if self.holds(other, leaf) {
            self.pin_both(leaf, other, WHOLE);
            return;
        }
        if matches!(self.kind(other), Kind::Leaf) {
            let (mine, others) = (self.spans[leaf.0 as usize].family, self.spans[other.0 as usize].family);
            let (mine, others) = (self.family(mine), self.family(others));
            // The older one stands for both, whichever operand came first.
            self.spans[mine.max(others) as usize].family = mine.min(others);
        }
        self.set(leaf, Kind::Same(other));
    }

    /// The family that stands for this one.
    pub(super) fn family(&self, mut family: u32) -> u32 {
        while self.spans[family as usize].family != family {
            family = self.spans[family as usize].family;
        }
        family
    }

    fn holds(&self, span: SpanId, leaf: SpanId) -> bool {
        let mut open = vec![span];
        let mut steps = 0;
        while let Some(span) = open.pop() {
            let span = self.find(span);
            steps += 1;
            if span == leaf || steps > 10_000 {
                return true;
            }
            if let Kind::Sum(parts) | Kind::Product(parts) = self.kind(span) {
                open.extend(parts.iter().copied());
            }
        }
        false
    }

    /// Cuts both into segments that begin and end at the same places.
    fn align_sums(&mut self, a: SpanId, b: SpanId, work: &mut Vec<(SpanId, SpanId)>) {
        let segments = |forest: &Self, span| match forest.kind(span) {
            Kind::Sum(parts) => VecDeque::from(parts.clone()),
            _ => VecDeque::from([span]),
        };
        let (mut left, mut right) = (segments(self, a), segments(self, b));
        let mut pieces = Vec::new();
        while let (Some(x), Some(y)) = (left.pop_front(), right.pop_front()) {
            match (self.extent(x), self.extent(y)) {
                (Some(m), Some(n)) if m == n => work.push((x, y)),
                (Some(m), Some(n)) => {
                    let (long, short, rest) = if m > n { (x, n, &mut left) } else { (y, m, &mut right) };
                    let Some((head, tail)) = self.split(long, short) else {
                        return self.pin_both(a, b, TOO_INTRICATE);
                    };
                    rest.push_front(tail);
                    work.push(if m > n { (head, y) } else { (x, head) });
                    pieces.push(if m > n { head } else { x });
                    continue;
                }
                // Extents that are open: equal if all others are.
                (None, None) if left.len() == right.len() => work.push((x, y)),
                _ => return self.pin_both(a, b, "where its segments meet depends on open extents"),
            }
            pieces.push(x);
        }
        let whole = self.sum(pieces);
        let (a, b) = (self.find(a), self.find(b));
        for span in [a, b] {
            if span != whole {
                self.set(span, Kind::Same(whole));
            }
        }
    }

    /// Brings the factors of both in step, from the front and from the back; pins those that never are.
    fn align_products(&mut self, a: SpanId, b: SpanId, work: &mut Vec<(SpanId, SpanId)>) {
        let (mut left, mut right) = (VecDeque::from(self.factors(a)), VecDeque::from(self.factors(b)));
        loop {
            match (left.len(), right.len()) {
                (0, 0) => break,
                (0, _) | (_, 0) => {
                    left.iter().chain(&right).for_each(|&span| self.pin(span, WHOLE));
                    break;
                }
                (1, _) | (_, 1) => {
                    let (x, y) = (self.product(left.into()), self.product(right.into()));
                    work.push((x, y));
                    break;
                }
                _ => {}
            }
            if self.step(&mut left, &mut right, true, work) || self.step(&mut left, &mut right, false, work) {
                continue;
            }
            let open = |list: &VecDeque<SpanId>| list.iter().filter(|&&span| self.extent(span).is_none()).count();
            if left.len() == right.len() && open(&left) == 1 && open(&right) == 1 {
                work.extend(left.into_iter().zip(right));
                break;
            }
            // Whoever removed a row of one would remove a row of the other, and so on until nothing is left.
            let product = |list: &VecDeque<SpanId>| {
                let extent = |&span: &SpanId| self.extent(span).map_or("?".to_owned(), |extent| extent.to_string());
                list.iter().map(extent).collect::<Vec<_>>().join(" x ")
            };
            let reason = format!("its axis is read as {} and as {}", product(&left), product(&right));
            left.into_iter().chain(right).for_each(|span| self.pin(span, &reason));
            break;
        }
        let (a, b) = (self.find(a), self.find(b));
        if a != b {
            self.set(b, Kind::Same(a));
        }
    }

    /// Accounts for one factor at one end of both lists. Answers whether it could.
    fn step(
        &mut self,
        left: &mut VecDeque<SpanId>,
        right: &mut VecDeque<SpanId>,
        front: bool,
        work: &mut Vec<(SpanId, SpanId)>,
    ) -> bool {
        let end = |list: &VecDeque<SpanId>| if front { list.front().copied() } else { list.back().copied() };
        let pop = |list: &mut VecDeque<SpanId>| if front { list.pop_front() } else { list.pop_back() };
        let push = |list: &mut VecDeque<SpanId>, span| if front { list.push_front(span) } else { list.push_back(span) };
        let (Some(x), Some(y)) = (end(left), end(right)) else { return false };
        let (Some(m), Some(n)) = (self.extent(x), self.extent(y)) else {
            let same = self.find(x) == self.find(y);
            if same {
                pop(left);
                pop(right);
            }
            return same;
        };
        if m == n {
            pop(left);
            pop(right);
            work.push((x, y));
            return true;
        }
        for (list, extent) in [(&mut *left, m), (&mut *right, n)] {
            // A single index that the other side does not know.
            if extent == 1 {
                if let Some(one) = pop(list) {
                    self.pin(one, WHOLE);
                }
                return true;
            }
        }
        let (large, small, long, short) = if m > n { (x, n, left, right) } else { (y, m, right, left) };
        let Some(other) =
            self.extent(large).filter(|extent| small > 0 && extent.is_multiple_of(small)).map(|e| e / small)
        else {
            return false;
        };
        let Some((major, minor)) = self.factorize(large, if front { small } else { other }) else { return false };
        pop(long);
        let Some(matched) = pop(short) else { return false };
        let (same, rest) = if front { (major, minor) } else { (minor, major) };
        work.push((same, matched));
        push(long, rest);
        true
    }
}
