//! `Tile`: the whole tensor repeated along each axis.
//!
//! Source: ONNX operator specification, `Tile`, opsets 6 to 13 (opset 1 repeated along one axis only, and is older than what
//! this compiler reads).

use onnxpress_ir::{Dim, Shape};

use super::Moves;
use crate::axes::Axes;
use crate::evaluate::walk::{Walk, strides};
use crate::gradient::Gradient;
use crate::infer::Undecided;
use crate::letters::{Letters, and_parameters, product, relation};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::Parameters;

const MOVES: Moves = Moves { shape, walk };

pub(crate) static TILE: Operator = Operator {
    domain: "",
    name: "Tile",
    infer: Infer::With(|cx| MOVES.infer(cx)),
    axes: Axes::With(axes),
    evaluate: Evaluate::With(|cx| MOVES.evaluate(cx)),
    linear: Linear::None("only repeats elements"),
    quantize: Quantize::Moves,
    cost: Cost::None("only repeats elements"),
    effects: Effects::Pure,
    gradient: Gradient::With(super::gradient::tile),
};

/// How often the tensor is repeated along each axis.
fn repeats(p: &dyn Parameters, rank: usize) -> Result<Vec<Dim>, Undecided> {
    if p.version() < 6 {
        return Err(Undecided::Unknown);
    }
    let repeats = match p.entries(1) {
        Err(Undecided::Unknown) => return Ok(vec![Dim::unknown(); rank]),
        repeats => repeats?.ok_or_else(|| Undecided::invalid("operand 1 is missing"))?,
    };
    if repeats.len() != rank || repeats.iter().any(|repeat| repeat.is_non_negative() == Some(false)) {
        return Err(Undecided::invalid(format!("repeats {} for a tensor of rank {rank}", Shape::from(repeats))));
    }
    Ok(repeats)
}

fn shape(p: &dyn Parameters) -> Result<Shape, Undecided> {
    let data = p.extents(0)?;
    Ok(data.iter().zip(repeats(p, data.rank())?).map(|(extent, repeat)| extent * repeat).collect())
}

fn walk(_: &dyn Parameters, from: &[usize], to: &[usize]) -> Result<Walk, Undecided> {
    let strides = strides(from);
    Ok(Walk::new(to, |axis, index| index.checked_rem(from[axis])?.checked_mul(strides[axis])))
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let data = cx.shape(0).ok_or("the rank is not known")?;
    let repeats = repeats(cx, data.rank()).map_err(|_| "the repeats are not known")?;
    let mut letters = Letters::default();
    let row = letters.row(data.rank());
    let to = row.iter().zip(data.iter()).zip(repeats).map(|((letter, extent), repeat)| match repeat.as_const() {
        Some(1) => letter.clone(),
        _ => product(&[(letters.fresh(), repeat), (letter.clone(), extent.clone())]),
    });
    let to = to.collect();
    Ok(relation(&and_parameters(row, cx.operand_count()), &[Some(to)], "repeats"))
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn extents_are_multiplied() {
        assert_eq!(op("Tile").input("float[N,3]").int64s(&[2], &[2, 1]).infer(), "float[2*N,3]");
        assert_eq!(op("Tile").input("float[1,3]").elements("int64[2]", "N 1").infer(), "float[N,3]");
        assert_eq!(op("Tile").input("float[N,3]").input("int64").infer(), "float[?,?]");
        assert!(op("Tile").input("float[3]").int64s(&[1], &[-1]).infer().starts_with("invalid"));
        assert!(op("Tile").int64s(&[2], &[1, 2]).int64s(&[1], &[i64::MAX]).evaluate().is_err());
    }

    #[test]
    fn the_whole_comes_again_and_again() {
        let node = op("Tile").int64s(&[2, 2], &[1, 2, 3, 4]).int64s(&[2], &[1, 2]);
        assert_eq!(node.i64s(), [1, 2, 1, 2, 3, 4, 3, 4]);
        assert_eq!(op("Tile").int64s(&[2], &[1, 2]).int64s(&[1], &[0]).i64s(), [0i64; 0]);
    }

    #[test]
    fn which_repetition_is_a_letter_of_its_own() {
        assert_eq!(op("Tile").input("float[N,8]").int64s(&[2], &[1, 4]).axes(), "a b, * -> a (c:4 b:8); repeats");
    }
}
