//! Operators that put elements elsewhere, leave some out, or repeat them.

mod concat;
mod expand;
mod gather;
mod gather_elements;
mod gather_nd;
mod moves;
mod pad;
mod slice;
mod split;
mod tile;
mod transpose;

use crate::operator::Operator;

pub(crate) use moves::{Moves, evaluate_regrouped, extents_of_result, infer_regrouped, tracked_extents};

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] = &[
    &concat::CONCAT,
    &expand::EXPAND,
    &gather::GATHER,
    &gather_elements::GATHER_ELEMENTS,
    &gather_nd::GATHER_ND,
    &pad::PAD,
    &slice::SLICE,
    &split::SPLIT,
    &tile::TILE,
    &transpose::TRANSPOSE,
];
