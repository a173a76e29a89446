//! One node against its operator's schema, or against the function that it calls.

use onnxpress_ir::{Function, Graph, Node, NodeId};

use super::problem::{Count, Problem, Severity, domain_name};
use super::types;
use crate::schema::{self, FormalKind, OpSchema};

pub(super) type Found = Vec<(Severity, Problem)>;

/// Checks a node against the schema of its operator at the imported version of its domain.
pub(super) fn check(graph: &Graph, id: NodeId, node: &Node, imported: Option<i64>, found: &mut Found) {
    if let Some((schema, certain)) = find(node, imported, found) {
        let start = found.len();
        counts(graph, id, node, schema, found);
        attributes(node, schema, found);
        // The first versions of Constant were for floats only; no runtime minded.
        if !node.is("Constant") {
            types::check(graph, id, node, schema, found);
        }
        if !certain {
            found[start..].iter_mut().for_each(|(severity, _)| *severity = Severity::Warning);
        }
    }
}

/// Checks a node against the function that it calls. A call may leave out operands and results at the end.
pub(super) fn check_call(node: &Node, function: &Function, found: &mut Found) {
    let operands = Count { min: 0, max: Some(function.body.inputs().len()) };
    if !operands.allows(node.operand_count()) {
        found.push((Severity::Error, Problem::OperandCount { found: node.operand_count(), expected: operands }));
    }
    let results = Count { min: 0, max: Some(function.body.outputs().len()) };
    if !results.allows(node.port_count()) {
        found.push((Severity::Error, Problem::ResultCount { found: node.port_count(), expected: results }));
    }
    let missing = function.required.iter().filter(|name| node.attrs.iter().all(|attr| attr.name != **name));
    found.extend(missing.map(|name| (Severity::Error, Problem::AttributeMissing { name: name.to_string() })));
}

/// The schema, and whether it is the standard's, so that what contradicts it is an error.
fn find(node: &Node, imported: Option<i64>, found: &mut Found) -> Option<(&'static OpSchema, bool)> {
    // As for whoever asks what the node means: see `NodeCx`.
    let version = imported.unwrap_or(1);
    let (domain, name) = (node.canonical_domain(), node.op_type.as_bytes());
    let newest = schema::newest_opset(domain)?;
    if let Some(schema) = schema::schema(domain, name, version) {
        if schema.deprecated {
            // Of GroupNormalization only one version is deprecated, and runs all the same.
            let gone = schema::schema(domain, name, newest).is_none_or(|last| last.deprecated);
            let severity = if gone { Severity::Error } else { Severity::Warning };
            let since = schema.since_version;
            found.push((severity, Problem::Deprecated { domain: domain_name(domain), since, found: version }));
        }
        // Beyond the table an operator may have changed, and without an import the version is a guess.
        let known = imported.is_some_and(|version| version <= newest);
        return Some((schema, schema.domain.starts_with(schema::STANDARD) && known));
    }
    let extension = if domain.is_empty() { schema::extension(name, version) } else { None };
    if let Some(schema) = extension {
        found.push((Severity::Warning, Problem::Extension { version }));
        return Some((schema, false));
    }
    found.push(match schema::versions(domain, name).first() {
        Some(first) => {
            let since = first.since_version;
            let severity = if imported.is_some() { Severity::Error } else { Severity::Warning };
            (severity, Problem::NotYet { domain: domain_name(domain), found: version, since })
        }
        None => (Severity::Warning, Problem::UnknownOperator { domain: domain_name(domain) }),
    });
    None
}

fn counts(graph: &Graph, id: NodeId, node: &Node, schema: &'static OpSchema, found: &mut Found) {
    let expected = Count { min: schema.min_inputs(), max: schema.max_inputs() };
    if !expected.allows(node.operand_count()) {
        found.push((Severity::Error, Problem::OperandCount { found: node.operand_count(), expected }));
    }
    for (slot, (formal, operand)) in schema.inputs.iter().zip(graph.operands(id)).enumerate() {
        if formal.kind == FormalKind::Single && operand.is_none() {
            found.push((Severity::Error, Problem::OperandOmitted { slot, name: formal.name }));
        }
    }
    let expected = Count { min: schema.min_outputs(), max: schema.max_outputs() };
    if !expected.allows(node.port_count()) {
        found.push((Severity::Error, Problem::ResultCount { found: node.port_count(), expected }));
    }
    for (port, (formal, result)) in schema.outputs.iter().zip(node.ports()).enumerate() {
        if formal.kind == FormalKind::Single && result.omitted {
            found.push((Severity::Error, Problem::ResultOmitted { port, name: formal.name }));
        }
    }
}

fn attributes(node: &Node, schema: &'static OpSchema, found: &mut Found) {
    for (index, attr) in node.attrs.iter().enumerate() {
        let name = || attr.name.to_string();
        if node.attrs[..index].iter().any(|before| before.name == attr.name) {
            found.push((Severity::Error, Problem::AttributeTwice { name: name() }));
        }
        match schema.attribute(attr.name.as_bytes()) {
            Some(expected) if expected.kind == attr.value.kind() => {}
            Some(expected) => {
                let (found_kind, expected) = (attr.value.kind(), expected.kind);
                let problem = Problem::AttributeKind { name: name(), found: found_kind, expected };
                found.push((Severity::Error, problem));
            }
            // By convention the notes of some tool to itself, which nobody else is to mind.
            None if attr.name.as_bytes().starts_with(b"__") => {}
            None => {
                let versions = schema::versions(schema.domain, schema.name);
                let elsewhere = versions.iter().any(|other| other.attribute(attr.name.as_bytes()).is_some());
                found.push(if elsewhere {
                    let version = schema.since_version;
                    (Severity::Error, Problem::AttributeOfOtherVersion { name: name(), version })
                } else {
                    (Severity::Warning, Problem::UnknownAttribute { name: name() })
                });
            }
        }
    }
    for attribute in schema.attributes.iter().filter(|attribute| attribute.required) {
        if node.attr(attribute.name).is_none() {
            found.push((Severity::Error, Problem::AttributeMissing { name: attribute.name.to_owned() }));
        }
    }
}
