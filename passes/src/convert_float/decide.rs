//! Which nodes compute in the narrower type, and why the others do not.

use std::collections::{BTreeMap, HashMap, HashSet};

use onnxpress_ir::{DType, Graph, NodeId, Type, ValueId, Vertex};
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::operator::{Linear, Quantize};
use onnxpress_ops::schema::{self, OpSchema, TypeRef};
use onnxpress_ops::table;

use super::rules::{self, Effect, Fit};
use crate::evidence::{Evidence, Statistics};
use crate::options::Pattern;

/// What is converted into what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Types {
    pub(super) from: DType,
    pub(super) to: DType,
}

/// The largest magnitudes of values, as far as samples show them.
#[derive(Debug, Default)]
pub(super) struct Seen {
    peaks: BTreeMap<ValueId, f64>,
    /// Whether samples are made up: a value that leaves the range on them does so, one that does not may on others.
    synthetic: bool,
}

impl Seen {
    /// Of what was measured. A value of which some elements are no numbers, or are a mask's, says nothing.
    pub(super) fn of(evidence: &Evidence) -> Self {
        let known = evidence.values.iter().filter(|(_, seen)| seen.count > 0 && seen.masked == 0);
        let peak = |seen: &Statistics| f64::from(seen.max.abs().max(seen.min.abs()));
        Self { peaks: known.map(|(&value, seen)| (value, peak(seen))).collect(), synthetic: evidence.synthetic }
    }

    /// Whether it is known how large a value becomes.
    fn has(&self, value: ValueId) -> bool {
        !self.synthetic && self.peaks.contains_key(&value)
    }

    /// Why a value does not fit into the narrower type, where samples say so.
    pub(super) fn misfit(&self, graph: &Graph, value: ValueId, types: Types) -> Option<String> {
        let &peak = self.peaks.get(&value)?;
        let (largest, least) = rules::limits(types.to);
        let label = graph.label(value);
        // Other samples reach farther.
        if peak > largest / 2.0 {
            let on = if self.synthetic { "a random input" } else { "samples" };
            return Some(format!("`{label}` reaches {peak:.3e} on {on}, the largest number is {largest:.3e}"));
        }
        let tiny = !self.synthetic && peak > 0.0 && peak < least;
        tiny.then(|| format!("`{label}` is {peak:.3e} at most on samples, too small for it"))
    }
}

/// What a node computes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The narrower type.
    Narrow,
    /// What it did before, for the range of what it computes; its weights may be stored in the narrower type. Why, where that is worth
    /// a word.
    Guarded(Option<String>),
    /// What it did before, since it has no choice or nobody wants another; why, where that is worth a word.
    Wide(Option<String>),
}

/// What was decided of a graph, and of those inside.
#[derive(Debug, Default)]
pub(super) struct Decision {
    verdicts: HashMap<NodeId, Verdict>,
    /// Values that may leave the range of the narrower type.
    wide: HashSet<ValueId>,
    bodies: HashMap<NodeId, Vec<Decision>>,
}

impl Decision {
    /// Whether a node computes in the narrower type.
    pub(super) fn is_narrow(&self, node: NodeId) -> bool {
        self.verdicts.get(&node) == Some(&Verdict::Narrow)
    }

    /// Whether a node computes in the wider type for the range of its values alone.
    pub(super) fn is_guarded(&self, node: NodeId) -> bool {
        matches!(self.verdicts.get(&node), Some(Verdict::Guarded(_)))
    }

    /// What was decided of the graphs inside of a node.
    pub(super) fn bodies(&self, node: NodeId) -> &[Self] {
        self.bodies.get(&node).map_or(&[], Vec::as_slice)
    }

    /// Tells the reasons, in the order of the file.
    pub(super) fn each_reason(&self, graph: &Graph, tell: &mut dyn FnMut(String, String)) {
        for (id, node) in graph.nodes() {
            if let Some(Verdict::Wide(Some(reason)) | Verdict::Guarded(Some(reason))) = self.verdicts.get(&id) {
                tell(graph.describe(id), reason.clone());
            }
            for (body, decision) in node.subgraphs().zip(self.bodies(id)) {
                decision.each_reason(body, tell);
            }
        }
    }
}

/// Whether a pattern names a node of a graph or one inside of it.
pub(super) fn any_named(graph: &Graph, pattern: &Pattern) -> bool {
    graph.nodes().any(|(id, node)| named(graph, id, pattern) || node.subgraphs().any(|body| any_named(body, pattern)))
}

fn named(graph: &Graph, id: NodeId, pattern: &Pattern) -> bool {
    let Some(node) = graph.node(id) else { return false };
    let outputs = node.ports().iter().filter_map(|port| port.name.as_ref());
    node.name.iter().chain(outputs).any(|name| pattern.matches(&name.to_str()))
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) types: Types,
    /// Nodes that stay.
    pub(super) keep: &'a [Pattern],
    /// What values of the main graph were seen to be.
    pub(super) seen: &'a Seen,
}

/// Decides of the main graph.
pub(super) fn graph(main: &Graph, asked: Asked<'_>) -> Decision {
    of_graph(main, asked, &[])
}

/// Decides of a graph. `captured_wide` says of each implicit operand of the node around it whether it may leave the range.
fn of_graph(graph: &Graph, asked: Asked<'_>, captured_wide: &[bool]) -> Decision {
    let mut decision = Decision::default();
    let inputs = graph.inputs().iter().map(|id| id.port(0));
    decision.wide.extend(inputs.filter(|&input| asked.seen.misfit(graph, input, asked.types).is_some()));
    for (id, capture) in graph.captures() {
        if captured_wide.get(capture.operand as usize) == Some(&true) {
            decision.wide.insert(id.port(0));
        }
    }
    let Ok(order) = graph.topological() else { return decision };
    for id in order {
        let Some(cx) = NodeCx::new(graph, id) else { continue };
        let verdict = if cx.node.has_subgraphs() {
            holder(&cx, asked, &mut decision)
        } else {
            let (verdict, wide) = node(&cx, asked, &decision.wide);
            if wide {
                decision.wide.extend((0..cx.node.port_count() as u32).map(|port| id.port(port)));
            }
            verdict
        };
        decision.verdicts.insert(id, verdict);
    }
    decision
}

/// A node with subgraphs hands on what these give, so it is narrow where they are.
fn holder(cx: &NodeCx<'_>, asked: Asked<'_>, decision: &mut Decision) -> Verdict {
    let Asked { types, keep, .. } = asked;
    // What is inside is not measured, and has numbers of its own for its values.
    let inside = Asked { seen: &Seen::default(), ..asked };
    let captured: Vec<bool> = cx
        .graph
        .implicit_operands(cx.id)
        .map(|value| value.is_some_and(|value| decision.wide.contains(&value)))
        .collect();
    let bodies: Vec<Decision> = cx.node.subgraphs().map(|body| of_graph(body, inside, &captured)).collect();
    let gives_wide = cx.node.subgraphs().zip(&bodies).any(|(body, inner)| {
        let given = body.outputs().iter().filter_map(|&output| body.operand(output, 0));
        given.into_iter().any(|value| inner.wide.contains(&value))
    });
    let reads_wide = cx.graph.operands(cx.id).flatten().any(|value| decision.wide.contains(&value));
    let known = ["If", "Loop", "Scan"].iter().any(|name| cx.node.is(name));
    // An optional or a sequence of floats would change its type with what is inside of it.
    let plain = interface(cx).all(|ty| !holds_floats(ty, types.from) || matches!(ty, Type::Tensor(_)));
    let typed = interface(cx).all(|ty| !ty.is_unknown());
    let lacking = schema_of(cx).is_some_and(|schema| takes_everywhere(cx, schema, types) == Some(false));
    decision.bodies.insert(cx.id, bodies);
    if gives_wide
        || reads_wide
        || !known
        || !plain
        || !typed
        || lacking
        || keep.iter().any(|pattern| named(cx.graph, cx.id, pattern))
    {
        let ports = (0..cx.node.port_count() as u32).map(|port| cx.id.port(port));
        if gives_wide {
            decision.wide.extend(ports);
        }
        return Verdict::Wide(lacking.then(|| format!("{} {}", cx.node.op_type.to_str(), lacks(cx, types))));
    }
    Verdict::Narrow
}

/// The types of what goes into a node with subgraphs and comes out, there and inside.
fn interface<'a>(cx: &NodeCx<'a>) -> impl Iterator<Item = &'a Type> {
    let (graph, node) = (cx.graph, cx.node);
    let inside = node.subgraphs().flat_map(|body| {
        let inputs = body.inputs().iter().map(|&id| body.ty(id.port(0)));
        inputs.chain(body.outputs().iter().filter_map(|&output| body.operand(output, 0)).map(|value| body.ty(value)))
    });
    let operands = graph.operands(cx.id).flatten().map(|value| graph.ty(value));
    operands.chain(node.ports().iter().filter(|port| !port.omitted).map(|port| &port.ty)).chain(inside)
}

fn holds_floats(ty: &Type, from: DType) -> bool {
    match ty {
        Type::Tensor(tensor) | Type::SparseTensor(tensor) => tensor.dtype == Some(from),
        Type::Sequence(inner) | Type::Optional(inner) | Type::Map(_, inner) => holds_floats(inner, from),
        Type::Unknown | Type::Opaque { .. } => false,
    }
}

/// Whether the operand of a node can be of another float type: its type is a parameter that stands for that too.
pub(super) fn operand_converts(cx: &NodeCx<'_>, slot: usize, types: Types) -> bool {
    let Some(schema) = schema_of(cx) else { return false };
    let formal = schema.input(slot);
    formal.is_some_and(|formal| matches!(formal.types, TypeRef::Parameter(_)) && takes(schema, formal, types.to))
}

/// Whether the result of a narrow node is of the narrower type.
pub(super) fn output_converts(cx: &NodeCx<'_>, port: usize, types: Types) -> bool {
    if cx.node.has_subgraphs() {
        return true;
    }
    let Some(schema) = schema_of(cx) else { return false };
    let formal = schema.output(port);
    formal.is_some_and(|formal| matches!(formal.types, TypeRef::Parameter(_)) && takes(schema, formal, types.to))
}

fn takes(schema: &OpSchema, formal: &schema::Formal, dtype: DType) -> bool {
    schema.constraint(formal).is_some_and(|constraint| constraint.types.tensors.contains(dtype))
}

fn schema_of(cx: &NodeCx<'_>) -> Option<&'static OpSchema> {
    schema::schema(cx.node.canonical_domain(), cx.node.op_type.as_bytes(), cx.version)
}

/// What a node without subgraphs computes in, and whether its results may leave the range.
fn node(cx: &NodeCx<'_>, asked: Asked<'_>, wide: &HashSet<ValueId>) -> (Verdict, bool) {
    let (graph, Asked { types, keep, seen }) = (cx.graph, asked);
    let floats = |value: &ValueId| graph.ty(*value).dtype() == Some(types.from);
    let reads_wide = graph.operands(cx.id).flatten().any(|value| wide.contains(&value));
    let reads_misfit = graph.operands(cx.id).flatten().any(|value| seen.misfit(graph, value, types).is_some());
    let gives = cx.node.ports().iter().any(|port| port.ty.dtype() == Some(types.from));
    let reads = graph.operands(cx.id).flatten().any(|value| floats(&value));
    if !gives && !reads {
        return (Verdict::Wide(None), false);
    }
    let stays = |reason: Option<String>, wide: bool| (Verdict::Wide(reason), wide);
    let operator = cx.node.op_type.to_str();
    let given = cx.node.ports().iter().enumerate().filter(|(_, port)| !port.omitted);
    let mut outputs = given.map(|(port, _)| cx.id.port(port as u32)).filter(&floats);
    let misfits = outputs.clone().find_map(|output| seen.misfit(graph, output, types));
    // What was measured is known, and needs no rule but for what is in between.
    let fits = gives && misfits.is_none() && outputs.all(|output| seen.has(output));
    let reads_wide_on = reads_wide && !fits || misfits.is_some();
    if keep.iter().any(|pattern| named(graph, cx.id, pattern)) {
        return stays(Some("`keep` names it".to_owned()), reads_wide_on);
    }
    if let Some(reason) = unable(cx, types) {
        return stays(reason.map(|reason| format!("{operator} {reason}")), reads_wide_on);
    }
    let guarded = |reason: Option<String>, wide: bool| (Verdict::Guarded(reason), wide);
    if misfits.is_some() {
        return guarded(misfits, true);
    }
    // What a float of 32 bits cannot hold is rare, and is told by constants alone.
    let effect = if types.from == DType::Double { Effect::Keeps } else { rules::effect(cx) };
    match effect {
        Effect::Widens(reason) if gives && !fits => guarded(Some(format!("{operator}: {reason}")), true),
        Effect::WidensInside(reason) if gives => guarded(Some(format!("{operator}: {reason}")), !fits),
        Effect::Averages => guarded(Some(format!("{operator}: many numbers are summed")), reads_wide_on),
        Effect::Narrows if reads_wide => guarded(None, false),
        _ if reads_wide && (fits || reads_misfit || !multiplies_constant(cx)) => guarded(None, !fits),
        _ => match misfit(cx, types) {
            Some(reason) => guarded(Some(reason), true),
            None => (Verdict::Narrow, false),
        },
    }
}

/// Whether it is a layer: it reads whatever there is in the narrower type, for the sake of its weight.
fn multiplies_constant(cx: &NodeCx<'_>) -> bool {
    weights(cx).into_iter().any(|slot| cx.constant(slot).is_some())
}

/// The operands of a node that are matrices it multiplies by.
pub(super) fn weights(cx: &NodeCx<'_>) -> Vec<usize> {
    let Some(Linear::Layers(layers)) = table::of(cx.node).map(|sheet| sheet.linear) else { return Vec::new() };
    layers(cx).iter().map(|layer| layer.weight).collect()
}

/// Why the operator cannot compute in the type; the inner reason is left out where it is obvious.
fn unable(cx: &NodeCx<'_>, types: Types) -> Option<Option<String>> {
    let graph = cx.graph;
    let sheet = table::of(cx.node);
    if sheet.is_some_and(|sheet| sheet.quantize == Quantize::Quantized) {
        return Some(None);
    }
    let Some(schema) = schema_of(cx) else { return Some(Some("is not known".to_owned())) };
    let tensors = |ty: &Type| !holds_floats(ty, types.from) || matches!(ty, Type::Tensor(_));
    let open = |ty: &Type| ty.is_unknown() || matches!(ty, Type::Tensor(tensor) if tensor.dtype.is_none());
    if graph.operands(cx.id).flatten().any(|value| open(graph.ty(value))) {
        return Some(Some("reads what is of no known type".to_owned()));
    }
    let operands = graph.operands(cx.id).flatten().map(|value| graph.ty(value));
    if !operands.chain(cx.node.ports().iter().map(|port| &port.ty)).all(tensors) {
        return Some(Some("hands on sequences or optionals".to_owned()));
    }
    // What an attribute says the type is.
    let typed = ["dtype", "output_dtype", "precision"].iter().any(|name| cx.node.attr(name).is_some());
    if typed {
        return Some(Some("has its type in an attribute".to_owned()));
    }
    let by_attribute = ["RandomNormal", "RandomUniform", "EyeLike", "Multinomial", "Bernoulli"];
    if by_attribute.iter().any(|name| cx.node.is(name)) {
        return Some(Some("has its type in an attribute".to_owned()));
    }
    if neighbours_quantized(cx) {
        return Some(Some("computes on what is quantized".to_owned()));
    }
    match takes_everywhere(cx, schema, types) {
        None => Some(None),
        Some(true) => None,
        Some(false) => Some(Some(lacks(cx, types))),
    }
}

/// Whether a node takes and gives the narrower type wherever it has the other one in an operand or result whose type is open;
/// `None` where there is none such.
fn takes_everywhere(cx: &NodeCx<'_>, schema: &OpSchema, types: Types) -> Option<bool> {
    let operands = (0..).zip(cx.graph.operands(cx.id));
    let formals = operands.filter_map(|(slot, value)| Some((schema.input(slot)?, cx.graph.ty(value?))));
    let results = (0..).zip(cx.node.ports()).filter_map(|(port, it)| Some((schema.output(port)?, &it.ty)));
    let open = |(formal, ty): &(&schema::Formal, &Type)| {
        ty.dtype() == Some(types.from) && matches!(formal.types, TypeRef::Parameter(_))
    };
    let taken = formals.chain(results).filter(open).map(|(formal, _)| takes(schema, formal, types.to));
    taken.reduce(|all, one| all && one)
}

fn lacks(cx: &NodeCx<'_>, types: Types) -> String {
    format!("has no {} at opset {}", types.to, cx.version)
}

/// Whether an operand comes out of a quantization, or a result goes into one.
fn neighbours_quantized(cx: &NodeCx<'_>) -> bool {
    let graph = cx.graph;
    let quantized =
        |id: NodeId| graph.node(id).and_then(table::of).is_some_and(|sheet| sheet.quantize == Quantize::Quantized);
    let readers = (0..cx.node.port_count() as u32).flat_map(|port| graph.readers(cx.id.port(port)));
    graph.operands(cx.id).flatten().any(|value| quantized(value.node))
        || readers.into_iter().any(|reading| quantized(reading.node))
}

/// The first constant that the node reads and the type cannot hold; why. Of a weight every product is as small as its elements are; what is
/// added counts for little where it is small.
fn misfit(cx: &NodeCx<'_>, types: Types) -> Option<String> {
    let weights = weights(cx);
    (0..cx.operand_count()).find_map(|slot| {
        let value = cx.operand(slot)?;
        let tensor = cx.graph.constant(value).filter(|tensor| tensor.dtype() == types.from)?;
        if !operand_converts(cx, slot, types) {
            return None;
        }
        let label = cx.graph.label(value);
        match rules::fit(tensor, types, &label) {
            Fit::Not(reason) => Some(reason),
            Fit::Well { tiny: true, .. } if weights.contains(&slot) => {
                Some(format!("the elements of `{label}` are too small for it"))
            }
            _ => None,
        }
    })
}

/// Whether a value is of the type that is converted.
pub(super) fn is_converted(graph: &Graph, value: ValueId, types: Types) -> bool {
    graph.ty(value).dtype() == Some(types.from) && matches!(graph.ty(value), Type::Tensor(_))
}

/// Whether a value is a constant that no caller overrides.
pub(super) fn is_constant(graph: &Graph, value: ValueId) -> bool {
    matches!(graph.get(value.node), Some(Vertex::Constant(constant)) if constant.value.dense().is_some())
}
