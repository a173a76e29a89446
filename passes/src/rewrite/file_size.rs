//! How many bytes things take in a file, so that no rewriting makes one larger.
//!
//! The wire format of protobuf is simple enough to count without writing: a field is a tag, for everything of variable
//! length the length, and the content. Names that are not given yet count as none where something goes and as
//! [`NEW_NAME`] where something comes, so that on balance no more is promised than is kept.

use onnxpress_ir::{
    AttrValue, Constant, ConstantForm, ConstantValue, DType, Graph, Model, Name, Node, NodeId, SparseTensor, Tensor,
    Vertex,
};

/// What a name is taken to have, in bytes, that is given when the file is written.
pub const NEW_NAME: usize = 24;

const fn varint(value: u64) -> usize {
    let bits = 64 - value.leading_zeros() as usize;
    if bits == 0 { 1 } else { bits.div_ceil(7) }
}

/// A field of so many bytes, its tag below 16.
const fn field(length: usize) -> usize {
    1 + varint(length as u64) + length
}

fn name_field(name: Option<&Name>) -> usize {
    name.filter(|name| !name.is_empty()).map_or(0, |name| field(name.as_bytes().len()))
}

/// A tensor's own fields, `data` bytes of data among them, its name aside.
fn tensor_fields(dims: &[usize], data: usize) -> usize {
    dims.iter().map(|&dim| 1 + varint(dim as u64)).sum::<usize>() + 2 + data
}

/// The data of a tensor as a pass makes it.
fn raw_data(tensor: &Tensor) -> usize {
    match tensor.strings() {
        Some(strings) => strings.iter().map(|string| field(string.len())).sum(),
        None => field(tensor.byte_len()),
    }
}

/// The data of a tensor as the file may have it: small whole numbers take less in a typed field.
fn least_data(tensor: &Tensor) -> usize {
    // What takes a byte or less takes no less in a typed field.
    if !tensor.carried().is_some() || tensor.strings().is_some() || tensor.dtype().bits() <= 8 {
        return raw_data(tensor);
    }
    let packed = match tensor.to_i64s() {
        Ok(values) => values.iter().map(|&value| varint(value as u64)).sum(),
        // Halves stand in a field of whole numbers too.
        Err(_) if tensor.dtype().bits() == 16 => tensor.len(),
        Err(_) => tensor.byte_len(),
    };
    raw_data(tensor).min(field(packed))
}

fn sparse(tensor: &SparseTensor) -> usize {
    let part = |tensor: &Tensor| field(tensor_fields(tensor.dims(), least_data(tensor)));
    part(&tensor.values) + part(&tensor.indices) + tensor.dims.iter().map(|&dim| 1 + varint(dim as u64)).sum::<usize>()
}

/// How a constant is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// As an initializer.
    Initializer,
    /// As an initializer that is listed among the inputs.
    Listed,
    /// As a node.
    Node,
}

impl Written {
    /// How a constant of this form is written in a graph of its own or, with `list_all`, in the main graph of an old format.
    pub fn of(form: &ConstantForm, list_all: bool) -> Self {
        match form {
            ConstantForm::Node { .. } => Self::Node,
            ConstantForm::ListedAsInput { .. } => Self::Listed,
            ConstantForm::Initializer if list_all => Self::Listed,
            ConstantForm::Initializer => Self::Initializer,
        }
    }

    /// A tensor of these extents and fields, under a name of so many bytes.
    fn wrap(self, dims: &[usize], fields: usize, name: usize) -> usize {
        match self {
            Self::Initializer => field(fields + field(name)),
            Self::Listed => {
                // An input is a name and a type: a tensor of an element type and a shape, which is a list of extents.
                let shape = field(dims.iter().map(|&dim| field(1 + varint(dim as u64))).sum());
                field(fields + field(name)) + field(field(name) + field(field(2 + shape)))
            }
            Self::Node => {
                field(field(name) + field("Constant".len()) + field(field("value".len()) + 3 + field(fields)))
            }
        }
    }
}

/// A constant that a pass would make.
pub fn new_constant(dtype: DType, dims: &[usize], name: Option<&Name>, written: Written) -> usize {
    let count = onnxpress_ir::tensor::element_count(dims).unwrap_or(usize::MAX);
    let data = dtype.packed_len(count).unwrap_or(usize::MAX / 4).min(usize::MAX / 4);
    written.wrap(dims, tensor_fields(dims, field(data)), name.map_or(NEW_NAME, |name| name.as_bytes().len()))
}

/// A tensor that a pass has made, as a constant.
pub fn new_tensor(tensor: &Tensor, name: Option<&Name>, written: Written) -> usize {
    let fields = tensor_fields(tensor.dims(), raw_data(tensor));
    written.wrap(tensor.dims(), fields, name.map_or(NEW_NAME, |name| name.as_bytes().len()))
}

/// A constant of the graph, at least.
pub fn constant(constant: &Constant, list_all: bool) -> usize {
    constant_as(constant, Written::of(&constant.form, list_all))
}

fn value_fields(value: &ConstantValue) -> usize {
    match value {
        ConstantValue::Dense(tensor) => tensor_fields(tensor.dims(), least_data(tensor)),
        ConstantValue::Sparse(tensor) => sparse(tensor),
    }
}

/// A constant of the graph, at least, if it were written so.
pub fn constant_as(constant: &Constant, written: Written) -> usize {
    let fields = value_fields(&constant.value);
    let name = constant.port.name.as_ref().map_or(0, |name| name.as_bytes().len());
    let own = match (&constant.form, written) {
        (ConstantForm::Node { name, .. }, Written::Node) => name_field(name.as_ref()),
        _ => 0,
    };
    // Attributes other than `value` hold numbers and lists in fewer bytes than a tensor.
    let shorter = if written == Written::Node && constant.value.dims().len() < 2 { 4 } else { 0 };
    written.wrap(constant.value.dims(), fields, name) + own - shorter
}

fn attribute(value: &AttrValue) -> usize {
    let whole = |value: i64| 1 + varint(value as u64);
    let tensor = |tensor: &Tensor| field(tensor_fields(tensor.dims(), least_data(tensor)));
    match value {
        AttrValue::Float(_) => 5,
        AttrValue::Int(value) => whole(*value),
        AttrValue::String(value) => field(value.len()),
        AttrValue::Tensor(value) => tensor(value),
        AttrValue::Graph(value) => field(graph(value)),
        AttrValue::Floats(values) => 5 * values.len(),
        AttrValue::Ints(values) => values.iter().map(|&value| whole(value)).sum(),
        AttrValue::Strings(values) => values.iter().map(|value| field(value.len())).sum(),
        AttrValue::Tensors(values) => values.iter().map(tensor).sum(),
        AttrValue::Graphs(values) => values.iter().map(|value| field(graph(value))).sum(),
        AttrValue::SparseTensor(value) => field(sparse(value)),
        AttrValue::SparseTensors(values) => values.iter().map(|value| field(sparse(value))).sum(),
        AttrValue::Type(_) | AttrValue::Types(_) => 0,
        AttrValue::Reference { name, .. } => name_field(Some(name)),
    }
}

/// A node, at least. What it reads is not counted.
pub fn node(graph: &Graph, id: NodeId) -> usize {
    let Some(node) = graph.node(id) else { return 0 };
    let operands = graph.operands(id).map(|value| {
        let name = value.and_then(|value| graph.port(value).name.as_ref());
        name.map_or(0, |name| name.as_bytes().len())
    });
    node_reading(node, operands)
}

/// A node that reads values with names of so many bytes.
pub fn node_reading(node: &Node, operands: impl Iterator<Item = usize>) -> usize {
    let operands = operands.map(field);
    let outputs = node.ports().iter().map(|port| field(port.name.as_ref().map_or(0, |name| name.as_bytes().len())));
    let attrs = node.attrs.iter().map(|attr| field(name_field(Some(&attr.name)) + 3 + attribute(&attr.value)));
    let own = [node.name.as_ref(), Some(&node.op_type), Some(&node.domain), Some(&node.overload)];
    field(operands.chain(outputs).chain(attrs).chain(own.into_iter().map(name_field)).sum())
}

/// A vertex, with names for values that have none yet.
pub fn vertex(graph: &Graph, id: NodeId, list_all: bool) -> usize {
    let own = match graph.get(id) {
        Some(Vertex::Node(_)) => node(graph, id),
        Some(Vertex::Constant(value)) => constant(value, list_all),
        _ => return 0,
    };
    let unnamed = graph.vertex(id).ports().iter().filter(|port| port.name.is_none() && !port.omitted);
    own + NEW_NAME * unnamed.count()
}

/// The content of a graph, at least: nodes, constants, defaults of inputs, and the names of its interface.
pub fn graph(graph: &Graph) -> usize {
    let vertices = graph.vertices().map(|(id, vertex)| match vertex {
        Vertex::Node(_) => node(graph, id),
        Vertex::Constant(value) => constant(value, false),
        Vertex::Input(input) => {
            let name = name_field(input.port.name.as_ref());
            field(name) + input.default.as_ref().map_or(0, |value| field(value_fields(value) + name))
        }
        Vertex::Output(output) => field(name_field(Some(&output.name))),
        Vertex::Capture(_) => 0,
    });
    vertices.sum()
}

/// A model, at least, its header aside.
pub fn model(model: &Model) -> usize {
    let functions = model.functions.iter().map(|function| {
        let own = [Some(&function.name), Some(&function.domain), Some(&function.overload)];
        field(own.into_iter().map(name_field).sum::<usize>() + graph(&function.body))
    });
    graph(&model.graph) + functions.sum::<usize>()
}

/// A model, at least, its header aside, with names for values of its graphs that have none yet.
pub fn named_model(model: &Model) -> usize {
    fn unnamed(graph: &Graph) -> usize {
        let ports = graph.vertices().flat_map(|(_, vertex)| vertex.ports());
        let own = ports.filter(|port| port.name.is_none() && !port.omitted).count();
        own + graph.nodes().flat_map(|(_, node)| node.subgraphs()).map(unnamed).sum::<usize>()
    }
    let functions = model.functions.iter().map(|function| unnamed(&function.body));
    self::model(model) + NEW_NAME * (unnamed(&model.graph) + functions.sum::<usize>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_as_they_are_written() {
        // Tag and length take a byte each up to 127, the length two from there on.
        assert_eq!((field(0), field(127), field(128)), (2, 129, 131));
        assert_eq!((varint(0), varint(1 << 7), varint(u64::MAX)), (1, 2, 10));
    }

    #[test]
    fn a_constant_takes_its_data_its_extents_and_its_name() {
        let tensor = Tensor::vector(vec![1f32, 2.0]);
        let name = Name::from("w");
        // dims, data_type: 2 each; raw_data: 10; name: 3; around them tag and length.
        assert_eq!(new_tensor(&tensor, Some(&name), Written::Initializer), 2 + 2 + 2 + 10 + 3);
        assert_eq!(new_constant(DType::Float, &[2], Some(&name), Written::Initializer), 19);
        let node = new_tensor(&tensor, Some(&name), Written::Node);
        assert!(node > 19 + "Constant".len() + "value".len(), "{node}");
    }
}
