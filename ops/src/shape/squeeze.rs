//! `Squeeze`: takes away axes of extent 1, those that are named or all of them.
//!
//! Source: ONNX operator specification, `Squeeze`, opsets 1 to 25 (from 13 on the axes are an operand; from 11 on, in
//! practice always, they may count from the back).

use onnxpress_ir::{Dim, Shape};

use crate::axes::Axes;
use crate::gradient::Gradient;
use crate::infer::Undecided;
use crate::letters::{Letters, and_parameters, relation};
use crate::movement::{evaluate_regrouped, infer_regrouped};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::{Parameters, axis_set};

pub(crate) static SQUEEZE: Operator = Operator {
    domain: "",
    name: "Squeeze",
    infer: Infer::With(|cx| infer_regrouped(cx, shape(&**cx))),
    axes: Axes::With(axes),
    evaluate: Evaluate::With(|cx| evaluate_regrouped(cx, &shape(cx)?)),
    linear: Linear::None("only takes axes away"),
    quantize: Quantize::Moves,
    cost: Cost::None("only takes axes away"),
    effects: Effects::Pure,
    gradient: Gradient::With(crate::movement::gradient::regrouped),
};

/// Which axes go. Without axes named, whether an extent is 1 must be known of each.
fn squeezed(p: &dyn Parameters, data: &Shape) -> Result<Vec<bool>, Undecided> {
    let one = Dim::from(1);
    match p.named_axes(13)?.filter(|axes| !axes.is_empty()) {
        None => data.iter().map(|dim| dim.equals(&one)).collect::<Option<_>>().ok_or(Undecided::Unknown),
        Some(axes) => axis_set(&axes, data.rank()),
    }
}

fn shape(p: &dyn Parameters) -> Result<Shape, Undecided> {
    let data = p.extents(0)?;
    let gone = match squeezed(p, &data) {
        // A single axis goes, whichever it is. Several may be the same.
        Err(Undecided::Unknown) if p.named_axes(13)?.is_some_and(|axes| axes.len() == 1) && data.rank() > 0 => {
            return Ok(Shape::of_unknown_extents(data.rank() - 1));
        }
        known => known?,
    };
    let one = Dim::from(1);
    if let Some(axis) = (0..data.rank()).find(|&axis| gone[axis] && data[axis].equals(&one) == Some(false)) {
        return Err(Undecided::invalid(format!("axis {axis} of {data} has extent {}, not 1", data[axis])));
    }
    Ok(data.iter().zip(gone).filter(|(_, gone)| !gone).map(|(dim, _)| dim.clone()).collect())
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let data = cx.shape(0).ok_or("the rank is not known")?;
    let gone = squeezed(cx, data).map_err(|_| "which axes go is not known")?;
    let row = Letters::default().row(data.rank());
    let (mut from, mut to) = (Vec::new(), Vec::new());
    for (letter, gone) in row.into_iter().zip(gone) {
        if gone {
            from.push("1".to_owned());
        } else {
            from.push(letter.clone());
            to.push(letter);
        }
    }
    Ok(relation(&and_parameters(from, cx.operand_count()), &[Some(to)], ""))
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn the_axes_are_an_attribute_or_an_operand() {
        assert_eq!(op("Squeeze").version(11).input("float[N,1,3]").ints("axes", &[-2]).infer(), "float[N,3]");
        assert_eq!(op("Squeeze").input("float[N,1,3]").int64s(&[1], &[1]).infer(), "float[N,3]");
        assert_eq!(op("Squeeze").input("float[N,1,3]").input("int64[1]").infer(), "float[?,?]");
        assert_eq!(op("Squeeze").input("float[N,1,3]").input("int64[2]").infer(), "float", "perhaps one axis twice");
        assert_eq!(op("Squeeze").input("float[N,1,3]").input("int64[k]").infer(), "float");
    }

    #[test]
    fn without_axes_the_rank_is_known_where_all_extents_are() {
        assert_eq!(op("Squeeze").input("float[1,3,1]").infer(), "float[3]");
        assert_eq!(op("Squeeze").input("float[N,1,3]").infer(), "float", "N may be 1");
        assert_eq!(op("Squeeze").input("float[N+2,1]").infer(), "float[N + 2]");
    }

    #[test]
    fn one_element_of_a_shape_becomes_a_scalar() {
        assert_eq!(op("Squeeze").elements("int64[1]", "N").int64s(&[1], &[0]).infer(), "int64[] = {N}");
    }

    #[test]
    fn an_axis_of_another_extent_is_refused() {
        let text = op("Squeeze").input("float[N,2]").int64s(&[1], &[1]).infer();
        assert_eq!(text, "invalid: axis 1 of [N,2] has extent 2, not 1");
        assert_eq!(
            op("Squeeze").floats(&[1, 2], &[1.0, 2.0]).int64s(&[1], &[3]).fault(),
            "axis 3 of a tensor of rank 2"
        );
    }

    #[test]
    fn the_other_axes_keep_their_letters() {
        assert_eq!(op("Squeeze").input("float[N,1,3]").int64s(&[1], &[1]).axes(), "a 1 c, * -> a c");
    }
}
