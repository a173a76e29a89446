//! Operators that find things out about elements: where extremes stand, which are not 0, which are equal, which come first.

mod arg_extremum;
mod nonzero;
mod topk;
mod unique;

use crate::operator::Operator;

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] =
    &[&arg_extremum::ARG_MAX, &arg_extremum::ARG_MIN, &nonzero::NON_ZERO, &topk::TOP_K, &unique::UNIQUE];

#[cfg(test)]
mod tests {
    use crate::testing::op;

    /// Every relation, held against what the kernel computes.
    #[test]
    fn letters_tell_the_truth() {
        let cube = |name| op(name).iota(&[2, 3, 4]).int("axis", 1);
        assert_eq!(cube("ArgMax").letters_that_hold(), "a c");
        assert_eq!(cube("ArgMin").int("keepdims", 0).letters_that_hold(), "a c");
        assert_eq!(cube("TopK").int64s(&[1], &[2]).outputs(2).letters_that_hold(), "a c");
    }
}
