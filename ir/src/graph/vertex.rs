//! What sits at a vertex: an input, a constant, a captured value, a node, an output.

use std::sync::Arc;

use petgraph::graph::EdgeIndex;
use smallvec::SmallVec;

use crate::attr::{Attr, AttrValue};
use crate::carried::Carried;
use crate::dim::Dim;
use crate::dtype::DType;
use crate::name::Name;
use crate::tensor::{SparseTensor, Tensor};
use crate::types::Type;

/// Where an entity stands in the file: its place there, then, among what passes put in its place, the order of making.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Order {
    /// The place in the file.
    pub file: u32,
    /// The order of making among those that share a place.
    pub made: u32,
}

/// One output of a vertex, that is, a value.
#[derive(Clone, Debug, Default)]
pub struct Port {
    /// The label; `None` until names are assigned, or for an optional output that is left out.
    pub name: Option<Name>,
    /// What is known of the value.
    pub ty: Type,
    /// The elements of a small tensor of whole numbers (a shape, axes), row-major, each constant or symbolic.
    pub elements: Option<Arc<[Dim]>>,
    /// Whether the node leaves this optional output out; nothing can read it.
    pub omitted: bool,
}

impl Port {
    /// A port with a name and a type.
    pub fn new(name: impl Into<Name>, ty: Type) -> Self {
        Self { name: Some(name.into()), ty, ..Self::default() }
    }
}

/// A graph input.
#[derive(Clone, Debug)]
pub struct Input {
    /// The value.
    pub port: Port,
    /// What the value is unless the caller overrides it (an initializer of the same name, IR version 4 and newer).
    pub default: Option<ConstantValue>,
    /// The type as the interface declares it.
    pub declared: Type,
    /// The reader's companion.
    pub carried: Carried,
}

/// A tensor that is part of the model.
#[derive(Clone, Debug, PartialEq)]
pub enum ConstantValue {
    /// All elements stored.
    Dense(Tensor),
    /// Only the elements that are not 0 stored.
    Sparse(SparseTensor),
}

impl ConstantValue {
    /// The dense tensor, if it is one.
    pub fn dense(&self) -> Option<&Tensor> {
        match self {
            Self::Dense(tensor) => Some(tensor),
            Self::Sparse(_) => None,
        }
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        match self {
            Self::Dense(tensor) => tensor.dtype(),
            Self::Sparse(tensor) => tensor.dtype(),
        }
    }

    /// The extents.
    pub fn dims(&self) -> &[usize] {
        match self {
            Self::Dense(tensor) => tensor.dims(),
            Self::Sparse(tensor) => &tensor.dims,
        }
    }
}

/// How the file writes a constant.
#[derive(Clone, Debug)]
pub enum ConstantForm {
    /// An initializer.
    Initializer,
    /// An initializer that is listed among the inputs too, as every one had to be before IR version 4. The companion is
    /// that of the input; `place` is its place among the inputs.
    ListedAsInput {
        /// The place among the graph's inputs, initializers counted.
        place: u32,
        /// The reader's companion of the input.
        carried: Carried,
    },
    /// A node of operator `Constant`; the companion is that of the node.
    Node {
        /// The node's own name.
        name: Option<Name>,
        /// The reader's companion of the node.
        carried: Carried,
    },
}

/// A constant.
#[derive(Clone, Debug)]
pub struct Constant {
    /// What it is.
    pub value: ConstantValue,
    /// The value's label and type.
    pub port: Port,
    /// How the file writes it.
    pub form: ConstantForm,
    /// Where it stands among its like.
    pub order: Order,
}

/// Inside a subgraph: a value of the enclosing graph.
#[derive(Clone, Debug)]
pub struct Capture {
    /// The value as seen from inside. Its name is the outer value's.
    pub port: Port,
    /// Which implicit operand of the node that holds the subgraph.
    pub operand: u32,
}

/// A graph output.
#[derive(Clone, Debug)]
pub struct Output {
    /// The name by which the model's users know it.
    pub name: Name,
    /// The type as the interface declares it.
    pub declared: Type,
    /// The reader's companion.
    pub carried: Carried,
    pub(super) operand: Option<EdgeIndex>,
}

/// Which rule made a node, and from which nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The rule or pass.
    pub rule: &'static str,
    /// The names of the nodes that this one stands for.
    pub from: Vec<Name>,
}

pub(super) type Operands = SmallVec<[Option<EdgeIndex>; 4]>;

/// An application of an operator or of a function of the model.
#[derive(Clone, Debug)]
pub struct Node {
    /// The operator's domain as the file has it; empty (or `ai.onnx`) is the standard's.
    pub domain: Name,
    /// The operator.
    pub op_type: Name,
    /// Which of a function's overloads; usually empty.
    pub overload: Name,
    /// The node's own name, if it has one.
    pub name: Option<Name>,
    /// The attributes in the order of the file.
    pub attrs: Vec<Attr>,
    /// Where the node stands in the file.
    pub order: Order,
    /// Which rule made it; `None` for the file's own.
    pub origin: Option<Arc<Origin>>,
    /// The reader's companion.
    pub carried: Carried,
    pub(super) ports: SmallVec<[Port; 1]>,
    pub(super) operands: Operands,
    pub(super) captures: Operands,
}

impl Node {
    /// A node to be put into a graph, with `outputs` unnamed outputs.
    pub fn new(op_type: impl Into<Name>, outputs: usize) -> Self {
        Self {
            domain: Name::empty(),
            op_type: op_type.into(),
            overload: Name::empty(),
            name: None,
            attrs: Vec::new(),
            order: Order::default(),
            origin: None,
            carried: Carried::none(),
            ports: (0..outputs).map(|_| Port::default()).collect(),
            operands: Operands::new(),
            captures: Operands::new(),
        }
    }

    /// The node with this domain.
    #[must_use]
    pub fn in_domain(mut self, domain: impl Into<Name>) -> Self {
        self.domain = domain.into();
        self
    }

    /// The node with this attribute more.
    #[must_use]
    pub fn with(mut self, attr: Attr) -> Self {
        self.attrs.push(attr);
        self
    }

    /// The node with this name of its own.
    #[must_use]
    pub fn named(mut self, name: Option<Name>) -> Self {
        self.name = name;
        self
    }

    /// The node with these outputs.
    #[must_use]
    pub fn with_ports(mut self, ports: impl IntoIterator<Item = Port>) -> Self {
        self.ports = ports.into_iter().collect();
        self
    }

    /// The domain with `ai.onnx` and the empty one made equal.
    pub fn canonical_domain(&self) -> &[u8] {
        canonical_domain(self.domain.as_bytes())
    }

    /// Whether this is `op_type` of the standard's domain.
    pub fn is(&self, op_type: &str) -> bool {
        self.op_type == op_type && self.canonical_domain().is_empty()
    }

    /// The attribute of this name.
    pub fn attr(&self, name: &str) -> Option<&AttrValue> {
        self.attrs.iter().find(|attr| attr.name == name).map(|attr| &attr.value)
    }

    /// The number of outputs, omitted ones counted.
    pub fn port_count(&self) -> usize {
        self.ports.len()
    }

    /// The outputs.
    pub fn ports(&self) -> &[Port] {
        &self.ports
    }

    pub(crate) fn set_ports(&mut self, ports: Vec<Port>) {
        self.ports = ports.into();
    }

    /// The number of operands, omitted ones counted.
    pub fn operand_count(&self) -> usize {
        self.operands.len()
    }

    /// The number of implicit operands: values that subgraphs capture.
    pub fn capture_count(&self) -> usize {
        self.captures.len()
    }

    /// The subgraphs, in the order of the attributes.
    pub fn subgraphs(&self) -> impl Iterator<Item = &super::Graph> {
        self.attrs.iter().flat_map(|attr| attr.value.graphs())
    }

    /// Whether there is any subgraph.
    pub fn has_subgraphs(&self) -> bool {
        self.subgraphs().next().is_some()
    }
}

/// `ai.onnx` and the empty domain are one; the empty one stands for both.
pub fn canonical_domain(domain: &[u8]) -> &[u8] {
    if domain == b"ai.onnx" { b"" } else { domain }
}

/// What sits at a vertex.
#[derive(Clone, Debug)]
pub enum Vertex {
    /// A graph input.
    Input(Box<Input>),
    /// A constant.
    Constant(Box<Constant>),
    /// A value of the enclosing graph.
    Capture(Box<Capture>),
    /// An application of an operator.
    Node(Box<Node>),
    /// A graph output.
    Output(Box<Output>),
}

impl Vertex {
    /// The vertex's outputs.
    pub fn ports(&self) -> &[Port] {
        match self {
            Self::Input(input) => std::slice::from_ref(&input.port),
            Self::Constant(constant) => std::slice::from_ref(&constant.port),
            Self::Capture(capture) => std::slice::from_ref(&capture.port),
            Self::Node(node) => &node.ports,
            Self::Output(_) => &[],
        }
    }

    pub(super) fn ports_mut(&mut self) -> &mut [Port] {
        match self {
            Self::Input(input) => std::slice::from_mut(&mut input.port),
            Self::Constant(constant) => std::slice::from_mut(&mut constant.port),
            Self::Capture(capture) => std::slice::from_mut(&mut capture.port),
            Self::Node(node) => &mut node.ports,
            Self::Output(_) => &mut [],
        }
    }
}
