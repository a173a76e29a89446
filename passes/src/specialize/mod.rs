//! Passes that settle what callers of a model had settled: the size of a dimension, the value of an input.
//!
//! The result is for fewer callers than the model was, and computes the same for those. Each pass says what it has settled,
//! so that the proof gives the model that came in the same sizes and values.

mod given;
mod initializers_as_constants;
mod set_dim;
mod set_input;
mod sizes;

use std::collections::HashMap;

use onnxpress_ir::{Constant, ConstantForm, ConstantValue, Graph, Model, NodeId, Order, Port, Use};
use onnxpress_ops::infer;

use crate::pass::PassError;

pub use given::{FromFile, SizeOf};
pub use initializers_as_constants::InitializersAsConstants;
pub(crate) use initializers_as_constants::listed_as_constants;
pub use set_dim::SetDim;
pub use set_input::SetInput;

/// The inputs of a model with their types, as messages list them: `x: float[N,3], mask: bool[N]`.
fn wanted(graph: &Graph) -> String {
    let one = |&id: &NodeId| format!("{}: {}", graph.label(id.port(0)), graph.input(id).declared);
    let list: Vec<String> = graph.inputs().iter().map(one).collect();
    if list.is_empty() { "no inputs".to_owned() } else { list.join(", ") }
}

/// Puts constants in the place of inputs of the main graph. They keep the inputs' names.
fn pin(graph: &mut Graph, values: Vec<(NodeId, ConstantValue)>) {
    let mut constants = HashMap::new();
    for (input, value) in values {
        let port = Port { name: graph.port(input.port(0)).name.clone(), ..Port::default() };
        let (form, order) = (ConstantForm::Initializer, Order::default());
        let constant = graph.add_constant(Constant { value, port, form, order });
        let readers: Vec<Use> = graph.readers(input.port(0)).collect();
        readers.into_iter().for_each(|reading| graph.read_instead(reading, constant));
        constants.insert(input.port(0), constant);
        graph.take_input(input);
    }
    for entry in &mut graph.declared {
        entry.value = entry.value.map(|value| constants.get(&value).copied().unwrap_or(value));
    }
}

/// Infers everything anew from what has been settled.
///
/// # Errors
/// Where a node contradicts its operator with that.
fn settle(model: &mut Model, what: &str) -> Result<(), PassError> {
    match infer::model(model).invalid.first() {
        None => Ok(()),
        Some(error) => Err(PassError::Request(format!("with {what} the model makes no sense: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use onnxpress_ir::text::{Form, print_model};
    use onnxpress_ir::{Model, Tensor, Type};

    use crate::manager::{self, RunError, RunOptions};
    use crate::pass::{ArraySource, Request};

    /// `ones.npy` has two ones.
    struct Ones;

    impl ArraySource for Ones {
        fn array(&self, file: &str, _: &str, _: &Type) -> Result<Tensor, String> {
            match file {
                "ones.npy" => Ok(Tensor::vector(vec![1f32, 1.0])),
                other => Err(format!("{other}: no such file")),
            }
        }
    }

    fn attempt(pipeline: &str, text: &str) -> Result<(Model, manager::Report), RunError> {
        let mut model = Model::from_text(text).unwrap();
        let passes = crate::builtin().unwrap();
        let request = Request { arrays: Some(&Ones), ..Request::default() };
        let options = RunOptions { verify_each: true, request, ..RunOptions::default() };
        manager::run(&passes.pipeline(pipeline).unwrap(), &mut model, options).map(|report| (model, report))
    }

    /// The model afterwards, and what was settled.
    pub(super) fn run(pipeline: &str, text: &str) -> String {
        let (model, report) = attempt(pipeline, text).unwrap();
        let printed = print_model(&model, &Form { declared: true, ..Form::brief() });
        let inputs: Vec<_> = report.settled.inputs.iter().map(|(name, _)| name.as_str()).collect();
        format!("{printed}settled: {inputs:?} {:?}", report.settled.dims)
    }

    pub(super) fn refused(pipeline: &str, text: &str) -> String {
        attempt(pipeline, text).unwrap_err().to_string()
    }
}
