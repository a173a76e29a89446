//! `And`, `Or`, `Xor`, `Not`: connectives of truth values, elementwise with broadcasting.
//!
//! Operands `[s..]`, broadcast together; output `[s..]`.
//!
//! Source: ONNX operator specification, the operators of these names, opsets 1 to 7 (before 7 broadcasting was asked for by
//! attributes).

use onnxpress_ir::{DType, Dim, Tensor};

use crate::elementwise::{pointwise, predicate};
use crate::evaluate::elementwise::logical;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{self, InferCx, Undecided};
use crate::operator::{Infer, Operator, Quantize};

pub(crate) static AND: Operator = predicate("And", |cx| infer_with(cx, and), |cx| logical(cx, and));
pub(crate) static OR: Operator = predicate("Or", |cx| infer_with(cx, or), |cx| logical(cx, or));
pub(crate) static XOR: Operator = predicate("Xor", |cx| infer_with(cx, xor), |cx| logical(cx, xor));
pub(crate) static NOT: Operator = Operator {
    infer: Infer::With(infer_not),
    ..pointwise(
        "Not",
        Quantize::KeepsFloat("its results are truth values"),
        Gradient::Zero("its results are truth values"),
        not,
    )
};

fn and(a: bool, b: bool) -> bool {
    a && b
}

fn or(a: bool, b: bool) -> bool {
    a || b
}

fn xor(a: bool, b: bool) -> bool {
    a != b
}

/// A result is known where it is the same whatever the operands that are not known turn out to be.
fn infer_with(cx: &mut InferCx<'_>, holds: fn(bool, bool) -> bool) -> Result<(), Undecided> {
    let dtype = infer::elementwise(cx, Some(DType::Bool))?;
    infer::elements_of_pairs(cx, dtype, |a, b| {
        let outcomes: Vec<bool> =
            choices(a).iter().flat_map(|&a| choices(b).iter().map(move |&b| holds(a, b))).collect();
        match outcomes.as_slice() {
            [first, rest @ ..] if rest.iter().all(|other| other == first) => Dim::from(i64::from(*first)),
            _ => Dim::unknown(),
        }
    });
    Ok(())
}

fn choices(truth: &Dim) -> &'static [bool] {
    match truth.as_const() {
        Some(0) => &[false],
        Some(_) => &[true],
        None => &[false, true],
    }
}

fn infer_not(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    cx.set_tensor(0, DType::Bool, cx.shape(0).cloned());
    infer::elements_of_each(cx, Some(DType::Bool), |truth| 1 - truth);
    Ok(())
}

fn not(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let values: Vec<bool> = x.values::<bool>()?.iter().map(|truth| !truth).collect();
    Ok(vec![Tensor::from_values(x.dims(), values)?.into()])
}

#[cfg(test)]
mod tests {
    use onnxpress_ir::Tensor;

    use crate::testing::op;

    #[test]
    fn tables_of_truth() {
        let with = |name| {
            op(name)
                .constant(Tensor::vector(vec![false, false, true, true]))
                .constant(Tensor::vector(vec![false, true, false, true]))
                .i64s()
        };
        assert_eq!(with("And"), [0, 0, 0, 1]);
        assert_eq!(with("Or"), [0, 1, 1, 1]);
        assert_eq!(with("Xor"), [0, 1, 1, 0]);
        assert_eq!(op("Not").constant(Tensor::vector(vec![false, true])).i64s(), [1, 0]);
    }

    #[test]
    fn one_operand_can_decide() {
        let with = |name| op(name).elements("bool[3]", "0 1 ?").elements("bool[3]", "? ? 1").infer();
        assert_eq!(with("And"), "bool[3] = {0, ?, ?}");
        assert_eq!(with("Or"), "bool[3] = {?, 1, 1}");
        assert_eq!(with("Xor"), "bool[3]");
        assert_eq!(op("Not").elements("bool[3]", "0 1 ?").infer(), "bool[3] = {1, 0, ?}");
    }
}
