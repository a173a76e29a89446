//! A node as its operator sees it: operands by number, attributes by name with the schema's defaults.

use std::borrow::Cow;

use bytes::Bytes;
use onnxpress_ir::{Attr, AttrValue, DType, Dim, Fact, Graph, Node, NodeId, Shape, Tensor, Type, ValueId};

use crate::infer::Undecided;
use crate::schema;

/// Read access to one node of a graph.
#[derive(Clone, Copy)]
pub struct NodeCx<'a> {
    /// The graph.
    pub graph: &'a Graph,
    /// Where the node is in it.
    pub id: NodeId,
    /// The node.
    pub node: &'a Node,
    /// The version of the node's domain that the graph imports; 1 where it imports none.
    pub version: i64,
}

impl<'a> NodeCx<'a> {
    /// The view of node `id`; `None` if the vertex is no node.
    pub fn new(graph: &'a Graph, id: NodeId) -> Option<Self> {
        let node = graph.node(id)?;
        let version = graph.opsets.version(node.canonical_domain()).unwrap_or(1);
        Some(Self { graph, id, node, version })
    }

    /// The attributes.
    pub fn attrs(&self) -> Attrs<'a> {
        Attrs { attrs: &self.node.attrs, node: self.node, version: self.version }
    }

    /// Operand `index`, unless it is left out.
    pub fn operand(&self, index: usize) -> Option<ValueId> {
        self.graph.operand(self.id, index)
    }

    /// Whether operand `index` is there.
    pub fn has(&self, index: usize) -> bool {
        self.operand(index).is_some()
    }

    /// The number of operands, omitted ones counted.
    pub fn operand_count(&self) -> usize {
        self.node.operand_count()
    }

    /// The type of operand `index`; unknown where it is left out.
    pub fn ty(&self, index: usize) -> &'a Type {
        self.operand(index).map_or(&Type::Unknown, |value| self.graph.ty(value))
    }

    /// All that is known of operand `index`; nothing where it is left out.
    pub fn fact(&self, index: usize) -> Fact {
        let elements = self.operand(index).and_then(|value| self.graph.port(value).elements.clone());
        Fact { ty: self.ty(index).clone(), elements }
    }

    /// The element type of operand `index`, where it is a tensor and known.
    pub fn dtype(&self, index: usize) -> Option<DType> {
        self.ty(index).dtype()
    }

    /// The shape of operand `index`, where its rank is known.
    pub fn shape(&self, index: usize) -> Option<&'a Shape> {
        self.ty(index).shape()
    }

    /// The rank of operand `index`, where known.
    pub fn rank(&self, index: usize) -> Option<usize> {
        self.shape(index).map(|shape| shape.len())
    }

    /// The elements of operand `index`, where it is a small tensor of whole numbers and they are constant or symbolic.
    pub fn elements(&self, index: usize) -> Option<&'a [Dim]> {
        self.operand(index).and_then(|value| self.graph.elements(value))
    }

    /// The elements of operand `index`, where all are constant whole numbers; constants may be of any size.
    pub fn ints(&self, index: usize) -> Option<Vec<i64>> {
        match self.elements(index) {
            Some(elements) => elements.iter().map(Dim::as_const).collect(),
            None => self.constant(index)?.to_i64s().ok(),
        }
    }

    /// Operand `index`, where it is a constant that no caller can override.
    pub fn constant(&self, index: usize) -> Option<&'a Tensor> {
        self.operand(index).and_then(|value| self.graph.constant(value))
    }

    /// The shape of output `index`, where known.
    pub fn output_shape(&self, index: usize) -> Option<&'a Shape> {
        self.node.ports().get(index)?.ty.shape()
    }
}

/// Attributes by name, with the defaults that the operator's schema has at the graph's version.
///
/// Inside a function an attribute may stand for one of the function's own; then its value is not known and the answer is
/// [`Undecided::Unknown`].
#[derive(Clone, Copy)]
pub struct Attrs<'a> {
    attrs: &'a [Attr],
    node: &'a Node,
    version: i64,
}

macro_rules! getter {
    ($(#[doc = $doc:literal])* $name:ident, $or:ident, $variant:ident, $default:ident, $out:ty, $value:ident => $get:expr) => {
        $(#[doc = $doc])*
        ///
        /// # Errors
        /// Where the attribute is of another kind, or stands for one of a function.
        pub fn $name(&self, name: &str) -> Result<Option<$out>, Undecided> {
            match self.get(name) {
                Some(AttrValue::$variant($value)) => Ok(Some($get)),
                Some(AttrValue::Reference { .. }) => Err(Undecided::Unknown),
                Some(other) => Err(Undecided::invalid(format!(
                    "attribute `{name}` is of kind {}, not {}", other.kind(), stringify!($name)
                ))),
                None => Ok(self.default(name).and_then(|default| match default {
                    schema::Default::$default($value) => Some($get),
                    _ => None,
                })),
            }
        }

        /// The same, or `otherwise` where neither the node nor the schema gives a value.
        ///
        /// # Errors
        /// Where the attribute is of another kind, or stands for one of a function.
        pub fn $or(&self, name: &str, otherwise: $out) -> Result<$out, Undecided> {
            Ok(self.$name(name)?.unwrap_or(otherwise))
        }
    };
}

impl<'a> Attrs<'a> {
    /// The attributes of a node of which no graph is at hand.
    pub fn of(node: &'a Node, version: i64) -> Self {
        Self { attrs: &node.attrs, node, version }
    }

    /// The value as the node gives it, defaults aside.
    pub fn get(&self, name: &str) -> Option<&'a AttrValue> {
        self.attrs.iter().find(|attr| attr.name == name).map(|attr| &attr.value)
    }

    /// Whether the node itself gives the attribute.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn default(&self, name: &str) -> Option<&'static schema::Default> {
        let domain = std::str::from_utf8(self.node.canonical_domain()).ok()?;
        let op = std::str::from_utf8(self.node.op_type.as_bytes()).ok()?;
        schema::schema(domain, op, self.version)?.attribute(name)?.default.as_ref()
    }

    getter! {
        /// A whole number.
        int, int_or, Int, Int, i64, value => *value
    }
    getter! {
        /// A number.
        float, float_or, Float, Float, f32, value => *value
    }
    getter! {
        /// Whole numbers.
        ints, ints_or, Ints, Ints, Vec<i64>, value => value.to_vec()
    }
    getter! {
        /// Numbers.
        floats, floats_or, Floats, Floats, Vec<f32>, value => value.to_vec()
    }
    getter! {
        /// A string; bytes that are not UTF-8 are replaced.
        string, string_or, String, String, Cow<'a, str>, value => String::from_utf8_lossy(value.as_ref())
    }

    /// A truth value, which ONNX writes as a whole number.
    ///
    /// # Errors
    /// Where the attribute is of another kind, or stands for one of a function.
    pub fn flag(&self, name: &str) -> Result<bool, Undecided> {
        Ok(self.int_or(name, 0)? != 0)
    }

    /// An element type, which ONNX writes as its number.
    ///
    /// # Errors
    /// Where the attribute is of another kind, names no element type, or stands for one of a function.
    pub fn dtype(&self, name: &str) -> Result<Option<DType>, Undecided> {
        match self.int(name)? {
            None => Ok(None),
            Some(code) => DType::from_code(code)
                .map(Some)
                .ok_or_else(|| Undecided::invalid(format!("attribute `{name}` is {code}, which is no element type"))),
        }
    }

    /// A tensor.
    ///
    /// # Errors
    /// Where the attribute is of another kind, or stands for one of a function.
    pub fn tensor(&self, name: &str) -> Result<Option<&'a Tensor>, Undecided> {
        match self.get(name) {
            None => Ok(None),
            Some(AttrValue::Tensor(tensor)) => Ok(Some(tensor)),
            Some(AttrValue::Reference { .. }) => Err(Undecided::Unknown),
            Some(other) => {
                Err(Undecided::invalid(format!("attribute `{name}` is of kind {}, not tensor", other.kind())))
            }
        }
    }

    /// Strings.
    ///
    /// # Errors
    /// Where the attribute is of another kind, or stands for one of a function.
    pub fn strings(&self, name: &str) -> Result<Option<&'a [Bytes]>, Undecided> {
        match self.get(name) {
            None => Ok(None),
            Some(AttrValue::Strings(strings)) => Ok(Some(strings)),
            Some(AttrValue::Reference { .. }) => Err(Undecided::Unknown),
            Some(other) => {
                Err(Undecided::invalid(format!("attribute `{name}` is of kind {}, not strings", other.kind())))
            }
        }
    }

    /// A graph.
    pub fn graph(&self, name: &str) -> Option<&'a Graph> {
        match self.get(name) {
            Some(AttrValue::Graph(graph)) => Some(graph),
            _ => None,
        }
    }
}
