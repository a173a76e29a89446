//! What a model is made of, in numbers: for people, for scripts, and for the report of a run.

use std::borrow::Cow;
use std::collections::BTreeMap;

use onnxpress_ir::analysis::peak_bytes;
use onnxpress_ir::{ConstantForm, ConstantValue, DType, Dim, Graph, Model, NodeId, Shape, Symbol, Type, Vertex};
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::{Cost, table};
use onnxpress_passes::inlined;
use onnxpress_proto::schema::{ModelProto, text};
use serde::Serialize;

/// The version of the layout of what `--json` prints. It grows when a key changes its meaning or goes.
pub const SCHEMA: u32 = 1;

/// An input or output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its type, in the words of ONNX's text syntax.
    #[serde(rename = "type")]
    pub ty: String,
}

/// The numbers that every report has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Nodes of the main graph, of subgraphs and of functions.
    pub nodes: usize,
    /// Initializers, sparse ones included, of the main graph and of subgraphs.
    pub initializers: usize,
    /// Elements of constants that are weights: of any floating-point type, or whole numbers of at most 16 bits and rank 2 or more.
    pub parameters: u64,
    /// Bytes that all constants take.
    pub weight_bytes: u64,
    /// Multiply-accumulates of Conv, ConvTranspose, Gemm and MatMul; an extent that is not known counts as 1.
    pub macs: u64,
    /// Multiply-accumulates of every other operator.
    pub other_macs: u64,
    /// Multiply-accumulates of all operators in functions, counted for every call.
    pub function_macs: u64,
}

impl Size {
    /// All multiply-accumulates.
    pub fn all_macs(&self) -> u64 {
        self.macs.saturating_add(self.other_macs).saturating_add(self.function_macs)
    }
}

/// What a model is made of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The layout of this object.
    pub schema: u32,
    /// Version of the file format.
    pub ir_version: i64,
    /// Version of the standard's own operators.
    pub opset: i64,
    /// Versions of all operator sets imported.
    pub opset_imports: BTreeMap<String, i64>,
    /// What wrote the file.
    pub producer: String,
    /// Bytes of the model file.
    pub bytes: u64,
    /// Bytes of external data.
    pub external_bytes: u64,
    /// The numbers that every report has.
    #[serde(flatten)]
    pub size: Size,
    /// How often each operator occurs; those of other domains with it.
    pub op_counts: BTreeMap<String, usize>,
    /// Functions that the model defines.
    pub functions: Vec<String>,
    /// Bytes of the values that are alive at once, at most, when nodes run in order; an extent that is not known counts as 1.
    pub peak_activation_bytes: u64,
    /// Bytes of weights by element type.
    pub weight_types: BTreeMap<&'static str, u64>,
    /// The inputs that a caller must give.
    pub inputs: Vec<Interface>,
    /// The inputs that have a default, which a caller may override.
    pub defaults: Vec<Interface>,
    /// The outputs.
    pub outputs: Vec<Interface>,
}

/// The numbers of a model whose types are inferred.
pub fn size(model: &Model) -> Size {
    let mut size = Size { nodes: model.node_count(), ..Size::default() };
    let mut counted = model.clone();
    close(&mut counted.graph);
    measure(&counted.graph, &mut size);
    let (macs, other_macs) = (size.macs, size.other_macs);
    for function in &counted.functions {
        measure(&function.body, &mut size);
    }
    // Work depends on the operands of the call.
    (size.macs, size.other_macs) = (macs, other_macs);
    size.function_macs = function_macs(model, macs.saturating_add(other_macs));
    size
}

/// What the calls of functions add to the multiply-accumulates of the graph itself.
fn function_macs(model: &Model, own: u64) -> u64 {
    let Cow::Owned(mut whole) = inlined(model) else { return 0 };
    close(&mut whole.graph);
    let mut size = Size::default();
    measure(&whole.graph, &mut size);
    size.macs.saturating_add(size.other_macs).saturating_sub(own)
}

/// Takes every extent that is not known for 1, whatever it is made of, so that work can be counted.
fn close(graph: &mut Graph) {
    let holders: Vec<NodeId> = graph.nodes().filter(|(_, node)| node.has_subgraphs()).map(|(id, _)| id).collect();
    for id in holders {
        graph.annotating_subgraphs(id).for_each(close);
    }
    let open = |dim: &Dim| dim.as_const().is_none();
    let mut facts = Vec::new();
    for (id, vertex) in graph.vertices() {
        for (port, known) in (0u32..).zip(vertex.ports()) {
            let Type::Tensor(tensor) = &known.ty else { continue };
            let Some(shape) = tensor.shape.as_ref().filter(|shape| shape.iter().any(open)) else { continue };
            let closed = shape.iter().map(|dim| if open(dim) { Dim::from(1) } else { dim.clone() }).collect::<Shape>();
            facts.push((id.port(port), Type::tensor(tensor.dtype, closed), known.elements.clone()));
        }
    }
    for (value, ty, elements) in facts {
        graph.set_fact(value, ty, elements);
    }
}

fn measure(graph: &Graph, size: &mut Size) {
    for value in constants(graph) {
        let (dtype, rank, stored) = match value.0 {
            ConstantValue::Dense(tensor) => (tensor.dtype(), tensor.rank(), tensor),
            ConstantValue::Sparse(tensor) => (tensor.dtype(), tensor.dims.len(), &tensor.values),
        };
        size.initializers += usize::from(value.1);
        size.weight_bytes += stored.byte_len() as u64;
        if is_weight(dtype, rank) {
            size.parameters += stored.len() as u64;
        }
    }
    for (id, node) in graph.nodes() {
        for body in node.subgraphs() {
            measure(body, size);
        }
        let Some(Cost::Macs(macs)) = table::of(node).map(|operator| operator.cost) else { continue };
        let Some(cx) = NodeCx::new(graph, id) else { continue };
        let count = macs(&cx).eval(|_| Some(1)).and_then(|count| u64::try_from(count).ok()).unwrap_or_default();
        let plain = ["Conv", "ConvTranspose", "Gemm", "MatMul"].iter().any(|name| node.is(name));
        let sum = if plain { &mut size.macs } else { &mut size.other_macs };
        *sum = sum.saturating_add(count);
    }
}

/// The constants of a graph, defaults of inputs included, and whether each is an initializer.
fn constants(graph: &Graph) -> impl Iterator<Item = (&ConstantValue, bool)> {
    graph.vertices().filter_map(|(_, vertex)| match vertex {
        Vertex::Constant(constant) => Some((&constant.value, !matches!(constant.form, ConstantForm::Node { .. }))),
        Vertex::Input(input) => input.default.as_ref().map(|value| (value, true)),
        _ => None,
    })
}

fn is_weight(dtype: DType, rank: usize) -> bool {
    dtype.is_float() || (dtype.is_integer() && dtype.bits() <= 16 && rank >= 2)
}

/// Sums a model up. Its types must be inferred; `bytes` and `external_bytes` are of its file.
pub fn summary(model: &Model, bytes: u64, external_bytes: u64) -> Summary {
    let header = model.header.carried.get::<ModelProto>();
    let said = |field: Option<&onnxpress_proto::Bytes>| field.map(|bytes| text(bytes).into_owned()).unwrap_or_default();
    let name = said(header.and_then(|header| header.producer_name.as_ref()));
    let version = said(header.and_then(|header| header.producer_version.as_ref()));
    let mut op_counts = BTreeMap::new();
    let mut weight_types = BTreeMap::new();
    count(&model.graph, &mut op_counts, &mut weight_types);
    for function in &model.functions {
        count(&function.body, &mut op_counts, &mut weight_types);
    }
    let graph = &model.graph;
    let (given, defaults): (Vec<_>, Vec<_>) = graph.inputs().iter().partition(|&&id| graph.input(id).default.is_none());
    let interface = |ids: Vec<NodeId>| -> Vec<Interface> {
        let one = |id: NodeId| Interface { name: graph.label(id.port(0)), ty: shown(&graph.input(id).declared) };
        ids.into_iter().map(one).collect()
    };
    let outputs = graph.outputs().iter().map(|&id| Interface {
        name: graph.output(id).name.to_string(),
        ty: shown(graph.operand(id, 0).map_or(&Type::Unknown, |value| graph.ty(value))),
    });
    Summary {
        schema: SCHEMA,
        ir_version: model.header.ir_version,
        opset: graph.opsets.standard(),
        opset_imports: graph.opsets.iter().map(|(domain, version)| (domain.to_string(), version)).collect(),
        producer: format!("{name} {version}").trim().to_owned(),
        bytes,
        external_bytes,
        size: size(model),
        op_counts,
        functions: model.functions.iter().map(|function| format!("{}.{}", function.domain, function.name)).collect(),
        peak_activation_bytes: peak_bytes(graph, &|_| Some(1)),
        weight_types,
        inputs: interface(given),
        defaults: interface(defaults),
        outputs: outputs.collect(),
    }
}

/// A type for people: an extent that only we have a number for is `?`.
pub fn shown(ty: &Type) -> String {
    let plain = |dim: &Dim| {
        let own = dim.symbols().iter().any(|symbol| matches!(symbol, Symbol::Anonymous(_)));
        if own { Dim::unknown() } else { dim.clone() }
    };
    match ty {
        Type::Tensor(tensor) => {
            let shape = tensor.shape.as_ref().map(|shape| shape.iter().map(plain).collect::<Shape>());
            Type::tensor(tensor.dtype, shape).to_string()
        }
        other => other.to_string(),
    }
}

fn count(graph: &Graph, ops: &mut BTreeMap<String, usize>, weights: &mut BTreeMap<&'static str, u64>) {
    for (_, vertex) in graph.vertices() {
        match vertex {
            Vertex::Node(node) => {
                let name = if node.canonical_domain().is_empty() {
                    node.op_type.to_string()
                } else {
                    format!("{}.{}", node.domain, node.op_type)
                };
                *ops.entry(name).or_default() += 1;
                node.subgraphs().for_each(|body| count(body, ops, weights));
            }
            Vertex::Constant(constant) if matches!(constant.form, ConstantForm::Node { .. }) => {
                *ops.entry("Constant".to_owned()).or_default() += 1;
            }
            _ => {}
        }
    }
    for (value, _) in constants(graph) {
        let bytes = match value {
            ConstantValue::Dense(tensor) => tensor.byte_len(),
            ConstantValue::Sparse(tensor) => tensor.values.byte_len() + tensor.indices.byte_len(),
        };
        *weights.entry(value.dtype().name()).or_default() += bytes as u64;
    }
}

/// A count for people: `1.27 M`.
pub fn human(count: u64) -> String {
    let scales = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    match scales.iter().find(|(scale, _)| count as f64 >= *scale) {
        Some((scale, letter)) => format!("{:.2} {letter}", count as f64 / scale),
        None => count.to_string(),
    }
}
