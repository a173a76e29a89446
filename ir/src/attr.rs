//! Attributes of nodes: what is fixed when the model is made.

use std::fmt;

use bytes::Bytes;

use crate::carried::Carried;
use crate::graph::Graph;
use crate::name::Name;
use crate::tensor::{SparseTensor, Tensor};
use crate::types::Type;

/// The kinds of attribute values that the standard has; the discriminant is its number (`AttributeProto.AttributeType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names say it all")]
pub enum AttrKind {
    Float = 1,
    Int = 2,
    String = 3,
    Tensor = 4,
    Graph = 5,
    Floats = 6,
    Ints = 7,
    Strings = 8,
    Tensors = 9,
    Graphs = 10,
    SparseTensor = 11,
    SparseTensors = 12,
    Type = 13,
    Types = 14,
}

impl AttrKind {
    /// Every kind, by ascending number.
    pub const ALL: [Self; 14] = [
        Self::Float,
        Self::Int,
        Self::String,
        Self::Tensor,
        Self::Graph,
        Self::Floats,
        Self::Ints,
        Self::Strings,
        Self::Tensors,
        Self::Graphs,
        Self::SparseTensor,
        Self::SparseTensors,
        Self::Type,
        Self::Types,
    ];

    /// The kind with this number in the standard.
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|&kind| kind as i64 == code)
    }

    /// The word of ONNX's text syntax: `float`, `ints`, `graph`, ….
    pub const fn name(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Int => "int",
            Self::String => "string",
            Self::Tensor => "tensor",
            Self::Graph => "graph",
            Self::Floats => "floats",
            Self::Ints => "ints",
            Self::Strings => "strings",
            Self::Tensors => "tensors",
            Self::Graphs => "graphs",
            Self::SparseTensor => "sparse_tensor",
            Self::SparseTensors => "sparse_tensors",
            Self::Type => "type_proto",
            Self::Types => "type_protos",
        }
    }
}

impl fmt::Display for AttrKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The value of an attribute.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the names say it all")]
pub enum AttrValue {
    Float(f32),
    Int(i64),
    String(Bytes),
    Tensor(Tensor),
    Graph(Box<Graph>),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    Strings(Vec<Bytes>),
    Tensors(Vec<Tensor>),
    Graphs(Vec<Graph>),
    SparseTensor(SparseTensor),
    SparseTensors(Vec<SparseTensor>),
    Type(Type),
    Types(Vec<Type>),
    /// Inside a function: the value of the function's attribute `name`.
    Reference {
        name: Name,
        kind: AttrKind,
    },
}

impl AttrValue {
    /// What kind of value it is.
    pub fn kind(&self) -> AttrKind {
        match self {
            Self::Float(_) => AttrKind::Float,
            Self::Int(_) => AttrKind::Int,
            Self::String(_) => AttrKind::String,
            Self::Tensor(_) => AttrKind::Tensor,
            Self::Graph(_) => AttrKind::Graph,
            Self::Floats(_) => AttrKind::Floats,
            Self::Ints(_) => AttrKind::Ints,
            Self::Strings(_) => AttrKind::Strings,
            Self::Tensors(_) => AttrKind::Tensors,
            Self::Graphs(_) => AttrKind::Graphs,
            Self::SparseTensor(_) => AttrKind::SparseTensor,
            Self::SparseTensors(_) => AttrKind::SparseTensors,
            Self::Type(_) => AttrKind::Type,
            Self::Types(_) => AttrKind::Types,
            Self::Reference { kind, .. } => *kind,
        }
    }

    /// The graphs that the value holds.
    pub fn graphs(&self) -> &[Graph] {
        match self {
            Self::Graph(graph) => std::slice::from_ref(graph),
            Self::Graphs(graphs) => graphs,
            _ => &[],
        }
    }

    /// The graphs that the value holds, to be changed.
    pub fn graphs_mut(&mut self) -> &mut [Graph] {
        match self {
            Self::Graph(graph) => std::slice::from_mut(graph),
            Self::Graphs(graphs) => graphs,
            _ => &mut [],
        }
    }
}

/// A named attribute.
#[derive(Clone, Debug)]
pub struct Attr {
    /// The name, unique within its node.
    pub name: Name,
    /// The value.
    pub value: AttrValue,
    /// The reader's companion.
    pub carried: Carried,
}

impl Attr {
    /// An attribute that a pass made.
    pub fn new(name: impl Into<Name>, value: AttrValue) -> Self {
        Self { name: name.into(), value, carried: Carried::none() }
    }

    /// A whole number.
    pub fn int(name: impl Into<Name>, value: i64) -> Self {
        Self::new(name, AttrValue::Int(value))
    }

    /// Whole numbers.
    pub fn ints(name: impl Into<Name>, values: impl Into<Vec<i64>>) -> Self {
        Self::new(name, AttrValue::Ints(values.into()))
    }

    /// A number.
    pub fn float(name: impl Into<Name>, value: f32) -> Self {
        Self::new(name, AttrValue::Float(value))
    }

    /// A string.
    pub fn string(name: impl Into<Name>, value: &'static str) -> Self {
        Self::new(name, AttrValue::String(Bytes::from_static(value.as_bytes())))
    }
}
