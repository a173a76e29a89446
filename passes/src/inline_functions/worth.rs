//! What inlining a function does to the size of the file.

use onnxpress_ir::{Function, Vertex};

use crate::rewrite::file_size;

/// What a name grows by so that it is no other's.
const SUFFIX: usize = 3;

/// By how many bytes the file grows, about, when a function is inlined that is called so many times; 0 where it shrinks.
pub(super) fn growth(function: &Function, calls: usize) -> usize {
    let body = &function.body;
    let inside: usize = body
        .vertices()
        .map(|(id, vertex)| match vertex {
            Vertex::Node(node) => {
                // Names of values differ from copy to copy.
                file_size::node(body, id) + SUFFIX * (node.operand_count() + node.port_count() + 1)
            }
            Vertex::Constant(constant) => file_size::constant(constant, false) + SUFFIX,
            _ => 0,
        })
        .sum();
    let interface = [&function.domain, &function.name].map(|name| name.as_bytes().len() + 2);
    let imports: usize = body.opsets.iter().map(|(domain, _)| domain.as_bytes().len() + 6).sum();
    let gone = file_size::graph(body) + interface.iter().sum::<usize>() + imports;
    // A call names the operator and its domain, its operands and its outputs.
    let call = interface.iter().sum::<usize>() + 2 + 3 * (body.inputs().len() + body.outputs().len());
    inside.saturating_mul(calls).saturating_sub(call.saturating_mul(calls)).saturating_sub(gone)
}
