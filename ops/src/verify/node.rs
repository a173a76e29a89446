//! One node against its operator's schema, or against the function that it calls.

use onnxpress_ir::{Function, Graph, Node, NodeId};
use smallvec::SmallVec;

use super::problem::{Count, Problem, Severity, domain_name};
use super::types;
use crate::schema::{self, FormalKind, OpSchema};

/// Findings of one node beyond these are only counted: a hostile node may have millions.
const MAX_FINDINGS: usize = 16;

/// What is found of one node.
#[derive(Default)]
pub(super) struct Found {
    /// The first findings.
    list: Vec<(Severity, Problem)>,
    /// How many there were beyond them, and the greatest severity of those.
    more: Option<(Severity, usize)>,
    /// Whether all that is found weighs as a warning.
    lenient: bool,
}

impl Found {
    pub(super) fn error(&mut self, problem: impl FnOnce() -> Problem) {
        self.push(Severity::Error, problem);
    }

    pub(super) fn warning(&mut self, problem: impl FnOnce() -> Problem) {
        self.push(Severity::Warning, problem);
    }

    fn push(&mut self, severity: Severity, problem: impl FnOnce() -> Problem) {
        let severity = if self.lenient { Severity::Warning } else { severity };
        if self.list.len() < MAX_FINDINGS {
            self.list.push((severity, problem()));
        } else {
            let (greatest, count) = self.more.unwrap_or((severity, 0));
            self.more = Some((greatest.max(severity), count + 1));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn into_findings(self) -> impl Iterator<Item = (Severity, Problem)> {
        let more = self.more.map(|(severity, count)| (severity, Problem::More { count }));
        self.list.into_iter().chain(more)
    }
}

/// Checks a node against the schema of its operator at the imported version of its domain.
pub(super) fn check(graph: &Graph, id: NodeId, node: &Node, imported: Option<i64>, found: &mut Found) {
    if let Some(schema) = find(node, imported, found) {
        counts(graph, id, node, schema, found);
        attributes(node, schema, found);
        // The first versions of Constant were for floats only; no runtime minded.
        if !node.is("Constant") {
            types::check(graph, id, node, schema, found);
        }
    }
}

/// Checks a node against the function that it calls. A call may leave out operands and results at the end.
pub(super) fn check_call(node: &Node, function: &Function, found: &mut Found) {
    let expected = Count { min: 0, max: Some(function.body.inputs().len()) };
    if !expected.allows(node.operand_count()) {
        found.error(|| Problem::OperandCount { found: node.operand_count(), expected });
    }
    let expected = Count { min: 0, max: Some(function.body.outputs().len()) };
    if !expected.allows(node.port_count()) {
        found.error(|| Problem::ResultCount { found: node.port_count(), expected });
    }
    let given = attribute_names(node);
    for name in function.required.iter().filter(|name| given.binary_search(&name.as_bytes()).is_err()) {
        found.error(|| Problem::AttributeMissing { name: name.to_string() });
    }
}

/// The schema. Where it is not certain that it is what the file means, what is found from then on weighs less.
fn find(node: &Node, imported: Option<i64>, found: &mut Found) -> Option<&'static OpSchema> {
    // As for whoever asks what the node means: see `NodeCx`.
    let version = imported.unwrap_or(1);
    let (domain, name) = (node.canonical_domain(), node.op_type.as_bytes());
    let newest = schema::newest_opset(domain)?;
    // Without an import the version is a guess, and beyond the table an operator may have changed.
    found.lenient = imported.is_none_or(|version| version > newest);
    if let Some(schema) = schema::schema(domain, name, version) {
        if schema.deprecated {
            let since = schema.since_version;
            let problem = || Problem::Deprecated { domain: domain_name(domain), since, found: version };
            // Of GroupNormalization only one version is deprecated, and runs all the same.
            let gone = schema::schema(domain, name, newest).is_none_or(|last| last.deprecated);
            if gone { found.error(problem) } else { found.warning(problem) }
        }
        found.lenient |= !schema.domain.starts_with(schema::STANDARD);
        return Some(schema);
    }
    let extension = if domain.is_empty() { schema::extension(name, version) } else { None };
    if extension.is_some() {
        found.lenient = true;
        found.warning(|| Problem::Extension { version });
        return extension;
    }
    match schema::versions(domain, name).first() {
        Some(first) => found.error(|| {
            let (domain, since) = (domain_name(domain), first.since_version);
            Problem::NotYet { domain, found: version, since }
        }),
        None => found.warning(|| Problem::UnknownOperator { domain: domain_name(domain) }),
    }
    None
}

fn counts(graph: &Graph, id: NodeId, node: &Node, schema: &'static OpSchema, found: &mut Found) {
    let expected = Count { min: schema.min_inputs(), max: schema.max_inputs() };
    if !expected.allows(node.operand_count()) {
        found.error(|| Problem::OperandCount { found: node.operand_count(), expected });
    }
    for (slot, (formal, operand)) in schema.inputs.iter().zip(graph.operands(id)).enumerate() {
        if formal.kind == FormalKind::Single && operand.is_none() {
            found.error(|| Problem::OperandOmitted { slot, name: formal.name });
        }
    }
    let expected = Count { min: schema.min_outputs(), max: schema.max_outputs() };
    if !expected.allows(node.port_count()) {
        found.error(|| Problem::ResultCount { found: node.port_count(), expected });
    }
    for (port, (formal, result)) in schema.outputs.iter().zip(node.ports()).enumerate() {
        if formal.kind == FormalKind::Single && result.omitted {
            found.error(|| Problem::ResultOmitted { port, name: formal.name });
        }
    }
}

/// The names of a node's attributes in order of bytes.
fn attribute_names(node: &Node) -> SmallVec<[&[u8]; 16]> {
    let mut names: SmallVec<[&[u8]; 16]> = node.attrs.iter().map(|attr| attr.name.as_bytes()).collect();
    names.sort_unstable();
    names
}

fn attributes(node: &Node, schema: &'static OpSchema, found: &mut Found) {
    let given = attribute_names(node);
    for pair in given.windows(2).filter(|pair| pair[0] == pair[1]) {
        found.error(|| Problem::AttributeTwice { name: String::from_utf8_lossy(pair[0]).into_owned() });
    }
    for attr in &node.attrs {
        let name = || attr.name.to_string();
        match schema.attribute(attr.name.as_bytes()) {
            Some(expected) if expected.kind == attr.value.kind() => {}
            Some(expected) => found.error(|| {
                let (found, expected) = (attr.value.kind(), expected.kind);
                Problem::AttributeKind { name: name(), found, expected }
            }),
            // By convention the notes of some tool to itself, which nobody else is to mind.
            None if attr.name.as_bytes().starts_with(b"__") => {}
            None => {
                let versions = schema::versions(schema.domain, schema.name);
                if versions.iter().any(|other| other.attribute(attr.name.as_bytes()).is_some()) {
                    let version = schema.since_version;
                    found.error(|| Problem::AttributeOfOtherVersion { name: name(), version });
                } else {
                    found.warning(|| Problem::UnknownAttribute { name: name() });
                }
            }
        }
    }
    for attribute in schema.attributes.iter().filter(|attribute| attribute.required) {
        if given.binary_search(&attribute.name.as_bytes()).is_err() {
            found.error(|| Problem::AttributeMissing { name: attribute.name.to_owned() });
        }
    }
}
