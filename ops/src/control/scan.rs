//! `Scan`: a body that runs once for every slice of its inputs along an axis, with a state that goes from turn to turn.
//!
//! Operands: the states, then `num_scan_inputs` tensors to take slices of. The body takes the states and one slice of each,
//! and gives the states and slices that are stacked along an axis. The shape of a state never changes.
//!
//! In opset 8 all operands have a batch axis in front, the scan axis is the second, every batch has a length of its own
//! (operand 0), and what lies behind it is 0. From 9 on there is no batch, and attributes choose axes.
//!
//! Source: ONNX operator specification, `Scan`, opsets 8 to 25.

use onnxpress_ir::{Dim, Fact, Graph, Shape, Tensor, Type};

use super::loop_::stacked;
use crate::axes::Axes;
use crate::evaluate::pieces::{concat, empty_of, slice, slice_at, stack, zeros};
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{BodyInference, Undecided, as_declared};
use crate::node::{Attrs, NodeCx};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static SCAN: Operator = Operator {
    domain: "",
    name: "Scan",
    infer: Infer::Bodies(infer),
    axes: Axes::Opaque("what a turn reads of the one before is the body's business"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("only its subgraph computes"),
    quantize: Quantize::KeepsFloat("only its subgraph computes"),
    cost: Cost::None("only its subgraph computes"),
    effects: Effects::OfBodies,
    gradient: Gradient::NotPossible("it runs a body"),
};

/// What the attributes say of a node's operands and of its body's outputs.
struct Layout {
    /// Whether operands have a batch axis in front (opset 8).
    batched: bool,
    /// The operand that is the first state.
    first: usize,
    states: usize,
    input_axes: Vec<i64>,
    input_reversed: Vec<bool>,
    output_axes: Vec<i64>,
    output_reversed: Vec<bool>,
}

impl Layout {
    fn of(attrs: &Attrs<'_>, version: i64, operands: usize, outputs: usize) -> Result<Self, Undecided> {
        let batched = version < 9;
        let first = usize::from(batched);
        let slices = attrs.int_or("num_scan_inputs", 0)?;
        let slices = usize::try_from(slices).ok().filter(|slices| first + slices <= operands);
        let slices = slices.ok_or_else(|| Undecided::invalid(format!("`num_scan_inputs` of {operands} operands")))?;
        let states = operands - first - slices;
        let results = outputs.checked_sub(states);
        let results = results.ok_or_else(|| Undecided::invalid(format!("{outputs} outputs for {states} states")))?;
        let list = |name: &str, length: usize| -> Result<Vec<i64>, Undecided> {
            match attrs.ints(name)? {
                Some(values) if values.len() == length => Ok(values),
                Some(values) => Err(Undecided::invalid(format!("`{name}` has {} entries, not {length}", values.len()))),
                None => Ok(vec![0; length]),
            }
        };
        let flags =
            |name: &str, length| Ok::<_, Undecided>(list(name, length)?.iter().map(|&flag| flag == 1).collect());
        Ok(if batched {
            Self {
                batched,
                first,
                states,
                input_axes: vec![0; slices],
                input_reversed: flags("directions", slices)?,
                output_axes: vec![0; results],
                output_reversed: vec![false; results],
            }
        } else {
            Self {
                batched,
                first,
                states,
                input_axes: list("scan_input_axes", slices)?,
                input_reversed: flags("scan_input_directions", slices)?,
                output_axes: list("scan_output_axes", results)?,
                output_reversed: flags("scan_output_directions", results)?,
            }
        })
    }
}

/// The type without its axis `axis`, and the extent along it.
fn without_axis(ty: &Type, axis: i64) -> Result<(Type, Dim), Undecided> {
    let Some(shape) = ty.shape() else { return Ok((Type::tensor(ty.dtype(), None), Dim::unknown())) };
    let mut dims = shape.to_vec();
    let at = onnxpress_ir::shape::normalize_axis(axis, dims.len());
    let at = at.ok_or_else(|| Undecided::invalid(format!("axis {axis} of a tensor of rank {}", dims.len())))?;
    let extent = dims.remove(at);
    Ok((Type::tensor(ty.dtype(), Shape::from(dims)), extent))
}

/// Of two extents that must be equal, the one that says more.
fn sharper(a: Dim, b: Dim) -> Dim {
    if a.as_const().is_some() || b.is_unknown() { a } else { b }
}

fn infer(
    cx: &NodeCx<'_>,
    bodies: &mut [&mut Graph],
    inference: &mut BodyInference<'_, '_>,
) -> Result<Vec<Fact>, Undecided> {
    let [body] = bodies else { return Err(Undecided::invalid(format!("{} bodies instead of one", bodies.len()))) };
    let layout = Layout::of(&cx.attrs(), cx.version, cx.operand_count(), cx.node.port_count())?;
    let (mut batch, mut turns) = (Dim::unknown(), Dim::unknown());
    let mut inputs = Vec::new();
    for index in layout.first..cx.operand_count() {
        let mut ty = cx.ty(index).clone();
        if layout.batched {
            let extent;
            (ty, extent) = without_axis(&ty, 0)?;
            batch = sharper(extent, batch);
        }
        if let Some(slice) = (index - layout.first).checked_sub(layout.states) {
            let extent;
            (ty, extent) = without_axis(&ty, layout.input_axes[slice])?;
            turns = sharper(extent, turns);
        }
        inputs.push(Fact { ty, elements: None });
    }
    let declared = body.clone();
    let mut outputs = inference.infer(body, &inputs)?;
    if outputs.len() != cx.node.port_count() {
        let (found, expected) = (outputs.len(), cx.node.port_count());
        return Err(Undecided::invalid(format!("the body has {found} outputs, not {expected}")));
    }
    let fits = |before: &Fact, after: &Fact| before.ty.merge(&after.ty).ok();
    let states: Option<Vec<Type>> =
        inputs.iter().zip(&outputs).take(layout.states).map(|(before, after)| fits(before, after)).collect();
    let states = match states {
        Some(states) => states,
        None => {
            // The definition forbids it, runtimes run it: a state whose shape changes. Then little is known of it.
            **body = declared;
            let pairs: Vec<_> = (0..layout.states).map(|state| (state, state)).collect();
            (inputs, outputs) = inference.infer_repeated(body, inputs, &pairs)?;
            inputs.into_iter().take(layout.states).map(|fact| fact.ty).collect()
        }
    };
    let slices = outputs.iter().enumerate().skip(layout.states).zip(&layout.output_axes);
    let slices = slices.map(|((index, slice), &axis)| stacked(&as_declared(body, index, &slice.ty), axis, &turns));
    let batched = |ty: Type| if layout.batched { stacked(&ty, 0, &batch) } else { ty };
    Ok(states.into_iter().chain(slices).map(|ty| Fact { ty: batched(ty), elements: None }).collect())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let body = cx.attrs().graph("body").ok_or_else(|| EvalError::invalid("no graph `body`"))?;
    let layout = Layout::of(&cx.attrs(), cx.version, cx.inputs.len(), body.outputs().len())?;
    let operands =
        (layout.first..cx.inputs.len()).map(|index| cx.tensor(index).cloned()).collect::<Result<Vec<_>, _>>()?;
    let outputs =
        if layout.batched { each_batch(cx, body, &layout, &operands)? } else { scan(cx, body, &layout, &operands)? };
    Ok(outputs.into_iter().map(Value::from).collect())
}

fn scan(cx: &EvalCx<'_>, body: &Graph, layout: &Layout, operands: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
    let (states, inputs) = operands.split_at(layout.states.min(operands.len()));
    let axes = inputs.iter().zip(&layout.input_axes).map(|(input, &axis)| cx.axis(axis, input.rank()));
    let axes = axes.collect::<Result<Vec<_>, _>>()?;
    let turns = inputs.iter().zip(&axes).map(|(input, &axis)| input.dims()[axis]).max().unwrap_or(0);
    if inputs.iter().zip(&axes).any(|(input, &axis)| input.dims()[axis] != turns) {
        return Err(EvalError::invalid("tensors to scan differ in length"));
    }
    let mut states: Vec<Value> = states.iter().cloned().map(Value::from).collect();
    let mut slices: Vec<Vec<Tensor>> = vec![Vec::new(); layout.output_axes.len()];
    for turn in 0..turns {
        cx.spend(1)?;
        let mut given = std::mem::take(&mut states);
        for ((input, &axis), &reversed) in inputs.iter().zip(&axes).zip(&layout.input_reversed) {
            let at = if reversed { turns - 1 - turn } else { turn };
            given.push(slice_at(input, axis, at)?.into());
        }
        let mut outputs = cx.bodies.run(body, given)?.into_iter();
        states.extend(outputs.by_ref().take(layout.states));
        for (slices, slice) in slices.iter_mut().zip(outputs) {
            slices.push(slice.as_tensor()?.clone());
        }
    }
    let mut results = states.iter().map(|state| state.as_tensor().cloned()).collect::<Result<Vec<_>, _>>()?;
    for (index, mut slices) in slices.into_iter().enumerate() {
        let axis = layout.output_axes[index];
        if layout.output_reversed[index] {
            slices.reverse();
        }
        results.push(match slices.first() {
            None => empty_of(body, layout.states + index, axis)?,
            Some(slice) => stack(cx, cx.axis(axis, slice.rank() + 1)?, &slices)?,
        });
    }
    Ok(results)
}

/// Opset 8: every batch on its own, as far as its length goes, and zeros behind.
fn each_batch(cx: &EvalCx<'_>, body: &Graph, layout: &Layout, operands: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
    let extent = |axis: usize| move |tensor: &Tensor| tensor.dims().get(axis).copied();
    let batches = operands.first().and_then(extent(0)).filter(|&batches| batches > 0);
    let batches = batches.ok_or_else(|| EvalError::unsupported("a scan of no batches"))?;
    let longest = operands.last().and_then(extent(1)).ok_or_else(|| EvalError::invalid("no axis to scan along"))?;
    let lengths = cx.ints(0)?.unwrap_or_else(|| vec![i64::try_from(longest).unwrap_or(i64::MAX); batches]);
    let mut results: Vec<Vec<Tensor>> = Vec::new();
    for batch in 0..batches {
        let length = lengths.get(batch).and_then(|&length| usize::try_from(length).ok()).unwrap_or(0).min(longest);
        let mut own = Vec::new();
        for (index, operand) in operands.iter().enumerate() {
            let one = slice_at(operand, 0, batch)?;
            own.push(if index < layout.states { one } else { slice(&one, 0, 0, length)? });
        }
        for (index, result) in scan(cx, body, layout, &own)?.into_iter().enumerate() {
            let result = if index < layout.states {
                result
            } else {
                let mut rest = result.dims().to_vec();
                rest[0] = longest - length;
                concat(cx, 0, &[result.clone(), zeros(cx, result.dtype(), &rest)?])?
            };
            match results.get_mut(index) {
                Some(list) => list.push(result),
                None => results.push(vec![result]),
            }
        }
    }
    results.iter().map(|list| stack(cx, 0, list)).collect()
}
