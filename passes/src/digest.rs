//! What ties a plan, or evidence, to a model: a digest of all that the model computes with, names included.

use onnxpress_ir::{AttrValue, ConstantValue, Graph, Model, Vertex};
use sha2::{Digest, Sha256};

/// SHA-256 of the model's graph, functions and weights, as hexadecimal digits. Equal for the same file in every run.
pub fn of(model: &Model) -> String {
    let mut hash = Sha256::new();
    graph(&model.graph, &mut hash);
    for function in &model.functions {
        hash.update(function.domain.as_bytes());
        hash.update(function.name.as_bytes());
        graph(&function.body, &mut hash);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(text: &[u8], hash: &mut Sha256) {
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
}

fn graph(graph: &Graph, hash: &mut Sha256) {
    for (id, vertex) in graph.vertices() {
        hash.update((id.slot() as u64).to_le_bytes());
        for port in vertex.ports() {
            text(port.name.as_ref().map_or(&[], |name| name.as_bytes()), hash);
        }
        match vertex {
            Vertex::Input(_) => hash.update([0]),
            Vertex::Constant(constant) => {
                hash.update([1]);
                match &constant.value {
                    ConstantValue::Dense(tensor) => hash.update(tensor.digest()),
                    ConstantValue::Sparse(tensor) => text(format!("{tensor:?}").as_bytes(), hash),
                }
            }
            Vertex::Capture(capture) => hash.update(capture.operand.to_le_bytes()),
            Vertex::Node(node) => {
                hash.update([3]);
                text(node.domain.as_bytes(), hash);
                text(node.op_type.as_bytes(), hash);
                for attr in &node.attrs {
                    text(attr.name.as_bytes(), hash);
                    match &attr.value {
                        AttrValue::Graph(_) | AttrValue::Graphs(_) => {}
                        AttrValue::Tensor(tensor) => hash.update(tensor.digest()),
                        other => text(format!("{other:?}").as_bytes(), hash),
                    }
                }
            }
            Vertex::Output(output) => text(output.name.as_bytes(), hash),
        }
        for value in graph.reads(id) {
            hash.update((value.node.slot() as u64).to_le_bytes());
            hash.update(value.port.to_le_bytes());
        }
        if let Vertex::Node(node) = vertex {
            node.subgraphs().for_each(|inner| self::graph(inner, hash));
        }
    }
}
