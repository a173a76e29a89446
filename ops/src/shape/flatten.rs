//! `Flatten`: two axes, the first over all axes before `axis`, the second over the rest.
//!
//! Source: ONNX operator specification, `Flatten`, opsets 1 to 25 (`axis` may count from the back from 11 on; runtimes take
//! that before, too).

use onnxpress_ir::Shape;

use crate::axes::Axes;
use crate::gradient::Gradient;
use crate::infer::Undecided;
use crate::letters::{Letters, product, relation};
use crate::movement::{evaluate_regrouped, infer_regrouped};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::Parameters;

pub(crate) static FLATTEN: Operator = Operator {
    domain: "",
    name: "Flatten",
    infer: Infer::With(|cx| infer_regrouped(cx, shape(&**cx))),
    axes: Axes::With(axes),
    evaluate: Evaluate::With(|cx| evaluate_regrouped(cx, &shape(cx)?)),
    linear: Linear::None("only groups axes anew"),
    quantize: Quantize::Moves,
    cost: Cost::None("only groups axes anew"),
    effects: Effects::Pure,
    gradient: Gradient::With(crate::movement::gradient::regrouped),
};

/// How many axes go into the first one.
fn split(p: &dyn Parameters, rank: usize) -> Result<usize, Undecided> {
    let axis = p.attrs().int_or("axis", 1)?;
    let from_front = if axis < 0 { axis.saturating_add_unsigned(rank as u64) } else { axis };
    usize::try_from(from_front)
        .ok()
        .filter(|&axis| axis <= rank)
        .ok_or_else(|| Undecided::invalid(format!("`axis` is {axis} for a tensor of rank {rank}")))
}

fn shape(p: &dyn Parameters) -> Result<Shape, Undecided> {
    let Ok(data) = p.extents(0) else { return Ok(Shape::of_unknown_extents(2)) };
    let (outer, inner) = data.split_at(split(p, data.rank())?);
    Ok(Shape::from(vec![Shape::from(outer).size(), Shape::from(inner).size()]))
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let data = cx.shape(0).ok_or("the rank is not known")?;
    let axis = split(cx, data.rank()).map_err(|_| "`axis` is not known")?;
    let row = Letters::default().row(data.rank());
    let factors: Vec<_> = row.iter().cloned().zip(data.iter().cloned()).collect();
    let (outer, inner) = factors.split_at(axis);
    Ok(relation(&[Some(row)], &[Some(vec![product(outer), product(inner)])], "follows"))
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn extents_are_multiplied_up_on_either_side_of_the_axis() {
        assert_eq!(op("Flatten").input("float[N,3,h,w]").infer(), "float[N,3*h*w]");
        assert_eq!(op("Flatten").input("float[N,3,4]").int("axis", 0).infer(), "float[1,12*N]");
        assert_eq!(op("Flatten").input("float[N,3,4]").int("axis", -1).infer(), "float[3*N,4]");
        assert_eq!(op("Flatten").input("float").infer(), "float[?,?]");
        assert_eq!(op("Flatten").input("float[]").int("axis", 0).infer(), "float[1,1]");
    }

    #[test]
    fn an_axis_beyond_the_rank_is_refused() {
        let text = op("Flatten").input("float[2,3]").int("axis", 3).infer();
        assert_eq!(text, "invalid: `axis` is 3 for a tensor of rank 2");
        assert!(op("Flatten").input("float[2]").int("axis", i64::MIN).infer().starts_with("invalid"));
    }

    #[test]
    fn channels_come_before_pixels() {
        assert_eq!(op("Flatten").input("float[N,16,7,7]").axes(), "a b c d -> a (b:16 c:7 d:7); follows");
    }
}
