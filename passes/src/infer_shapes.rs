//! `infer-shapes`: writes what inference found.

use onnxpress_ir::{Declared, Graph, Model, Name, NodeId, Type, ValueId};

use crate::pass::{Pass, PassCx, PassError};

crate::options! {
    /// Writes the inferred types and shapes of all values into the model.
    ///
    /// Values of the main graph, of subgraphs and of functions get an entry in the list of types (`value_info`); graph
    /// outputs are completed where the file leaves extents open. Extents that depend on symbols are written as
    /// expressions over them; what is not known is left open.
    pub struct InferShapes;
}

impl Pass for InferShapes {
    const NAME: &'static str = "infer-shapes";
    const MAY_GROW: bool = true;

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        let mut written = declare(&mut model.graph);
        for function in &mut model.functions {
            written += declare(&mut function.body);
        }
        cx.applied(Self::NAME, written);
        Ok(())
    }
}

/// Brings the list of types up to date with what is known; answers how many entries changed.
fn declare(graph: &mut Graph) -> usize {
    let mut written = 0;
    let holders: Vec<NodeId> = graph.nodes().filter(|(_, node)| node.has_subgraphs()).map(|(id, _)| id).collect();
    for id in holders {
        // Looking must not count as a change.
        let inside: usize = graph.annotating_subgraphs(id).map(declare).sum();
        if inside > 0 {
            graph.subgraphs_mut(id).for_each(drop);
        }
        written += inside;
    }
    let outputs: Vec<NodeId> = graph.outputs().to_vec();
    for id in outputs {
        let Some(value) = graph.operand(id, 0) else { continue };
        let (known, declared) = (graph.ty(value).clone(), &graph.output(id).declared);
        if let Some(better) = better(&known, declared) {
            graph.output_mut(id).declared = better;
            written += 1;
        }
    }
    let mut entries = std::mem::take(&mut graph.declared);
    let mut listed: std::collections::HashSet<ValueId> = std::collections::HashSet::new();
    for entry in &mut entries {
        let Some(value) = entry.value.filter(|value| graph.contains(value.node)) else { continue };
        listed.insert(value);
        if let Some(better) = better(graph.ty(value), &entry.ty) {
            entry.ty = better;
            written += 1;
        }
    }
    for id in graph.topological().unwrap_or_default() {
        // Of constants, those that the file writes as nodes.
        for (port, known) in (0u32..).zip(graph.vertex(id).ports()) {
            let value = id.port(port);
            let given_out = graph.readers(value).any(|reading| graph.outputs().contains(&reading.node));
            let fresh = !known.omitted && !known.ty.is_unknown() && !listed.contains(&value) && !given_out;
            if fresh {
                let name = known.name.clone().unwrap_or_else(Name::empty);
                entries.push(Declared { value: Some(value), name, ty: known.ty.clone(), carried: Default::default() });
                written += 1;
            }
        }
    }
    graph.declared = entries;
    if written > 0 {
        graph.touch();
    }
    written
}

/// The type to write, where it says more than what stands there. Names that a file has for extents are kept; so is what
/// inference contradicts, since runtimes go by it and the notice tells the user.
fn better(known: &Type, declared: &Type) -> Option<Type> {
    let merged = declared.merge(known).ok()?;
    let says_more = merged.to_string() != declared.to_string();
    says_more.then_some(merged)
}
