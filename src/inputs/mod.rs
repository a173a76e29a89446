//! What a model is run on: values for its inputs, given by the user or made up.

mod generate;
mod given;
mod random;
mod ranges;
mod sizes;

pub(crate) use generate::has_dim;
pub use generate::{GenerateError, Generator};
pub use given::{Given, InputsError, bind, type_of};

use onnxpress_ir::{Graph, Model};

/// The model's inputs with their types, as messages list them: `x: float[N,3,224,224], mask: bool[N]`.
pub fn describe(model: &Model) -> String {
    let graph = &model.graph;
    let list: Vec<String> = graph.inputs().iter().map(|&id| describe_one(graph, id)).collect();
    if list.is_empty() { "no inputs".to_owned() } else { list.join(", ") }
}

fn describe_one(graph: &Graph, id: onnxpress_ir::NodeId) -> String {
    let input = graph.input(id);
    let optional = if input.default.is_some() { " (optional)" } else { "" };
    format!("{}: {}{optional}", graph.label(id.port(0)), input.declared)
}
