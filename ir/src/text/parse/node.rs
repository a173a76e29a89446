//! Nodes and their attributes.

use bytes::Bytes;

use super::super::error::{Fault, TextError};
use super::{Reader, is_type, tensor, types};
use crate::attr::{Attr, AttrKind, AttrValue};
use crate::build::{BuildError, GraphBuilder, NodeDraft};
use crate::carried::Carried;
use crate::dtype::DType;
use crate::graph::{Constant, ConstantForm, ConstantValue, Node, Order, Port};
use crate::name::Name;
use crate::tensor::Tensor;
use crate::types::Type;

/// The value of an attribute whose graphs, if it holds any, are not built yet.
pub(super) enum Value {
    Plain(Box<AttrValue>),
    Graph(Box<GraphBuilder>),
    Graphs(Vec<GraphBuilder>),
}

impl Value {
    /// The value with its graphs built on their own, as a default of a function has them.
    pub(super) fn built(self) -> Result<AttrValue, BuildError> {
        Ok(match self {
            Self::Plain(value) => *value,
            Self::Graph(builder) => AttrValue::Graph(Box::new(builder.build()?)),
            Self::Graphs(builders) => {
                AttrValue::Graphs(builders.into_iter().map(GraphBuilder::build).collect::<Result<_, _>>()?)
            }
        })
    }
}

/// What stands where a value can.
enum Single {
    Plain(Box<AttrValue>),
    Graph(Name),
}

// Graphs nest in attributes, and reading them recurses from `node` to `nested_graph`. Whatever is on that way keeps its stack
// frame small: what holds much is boxed, and done in functions beside the way.
impl Reader<'_> {
    /// `[label] outputs = domain.operator:overload <attributes> (operands)`, or the attributes last.
    pub(super) fn node(&mut self, builder: &mut GraphBuilder) -> Result<(), TextError> {
        let node = self.head()?;
        let mut attrs = self.attributes()?;
        let operands = self.operands()?;
        if attrs.is_empty() {
            attrs = self.attributes()?;
        }
        add(builder, *node, operands, attrs);
        Ok(())
    }

    fn head(&mut self) -> Result<Box<Node>, TextError> {
        let mut name = None;
        if self.cursor.take("[") {
            name = Some(self.cursor.name()?.unwrap_or_default());
            self.cursor.expect("]")?;
        }
        let outputs = self.cursor.names()?;
        self.cursor.expect("=")?;
        let mut domain = Vec::new();
        let mut op_type = self.cursor.expect_name("an operator")?;
        while self.cursor.take(".") {
            if !domain.is_empty() {
                domain.push(b'.');
            }
            domain.extend_from_slice(op_type.as_bytes());
            op_type = self.cursor.expect_name("an operator")?;
        }
        let overload = if self.cursor.take(":") { self.cursor.expect_name("an overload")? } else { Name::empty() };
        let ports = outputs.into_iter().map(|name| Port::new(name, Type::Unknown));
        let mut node = Node::new(op_type, 0).in_domain(Name::from_bytes(domain.into())).named(name).with_ports(ports);
        node.overload = overload;
        Ok(Box::new(node))
    }

    fn operands(&mut self) -> Result<Vec<Name>, TextError> {
        self.cursor.expect("(")?;
        let operands = self.cursor.names()?;
        self.cursor.expect(")")?;
        Ok(operands)
    }

    /// Attributes in angle brackets, if there are any.
    fn attributes(&mut self) -> Result<Vec<(Name, Value)>, TextError> {
        let mut attrs = Vec::new();
        if !self.cursor.take("<") {
            return Ok(attrs);
        }
        loop {
            let name = self.cursor.expect_name("the name of an attribute")?;
            attrs.push((name, self.attribute_value()?));
            if !self.cursor.take(",") {
                self.cursor.expect(">")?;
                return Ok(attrs);
            }
        }
    }

    /// `: kind = value`, where the kind may be missing if the value shows it.
    pub(super) fn attribute_value(&mut self) -> Result<Value, TextError> {
        let kind = self.kind()?;
        self.cursor.expect("=")?;
        if let Some(special) = self.special(kind)? {
            return Ok(Value::Plain(Box::new(special)));
        }
        let at = self.cursor.place();
        let (value, found) = if self.cursor.take("[") { self.list(kind)? } else { self.single(kind)? };
        match kind {
            Some(kind) if kind != found => Err(self.not_of_kind(at, found, kind)),
            _ => Ok(value),
        }
    }

    fn not_of_kind(&self, at: usize, found: AttrKind, expected: AttrKind) -> TextError {
        self.cursor.error_at(at, Fault::Expected { found: found.to_string(), expected: expected.to_string() })
    }

    /// The kind after a colon, if there is one.
    fn kind(&mut self) -> Result<Option<AttrKind>, TextError> {
        if !self.cursor.take(":") {
            return Ok(None);
        }
        let found =
            self.cursor.peek_identifier().and_then(|word| AttrKind::ALL.into_iter().find(|kind| kind.name() == word));
        let found = found.ok_or_else(|| self.cursor.expected("a kind of attribute, as `int` or `floats`"))?;
        self.cursor.identifier();
        Ok(Some(found))
    }

    /// A reference, or what a brief text has in place of a value.
    fn special(&mut self, kind: Option<AttrKind>) -> Result<Option<AttrValue>, TextError> {
        if self.cursor.take("@") {
            let name = self.cursor.expect_name("an attribute of the function")?;
            let kind = kind.ok_or_else(|| {
                self.cursor.expected("the kind of the attribute before `=`, as in `axis: int = @axis`")
            })?;
            return Ok(Some(AttrValue::Reference { name, kind }));
        }
        let at = self.cursor.place();
        if self.cursor.peek_identifier() == Some("elided") {
            self.cursor.identifier();
            // Anything else is a graph of that name.
            if self.cursor.take("(") && self.cursor.next_is_string() {
                self.cursor.string()?;
                if self.cursor.take(")") && self.cursor.peek() != Some(b'=') {
                    return Err(self.cursor.error_at(at, Fault::Elided));
                }
            }
            self.cursor.return_to(at);
        }
        Ok(None)
    }

    fn list(&mut self, kind: Option<AttrKind>) -> Result<(Value, AttrKind), TextError> {
        let element = kind.and_then(element_kind);
        let mut items = Vec::new();
        if !self.cursor.take("]") {
            loop {
                items.push(self.single(element)?);
                if !self.cursor.take(",") {
                    break;
                }
            }
            self.cursor.expect("]")?;
        }
        self.gathered(element, items)
    }

    fn gathered(
        &mut self,
        element: Option<AttrKind>,
        items: Vec<(Value, AttrKind)>,
    ) -> Result<(Value, AttrKind), TextError> {
        let first = items.first().map(|(_, kind)| *kind);
        let Some(of) = element.or(first) else {
            let expected = "the kind of the attribute before `=`, as in `axes: ints = []`";
            return Err(self.cursor.expected(expected));
        };
        // Whole numbers among floats are floats.
        let of = if of == AttrKind::Int && items.iter().any(|(_, kind)| *kind == AttrKind::Float) {
            AttrKind::Float
        } else {
            of
        };
        gather(of, items).map_err(|found| {
            let at = self.cursor.place();
            self.cursor
                .error_at(at, Fault::Expected { found: format!("{found} in the list"), expected: of.to_string() })
        })
    }

    /// A value that is no list; `expected` decides where the text alone cannot.
    fn single(&mut self, expected: Option<AttrKind>) -> Result<(Value, AttrKind), TextError> {
        match self.plain(expected)? {
            Single::Plain(value) => {
                let kind = value.kind();
                Ok((Value::Plain(value), kind))
            }
            Single::Graph(name) => self.nested_graph(name),
        }
    }

    /// A value, or the name of the graph that follows.
    fn plain(&mut self, expected: Option<AttrKind>) -> Result<Single, TextError> {
        let plain = |value| Ok(Single::Plain(Box::new(value)));
        if self.cursor.next_is_string() {
            let string = self.cursor.string()?;
            // An extension: ONNX cannot quote the name of a graph here.
            if self.cursor.peek() == Some(b'(') && expected != Some(AttrKind::String) {
                return Ok(Single::Graph(Name::from_bytes(string)));
            }
            return plain(AttrValue::String(string));
        }
        let word = self.cursor.peek_identifier();
        if self.cursor.peek() == Some(b'?')
            || is_type(word)
            || (word == Some("unknown") && expected == Some(AttrKind::Type))
        {
            return plain(self.typed()?);
        }
        if self.cursor.next_is_number() {
            let number = self.cursor.number()?;
            if number.whole && expected != Some(AttrKind::Float) {
                let value = number.text.parse().map_err(|_| tensor::not_a(&self.cursor, number, DType::Int64))?;
                return plain(AttrValue::Int(value));
            }
            return plain(AttrValue::Float(tensor::float_of(&self.cursor, number)?));
        }
        if word.is_none() {
            return Err(self.cursor.expected("the value of an attribute"));
        }
        Ok(Single::Graph(self.cursor.expect_name("the name of a graph")?))
    }

    fn nested_graph(&mut self, name: Name) -> Result<(Value, AttrKind), TextError> {
        self.cursor.enter()?;
        let graph = self.graph_named(name, false)?;
        self.cursor.leave();
        Ok((Value::Graph(graph), AttrKind::Graph))
    }

    /// What begins with a type: a type, or a tensor.
    fn typed(&mut self) -> Result<AttrValue, TextError> {
        let at = self.cursor.place();
        let ty = types::ty(&mut self.cursor)?;
        let is_tensor = matches!(self.cursor.peek(), Some(b'{' | b'='))
            || self.cursor.next_is_string()
            || self.cursor.peek_identifier().is_some();
        if !is_tensor {
            return Ok(AttrValue::Type(ty));
        }
        // A tensor's own name says nothing in an attribute. The values of a sparse one begin with their type.
        if !matches!(ty, Type::SparseTensor(_)) {
            self.cursor.name()?;
        }
        let recipes = self.cursor.take("=");
        Ok(match tensor::value(&mut self.cursor, &ty, at, recipes)? {
            ConstantValue::Dense(tensor) => AttrValue::Tensor(tensor),
            ConstantValue::Sparse(tensor) => AttrValue::SparseTensor(tensor),
        })
    }
}

/// Adds a node, or the constant that it stands for.
fn add(builder: &mut GraphBuilder, node: Node, operands: Vec<Name>, attrs: Vec<(Name, Value)>) {
    match constant(&node, operands.is_empty(), attrs) {
        Ok(value) => {
            let port = node.ports().first().cloned().unwrap_or_default();
            let form = ConstantForm::Node { name: node.name, carried: Carried::none() };
            builder.add_constant(Constant { value, port, form, order: Order::default() });
        }
        Err(attrs) => {
            let mut draft = NodeDraft::new(node, operands);
            for (name, value) in attrs {
                match value {
                    Value::Plain(value) => draft.push_attr(Attr::new(name, *value)),
                    Value::Graph(body) => draft.push_graph(name, Carried::none(), *body),
                    Value::Graphs(bodies) => draft.push_graphs(name, Carried::none(), bodies),
                }
            }
            builder.add_node(draft);
        }
    }
}

/// The kind of a list's elements.
fn element_kind(list: AttrKind) -> Option<AttrKind> {
    Some(match list {
        AttrKind::Floats => AttrKind::Float,
        AttrKind::Ints => AttrKind::Int,
        AttrKind::Strings => AttrKind::String,
        AttrKind::Tensors => AttrKind::Tensor,
        AttrKind::Graphs => AttrKind::Graph,
        AttrKind::SparseTensors => AttrKind::SparseTensor,
        AttrKind::Types => AttrKind::Type,
        _ => return None,
    })
}

/// The list of these items, or the kind of one that does not belong.
fn gather(of: AttrKind, items: Vec<(Value, AttrKind)>) -> Result<(Value, AttrKind), AttrKind> {
    fn all<T>(items: Vec<(Value, AttrKind)>, get: impl Fn(AttrValue) -> Option<T>) -> Result<Vec<T>, AttrKind> {
        let one = |(value, kind)| match value {
            Value::Plain(value) => get(*value).ok_or(kind),
            _ => Err(kind),
        };
        items.into_iter().map(one).collect()
    }
    macro_rules! plain {
        ($list:ident, $($pattern:pat => $value:expr),*) => {
            AttrValue::$list(all(items, |value| match value {
                $($pattern => Some($value),)*
                _ => None,
            })?)
        };
    }
    let value = match of {
        AttrKind::Int => plain!(Ints, AttrValue::Int(value) => value),
        AttrKind::Float => plain!(Floats, AttrValue::Float(value) => value, AttrValue::Int(value) => value as f32),
        AttrKind::String => plain!(Strings, AttrValue::String(value) => value),
        AttrKind::Tensor => plain!(Tensors, AttrValue::Tensor(value) => value),
        AttrKind::SparseTensor => plain!(SparseTensors, AttrValue::SparseTensor(value) => value),
        AttrKind::Type => plain!(Types, AttrValue::Type(value) => value),
        AttrKind::Graph => {
            let graph = |(value, kind)| match value {
                Value::Graph(graph) => Ok(*graph),
                _ => Err(kind),
            };
            return Ok((Value::Graphs(items.into_iter().map(graph).collect::<Result<_, _>>()?), AttrKind::Graphs));
        }
        kind => return Err(kind),
    };
    let kind = value.kind();
    Ok((Value::Plain(Box::new(value)), kind))
}

/// The value of a node that is the standard's `Constant` with one attribute that gives it; otherwise the attributes back.
fn constant(
    node: &Node,
    no_operands: bool,
    mut attrs: Vec<(Name, Value)>,
) -> Result<ConstantValue, Vec<(Name, Value)>> {
    let alone = attrs.len() == 1 && no_operands && node.port_count() == 1 && node.overload.is_empty();
    let named = node.ports().first().and_then(|port| port.name.as_ref()).is_some_and(|name| !name.is_empty());
    if !node.is("Constant") || !alone || !named {
        return Err(attrs);
    }
    let Some((name, value)) = attrs.pop() else { return Err(attrs) };
    let strings =
        |dims: &[usize], strings: Vec<Bytes>| Tensor::from_strings(dims, strings).ok().map(ConstantValue::Dense);
    let value = match value {
        Value::Plain(value) => value,
        graphs => return Err(vec![(name, graphs)]),
    };
    let found = match (name.as_bytes(), &*value) {
        (b"value", AttrValue::Tensor(tensor)) => Some(ConstantValue::Dense(tensor.clone())),
        (b"sparse_value", AttrValue::SparseTensor(tensor)) => Some(ConstantValue::Sparse(tensor.clone())),
        (b"value_float", AttrValue::Float(value)) => Some(ConstantValue::Dense(Tensor::scalar(*value))),
        (b"value_int", AttrValue::Int(value)) => Some(ConstantValue::Dense(Tensor::scalar(*value))),
        (b"value_floats", AttrValue::Floats(values)) => Some(ConstantValue::Dense(Tensor::vector(values.clone()))),
        (b"value_ints", AttrValue::Ints(values)) => Some(ConstantValue::Dense(Tensor::vector(values.clone()))),
        (b"value_string", AttrValue::String(value)) => strings(&[], vec![value.clone()]),
        (b"value_strings", AttrValue::Strings(values)) => strings(&[values.len()], values.clone()),
        _ => None,
    };
    found.ok_or_else(|| vec![(name, Value::Plain(value))])
}
