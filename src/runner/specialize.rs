//! A model for the inputs at hand: what a file leaves open, extents above all, is settled by the values that go in.

use std::collections::BTreeMap;

use onnxpress_ir::{Dim, Graph, Model, Shape, Symbol, TensorType, Type, ValueId};
use onnxpress_ops::evaluate::Value;
use onnxpress_ops::infer;

/// A copy of the model in which everything is inferred that follows from the shapes of these inputs. Weights are shared.
pub(super) fn at_inputs(model: &Model, inputs: &[Option<Value>]) -> Model {
    let mut model = model.clone();
    let graph = &mut model.graph;
    let sizes = sizes(graph, inputs);
    substitute(graph, &sizes);
    for (id, value) in graph.inputs().to_vec().into_iter().zip(inputs) {
        let ty = match (value, &graph.input(id).default) {
            (Some(value), _) => crate::inputs::type_of(value),
            (None, Some(default)) => Type::tensor(default.dtype(), Shape::from_extents(default.dims())),
            (None, None) => continue,
        };
        graph.input_mut(id).declared = ty.clone();
        graph.set_fact(id.port(0), ty, None);
    }
    infer::graph(graph);
    model
}

/// What the extents of the inputs say about named sizes.
pub(crate) fn sizes(graph: &Graph, inputs: &[Option<Value>]) -> BTreeMap<Symbol, i64> {
    let mut sizes = BTreeMap::new();
    for (&id, value) in graph.inputs().iter().zip(inputs) {
        let (Some(Value::Tensor(tensor)), Some(shape)) = (value, graph.input(id).declared.shape()) else { continue };
        for (dim, &extent) in shape.iter().zip(tensor.dims()) {
            if let (Some(symbol), Ok(extent)) = (dim.as_symbol(), i64::try_from(extent)) {
                sizes.entry(symbol.clone()).or_insert(extent);
            }
        }
    }
    sizes
}

fn substitute(graph: &mut Graph, sizes: &BTreeMap<Symbol, i64>) {
    let known = |dim: &Dim| dim.substitute(|symbol| sizes.get(symbol).map(|&size| Dim::from(size)));
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
