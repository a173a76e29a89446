//! Functions that nothing calls, imports that nothing uses.

use std::collections::BTreeSet;
use std::sync::Arc;

use onnxpress_ir::Model;
use onnxpress_ir::graph::canonical_domain;

use crate::calls::{Calls, each_node};
use crate::imports::import;
use crate::pass::PassCx;

/// Removes the functions that no node calls, directly or through other functions.
pub(super) fn remove_functions(model: &mut Model, cx: &mut PassCx<'_>) {
    let called = Calls::of(&model.functions).reachable_from(&model.graph);
    let before = model.functions.len();
    let mut places = 0..before;
    model.functions.retain(|_| places.next().is_some_and(|place| called.contains(&place)));
    cx.applied("remove-function", before - model.functions.len());
}

/// Removes the model's imports of operator sets that no node uses, of the model or of a function.
pub(super) fn remove_imports(model: &mut Model, cx: &mut PassCx<'_>) {
    // The standard's stays: without it the version of the model would be anyone's guess.
    let mut used: BTreeSet<Vec<u8>> = BTreeSet::from([Vec::new()]);
    let graphs = std::iter::once(&model.graph).chain(model.functions.iter().map(|function| &function.body));
    for graph in graphs {
        each_node(graph, &mut |node| {
            if !used.contains(node.canonical_domain()) {
                used.insert(node.canonical_domain().to_vec());
            }
        });
    }
    let mut opsets = (*model.graph.opsets).clone();
    opsets.retain(|domain| used.contains(canonical_domain(domain.as_bytes())));
    let removed = model.graph.opsets.iter().count() - opsets.iter().count();
    if removed > 0 {
        import(&mut model.graph, &Arc::new(opsets));
        cx.applied("remove-import", removed);
    }
}
