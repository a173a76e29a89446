//! Every tensor of a model, wherever the schema admits one.
//!
//! Weights are not only initializers: attributes hold tensors, subgraphs and functions hold attributes,
//! training information holds graphs, a sparse tensor is two dense ones. Whoever moves data in or out of
//! a model must find them all; this is the one list of the places.

use crate::schema::{AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto};

/// Calls `visit` on every tensor of `model`, in the order of the schema, until it fails.
///
/// Recurses into subgraphs; a model that was read nests at most [`crate::MAX_DEPTH`] messages.
///
/// # Errors
/// The first that `visit` answers.
pub fn try_for_each_tensor<E>(
    model: &mut ModelProto,
    mut visit: impl FnMut(&mut TensorProto) -> Result<(), E>,
) -> Result<(), E> {
    let visit: Visit<'_, E> = &mut visit;
    if let Some(graph) = &mut model.graph {
        in_graph(graph, visit)?;
    }
    for training in &mut model.training_info {
        for graph in training.initialization.iter_mut().chain(&mut training.algorithm) {
            in_graph(graph, visit)?;
        }
    }
    model.functions.iter_mut().try_for_each(|function| in_function(function, visit))
}

type Visit<'a, E> = &'a mut dyn FnMut(&mut TensorProto) -> Result<(), E>;

fn in_graph<E>(graph: &mut GraphProto, visit: Visit<'_, E>) -> Result<(), E> {
    graph.node.iter_mut().try_for_each(|node| in_node(node, visit))?;
    graph.initializer.iter_mut().try_for_each(&mut *visit)?;
    graph.sparse_initializer.iter_mut().try_for_each(|sparse| in_sparse(sparse, visit))
}

fn in_function<E>(function: &mut FunctionProto, visit: Visit<'_, E>) -> Result<(), E> {
    function.node.iter_mut().try_for_each(|node| in_node(node, visit))?;
    function.attribute_proto.iter_mut().try_for_each(|attribute| in_attribute(attribute, visit))
}

fn in_node<E>(node: &mut NodeProto, visit: Visit<'_, E>) -> Result<(), E> {
    node.attribute.iter_mut().try_for_each(|attribute| in_attribute(attribute, visit))
}

fn in_attribute<E>(attribute: &mut AttributeProto, visit: Visit<'_, E>) -> Result<(), E> {
    if let Some(tensor) = &mut attribute.t {
        visit(tensor)?;
    }
    if let Some(graph) = &mut attribute.g {
        in_graph(graph, visit)?;
    }
    attribute.tensors.iter_mut().try_for_each(&mut *visit)?;
    attribute.graphs.iter_mut().try_for_each(|graph| in_graph(graph, visit))?;
    if let Some(sparse) = &mut attribute.sparse_tensor {
        in_sparse(sparse, visit)?;
    }
    attribute.sparse_tensors.iter_mut().try_for_each(|sparse| in_sparse(sparse, visit))
}

fn in_sparse<E>(sparse: &mut SparseTensorProto, visit: Visit<'_, E>) -> Result<(), E> {
    sparse.values.iter_mut().chain(&mut sparse.indices).try_for_each(&mut *visit)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::samples::tensor;
    use crate::schema::TrainingInfoProto;

    fn sparse(name: &str) -> SparseTensorProto {
        let part = |part: &str| Some(tensor(&format!("{name}.{part}"), vec![]));
        SparseTensorProto { values: part("values"), indices: part("indices"), ..Default::default() }
    }

    fn graph(name: &str, attribute: Vec<AttributeProto>) -> GraphProto {
        GraphProto {
            node: vec![NodeProto { attribute, ..Default::default() }],
            initializer: vec![tensor(&format!("{name}.w"), vec![])],
            sparse_initializer: vec![sparse(&format!("{name}.s"))],
            ..Default::default()
        }
    }

    fn attribute(name: &str, with_graphs: bool) -> AttributeProto {
        let label = |kind: &str| format!("{name}.{kind}");
        AttributeProto {
            t: Some(Box::new(tensor(&label("t"), vec![]))),
            tensors: vec![tensor(&label("tensors"), vec![])],
            sparse_tensor: Some(Box::new(sparse(&label("sparse")))),
            sparse_tensors: vec![sparse(&label("sparses"))],
            g: with_graphs.then(|| Box::new(graph(&label("g"), vec![]))),
            graphs: if with_graphs { vec![graph(&label("graphs"), vec![attribute("deep", false)])] } else { vec![] },
            ..Default::default()
        }
    }

    #[test]
    fn every_place_is_visited_once() {
        let mut model = ModelProto {
            graph: Some(graph("main", vec![attribute("a", true)])),
            training_info: vec![TrainingInfoProto {
                initialization: Some(graph("init", vec![])),
                algorithm: Some(graph("train", vec![])),
                ..Default::default()
            }],
            functions: vec![FunctionProto {
                node: vec![NodeProto { attribute: vec![attribute("f", false)], ..Default::default() }],
                attribute_proto: vec![attribute("default", false)],
                ..Default::default()
            }],
            ..Default::default()
        };
        // The text of all messages shows each tensor's name once: the list of places is complete.
        let shown = format!("{model:?}");
        let mut seen = Vec::new();
        let visit = |tensor: &mut TensorProto| {
            seen.push(String::from_utf8(tensor.name().to_vec()).unwrap());
            Ok::<(), ()>(())
        };
        try_for_each_tensor(&mut model, visit).unwrap();
        assert_eq!(seen.len(), shown.matches("TensorProto { dims").count());
        let all = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), all);
    }

    #[test]
    fn the_first_error_ends_the_walk() {
        let mut model = ModelProto { graph: Some(graph("main", vec![])), ..Default::default() };
        let mut visited = 0;
        let visit = |_: &mut TensorProto| {
            visited += 1;
            Err("enough")
        };
        assert_eq!(try_for_each_tensor(&mut model, visit), Err("enough"));
        assert_eq!(visited, 1);
    }
}
