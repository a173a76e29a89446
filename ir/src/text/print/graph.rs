//! Graphs and nodes.

use std::collections::BTreeMap;

use super::super::word::{is_float_word, is_identifier, is_type_word, push_name, push_string, push_word};
use super::attr::{holds_graphs, push_attr};
use super::tensor::{Place, push_data, push_tensor_type, push_value};
use super::types::{push_dotted, push_type, type_text};
use super::{Printer, one_line};
use crate::graph::{Constant, ConstantForm, ConstantValue, Graph, Input, Node, NodeId, ValueId, Vertex};
use crate::names::NamePlan;
use crate::shape::Shape;
use crate::types::Type;

/// The longest line whose comment stands in the common column.
const ALIGNED: usize = 60;

impl Printer<'_> {
    /// A graph: as a whole text, or as the value of an attribute.
    pub(super) fn graph(&mut self, graph: &Graph, plan: &NamePlan, indent: usize, in_attribute: bool) {
        self.graph_name(graph, in_attribute);
        let (inputs, mut list) = self.inputs(graph, plan);
        self.out.push(' ');
        self.bracketed(indent, "(", &inputs, ")");
        self.out.push_str(" => ");
        let outputs: Vec<_> = graph.outputs().iter().map(|&id| self.output(graph, plan, id)).collect();
        self.bracketed(indent, "(", &outputs, ")");
        list.extend(self.initializers(graph, plan));
        list.extend(self.declared(graph, plan));
        self.list(&list, indent);
        self.nodes(graph, plan, indent, &[]);
    }

    /// What follows the name and parameters of a function.
    pub(super) fn function_body(&mut self, body: &Graph, plan: &NamePlan) {
        let name = |value| self.name_of(body, plan, value);
        let inputs: Vec<_> = body.inputs().iter().map(|&id| name(id.port(0))).collect();
        let outputs: Vec<_> = body.outputs().iter().map(|&id| name_text(plan.output(body, id))).collect();
        self.bracketed(0, "(", &inputs, ")");
        self.out.push_str(" => ");
        self.bracketed(0, "(", &outputs, ")");
        self.list(&self.declared(body, plan), 0);
        // A function has no initializers.
        let constants: Vec<_> = sorted_initializers(body).into_iter().map(|(id, _)| id).collect();
        self.nodes(body, plan, 0, &constants);
    }

    fn list(&mut self, list: &[String], indent: usize) {
        if list.is_empty() {
            self.out.push(' ');
            return;
        }
        let margin = format!("\n{:1$}", "", indent);
        self.out.push_str(&margin);
        self.bracketed(indent, "<", list, ">");
        self.out.push_str(&margin);
    }

    /// As the value of an attribute a graph's name cannot be quoted for ONNX; there that is an extension.
    fn graph_name(&mut self, graph: &Graph, in_attribute: bool) {
        let Some(name) = &graph.name else {
            self.out.push('_');
            return;
        };
        let bare = std::str::from_utf8(name.as_bytes()).is_ok_and(|word| {
            is_identifier(word.as_bytes()) && !(in_attribute && (is_type_word(word) || is_float_word(word)))
        });
        if bare && *name != "_" {
            push_word(&mut self.out, name.as_bytes());
        } else {
            push_string(&mut self.out, name.as_bytes());
        }
    }

    fn name_of(&self, graph: &Graph, plan: &NamePlan, value: ValueId) -> String {
        name_text(plan.value(graph, value))
    }

    /// The inputs, constants that are listed among them at their places; and the defaults that cannot stand there.
    fn inputs(&self, graph: &Graph, plan: &NamePlan) -> (Vec<String>, Vec<String>) {
        let mut listed = BTreeMap::new();
        for (id, constant) in graph.constants() {
            if let ConstantForm::ListedAsInput { place, .. } = constant.form {
                listed.insert((place, id), constant);
            }
        }
        let mut inputs = Vec::new();
        let mut defaults = Vec::new();
        let mut own = graph.inputs().iter();
        loop {
            let next = listed.first_key_value().map(|(&(place, _), _)| place as usize);
            let due = next.is_some_and(|place| place <= inputs.len());
            match if due { None } else { own.next() } {
                Some(&id) => inputs.push(self.input(graph.input(id), plan.value(graph, id.port(0)), &mut defaults)),
                None => match listed.pop_first() {
                    Some(((_, id), constant)) => {
                        let mut text = String::new();
                        push_value(&mut text, &constant.value, Place::Named(plan.value(graph, id.port(0))), self.form);
                        inputs.push(text);
                    }
                    None => return (inputs, defaults),
                },
            }
        }
    }

    fn input(&self, input: &Input, name: &[u8], defaults: &mut Vec<String>) -> String {
        let mut text = String::new();
        let inline = match &input.default {
            Some(ConstantValue::Dense(tensor)) => {
                Some(tensor).filter(|t| input.declared == Type::tensor(t.dtype(), Shape::from_extents(t.dims())))
            }
            _ => None,
        };
        if let Some(tensor) = inline {
            push_tensor_type(&mut text, tensor.dtype(), tensor.dims());
            push_data(&mut text, tensor, Place::Named(name), self.form);
            return text;
        }
        if let Some(default) = &input.default {
            let mut text = String::new();
            push_value(&mut text, default, Place::Named(name), self.form);
            defaults.push(text);
        }
        let known = if self.form.types && input.declared.is_unknown() { &input.port.ty } else { &input.declared };
        push_value_info(&mut text, known, name);
        text
    }

    fn output(&self, graph: &Graph, plan: &NamePlan, id: NodeId) -> String {
        let output = graph.output(id);
        let known = match graph.operand(id, 0) {
            Some(value) if self.form.types && output.declared.is_unknown() => graph.ty(value),
            _ => &output.declared,
        };
        let mut text = String::new();
        push_value_info(&mut text, known, plan.output(graph, id));
        text
    }

    fn initializers(&self, graph: &Graph, plan: &NamePlan) -> Vec<String> {
        let text = |(id, constant): (NodeId, &Constant)| {
            let mut text = String::new();
            push_value(&mut text, &constant.value, Place::Named(plan.value(graph, id.port(0))), self.form);
            text
        };
        sorted_initializers(graph).into_iter().map(text).collect()
    }

    fn declared(&self, graph: &Graph, plan: &NamePlan) -> Vec<String> {
        let mut infos = Vec::new();
        for entry in graph.declared.iter().filter(|_| self.form.declared) {
            let name = match entry.value {
                None => entry.name.as_bytes(),
                Some(value) => match graph.get(value.node).and_then(|vertex| vertex.ports().get(value.port as usize)) {
                    Some(port) if !port.omitted => plan.value(graph, value),
                    _ => continue,
                },
            };
            let mut text = String::new();
            push_value_info(&mut text, &entry.ty, name);
            infos.push(text);
        }
        infos
    }

    /// Nodes in braces, `first` before the others.
    fn nodes(&mut self, graph: &Graph, plan: &NamePlan, indent: usize, first: &[NodeId]) {
        // A graph with a cycle has no order, but it has one of the file, which never fails.
        let order = graph.file_order(self.form.keep_order).or_else(|_| graph.file_order(true)).unwrap_or_default();
        let margin = format!("\n{:1$}", "", indent + 2);
        let mut lines: Vec<(String, String)> = Vec::new();
        for &id in first.iter().chain(&order) {
            let out = std::mem::take(&mut self.out);
            self.vertex(graph, id, plan, indent + 2);
            lines.push((std::mem::replace(&mut self.out, out), self.comment(graph, id)));
        }
        for &output in plan.identities() {
            if let Some(value) = graph.operand(output, 0) {
                let (name, operand) = (name_text(plan.output(graph, output)), self.name_of(graph, plan, value));
                lines.push((format!("{name} = Identity({operand})"), String::new()));
            }
        }
        let short = |line: &str| line.chars().count() <= ALIGNED && !line.contains('\n');
        let commented = lines.iter().filter(|(line, comment)| !comment.is_empty() && short(line));
        let width = commented.map(|(line, _)| line.chars().count()).max().unwrap_or(0);
        self.out.push('{');
        for (line, comment) in &lines {
            self.out.push_str(&margin);
            self.out.push_str(line);
            if !comment.is_empty() {
                let pad = if short(line) { width - line.chars().count() } else { 0 };
                self.out.push_str(&format!("{:pad$}  # {comment}", ""));
            }
        }
        if lines.is_empty() {
            self.out.push('}');
        } else {
            self.out.push_str(&format!("\n{:1$}}}", "", indent));
        }
    }

    /// What is known of a node's outputs.
    fn comment(&self, graph: &Graph, id: NodeId) -> String {
        let Some(node) = graph.node(id).filter(|_| self.form.types) else { return String::new() };
        let types: Vec<_> = node.ports().iter().filter(|port| !port.omitted).map(|port| &port.ty).collect();
        if types.iter().all(|ty| ty.is_unknown()) {
            return String::new();
        }
        let text = |ty: &&Type| if ty.is_unknown() { "?".to_owned() } else { type_text(ty) };
        one_line(&types.iter().map(text).collect::<Vec<_>>().join(", "))
    }

    /// A node, or a constant as a node.
    pub(super) fn vertex(&mut self, graph: &Graph, id: NodeId, plan: &NamePlan, indent: usize) {
        match graph.get(id) {
            Some(Vertex::Node(node)) => self.node(graph, id, node, plan, indent),
            Some(Vertex::Constant(constant)) => {
                if let ConstantForm::Node { name: Some(name), .. } = &constant.form {
                    self.label(name.as_bytes());
                }
                push_name(&mut self.out, plan.value(graph, id.port(0)));
                self.out.push_str(match constant.value {
                    ConstantValue::Dense(_) => " = Constant <value = ",
                    ConstantValue::Sparse(_) => " = Constant <sparse_value = ",
                });
                push_value(&mut self.out, &constant.value, Place::Alone, self.form);
                self.out.push_str("> ()");
            }
            Some(Vertex::Input(input)) => push_value_info(&mut self.out, &input.port.ty, plan.value(graph, id.port(0))),
            Some(Vertex::Capture(capture)) => {
                push_value_info(&mut self.out, &capture.port.ty, plan.value(graph, id.port(0)))
            }
            Some(Vertex::Output(output)) => push_value_info(&mut self.out, &output.declared, plan.output(graph, id)),
            None => {}
        }
    }

    fn label(&mut self, name: &[u8]) {
        self.out.push('[');
        push_name(&mut self.out, name);
        self.out.push_str("] ");
    }

    fn node(&mut self, graph: &Graph, id: NodeId, node: &Node, plan: &NamePlan, indent: usize) {
        if let Some(name) = &node.name {
            self.label(name.as_bytes());
        }
        for port in 0..node.port_count() as u32 {
            self.out.push_str(if port > 0 { ", " } else { "" });
            push_name(&mut self.out, plan.value(graph, id.port(port)));
        }
        self.out.push_str(if node.port_count() > 0 { " = " } else { "= " });
        if !node.domain.is_empty() {
            push_dotted(&mut self.out, &node.domain);
            self.out.push('.');
        }
        push_word(&mut self.out, node.op_type.as_bytes());
        if !node.overload.is_empty() {
            self.out.push(':');
            push_word(&mut self.out, node.overload.as_bytes());
        }
        let holds_graphs = node.attrs.iter().any(|attr| holds_graphs(&attr.value));
        if !holds_graphs && !node.attrs.is_empty() {
            self.out.push_str(" <");
            self.attrs(id, node, plan, indent, ", ");
            self.out.push_str("> ");
        }
        self.out.push('(');
        for (index, operand) in graph.operands(id).enumerate() {
            self.out.push_str(if index > 0 { ", " } else { "" });
            match operand {
                Some(value) => push_name(&mut self.out, plan.value(graph, value)),
                None => self.out.push_str("\"\""),
            }
        }
        self.out.push(')');
        if holds_graphs && self.subgraphs {
            let margin = format!("\n{:1$}", "", indent + 2);
            self.out.push_str(&format!(" <{margin}"));
            self.attrs(id, node, plan, indent + 2, &format!(",{margin}"));
            self.out.push_str(&format!("\n{:1$}>", "", indent));
        } else if holds_graphs {
            self.out.push_str(" <");
            self.attrs(id, node, plan, indent, ", ");
            self.out.push('>');
        }
    }

    fn attrs(&mut self, id: NodeId, node: &Node, plan: &NamePlan, indent: usize, separator: &str) {
        let mut graphs = 0;
        for (index, attr) in node.attrs.iter().enumerate() {
            if index > 0 {
                self.out.push_str(separator);
            }
            let nested = |index: usize| plan.nested(id, graphs + index);
            push_attr(self, attr, &nested, indent);
            graphs += attr.value.graphs().len();
        }
    }
}

/// The constants that a file writes as initializers and nothing else, in order.
fn sorted_initializers(graph: &Graph) -> Vec<(NodeId, &Constant)> {
    let mut constants: Vec<_> =
        graph.constants().filter(|(_, constant)| matches!(constant.form, ConstantForm::Initializer)).collect();
    constants.sort_by_key(|&(id, constant)| (constant.order, id));
    constants
}

fn name_text(name: &[u8]) -> String {
    let mut text = String::new();
    push_name(&mut text, name);
    text
}

/// A type and a name, or the name alone.
fn push_value_info(out: &mut String, ty: &Type, name: &[u8]) {
    if !ty.is_unknown() {
        push_type(out, ty);
        out.push(' ');
    }
    push_name(out, name);
}
