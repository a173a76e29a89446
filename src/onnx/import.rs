//! Messages to graph.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use onnxpress_ir::build::{BuildError, GraphBuilder, NodeDraft};
use onnxpress_ir::{
    Attr, AttrKind, AttrValue, Carried, Constant, ConstantForm, ConstantValue, Function, Header, Input, Model, Name,
    Node, Opsets, Order, Port, Tensor, Type,
};
use onnxpress_proto::schema::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, ValueInfoProto,
    text,
};
use onnxpress_proto::{Bytes, ExternalError, ExternalFiles};

use super::attribute;
use super::extras::{ConstantNodeExtras, DataField, GraphExtras, InputExtras, NodeExtras, TensorExtras};
use super::tensor::{self, TensorFault};
use super::types;

/// Why messages make no model: the place, what was found, what was expected.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The model imports no operator set, so its nodes mean nothing.
    #[error("the model does not say which version of the operators it uses (no opset_import)")]
    NoOpset,
    /// The model is of a version that is not known here.
    #[error(
        "the model uses version {found} of the operators of {domain}, expected 1 to {newest}, the newest known here"
    )]
    Opset {
        /// The domain.
        domain: String,
        /// The version in the file.
        found: i64,
        /// The newest version in the schema table.
        newest: i64,
    },
    /// There is no graph.
    #[error("the model has no graph")]
    NoGraph,
    /// Names make no graph.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A tensor is none.
    #[error("{site}: {fault}")]
    Tensor {
        /// The initializer or attribute.
        site: String,
        /// What is wrong.
        fault: Box<TensorFault>,
    },
    /// The data of an initializer are in another file, and cannot be had.
    #[error(transparent)]
    External(#[from] ExternalError),
    /// A declared extent that is negative, and not the -1 that some exporters write for one that is not known.
    #[error("{site}: an extent of {extent}, expected none below zero (-1 is taken for not known)")]
    Extent {
        /// The input, output or declared value.
        site: String,
        /// The extent.
        extent: i64,
    },
    /// An attribute has no kind, or lacks the payload that its kind needs.
    #[error("{node}: attribute `{attribute}` has no value")]
    Attribute {
        /// The node.
        node: String,
        /// The attribute.
        attribute: String,
    },
    /// A node without an operator.
    #[error("{node}: the node has no operator (op_type)")]
    NoOperator {
        /// The node.
        node: String,
    },
}

/// Makes a model of a message. Weights are not copied.
///
/// # Errors
/// Where the message is no valid model; see [`ImportError`].
pub fn from_message(
    mut message: ModelProto,
    external: &mut ExternalFiles,
    initializers_as_constants: bool,
) -> Result<Model, ImportError> {
    let ir_version = message.ir_version.unwrap_or_default();
    let opsets = Arc::new(opsets(&message.opset_import, ir_version)?);
    let graph = message.graph.take().ok_or(ImportError::NoGraph)?;
    let functions = std::mem::take(&mut message.functions);
    let mut reader = Reader { external, overridable: ir_version >= 4 && !initializers_as_constants };
    let graph = reader.graph(graph, &opsets, true)?.build()?;
    let functions =
        functions.into_iter().map(|function| reader.function(function, &opsets)).collect::<Result<Vec<_>, _>>()?;
    Ok(Model { header: Header { ir_version, carried: Carried::new(message) }, graph, functions })
}

fn opsets(imports: &[OperatorSetIdProto], ir_version: i64) -> Result<Opsets, ImportError> {
    // Before format version 3 there were no operator sets.
    if imports.is_empty() && ir_version >= 3 {
        return Err(ImportError::NoOpset);
    }
    let mut list = Vec::new();
    for import in imports {
        let domain = import.domain.clone().unwrap_or_default();
        let version = import.version.unwrap_or_default();
        let newest = std::str::from_utf8(&domain).ok().and_then(onnxpress_ops::schema::newest_opset);
        let standard = matches!(domain.as_ref(), b"" | b"ai.onnx" | b"ai.onnx.ml");
        if let Some(newest) = newest.filter(|&newest| standard && (version > newest || version < 1)) {
            let domain = if domain.is_empty() { "ai.onnx".into() } else { text(&domain) };
            return Err(ImportError::Opset { domain: domain.into_owned(), found: version, newest });
        }
        list.push((Name::from_bytes(domain), version));
    }
    Ok(Opsets::new(list))
}

struct Reader<'a> {
    external: &'a mut ExternalFiles,
    overridable: bool,
}

impl Reader<'_> {
    fn graph(&mut self, message: GraphProto, opsets: &Arc<Opsets>, main: bool) -> Result<GraphBuilder, ImportError> {
        let mut builder = GraphBuilder::new(Arc::clone(opsets));
        builder.set_name(message.name.map(Name::from_bytes));
        for (what, infos) in [("input", &message.input), ("output", &message.output), ("value", &message.value_info)] {
            infos.iter().try_for_each(|info| check_extents(what, info))?;
        }

        // Initializers by name, those that inputs share taken out as the inputs come.
        let mut defaults: BTreeMap<Bytes, (u32, ConstantValue)> = BTreeMap::new();
        let inputs: BTreeSet<&[u8]> = message.input.iter().filter_map(|input| input.name.as_deref()).collect();
        let mut initializers = Vec::new();
        for (place, tensor) in (0u32..).zip(message.initializer) {
            let name = tensor.name.clone().unwrap_or_default();
            let value = self.tensor(tensor, || format!("initializer `{}`", text(&name)))?;
            initializers.push((name, place, ConstantValue::Dense(value)));
        }
        let dense = initializers.len() as u32;
        for (place, sparse) in (dense..).zip(message.sparse_initializer) {
            let name = sparse.values.as_ref().and_then(|values| values.name.clone()).unwrap_or_default();
            let value = tensor::sparse_from_message(sparse, true, self.external).map_err(|fault| {
                ImportError::Tensor { site: format!("sparse initializer `{}`", text(&name)), fault: Box::new(fault) }
            })?;
            initializers.push((name, place, ConstantValue::Sparse(value)));
        }
        let mut plain = Vec::new();
        for (name, place, value) in initializers {
            if inputs.contains(name.as_ref()) && !defaults.contains_key(&name) {
                defaults.insert(name, (place, value));
            } else {
                plain.push((name, place, value));
            }
        }
        for (place, input) in (0u32..).zip(message.input) {
            let default = input.name.as_ref().and_then(|name| defaults.remove(name));
            match default {
                Some((default_place, value)) if !main || !self.overridable => {
                    let form = ConstantForm::ListedAsInput { place, carried: Carried::new(input.clone()) };
                    constant(&mut builder, (input.name.unwrap_or_default(), default_place, value), form);
                }
                default => add_input(&mut builder, input, default),
            }
        }
        for one in plain {
            constant(&mut builder, one, ConstantForm::Initializer);
        }
        for node in message.node {
            self.node(&mut builder, node, opsets)?;
        }
        for output in message.output {
            let declared = types::from_message(output.r#type.as_ref());
            let name = output.name.clone().map(Name::from_bytes).unwrap_or_default();
            builder.add_output(name, declared, Carried::new(output));
        }
        for info in message.value_info {
            declare(&mut builder, info);
        }
        let extras = GraphExtras {
            doc_string: message.doc_string,
            metadata_props: message.metadata_props,
            annotations: message.quantization_annotation,
        };
        builder.set_carried(Carried::new(extras));
        Ok(builder)
    }

    fn tensor(
        &mut self,
        message: onnxpress_proto::schema::TensorProto,
        site: impl Fn() -> String,
    ) -> Result<Tensor, ImportError> {
        tensor::from_message(message, true, self.external).map_err(|fault| match fault {
            TensorFault::External(error) => ImportError::External(error),
            fault => ImportError::Tensor { site: site(), fault: Box::new(fault) },
        })
    }

    fn node(
        &mut self,
        builder: &mut GraphBuilder,
        message: NodeProto,
        opsets: &Arc<Opsets>,
    ) -> Result<(), ImportError> {
        let message = match self.constant_node(builder, message)? {
            None => return Ok(()),
            Some(message) => message,
        };
        let site = || node_site(&message.op_type, &message.name, &message.output);
        let op_type = message.op_type.clone().filter(|op| !op.is_empty());
        let op_type = op_type.ok_or_else(|| ImportError::NoOperator { node: site() })?;
        let mut node = Node::new(Name::from_bytes(op_type), 0)
            .in_domain(message.domain.clone().map(Name::from_bytes).unwrap_or_default())
            .named(message.name.clone().map(Name::from_bytes))
            .with_ports(message.output.iter().map(|name| Port::new(Name::from_bytes(name.clone()), Type::Unknown)));
        node.overload = message.overload.clone().map(Name::from_bytes).unwrap_or_default();
        node.carried = node_extras(&message);
        let site = site();
        let operands = message.input.into_iter().map(Name::from_bytes).collect();
        let mut draft = NodeDraft::new(node, operands);
        for attr in message.attribute {
            self.attribute(&mut draft, attr, &site, opsets)?;
        }
        builder.add_node(draft);
        Ok(())
    }

    fn attribute(
        &mut self,
        draft: &mut NodeDraft,
        mut message: AttributeProto,
        node: &str,
        opsets: &Arc<Opsets>,
    ) -> Result<(), ImportError> {
        let name = message.name.clone().map(Name::from_bytes).unwrap_or_default();
        let is_reference = message.ref_attr_name.as_ref().is_some_and(|name| !name.is_empty());
        match attribute::kind(&message) {
            Some(AttrKind::Graph) if !is_reference => {
                let missing = || ImportError::Attribute { node: node.to_owned(), attribute: name.to_string() };
                let graph = message.g.take().ok_or_else(missing)?;
                let body = self.graph(*graph, opsets, false)?;
                draft.push_graph(name, attribute::extras(message, false), body);
            }
            Some(AttrKind::Graphs) if !is_reference => {
                let bodies = std::mem::take(&mut message.graphs)
                    .into_iter()
                    .map(|graph| self.graph(graph, opsets, false))
                    .collect::<Result<Vec<_>, _>>()?;
                draft.push_graphs(name, attribute::extras(message, false), bodies);
            }
            _ => draft.push_attr(self.plain_attribute(message, node)?),
        }
        Ok(())
    }

    fn plain_attribute(&mut self, message: AttributeProto, node: &str) -> Result<Attr, ImportError> {
        let name = message.name.clone().unwrap_or_default();
        attribute::from_message(message, self.external).map_err(|fault| match fault {
            Some(fault) => {
                ImportError::Tensor { site: format!("{node}: attribute `{}`", text(&name)), fault: Box::new(fault) }
            }
            None => ImportError::Attribute { node: node.to_owned(), attribute: text(&name).into_owned() },
        })
    }

    /// A node `Constant` whose value is given becomes a constant that is written as a node; any other is handed back.
    fn constant_node(
        &mut self,
        builder: &mut GraphBuilder,
        mut message: NodeProto,
    ) -> Result<Option<NodeProto>, ImportError> {
        let standard = matches!(message.domain.as_deref().unwrap_or_default(), b"" | b"ai.onnx");
        let single = message.attribute.len() == 1 && message.output.len() == 1 && message.input.is_empty();
        let given = single
            && !message.output[0].is_empty()
            && message.attribute[0].ref_attr_name.as_ref().is_none_or(|name| name.is_empty());
        if message.op_type.as_deref() != Some(b"Constant") || !standard || !given {
            return Ok(Some(message));
        }
        let site = node_site(&message.op_type, &message.name, &message.output);
        let Some(attr) = message.attribute.pop() else { return Ok(Some(message)) };
        let Some(mut extras) = constant_extras(&attr) else {
            message.attribute.push(attr);
            return Ok(Some(message));
        };
        let attr = self.plain_attribute(attr, &site)?;
        let Some((value, absent)) = constant_value(attr) else {
            return Err(ImportError::Attribute {
                node: site,
                attribute: text(&extras.attribute.name.unwrap_or_default()).into_owned(),
            });
        };
        extras.payload_absent = absent;
        extras.domain = message.domain.clone().unwrap_or_default();
        extras.node = node_extras(&message).get::<NodeExtras>().cloned().unwrap_or_default();
        builder.add_constant(Constant {
            value,
            port: Port::new(Name::from_bytes(message.output[0].clone()), Type::Unknown),
            form: ConstantForm::Node { name: message.name.map(Name::from_bytes), carried: Carried::new(extras) },
            order: Order::default(),
        });
        Ok(None)
    }

    fn function(&mut self, message: FunctionProto, outer: &Arc<Opsets>) -> Result<Function, ImportError> {
        let mut message = message;
        let opsets = if message.opset_import.is_empty() {
            Arc::clone(outer)
        } else {
            Arc::new(opsets(&message.opset_import, i64::MAX)?)
        };
        let mut builder = GraphBuilder::new(Arc::clone(&opsets));
        builder.set_name(message.name.clone().map(Name::from_bytes));
        for name in &message.input {
            builder.add_input(Input {
                port: Port::new(Name::from_bytes(name.clone()), Type::Unknown),
                default: None,
                declared: Type::Unknown,
                carried: Carried::none(),
            });
        }
        for node in std::mem::take(&mut message.node) {
            self.node(&mut builder, node, &opsets)?;
        }
        for name in &message.output {
            builder.add_output(Name::from_bytes(name.clone()), Type::Unknown, Carried::none());
        }
        for info in std::mem::take(&mut message.value_info) {
            declare(&mut builder, info);
        }
        let site = format!("function `{}`", text(message.name.as_deref().unwrap_or_default()));
        let defaults = std::mem::take(&mut message.attribute_proto)
            .into_iter()
            .map(|attr| self.plain_attribute(attr, &site))
            .collect::<Result<Vec<_>, _>>()?;
        let name = |bytes: &Option<Bytes>| bytes.clone().map(Name::from_bytes).unwrap_or_default();
        Ok(Function {
            domain: name(&message.domain),
            name: name(&message.name),
            overload: name(&message.overload),
            required: message.attribute.iter().cloned().map(Name::from_bytes).collect(),
            defaults,
            body: builder.build()?,
            carried: Carried::new(message),
        })
    }
}

fn check_extents(what: &str, info: &ValueInfoProto) -> Result<(), ImportError> {
    match types::negative_extent(info.r#type.as_ref()) {
        Some(extent) => {
            let name = text(info.name.as_deref().unwrap_or_default());
            Err(ImportError::Extent { site: format!("{what} `{name}`"), extent })
        }
        None => Ok(()),
    }
}

fn add_input(builder: &mut GraphBuilder, message: ValueInfoProto, default: Option<(u32, ConstantValue)>) {
    let declared = types::from_message(message.r#type.as_ref());
    let name = message.name.clone().map(Name::from_bytes).unwrap_or_default();
    let (default_place, default) = default.map_or((0, None), |(place, value)| (place, Some(value)));
    builder.add_input(Input {
        port: Port::new(name, declared.clone()),
        default,
        declared,
        carried: Carried::new(InputExtras { message, default_place }),
    });
}

/// Adds an initializer at its place in the file.
fn constant(builder: &mut GraphBuilder, (name, place, value): (Bytes, u32, ConstantValue), form: ConstantForm) {
    builder.add_initializer(Constant {
        value,
        port: Port::new(Name::from_bytes(name), Type::Unknown),
        form,
        order: Order { file: place, made: 0 },
    });
}

fn declare(builder: &mut GraphBuilder, info: ValueInfoProto) {
    let ty = types::from_message(info.r#type.as_ref());
    let name = info.name.clone().map(Name::from_bytes).unwrap_or_default();
    builder.declare(name, ty, Carried::new(info));
}

fn node_site(op_type: &Option<Bytes>, name: &Option<Bytes>, outputs: &[Bytes]) -> String {
    let op = op_type.as_deref().filter(|op| !op.is_empty()).map_or("node".into(), text);
    let own = name.as_ref().filter(|name| !name.is_empty()).or_else(|| outputs.iter().find(|name| !name.is_empty()));
    match own {
        Some(name) => format!("{op} `{}`", text(name)),
        None => op.into_owned(),
    }
}

fn node_extras(message: &NodeProto) -> Carried {
    let extras = NodeExtras {
        domain_present: message.domain.as_ref().is_some_and(|domain| domain.is_empty()),
        overload_present: message.overload.as_ref().is_some_and(|overload| overload.is_empty()),
        doc_string: message.doc_string.clone(),
        metadata_props: message.metadata_props.clone(),
        device_configurations: message.device_configurations.clone(),
    };
    if extras == NodeExtras::default() { Carried::none() } else { Carried::new(extras) }
}

/// The attribute message without its payload, if it is one of those by which `Constant` takes its value.
fn constant_extras(attr: &AttributeProto) -> Option<ConstantNodeExtras> {
    let kind = attribute::kind(attr)?;
    let fits = match attr.name.as_deref()? {
        b"value" => kind == AttrKind::Tensor,
        b"sparse_value" => kind == AttrKind::SparseTensor,
        b"value_float" => kind == AttrKind::Float,
        b"value_floats" => kind == AttrKind::Floats,
        b"value_int" => kind == AttrKind::Int,
        b"value_ints" => kind == AttrKind::Ints,
        b"value_string" => kind == AttrKind::String,
        b"value_strings" => kind == AttrKind::Strings,
        _ => false,
    };
    fits.then(|| ConstantNodeExtras {
        attribute: AttributeProto {
            name: attr.name.clone(),
            r#type: attr.r#type,
            doc_string: attr.doc_string.clone(),
            ref_attr_name: attr.ref_attr_name.clone(),
            ..AttributeProto::default()
        },
        ..ConstantNodeExtras::default()
    })
}

/// A tensor of whole numbers that an attribute holds, each as long as it needs; where it is written as a tensor, that
/// stays so.
fn typed(tensor: Tensor) -> Tensor {
    tensor.with_carried(Carried::new(TensorExtras { message: TensorProto::default(), field: DataField::Typed }))
}

fn constant_value(attr: Attr) -> Option<(ConstantValue, bool)> {
    let absent = attr.carried.get::<super::extras::AttributeExtras>().is_some_and(|extras| extras.payload_absent);
    let dense = |tensor: Tensor| Some((ConstantValue::Dense(tensor), absent));
    match attr.value {
        AttrValue::Tensor(tensor) => dense(tensor),
        AttrValue::SparseTensor(tensor) => Some((ConstantValue::Sparse(tensor), false)),
        AttrValue::Float(value) => dense(Tensor::scalar(value)),
        AttrValue::Int(value) => dense(typed(Tensor::scalar(value))),
        AttrValue::Floats(values) => dense(Tensor::vector(values)),
        AttrValue::Ints(values) => dense(typed(Tensor::vector(values))),
        AttrValue::String(value) => dense(Tensor::from_strings(&[], vec![value]).ok()?),
        AttrValue::Strings(values) => dense(Tensor::from_strings(&[values.len()], values).ok()?),
        _ => None,
    }
}
