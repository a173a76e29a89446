//! A model for the inputs at hand: what a file leaves open, extents above all, is settled by the values that go in.

use std::collections::BTreeMap;

use onnxpress_ir::{Dim, Graph, Model, Shape, Symbol, TensorType, Type, ValueId};
use onnxpress_ops::evaluate::Value;
use onnxpress_ops::infer::{self, Inferred};

/// A copy of the model in which everything is inferred that follows from the types of these inputs. Weights are shared.
pub(super) fn at_inputs(model: &Model, inputs: &[Option<Value>]) -> Model {
    let types: Vec<_> = inputs.iter().map(|value| value.as_ref().map(crate::inputs::type_of)).collect();
    at_types(model, &types).0
}

/// The same for inputs of which only the types are at hand; `None` stands for an input that takes its default. Answers also
/// what inference came upon: whatever it calls invalid cannot be run.
pub(crate) fn at_types(model: &Model, types: &[Option<Type>]) -> (Model, Inferred) {
    let mut model = model.clone();
    let graph = &mut model.graph;
    let sizes = sizes(graph, types);
    substitute(graph, &sizes);
    for (id, ty) in graph.inputs().to_vec().into_iter().zip(types) {
        let ty = match (ty, &graph.input(id).default) {
            (Some(ty), _) => ty.clone(),
            (None, Some(default)) => Type::tensor(default.dtype(), Shape::from_extents(default.dims())),
            (None, None) => continue,
        };
        graph.input_mut(id).declared = ty.clone();
        graph.set_fact(id.port(0), ty, None);
    }
    let inferred = infer::graph(graph, &model.functions);
    (model, inferred)
}

/// What the extents of the inputs say about named sizes.
fn sizes(graph: &Graph, types: &[Option<Type>]) -> BTreeMap<Symbol, Dim> {
    let mut sizes = BTreeMap::new();
    for (&id, ty) in graph.inputs().iter().zip(types) {
        let (Some(given), Some(declared)) = (ty.as_ref().and_then(Type::shape), graph.input(id).declared.shape())
        else {
            continue;
        };
        for (declared, given) in declared.iter().zip(given.iter()) {
            if let Some(symbol) = declared.as_symbol() {
                sizes.entry(symbol.clone()).or_insert_with(|| given.clone());
            }
        }
    }
    sizes
}

fn substitute(graph: &mut Graph, sizes: &BTreeMap<Symbol, Dim>) {
    let known = |dim: &Dim| dim.substitute(|symbol| sizes.get(symbol).cloned());
    let mut facts: Vec<(ValueId, Type)> = Vec::new();
    for (id, vertex) in graph.vertices() {
        for (port, index) in vertex.ports().iter().zip(0u32..) {
            if let Type::Tensor(TensorType { dtype, shape: Some(shape) }) = &port.ty
                && shape.iter().any(|dim| dim.as_const().is_none())
            {
                facts.push((id.port(index), Type::tensor(*dtype, shape.iter().map(known).collect::<Shape>())));
            }
        }
    }
    for (value, ty) in facts {
        // Elements are inferred anew where they still follow.
        graph.set_fact(value, ty, None);
    }
}
