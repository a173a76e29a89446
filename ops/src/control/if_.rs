//! `If`: one of two subgraphs, by a condition.
//!
//! The branches have no inputs and capture what they need. Their outputs agree in number; where their types differ, only
//! what both have in common is known of the result.
//!
//! Source: ONNX operator specification, `If`, opsets 1 to 25 (types widened; from 11 on shapes of branches may differ).

use onnxpress_ir::{Fact, Graph};

use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{BodyInference, Undecided, either};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static IF: Operator = Operator {
    domain: "",
    name: "If",
    infer: Infer::Bodies(infer),
    axes: Axes::Opaque("which branch runs is known at run time only"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("only its subgraphs compute"),
    quantize: Quantize::KeepsFloat("only its subgraphs compute"),
    cost: Cost::None("only its subgraphs compute"),
    effects: Effects::OfBodies,
    gradient: Gradient::NotPossible("it runs a body"),
};

fn infer(
    cx: &NodeCx<'_>,
    bodies: &mut [&mut Graph],
    inference: &mut BodyInference<'_, '_>,
) -> Result<Vec<Fact>, Undecided> {
    let mut branches = Vec::new();
    for body in bodies.iter_mut() {
        branches.push(inference.infer_branch(body)?);
    }
    let [one, other] = branches.as_slice() else {
        return Err(Undecided::invalid(format!("{} branches instead of two", branches.len())));
    };
    if one.len() != other.len() || one.len() != cx.node.port_count() {
        return Err(Undecided::invalid(format!(
            "branches of {} and {} outputs for a node of {}",
            one.len(),
            other.len(),
            cx.node.port_count()
        )));
    }
    // Which attribute comes first in the file says nothing.
    let then_first = cx.node.attrs.iter().find(|attr| !attr.value.graphs().is_empty());
    let then_first = then_first.is_some_and(|attr| attr.name == "then_branch");
    // Exporters ask for ranks and extents, which are known where they are.
    match cx.ints(0).and_then(|condition| condition.first().copied()) {
        Some(holds) => Ok(if (holds != 0) == then_first { one.clone() } else { other.clone() }),
        None => Ok(one.iter().zip(other).map(|(a, b)| either(a, b)).collect()),
    }
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let condition = cx.tensor(0)?.values::<bool>()?;
    let branch = match condition.as_ref() {
        [true] => "then_branch",
        [false] => "else_branch",
        other => return Err(EvalError::invalid(format!("a condition of {} elements", other.len()))),
    };
    let body = cx.attrs().graph(branch).ok_or_else(|| EvalError::invalid(format!("no graph `{branch}`")))?;
    cx.bodies.run(body, Vec::new())
}
