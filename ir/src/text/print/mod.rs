//! Printing the text form.

mod attr;
mod graph;
mod tensor;
mod types;

pub(super) use types::type_text;

use super::preamble::Preamble;
use super::word::{push_string, push_word};
use crate::carried::Carried;
use crate::graph::{ConstantForm, Graph, NodeId, Opsets, Vertex};
use crate::model::{Function, Model};
use crate::names::NamePlan;

/// How much a printed text says.
#[derive(Clone, Debug)]
pub struct Form<'p> {
    /// Elements of a tensor that are printed; of one with more, a digest or its only value. `None` prints all.
    pub max_elements: Option<usize>,
    /// Floats of 16 bits and fewer as numbers rather than bit patterns, elements of 4 and 2 bits one by one: an extension.
    pub values: bool,
    /// What is known of the values: as comments behind the nodes, and on the interface where it declares nothing.
    pub types: bool,
    /// The list of types that the file declares for values inside.
    pub declared: bool,
    /// Nodes in the order of the file even where that is not sorted; otherwise as [`Graph::file_order`] sorts them.
    pub keep_order: bool,
    /// What the header says beyond versions; by default what a text's reader found.
    pub preamble: Option<&'p Preamble>,
}

impl Form<'_> {
    /// Says all and nothing else: reads back to an equal model. ONNX's parser reads it, except for what its syntax cannot
    /// say; see the [module](super).
    pub const fn exact() -> Self {
        Self { max_elements: None, values: false, types: false, declared: true, keep_order: false, preamble: None }
    }

    /// For people: large tensors left out, types shown.
    pub const fn brief() -> Self {
        Self { max_elements: Some(16), values: true, types: true, declared: false, keep_order: false, preamble: None }
    }
}

/// A text in the making.
struct Printer<'f> {
    form: &'f Form<'f>,
    out: String,
    /// Whether graphs within nodes are printed.
    subgraphs: bool,
}

/// The width that lists are broken at.
const WIDTH: usize = 100;

/// A model's text.
pub(super) fn model(model: &Model, form: &Form<'_>) -> String {
    let mut printer = Printer { form, out: String::new(), subgraphs: true };
    let (main, functions) = NamePlan::of_model(model);
    printer.header(model);
    printer.graph(&model.graph, &main, 0, false);
    printer.out.push('\n');
    for (function, plan) in model.functions.iter().zip(&functions) {
        printer.out.push('\n');
        printer.function(function, plan);
        printer.out.push('\n');
    }
    printer.out
}

/// A graph's text.
pub(super) fn graph(graph: &Graph, form: &Form<'_>) -> String {
    let mut printer = Printer { form, out: String::new(), subgraphs: true };
    printer.graph(graph, &NamePlan::of_graph(graph), 0, false);
    printer.out.push('\n');
    printer.out
}

/// A node or constant as one line for messages.
pub(super) fn line(graph: &Graph, id: NodeId, plan: &NamePlan) -> String {
    let form = Form { max_elements: Some(4), ..Form::brief() };
    let mut printer = Printer { form: &form, out: String::new(), subgraphs: false };
    match graph.get(id) {
        Some(Vertex::Constant(constant)) if !matches!(constant.form, ConstantForm::Node { .. }) => {
            tensor::push_value(
                &mut printer.out,
                &constant.value,
                tensor::Place::Named(plan.value(graph, id.port(0))),
                &form,
            );
        }
        _ => printer.vertex(graph, id, plan, 0),
    }
    one_line(&printer.out)
}

/// Text without control characters, so that it stays on its line.
fn one_line(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

impl Printer<'_> {
    /// Items between brackets: on one line if they fit, else a line each.
    fn bracketed(&mut self, indent: usize, open: &str, items: &[String], close: &str) {
        let column = self.out.len() - self.out.rfind('\n').map_or(0, |newline| newline + 1);
        let len: usize = items.iter().map(|item| item.len() + 2).sum();
        self.out.push_str(open);
        if column + len + open.len() <= WIDTH || items.len() < 2 {
            self.out.push_str(&items.join(", "));
        } else {
            let margin = format!("\n{:1$}", "", indent + 2);
            self.out.push_str(&margin);
            self.out.push_str(&items.join(&format!(",{margin}")));
            self.out.push_str(&format!("\n{:1$}", "", indent));
        }
        self.out.push_str(close);
    }

    fn header(&mut self, model: &Model) {
        let mut entries = vec![format!("ir_version: {}", model.header.ir_version), opset_import(&model.graph.opsets)];
        let preamble = self.form.preamble.or_else(|| model.header.carried.get());
        if let Some(preamble) = preamble {
            push_string_entry(&mut entries, "producer_name", &preamble.producer_name);
            push_string_entry(&mut entries, "producer_version", &preamble.producer_version);
            push_string_entry(&mut entries, "domain", &preamble.domain);
            entries.extend(preamble.model_version.map(|version| format!("model_version: {version}")));
            push_string_entry(&mut entries, "doc_string", &preamble.doc_string);
            if !preamble.metadata_props.is_empty() {
                entries.push(pairs(
                    "metadata_props",
                    preamble.metadata_props.iter().map(|(key, value)| (key, quoted(value))),
                ));
            }
        }
        self.bracketed(0, "<", &entries, ">");
        self.out.push('\n');
    }

    fn function(&mut self, function: &Function, plan: &NamePlan) {
        let mut entries = vec![format!("domain: {}", quoted(function.domain.as_bytes()))];
        if !function.overload.is_empty() {
            entries.push(format!("overload: {}", quoted(function.overload.as_bytes())));
        }
        entries.push(opset_import(&function.body.opsets));
        let doc: Option<&Preamble> = Carried::get(&function.carried);
        push_string_entry(&mut entries, "doc_string", &doc.and_then(|doc| doc.doc_string.clone()));
        self.bracketed(0, "<", &entries, ">");
        self.out.push('\n');
        super::word::push_name(&mut self.out, function.name.as_bytes());
        self.out.push(' ');
        self.parameters(function);
        self.function_body(&function.body, plan);
    }

    /// The attributes of a function.
    fn parameters(&mut self, function: &Function) {
        let mut parameters = Vec::new();
        for name in &function.required {
            let mut parameter = String::new();
            push_word(&mut parameter, name.as_bytes());
            parameters.push(parameter);
        }
        for default in &function.defaults {
            let plans: Vec<_> = default.value.graphs().iter().map(NamePlan::of_graph).collect();
            let mut printer = Printer { form: self.form, out: String::new(), subgraphs: true };
            push_word(&mut printer.out, default.name.as_bytes());
            let empty = NamePlan::default();
            let nested = |index: usize| plans.get(index).unwrap_or(&empty);
            attr::push_kind_and_value(&mut printer, &default.value, &nested, 2, true);
            parameters.push(printer.out);
        }
        if !parameters.is_empty() {
            self.bracketed(0, "<", &parameters, "> ");
        }
    }
}

fn quoted(bytes: &[u8]) -> String {
    let mut out = String::new();
    push_string(&mut out, bytes);
    out
}

fn push_string_entry(entries: &mut Vec<String>, word: &str, value: &Option<bytes::Bytes>) {
    entries.extend(value.as_ref().map(|value| format!("{word}: {}", quoted(value))));
}

fn pairs<'a>(word: &str, pairs: impl Iterator<Item = (&'a bytes::Bytes, String)>) -> String {
    let pairs: Vec<_> = pairs.map(|(key, value)| format!("{}: {value}", quoted(key))).collect();
    format!("{word}: [{}]", pairs.join(", "))
}

fn opset_import(opsets: &Opsets) -> String {
    let imports: Vec<_> =
        opsets.iter().map(|(domain, version)| format!("{} : {version}", quoted(domain.as_bytes()))).collect();
    format!("opset_import: [{}]", imports.join(", "))
}
