//! Every rule of the simplifier, by family, and the pass that applies them all with one worklist.
//!
//! One worklist, and not a pass a family in turns: what a rule leaves is looked at again at once by every other, and by no
//! more of the graph than that. The order of families matters where several rules fire at one node: what folds goes first,
//! since it leaves least.

use onnxpress_ir::Model;

use super::{chain, control, fusion, layout, noop, shape, weights};
use crate::fold_constants::{ConstantToInitializer, FoldConstant};
use crate::options::ByteSize;
use crate::pass::{Decline, Pass, PassCx, PassError};
use crate::rewrite::{AnyRule, file_size, on_credit};

/// Folding, whose options the pass hands through.
const FOLDING: &[&dyn AnyRule] =
    &[&ConstantToInitializer, &FoldConstant { limit: FoldConstant::LIMIT, growth: FoldConstant::GROWTH }];

/// Every other rule, a line a family.
const FAMILIES: &[&[&dyn AnyRule]] = &[
    // What does nothing.
    noop::RULES,
    // What runs once, or never.
    control::RULES,
    // What can be done in one step.
    chain::RULES,
    // What is the same for all sizes.
    shape::RULES,
    // What goes into weights.
    weights::RULES,
    // What the standard has an operator for.
    fusion::RULES,
    // What stands in another order of axes.
    layout::RULES,
];

crate::options! {
    /// Applies every rule of the simplifier until none fires.
    ///
    /// Rules that fold what is constant, drop what does nothing, merge chains, work out shapes, and move scalings into
    /// weights; in the main graph, in subgraphs and in functions. `passes canonicalize` lists them.
    pub struct Canonicalize {
        /// The largest constant that is computed.
        limit: ByteSize = FoldConstant::LIMIT,
        /// What one constant may add to the file, as long as the file stays smaller than it came.
        growth: ByteSize = FoldConstant::GROWTH,
    }
}

impl Pass for Canonicalize {
    const NAME: &'static str = "canonicalize";
    const RULES: &'static [&'static dyn AnyRule] = &joined::<{ count() }>();

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        let fold = FoldConstant { limit: self.limit, growth: self.growth };
        let folding: [&dyn AnyRule; 2] = [&ConstantToInitializer, &fold];
        let rules: Vec<&dyn AnyRule> = folding.into_iter().chain(FAMILIES.concat()).collect();
        if on_credit(model, &rules, cx, 0) {
            self.with_loan(model, &rules, cx);
        }
        Ok(())
    }
}

impl Canonicalize {
    /// Tries again what was left alone because the file would have grown. What two rules do together can free more than either
    /// does alone; it is kept if the file is no larger in the end.
    fn with_loan(&self, model: &mut Model, rules: &[&dyn AnyRule], cx: &mut PassCx<'_>) {
        let (mut trial, mut said) = (model.clone(), PassCx::new(cx.request));
        on_credit(&mut trial, rules, &mut said, LOAN);
        let before = file_size::named_model(model);
        // Sizes are estimates: not all that the run has saved may be spent.
        let saved = cx.request.came.map_or(0, |came| came.saturating_sub(before)) / 8 * 7;
        if trial.node_count() < model.node_count() && file_size::named_model(&trial) <= before + saved {
            *model = trial;
            for (&rule, &times) in said.applications() {
                cx.applied(rule, times);
            }
            cx.take_back_declines();
            for Decline { rule, site, reason } in said.declines() {
                cx.declined(rule, site.clone(), reason.clone());
            }
        }
    }
}

/// Bytes that the file may be larger by while a trial goes on.
const LOAN: usize = 4096;

/// How many rules there are.
const fn count() -> usize {
    let (mut count, mut family) = (FOLDING.len(), 0);
    while family < FAMILIES.len() {
        count += FAMILIES[family].len();
        family += 1;
    }
    count
}

/// All rules in one list, for documentation.
const fn joined<const N: usize>() -> [&'static dyn AnyRule; N] {
    let mut all = [FOLDING[0]; N];
    let (mut at, mut family) = (0, 0);
    while at < FOLDING.len() {
        all[at] = FOLDING[at];
        at += 1;
    }
    while family < FAMILIES.len() {
        let mut rule = 0;
        while rule < FAMILIES[family].len() {
            all[at] = FAMILIES[family][rule];
            (at, rule) = (at + 1, rule + 1);
        }
        family += 1;
    }
    all
}
