//! Functions: each there once, none calling itself, references that lead somewhere.

use std::collections::{HashMap, HashSet};

use super::{Finding, Problem, Severity, Verifier};
use crate::attr::AttrKind;
use crate::graph::{Graph, canonical_domain};
use crate::model::Function;
use crate::name::Name;

/// How findings call a function.
pub(super) fn site(function: &Function) -> String {
    let dot = if function.domain.is_empty() { "" } else { "." };
    let colon = if function.overload.is_empty() { "" } else { ":" };
    format!("function `{}{dot}{}{colon}{}`", function.domain, function.name, function.overload)
}

/// What is wrong with an attribute of `function` that refers to its attribute `name`.
pub(super) fn reference(
    function: Option<&Function>,
    attribute: &Name,
    name: &Name,
    found: AttrKind,
) -> Option<Problem> {
    let (attribute, name_text) = (attribute.to_string(), name.to_string());
    let Some(function) = function else { return Some(Problem::ReferenceOutside { attribute, name: name_text }) };
    if function.required.contains(name) {
        return None;
    }
    match function.defaults.iter().find(|default| default.name == *name).map(|default| default.value.kind()) {
        None => Some(Problem::ReferenceUnknown { attribute, name: name_text }),
        Some(expected) if expected != found => {
            Some(Problem::ReferenceKind { attribute, name: name_text, found, expected })
        }
        Some(_) => None,
    }
}

/// Domain, name, overload.
type Key<'m> = (&'m [u8], &'m Name, &'m Name);

fn key(function: &Function) -> Key<'_> {
    (canonical_domain(function.domain.as_bytes()), &function.name, &function.overload)
}

impl<'m> Verifier<'m> {
    pub(super) fn functions(&mut self, functions: &'m [Function]) {
        let mut numbers: HashMap<Key<'m>, usize> = HashMap::with_capacity(functions.len());
        for (number, function) in functions.iter().enumerate() {
            if *numbers.entry(key(function)).or_insert(number) != number {
                self.report_function(function, Problem::FunctionTwice);
            }
            let mut seen = HashSet::new();
            for name in function.required.iter().chain(function.defaults.iter().map(|default| &default.name)) {
                if !seen.insert(name) {
                    self.report_function(function, Problem::FunctionAttributeTwice { name: name.to_string() });
                }
            }
        }
        let calls: Vec<Vec<usize>> = functions
            .iter()
            .map(|function| {
                let mut calls = Vec::new();
                called(&function.body, &numbers, &mut calls);
                calls.sort_unstable();
                calls.dedup();
                calls
            })
            .collect();
        for cycle in circles(&calls) {
            let circle = cycle.iter().chain(cycle.first()).map(|&number| site(&functions[number])).collect();
            let problem = Problem::Recursion(circle);
            self.findings.push(Finding { severity: Severity::Error, site: String::new(), line: None, problem });
        }
    }

    fn report_function(&mut self, function: &Function, problem: Problem) {
        self.findings.push(Finding { severity: Severity::Error, site: site(function), line: None, problem });
    }
}

/// The functions that the nodes of a graph call, at any depth.
fn called(graph: &Graph, numbers: &HashMap<Key<'_>, usize>, calls: &mut Vec<usize>) {
    for (_, node) in graph.nodes() {
        calls.extend(numbers.get(&(node.canonical_domain(), &node.op_type, &node.overload)));
        for inner in node.subgraphs() {
            called(inner, numbers, calls);
        }
    }
}

/// The circles that a walk over the calls closes, each from its first member on. There may be as many functions as a file has
/// bytes for, so the walk keeps its own stack.
fn circles(calls: &[Vec<usize>]) -> Vec<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        /// On the path, at this place.
        Open(usize),
        Done,
    }
    let mut states = vec![State::New; calls.len()];
    let mut found = Vec::new();
    for start in 0..calls.len() {
        if states[start] != State::New {
            continue;
        }
        // The path, each member with the number of its calls that were followed.
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        states[start] = State::Open(0);
        while let Some(last) = path.last_mut() {
            let (member, followed) = *last;
            last.1 += 1;
            match calls[member].get(followed) {
                None => {
                    states[member] = State::Done;
                    path.pop();
                }
                Some(&callee) => match states[callee] {
                    State::New => {
                        states[callee] = State::Open(path.len());
                        path.push((callee, 0));
                    }
                    State::Open(place) => found.push(path[place..].iter().map(|&(member, _)| member).collect()),
                    State::Done => {}
                },
            }
        }
    }
    found
}
