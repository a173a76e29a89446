//! `Det`: determinants of square matrices.
//!
//! Operand `[b.., m, m]`; output `[b..]`.
//!
//! Source: ONNX operator specification, `Det`, opsets 11 to 22.

use onnxpress_ir::{Shape, Tensor};

use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static DET: Operator = Operator {
    domain: "",
    name: "Det",
    infer: Infer::With(infer),
    axes: Axes::Spec("b.. m k -> b..; normalized m k"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("a determinant is no linear map of the matrix"),
    quantize: Quantize::KeepsFloat("a product of many factors needs the range of floats"),
    cost: Cost::None("it has no weight"),
    effects: Effects::Pure,
    gradient: Gradient::NotPossible("no model of the field has one"),
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let shape = match cx.shape(0).map(|shape| &**shape) {
        None => None,
        Some([stack @ .., rows, columns]) if rows.equals(columns) != Some(false) => Some(Shape::from(stack)),
        Some(other) => {
            return Err(Undecided::invalid(format!("{} is no stack of square matrices", Shape::from(other))));
        }
    };
    cx.set_tensor(0, cx.dtype(0), shape);
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let (stack, order) = match x.dims() {
        [stack @ .., rows, columns] if rows == columns => (stack, *rows),
        other => return Err(EvalError::invalid(format!("{other:?} is no stack of square matrices"))),
    };
    let count = cx.room_for(stack)?;
    cx.spend((x.len() as u64).saturating_mul(order as u64))?;
    // Of no elements a determinant is 1, the empty product.
    let mut values = x.to_f64s()?;
    let size = order.saturating_mul(order);
    let determinants: Vec<f64> =
        (0..count).map(|number| determinant(&mut values[number * size..][..size], order)).collect();
    Ok(vec![Tensor::from_f64s(x.dtype(), stack, &determinants)?.into()])
}

/// By elimination with the largest pivot of each column.
fn determinant(matrix: &mut [f64], order: usize) -> f64 {
    let mut product = 1.0;
    for column in 0..order {
        let size_of = |row: &usize| matrix[row * order + column].abs();
        let pivot = (column..order).max_by(|a, b| size_of(a).total_cmp(&size_of(b))).unwrap_or(column);
        if pivot != column {
            (0..order).for_each(|index| matrix.swap(pivot * order + index, column * order + index));
            product = -product;
        }
        let top = matrix[column * order + column];
        product *= top;
        if top == 0.0 {
            return product;
        }
        for row in column + 1..order {
            let factor = matrix[row * order + column] / top;
            for index in column..order {
                matrix[row * order + index] -= factor * matrix[column * order + index];
            }
        }
    }
    product
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn determinants_of_a_stack() {
        let stack = [0.0, 2.0, 3.0, 4.0, 1.0, 2.0, 2.0, 4.0];
        assert_eq!(op("Det").floats(&[2, 2, 2], &stack).f32s(), [-6.0, 0.0]);
        assert_eq!(op("Det").floats(&[0, 0], &[]).f32s(), [1.0]);
        assert_eq!(op("Det").input("float[N,m,m]").infer(), "float[N]");
        assert_eq!(op("Det").input("float[N,2,3]").infer(), "invalid: [N,2,3] is no stack of square matrices");
    }
}
