//! `eliminate-dead`: what no output depends on goes.

mod graph;
mod model;

use onnxpress_ir::Model;

use crate::pass::{Pass, PassCx, PassError};
use crate::rewrite::ModelFacts;

crate::options! {
    /// Removes what no output of the model depends on.
    ///
    /// Nodes and constants that nothing reads, in the main graph, in subgraphs and in functions, those included that draw
    /// random numbers; values that subgraphs capture and do not read; entries in the list of types for values
    /// that are not there; functions that nothing calls; imports of operator sets
    /// that nothing uses. Optional outputs that nothing reads are left out of their nodes. Inputs and outputs of graphs stay,
    /// and so do nodes whose operators are not known, since they may do more than compute.
    pub struct EliminateDead;
}

impl Pass for EliminateDead {
    const NAME: &'static str = "eliminate-dead";

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        model::remove_functions(model, cx);
        let facts = ModelFacts::of(model);
        graph::clean(&mut model.graph, &facts, cx, "");
        let mut functions = std::mem::take(&mut model.functions);
        for function in &mut functions {
            let place = format!(" in function `{}`", function.name);
            graph::clean(&mut function.body, &facts, cx, &place);
        }
        model.functions = functions;
        // What was called from dead nodes only.
        model::remove_functions(model, cx);
        model::remove_imports(model, cx);
        Ok(())
    }
}
