//! Reductions: many elements along some axes become one, or each the sum or product of all up to it.

mod cumulative;
mod gradient;
mod reduce;
mod sheets;

use crate::operator::Operator;

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] = &[
    &cumulative::CUM_PROD,
    &cumulative::CUM_SUM,
    &sheets::REDUCE_L1,
    &sheets::REDUCE_L2,
    &sheets::REDUCE_LOG_SUM,
    &sheets::REDUCE_LOG_SUM_EXP,
    &sheets::REDUCE_MAX,
    &sheets::REDUCE_MEAN,
    &sheets::REDUCE_MIN,
    &sheets::REDUCE_PROD,
    &sheets::REDUCE_SUM,
    &sheets::REDUCE_SUM_SQUARE,
];

#[cfg(test)]
mod tests {
    use onnxpress_ir::Tensor;

    use crate::testing::op;

    /// Every relation, held against what the kernel computes.
    #[test]
    fn letters_tell_the_truth() {
        let over = |name| op(name).iota(&[2, 3, 4]).int64s(&[1], &[1]);
        for (node, letters) in [
            (over("ReduceSum"), "a b c"),
            (over("ReduceL2").int("keepdims", 0), "a b c"),
            (over("ReduceMean"), "a b c"),
            (over("ReduceMax"), "a c"),
            (over("ReduceProd"), "a c"),
            (op("CumSum").iota(&[2, 3]).constant(Tensor::scalar(1i64)), "a"),
        ] {
            assert_eq!(node.letters_that_hold(), letters);
        }
    }
}
