//! `GatherElements`: one element for each index; the index names its place along an axis, where the index itself stands
//! names the place along the others.
//!
//! Source: ONNX operator specification, `GatherElements`, opsets 11 to 13 (types widened, meaning unchanged).

use onnxpress_ir::Shape;

use super::Moves;
use crate::axes::Axes;
use crate::evaluate::walk::{Walk, strides};
use crate::gradient::Gradient;
use crate::infer::Undecided;
use crate::letters::{Letters, relation, shared};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::{Parameters, axis_of};

const MOVES: Moves = Moves { shape, walk };

pub(crate) static GATHER_ELEMENTS: Operator = Operator {
    domain: "",
    name: "GatherElements",
    infer: Infer::With(|cx| MOVES.infer(cx)),
    axes: Axes::With(axes),
    evaluate: Evaluate::With(|cx| MOVES.evaluate(cx)),
    linear: Linear::None("only takes elements out"),
    quantize: Quantize::Moves,
    cost: Cost::None("only takes elements out"),
    effects: Effects::Pure,
    gradient: Gradient::With(super::gradient::from_places),
};

fn shape(p: &dyn Parameters) -> Result<Shape, Undecided> {
    let indices = p.extents(1)?;
    if let Ok(data) = p.extents(0)
        && data.rank() != indices.rank()
    {
        return Err(Undecided::invalid(format!("indices {indices} for data {data} of another rank")));
    }
    axis_of(p.attrs().int_or("axis", 0)?, indices.rank())?;
    Ok(indices)
}

fn walk(p: &dyn Parameters, from: &[usize], to: &[usize]) -> Result<Walk, Undecided> {
    let indices = p.numbers(1)?.ok_or_else(|| Undecided::invalid("operand 1 is missing"))?;
    element_places(from, to, axis_of(p.attrs().int_or("axis", 0)?, from.len())?, &indices).map(Walk::to_places)
}

/// For each of the indices, given with their extents, the place in a tensor of extents `data` that it names.
///
/// # Errors
/// Where one names no place.
pub(super) fn element_places(
    data: &[usize],
    dims: &[usize],
    axis: usize,
    indices: &[i64],
) -> Result<Vec<Option<usize>>, Undecided> {
    let beyond = (0..data.len().min(dims.len())).any(|other| other != axis && dims[other] > data[other]);
    if data.len() != dims.len() || (beyond && !indices.is_empty()) {
        return Err(Undecided::invalid(format!("indices {dims:?} for data {data:?}")));
    }
    let strides = strides(data);
    let others =
        Walk::new(dims, |other, index| if other == axis { Some(0) } else { index.checked_mul(strides[other]) });
    let place = |(place, &index): (Option<usize>, &i64)| {
        let entry = axis_of(index, data[axis])
            .map_err(|_| Undecided::invalid(format!("index {index} is outside of an axis of extent {}", data[axis])))?;
        Ok(place.zip(entry.checked_mul(strides[axis])).and_then(|(place, along)| place.checked_add(along)))
    };
    others.zip(indices).map(place).collect()
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let (Some(data), Some(indices)) = (cx.shape(0), cx.shape(1)) else {
        return Err("the ranks are not known".to_owned());
    };
    let axis = axis_of(cx.attrs().int_or("axis", 0).unwrap_or(0), data.rank()).map_err(|_| "the axis is not known")?;
    let row = Letters::default().row(indices.rank());
    let from = row.iter().zip(data.iter().zip(indices.iter())).enumerate().map(|(at, (letter, (a, b)))| {
        // Along the axis, and where there are fewer indices than entries, what is taken depends on the values.
        if at == axis { "_".to_owned() } else { shared(letter, a, b) }
    });
    Ok(relation(&[Some(from.collect()), Some(row.clone())], &[Some(row)], ""))
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn the_result_is_shaped_as_the_indices() {
        assert_eq!(op("GatherElements").input("float[N,5]").input("int64[N,2]").infer(), "float[N,2]");
        assert_eq!(op("GatherElements").input("float").input("int64[N,2]").infer(), "float[N,2]");
        assert!(op("GatherElements").input("float[3]").input("int64[N,2]").infer().starts_with("invalid"));
    }

    #[test]
    fn each_index_names_one_element() {
        let node = |axis: i64, indices: &[i64]| {
            op("GatherElements").int64s(&[2, 2], &[1, 2, 3, 4]).int64s(&[2, 2], indices).int("axis", axis)
        };
        assert_eq!(node(1, &[0, 0, -1, 0]).i64s(), [1, 1, 4, 3]);
        assert_eq!(node(0, &[1, 0, 0, 1]).i64s(), [3, 2, 1, 4]);
        assert_eq!(node(0, &[2, 0, 0, 1]).fault(), "index 2 is outside of an axis of extent 2");
    }

    #[test]
    fn axes_of_equal_extents_go_together() {
        let node = op("GatherElements").input("float[N,5,c]").input("int64[N,2,d]").int("axis", 1);
        assert_eq!(node.axes(), "a _ _, a b c -> a b c");
    }
}
