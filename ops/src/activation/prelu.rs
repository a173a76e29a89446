//! `PRelu`: passes positive numbers and multiplies the others by a slope that can differ from channel to channel.
//!
//! Operands X `[s..]`, slope `[s..]`, broadcast to X; output `[s..]`. Whole numbers are allowed from opset 9 on. Before 7 the
//! slope was one number or one a channel, `[c]` for X `[n, c, ..]`.
//!
//! Source: ONNX operator specification, `PRelu`, opsets 1 to 16.

use onnxpress_ir::Dim;

use crate::axes::Axes;
use crate::elementwise::combining;
use crate::evaluate::elementwise::{binary_tensors, broadcast_dims};
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{self, InferCx, Undecided};
use crate::node::NodeCx;
use crate::operator::{Operator, Quantize};

pub(crate) static PRELU: Operator = Operator {
    axes: Axes::With(axes),
    ..combining("PRelu", infer, Quantize::Elementwise, Gradient::With(super::gradient::prelu), evaluate)
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    infer::same_as_first(cx)?;
    if cx.version >= 7 && infer::broadcast(cx, [0, 1])?.is_some_and(|shape| Some(shape.len()) != cx.rank(0)) {
        return Err(Undecided::invalid("the slope has more axes than X"));
    }
    Ok(())
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let one_for_all = cx.shape(1).is_some_and(|slope| slope.size() == Dim::from(1));
    Ok(match cx.version {
        ..7 if one_for_all => "n c s.., 1 -> n c s..".to_owned(),
        ..7 => "n c s.., c -> n c s..".to_owned(),
        _ => "s.., s.. -> s..".to_owned(),
    })
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (x, slope) = (cx.tensor(0)?, cx.tensor(1)?);
    let mut slope = slope.clone();
    if cx.version < 7 && slope.len() > 1 {
        let ones = std::iter::repeat_n(1, x.rank().saturating_sub(2));
        slope = slope.reshaped(&std::iter::once(slope.len()).chain(ones).collect::<Vec<_>>())?;
    }
    if broadcast_dims(cx, x.dims(), slope.dims())? != x.dims() {
        return Err(EvalError::invalid(format!("a slope {:?} does not broadcast to {:?}", slope.dims(), x.dims())));
    }
    let sloped = binary_tensors(
        cx,
        x,
        &slope,
        |x, slope| Some(if x < 0 { x.wrapping_mul(slope) } else { x }),
        |x, slope| if x < 0.0 { x * slope } else { x },
    )?;
    Ok(vec![sloped.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn a_slope_for_each_channel() {
        let y = op("PRelu").floats(&[1, 2, 2], &[-1.0, 1.0, -1.0, 1.0]).floats(&[2, 1], &[0.5, 2.0]);
        assert_eq!(y.f32s(), [-0.5, 1.0, -2.0, 1.0]);
        let old = op("PRelu").version(6).floats(&[1, 2, 2], &[-1.0, 1.0, -1.0, 1.0]).floats(&[2], &[0.5, 2.0]);
        assert_eq!(old.f32s(), [-0.5, 1.0, -2.0, 1.0]);
        assert_eq!(old.axes(), "n c s.., c -> n c s..");
    }

    #[test]
    fn the_slope_cannot_enlarge_the_result() {
        let wide = op("PRelu").floats(&[1], &[-1.0]).floats(&[2], &[0.5, 2.0]);
        assert_eq!(wide.fault(), "a slope [2] does not broadcast to [1]");
        assert_eq!(
            op("PRelu").input("float[N]").input("float[2,N]").infer(),
            "invalid: the slope has more axes than X"
        );
    }
}
