//! `EyeLike`: a matrix of the operand's shape with ones on a diagonal and zeros elsewhere.
//!
//! Source: ONNX operator specification, `EyeLike`, opsets 9 to 22 (types widened, meaning unchanged).

use onnxpress_ir::{DType, Shape, Tensor};

use crate::axes::Axes;
use crate::evaluate::pick::{pick_or, zero};
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::node::Attrs;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static EYE_LIKE: Operator = Operator {
    domain: "",
    name: "EyeLike",
    infer: Infer::With(infer),
    axes: Axes::Opaque("the diagonal ties the axes together by places"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("makes elements out of nothing"),
    quantize: Quantize::KeepsFloat("makes elements out of nothing"),
    cost: Cost::None("makes elements out of nothing"),
    effects: Effects::Pure,
    gradient: Gradient::Zero("reads extents, no elements"),
};

fn dtype(attrs: &Attrs<'_>, own: Option<DType>) -> Result<Option<DType>, Undecided> {
    Ok(attrs.dtype("dtype")?.or(own))
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let dtype = dtype(&cx.attrs(), cx.dtype(0))?;
    cx.expect_rank(0, 2)?;
    cx.set_tensor(0, dtype, cx.shape(0).cloned().unwrap_or_else(|| Shape::of_unknown_extents(2)));
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let &[_, columns] = x.dims() else { return Err(EvalError::invalid(format!("operand 0 has rank {}", x.rank()))) };
    let count = cx.room_for(x.dims())?;
    let dtype = dtype(&cx.attrs(), Some(x.dtype()))?.unwrap_or(DType::Float);
    let one =
        if dtype.is_float() { Tensor::from_f64s(dtype, &[1], &[1.0])? } else { Tensor::from_i64s(dtype, &[1], &[1])? };
    let diagonal = i128::from(cx.attrs().int_or("k", 0)?);
    let on_diagonal = |place: usize| (place % columns) as i128 - (place / columns) as i128 == diagonal;
    let places = (0..count).map(|place| on_diagonal(place).then_some(0));
    Ok(vec![pick_or(&one, &zero(dtype), x.dims(), places)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::{OneNode, op};

    fn eye(dims: &[usize]) -> OneNode {
        op("EyeLike").int64s(dims, &vec![0; dims.iter().product()])
    }

    #[test]
    fn ones_stand_on_the_diagonal() {
        assert_eq!(eye(&[2, 3]).i64s(), [1, 0, 0, 0, 1, 0]);
        assert_eq!(eye(&[2, 3]).int("k", 1).i64s(), [0, 1, 0, 0, 0, 1]);
        assert_eq!(eye(&[2, 2]).int("k", i64::MIN).i64s(), [0; 4]);
        assert_eq!(eye(&[2, 0]).i64s(), [0i64; 0]);
        assert_eq!(eye(&[2]).fault(), "operand 0 has rank 1");
    }

    #[test]
    fn the_type_is_the_operand_s_unless_one_is_asked_for() {
        assert_eq!(op("EyeLike").input("int32[N,3]").infer(), "int32[N,3]");
        assert_eq!(op("EyeLike").input("int32").int("dtype", 11).infer(), "double[?,?]");
        assert_eq!(op("EyeLike").input("int32[3]").infer(), "invalid: operand 0 has rank 1, not 2");
    }
}
