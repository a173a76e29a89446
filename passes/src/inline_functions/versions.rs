//! Whether the body of a function means the same in the operator sets of its caller.

use onnxpress_ir::{Function, Name, Node, Opsets};
use onnxpress_ops::schema;

use crate::calls::{Calls, each_node};

/// What the caller has to import for the body; nothing that it imports already is changed.
///
/// # Errors
/// Where an operator of the body is another one at the version that the caller imports.
pub(super) fn missing(function: &Function, caller: &Opsets, calls: &Calls<'_>) -> Result<Vec<(Name, i64)>, String> {
    let mut missing: Vec<(Name, i64)> = Vec::new();
    let mut differs = None;
    each_node(&function.body, &mut |node| {
        let domain = node.canonical_domain();
        let Some(inside) = function.body.opsets.version(domain) else { return };
        match caller.version(domain) {
            None if missing.iter().any(|(name, _)| name.as_bytes() == domain) => {}
            None => missing.push((node.domain.clone(), inside)),
            Some(outside) if outside == inside || calls.of_node(node).is_some() => {}
            Some(outside) if is_same(node, inside, outside) => {}
            Some(outside) => {
                let reason =
                    || format!("its {} of version {inside} is not that of the caller's {outside}", node.op_type);
                differs.get_or_insert_with(reason);
            }
        }
    });
    differs.map_or(Ok(missing), Err)
}

/// Whether a node's operator is defined at one place for both versions.
fn is_same(node: &Node, inside: i64, outside: i64) -> bool {
    let since = |version| schema::schema(node.canonical_domain(), node.op_type.as_bytes(), version);
    match (since(inside), since(outside)) {
        (Some(a), Some(b)) => a.since_version == b.since_version,
        _ => false,
    }
}
