//! `Reshape`: the same elements, in their order, under the extents that operand 1 asks for.
//!
//! An entry of 0 keeps the extent at its place (unless `allowzero`, from version 14 on), a single -1 takes what is left.
//! Where entries are symbolic or unknown, the number of elements still says much: one extent that is not known is what the
//! others leave. A symbolic entry is taken for the extent it was computed from; one that is 0 at run time can mean another
//! extent only where the tensor is empty, and nothing is lost there.
//!
//! Source: ONNX operator specification, `Reshape`, opsets 5 to 25; in opset 1 the extents are an attribute.

use onnxpress_ir::{Dim, Shape};

use super::factors::regrouped;
use crate::axes::Axes;
use crate::gradient::Gradient;
use crate::infer::Undecided;
use crate::letters::{and_parameters, relation};
use crate::movement::{evaluate_regrouped, infer_regrouped};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::{Parameters, asked_extents};

pub(crate) static RESHAPE: Operator = Operator {
    domain: "",
    name: "Reshape",
    infer: Infer::With(|cx| infer_regrouped(cx, shape(&**cx))),
    axes: Axes::With(axes),
    evaluate: Evaluate::With(|cx| evaluate_regrouped(cx, &shape(cx)?)),
    linear: Linear::None("only groups axes anew"),
    quantize: Quantize::Moves,
    cost: Cost::None("only groups axes anew"),
    effects: Effects::Pure,
    gradient: Gradient::With(crate::movement::gradient::regrouped),
};

fn shape(p: &dyn Parameters) -> Result<Shape, Undecided> {
    let asked = if p.version() >= 5 {
        asked_extents(p, 1)?
    } else {
        p.attrs().ints("shape")?.ok_or(Undecided::Unknown)?.into_iter().map(Dim::from).collect()
    };
    let data = p.extents(0).ok();
    let zero_is_kept = !p.attrs().flag("allowzero")?;
    let (mut left_over, mut zero) = (0, false);
    // `None`: whatever the others leave.
    let mut extents: Vec<Option<Dim>> = Vec::with_capacity(asked.len());
    for (axis, entry) in asked.iter().enumerate() {
        extents.push(match entry.as_const() {
            Some(-1) => {
                left_over += 1;
                None
            }
            Some(0) if zero_is_kept => match &data {
                None => None,
                Some(data) => Some(data.get(axis).cloned().ok_or_else(|| {
                    Undecided::invalid(format!("entry {axis} keeps an extent that {data} does not have"))
                })?),
            },
            Some(extent) if extent < -1 => {
                return Err(Undecided::invalid(format!("entry {axis} of the shape is {extent}")));
            }
            Some(extent) => {
                zero |= extent == 0;
                Some(Dim::from(extent))
            }
            None if entry.is_unknown() || entry.is_positive() == Some(false) => None,
            None => Some(entry.clone()),
        });
    }
    if left_over > 1 || (left_over == 1 && zero) {
        return Err(Undecided::invalid(format!("a shape of {}", Shape::from(asked))));
    }
    if let Some(data) = &data {
        settle(data, &mut extents)?;
    }
    Ok(extents.into_iter().map(Option::unwrap_or_default).collect())
}

/// What the number of elements says of the extents: a single open one is what the others leave.
fn settle(data: &Shape, extents: &mut [Option<Dim>]) -> Result<(), Undecided> {
    let total = data.size();
    let known: Shape = extents.iter().flatten().cloned().collect();
    let product = known.size();
    let mismatch = || Undecided::invalid(format!("the elements of {data} under extents whose product is {product}"));
    let mut open = extents.iter_mut().filter(|extent| extent.is_none());
    match (open.next(), open.next()) {
        (None, _) if total.equals(&product) == Some(false) => Err(mismatch()),
        (Some(extent), None) => {
            let rest = total.floor_div(&product);
            if (&rest * &product).equals(&total) == Some(false) {
                return Err(mismatch());
            }
            *extent = Some(rest);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let (Some(from), Some(to)) = (cx.shape(0), cx.output_shape(0)) else {
        return Err("the ranks are not known".to_owned());
    };
    let (from, to) = regrouped(from, to);
    Ok(relation(&and_parameters(from, cx.operand_count()), &[Some(to)], "extents 1"))
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    fn reshape(data: &str, shape: &[i64]) -> String {
        op("Reshape").input(data).int64s(&[shape.len()], shape).infer()
    }

    #[test]
    fn zero_keeps_an_extent_and_minus_one_takes_the_rest() {
        assert_eq!(reshape("float[N,s,768]", &[0, 0, 12, 64]), "float[N,s,12,64]");
        assert_eq!(reshape("float[N,3,h,w]", &[0, -1]), "float[N,3*h*w]");
        assert_eq!(reshape("float[N,s,12,64]", &[0, 0, -1]), "float[N,s,768]");
        assert_eq!(reshape("float", &[2, -1, 0]), "float[2,?,?]");
        assert_eq!(reshape("float[1]", &[]), "float[]");
    }

    #[test]
    fn symbolic_entries_are_the_extents_they_came_from() {
        let heads = op("Reshape").input("float[N,s,768]").elements("int64[4]", "N s 12 64");
        assert_eq!(heads.infer(), "float[N,s,12,64]");
        let cropped = op("Reshape").input("float[N,c,h-2]").elements("int64[2]", "N c*h-2*c");
        assert_eq!(cropped.infer(), "float[N,c*h - 2*c]", "an extent that is not provably one");
    }

    #[test]
    fn one_entry_that_is_not_known_follows_from_the_others() {
        assert_eq!(op("Reshape").input("float[N,s,768]").elements("int64[3]", "N ? 64").infer(), "float[N,12*s,64]");
        assert_eq!(op("Reshape").input("float[N,3]").input("int64[1]").infer(), "float[3*N]");
        assert_eq!(op("Reshape").input("float[N,3]").input("int64[2]").infer(), "float[?,?]");
        assert_eq!(op("Reshape").input("float[N,3]").input("int64[k]").infer(), "float");
    }

    #[test]
    fn zero_can_mean_zero() {
        let empty = op("Reshape").input("float[0,3]").int64s(&[2], &[3, 0]).int("allowzero", 1);
        assert_eq!(empty.infer(), "float[3,0]");
        let open = op("Reshape").input("float[0,3]").int64s(&[2], &[0, -1]).int("allowzero", 1);
        assert_eq!(open.infer(), "invalid: a shape of [0,-1]");
        assert_eq!(reshape("float[0,3]", &[0, -1]), "float[0,?]", "what is left of nothing is not known");
    }

    #[test]
    fn what_cannot_fit_is_refused() {
        let invalid = |text: String| text.strip_prefix("invalid: ").map(str::to_owned);
        insta::assert_snapshot!(
            invalid(reshape("float[2,3]", &[4])).unwrap_or_default(),
            @"the elements of [2,3] under extents whose product is 4"
        );
        insta::assert_snapshot!(
            invalid(reshape("float[2,3]", &[4, -1])).unwrap_or_default(),
            @"the elements of [2,3] under extents whose product is 4"
        );
        insta::assert_snapshot!(invalid(reshape("float[6]", &[-1, -1])).unwrap_or_default(), @"a shape of [-1,-1]");
        insta::assert_snapshot!(
            invalid(reshape("float[6]", &[6, 0])).unwrap_or_default(),
            @"entry 1 keeps an extent that [6] does not have"
        );
        insta::assert_snapshot!(
            invalid(reshape("float[6]", &[i64::MIN])).unwrap_or_default(),
            @"entry 0 of the shape is -9223372036854775808"
        );
        assert_eq!(reshape("float[N]", &[i64::MAX, i64::MAX, -1]), "float[9223372036854775807,9223372036854775807,?]");
    }

    #[test]
    fn elements_of_a_shape_stay_what_they_are() {
        assert_eq!(op("Reshape").elements("int64[1]", "N").int64s(&[0], &[]).infer(), "int64[] = {N}");
        assert_eq!(
            op("Reshape").int64s(&[4], &[1, 2, 3, 4]).int64s(&[2], &[-1, 2]).infer(),
            "int64[2,2] = {1, 2, 3, 4}"
        );
    }
}
