//! Small models for the tests of this crate.

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;

use crate::schema::*;

pub(crate) fn tensor(name: &str, raw: Vec<u8>) -> TensorProto {
    TensorProto {
        name: Some(Bytes::copy_from_slice(name.as_bytes())),
        dims: vec![raw.len() as i64],
        data_type: Some(tensor_proto::DataType::Uint8 as i32),
        raw_data: Some(raw.into()),
        ..Default::default()
    }
}

pub(crate) fn entry(key: &str, value: &str) -> StringStringEntryProto {
    let bytes = |text: &str| Some(Bytes::copy_from_slice(text.as_bytes()));
    StringStringEntryProto { key: bytes(key), value: bytes(value) }
}

/// A model that uses most kinds of messages, packed and unpacked lists, and a subgraph.
pub(crate) fn model() -> ModelProto {
    let dimension = |value| tensor_shape_proto::Dimension { value: Some(value), denotation: None };
    let shape = TensorShapeProto {
        dim: vec![
            dimension(tensor_shape_proto::dimension::Value::DimParam("N".into())),
            dimension(tensor_shape_proto::dimension::Value::DimValue(3)),
        ],
    };
    let ty = type_proto::Tensor { elem_type: Some(1), shape: Some(shape) };
    let value = |name: &'static str| ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(TypeProto { value: Some(type_proto::Value::TensorType(ty.clone())), denotation: None }),
        ..Default::default()
    };
    let relu = NodeProto {
        input: vec!["x".into()],
        output: vec!["y".into()],
        op_type: Some("Relu".into()),
        ..Default::default()
    };
    let branch = GraphProto { node: vec![relu.clone()], name: Some("then".into()), ..Default::default() };
    let attributes = vec![
        AttributeProto {
            name: Some("then_branch".into()),
            g: Some(Box::new(branch)),
            r#type: Some(5),
            ..Default::default()
        },
        AttributeProto { name: Some("pads".into()), ints: vec![1, -1, 300], r#type: Some(7), ..Default::default() },
        AttributeProto { name: Some("scales".into()), floats: vec![0.5, 2.0], r#type: Some(6), ..Default::default() },
    ];
    let choice = NodeProto { op_type: Some("If".into()), attribute: attributes, ..Default::default() };
    let packed = TensorProto {
        name: Some("packed".into()),
        data_type: Some(7),
        dims: vec![3],
        int64_data: vec![1, -2, 1 << 40],
        float_data: vec![1.0, 2.0],
        double_data: vec![3.0],
        ..Default::default()
    };
    let graph = GraphProto {
        node: vec![relu, choice],
        name: Some(Bytes::from_static(b"not \xff UTF-8")),
        initializer: vec![tensor("w", (0..200).collect()), packed],
        input: vec![value("x")],
        output: vec![value("y")],
        ..Default::default()
    };
    ModelProto {
        ir_version: Some(10),
        opset_import: vec![OperatorSetIdProto { domain: None, version: Some(21) }],
        graph: Some(graph),
        metadata_props: vec![entry("made by", "a test")],
        ..Default::default()
    }
}

/// The encoding of [`model`], edited at random places: a byte set, a byte put in, a byte left out.
pub(crate) fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let whole = model().encode_to_vec();
    let edit = (0..whole.len(), any::<u8>(), 0..3_u8);
    prop::collection::vec(edit, 1..6).prop_map(move |edits| {
        let mut bytes = whole.clone();
        for (at, byte, kind) in edits {
            let at = at % bytes.len();
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        bytes
    })
}
