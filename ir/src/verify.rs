//! The verifier's layer of structure: what must hold of any model, whatever its operators mean.
//!
//! Names that are doubled or lead nowhere never become a graph ([`build`](crate::build) refuses them), and edits keep edges
//! and slots in step. What is left are circles: of values within a graph, and of functions that call each other.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::{Cycle, Graph, Node, canonical_domain};
use crate::model::{Function, Model};

/// What cannot be in a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Finding {
    /// Nodes that wait for each other.
    #[error("{site}{cycle}")]
    Cycle {
        /// The graph, with a colon; empty for the main one.
        site: String,
        /// The nodes.
        cycle: Cycle,
    },
    /// Functions that call each other, so that calling one has no end.
    #[error("{} without end", .0.join(" calls "))]
    Recursion(
        /// The functions in the order of calling; the last is the first.
        Vec<String>,
    ),
}

/// Checks the main graph, subgraphs and functions. In proportion to their size, whatever they hold.
pub fn verify(model: &Model) -> Vec<Finding> {
    let mut findings = Vec::new();
    graph(&model.graph, "", &mut findings);
    for function in &model.functions {
        graph(&function.body, &format!("{}: ", described(function)), &mut findings);
    }
    findings.extend(recursion(&model.functions).map(Finding::Recursion));
    findings
}

fn described(function: &Function) -> String {
    format!("function `{}`", function.name)
}

fn graph(graph: &Graph, site: &str, findings: &mut Vec<Finding>) {
    if let Err(cycle) = graph.topological() {
        findings.push(Finding::Cycle { site: site.to_owned(), cycle });
    }
    for (id, node) in graph.nodes() {
        for body in node.subgraphs() {
            self::graph(body, &format!("a body of {}: ", graph.describe(id)), findings);
        }
    }
}

/// Domain, name, overload.
type Key<'m> = (&'m [u8], &'m [u8], &'m [u8]);

fn key(node: &Node) -> Key<'_> {
    (node.canonical_domain(), node.op_type.as_bytes(), node.overload.as_bytes())
}

/// The functions on a circle of calls, if there is one. Files choose how long a chain of calls is, so the stack is our own.
fn recursion(functions: &[Function]) -> Option<Vec<String>> {
    let index: BTreeMap<Key<'_>, usize> = functions
        .iter()
        .enumerate()
        .map(|(index, function)| {
            let domain = canonical_domain(function.domain.as_bytes());
            ((domain, function.name.as_bytes(), function.overload.as_bytes()), index)
        })
        .collect();
    let callees = |function: usize| {
        let mut called = BTreeSet::new();
        collect_calls(&functions[function].body, &index, &mut called);
        called.into_iter().collect::<Vec<_>>()
    };
    let mut seen = vec![false; functions.len()];
    for start in 0..functions.len() {
        if std::mem::replace(&mut seen[start], true) {
            continue;
        }
        // The calls that lead to the function at hand, each with the callees that were not followed yet.
        let mut path = vec![(start, callees(start))];
        while let Some((_, left)) = path.last_mut() {
            let Some(next) = left.pop() else {
                path.pop();
                continue;
            };
            if let Some(first) = path.iter().position(|&(function, _)| function == next) {
                let circle = path[first..].iter().map(|&(function, _)| function).chain([next]);
                return Some(circle.map(|function| described(&functions[function])).collect());
            }
            if !std::mem::replace(&mut seen[next], true) {
                path.push((next, callees(next)));
            }
        }
    }
    None
}

fn collect_calls(graph: &Graph, index: &BTreeMap<Key<'_>, usize>, called: &mut BTreeSet<usize>) {
    for (_, node) in graph.nodes() {
        called.extend(index.get(&key(node)));
        node.subgraphs().for_each(|body| collect_calls(body, index, called));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn found(text: &str) -> Vec<String> {
        let model = Model::from_text(text).unwrap();
        verify(&model).iter().map(ToString::to_string).collect()
    }

    const HEAD: &str = r#"<ir_version: 10, opset_import: ["" : 21, "local" : 1]>"#;

    #[test]
    fn a_circle_of_values_is_found_in_every_graph() {
        let circle = "{ a = Add(x, b) b = Relu(a) y = Abs(b) }";
        let found = found(&format!(
            "{HEAD} g (float x, bool c) => (float y) {{
               a = Add(x, b) b = Relu(a)
               y = If (c) <then_branch = t () => (float y) {circle}, else_branch = e () => (float x1) {{ x1 = Abs(x) }}>
             }}
             <domain: \"local\", opset_import: [\"\" : 21]> f (x) => (y) {circle}"
        ));
        insta::assert_snapshot!(found.join("\n"), @"
        the graph has a cycle through Relu `b`, Add `a`
        a body of If `y`: the graph has a cycle through Relu `b`, Add `a`
        function `f`: the graph has a cycle through Relu `b`, Add `a`
        ");
    }

    #[test]
    fn functions_may_call_others_and_never_themselves() {
        let model = |f: &str, g: &str| {
            let function = |name: &str, calls: &str| {
                format!(
                    "<domain: \"local\", opset_import: [\"\" : 21, \"local\" : 1]> {name} (a) => (b) {{ b = {calls}(a) }}"
                )
            };
            format!("{HEAD} m (float x) => (float y) {{ y = local.f(x) }} {} {}", function("f", f), function("g", g))
        };
        assert!(found(&model("local.g", "Relu")).is_empty());
        assert_eq!(found(&model("local.f", "Relu")), ["function `f` calls function `f` without end"]);
        let through = found(&model("local.g", "local.f"));
        assert_eq!(through, ["function `f` calls function `g` calls function `f` without end"]);
        // `Relu` of another domain is another operator.
        assert!(found(&model("Relu", "f")).is_empty());
    }
}
