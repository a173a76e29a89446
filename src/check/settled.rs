//! The same for every model that is compared: sizes and values that a pass has settled are given to the models that still ask
//! for them.

use onnxpress_ir::{Graph, Model, NodeId};
use onnxpress_ops::evaluate::Value;

use super::CheckRequest;
use super::retyped::as_taken;
use crate::inputs::{self, GenerateError};

/// One entry an input of a model, in its order.
type Inputs = Vec<Option<Value>>;

/// Makes inputs for a model, settled ones as they were settled.
pub(super) struct Generator {
    made: inputs::Generator,
    /// Inputs by place, and their value; `None` for that of the model itself.
    settled: Vec<(usize, Option<Value>)>,
}

impl Generator {
    pub(super) fn new(model: &Model, request: &CheckRequest<'_>) -> Result<Self, GenerateError> {
        let mut dims = request.dims.to_vec();
        // Of models in the middle of a run some have their sizes already.
        dims.extend(request.settled.dims.iter().filter(|(dim, _)| inputs::has_dim(model, dim)).cloned());
        let place = |name: &String| names(&model.graph).position(|known| known == *name);
        let settled = request.settled.inputs.iter();
        let settled = settled.filter_map(|(name, tensor)| Some((place(name)?, tensor.clone().map(Value::Tensor))));
        Ok(Self { settled: settled.collect(), made: inputs::Generator::new(model, &dims)? })
    }

    /// How many ways there are to choose the sizes that are open.
    pub(super) fn choices(&self) -> usize {
        self.made.choices()
    }

    /// Values for the inputs, as [`inputs::Generator::values`] makes them.
    pub(super) fn values(&self, choice: usize, seed: u64) -> Result<Inputs, GenerateError> {
        let mut values = self.made.values(choice, seed)?;
        for (place, value) in &self.settled {
            values[*place].clone_from(value);
        }
        Ok(values)
    }
}

/// The values for a model that has no inputs but those of the original, and perhaps fewer.
pub(super) fn values_for(model: &Model, original: &Model, inputs: &[Inputs]) -> Vec<Inputs> {
    let known: Vec<String> = names(&original.graph).collect();
    let places: Vec<_> = names(&model.graph).map(|name| known.iter().position(|other| *other == name)).collect();
    let pick = |values: &Inputs| {
        let mut picked: Inputs = places.iter().map(|place| values.get((*place)?).cloned().flatten()).collect();
        as_taken(model, &mut picked);
        picked
    };
    inputs.iter().map(pick).collect()
}

/// Of a request for the original, what is asked of a model in the middle of the run.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Sets of inputs, as far as the model still has them.
    pub inputs: Vec<Vec<Option<Value>>>,
    /// Sizes of dimensions that it still leaves open.
    pub dims: Vec<(String, i64)>,
}

/// What a request for the original asks of another model of the same run.
pub fn asked_of(model: &Model, original: &Model, request: &CheckRequest<'_>) -> Asked {
    let open = |(dim, _): &&(String, i64)| inputs::has_dim(model, dim);
    let dims = request.dims.iter().filter(open).cloned().collect();
    Asked { inputs: values_for(model, original, &request.inputs), dims }
}

fn names(graph: &Graph) -> impl Iterator<Item = String> {
    graph.inputs().iter().map(|&id: &NodeId| graph.label(id.port(0)))
}
