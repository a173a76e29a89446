//! `Gemm`: `alpha * A' · B' + beta * C`, the general matrix product of BLAS.
//!
//! Operands A `[m, k]` (`[k, m]` with `transA`), B `[k, n]` (`[n, k]` with `transB`), C broadcast to the result, which may be
//! left out from opset 11 on; output `[m, n]`.
//!
//! Source: ONNX operator specification, `Gemm`, opsets 1 to 13 (before 7 broadcasting of C was asked for by an attribute).

use onnxpress_ir::{Dim, Shape, Tensor};

use super::matrix;
use crate::axes::Axes;
use crate::evaluate::elementwise::broadcast_to;
use crate::evaluate::{EvalCx, EvalError};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, LinearLayer, Operator, Quantize, Rows};

pub(crate) static GEMM: Operator = Operator {
    domain: "",
    name: "Gemm",
    infer: Infer::With(infer),
    axes: Axes::With(axes),
    evaluate: Evaluate::With(|cx| Ok(vec![gemm(cx)?.into()])),
    linear: Linear::Layers(layers),
    quantize: Quantize::Computes,
    cost: Cost::Macs(macs),
    effects: Effects::Pure,
    gradient: Gradient::With(super::gradient::gemm),
};

/// Infers the output of a node with Gemm's operands and attributes.
///
/// # Errors
/// Where they do not fit together.
pub(crate) fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let dtype = cx.dtype(0).or(cx.dtype(1));
    cx.expect_rank(0, 2)?;
    cx.expect_rank(1, 2)?;
    let dim = |index: usize, axis: usize| cx.shape(index).map_or_else(Dim::unknown, |shape| shape[axis].clone());
    let (a, b) = (usize::from(cx.attrs().flag("transA")?), usize::from(cx.attrs().flag("transB")?));
    let (columns, rows) = (dim(0, 1 - a), dim(1, b));
    if columns.equals(&rows) == Some(false) {
        return Err(Undecided::invalid(format!("a product over {columns} columns of A and {rows} rows of B")));
    }
    let shape: Shape = [dim(0, a), dim(1, 1 - b)].into_iter().collect();
    if let Some(c) = cx.shape(2).filter(|c| c.len() > 2) {
        return Err(Undecided::invalid(format!("C{c} does not broadcast to {shape}")));
    }
    cx.set_tensor(0, dtype, shape);
    Ok(())
}

/// The letters of a node with Gemm's operands and attributes.
pub(crate) fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let flag = |name: &str| cx.attrs().flag(name).map_err(|_| format!("`{name}` is not known"));
    let a = if flag("transA")? { "k m" } else { "m k" };
    let b = if flag("transB")? { "n k" } else { "k n" };
    // Along an axis of extent one C is the same for all.
    let of_c = |from_last: usize, letter: &'static str| match cx.shape(2) {
        Some(c) if c.len() < from_last => "",
        Some(c) if c[c.len() - from_last].as_const() == Some(1) => "1",
        _ => letter,
    };
    let c = format!("{} {}", of_c(2, "m"), of_c(1, "n"));
    Ok(format!("{a}, {b}, {} -> m n", c.trim()))
}

/// The layers of a node with Gemm's operands and attributes.
pub(crate) fn layers(cx: &NodeCx<'_>) -> Vec<LinearLayer> {
    let (Ok(a), Ok(b)) = (cx.attrs().flag("transA"), cx.attrs().flag("transB")) else { return Vec::new() };
    let rows = |input: usize| match input {
        0 => Rows::Along { input: usize::from(!a), output: Some(1) },
        _ => Rows::Along { input: usize::from(b), output: Some(0) },
    };
    let layer = |input, weight, bias, output: usize| LinearLayer {
        input,
        weight,
        bias,
        output_axes: vec![output],
        input_axes: vec![1 - output],
        batch_axes: Vec::new(),
        groups: 1,
        rows: rows(input),
    };
    let right = layer(0, 1, Some(2), usize::from(!b));
    // With A as the weight, C would have to be a column to be a bias.
    let left = layer(1, 0, None, usize::from(a));
    match (cx.constant(0).is_some(), cx.constant(1).is_some()) {
        (true, false) => vec![left],
        (false, true) => vec![right],
        _ => vec![right, left],
    }
}

/// The multiply-accumulates of a node with Gemm's operands and attributes.
pub(crate) fn macs(cx: &NodeCx<'_>) -> Dim {
    let axis = |name: &str, if_set: usize| match cx.attrs().flag(name) {
        Ok(set) => Some(if set { if_set } else { 1 - if_set }),
        Err(_) => None,
    };
    let of = |index: usize, axis: Option<usize>| cx.shape(index)?.get(axis?);
    matrix::macs(cx, of(0, axis("transA", 0)).or_else(|| of(1, axis("transB", 1))))
}

/// `alpha * A' · B' + beta * C`.
///
/// # Errors
/// Where the operands do not fit together.
pub(crate) fn gemm(cx: &EvalCx<'_>) -> Result<Tensor, EvalError> {
    let (a, b) = (cx.tensor(0)?, cx.tensor(1)?);
    if a.rank() != 2 || b.rank() != 2 {
        return Err(EvalError::invalid(format!("A{:?} and B{:?} are not of rank 2", a.dims(), b.dims())));
    }
    let alpha = f64::from(cx.attrs().float_or("alpha", 1.0)?);
    let beta = f64::from(cx.attrs().float_or("beta", 1.0)?);
    let oriented = |tensor: &Tensor, transposed: bool| {
        let order = if transposed { [1, 0] } else { [0, 1] };
        Ok::<_, EvalError>(matrix::reordered(&tensor.to_f64s()?, tensor.dims(), &order))
    };
    let (a_values, a_dims) = oriented(a, cx.attrs().flag("transA")?)?;
    let (b_values, b_dims) = oriented(b, cx.attrs().flag("transB")?)?;
    let (mut y, dims) = matrix::product(cx, (&a_values, &a_dims), (&b_values, &b_dims))?;
    y.iter_mut().for_each(|y| *y *= alpha);
    if let Some(c) = cx.optional_tensor(2)? {
        let array = ndarray::ArrayD::from_shape_vec(ndarray::IxDyn(c.dims()), c.to_f64s()?)?;
        y.iter_mut().zip(broadcast_to(&array, &dims)?).for_each(|(y, c)| *y += beta * c);
    }
    Ok(Tensor::from_f64s(a.dtype(), &dims, &y)?)
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn operands_can_stand_transposed() {
        let open = op("Gemm").int("transB", 1).input("float[N,k]").input("float[10,k]").input("float[10]");
        assert_eq!(open.infer(), "float[N,10]");
        assert_eq!(open.axes(), "m k, n k, n -> m n");
        let wrong = op("Gemm").int("transA", 1).input("float[3,N]").input("float[4,5]");
        assert_eq!(wrong.infer(), "invalid: a product over 3 columns of A and 4 rows of B");
        assert_eq!(
            op("Gemm").input("float[3,N,1]").input("float[4,5]").infer(),
            "invalid: operand 0 has rank 3, not 2"
        );
        assert_eq!(op("Gemm").input("float").input("float[4,5]").infer(), "float[?,5]");
    }

    #[test]
    fn a_row_and_a_column_as_c() {
        let gemm = |dims: &[usize]| {
            op("Gemm")
                .float("alpha", 0.5)
                .float("beta", 10.0)
                .int("transA", 1)
                .floats(&[1, 2], &[2.0, 4.0])
                .floats(&[1, 2], &[1.0, 3.0])
                .floats(dims, &[1.0, 2.0])
        };
        assert_eq!(gemm(&[2]).f32s(), [11.0, 23.0, 12.0, 26.0]);
        assert_eq!(gemm(&[2, 1]).f32s(), [11.0, 13.0, 22.0, 26.0]);
        assert_eq!(gemm(&[2, 1]).axes(), "k m, k n, m 1 -> m n");
    }
}
