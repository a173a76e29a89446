//! `SequenceMap`: a body applied to every tensor of a sequence.
//!
//! Further operands are sequences of the same length, walked in step, or tensors that every turn is given whole.
//!
//! Source: ONNX operator specification, `SequenceMap`, opset 17.

use onnxpress_ir::{Fact, Graph, Type};

use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{BodyInference, Undecided};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static SEQUENCE_MAP: Operator = Operator {
    domain: "",
    name: "SequenceMap",
    infer: Infer::Bodies(infer),
    axes: Axes::Opaque("which tensor of a container is meant is known at run time only"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("only its subgraph computes"),
    quantize: Quantize::KeepsFloat("only its subgraph computes"),
    cost: Cost::None("only its subgraph computes"),
    effects: Effects::OfBodies,
    gradient: Gradient::NotPossible("it runs a body"),
};

fn infer(
    cx: &NodeCx<'_>,
    bodies: &mut [&mut Graph],
    inference: &mut BodyInference<'_, '_>,
) -> Result<Vec<Fact>, Undecided> {
    let [body] = bodies else { return Err(Undecided::invalid(format!("{} bodies instead of one", bodies.len()))) };
    let inputs: Vec<Fact> = (0..cx.operand_count())
        .map(|index| match cx.ty(index) {
            Type::Sequence(element) => Fact { ty: element.as_ref().clone(), elements: None },
            // Of an operand of unknown type, it is not known either whether it is walked.
            Type::Unknown => Fact::default(),
            _ => cx.fact(index),
        })
        .collect();
    let outputs = inference.infer(body, &inputs)?;
    Ok(outputs.into_iter().map(|fact| Fact { ty: Type::Sequence(Box::new(fact.ty)), elements: None }).collect())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let body = cx.attrs().graph("body").ok_or_else(|| EvalError::invalid("no graph `body`"))?;
    let turns = cx.input(0)?.as_sequence()?.len();
    let mut results: Vec<Vec<Value>> = vec![Vec::new(); body.outputs().len()];
    for turn in 0..turns {
        cx.spend(1)?;
        let inputs = (0..cx.inputs.len()).map(|index| match cx.input(index)? {
            Value::Sequence(values) => values.get(turn).cloned().ok_or_else(|| {
                EvalError::invalid(format!("operand {index} has {} tensors, not {turns}", values.len()))
            }),
            whole => Ok(whole.clone()),
        });
        let outputs = cx.bodies.run(body, inputs.collect::<Result<_, _>>()?)?;
        for (result, value) in results.iter_mut().zip(outputs) {
            result.push(value);
        }
    }
    Ok(results.into_iter().map(Value::Sequence).collect())
}
