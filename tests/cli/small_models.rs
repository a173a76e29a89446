//! Messages of small models, right and wrong. They are made of the schema's types, since no text says what is wrong here.

use onnxpress::proto::schema::attribute_proto::AttributeType;
use onnxpress::proto::schema::tensor_proto::DataType;
use onnxpress::proto::schema::tensor_shape_proto::{Dimension, dimension};
use onnxpress::proto::schema::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};

/// A float tensor among the inputs or outputs.
pub(crate) fn float(name: &'static str, dims: &[i64]) -> ValueInfoProto {
    let dim = |&extent| Dimension { value: Some(dimension::Value::DimValue(extent)), denotation: None };
    let shape = TensorShapeProto { dim: dims.iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type: Some(DataType::Float as i32), shape: Some(shape) };
    ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), denotation: None }),
        ..Default::default()
    }
}

/// A node of the standard's own domain, named after its first output.
pub(crate) fn node(op: &'static str, inputs: &[&'static str], outputs: &[&'static str]) -> NodeProto {
    NodeProto {
        op_type: Some(op.into()),
        input: inputs.iter().map(|&name| name.into()).collect(),
        output: outputs.iter().map(|&name| name.into()).collect(),
        ..Default::default()
    }
}

/// A float initializer; `dims` and `values` need not agree.
pub(crate) fn weight(name: &'static str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        name: Some(name.into()),
        data_type: Some(DataType::Float as i32),
        dims: dims.to_vec(),
        raw_data: Some(values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>().into()),
        ..Default::default()
    }
}

/// A float initializer whose data are elsewhere.
pub(crate) fn external(name: &'static str, dims: &[i64], entries: &[(&str, &str)]) -> TensorProto {
    let bytes = |text: &str| Some(text.as_bytes().to_vec().into());
    TensorProto {
        raw_data: None,
        data_location: Some(onnxpress::proto::schema::tensor_proto::DataLocation::External as i32),
        external_data: entries
            .iter()
            .map(|(key, value)| StringStringEntryProto { key: bytes(key), value: bytes(value) })
            .collect(),
        ..weight(name, dims, &[])
    }
}

/// A graph from `x` to `y`, both `float[2,3]`.
pub(crate) fn graph(nodes: Vec<NodeProto>, initializers: Vec<TensorProto>) -> GraphProto {
    GraphProto {
        name: Some("g".into()),
        node: nodes,
        initializer: initializers,
        input: vec![float("x", &[2, 3])],
        output: vec![float("y", &[2, 3])],
        ..Default::default()
    }
}

/// A model of opset 21.
pub(crate) fn model(graph: GraphProto) -> ModelProto {
    ModelProto { ir_version: Some(10), opset_import: vec![opset("", 21)], graph: Some(graph), ..Default::default() }
}

pub(crate) fn opset(domain: &'static str, version: i64) -> OperatorSetIdProto {
    OperatorSetIdProto { domain: Some(domain.into()), version: Some(version) }
}

/// `y = Relu(x)`, and nothing wrong with it.
pub(crate) fn relu() -> ModelProto {
    model(graph(vec![node("Relu", &["x"], &["y"])], Vec::new()))
}

/// `y = x + w`, its weight made by `w`.
pub(crate) fn add(w: TensorProto) -> ModelProto {
    model(graph(vec![node("Add", &["x", "w"], &["y"])], vec![w]))
}

/// A local function of domain `local` with one input, one output and these nodes.
pub(crate) fn function(name: &'static str, nodes: Vec<NodeProto>) -> FunctionProto {
    FunctionProto {
        name: Some(name.into()),
        domain: Some("local".into()),
        input: vec!["a".into()],
        output: vec!["b".into()],
        opset_import: vec![opset("", 21), opset("local", 1)],
        node: nodes,
        ..Default::default()
    }
}

/// A call of such a function.
pub(crate) fn call(name: &'static str, input: &'static str, output: &'static str) -> NodeProto {
    NodeProto { domain: Some("local".into()), ..node(name, &[input], &[output]) }
}

/// An attribute of whole numbers.
pub(crate) fn ints(name: &'static str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        ints: values.to_vec(),
        r#type: Some(AttributeType::Ints as i32),
        ..Default::default()
    }
}

/// The bytes of a model with an `If` in the branch of an `If`, `depth` deep. The messages are put around each other here,
/// since encoding as many would itself run out of stack.
pub(crate) fn nested(depth: usize) -> Vec<u8> {
    let mut around = vec![];
    let mut length = 0;
    let mut wrap = |fields: &[u8], number: u8| {
        let mut head = fields.to_vec();
        head.push(number << 3 | 2);
        varint(&mut head, length);
        length += head.len();
        around.push(head);
    };
    for _ in 0..depth {
        wrap(b"\x0a\x0bthen_branch\xa0\x01\x05", 6); // Of an attribute: name, type, and the graph.
        wrap(b"\x0a\x01c\x12\x01y\x22\x02If", 5); // Of a node: input, output, operator, and the attribute.
        wrap(b"", 1); // Of a graph: the node.
    }
    wrap(b"\x08\x0a\x42\x04\x0a\x00\x10\x15", 7); // Of a model: format, operator set, and the graph.
    around.into_iter().rev().flatten().collect()
}

fn varint(to: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}
