//! Graph to messages.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};

use onnxpress_ir::graph::canonical_domain;
use onnxpress_ir::text::Preamble;
use onnxpress_ir::{
    Attr, AttrKind, AttrValue, Carried, Constant, ConstantForm, ConstantValue, Cycle, DType, Function, Graph, Input,
    Model, Name, Node, NodeId, Tensor, Type, Vertex,
};
use onnxpress_proto::schema::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, SparseTensorProto,
    TensorProto, ValueInfoProto,
};
use onnxpress_proto::{Bytes, Encoded, Promises};

use super::extras::{AttributeExtras, ConstantNodeExtras, GraphExtras, InputExtras, NodeExtras};
use super::{preamble, tensor, types};

/// Why a model cannot be written as messages.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Nodes depend on each other in a circle.
    #[error(transparent)]
    Cycle(#[from] Cycle),
    /// A value that is read has no name.
    #[error("{0} has an output that is read and has no name")]
    Nameless(String),
}

/// The message of a model whose values all have names (see [`onnxpress_ir::names`]). Weights are not copied.
///
/// With `untouched`, the graph is as the reader made it, and nodes keep the file's order even where that is not sorted.
///
/// # Errors
/// Where the graph has a cycle, or a value that is read has no name.
pub fn to_message(model: &Model, untouched: bool) -> Result<ModelProto, ExportError> {
    message(model, &Writer { untouched, list_initializers: lists_initializers(model), promises: None })
}

/// A message whose initializers may be made when they are written.
#[derive(Debug)]
pub struct Outgoing {
    pub(super) message: ModelProto,
    pub(super) promises: Promises,
}

impl From<ModelProto> for Outgoing {
    fn from(message: ModelProto) -> Self {
        Self { message, promises: Promises::default() }
    }
}

impl Outgoing {
    /// The message of a model, as [`to_message`]; large initializers that are still to be made are made one after the other, when they
    /// are written.
    ///
    /// # Errors
    /// As [`to_message`].
    pub fn of(model: &Model, untouched: bool) -> Result<Self, ExportError> {
        let promises = Some(RefCell::default());
        let writer = Writer { untouched, list_initializers: lists_initializers(model), promises };
        let message = message(model, &writer)?;
        Ok(Self { message, promises: writer.promises.map(RefCell::into_inner).unwrap_or_default() })
    }

    /// The message as it is written.
    pub fn encode(&self) -> Encoded {
        Encoded::of(&self.message).with_promises(&self.promises)
    }

    /// Bytes that the message takes, weights inside.
    pub fn byte_len(&self) -> u64 {
        onnxpress_proto::encoded_len(&self.message)
    }
}

/// Whether every initializer of the main graph must be an input too: the format's version is older than 4.
fn lists_initializers(model: &Model) -> bool {
    model.header.ir_version < 4
}

fn message(model: &Model, writer: &Writer) -> Result<ModelProto, ExportError> {
    let mut message = preamble::header(model);
    if message.ir_version.unwrap_or_default() != model.header.ir_version {
        message.ir_version = Some(model.header.ir_version);
    }
    let imports: Vec<_> = model.graph.opsets.iter().map(|(domain, version)| (domain.clone(), version)).collect();
    let same = imports.len() == message.opset_import.len()
        && imports.iter().zip(&message.opset_import).all(|((domain, version), old)| {
            old.domain.as_deref().unwrap_or_default() == domain.as_bytes()
                && old.version.unwrap_or_default() == *version
        });
    if !same {
        message.opset_import = imports
            .into_iter()
            .map(|(domain, version)| OperatorSetIdProto { domain: Some(domain.to_bytes()), version: Some(version) })
            .collect();
    }
    message.graph = Some(writer.graph(&model.graph, true)?);
    message.functions = model.functions.iter().map(|function| writer.function(function)).collect::<Result<_, _>>()?;
    Ok(message)
}

struct Writer {
    untouched: bool,
    /// The format's version is older than 4: every initializer of the main graph must be an input too.
    list_initializers: bool,
    /// Where large initializers that are still to be made are promised; `None` where they are made at once.
    promises: Option<RefCell<Promises>>,
}

impl Writer {
    fn graph(&self, graph: &Graph, main: bool) -> Result<GraphProto, ExportError> {
        let extras = graph.carried.get::<GraphExtras>().cloned().unwrap_or_default();
        let mut message = GraphProto {
            name: graph.name.as_ref().map(Name::to_bytes),
            doc_string: extras.doc_string,
            metadata_props: extras.metadata_props,
            node: self.nodes(graph, false)?,
            ..GraphProto::default()
        };
        self.initializers(graph, &mut message)?;
        message.input = self.inputs(graph, main)?;
        for &id in graph.outputs() {
            let output = graph.output(id);
            message.output.push(value_info(&output.carried, &output.name, &output.declared));
        }
        message.value_info = self.declared(graph);
        message.quantization_annotation = extras.annotations;
        if !self.untouched && !message.quantization_annotation.is_empty() {
            let names: HashSet<Bytes> = defined(graph);
            let known = |name: &Option<Bytes>| name.as_ref().is_some_and(|name| names.contains(name));
            message.quantization_annotation.retain(|annotation| {
                known(&annotation.tensor_name)
                    && annotation.quant_parameter_tensor_names.iter().all(|entry| known(&entry.value))
            });
        }
        Ok(message)
    }

    fn nodes(&self, graph: &Graph, in_function: bool) -> Result<Vec<NodeProto>, ExportError> {
        let mut nodes = Vec::new();
        if in_function {
            // A function has no initializers.
            let mut constants: Vec<_> = graph
                .constants()
                .filter(|(_, constant)| !matches!(constant.form, ConstantForm::Node { .. }))
                .map(|(id, constant)| (constant.order, id, constant))
                .collect();
            constants.sort_by_key(|(order, id, _)| (*order, *id));
            for (_, id, constant) in constants {
                nodes.push(constant_node(&name_of(graph, id, 0)?, constant));
            }
        }
        for id in graph.file_order(self.untouched)? {
            match graph.vertex(id) {
                Vertex::Node(node) => nodes.push(self.node(graph, id, node)?),
                Vertex::Constant(constant) => nodes.push(constant_node(&name_of(graph, id, 0)?, constant)),
                _ => {}
            }
        }
        Ok(nodes)
    }

    fn node(&self, graph: &Graph, id: NodeId, node: &Node) -> Result<NodeProto, ExportError> {
        let mut input = Vec::with_capacity(node.operand_count());
        for operand in graph.operands(id) {
            input.push(match operand {
                Some(value) => name_of(graph, value.node, value.port)?.to_bytes(),
                None => Bytes::new(),
            });
        }
        let output = node
            .ports()
            .iter()
            .map(|port| port.name.as_ref().filter(|_| !port.omitted).map(Name::to_bytes).unwrap_or_default())
            .collect();
        let mut message = NodeProto {
            input,
            output,
            name: node.name.as_ref().map(Name::to_bytes),
            op_type: Some(node.op_type.to_bytes()),
            domain: Some(node.domain.to_bytes()).filter(|domain| !domain.is_empty()),
            overload: Some(node.overload.to_bytes()).filter(|overload| !overload.is_empty()),
            ..NodeProto::default()
        };
        for attr in &node.attrs {
            message.attribute.push(self.attribute(attr)?);
        }
        put_extras(&mut message, node.carried.get::<NodeExtras>());
        Ok(message)
    }

    fn attribute(&self, attr: &Attr) -> Result<AttributeProto, ExportError> {
        let graphs = match &attr.value {
            AttrValue::Graph(graph) => vec![self.graph(graph, false)?],
            AttrValue::Graphs(graphs) => {
                graphs.iter().map(|graph| self.graph(graph, false)).collect::<Result<_, _>>()?
            }
            _ => Vec::new(),
        };
        Ok(attribute(attr, graphs))
    }

    fn inputs(&self, graph: &Graph, main: bool) -> Result<Vec<ValueInfoProto>, ExportError> {
        let mut listed = BTreeMap::new();
        let mut unlisted = Vec::new();
        for (id, constant) in graph.constants() {
            let name = || name_of(graph, id, 0);
            match &constant.form {
                ConstantForm::ListedAsInput { place, carried } => {
                    listed.insert((*place, id), value_info(carried, &name()?, &constant.port.ty));
                }
                ConstantForm::Initializer if main && self.list_initializers => {
                    unlisted.push((constant.order, id, value_info(&Carried::none(), &name()?, &constant.port.ty)));
                }
                _ => {}
            }
        }
        unlisted.sort_by_key(|(order, id, _)| (*order, *id));
        let mut inputs = Vec::new();
        let mut own = graph.inputs().iter().map(|&id| (id, graph.input(id)));
        loop {
            let next = listed.first_key_value().map(|(&(place, _), _)| place as usize);
            if next.is_some_and(|place| place <= inputs.len())
                && let Some((_, info)) = listed.pop_first()
            {
                inputs.push(info);
                continue;
            }
            match (own.next(), next) {
                (Some((id, input)), _) => inputs.push(input_info(input, &name_of(graph, id, 0)?)),
                (None, Some(_)) => inputs.extend(std::mem::take(&mut listed).into_values()),
                (None, None) => break,
            }
        }
        inputs.extend(unlisted.into_iter().map(|(_, _, info)| info));
        Ok(inputs)
    }

    fn initializers(&self, graph: &Graph, message: &mut GraphProto) -> Result<(), ExportError> {
        let mut all: Vec<((u32, u32), NodeId, &ConstantValue)> = Vec::new();
        for (id, constant) in graph.constants() {
            if !matches!(constant.form, ConstantForm::Node { .. }) {
                all.push(((constant.order.file, constant.order.made), id, &constant.value));
            }
        }
        for &id in graph.inputs() {
            let input = graph.input(id);
            if let Some(default) = &input.default {
                let place = input.carried.get::<InputExtras>().map_or(u32::MAX, |extras| extras.default_place);
                all.push(((place, 0), id, default));
            }
        }
        all.sort_by_key(|&(place, id, _)| (place, id));
        for (_, id, value) in all {
            let name = name_of(graph, id, 0)?;
            match value {
                ConstantValue::Dense(tensor) => message.initializer.push(match &self.promises {
                    Some(promises) => tensor::to_promise(tensor, &name, &mut promises.borrow_mut()),
                    None => tensor::to_message(tensor, Some(&name)),
                }),
                ConstantValue::Sparse(tensor) => {
                    message.sparse_initializer.push(tensor::sparse_to_message(tensor, Some(&name)));
                }
            }
        }
        Ok(())
    }

    /// The file's list of types: entries of values that are still there, the type brought up to date where it was changed,
    /// and entries of values that never were, as long as no value has got such a name.
    fn declared(&self, graph: &Graph) -> Vec<ValueInfoProto> {
        let dangling = !self.untouched && graph.declared.iter().any(|entry| entry.value.is_none());
        let names: HashSet<&Name> = match dangling {
            true => {
                graph.vertices().flat_map(|(_, vertex)| vertex.ports()).filter_map(|port| port.name.as_ref()).collect()
            }
            false => HashSet::new(),
        };
        graph
            .declared
            .iter()
            .filter_map(|entry| match entry.value {
                None => (!names.contains(&entry.name)).then(|| value_info(&entry.carried, &entry.name, &entry.ty)),
                Some(value) => {
                    let port = graph.get(value.node)?.ports().get(value.port as usize)?;
                    let name = port.name.as_ref().filter(|_| !port.omitted)?;
                    Some(value_info(&entry.carried, name, &entry.ty))
                }
            })
            .collect()
    }

    fn function(&self, function: &Function) -> Result<FunctionProto, ExportError> {
        let body = &function.body;
        let mut message = function.carried.get::<FunctionProto>().cloned().unwrap_or_else(|| FunctionProto {
            doc_string: function.carried.get::<Preamble>().and_then(|said| said.doc_string.clone()),
            name: Some(function.name.to_bytes()),
            domain: Some(function.domain.to_bytes()),
            overload: Some(function.overload.to_bytes()).filter(|overload| !overload.is_empty()),
            attribute: function.required.iter().map(Name::to_bytes).collect(),
            ..FunctionProto::default()
        });
        message.input = body
            .inputs()
            .iter()
            .map(|&id| name_of(body, id, 0).map(|name| name.to_bytes()))
            .collect::<Result<_, _>>()?;
        message.output = body.outputs().iter().map(|&id| body.output(id).name.to_bytes()).collect();
        message.node = self.nodes(body, true)?;
        message.value_info = self.declared(body);
        message.attribute_proto = function.defaults.iter().map(|attr| attribute(attr, Vec::new())).collect();
        if !self.untouched || message.opset_import.is_empty() && function.carried.get::<FunctionProto>().is_none() {
            for (domain, version) in body.opsets.iter() {
                let canonical = canonical_domain(domain.as_bytes());
                let old = message
                    .opset_import
                    .iter_mut()
                    .find(|old| canonical_domain(old.domain.as_deref().unwrap_or_default()) == canonical);
                match old {
                    Some(old) if old.version.unwrap_or_default() == version => {}
                    Some(old) => old.version = Some(version),
                    None => message
                        .opset_import
                        .push(OperatorSetIdProto { domain: Some(domain.to_bytes()), version: Some(version) }),
                }
            }
        }
        Ok(message)
    }
}

fn defined(graph: &Graph) -> HashSet<Bytes> {
    graph
        .vertices()
        .flat_map(|(_, vertex)| vertex.ports())
        .filter_map(|port| port.name.as_ref().map(Name::to_bytes))
        .collect()
}

fn name_of(graph: &Graph, id: NodeId, port: u32) -> Result<Name, ExportError> {
    let port = graph.vertex(id).ports().get(port as usize);
    port.and_then(|port| port.name.clone()).ok_or_else(|| ExportError::Nameless(graph.describe(id)))
}

fn put_extras(message: &mut NodeProto, extras: Option<&NodeExtras>) {
    let Some(extras) = extras else { return };
    if extras.domain_present && message.domain.is_none() {
        message.domain = Some(Bytes::new());
    }
    if extras.overload_present && message.overload.is_none() {
        message.overload = Some(Bytes::new());
    }
    message.doc_string.clone_from(&extras.doc_string);
    message.metadata_props.clone_from(&extras.metadata_props);
    message.device_configurations.clone_from(&extras.device_configurations);
}

/// The entry of an interface or of the list of types: as it came, name and type brought up to date where they changed.
fn value_info(carried: &Carried, name: &Name, ty: &Type) -> ValueInfoProto {
    let mut message = carried.get::<ValueInfoProto>().cloned().unwrap_or_default();
    if message.name.as_deref().unwrap_or_default() != name.as_bytes() {
        message.name = Some(name.to_bytes());
    }
    if types::from_message(message.r#type.as_ref()) != *ty {
        let denotation = message.r#type.take().and_then(|ty| ty.denotation);
        message.r#type = types::to_message(ty).map(|mut ty| {
            ty.denotation = denotation;
            ty
        });
    }
    message
}

fn input_info(input: &Input, name: &Name) -> ValueInfoProto {
    let carried =
        input.carried.get::<InputExtras>().map_or_else(Carried::none, |extras| Carried::new(extras.message.clone()));
    value_info(&carried, name, &input.declared)
}

/// The message of an attribute, with the messages of its graphs.
fn attribute(attr: &Attr, mut graphs: Vec<GraphProto>) -> AttributeProto {
    let extras = attr.carried.get::<AttributeExtras>();
    let mut message = match extras {
        Some(extras) => extras.message.clone(),
        None => AttributeProto {
            name: Some(attr.name.to_bytes()),
            r#type: Some(attr.value.kind() as i32),
            ..AttributeProto::default()
        },
    };
    let absent = extras.is_some_and(|extras| extras.payload_absent);
    match &attr.value {
        AttrValue::Float(value) => message.f = Some(*value).filter(|value| !absent || *value != 0.0),
        AttrValue::Int(value) => message.i = Some(*value).filter(|value| !absent || *value != 0),
        AttrValue::String(value) => message.s = Some(value.clone()).filter(|value| !absent || !value.is_empty()),
        AttrValue::Tensor(value) => message.t = Some(Box::new(tensor::to_message(value, None))),
        AttrValue::Graph(_) => message.g = graphs.pop().map(Box::new),
        AttrValue::Floats(values) => message.floats.clone_from(values),
        AttrValue::Ints(values) => message.ints.clone_from(values),
        AttrValue::Strings(values) => message.strings.clone_from(values),
        AttrValue::Tensors(values) => {
            message.tensors = values.iter().map(|one| tensor::to_message(one, None)).collect()
        }
        AttrValue::Graphs(_) => message.graphs = graphs,
        AttrValue::SparseTensor(value) => {
            message.sparse_tensor = Some(Box::new(tensor::sparse_to_message(value, None)))
        }
        AttrValue::SparseTensors(values) => {
            message.sparse_tensors = values.iter().map(|one| tensor::sparse_to_message(one, None)).collect();
        }
        AttrValue::Type(ty) if types::from_message(message.tp.as_deref()) != *ty => {
            message.tp = types::to_message(ty).map(Box::new);
        }
        AttrValue::Types(list) if message.type_protos.len() != list.len() => {
            message.type_protos = list.iter().filter_map(types::to_message).collect();
        }
        AttrValue::Type(_) | AttrValue::Types(_) => {}
        AttrValue::Reference { name, .. } => message.ref_attr_name = Some(name.to_bytes()),
    }
    message
}

/// The node by which a constant is written, its value in the attribute that the file had it in, where it still fits there.
fn constant_node(output: &Name, constant: &Constant) -> NodeProto {
    let (name, extras) = match &constant.form {
        ConstantForm::Node { name, carried } => (name.clone(), carried.get::<ConstantNodeExtras>()),
        _ => (None, None),
    };
    let mut message = NodeProto {
        output: vec![output.to_bytes()],
        name: name.map(|name| name.to_bytes()),
        op_type: Some(Bytes::from_static(b"Constant")),
        domain: extras.map(|extras| extras.domain.clone()).filter(|domain| !domain.is_empty()),
        ..NodeProto::default()
    };
    put_extras(&mut message, extras.map(|extras| &extras.node));
    let kept = extras.and_then(|extras| constant_attribute(&extras.attribute, &constant.value, extras.payload_absent));
    message.attribute.push(kept.unwrap_or_else(|| {
        let (name, r#type, t, sparse_tensor): (&[u8], _, Option<TensorProto>, Option<SparseTensorProto>) =
            match &constant.value {
                ConstantValue::Dense(tensor) => {
                    (b"value", AttrKind::Tensor, Some(tensor::to_message(tensor, None)), None)
                }
                ConstantValue::Sparse(tensor) => {
                    (b"sparse_value", AttrKind::SparseTensor, None, Some(tensor::sparse_to_message(tensor, None)))
                }
            };
        AttributeProto {
            name: Some(Bytes::copy_from_slice(name)),
            r#type: Some(r#type as i32),
            t: t.map(Box::new),
            sparse_tensor: sparse_tensor.map(Box::new),
            ..AttributeProto::default()
        }
    }));
    message
}

fn constant_attribute(kept: &AttributeProto, value: &ConstantValue, absent: bool) -> Option<AttributeProto> {
    let mut message = kept.clone();
    let tensor = match value {
        ConstantValue::Dense(tensor) => tensor,
        ConstantValue::Sparse(tensor) => {
            message.sparse_tensor = Some(Box::new(tensor::sparse_to_message(tensor, None)));
            return (kept.name.as_deref() == Some(b"sparse_value")).then_some(message);
        }
    };
    let one = |tensor: &Tensor, dtype| tensor.dtype() == dtype && tensor.rank() == 0;
    let many = |tensor: &Tensor, dtype| tensor.dtype() == dtype && tensor.rank() == 1;
    match kept.name.as_deref()? {
        b"value" => message.t = Some(Box::new(tensor::to_message(tensor, None))),
        b"value_float" if one(tensor, DType::Float) => {
            message.f = Some(*tensor.values::<f32>().ok()?.first()?).filter(|value| !absent || *value != 0.0);
        }
        b"value_int" if one(tensor, DType::Int64) => {
            message.i = Some(*tensor.values::<i64>().ok()?.first()?).filter(|value| !absent || *value != 0);
        }
        b"value_string" if one(tensor, DType::String) => {
            message.s = Some(tensor.strings()?.first()?.clone()).filter(|value| !absent || !value.is_empty());
        }
        b"value_floats" if many(tensor, DType::Float) => message.floats = tensor.values::<f32>().ok()?.into_owned(),
        b"value_ints" if many(tensor, DType::Int64) => message.ints = tensor.values::<i64>().ok()?.into_owned(),
        b"value_strings" if many(tensor, DType::String) => message.strings = tensor.strings()?.to_vec(),
        _ => return None,
    }
    Some(message)
}
