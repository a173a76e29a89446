//! Attributes.

use super::super::word::{push_string, push_word};
use super::tensor::{Place, f32_text, push_sparse, push_tensor};
use super::types::push_type;
use super::{Form, Printer};
use crate::attr::{Attr, AttrKind, AttrValue};
use crate::graph::Graph;
use crate::names::NamePlan;
use crate::types::Type;

/// Bytes of a string, and elements of a list, that are shown to people.
const SHOWN_STRING: usize = 120;
const SHOWN_LIST: usize = 32;

/// Names for the values of an attribute's graphs, by their number among those of the attribute.
pub(super) type Nested<'a> = &'a dyn Fn(usize) -> &'a NamePlan;

/// `name = value`, with the kind where the value alone does not show it.
pub(super) fn push_attr(printer: &mut Printer<'_>, attr: &Attr, nested: Nested<'_>, indent: usize) {
    push_word(&mut printer.out, attr.name.as_bytes());
    push_kind_and_value(printer, &attr.value, nested, indent, false);
}

pub(super) fn push_kind_and_value(
    printer: &mut Printer<'_>,
    value: &AttrValue,
    nested: Nested<'_>,
    indent: usize,
    with_kind: bool,
) {
    if with_kind || needs_kind(value) {
        printer.out.push_str(&format!(": {}", value.kind()));
    }
    printer.out.push_str(" = ");
    if let Some(what) = too_long(value, printer.form) {
        printer.out.push_str(&format!("elided(\"{what}\")"));
        return;
    }
    push_attr_value(printer, value, nested, indent);
}

fn needs_kind(value: &AttrValue) -> bool {
    match value {
        AttrValue::Ints(values) => values.is_empty(),
        AttrValue::Floats(values) => values.is_empty(),
        AttrValue::Strings(values) => values.is_empty(),
        AttrValue::Type(ty) => matches!(ty, Type::Unknown),
        // ONNX's parser drops the elements of these, and without their kind it would not even know what they were.
        AttrValue::Tensors(_) | AttrValue::Graphs(_) | AttrValue::SparseTensors(_) | AttrValue::Types(_) => true,
        AttrValue::Reference { .. } => true,
        _ => false,
    }
}

/// What people are told of a value that is too long for them.
fn too_long(value: &AttrValue, form: &Form<'_>) -> Option<String> {
    form.max_elements?;
    let (count, limit, what) = match value {
        AttrValue::Ints(values) => (values.len(), SHOWN_LIST, "ints"),
        AttrValue::Floats(values) => (values.len(), SHOWN_LIST, "floats"),
        AttrValue::Strings(values) => (values.len(), SHOWN_LIST, "strings"),
        AttrValue::String(value) => (value.len(), SHOWN_STRING, "bytes"),
        _ => return None,
    };
    (count > limit).then(|| format!("{count} {what}"))
}

fn push_attr_value(printer: &mut Printer<'_>, value: &AttrValue, nested: Nested<'_>, indent: usize) {
    let form = printer.form;
    let out = &mut printer.out;
    match value {
        AttrValue::Float(value) => out.push_str(&f32_text(*value, true)),
        AttrValue::Int(value) => out.push_str(&value.to_string()),
        AttrValue::String(value) => push_string(out, value),
        AttrValue::Tensor(tensor) => push_tensor(out, tensor, Place::Alone, form),
        AttrValue::SparseTensor(tensor) => push_sparse(out, tensor, Place::Alone, form),
        AttrValue::Type(ty) => push_type(out, ty),
        AttrValue::Reference { name, .. } => {
            out.push('@');
            push_word(out, name.as_bytes());
        }
        AttrValue::Floats(values) => push_list(out, values, |out, value| out.push_str(&f32_text(*value, true))),
        AttrValue::Ints(values) => push_list(out, values, |out, value| out.push_str(&value.to_string())),
        AttrValue::Strings(values) => push_list(out, values, |out, value| push_string(out, value)),
        AttrValue::Tensors(values) => push_list(out, values, |out, value| push_tensor(out, value, Place::Alone, form)),
        AttrValue::SparseTensors(values) => {
            push_list(out, values, |out, value| push_sparse(out, value, Place::Alone, form))
        }
        AttrValue::Types(values) => push_list(out, values, push_type),
        AttrValue::Graph(graph) => push_graph(printer, graph, nested(0), indent),
        AttrValue::Graphs(graphs) => {
            printer.out.push('[');
            for (index, graph) in graphs.iter().enumerate() {
                if index > 0 {
                    printer.out.push_str(", ");
                }
                push_graph(printer, graph, nested(index), indent);
            }
            printer.out.push(']');
        }
    }
}

fn push_graph(printer: &mut Printer<'_>, graph: &Graph, plan: &NamePlan, indent: usize) {
    if printer.subgraphs {
        printer.graph(graph, plan, indent, true);
    } else {
        printer.out.push_str("{…}");
    }
}

fn push_list<T>(out: &mut String, items: &[T], mut push: impl FnMut(&mut String, &T)) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        push(out, item);
    }
    out.push(']');
}

/// Whether a value is a graph or a list of graphs.
pub(super) fn holds_graphs(value: &AttrValue) -> bool {
    matches!(value.kind(), AttrKind::Graph | AttrKind::Graphs) && !matches!(value, AttrValue::Reference { .. })
}
