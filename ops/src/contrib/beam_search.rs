//! `BeamSearch`: a whole generation of text, the decoder inside.
//!
//! Output 0 holds `[batch, num_return_sequences, max_length]` tokens.
//!
//! Source: onnxruntime, "Contrib Operators", `com.microsoft.BeamSearch`, version 1.

use onnxpress_ir::{DType, Dim, Fact, Graph, Shape, Type};

use super::DOMAIN;
use crate::axes::Axes;
use crate::gradient::Gradient;
use crate::infer::{BodyInference, Undecided};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::Parameters;

pub(crate) static BEAM_SEARCH: Operator = Operator {
    domain: DOMAIN,
    name: "BeamSearch",
    infer: Infer::Bodies(infer),
    axes: Axes::Opaque("only its subgraphs compute"),
    evaluate: Evaluate::NotPossible(
        "how beams are kept, scored and ended is nowhere defined but in onnxruntime's code",
    ),
    linear: Linear::None("only its subgraphs compute"),
    quantize: Quantize::KeepsFloat("only its subgraphs compute"),
    cost: Cost::None("only its subgraphs compute"),
    effects: Effects::OfBodies,
    gradient: Gradient::NotPossible("it searches"),
};

fn infer(
    cx: &NodeCx<'_>,
    bodies: &mut [&mut Graph],
    inference: &mut BodyInference<'_, '_>,
) -> Result<Vec<Fact>, Undecided> {
    for body in bodies.iter_mut() {
        // Inputs grow from token to token, so no more is known of them than ranks and element types.
        let inputs = vec![Fact::default(); body.inputs().len()];
        inference.infer(body, &inputs)?;
    }
    let entry = |index: usize| cx.sole_entry(index).ok().flatten().unwrap_or_default();
    let batch = cx.shape(0).and_then(|ids| ids.first().cloned()).unwrap_or_default();
    let sequences = [batch, entry(4), entry(1)].into_iter().collect::<Shape>();
    let scores = sequences[..2].iter().cloned().collect::<Shape>();
    let types = [
        Type::tensor(DType::Int32, sequences),
        Type::tensor(cx.dtype(5), scores),
        Type::tensor(cx.dtype(5), Shape::from(vec![Dim::unknown(); 4])),
    ];
    Ok(types.into_iter().map(|ty| Fact { ty, elements: None }).collect())
}
