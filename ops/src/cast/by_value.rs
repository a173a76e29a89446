//! `Cast`, `CastLike`: the same values in another element type.
//!
//! Operand input `[s..]`, for `CastLike` also target_type, whose element type is taken and nothing else; output `[s..]`.
//! What happens to values that the type does not have is told in `convert`. Strings are numerals; narrow floats came with
//! opset 19 (`saturate`), 4-bit types with 21, `float8e8m0` (`round_mode`) with 24, 2-bit types with 25.
//!
//! Source: ONNX operator specification, `Cast`, opsets 6 to 28, `CastLike`, opsets 15 to 25. (`Cast` 1 has the type as a
//! word.)

use onnxpress_ir::{DType, Dim};

use super::convert::{Rounding, convert};
use crate::axes::Axes;
use crate::elementwise::{Kernel, pointwise};
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{self, InferCx, Undecided};
use crate::node::Attrs;
use crate::operator::{Infer, Operator, Quantize};

const fn sheet(
    name: &'static str,
    infer: fn(&mut InferCx<'_>) -> Result<(), Undecided>,
    axes: &'static str,
    kernel: Kernel,
) -> Operator {
    Operator {
        infer: Infer::With(infer),
        axes: Axes::Spec(axes),
        ..pointwise(
            name,
            Quantize::KeepsFloat("its result is of the type it says"),
            Gradient::With(crate::movement::gradient::cast),
            kernel,
        )
    }
}

pub(crate) static CAST: Operator = sheet("Cast", infer_cast, "s.. -> s..", |cx| {
    let to = target(&cx.attrs(), cx.version)?.ok_or_else(|| EvalError::invalid("no attribute `to`"))?;
    evaluate(cx, to)
});
pub(crate) static CAST_LIKE: Operator =
    sheet("CastLike", infer_cast_like, "s.., r.. -> s..; asked r", |cx| evaluate(cx, cx.tensor(1)?.dtype()));

/// The type that the attribute `to` names.
fn target(attrs: &Attrs<'_>, version: i64) -> Result<Option<DType>, Undecided> {
    if version >= 6 {
        return attrs.dtype("to");
    }
    let Some(word) = attrs.string("to")? else { return Ok(None) };
    word.to_ascii_lowercase().parse().map(Some).map_err(Undecided::from)
}

fn infer_cast(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let to = target(&cx.attrs(), cx.version)?;
    cast_to(cx, to);
    Ok(())
}

fn infer_cast_like(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    cast_to(cx, cx.dtype(1));
    Ok(())
}

fn cast_to(cx: &mut InferCx<'_>, to: Option<DType>) {
    cx.set_tensor(0, to, cx.shape(0).cloned());
    let truth = to == Some(DType::Bool);
    infer::elements_of_each(cx, to, |value| match value.equals(&Dim::from(0)) {
        Some(zero) if truth => Dim::from(i64::from(!zero)),
        _ if truth => Dim::unknown(),
        _ => value.clone(),
    });
}

fn evaluate(cx: &EvalCx<'_>, to: DType) -> Result<Vec<Value>, EvalError> {
    let rounding = match cx.attrs().string_or("round_mode", "up".into())?.as_ref() {
        "up" => Rounding::Up,
        "down" => Rounding::Down,
        "nearest" => Rounding::Nearest,
        other => return Err(EvalError::invalid(format!("`round_mode` is `{other}`, not up, down or nearest"))),
    };
    let saturate = cx.attrs().int_or("saturate", 1)? != 0;
    Ok(vec![convert(cx.tensor(0)?, to, saturate, rounding)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn sizes_pass_where_the_type_holds_them() {
        let to = |code| op("Cast").int("to", code).elements("int64[2]", "N 3").infer();
        assert_eq!(to(6), "int32[2] = {N, 3}");
        assert_eq!(to(11), "double[2] = {N, 3}");
        assert_eq!(to(1), "float[2] = {?, 3}", "a large size would be rounded");
        assert_eq!(to(9), "bool[2] = {?, 1}");
        assert_eq!(to(99), "invalid: attribute `to` is 99, which is no element type");
    }

    #[test]
    fn the_type_of_another() {
        assert_eq!(op("CastLike").input("float[N]").input("int8").infer(), "int8[N]");
        assert_eq!(op("CastLike").floats(&[2], &[1.9, -1.9]).int64s(&[0], &[]).i64s(), [1, -1]);
        assert_eq!(op("Cast").version(5).string("to", "INT32").input("float[N]").infer(), "int32[N]");
    }
}
