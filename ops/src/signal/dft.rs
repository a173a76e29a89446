//! `DFT`: the discrete Fourier transform along an axis, forward or inverse.
//!
//! The last axis of the operand has one entry for real and two for complex numbers. With `onesided` only the frequencies up
//! to one half are there, which is all that a real signal needs; the inverse of those is real.
//!
//! Source: ONNX operator specification, `DFT`, opsets 17 to 20 (the axis is an attribute first, then operand 2).

use num_complex::Complex;
use onnxpress_ir::{Dim, Shape, Tensor};

use super::fourier::Fourier;
use crate::axes::Axes;
use crate::evaluate::walk::around;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::{Parameters, axis_of};

pub(crate) static DFT: Operator = Operator {
    domain: "",
    name: "DFT",
    infer: Infer::With(infer),
    axes: Axes::With(|cx| {
        let rank = cx.rank(0).ok_or("the rank is not known")?;
        let axis = axis(cx, rank).map_err(|_| "the axis is not known")?;
        let row = |name: &str| {
            let letters =
                (0..rank).map(|at| if at == axis || at + 1 == rank { name.to_owned() } else { format!("s{at}") });
            letters.collect::<Vec<_>>().join(" ")
        };
        Ok(format!("{}{} -> {}", row("_"), ", *".repeat(cx.operand_count().saturating_sub(1)), row("_")))
    }),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("its weights are fixed by the length"),
    quantize: Quantize::KeepsFloat("frequencies need the precision"),
    cost: Cost::None("no operand is a weight"),
    effects: Effects::Pure,
    gradient: Gradient::NotPossible("complex numbers are no parameters here"),
};

/// The axis of the signal.
fn axis(p: &dyn Parameters, rank: usize) -> Result<usize, Undecided> {
    let axis = if p.version() < 20 {
        p.attrs().int_or("axis", 1)?
    } else {
        match p.sole_entry(2)? {
            None => -2,
            Some(axis) => axis.as_const().ok_or(Undecided::Unknown)?,
        }
    };
    let axis = axis_of(axis, rank)?;
    if axis + 1 == rank {
        Err(Undecided::invalid("the last axis is that of real and imaginary parts"))
    } else {
        Ok(axis)
    }
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    cx.set_tensor(0, cx.dtype(0), None);
    let Some(x) = cx.shape(0) else { return Ok(()) };
    let rank = x.len();
    if rank < 2 {
        return Err(Undecided::invalid(format!("operand 0 is {x}, without an axis of real and imaginary parts")));
    }
    let node: &crate::node::NodeCx<'_> = cx;
    let (inverse, onesided) = (node.attrs().flag("inverse")?, node.attrs().flag("onesided")?);
    let mut dims = x.to_vec();
    match axis(node, rank) {
        Ok(axis) => {
            let given = if node.has(1) { Some(node.sole_entry(1).ok().flatten().unwrap_or_default()) } else { None };
            dims[axis] = match (inverse, onesided) {
                (true, true) => given.unwrap_or_else(|| (&x[axis] - 1) * 2),
                (false, true) => given.unwrap_or_else(|| x[axis].clone()).floor_div(2) + 1,
                _ => given.unwrap_or_else(|| x[axis].clone()),
            };
        }
        Err(Undecided::Unknown) if !onesided && !node.has(1) => {}
        Err(Undecided::Unknown) => dims.iter_mut().for_each(|dim| *dim = Dim::unknown()),
        Err(invalid) => return Err(invalid),
    }
    dims[rank - 1] = Dim::from(if inverse && onesided { 1 } else { 2 });
    cx.set_tensor(0, cx.dtype(0), Shape::from(dims));
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let rank = x.rank();
    let parts = x.dims().last().copied().filter(|parts| rank >= 2 && matches!(parts, 1 | 2));
    let parts = parts.ok_or_else(|| EvalError::invalid(format!("real and imaginary parts of {x:?}")))?;
    let axis = axis(cx, rank)?;
    let (inverse, onesided) = (cx.attrs().flag("inverse")?, cx.attrs().flag("onesided")?);
    let extent = x.dims()[axis];
    let length = match cx.ints(1)?.as_deref() {
        Some(&[length]) => usize::try_from(length).ok(),
        Some(_) => None,
        None if inverse && onesided => extent.checked_sub(1).and_then(|half| half.checked_mul(2)),
        None => Some(extent),
    };
    let length = length.filter(|&length| length > 0).ok_or_else(|| EvalError::invalid("a transform of no length"))?;
    let bins = if onesided && !inverse { length / 2 + 1 } else { length };
    let real = inverse && onesided;
    let mut dims = x.dims().to_vec();
    let complex = &x.dims()[..rank - 1];
    let (outer, _, inner) = around(complex, axis).ok_or_else(|| EvalError::invalid("no such axis"))?;
    dims[axis] = bins;
    dims[rank - 1] = if real { 1 } else { 2 };
    cx.room_for(&[length])?;
    let count = cx.room_for(&dims)?;
    cx.spend((count as u64).saturating_mul(length as u64))?;
    let values = x.to_f64s()?;
    let number =
        |index: usize| Complex::new(values[index * parts], if parts == 2 { values[index * parts + 1] } else { 0.0 });
    let fourier = Fourier::of_length(length);
    let mut result = vec![0.0; count];
    if count > 0 {
        for at in 0..outer {
            for within in 0..inner {
                let signal: Vec<_> = (0..extent).map(|t| number((at * extent + t) * inner + within)).collect();
                let transformed = match (inverse, real) {
                    (false, _) => fourier.forward(&signal, bins),
                    (true, false) => fourier.inverse(&signal),
                    (true, true) => fourier.inverse_real(&signal),
                };
                for (k, value) in transformed.into_iter().enumerate() {
                    let to = ((at * bins + k) * inner + within) * dims[rank - 1];
                    result[to] = value.re;
                    if !real {
                        result[to + 1] = value.im;
                    }
                }
            }
        }
    }
    Ok(vec![Tensor::from_f64s(x.dtype(), &dims, &result)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn half_of_the_frequencies_are_enough_for_a_real_signal() {
        assert_eq!(op("DFT").int("onesided", 1).input("float[N,T,1]").infer(), "float[N,floor(T/2) + 1,2]");
        let node = op("DFT").int("inverse", 1).int("onesided", 1).input("float[N,9,2]");
        assert_eq!(node.infer(), "float[N,16,1]");
        assert_eq!(op("DFT").version(17).int("axis", 0).input("float[T,N,1]").infer(), "float[T,N,2]");
    }

    #[test]
    fn the_inverse_of_the_transform_is_the_signal() {
        let there = op("DFT").int("onesided", 1).floats(&[1, 5, 1], &[1.0, 2.0, 3.0, 4.0, 5.0]).tensor();
        let back = op("DFT").int("onesided", 1).int("inverse", 1).constant(there).int64s(&[], &[5]).f32s();
        for (at, value) in back.iter().enumerate() {
            assert!((value - (at as f32 + 1.0)).abs() < 1e-5, "{back:?}");
        }
    }
}
