//! Which constants are parameters: numbers that a training could have chosen.

use onnxpress_ir::{Graph, NodeId, Slot};

use super::Differentiate;
use crate::options::Pattern;

/// Constants that steer rather than weigh, by operator and operand.
const STEERING: &[(&str, &[u32])] =
    &[("Clip", &[1, 2]), ("Pad", &[2]), ("Resize", &[1, 2]), ("Upsample", &[1]), ("OneHot", &[2]), ("Dropout", &[1])];

/// Operands of a `BatchNormalization` that are statistics.
const STATISTICS: [u32; 2] = [3, 4];

/// The constants that may be trained, and those that a request names and that may not, with the reason.
pub(super) fn choose(graph: &Graph, options: &Differentiate) -> (Vec<NodeId>, Vec<(String, String)>) {
    let matches = |patterns: &[Pattern], name: &str| patterns.iter().any(|pattern| pattern.matches(name));
    let (mut chosen, mut refused) = (Vec::new(), Vec::new());
    let mut constants: Vec<_> = graph.constants().collect();
    constants.sort_by_key(|(id, constant)| (constant.order, *id));
    for (id, constant) in constants {
        let name = graph.label(id.port(0));
        if !constant.value.dtype().is_float() || !matches(&options.parameters, &name) {
            continue;
        }
        match objection(graph, id) {
            _ if matches(&options.frozen, &name) => {}
            Some(reason) => refused.push((name, reason.to_owned())),
            // A lone number is a factor of a formula more often than a weight.
            None if constant.value.dims().iter().product::<usize>() < 2 => {}
            None => chosen.push(id),
        }
    }
    (chosen, refused)
}

/// Why a constant is no parameter.
fn objection(graph: &Graph, id: NodeId) -> Option<&'static str> {
    for reader in graph.readers(id.port(0)) {
        let Some(node) = graph.node(reader.node) else { continue };
        let slot = match reader.slot {
            Slot::Operand(slot) => slot,
            Slot::Capture(_) if node.is("Scan") => continue,
            Slot::Capture(_) => return Some("a subgraph reads it"),
        };
        if node.is("BatchNormalization") && STATISTICS.contains(&slot) {
            return Some("it is a statistic: `recalibrate-batch-norm` estimates it");
        }
        if STEERING.iter().any(|(operator, slots)| node.is(operator) && slots.contains(&slot)) {
            return Some("it steers an operator");
        }
    }
    let dense = graph.constant(id.port(0)).is_some();
    (!dense).then_some("it is stored sparsely")
}
