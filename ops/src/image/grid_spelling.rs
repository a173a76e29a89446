//! `GridSample` spelled out: of each place the elements around it, looked up and weighed.
//!
//! Weights are products of those of the axes, so places have a gradient as well as elements: what the weights of an axis change by.

use onnxpress_ir::{Attr, DType, Node, Tensor, ValueId};

use crate::gradient::{Expression, GradientCx, GradientError, function, of};

type Spelled = Result<Vec<Option<ValueId>>, GradientError>;

/// An element that is read along an axis: its index and its weight, for each place.
type Tap = (Expression, Option<Expression>);

fn limited(x: Expression, last: &Expression) -> Expression {
    Expression::Apply("Max", vec![Expression::Apply("Min", vec![x, last.clone()]), 0.0.into()])
}

/// What is read of an axis whose last index is `last`, at coordinates from -1 to 1.
fn taps(place: Expression, last: &Expression, corners: bool, border: bool, nearest: bool) -> Vec<Tap> {
    let mut at = match corners {
        true => (place + 1.0) * (last.clone() / 2.0),
        false => ((place + 1.0) * (last.clone() + 1.0) - 1.0) / 2.0,
    };
    if border {
        at = limited(at, last);
    }
    let within = |index: &Expression| {
        let inside = index.clone().above(-0.5).and(index.clone().below(last.clone() + 0.5));
        inside.as_number()
    };
    if nearest {
        let index = function("Round", at);
        return vec![(limited(index.clone(), last), (!border).then(|| within(&index)))];
    }
    let floor = function("Floor", at.clone());
    let share = at - floor.clone();
    let of_two = [(floor.clone(), 1.0 - share.clone()), (floor + 1.0, share)];
    let taps = of_two.into_iter().map(|(index, weight)| {
        let weight = if border { weight } else { weight * within(&index) };
        (limited(index, last), Some(weight))
    });
    taps.collect()
}

pub(super) fn grid_sample(cx: &mut GradientCx<'_, '_>) -> Spelled {
    let attrs = cx.node().attrs();
    let nearest = match attrs.string_or("mode", "linear".into())?.as_ref() {
        "nearest" => true,
        "linear" | "bilinear" => false,
        _ => return Err(GradientError::not_possible("a cubic interpolation")),
    };
    let border = match attrs.string_or("padding_mode", "zeros".into())?.as_ref() {
        "zeros" => false,
        "border" => true,
        _ => return Err(GradientError::not_possible("reflections at the ends")),
    };
    let corners = attrs.flag("align_corners")?;
    let (x, grid) = (cx.operand(0)?, cx.operand(1)?);
    let axes = cx.rank(x)?.checked_sub(2).filter(|&axes| axes > 0);
    let axes = axes.ok_or_else(|| GradientError::not_possible("a tensor without places"))?;
    let places = cx.reshape(grid, &[0, -1, axes as i64])?;
    // Of each combination of taps so far: where the element lies in its plane, and its weight.
    let mut read: Vec<(Expression, Option<Expression>)> = vec![(0.0.into(), None)];
    for axis in 0..axes {
        let number = cx.constant(Tensor::scalar((axes - 1 - axis) as i64));
        let place = cx.add(Node::new("Gather", 1).with(Attr::int("axis", 2)), &[places, number])?;
        let extent = of(cx.count_along(x, &[axis + 2])?);
        let taps = taps(of(place), &(extent.clone() - 1.0), corners, border, nearest);
        let mut further = Vec::new();
        for (index, weight) in &read {
            for (along, share) in &taps {
                let weight = match (weight, share) {
                    (Some(weight), Some(share)) => Some(weight.clone() * share.clone()),
                    (weight, share) => weight.clone().or_else(|| share.clone()),
                };
                further.push((index.clone() * extent.clone() + along.clone(), weight));
            }
        }
        read = further;
    }
    let planes = cx.reshape(x, &[0, 0, -1])?;
    let (outer, count) = (cx.extents_along(x, &[0, 1])?, cx.extents_along(places, &[1])?);
    let spread = cx.concat(&[outer, count])?;
    let between = cx.ints([1]);
    let mut sum: Option<Expression> = None;
    for (index, weight) in read {
        let index = cx.write(&index)?;
        let index = cx.add(Node::new("Cast", 1).with(Attr::int("to", DType::Int64.code())), &[index])?;
        let index = cx.apply("Unsqueeze", &[index, between])?;
        let index = cx.apply("Expand", &[index, spread])?;
        let mut part = of(cx.add(Node::new("GatherElements", 1).with(Attr::int("axis", 2)), &[planes, index])?);
        if let Some(weight) = weight {
            let weight = cx.write(&weight)?;
            part = part * cx.apply("Unsqueeze", &[weight, between])?;
        }
        sum = Some(match sum {
            Some(sum) => sum + part,
            None => part,
        });
    }
    let sum = cx.write(&sum.unwrap_or_else(|| 0.0.into()))?;
    let around: Vec<usize> = (1..=axes).collect();
    let targets = cx.extents_along(grid, &around)?;
    let extents = cx.concat(&[outer, targets])?;
    Ok(vec![Some(cx.apply("Reshape", &[sum, extents])?)])
}
