//! `eliminate-common-subexpressions`: what is computed twice is computed once.

mod key;
mod plan;

pub(crate) use key::same_operation;

use onnxpress_ir::{Graph, Model};

use crate::pass::{Pass, PassCx, PassError};
use crate::reading_across::{graph_at, read_instead};
use crate::rewrite::ModelFacts;

crate::options! {
    /// Makes nodes that compute the same one.
    ///
    /// Of nodes of one operator with equal operands and equal attributes, defaults spelled out or not, the first stays. Nodes
    /// with subgraphs are equal if their subgraphs compute the same from the same captured values. A node in a subgraph is
    /// dropped for an equal one of the graph around it, which is then captured. Nodes that draw random numbers or may do
    /// more than compute stay, and so does a second node whose value a graph output gives out under a name of its own.
    pub struct EliminateCommonSubexpressions;
}

impl Pass for EliminateCommonSubexpressions {
    const NAME: &'static str = "eliminate-common-subexpressions";

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        let facts = ModelFacts::of(model);
        let mut merged = share(&mut model.graph, &facts);
        for function in &mut model.functions {
            merged += share(&mut function.body, &facts);
        }
        cx.applied("share-node", merged);
        Ok(())
    }
}

/// Works on a graph and all inside of it; answers how many nodes went.
fn share(graph: &mut Graph, facts: &ModelFacts) -> usize {
    let merges = plan::merges(graph, facts);
    // Types that a file declares can contradict each other: then both nodes stay.
    let carry_out = |merge: &plan::Merge| {
        let around = graph_at(graph, &merge.path);
        read_instead(around, &merge.inside, merge.gone, merge.kept, EliminateCommonSubexpressions::NAME).is_ok()
    };
    merges.iter().map(carry_out).filter(|&done| done).count()
}
