//! What can be asked of `convert-float`, and the run.

use onnxpress_ir::{DType, Graph, Model, Node, NodeId, ValueId};
use onnxpress_ops::infer;

use super::convert::{self, Converted};
use super::decide::{self, Asked, Seen, Types};
use crate::evidence::{EvidenceSource, First, Wants, collect};
use crate::inline_functions::InlineFunctions;
use crate::options::Pattern;
use crate::pass::{Pass, PassCx, PassError};
use crate::quantize::raise;
use crate::specialize::listed_as_constants;

crate::option_enum! {
    /// A type of floats.
    pub enum FloatType {
        /// 5 bits of exponent, 10 of fraction.
        Float16,
        /// 8 bits of exponent, 7 of fraction.
        Bfloat16,
        /// Doubles become floats of 32 bits.
        Float32,
    }
}

crate::options! {
    /// Computes in floats of fewer bits: main graph and subgraphs; functions are inlined.
    ///
    /// Nodes whose operators have no such type stay, and so do, by rule, those whose values may leave its range: exponentials,
    /// powers and squares, sums over axes, whole numbers that become floats, and what is computed of these until a division or
    /// the like brings it back. Constants that the type cannot hold stay too, but masks, whose large negative numbers become its
    /// least. With samples, values of the main graph are judged by what they are there: what reaches half the largest number of the
    /// type, or is too small for it, stays. Without, one random input shows what is too large whatever rules say. The report names each. Large weights of layers that stay for the range of their values are stored in the type all the same. A `Cast` stands where the types meet, one a value. Initializers that are also inputs are converted
    /// as others are, and stay listed.
    pub struct ConvertFloat {
        /// The type to compute in.
        to: FloatType = FloatType::Float16,
        /// Whether inputs and outputs of the model keep their types.
        keep_io: bool = true,
        /// Whether samples are used: values stay that they show to leave the range, and others need no rule. Without any, whether the
        /// model is run on a random input.
        data: bool = true,
        /// Nodes that stay, by their name or that of an output.
        keep: Vec<Pattern> = Vec::new(),
        /// Whether a model whose opset lacks the type may go to a newer one; otherwise it is refused.
        upgrade: bool = true,
    }
}

impl FloatType {
    /// What is converted into what.
    pub(super) fn types(self) -> Types {
        match self {
            Self::Float16 => Types { from: DType::Float, to: DType::Float16 },
            Self::Bfloat16 => Types { from: DType::Float, to: DType::Bfloat16 },
            Self::Float32 => Types { from: DType::Double, to: DType::Float },
        }
    }

    /// The oldest opset whose operators have the type: those that hold subgraphs have bfloat16 later than arithmetic.
    fn opset(self, graph: &Graph) -> i64 {
        match self {
            Self::Bfloat16 if graph.nodes().any(|(_, node)| node.has_subgraphs()) => 16,
            Self::Bfloat16 => 13,
            _ => 0,
        }
    }

    /// How far arithmetic in the type may be off, of an output's peak: some tens of roundings, which deep models add up.
    const fn tolerance(self) -> f64 {
        match self {
            Self::Float16 => 3e-2,
            Self::Bfloat16 => 2e-1,
            Self::Float32 => 1e-3,
        }
    }
}

impl Pass for ConvertFloat {
    const NAME: &'static str = "convert-float";
    const LOSSY: bool = true;

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        let mut base = model.clone();
        // A weight that callers may give anew is as large as any other.
        listed_as_constants(&mut base, cx)?;
        if !base.functions.is_empty() {
            let mut inlining = PassCx::new(cx.request);
            InlineFunctions::default().run(&mut base, &mut inlining)?;
            infer::model(&mut base);
        }
        let oldest = self.to.opset(&base.graph);
        let (from, to) = raise(&mut base, oldest, self.upgrade, cx)?;
        if from < to {
            cx.notice(format!("the model goes from opset {from} to {to}, whose operators have {}", self.to));
        }
        let types = self.to.types();
        let seen = self.seen(&base, types, cx)?;
        for &input in base.graph.inputs() {
            if let Some(reason) = seen.misfit(&base.graph, input.port(0), types) {
                cx.notice(format!("{reason}; what reads it stays"));
            }
        }
        let decision = decide::graph(&base.graph, Asked { types, keep: &self.keep, seen: &seen });
        for pattern in &self.keep {
            if !decide::any_named(&base.graph, pattern) {
                return Err(PassError::Request(format!("the pattern `{pattern}` matches no node")));
            }
        }
        decision.each_reason(&base.graph, &mut |site, reason| cx.declined(Self::NAME, site, reason));
        let mut result = base.clone();
        let mut witness = base.clone();
        let mut converted = Converted::default();
        let io = convert::Interface { inputs: !self.keep_io, outputs: !self.keep_io, captures: Vec::new() };
        convert::graph(&mut result.graph, Some(&mut witness.graph), &decision, types, &io, &mut converted);
        if converted.nodes + converted.constants == 0 {
            return Ok(());
        }
        infer::model(&mut result);
        infer::model(&mut witness);
        for (name, dtype) in retyped(&model.graph, &result.graph) {
            cx.retyped(&name, dtype);
        }
        for word in converted.words {
            cx.notice(word);
        }
        cx.applied(Self::NAME, converted.nodes);
        cx.set_witness(witness);
        cx.set_tolerance(self.to.tolerance());
        *model = result;
        Ok(())
    }
}

impl ConvertFloat {
    /// What values of the main graph are on samples, as far as they are floats that may be converted.
    fn seen(&self, model: &Model, types: Types, cx: &PassCx<'_>) -> Result<Seen, PassError> {
        let Some(source) = cx.request.evidence.filter(|_| self.data && types.to != DType::Float) else {
            return Ok(Seen::default());
        };
        let graph = &model.graph;
        let mut wants = Wants::default();
        let ports = |(id, node): (NodeId, &Node)| -> Vec<ValueId> {
            let given = node.ports().iter().enumerate().filter(|(_, port)| !port.omitted);
            given.map(|(port, _)| id.port(port as u32)).collect()
        };
        let values = graph.inputs().iter().map(|id| id.port(0)).chain(graph.nodes().flat_map(ports));
        for value in values.filter(|&value| graph.ty(value).dtype() == Some(types.from)) {
            wants.value(value);
        }
        let first = First { source, count: 1 };
        let source: &dyn EvidenceSource = if source.is_synthetic() { &first } else { source };
        match collect(model, &wants, source) {
            Ok(evidence) => Ok(Seen::of(&evidence)),
            // That a model does not run on what is made up says nothing of it.
            Err(_) if source.is_synthetic() => Ok(Seen::default()),
            Err(error) => Err(PassError::Request(error.to_string())),
        }
    }
}

/// Inputs and outputs of a graph that are of another type in its result.
fn retyped(before: &Graph, after: &Graph) -> Vec<(String, DType)> {
    let of = |graph: &Graph| -> Vec<(String, Option<DType>)> {
        let inputs = graph.inputs().iter().map(|&id| (graph.label(id.port(0)), graph.input(id).declared.dtype()));
        let outputs = graph.outputs().iter().map(|&id| graph.output(id));
        inputs.chain(outputs.map(|output| (output.name.to_string(), output.declared.dtype()))).collect()
    };
    let pairs = of(before).into_iter().zip(of(after));
    let other = |((_, old), (name, new)): ((String, Option<DType>), (String, Option<DType>))| {
        new.filter(|_| old != new).map(|dtype| (name, dtype))
    };
    pairs.filter_map(other).collect()
}
