//! Models made for the purpose.

use onnxpress::proto::Bytes;
use onnxpress::proto::schema::{
    GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto,
    tensor_shape_proto::{Dimension, dimension::Value as Extent},
    type_proto,
};

fn float(extents: &[Option<i64>]) -> TypeProto {
    let dim = extents
        .iter()
        .map(|extent| Dimension {
            denotation: None,
            value: Some(match extent {
                Some(extent) => Extent::DimValue(*extent),
                None => Extent::DimParam(Bytes::from_static(b"N")),
            }),
        })
        .collect();
    let tensor = type_proto::Tensor { elem_type: Some(1), shape: Some(TensorShapeProto { dim }) };
    TypeProto { denotation: None, value: Some(type_proto::Value::TensorType(tensor)) }
}

fn value(name: &str, ty: TypeProto) -> ValueInfoProto {
    ValueInfoProto { name: Some(name.to_owned().into()), r#type: Some(ty), ..ValueInfoProto::default() }
}

/// A node with one output.
pub(crate) fn node(op: &'static str, inputs: &[String], output: String) -> NodeProto {
    NodeProto {
        op_type: Some(op.into()),
        input: inputs.iter().cloned().map(Bytes::from).collect(),
        output: vec![output.into()],
        ..NodeProto::default()
    }
}

/// A model from `v0: float[N,width]` to `last`, of the same type.
pub(crate) fn model(node: Vec<NodeProto>, initializer: Vec<TensorProto>, width: i64, last: &str) -> ModelProto {
    let graph = GraphProto {
        name: Some("bench".into()),
        node,
        initializer,
        input: vec![value("v0", float(&[None, Some(width)]))],
        output: vec![value(last, float(&[None, Some(width)]))],
        ..GraphProto::default()
    };
    ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto { domain: Some("".into()), version: Some(17) }],
        graph: Some(graph),
        ..ModelProto::default()
    }
}
