//! Inference over whole graphs: topological order, what the file declares merged with what follows, subgraphs inside out.

use std::sync::atomic::{AtomicU32, Ordering};

use onnxpress_ir::{
    Callables, Dim, Fact, Function, Graph, InferError, Model, NodeId, Semantics, Shape, Symbol, Type, ValueId, Vertex,
};

use super::{BodyInference, InferCx, Undecided};
use crate::node::NodeCx;
use crate::operator::Infer;
use crate::table;

/// What inference came upon over a model.
#[derive(Debug, Default, Clone)]
pub struct Inferred {
    /// Nodes that contradict their operator's definition.
    pub invalid: Vec<InferError>,
    /// Declared types that what follows contradicts; what follows was believed.
    pub contradicted: Vec<String>,
    /// Where [`readers_of`] found more than was known: each node of whose outputs it did, once.
    pub sharpened: Vec<NodeId>,
}

/// How deep calls of functions are followed; inlining follows them all.
const MAX_CALLS: usize = 32;

/// How many nodes of functions are looked at, counted for each call: functions that call functions twice double with every
/// level.
const MAX_CALLED_NODES: usize = 1 << 20;

/// A walk over a model: the functions that its nodes may call, and what was found so far.
pub(super) struct Walk<'m> {
    callables: Callables<'m>,
    /// The functions that are being called, by their places in the list.
    calls: Vec<usize>,
    /// Nodes of functions that may still be looked at.
    left: usize,
    pub(super) found: Inferred,
}

impl<'m> Walk<'m> {
    fn over(functions: &'m [Function]) -> Self {
        let callables = Callables::of(functions);
        Self { callables, calls: Vec::new(), left: MAX_CALLED_NODES, found: Inferred::default() }
    }

    /// What a call gives: the body of the function, inferred for these operands. Which nodes stand in the model's own body
    /// of it learns nothing from that, since another call may have operands of other types.
    fn call(&mut self, graph: &Graph, id: NodeId, place: usize) -> Result<Vec<Fact>, Undecided> {
        let (Some(function), Some(cx)) = (self.callables.functions().get(place), NodeCx::new(graph, id)) else {
            return Err(Undecided::Unknown);
        };
        let left = self.left.checked_sub(function.body.node_count());
        let (Some(left), false) = (left, self.calls.contains(&place) || self.calls.len() >= MAX_CALLS) else {
            return Err(Undecided::Unknown);
        };
        self.left = left;
        let inputs: Vec<Fact> = (0..function.body.inputs().len()).map(|index| cx.fact(index)).collect();
        let mut body = function.body_at(cx.node);
        let known = self.found.invalid.len();
        self.calls.push(place);
        let outputs = BodyInference::of_call(self).infer(&mut body, &inputs);
        self.calls.pop();
        for error in self.found.invalid.get_mut(known..).unwrap_or_default() {
            let reason = format!("in function `{}`, {error}", function.name);
            *error = InferError { node: graph.describe(id), reason };
        }
        outputs
    }
}

/// Numbers for extents that nobody named. They are compared, never printed, so one counter serves all models.
static NEXT_SYMBOL: AtomicU32 = AtomicU32::new(0);

/// The number that the next unnamed extent will get.
pub(super) fn minted() -> u32 {
    NEXT_SYMBOL.load(Ordering::Relaxed)
}

/// An extent that nobody named.
pub(super) fn fresh() -> Dim {
    Dim::from(Symbol::Anonymous(NEXT_SYMBOL.fetch_add(1, Ordering::Relaxed)))
}

/// The semantics of the standard's operators, for [`Edit`](onnxpress_ir::Edit).
#[derive(Debug, Clone, Copy, Default)]
pub struct Standard;

impl Semantics for Standard {
    fn infer(&self, graph: &Graph, node: NodeId) -> Result<Vec<Fact>, InferError> {
        let Some(cx) = NodeCx::new(graph, node) else { return Ok(Vec::new()) };
        let facts = match facet(&cx) {
            Infer::Bodies(infer) => {
                // The bodies stay as they are: whoever adds a node with subgraphs has annotated them.
                let mut copies: Vec<Graph> = cx.node.subgraphs().cloned().collect();
                let mut walk = Walk::over(&[]);
                infer(&cx, &mut copies.iter_mut().collect::<Vec<_>>(), &mut BodyInference::new(&cx, &mut walk))
            }
            other => outputs(&cx, other),
        };
        match facts {
            Ok(facts) => Ok(settle(graph, node, facts)),
            Err(Undecided::Unknown) => Ok(settle(graph, node, Vec::new())),
            Err(Undecided::Invalid(reason)) => Err(InferError { node: graph.describe(node), reason }),
        }
    }
}

fn facet(cx: &NodeCx<'_>) -> Infer {
    table::of(cx.node).map_or(Infer::NotPossible("the operator is not known"), |operator| operator.infer)
}

fn outputs(cx: &NodeCx<'_>, facet: Infer) -> Result<Vec<Fact>, Undecided> {
    match facet {
        Infer::With(infer) => {
            let mut cx = InferCx::new(*cx);
            match infer(&mut cx) {
                // What was set before too little was known holds all the same.
                Ok(()) | Err(Undecided::Unknown) => Ok(cx.into_facts()),
                Err(invalid) => Err(invalid),
            }
        }
        Infer::Bodies(_) | Infer::NotPossible(_) => Err(Undecided::Unknown),
    }
}

/// One fact a port. An extent that nobody knows gets a symbol: the one it had before, or a new one.
fn settle(graph: &Graph, node: NodeId, mut facts: Vec<Fact>) -> Vec<Fact> {
    let ports = graph.vertex(node).ports();
    facts.resize(ports.len(), Fact::default());
    for (port, fact) in ports.iter().zip(&mut facts) {
        let old = port.ty.shape();
        if let Type::Tensor(tensor) = &mut fact.ty
            && let Some(shape) = &tensor.shape
            && shape.iter().any(Dim::is_unknown)
        {
            let named = |(axis, dim): (usize, &Dim)| match old.filter(|old| old.len() == shape.len()) {
                _ if !dim.is_unknown() => dim.clone(),
                Some(old) if matches!(old[axis].as_symbol(), Some(Symbol::Anonymous(_))) => old[axis].clone(),
                _ => fresh(),
            };
            tensor.shape = Some(shape.iter().enumerate().map(named).collect::<Shape>());
        }
    }
    facts
}

/// Annotates a graph whose inputs and captures are annotated already.
pub(super) fn annotate(graph: &mut Graph, walk: &mut Walk<'_>) {
    let Ok(order) = graph.topological() else { return };
    for id in order {
        annotate_node(graph, id, walk);
    }
}

fn annotate_node(graph: &mut Graph, id: NodeId, walk: &mut Walk<'_>) {
    let Some(cx) = NodeCx::new(graph, id) else { return };
    let inferred = match (walk.callables.called_by(cx.node), facet(&cx)) {
        (Some(place), _) => walk.call(graph, id, place),
        // Bodies may be optional, so there may be none.
        (None, facet @ Infer::Bodies(_)) => with_bodies(graph, id, facet, walk),
        (None, facet) => outputs(&cx, facet),
    };
    let facts = match inferred {
        Ok(facts) => facts,
        Err(Undecided::Unknown) => Vec::new(),
        Err(Undecided::Invalid(reason)) => {
            walk.found.invalid.push(InferError { node: graph.describe(id), reason });
            Vec::new()
        }
    };
    let facts = settle(graph, id, facts);
    for (port, fact) in (0u32..).zip(facts) {
        accept(graph, id.port(port), fact, &mut walk.found);
    }
}

/// Takes the bodies out of the node, so that they can be annotated while the graph around them is read.
fn with_bodies(graph: &mut Graph, id: NodeId, facet: Infer, walk: &mut Walk<'_>) -> Result<Vec<Fact>, Undecided> {
    let mut bodies: Vec<Graph> = graph.annotating_subgraphs(id).map(std::mem::take).collect();
    let result = match (facet, NodeCx::new(graph, id)) {
        (Infer::Bodies(infer), Some(cx)) => {
            infer(&cx, &mut bodies.iter_mut().collect::<Vec<_>>(), &mut BodyInference::new(&cx, walk))
        }
        _ => Err(Undecided::Unknown),
    };
    for (slot, body) in graph.annotating_subgraphs(id).zip(bodies) {
        *slot = body;
    }
    result
}

/// Merges what follows with what was known of the value (declared by the file, or inferred before).
fn accept(graph: &mut Graph, value: ValueId, fact: Fact, found: &mut Inferred) {
    let port = graph.port(value);
    let ty = match fact.ty.merge(&port.ty) {
        Ok(ty) => ty,
        Err(conflict) => {
            found.contradicted.push(format!("`{}`: {conflict}", graph.label(value)));
            fact.ty
        }
    };
    let elements = fact.elements.or_else(|| port.elements.clone());
    graph.set_fact(value, ty, elements);
}

/// Infers one graph, whose nodes may call these functions, from what is declared of its inputs.
pub fn graph(graph: &mut Graph, functions: &[Function]) -> Inferred {
    let mut walk = Walk::over(functions);
    from_inputs(graph, &mut walk);
    walk.found
}

fn from_inputs(graph: &mut Graph, walk: &mut Walk<'_>) {
    let inputs: Vec<NodeId> = graph.inputs().to_vec();
    for id in inputs {
        let value = id.port(0);
        let ty = match &graph.port(value).ty {
            Type::Tensor(tensor) => {
                let shape = tensor.shape.as_ref().map(|shape| {
                    shape.iter().map(|dim| if dim.is_unknown() { fresh() } else { dim.clone() }).collect::<Shape>()
                });
                Type::tensor(tensor.dtype, shape)
            }
            other => other.clone(),
        };
        graph.set_fact(value, ty, None);
    }
    annotate(graph, walk);
}

/// Infers the main graph, through its calls of functions, and, as far as that goes without the types of a call, the bodies of
/// functions themselves.
pub fn model(model: &mut Model) -> Inferred {
    let mut found = graph(&mut model.graph, &model.functions);
    for function in &mut model.functions {
        // Calls in the bodies of functions are left alone: what goes in is hardly ever known.
        let inside = graph(&mut function.body, &[]);
        found.invalid.extend(inside.invalid);
    }
    found
}

/// Infers again what depends on these vertices, as far as something new follows.
pub fn readers_of(graph: &mut Graph, changed: &[NodeId]) -> Inferred {
    let mut walk = Walk::over(&[]);
    let mut queue: std::collections::VecDeque<NodeId> = changed.iter().copied().collect();
    while let Some(id) = queue.pop_front() {
        if !matches!(graph.get(id), Some(Vertex::Node(_))) {
            continue;
        }
        let before: Vec<_> =
            graph.vertex(id).ports().iter().map(|port| (port.ty.clone(), port.elements.clone())).collect();
        annotate_node(graph, id, &mut walk);
        for (port, (ty, elements)) in (0u32..).zip(before) {
            let value = id.port(port);
            let now = graph.port(value);
            if now.ty != ty || now.elements != elements {
                queue.extend(graph.readers(value).map(|reading| reading.node));
                walk.found.sharpened.push(id);
            }
        }
    }
    walk.found.sharpened.sort_unstable();
    walk.found.sharpened.dedup();
    walk.found
}
