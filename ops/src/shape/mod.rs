//! Operators about extents: they give the same elements other axes, or tell what the axes are.

mod extents;
mod factors;
mod flatten;
mod identity;
mod reshape;
mod squeeze;
mod unsqueeze;

use crate::operator::Operator;

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] = &[
    &extents::SHAPE,
    &extents::SIZE,
    &flatten::FLATTEN,
    &identity::IDENTITY,
    &reshape::RESHAPE,
    &squeeze::SQUEEZE,
    &unsqueeze::UNSQUEEZE,
];

#[cfg(test)]
mod tests {
    use crate::testing::op;

    /// Every relation, held against what the kernel computes.
    #[test]
    fn letters_tell_the_truth() {
        let reshape = |from: &[usize], to: &[i64]| op("Reshape").iota(from).int64s(&[to.len()], to);
        for (node, letters) in [
            (reshape(&[2, 3, 8], &[0, -1, 2, 4]), "a b c d"),
            (reshape(&[2, 3, 2, 4], &[2, 24]), "a b c d"),
            (reshape(&[6, 4], &[3, 8]), "a b c"),
            (reshape(&[2, 6, 5], &[4, 3, 5]), "a b c d"),
            (reshape(&[3, 4, 6, 2], &[3, 6, 4, 2]), "a b"),
            (reshape(&[1, 6, 1], &[2, 1, 3]), "a b"),
            (op("Flatten").iota(&[2, 3, 4]).int("axis", 2), "a b c"),
            (op("Squeeze").iota(&[2, 1, 3]), "a c"),
            (op("Unsqueeze").iota(&[2, 3]).int64s(&[1], &[1]), "a b"),
            (op("Identity").iota(&[2, 3]), "s1 s2"),
        ] {
            assert_eq!(node.letters_that_hold(), letters);
        }
    }
}
