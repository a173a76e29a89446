//! Property: whatever a model says, its exact text says too, and nothing else.

use std::sync::Arc;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::RngSeed;

use super::same::difference;
use super::*;
use crate::attr::{Attr, AttrKind, AttrValue};
use crate::build::{GraphBuilder, NodeDraft};
use crate::carried::Carried;
use crate::dim::{Dim, Symbol};
use crate::dtype::DType;
use crate::graph::{Constant, ConstantForm, ConstantValue, Input, Node, Order, Port};
use crate::model::{Function, Header};
use crate::shape::Shape;
use crate::tensor::{SparseTensor, Tensor};
use crate::types::{TensorType, Type};

/// Names of all sorts: identifiers, words of the grammar, text, bytes.
fn any_name() -> impl Strategy<Value = Name> {
    let odd: [&[u8]; 16] = [
        b"",
        b"_",
        b"x",
        b"float",
        b"seq",
        b"inf_1",
        b"nan",
        b"elided",
        b"iota",
        b"unknown",
        b"at",
        b"a/b:0",
        b"two words",
        b"\"\\\n\t#",
        "\u{e9}\u{1f600}".as_bytes(),
        b"\xff\0\"",
    ];
    prop_oneof![
        "[a-zA-Z_][a-zA-Z0-9_]{0,4}".prop_map(Name::from),
        select(odd.to_vec()).prop_map(|bytes| Name::from_bytes(Bytes::from_static(bytes))),
        vec(any::<u8>(), 0..6).prop_map(|bytes| Name::from_bytes(bytes.into())),
    ]
}

fn any_bytes() -> impl Strategy<Value = Bytes> {
    any_name().prop_map(|name| name.to_bytes())
}

fn any_dim() -> impl Strategy<Value = Dim> {
    let symbols = ["N", "min", "batch size", "2*N", "a.b", "", "?", "\"", "\u{e9}", "a\\", "],"];
    prop_oneof![
        (0i64..9).prop_map(Dim::from),
        Just(Dim::from(i64::MAX)),
        Just(Dim::unknown()),
        select(symbols.to_vec()).prop_map(Dim::named),
        (0u32..9).prop_map(|number| Dim::from(Symbol::Anonymous(number))),
        (select(symbols.to_vec()), -3i64..4)
            .prop_map(|(name, n)| (Dim::named(name) * Dim::from(2) + Dim::from(n)).floor_div(3)),
        (select(symbols.to_vec()), 1i64..4).prop_map(|(name, n)| Dim::named(name).max(Dim::from(n)) * Dim::named("M")),
    ]
}

fn any_dtype() -> impl Strategy<Value = DType> {
    select(DType::ALL.to_vec())
}

fn any_type() -> impl Strategy<Value = Type> {
    let tensor = (option::weighted(0.9, any_dtype()), option::weighted(0.8, vec(any_dim(), 0..4)))
        .prop_map(|(dtype, dims)| TensorType { dtype, shape: dims.map(Shape::from) })
        .boxed();
    let leaf = prop_oneof![
        6 => tensor.clone().prop_map(Type::Tensor),
        1 => tensor.prop_map(Type::SparseTensor),
        1 => Just(Type::Unknown),
        1 => (any_name(), any_name()).prop_map(|(domain, name)| Type::Opaque { domain, name }),
        1 => Just(Type::Opaque { domain: Name::from("a.b"), name: Name::from("c") }),
    ];
    leaf.prop_recursive(2, 4, 1, |inner| {
        prop_oneof![
            inner.clone().prop_map(|ty| Type::Sequence(Box::new(ty))),
            inner.clone().prop_map(|ty| Type::Optional(Box::new(ty))),
            (any_dtype(), inner).prop_map(|(key, ty)| Type::Map(key, Box::new(ty))),
        ]
    })
}

/// A tensor of any type over any bits: payloads of NaNs, padding, truth values other than 0 and 1.
fn tensor_of(dims: Vec<usize>) -> impl Strategy<Value = Tensor> {
    let count: usize = dims.iter().product();
    any_dtype().prop_flat_map(move |dtype| {
        let dims = dims.clone();
        match dtype.packed_len(count) {
            Some(len) => vec(prop_oneof![any::<u8>(), select(vec![0, 0x7f, 0xff, 0xc0])], len)
                .prop_map(move |bytes| Tensor::from_bytes(dtype, &dims, bytes.into()).unwrap())
                .boxed(),
            None => {
                vec(any_bytes(), count).prop_map(move |strings| Tensor::from_strings(&dims, strings).unwrap()).boxed()
            }
        }
    })
}

fn any_tensor() -> impl Strategy<Value = Tensor> {
    vec(0usize..4, 0..3).prop_flat_map(tensor_of)
}

fn any_sparse() -> impl Strategy<Value = SparseTensor> {
    (any_tensor(), any_tensor(), vec(0usize..9, 0..3)).prop_map(|(values, indices, dims)| SparseTensor {
        values,
        indices,
        dims,
        carried: Carried::none(),
    })
}

fn any_value() -> impl Strategy<Value = ConstantValue> {
    prop_oneof![
        5 => any_tensor().prop_map(ConstantValue::Dense),
        1 => any_sparse().prop_map(ConstantValue::Sparse),
    ]
}

/// A float without the payload of a NaN, which an attribute's text cannot say.
fn any_float() -> impl Strategy<Value = f32> {
    any::<u32>().prop_map(f32::from_bits).prop_map(|x| if x.is_nan() { f32::NAN.copysign(1.0) } else { x })
}

fn any_attr_value() -> impl Strategy<Value = AttrValue> {
    prop_oneof![
        any_float().prop_map(AttrValue::Float),
        any::<i64>().prop_map(AttrValue::Int),
        any_bytes().prop_map(AttrValue::String),
        any_tensor().prop_map(AttrValue::Tensor),
        vec(any_float(), 0..3).prop_map(AttrValue::Floats),
        vec(any::<i64>(), 0..3).prop_map(AttrValue::Ints),
        vec(any_bytes(), 0..3).prop_map(AttrValue::Strings),
        vec(any_tensor(), 0..3).prop_map(AttrValue::Tensors),
        any_sparse().prop_map(AttrValue::SparseTensor),
        vec(any_sparse(), 0..2).prop_map(AttrValue::SparseTensors),
        any_type().prop_map(AttrValue::Type),
        vec(any_type(), 0..3).prop_map(AttrValue::Types),
        (any_name(), select(AttrKind::ALL.to_vec())).prop_map(|(name, kind)| AttrValue::Reference { name, kind }),
    ]
}

#[derive(Clone, Debug)]
struct NodeSpec {
    operator: (Name, Name, Name),
    label: Option<Name>,
    operands: Vec<Option<Index>>,
    results: Vec<Option<Name>>,
    attrs: Vec<(Name, AttrValue)>,
    bodies: Vec<(Name, bool, GraphSpec)>,
    constant: Option<ConstantValue>,
}

#[derive(Clone, Debug)]
struct GraphSpec {
    name: Option<Name>,
    inputs: Vec<(Name, Type, Option<ConstantValue>)>,
    initializers: Vec<(Name, ConstantValue)>,
    nodes: Vec<NodeSpec>,
    outputs: Vec<(Index, Type)>,
    infos: Vec<(Option<Index>, Name, Type)>,
}

fn any_operator() -> impl Strategy<Value = (Name, Name, Name)> {
    let domain = select(vec!["", "ai.onnx", "com.acme", "my-domain", ".x", "a..b"]).prop_map(Name::from);
    (
        domain,
        "[A-Z][a-z]{1,5}".prop_map(|word| Name::from(format!("{word}Op"))),
        prop_oneof![3 => Just(Name::empty()), 1 => any_name()],
    )
        .prop_flat_map(|(domain, op_type, overload)| {
            (Just(domain), prop_oneof![5 => Just(op_type), 1 => any_name()], Just(overload))
        })
}

fn any_node(bodies: impl Strategy<Value = Vec<(Name, bool, GraphSpec)>>) -> impl Strategy<Value = NodeSpec> {
    (
        any_operator(),
        option::of(any_name()),
        vec(option::weighted(0.8, any::<Index>()), 0..4),
        vec(option::weighted(0.8, any_name()), 0..3),
        vec((any_name(), any_attr_value()), 0..3),
        bodies,
        option::weighted(0.2, any_value()),
    )
        .prop_map(|(operator, label, operands, results, attrs, bodies, constant)| NodeSpec {
            operator,
            label,
            operands,
            results,
            attrs,
            bodies,
            constant,
        })
}

fn any_graph(depth: u32) -> BoxedStrategy<GraphSpec> {
    let bodies = match depth {
        0 => Just(Vec::new()).boxed(),
        _ => prop_oneof![3 => Just(Vec::new()), 1 => vec((any_name(), any::<bool>(), any_graph(depth - 1)), 1..3)]
            .boxed(),
    };
    (
        option::weighted(0.9, any_name()),
        vec((any_name(), any_type(), option::weighted(0.2, any_value())), 0..3),
        vec((any_name(), any_value()), 0..3),
        vec(any_node(bodies), 0..4),
        vec((any::<Index>(), any_type()), 0..3),
        vec((option::weighted(0.8, any::<Index>()), any_name(), any_type()), 0..3),
    )
        .prop_map(|(name, inputs, initializers, nodes, outputs, infos)| GraphSpec {
            name,
            inputs,
            initializers,
            nodes,
            outputs,
            infos,
        })
        .boxed()
}

/// Where a graph is: that decides how an input with a default is understood, and what a function cannot have.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Main { overridable: bool },
    Subgraph,
    Function,
}

/// Makes names unique within a graph. Within a subgraph they may be those of the graph around it.
struct Names {
    count: usize,
    known: Vec<Name>,
}

impl Names {
    fn define(&mut self, name: &Name) -> Name {
        self.count += 1;
        let name = name.suffixed(&self.count.to_string());
        self.known.push(name.clone());
        name
    }
}

fn builder(spec: &GraphSpec, role: Role, opsets: &Arc<Opsets>, outer: &[Name]) -> GraphBuilder {
    let mut builder = GraphBuilder::new(Arc::clone(opsets));
    // An underscore stands for no name.
    builder.set_name(if role == Role::Function {
        Some(Name::from("f"))
    } else {
        spec.name.clone().filter(|name| *name != "_")
    });
    let mut names = Names { count: 0, known: outer.to_vec() };
    let constant = |builder: &mut GraphBuilder, name: Name, value: &ConstantValue, form| {
        let port = Port { name: Some(name), ..Port::default() };
        builder.add_constant(Constant { value: value.clone(), port, form, order: Order::default() });
    };
    for (place, (name, ty, default)) in (0u32..).zip(&spec.inputs) {
        let name = names.define(name);
        let declared = if role == Role::Function { Type::Unknown } else { ty.clone() };
        let default = default.as_ref().filter(|_| role != Role::Function);
        match default {
            Some(value) if role != (Role::Main { overridable: true }) => {
                constant(&mut builder, name, value, ConstantForm::ListedAsInput { place, carried: Carried::none() });
            }
            _ => {
                let port = Port::new(name, Type::Unknown);
                builder.add_input(Input { port, default: default.cloned(), declared, carried: Carried::none() });
            }
        }
    }
    for (name, value) in spec.initializers.iter().filter(|_| role != Role::Function) {
        constant(&mut builder, names.define(name), value, ConstantForm::Initializer);
    }
    let results: Vec<Vec<Name>> = spec
        .nodes
        .iter()
        .map(|node| match node.constant {
            Some(_) => vec![names.define(&Name::from("k"))],
            None => node
                .results
                .iter()
                .map(|result| result.as_ref().map_or(Name::empty(), |name| names.define(name)))
                .collect(),
        })
        .collect();
    let known = names.known;
    let pick = |index: &Index| if known.is_empty() { Name::empty() } else { index.get(&known).clone() };
    for (node, results) in spec.nodes.iter().zip(results) {
        if let Some(value) = &node.constant {
            let form = ConstantForm::Node { name: node.label.clone(), carried: Carried::none() };
            constant(&mut builder, results[0].clone(), value, form);
            continue;
        }
        let (domain, op_type, overload) = node.operator.clone();
        let ports = results.into_iter().map(|name| Port::new(name, Type::Unknown));
        let mut head = Node::new(op_type, 0).in_domain(domain).named(node.label.clone()).with_ports(ports);
        head.overload = overload;
        let operands = node.operands.iter().map(|operand| operand.as_ref().map_or(Name::empty(), pick)).collect();
        let mut draft = NodeDraft::new(head, operands);
        for (name, value) in &node.attrs {
            draft.push_attr(Attr::new(name.clone(), value.clone()));
        }
        for (name, listed, body) in &node.bodies {
            let inner = || self::builder(body, Role::Subgraph, opsets, &known);
            match listed {
                true => draft.push_graphs(name.clone(), Carried::none(), vec![inner(), inner()]),
                false => draft.push_graph(name.clone(), Carried::none(), inner()),
            }
        }
        builder.add_node(draft);
    }
    for (index, ty) in spec.outputs.iter().filter(|_| !known.is_empty()) {
        let declared = if role == Role::Function { Type::Unknown } else { ty.clone() };
        builder.add_output(pick(index), declared, Carried::none());
    }
    for (index, name, ty) in &spec.infos {
        builder.declare(index.as_ref().map_or_else(|| name.clone(), pick), ty.clone(), Carried::none());
    }
    builder
}

fn any_preamble() -> impl Strategy<Value = Preamble> {
    let text = || option::weighted(0.3, any_bytes());
    (text(), text(), text(), option::weighted(0.3, any::<i64>()), text(), vec((any_bytes(), any_bytes()), 0..2))
        .prop_map(|(producer_name, producer_version, domain, model_version, doc_string, metadata_props)| Preamble {
            producer_name,
            producer_version,
            domain,
            model_version,
            doc_string,
            metadata_props,
        })
}

pub(crate) fn any_model() -> impl Strategy<Value = Model> {
    let imports = vec((any_name(), 0i64..30), 0..3).prop_map(Opsets::new).boxed();
    let function = (
        any_operator(),
        vec(any_name(), 0..2),
        vec((any_name(), any_attr_value()), 0..2),
        any_graph(1),
        imports.clone(),
    );
    (3i64..12, imports, any_graph(2), vec(function, 0..2), any_preamble()).prop_map(
        |(ir_version, opsets, graph, functions, preamble)| {
            let opsets = Arc::new(opsets);
            let role = Role::Main { overridable: ir_version >= 4 };
            let functions =
                functions.into_iter().map(|((domain, _, overload), required, defaults, body, opsets)| Function {
                    domain,
                    name: Name::from("f"),
                    overload,
                    required,
                    defaults: defaults.into_iter().map(|(name, value)| Attr::new(name, value)).collect(),
                    body: builder(&body, Role::Function, &Arc::new(opsets), &[]).build().unwrap(),
                    carried: Carried::none(),
                });
            Model {
                functions: functions.collect(),
                graph: builder(&graph, role, &opsets, &[]).build().unwrap(),
                header: Header { ir_version, carried: preamble.carried() },
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_exact_text_reads_back_to_an_equal_model(model in any_model()) {
        let text = print_model(&model, &Form { keep_order: true, ..Form::exact() });
        let again = Model::from_text(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(difference(&model, &again), None, "{}", text);
        prop_assert_eq!(print_model(&again, &Form { keep_order: true, ..Form::exact() }), text);
        prop_assert_eq!(again.to_text(), model.to_text(), "equal models print equal");
    }

    #[test]
    fn printing_what_was_read_changes_nothing_more(model in any_model()) {
        let once = Model::from_text(&model.to_text()).unwrap().to_text();
        prop_assert_eq!(Model::from_text(&once).unwrap().to_text(), once);
        // The brief form is for people, but it must not fail.
        prop_assert!(!model.to_brief_text().is_empty());
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[a-z<>(){}\\[\\]=,:.\"\\\\#@?{x}0-9 \u{e9}-]{0,60}") {
        let _ = Model::from_text(&text);
    }

    #[test]
    fn no_damage_to_a_text_makes_the_parser_panic(model in any_model(), at in any::<Index>(), with in "[ -~]{0,3}", len in 0usize..9) {
        let text: Vec<char> = model.to_text().chars().collect();
        let at = at.index(text.len());
        let rest = &text[(at + len).min(text.len())..];
        let damaged: String = text[..at].iter().copied().chain(with.chars()).chain(rest.iter().copied()).collect();
        let _ = Model::from_text(&damaged);
    }
}
