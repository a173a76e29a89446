//! `MaxUnpool`: puts the results of `MaxPool` back where they were, and zeros elsewhere.
//!
//! Operands X `[n, c, s..]`, I of the same shape, the places in the output flattened; optionally output_shape. Output
//! `[n, c, t..]` with `t = stride * (s - 1) + k - pads`. With a larger `output_shape` the places still are those in the shape
//! that follows from the attributes, which lies at the beginning of the output.
//!
//! Source: ONNX operator specification, `MaxUnpool`, opsets 9 to 22, and its test with an output shape.

use ndarray::{Dimension, IxDyn, indices};
use onnxpress_ir::{Dim, Shape, Tensor};

use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::linear::Window;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static MAX_UNPOOL: Operator = Operator {
    domain: "",
    name: "MaxUnpool",
    infer: Infer::With(infer),
    axes: Axes::Opaque("where elements go is known at run time only"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("it moves elements"),
    quantize: Quantize::Moves,
    cost: Cost::None("it moves elements"),
    effects: Effects::Pure,
    gradient: Gradient::With(super::gradient::max_unpool),
};

/// The extents that a pooling with this window had, to have given these.
fn unpooled(window: &Window, x: &Shape) -> Shape {
    let mut shape = Shape::from(&x[..2]);
    shape.extend((0..x.len() - 2).map(|axis| {
        let (before, after) = window.padding(axis, 1);
        (&x[2 + axis] - 1) * window.strides[axis] + window.kernel[axis] - before.saturating_add(after)
    }));
    shape
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let kernel = cx.attrs().ints("kernel_shape")?.ok_or_else(|| Undecided::invalid("no `kernel_shape`"))?;
    let rank = kernel.len() + 2;
    cx.expect_rank(0, rank)?;
    let window = Window::of(&cx.attrs(), kernel)?;
    let shape = match (cx.has(2), cx.shape(0)) {
        (true, _) => match cx.elements(2) {
            Some(extents) if extents.len() != rank => {
                return Err(Undecided::invalid(format!("an output shape of {} entries, not {rank}", extents.len())));
            }
            Some(extents) => Some(Shape::from(extents)),
            None => Some(Shape::of_unknown_extents(rank)),
        },
        (false, x) => x.map(|x| unpooled(&window, x)),
    };
    cx.set_tensor(0, cx.dtype(0), shape);
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (x, places) = (cx.tensor(0)?, cx.tensor(1)?);
    let kernel = cx.attrs().ints("kernel_shape")?.ok_or_else(|| EvalError::invalid("no `kernel_shape`"))?;
    if x.rank() != kernel.len() + 2 || places.dims() != x.dims() {
        return Err(EvalError::invalid(format!("X{:?} with places {:?}", x.dims(), places.dims())));
    }
    let window = Window::of(&cx.attrs(), kernel)?;
    let inner = unpooled(&window, &Shape::from_extents(x.dims()));
    let inner = inner.as_consts().ok_or_else(|| EvalError::invalid(format!("an output of the shape {inner}")))?;
    let outer = match cx.ints(2)? {
        Some(extents) => {
            let extents = extents.into_iter().map(Dim::from).collect::<Shape>();
            extents.as_consts().ok_or_else(|| EvalError::invalid(format!("an output of the shape {extents}")))?
        }
        None => inner.clone(),
    };
    if outer.len() != inner.len() || inner.iter().zip(&outer).any(|(inner, outer)| inner > outer) {
        return Err(EvalError::invalid(format!("an output {outer:?} that does not hold {inner:?}")));
    }
    let (inner_count, outer_count) = (cx.room_for(&inner)?, cx.room_for(&outer)?);
    let mut y = vec![0.0; outer_count];
    // Where each place of the inner shape lies in the outer one.
    let flat = |at: &[usize]| at.iter().zip(&outer).fold(0, |place, (&index, &extent)| place * extent + index);
    let moved: Option<Vec<usize>> = (inner != outer && inner_count > 0)
        .then(|| indices(IxDyn(&inner)).into_iter().map(|at| flat(at.slice())).collect());
    for (value, place) in x.to_f64s()?.into_iter().zip(places.to_i64s()?) {
        let place = usize::try_from(place).ok().filter(|&place| place < inner_count);
        let place = place.ok_or_else(|| EvalError::invalid(format!("a place outside of {inner:?}")))?;
        y[moved.as_ref().map_or(place, |moved| moved[place])] = value;
    }
    Ok(vec![Tensor::from_f64s(x.dtype(), &outer, &y)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    fn unpool() -> crate::testing::OneNode {
        op("MaxUnpool").ints("kernel_shape", &[2]).ints("strides", &[2])
    }

    #[test]
    fn elements_go_back() {
        let y = unpool().floats(&[1, 1, 2], &[5.0, 6.0]).int64s(&[1, 1, 2], &[1, 2]);
        assert_eq!(y.f32s(), [0.0, 5.0, 6.0, 0.0]);
        let outside = unpool().floats(&[1, 1, 1], &[5.0]).int64s(&[1, 1, 1], &[2]);
        assert_eq!(outside.fault(), "a place outside of [1, 1, 2]");
    }

    #[test]
    fn a_larger_output_has_them_at_the_beginning() {
        let y = unpool().floats(&[1, 2, 1], &[5.0, 6.0]).int64s(&[1, 2, 1], &[1, 2]).int64s(&[3], &[1, 2, 3]);
        assert_eq!(y.f32s(), [0.0, 5.0, 0.0, 6.0, 0.0, 0.0]);
        assert_eq!(unpool().input("float[N,c,w]").input("int64[N,c,w]").infer(), "float[N,c,2*w]");
        let shaped = unpool().input("float[N,c,w]").input("int64[N,c,w]").elements("int64[3]", "N c 9");
        assert_eq!(shaped.infer(), "float[N,c,9]");
    }
}
