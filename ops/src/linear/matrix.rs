//! Products of matrices and of stacks of matrices, as NumPy's `matmul` defines them.

use std::ops::Mul;

use ndarray::{Dimension, IxDyn, indices};
use num_traits::Zero;
use onnxpress_ir::{Dim, Shape};

use crate::evaluate::elementwise::broadcast_dims;
use crate::evaluate::{EvalCx, EvalError};
use crate::infer::Undecided;
use crate::node::NodeCx;
use crate::operator::{LinearLayer, Rows};

/// The shape of `a · b`: a vector on the left is a row, on the right a column, and its axis is gone from the result; axes
/// before the last two are broadcast together.
///
/// # Errors
/// Where the shapes do not fit, or one is that of a scalar.
pub(crate) fn product_shape(a: &Shape, b: &Shape) -> Result<Shape, Undecided> {
    let (Some((a_last, a_rest)), Some((b_last, b_rest))) = (a.split_last(), b.split_last()) else {
        return Err(Undecided::invalid(format!("a product of {a} and {b}: one of them has no axis")));
    };
    let (inner, columns, b_stack) = match b_rest.split_last() {
        None => (b_last, None, b_rest),
        Some((rows, stack)) => (rows, Some(b_last), stack),
    };
    if a_last.equals(inner) == Some(false) {
        return Err(Undecided::invalid(format!("a product of {a} and {b}: {a_last} columns and {inner} rows")));
    }
    let (rows, a_stack) = match a_rest.split_last() {
        None => (None, a_rest),
        Some((rows, stack)) => (Some(rows), stack),
    };
    let mut shape = Shape::from(a_stack).broadcast(&Shape::from(b_stack))?;
    shape.extend(rows.into_iter().chain(columns));
    Ok(shape)
}

/// The same where perhaps only one shape is known, or none. Of the other operand nothing is assumed.
///
/// # Errors
/// As [`product_shape`].
pub(crate) fn product_shape_of(a: Option<&Shape>, b: Option<&Shape>) -> Result<Option<Shape>, Undecided> {
    match (a, b) {
        (Some(a), Some(b)) => product_shape(a, b).map(Some),
        (Some(scalar), _) | (_, Some(scalar)) if scalar.is_empty() => {
            Err(Undecided::invalid("a product with a tensor of no axes"))
        }
        _ => Ok(None),
    }
}

/// Multiply-accumulates of a product: the result's elements times what each sums over.
pub(crate) fn macs(cx: &NodeCx<'_>, summed: Option<&Dim>) -> Dim {
    match (cx.output_shape(0), summed) {
        (Some(y), Some(summed)) => y.size() * summed,
        _ => Dim::unknown(),
    }
}

/// The last axis of the left operand, or the last but one of the right.
pub(crate) fn summed<'a>(a: Option<&'a Shape>, b: Option<&'a Shape>) -> Option<&'a Dim> {
    a.and_then(|a| a.last()).or_else(|| b.and_then(|b| b.get(b.len().saturating_sub(2))))
}

/// The layers that a product of operands number `a` and `b` can be: with either as the weight, a constant one if there is one.
pub(crate) fn layers(cx: &NodeCx<'_>, a: usize, b: usize) -> Vec<LinearLayer> {
    let stack = |rank: usize| (0..rank.saturating_sub(2)).collect::<Vec<_>>();
    // Of the matrix of the input, the columns of the right weight are the last axis, the rows of the left the last but one.
    let rows = |input: usize, weight: usize| match (cx.rank(input), cx.rank(weight)) {
        (_, Some(weight)) if weight > 2 => Rows::Hidden("the weight is a stack of matrices"),
        (Some(0), _) | (None, _) => Rows::Hidden("the rank of the input is not known"),
        (Some(rank), own) => {
            let right = input == a;
            let axis = if right || rank == 1 { rank - 1 } else { rank - 2 };
            // A vector as the weight sums the axis away; a vector as the input is the only row.
            let output = (own == Some(2)).then(|| if right { rank - 1 } else { rank.saturating_sub(2) });
            Rows::Along { input: axis, output }
        }
    };
    let layer = |input, weight, output_axes, input_axes, batch_axes| LinearLayer {
        input,
        weight,
        bias: None,
        output_axes,
        input_axes,
        batch_axes,
        groups: 1,
        rows: rows(input, weight),
    };
    let right = cx.rank(b).filter(|&rank| rank > 0).map(|rank| match rank {
        1 => layer(a, b, Vec::new(), vec![0], Vec::new()),
        _ => layer(a, b, vec![rank - 1], vec![rank - 2], stack(rank)),
    });
    let left = cx.rank(a).filter(|&rank| rank > 0).map(|rank| match rank {
        1 => layer(b, a, Vec::new(), vec![0], Vec::new()),
        _ => layer(b, a, vec![rank - 2], vec![rank - 1], stack(rank)),
    });
    match (cx.constant(a).is_some(), cx.constant(b).is_some()) {
        (true, false) => left.into_iter().collect(),
        (false, true) => right.into_iter().collect(),
        _ => right.into_iter().chain(left).collect(),
    }
}

/// The letters of both operands and of the result.
pub(crate) fn letters(a: Option<usize>, b: Option<usize>) -> [&'static str; 3] {
    match (a, b) {
        (Some(1), Some(1)) => ["k", "k", ""],
        (Some(1), _) => ["k", "b.. k n", "b.. n"],
        (_, Some(1)) => ["b.. m k", "k", "b.. m"],
        _ => ["b.. m k", "b.. k n", "b.. m n"],
    }
}

/// A number that products are summed in.
pub(crate) trait Number: Copy + Zero + Mul<Output = Self> {}
impl<T: Copy + Zero + Mul<Output = T>> Number for T {}

/// `a · b`, and its extents.
///
/// # Errors
/// Where the extents do not fit, or the result is larger or takes longer than allowed.
pub(crate) fn product<T: Number>(
    cx: &EvalCx<'_>,
    (a, a_dims): (&[T], &[usize]),
    (b, b_dims): (&[T], &[usize]),
) -> Result<(Vec<T>, Vec<usize>), EvalError> {
    let fail = || EvalError::invalid(format!("a product of {a_dims:?} and {b_dims:?}"));
    let (&[ref a_stack @ .., m, k], &[ref b_stack @ .., rows, n]) = (
        &*if let &[k] = a_dims { vec![1, k] } else { a_dims.to_vec() },
        &*if let &[k] = b_dims { vec![k, 1] } else { b_dims.to_vec() },
    ) else {
        return Err(fail());
    };
    if k != rows {
        return Err(fail());
    }
    let stack = broadcast_dims(cx, a_stack, b_stack)?;
    let full: Vec<usize> = stack.iter().copied().chain([m, n]).collect();
    let count = cx.room_for(&full)?;
    cx.spend((count as u64).saturating_mul(k as u64))?;
    let mut y = vec![T::zero(); count];
    // Without a result there is nothing to walk through, and the stack may have any extents.
    let walked = if count == 0 { vec![0] } else { stack.clone() };
    for (number, at) in indices(IxDyn(&walked)).into_iter().enumerate() {
        let a = &a[place(at.slice(), a_stack) * m * k..][..m * k];
        let b = &b[place(at.slice(), b_stack) * k * n..][..k * n];
        let y = &mut y[number * m * n..][..m * n];
        for row in 0..m {
            let sums = &mut y[row * n..][..n];
            for inner in 0..k {
                let factor = a[row * k + inner];
                sums.iter_mut().zip(&b[inner * n..][..n]).for_each(|(sum, &value)| *sum = *sum + factor * value);
            }
        }
    }
    let mut dims = stack;
    dims.extend((a_dims.len() > 1).then_some(m));
    dims.extend((b_dims.len() > 1).then_some(n));
    Ok((y, dims))
}

/// Which of a stack's matrices stands at an index of the stack it is broadcast to.
fn place(at: &[usize], stack: &[usize]) -> usize {
    let own = &at[at.len() - stack.len()..];
    own.iter().zip(stack).fold(0, |place, (&index, &extent)| place * extent + if extent == 1 { 0 } else { index })
}

/// The elements with axes in another order: axis `order[i]` of the old becomes axis i. Also the new extents.
pub(crate) fn reordered<T: Copy>(values: &[T], dims: &[usize], order: &[usize]) -> (Vec<T>, Vec<usize>) {
    let mut steps = vec![1usize; dims.len()];
    for axis in (1..dims.len()).rev() {
        steps[axis - 1] = dims[axis].saturating_mul(steps[axis]);
    }
    let new: Vec<usize> = order.iter().map(|&axis| dims[axis]).collect();
    if values.is_empty() {
        return (Vec::new(), new);
    }
    let place = |at: &[usize]| at.iter().zip(order).map(|(&index, &axis)| index * steps[axis]).sum::<usize>();
    (indices(IxDyn(&new)).into_iter().map(|at| values[place(at.slice())]).collect(), new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(a: &str, b: &str) -> String {
        let parse = |text: &str| text.split_whitespace().filter_map(|dim| dim.parse::<Dim>().ok()).collect::<Shape>();
        match product_shape(&parse(a), &parse(b)) {
            Ok(shape) => shape.to_string(),
            Err(Undecided::Invalid(reason)) => reason,
            Err(Undecided::Unknown) => "unknown".to_owned(),
        }
    }

    #[test]
    fn shapes_of_products() {
        assert_eq!(shape("N m k", "k n"), "[N,m,n]");
        assert_eq!(shape("N 1 m k", "h k n"), "[N,h,m,n]");
        assert_eq!(shape("k", "N k n"), "[N,n]");
        assert_eq!(shape("N m k", "k"), "[N,m]");
        assert_eq!(shape("k", "k"), "[]");
        assert_eq!(shape("2 3", "4 5"), "a product of [2,3] and [4,5]: 3 columns and 4 rows");
        assert_eq!(shape("", "4 5"), "a product of [] and [4,5]: one of them has no axis");
        assert_eq!(shape("2*h", "h+h"), "[]");
    }

    #[test]
    fn axes_in_another_order() {
        assert_eq!(reordered(&[1, 2, 3, 4, 5, 6], &[2, 3], &[1, 0]), (vec![1, 4, 2, 5, 3, 6], vec![3, 2]));
        assert_eq!(reordered(&[1, 2], &[1, 2, 1], &[2, 0, 1]), (vec![1, 2], vec![1, 1, 2]));
    }
}
