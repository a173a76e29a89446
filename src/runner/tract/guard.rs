//! What tract is not asked to do: what it has no code for, what it is known to get wrong, and what could take all memory.
//!
//! tract looks operators up by name alone, folds constants while it reads a model, and believes every size. So all this is
//! checked on our own graph, before tract sees anything. Its known errors were found by the standard's node tests, version
//! 0.23.9.

use std::collections::BTreeSet;

use onnxpress_ir::{DType, Dim, Graph, Model, Node, NodeId, Symbol};
use onnxpress_ops::node::NodeCx;
use tract_onnx::model::OnnxOpRegister;

/// Operators of `com.microsoft` that tract has under the same name and with the same meaning.
const SHARED_WITH_MICROSOFT: &[&str] = &["BiasGelu", "FastGelu", "Gelu", "QuickGelu", "SkipLayerNormalization"];

/// Operators whose outputs are as large as the *values* of their operands say.
const SIZED_BY_VALUES: &[&str] = &[
    "BlackmanWindow",
    "ConstantOfShape",
    "DFT",
    "Expand",
    "HammingWindow",
    "HannWindow",
    "MelWeightMatrix",
    "OneHot",
    "Pad",
    "Range",
    "Resize",
    "Tile",
];

/// Why tract is not given this model; `None` where it may try. The model's shapes are inferred for the inputs at hand.
pub(super) fn objection(model: &Model, registry: &OnnxOpRegister, element_limit: usize) -> Option<String> {
    let guard = Guard { model, registry, element_limit };
    let mut seen = BTreeSet::new();
    guard.graph(&model.graph, &mut seen)
}

struct Guard<'a> {
    model: &'a Model,
    registry: &'a OnnxOpRegister,
    element_limit: usize,
}

impl Guard<'_> {
    /// `seen` has the sizes that are given by something bounded: an input, or how many elements of a tensor hold something.
    fn graph(&self, graph: &Graph, seen: &mut BTreeSet<Symbol>) -> Option<String> {
        let order = match graph.topological() {
            Ok(order) => order,
            Err(cycle) => return Some(cycle.to_string()),
        };
        for id in order {
            let site = || graph.describe(id);
            if let Some(node) = graph.node(id)
                && let Some(reason) = self.node(graph, id, node, seen)
            {
                return Some(format!("{}: {reason}", site()));
            }
            for port in graph.vertex(id).ports() {
                let Some(shape) = port.ty.shape() else { continue };
                if let Some(elements) = shape.size().as_const().filter(|&count| count > self.element_limit as i64) {
                    return Some(format!(
                        "{}: {elements} elements are more than the {} allowed",
                        site(),
                        self.element_limit
                    ));
                }
                if shape.iter().all(|dim| dim.as_const().is_some()) && shape.size().is_unknown() {
                    return Some(format!("{}: an output of shape {shape} is more than memory can hold", site()));
                }
                seen.extend(shape.iter().flat_map(Dim::symbols));
            }
        }
        None
    }

    fn node(&self, graph: &Graph, id: NodeId, node: &Node, seen: &mut BTreeSet<Symbol>) -> Option<String> {
        let name = node.op_type.to_str();
        if self.model.function(node.domain.as_bytes(), &node.op_type, &node.overload).is_some() {
            return Some("a function of the model".to_owned());
        }
        let known = match node.canonical_domain() {
            b"" | b"ai.onnx.ml" => true,
            b"com.microsoft" => SHARED_WITH_MICROSOFT.contains(&&*name),
            _ => false,
        };
        if !known || !self.registry.0.contains_key(&*name) {
            let domain = &node.domain;
            return Some(if domain.is_empty() {
                "no such operator".to_owned()
            } else {
                format!("no such operator in `{domain}`")
            });
        }
        let cx = NodeCx::new(graph, id)?;
        if let Some(reason) = known_error(&cx, &name) {
            return Some(reason);
        }
        if SIZED_BY_VALUES.contains(&&*name) && !is_bounded(&cx, seen) {
            return Some("its size is not known before the run".to_owned());
        }
        node.subgraphs().find_map(|body| self.graph(body, seen))
    }
}

fn is_bounded(cx: &NodeCx<'_>, seen: &BTreeSet<Symbol>) -> bool {
    cx.output_shape(0).is_some_and(|shape| {
        shape.iter().all(|dim| !dim.is_unknown() && dim.symbols().iter().all(|one| seen.contains(one)))
    })
}

/// What tract computes otherwise than the standard says.
fn known_error(cx: &NodeCx<'_>, name: &str) -> Option<String> {
    let attrs = cx.attrs();
    let string = |name| attrs.string(name).ok().flatten();
    let wrong = match name {
        "LSTM" | "GRU" | "RNN" => string("direction").as_deref() == Some("reverse"),
        "SpaceToDepth" => string("mode").as_deref().is_some_and(|mode| mode != "DCR"),
        "Celu" => cx.dtype(0) == Some(DType::Float16),
        "BitShift" => true,
        "DFT" => cx.version < 20,
        "Swish" => attrs.float("alpha").ok().flatten().is_some_and(|alpha| alpha != 1.0),
        "Attention" => {
            // Windows are ignored, and rows that a mask leaves nothing come out otherwise.
            let plain = ["scale", "q_num_heads", "kv_num_heads", "is_causal"];
            cx.has(3) || cx.node.attrs.iter().any(|attr| !plain.iter().any(|name| attr.name == *name))
        }
        _ => false,
    };
    wrong.then(|| "known to be computed otherwise than the standard says".to_owned())
}
