//! Operators that put elements elsewhere, leave some out, repeat or replace them.

mod blocks;
mod center_crop_pad;
mod compress;
mod concat;
mod expand;
mod gather;
mod gather_elements;
mod gather_nd;
pub(crate) mod gradient;
mod moves;
mod pad;
mod reverse_sequence;
mod scatter;
mod scatter_elements;
mod scatter_nd;
mod slice;
mod split;
mod tensor_scatter;
mod tile;
mod transpose;
mod trilu;
mod where_;

use crate::operator::Operator;

pub(crate) use concat::shape as concat_shape;
pub(crate) use gradient::add_up;
pub(crate) use moves::{Moves, evaluate_regrouped, extents_of_result, infer_regrouped, tracked_extents};

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] = &[
    &blocks::DEPTH_TO_SPACE,
    &blocks::SPACE_TO_DEPTH,
    &center_crop_pad::CENTER_CROP_PAD,
    &compress::COMPRESS,
    &concat::CONCAT,
    &expand::EXPAND,
    &gather::GATHER,
    &gather_elements::GATHER_ELEMENTS,
    &gather_nd::GATHER_ND,
    &pad::PAD,
    &reverse_sequence::REVERSE_SEQUENCE,
    &scatter_elements::SCATTER,
    &scatter_elements::SCATTER_ELEMENTS,
    &scatter_nd::SCATTER_ND,
    &slice::SLICE,
    &split::SPLIT,
    &tensor_scatter::TENSOR_SCATTER,
    &tile::TILE,
    &transpose::TRANSPOSE,
    &trilu::TRILU,
    &where_::WHERE,
];

#[cfg(test)]
mod tests {
    use onnxpress_ir::Tensor;

    use crate::testing::op;

    /// Every relation, held against what the kernel computes.
    #[test]
    fn letters_tell_the_truth() {
        let k = |k: &[i64]| Tensor::vector(k.to_vec());
        let blocks = |name, dims: &[usize]| op(name).iota(dims).int("blocksize", 2);
        for (node, letters) in [
            (op("Transpose").iota(&[2, 3, 4]).ints("perm", &[1, 2, 0]), "a b c"),
            (op("Concat").iota(&[2, 3]).iota(&[2, 2]).int("axis", 1), "a c d"),
            (op("Split").iota(&[2, 5]).constant(k(&[3, 2])).int("axis", 1).outputs(2), "a c d"),
            (op("Slice").iota(&[7, 2]).constant(k(&[2])).constant(k(&[5])), "a b c d"),
            (op("Slice").iota(&[7, 2]).constant(k(&[6])).constant(k(&[0])).constant(k(&[0])).constant(k(&[-1])), "a"),
            (op("Pad").iota(&[3, 4]).constant(k(&[0, 2, 0, -1])), "a b c"),
            (op("Pad").iota(&[3, 4]).constant(k(&[0, 2, 0, 1])).string("mode", "reflect"), "a"),
            (op("Tile").iota(&[2, 3]).constant(k(&[3, 1])), "a b c"),
            (op("Expand").iota(&[3, 1]).constant(k(&[2, 1, 4])), "s1 s2 s3"),
            (op("Gather").iota(&[8, 2]).constant(k(&[2, 3, 4])), "b c d e"),
            (op("Gather").iota(&[8, 2]).constant(Tensor::scalar(-1i64)), "b c"),
            (op("Gather").iota(&[3, 8]).constant(k(&[3, 1, 1])).int("axis", 1), "a h"),
            (op("GatherElements").iota(&[2, 3]).int64s(&[2, 2], &[0, 2, 1, 1]).int("axis", 1), "a b"),
            (op("GatherND").iota(&[2, 3, 4]).int64s(&[2, 2, 1], &[0, 2, 1, 1]).int("batch_dims", 1), "a b c"),
            (op("ScatterElements").iota(&[2, 3]).int64s(&[2, 1], &[2, 0]).iota(&[2, 1]).int("axis", 1), "a"),
            (op("ScatterND").iota(&[3, 2]).int64s(&[2, 1], &[2, 0]).iota(&[2, 2]), "a b"),
            (op("TensorScatter").iota(&[2, 3, 4, 2]).iota(&[2, 3, 1, 2]).constant(k(&[0, 3])), "a b d"),
            (blocks("DepthToSpace", &[2, 12, 2, 3]), "c h n p q w"),
            (blocks("DepthToSpace", &[2, 12, 2, 3]).string("mode", "CRD"), "c h n p q w"),
            (blocks("SpaceToDepth", &[2, 3, 4, 6]), "c h n p q w"),
            (blocks("SpaceToDepth", &[2, 3, 4, 6]).string("mode", "CRD"), "c h n p q w"),
            (op("Compress").iota(&[2, 3]).constant(Tensor::vector(vec![true, false, true])).int("axis", 1), "a"),
            (op("CenterCropPad").iota(&[2, 9]).constant(k(&[6, 4])), "a b c d e f"),
            (op("ReverseSequence").iota(&[4, 2, 3]).constant(k(&[3, 2])), "b c"),
            (op("Trilu").iota(&[2, 3, 3]), "a"),
            (op("Where").constant(Tensor::vector(vec![true, false])).iota(&[3, 1]).iota(&[3, 2]), "s1 s2"),
        ] {
            assert_eq!(node.letters_that_hold(), letters);
        }
    }
}
