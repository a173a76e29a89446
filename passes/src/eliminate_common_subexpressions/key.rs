//! What makes two nodes equal, as bytes that are equal if and only if they are.

use onnxpress_ir::{AttrValue, Name, Node, Tensor};
use onnxpress_ops::schema::{self, Default};

/// Writes down what decides whether two nodes compute the same, apart from what they read: every part is preceded by its
/// length or by a tag, so that no two sequences of parts look alike.
#[derive(Debug, Default)]
pub(super) struct Key(Vec<u8>);

impl Key {
    /// A key that begins with a tag of its kind.
    pub(super) fn new(kind: u8) -> Self {
        Self(vec![kind])
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn number(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend(bytes);
    }

    pub(super) fn tensor(&mut self, tensor: &Tensor) {
        self.0.push(tensor.dtype() as u8);
        self.list(tensor.dims(), |key, &dim| key.number(dim as u64));
        match (tensor.bytes(), tensor.strings()) {
            (Some(bytes), _) => self.bytes(bytes),
            (None, strings) => self.list(strings.unwrap_or_default(), |key, string| key.bytes(string)),
        }
    }

    /// Operator, attributes, and which outputs there are. Subgraphs are left to `body`, which may refuse; so does this then.
    pub(super) fn node(&mut self, node: &Node, version: i64, mut body: impl FnMut(&mut Self, usize)) {
        for part in [node.canonical_domain(), node.op_type.as_bytes(), node.overload.as_bytes()] {
            self.bytes(part);
        }
        self.list(node.ports(), |key, port| key.number(u64::from(port.omitted)));
        let schema = schema::schema(node.canonical_domain(), node.op_type.as_bytes(), version);
        let is_default = |name: &Name, value: &AttrValue| {
            let formal = std::str::from_utf8(name.as_bytes()).ok().and_then(|name| schema?.attribute(name));
            formal.and_then(|formal| formal.default.as_ref()).is_some_and(|default| same(value, default))
        };
        let mut graphs = 0;
        let mut attrs: Vec<_> = Vec::new();
        for attr in &node.attrs {
            let first = graphs;
            graphs += attr.value.graphs().len();
            if !is_default(&attr.name, &attr.value) {
                attrs.push((&attr.name, &attr.value, first));
            }
        }
        attrs.sort_by_key(|(name, ..)| *name);
        self.number(attrs.len() as u64);
        for (name, value, first) in attrs {
            self.bytes(name.as_bytes());
            self.0.push(value.kind() as u8);
            for index in first..first + value.graphs().len() {
                body(self, index);
            }
            self.value(value);
        }
    }

    /// The value of an attribute, its graphs aside.
    fn value(&mut self, value: &AttrValue) {
        match value {
            AttrValue::Float(value) => self.number(u64::from(value.to_bits())),
            AttrValue::Int(value) => self.number(*value as u64),
            AttrValue::String(value) => self.bytes(value),
            AttrValue::Tensor(tensor) => self.tensor(tensor),
            AttrValue::Floats(values) => self.list(values, |key, value| key.number(u64::from(value.to_bits()))),
            AttrValue::Ints(values) => self.list(values, |key, &value| key.number(value as u64)),
            AttrValue::Strings(values) => self.list(values, |key, value| key.bytes(value)),
            AttrValue::Tensors(values) => self.list(values, Self::tensor),
            AttrValue::SparseTensor(value) => self.sparse(value),
            AttrValue::SparseTensors(values) => self.list(values, Self::sparse),
            AttrValue::Type(value) => self.bytes(value.to_string().as_bytes()),
            AttrValue::Types(values) => self.list(values, |key, value| key.bytes(value.to_string().as_bytes())),
            // The function's caller decides, for both alike.
            AttrValue::Reference { name, .. } => {
                self.0.push(u8::MAX);
                self.bytes(name.as_bytes());
            }
            AttrValue::Graph(_) | AttrValue::Graphs(_) => self.number(value.graphs().len() as u64),
        }
    }

    fn sparse(&mut self, tensor: &onnxpress_ir::SparseTensor) {
        self.list(&tensor.dims, |key, &dim| key.number(dim as u64));
        self.tensor(&tensor.values);
        self.tensor(&tensor.indices);
    }

    fn list<T>(&mut self, values: &[T], mut each: impl FnMut(&mut Self, &T)) {
        self.number(values.len() as u64);
        values.iter().for_each(|value| each(self, value));
    }
}

/// Whether two nodes without subgraphs are the same operation, on whatever operands.
pub(crate) fn same_operation(one: &Node, other: &Node, version: i64) -> bool {
    let bytes = |node: &Node| {
        let mut key = Key::default();
        key.node(node, version, |_, _| {});
        key.into_bytes()
    };
    !one.has_subgraphs() && !other.has_subgraphs() && bytes(one) == bytes(other)
}

/// Whether an attribute says what the operator's schema says without it.
fn same(value: &AttrValue, default: &Default) -> bool {
    match (value, default) {
        (AttrValue::Float(a), Default::Float(b)) => a.to_bits() == b.to_bits(),
        (AttrValue::Int(a), Default::Int(b)) => a == b,
        (AttrValue::String(a), Default::String(b)) => a[..] == *AsRef::<[u8]>::as_ref(b),
        (AttrValue::Ints(a), Default::Ints(b)) => a[..] == b[..],
        _ => false,
    }
}
