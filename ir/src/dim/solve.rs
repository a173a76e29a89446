//! Choosing sizes: which value of a symbol gives a dim the value that a model needs.

use super::{Dim, Symbol};

/// No size is looked for beyond this: no tensor has an extent that large.
const LARGEST_SIZE: i64 = 1 << 48;

impl Dim {
    /// The smallest size of `symbol` for which the dim is `value`.
    ///
    /// For dims that have no other symbol and provably never shrink or never grow with this one, as all that are linear
    /// in it; `None` for others, and where no size below 2^48 does it. Takes 48 evaluations.
    pub fn solve_for(&self, symbol: &Symbol, value: i64) -> Option<i64> {
        let step = self.substitute(|found| (found == symbol).then(|| Self::from(symbol.clone()) + 1)) - self;
        if step.is_non_negative() != Some(true) {
            let shrinks = (-&step).is_non_negative() == Some(true);
            return if shrinks { (-self).solve_for(symbol, value.checked_neg()?) } else { None };
        }
        let at = |size: i64| self.eval(|found| (found == symbol).then_some(size));
        let (mut low, mut high) = (0, LARGEST_SIZE);
        while low < high {
            let middle = low + (high - low) / 2;
            // What has no value has overflowed, and does so from there on.
            if at(middle).is_some_and(|found| found < value) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        (at(low) == Some(value)).then_some(low)
    }
}
