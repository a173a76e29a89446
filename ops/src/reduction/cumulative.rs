//! `CumSum` and `CumProd`: each element the sum or product of those before it along an axis, itself included or not, from
//! either end.
//!
//! Source: ONNX operator specification, `CumSum`, opsets 11 to 14 (types widened), `CumProd`, opset 26.

use onnxpress_ir::Tensor;

use crate::axes::Axes;
use crate::evaluate::walk::around;
use crate::evaluate::whole::{from_wholes, to_wholes};
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::same_as_first;
use crate::letters::{Letters, and_parameters, relation, with_axis};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::{Parameters, axis_of};

const fn sheet(
    name: &'static str,
    gradient: Gradient,
    evaluate: fn(&EvalCx<'_>) -> Result<Vec<Value>, EvalError>,
) -> Operator {
    Operator {
        domain: "",
        name,
        infer: Infer::With(same_as_first),
        axes: Axes::With(axes),
        evaluate: Evaluate::With(evaluate),
        linear: Linear::None("has no weight"),
        quantize: Quantize::KeepsFloat("errors of rounding would add up along the axis"),
        cost: Cost::None("has no weight"),
        effects: Effects::Pure,
        gradient,
    }
}

pub(crate) static CUM_SUM: Operator =
    sheet("CumSum", Gradient::With(crate::movement::gradient::cumulative_sum), |cx| {
        accumulated(cx, 0, i128::wrapping_add, |so_far, x| so_far + x)
    });

pub(crate) static CUM_PROD: Operator =
    sheet("CumProd", Gradient::NotPossible("its quotients by elements that are 0 are not defined"), |cx| {
        accumulated(cx, 1, i128::wrapping_mul, |so_far, x| so_far * x)
    });

fn accumulated(
    cx: &EvalCx<'_>,
    neutral: u8,
    whole: impl Fn(i128, i128) -> i128,
    float: impl Fn(f64, f64) -> f64,
) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    Ok(vec![if x.dtype().is_float() {
        let values = along_axis(cx, x, x.to_f64s()?, f64::from(neutral), float)?;
        Tensor::from_f64s(x.dtype(), x.dims(), &values)?.into()
    } else {
        let values = along_axis(cx, x, to_wholes(x)?, i128::from(neutral), whole)?;
        from_wholes(x.dtype(), x.dims(), &values)?.into()
    }])
}

fn along_axis<T: Copy>(
    cx: &EvalCx<'_>,
    x: &Tensor,
    mut values: Vec<T>,
    neutral: T,
    f: impl Fn(T, T) -> T,
) -> Result<Vec<T>, EvalError> {
    let axis = match cx.numbers(1)?.as_deref() {
        Some([axis]) => cx.axis(*axis, x.rank())?,
        _ => return Err(EvalError::invalid("operand 1 is not one axis")),
    };
    let (exclusive, reverse) = (cx.attrs().flag("exclusive")?, cx.attrs().flag("reverse")?);
    if values.is_empty() {
        return Ok(values);
    }
    let (outer, extent, inner) = around(x.dims(), axis).unwrap_or_default();
    for (row, column) in (0..outer).flat_map(|row| (0..inner).map(move |column| (row, column))) {
        let mut so_far = neutral;
        for step in 0..extent {
            let index = if reverse { extent - 1 - step } else { step };
            let value = &mut values[(row * extent + index) * inner + column];
            let next = f(so_far, *value);
            *value = if exclusive { so_far } else { next };
            so_far = next;
        }
    }
    Ok(values)
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let rank = cx.rank(0).ok_or("the rank is not known")?;
    let axis = cx.sole_entry(1).ok().flatten().and_then(|axis| axis.as_const()).ok_or("the axis is not known")?;
    let axis = axis_of(axis, rank).map_err(|_| "the axis is not known")?;
    // Each index stands for all up to it, so none can be taken out alone.
    let row = with_axis(&Letters::default().row(rank), axis, "_");
    Ok(relation(&and_parameters(row.clone(), cx.operand_count()), &[Some(row)], ""))
}

#[cfg(test)]
mod tests {
    use onnxpress_ir::Tensor;

    use crate::testing::{OneNode, op};

    fn over(name: &'static str, axis: i64) -> OneNode {
        op(name).int64s(&[2, 3], &[1, 2, 3, 4, 5, 6]).constant(Tensor::scalar(axis))
    }

    #[test]
    fn each_element_is_the_sum_of_those_before() {
        assert_eq!(over("CumSum", 1).i64s(), [1, 3, 6, 4, 9, 15]);
        assert_eq!(over("CumSum", 0).i64s(), [1, 2, 3, 5, 7, 9]);
        assert_eq!(over("CumSum", -1).int("reverse", 1).i64s(), [6, 5, 3, 15, 11, 6]);
        assert_eq!(over("CumSum", -1).int("reverse", 1).int("exclusive", 1).i64s(), [5, 3, 0, 11, 6, 0]);
        assert_eq!(over("CumProd", 1).int("exclusive", 1).i64s(), [1, 1, 2, 1, 4, 20]);
        assert_eq!(over("CumSum", 2).fault(), "axis 2 of a tensor of rank 2");
    }

    #[test]
    fn the_shape_stays() {
        let node = op("CumSum").input("float[N,c]").constant(Tensor::scalar(1i32));
        assert_eq!(node.infer(), "float[N,c]");
        assert_eq!(node.axes(), "a _, * -> a _");
    }
}
