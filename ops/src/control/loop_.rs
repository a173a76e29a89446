//! `Loop`: a body that runs a number of times, or as long as a condition holds.
//!
//! Operands: M (most turns, scalar int64, optional), cond (optional), then the values carried from turn to turn. The body
//! takes the turn's number, the condition and the carried values, and gives the condition, the carried values and what is
//! stacked along a new first axis, one slice a turn.
//!
//! Source: ONNX operator specification, `Loop`, opsets 1 to 25 (types widened; from 13 on sequences, from 16 on optionals).

use onnxpress_ir::{DType, Dim, Fact, Graph, Shape, Tensor, Type};

use crate::axes::Axes;
use crate::evaluate::pieces::{empty_of, stack};
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{BodyInference, Undecided, as_declared};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static LOOP: Operator = Operator {
    domain: "",
    name: "Loop",
    infer: Infer::Bodies(infer),
    axes: Axes::Opaque("what a turn reads of the one before is the body's business"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("only its subgraph computes"),
    quantize: Quantize::KeepsFloat("only its subgraph computes"),
    cost: Cost::None("only its subgraph computes"),
    effects: Effects::OfBodies,
    gradient: Gradient::NotPossible("it runs a body"),
};

/// Runtimes hand a scalar over as a vector of one element where the body declares a vector.
fn scalar_dims(body: &Graph, input: usize) -> &'static [usize] {
    let declared = body.inputs().get(input).and_then(|&id| body.input(id).declared.shape());
    if declared.is_some_and(|shape| shape.len() == 1) { &[1] } else { &[] }
}

fn infer(
    cx: &NodeCx<'_>,
    bodies: &mut [&mut Graph],
    inference: &mut BodyInference<'_, '_>,
) -> Result<Vec<Fact>, Undecided> {
    let [body] = bodies else { return Err(Undecided::invalid(format!("{} bodies instead of one", bodies.len()))) };
    let carried = cx.operand_count().saturating_sub(2);
    let scalar =
        |dtype, input| Fact { ty: Type::tensor(dtype, Shape::from_extents(scalar_dims(body, input))), elements: None };
    let mut inputs = vec![scalar(DType::Int64, 0), scalar(DType::Bool, 1)];
    inputs.extend((2..cx.operand_count()).map(|index| cx.fact(index)));
    let pairs: Vec<_> = (0..carried).map(|index| (2 + index, 1 + index)).collect();
    let (inputs, outputs) = inference.infer_repeated(body, inputs, &pairs)?;
    if outputs.len() != cx.node.port_count() + 1 {
        let (found, expected) = (outputs.len(), cx.node.port_count() + 1);
        return Err(Undecided::invalid(format!("the body has {found} outputs, not {expected}")));
    }
    let turns = turns(cx, body);
    // Slices that are stacked have one shape, so what is declared of the first holds of all.
    let slices = outputs.iter().enumerate().skip(1 + carried);
    let slices = slices.map(|(index, slice)| stacked(&as_declared(body, index, &slice.ty), 0, &turns));
    let stacked = slices.map(|ty| Fact { ty, elements: None });
    Ok(inputs.into_iter().skip(2).chain(stacked).collect())
}

/// How many turns there are, where nothing but their greatest number ends the loop.
fn turns(cx: &NodeCx<'_>, body: &Graph) -> Dim {
    let is_true = |tensor: &Tensor| tensor.values::<bool>().is_ok_and(|values| values.first() == Some(&true));
    let enters = !cx.has(1) || cx.constant(1).is_some_and(is_true);
    let mut goes_on = body.outputs().first().and_then(|&id| body.operand(id, 0));
    while let Some(value) = goes_on
        && body.node(value.node).is_some_and(|node| node.is("Identity"))
    {
        goes_on = body.operand(value.node, 0);
    }
    let goes_on = goes_on.is_some_and(|value| {
        body.constant(value).is_some_and(is_true) || body.inputs().get(1).is_some_and(|&id| value == id.port(0))
    });
    match cx.elements(0) {
        Some([limit]) if enters && goes_on => limit.max(0),
        _ => Dim::unknown(),
    }
}

/// The type of slices of this type put one after the other along a new axis.
pub(super) fn stacked(slice: &Type, axis: i64, extent: &Dim) -> Type {
    let Type::Tensor(slice) = slice else { return Type::Unknown };
    let shape = slice.shape.as_ref().and_then(|shape| {
        let axis = onnxpress_ir::shape::normalize_axis(axis, shape.len() + 1)?;
        let mut dims = shape.to_vec();
        dims.insert(axis, extent.clone());
        Some(Shape::from(dims))
    });
    Type::tensor(slice.dtype, shape)
}

fn flag(value: &Value) -> Result<bool, EvalError> {
    match value.as_tensor()?.values::<bool>()?.as_ref() {
        [flag] => Ok(*flag),
        other => Err(EvalError::invalid(format!("a condition of {} elements", other.len()))),
    }
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let body = cx.attrs().graph("body").ok_or_else(|| EvalError::invalid("no graph `body`"))?;
    let limit = match cx.ints(0)?.as_deref() {
        None => i64::MAX,
        Some([limit]) => *limit,
        Some(other) => return Err(EvalError::invalid(format!("`M` has {} elements", other.len()))),
    };
    let mut goes_on = cx.optional(1).map_or(Ok(true), flag)?;
    let mut carried = (2..cx.inputs.len()).map(|index| cx.input(index).cloned()).collect::<Result<Vec<_>, _>>()?;
    let results = body.outputs().len().checked_sub(1 + carried.len());
    let results = results.ok_or_else(|| EvalError::invalid("the body has too few outputs"))?;
    let mut slices: Vec<Vec<Tensor>> = vec![Vec::new(); results];
    let mut turn = 0i64;
    while goes_on && turn < limit {
        cx.spend(1)?;
        let mut inputs = vec![
            Tensor::from_values(scalar_dims(body, 0), vec![turn])?.into(),
            Tensor::from_values(scalar_dims(body, 1), vec![true])?.into(),
        ];
        let count = carried.len();
        inputs.append(&mut carried);
        let mut outputs = cx.bodies.run(body, inputs)?.into_iter();
        goes_on = flag(&outputs.next().ok_or_else(|| EvalError::invalid("the body gives no condition"))?)?;
        carried.extend(outputs.by_ref().take(count));
        for (slices, slice) in slices.iter_mut().zip(outputs) {
            slices.push(slice.as_tensor()?.clone());
        }
        turn += 1;
    }
    let first = 1 + carried.len();
    let stacks = slices.iter().enumerate().map(|(index, slices)| match slices.as_slice() {
        [] => empty_of(body, first + index, 0),
        slices => stack(cx, 0, slices),
    });
    let stacks = stacks.map(|tensor| tensor.map(Value::from)).collect::<Result<Vec<_>, _>>()?;
    Ok(carried.into_iter().chain(stacks).collect())
}
