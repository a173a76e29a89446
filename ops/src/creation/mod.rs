//! Operators that make tensors out of sizes, places or attributes.

mod constant;
mod constant_of_shape;
mod eye_like;
mod one_hot;
mod range;

use crate::operator::Operator;

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] = &[
    &constant::CONSTANT,
    &constant_of_shape::CONSTANT_OF_SHAPE,
    &eye_like::EYE_LIKE,
    &one_hot::ONE_HOT,
    &range::RANGE,
];

#[cfg(test)]
mod tests {
    use onnxpress_ir::Tensor;

    use crate::testing::op;

    /// The one relation there is, held against what the kernel computes.
    #[test]
    fn letters_tell_the_truth() {
        let node = op("OneHot").int64s(&[2, 2], &[0, 1, 2, 3]).constant(Tensor::scalar(4i64)).floats(&[2], &[0.0, 1.0]);
        assert_eq!(node.int("axis", 1).letters_that_hold(), "a b");
    }
}
