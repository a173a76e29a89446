//! A size in the place of a symbol, wherever it stands.

use std::collections::BTreeMap;

use onnxpress_ir::{Dim, Fact, Graph, NodeId, Shape, Symbol, Type, ValueId};

/// Sizes of symbols.
pub(super) type Sizes = BTreeMap<Symbol, i64>;

/// Puts sizes in the place of their symbols: in what inputs and outputs declare, in the list of types and in all that is
/// known of values, in the graph and inside of it.
pub(super) fn substitute(graph: &mut Graph, sizes: &Sizes) {
    for id in graph.inputs().to_vec() {
        graph.input_mut(id).declared = at(&graph.input(id).declared, sizes);
    }
    for id in graph.outputs().to_vec() {
        graph.output_mut(id).declared = at(&graph.output(id).declared, sizes);
    }
    for entry in &mut graph.declared {
        entry.ty = at(&entry.ty, sizes);
    }
    let mut facts: Vec<(ValueId, Fact)> = Vec::new();
    for (id, vertex) in graph.vertices() {
        for (port, known) in (0u32..).zip(vertex.ports()) {
            let elements = known.elements.as_ref().map(|elements| elements.iter().map(|dim| of(dim, sizes)).collect());
            facts.push((id.port(port), Fact { ty: at(&known.ty, sizes), elements }));
        }
    }
    for (value, fact) in facts {
        graph.set_fact(value, fact.ty, fact.elements);
    }
    let holders: Vec<NodeId> = graph.nodes().filter(|(_, node)| node.has_subgraphs()).map(|(id, _)| id).collect();
    for id in holders {
        graph.subgraphs_mut(id).for_each(|body| substitute(body, sizes));
    }
    graph.touch();
}

fn of(dim: &Dim, sizes: &Sizes) -> Dim {
    dim.substitute(|symbol| sizes.get(symbol).map(|&size| Dim::from(size)))
}

/// The type at these sizes.
fn at(ty: &Type, sizes: &Sizes) -> Type {
    let shape = |shape: &Shape| shape.iter().map(|dim| of(dim, sizes)).collect::<Shape>();
    match ty {
        Type::Tensor(tensor) => Type::tensor(tensor.dtype, tensor.shape.as_ref().map(shape)),
        Type::Sequence(element) => Type::Sequence(Box::new(at(element, sizes))),
        Type::Optional(element) => Type::Optional(Box::new(at(element, sizes))),
        Type::Map(key, value) => Type::Map(*key, Box::new(at(value, sizes))),
        other => other.clone(),
    }
}
