//! `dedupe-initializers`: equal constants become one.

mod alike;
mod merge;
mod tree;

use onnxpress_ir::{Graph, Model};

use crate::pass::{Pass, PassCx, PassError};
use crate::rewrite::{ModelFacts, Place};

crate::options! {
    /// Makes equal constants one.
    ///
    /// Equal are constants of one type and shape whose elements are the same bit for bit. In a graph the first stays;
    /// subgraphs read that of the graph around them, and where only subgraphs beside each other have a constant, it moves
    /// into the graph around them all. Inputs with a default stay, since a caller may override one and not the other; so do
    /// constants that graph outputs give out.
    pub struct DedupeInitializers;
}

impl Pass for DedupeInitializers {
    const NAME: &'static str = "dedupe-initializers";

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        let facts = ModelFacts::of(model);
        let mut merged = dedupe(&mut model.graph, Place::Main, &facts)?;
        for function in &mut model.functions {
            merged += dedupe(&mut function.body, Place::Function, &facts)?;
        }
        cx.applied(Self::NAME, merged);
        Ok(())
    }
}

/// Works on a graph and all inside of it; answers how many constants went.
fn dedupe(graph: &mut Graph, place: Place, facts: &ModelFacts) -> Result<usize, PassError> {
    let plan = {
        let tree = tree::Tree::of(graph);
        tree.plan(alike::classes(&tree.constants))
    };
    merge::carry_out(graph, plan, place, facts)
}
