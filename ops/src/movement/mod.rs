//! Operators that put elements elsewhere, leave some out, repeat or replace them.

mod blocks;
mod center_crop_pad;
mod compress;
mod concat;
mod expand;
mod gather;
mod gather_elements;
mod gather_nd;
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
