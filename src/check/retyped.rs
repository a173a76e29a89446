//! Between models whose inputs and outputs are floats of other widths, because a pass was asked to change them.

use onnxpress_ir::{DType, Graph, Model, Tensor};
use onnxpress_ops::evaluate::Value;

/// The inputs of a model as it declares them: floats of another width are rounded.
pub(super) fn as_taken(model: &Model, inputs: &mut [Option<Value>]) {
    let graph = &model.graph;
    for (value, &id) in inputs.iter_mut().zip(graph.inputs()) {
        if let (Some(value), Some(dtype)) = (value, graph.input(id).declared.dtype()) {
            convert(value, dtype);
        }
    }
}

/// Outputs in the types that another model gives them in.
pub(super) fn as_given_by(graph: &Graph, outputs: &mut [Value]) {
    for (value, &id) in outputs.iter_mut().zip(graph.outputs()) {
        if let Some(dtype) = graph.output(id).declared.dtype() {
            convert(value, dtype);
        }
    }
}

/// Only between floats: any other difference is one.
fn convert(value: &mut Value, dtype: DType) {
    let Value::Tensor(tensor) = value else { return };
    if tensor.dtype() == dtype || !tensor.dtype().is_float() || !dtype.is_float() {
        return;
    }
    let converted = tensor.to_f64s().and_then(|numbers| Tensor::from_f64s(dtype, tensor.dims(), &numbers));
    if let Ok(converted) = converted {
        *tensor = converted;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn floats_are_converted_and_nothing_else() {
        let model = Model::from_text("g (float16[2] x, int64[2] n) => (float[2] y) { y = Cast<to = 1>(x) }").unwrap();
        let floats = Value::Tensor(Tensor::vector(vec![1.0f32, 0.1]));
        let mut inputs = vec![Some(floats.clone()), Some(floats.clone())];
        as_taken(&model, &mut inputs);
        let rounded = inputs[0].as_ref().unwrap().as_tensor().unwrap();
        assert_eq!((rounded.dtype(), rounded.to_f32s().unwrap()[1]), (DType::Float16, 0.099_975_586));
        assert_eq!(inputs[1], Some(floats), "whole numbers are asked for: who runs the model will say so");
        let mut outputs = vec![Value::Tensor(rounded.clone())];
        as_given_by(&model.graph, &mut outputs);
        assert_eq!(outputs[0].as_tensor().unwrap().dtype(), DType::Float);
    }
}
