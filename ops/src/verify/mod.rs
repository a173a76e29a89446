//! The verifier's layer of operator schemas: whether each node is a use of its operator that the standard allows.
//!
//! Structure and types are `onnxpress-ir`'s to verify; what can be written to a file is the writer's. This layer asks the
//! [schema table](crate::schema): is there such an operator at the imported version, are there as many operands and
//! results as it takes, are its attributes there and of the right kind, do operands have types that its parameters may
//! stand for. All findings are gathered, so one run tells everything.
//!
//! Findings have two severities, and onnxruntime is the yardstick: a file that it runs has no [`Severity::Error`]. What is
//! unusual but has a meaning, or is none of our business, is a [`Severity::Warning`]:
//! - an operator that the standard does not know at all, and attributes that its operator never had: both are opaque to
//!   us and kept as they are. An attribute that the operator has at *other* versions is an error, because it was meant to
//!   say something that this version does not hear;
//! - operators that only onnxruntime has, and whatever is found about them: the table speaks for one release of
//!   onnxruntime, and files come from all of them;
//! - operator sets that are not imported, or imported at a version newer than the table, and whatever is found about
//!   their operators, because what version is meant, or what it says, is a guess.

mod node;
mod problem;
#[cfg(test)]
mod tests;
mod types;

use std::collections::{BTreeMap, BTreeSet};

use onnxpress_ir::{Function, Graph, Model, Node, NodeId};

pub use problem::{Count, Finding, Problem, Severity};

use crate::schema;
use node::Found;

/// Checks every node of a model against its operator's schema: of the main graph, of subgraphs and of functions.
///
/// Nodes that call a function of the model are checked against that function. Operators of domains that the table does not
/// know pass. Findings come in the order of the vertices, those of a subgraph before that of the node that holds it.
pub fn verify(model: &Model) -> Vec<Finding> {
    let functions = model.functions.iter().map(|function| (key_of_function(function), function)).collect();
    let mut verifier =
        Verifier { functions, findings: Vec::new(), function: None, place: Vec::new(), imports_seen: BTreeSet::new() };
    verifier.graph(&model.graph);
    for function in &model.functions {
        verifier.imports_seen.clear();
        verifier.function = Some(format!("function `{}`", function.name));
        verifier.graph(&function.body);
    }
    verifier.findings
}

/// Domain, name, overload.
type Key<'m> = (&'m [u8], &'m [u8], &'m [u8]);

fn key_of_function(function: &Function) -> Key<'_> {
    let domain = onnxpress_ir::graph::canonical_domain(function.domain.as_bytes());
    (domain, function.name.as_bytes(), function.overload.as_bytes())
}

fn key_of_node(node: &Node) -> Key<'_> {
    (node.canonical_domain(), node.op_type.as_bytes(), node.overload.as_bytes())
}

struct Verifier<'m> {
    functions: BTreeMap<Key<'m>, &'m Function>,
    findings: Vec<Finding>,
    /// The function whose body is at hand.
    function: Option<String>,
    /// Where the subgraph at hand is in the model's graph or the function's body, from the outside inwards.
    place: Vec<String>,
    /// The domains whose import was looked at, of the model or function at hand.
    imports_seen: BTreeSet<&'m [u8]>,
}

impl<'m> Verifier<'m> {
    fn graph(&mut self, graph: &'m Graph) {
        for (id, node) in graph.nodes() {
            for attr in &node.attrs {
                for inner in attr.value.graphs() {
                    self.place.push(format!("`{}` of {}", attr.name, graph.describe(id)));
                    self.graph(inner);
                    self.place.pop();
                }
            }
            let imported = self.import(graph, node);
            self.node(graph, id, node, imported);
        }
    }

    /// The imported version of the node's domain. What is wrong with the import is found at its first use.
    fn import(&mut self, graph: &Graph, node: &'m Node) -> Option<i64> {
        let domain = node.canonical_domain();
        let imported = graph.opsets.version(domain);
        if self.imports_seen.insert(domain) {
            let name = problem::domain_name(domain);
            let problem = match (imported, schema::newest_opset(domain)) {
                (None, _) => Some(Problem::NotImported { domain: name }),
                (Some(found), Some(newest)) if found > newest => Some(Problem::TooNew { domain: name, found, newest }),
                _ => None,
            };
            if let Some(problem) = problem {
                let site = self.function.as_deref().unwrap_or("the model").to_owned();
                self.findings.push(Finding { severity: Severity::Warning, site, problem });
            }
        }
        imported
    }

    fn node(&mut self, graph: &Graph, id: NodeId, node: &Node, imported: Option<i64>) {
        let mut found = Found::default();
        if let Some(function) = self.functions.get(&key_of_node(node)) {
            node::check_call(node, function, &mut found);
        } else {
            node::check(graph, id, node, imported, &mut found);
        }
        if found.is_empty() {
            return;
        }
        let mut site = graph.describe(id);
        for place in self.place.iter().rev().chain(&self.function) {
            site.push_str(" in ");
            site.push_str(place);
        }
        let found = found.into_findings();
        self.findings.extend(found.map(|(severity, problem)| Finding { severity, site: site.clone(), problem }));
    }
}
