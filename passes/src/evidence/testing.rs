//! Samples at hand, and the interpreter to run models on them.

#![allow(clippy::unwrap_used, clippy::panic)]

use onnxpress_ir::{Model, Tensor, ValueId};
use onnxpress_ops::evaluate::Value;
use onnxpress_ops::interpret;

use super::{EvidenceError, EvidenceSource, Execute, Feed};

/// Samples for a model with one input.
pub(crate) struct AtHand {
    pub(crate) samples: Vec<Vec<f32>>,
    /// Extents of one.
    pub(crate) dims: Vec<usize>,
    /// No more than so many at a time.
    pub(crate) most: usize,
    /// Whether they pass for made up.
    pub(crate) synthetic: bool,
}

impl AtHand {
    /// So many, of small numbers that look random.
    pub(crate) fn new(count: usize, dims: &[usize]) -> Self {
        let size: usize = dims.iter().product();
        let number = |sample: usize, at: usize| {
            let mixed = (sample * 7919 + at * 104_729 + 12_345) % 65_537;
            ((mixed * mixed) % 1009) as f32 / 252.0 - 2.0
        };
        let samples = (0..count).map(|sample| (0..size).map(|at| number(sample, at)).collect()).collect();
        Self { samples, dims: dims.to_vec(), most: 32, synthetic: false }
    }
}

struct Interpreted<'m>(&'m Model);

impl Execute for Interpreted<'_> {
    fn run(&mut self, inputs: &[Option<Value>]) -> Result<Vec<Value>, EvidenceError> {
        interpret::run(self.0, inputs.to_vec(), interpret::Limits::default())
            .map_err(|error| EvidenceError::Run(error.to_string()))
    }
}

impl EvidenceSource for AtHand {
    fn describe(&self) -> String {
        format!("{} samples at hand", self.samples.len())
    }
    fn samples(&self) -> usize {
        self.samples.len()
    }
    fn is_synthetic(&self) -> bool {
        self.synthetic
    }
    fn feed(
        &self,
        _: &Model,
        batch: usize,
        each: &mut dyn FnMut(Feed<'_>) -> Result<(), EvidenceError>,
    ) -> Result<(), EvidenceError> {
        for chunk in self.samples.chunks(batch.min(self.most)) {
            let mut dims = self.dims.clone();
            dims.insert(0, chunk.len());
            let tensor = Tensor::from_values(&dims, chunk.concat()).unwrap();
            let inputs = [Some(Value::Tensor(tensor))];
            each(Feed { inputs: &inputs, len: chunk.len(), size: chunk.len(), labels: None })?;
        }
        Ok(())
    }
    fn load<'m>(&self, model: &'m Model) -> Result<Box<dyn Execute + 'm>, EvidenceError> {
        Ok(Box::new(Interpreted(model)))
    }
}

/// The model of a text, with its types.
pub(crate) fn typed(text: &str) -> Model {
    let mut model = Model::from_text(text).unwrap();
    onnxpress_ops::infer::model(&mut model);
    model
}

/// The value of a name.
pub(crate) fn value(model: &Model, name: &str) -> ValueId {
    let graph = &model.graph;
    let all = graph.vertices().flat_map(|(id, vertex)| (0..vertex.ports().len() as u32).map(move |port| id.port(port)));
    all.into_iter().find(|&value| graph.label(value) == name).unwrap()
}
