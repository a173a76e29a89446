//! `inline-functions`: puts what functions of the model do where they are called.

mod call;
mod given_constant;
mod node_names;
mod versions;
mod worth;

use std::borrow::Cow;
use std::collections::BTreeMap;

use onnxpress_ir::{Function, Graph, Model};
use onnxpress_ops::infer;

use crate::calls::Calls;
use crate::imports::import;
use crate::pass::{Pass, PassCx, PassError};
use crate::rewrite::{ModelFacts, Place, Surroundings};
use call::Inlined;
use node_names::NodeNames;

/// The most nodes that a model may come to have: functions that call functions twice double with every level.
const MAX_NODES: usize = 1 << 20;

crate::option_enum! {
    /// Which functions are inlined.
    pub enum When {
        /// All.
        Always,
        /// Those whose inlining makes the file no larger: called once, or shorter than their calls.
        NoLarger,
    }
}

crate::options! {
    /// Replaces calls of the model's functions by what these do.
    ///
    /// At any depth: in the main graph, in subgraphs, in other functions. Attributes that the body refers to are those of the
    /// call, or the function's defaults; inputs that a call leaves out are left out inside. A function goes when all its
    /// calls are inlined. It stays where it calls itself, or where its body means something else in the operator sets of the
    /// caller.
    pub struct InlineFunctions {
        /// Which functions are inlined.
        when: When = When::Always,
    }
}

impl Pass for InlineFunctions {
    const NAME: &'static str = "inline-functions";
    const MAY_GROW: bool = true;

    fn may_grow(&self) -> bool {
        self.when == When::Always
    }

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        if model.functions.is_empty() {
            return Ok(());
        }
        let mut names = BTreeMap::new();
        let facts = ModelFacts::of(model);
        let mut gone = vec![false; model.functions.len()];
        let mut inlined = 0;
        for callee in Calls::of(&model.functions).callees_first() {
            let function = model.functions[callee.place].clone();
            let site = format!("function `{}`", function.name);
            if callee.recursive {
                cx.declined(Self::NAME, site, "it calls itself");
                continue;
            }
            match self.inline(model, callee.place, &function, &facts, &mut names) {
                Ok(done) => {
                    inlined += done.calls;
                    gone[callee.place] = done.calls > 0 && done.refused.is_empty();
                    done.refused.into_iter().for_each(|reason| cx.declined(Self::NAME, site.clone(), reason));
                }
                Err(reason) => cx.declined(Self::NAME, site, reason),
            }
        }
        let mut gone = gone.into_iter();
        model.functions.retain(|_| gone.next() != Some(true));
        if inlined > 0 {
            infer::model(model);
        }
        cx.applied(Self::NAME, inlined);
        Ok(())
    }
}

/// The model without its functions, as far as they can be inlined: for whoever cannot follow calls.
pub fn inlined(model: &Model) -> Cow<'_, Model> {
    let mut copy = Cow::Borrowed(model);
    if !model.functions.is_empty() {
        // What is left alone is left as it is, and who asked sees it.
        let _ = InlineFunctions::default().run(copy.to_mut(), &mut PassCx::default());
    }
    copy
}

impl InlineFunctions {
    /// Inlines a function wherever it is called, or says why it is better left alone.
    fn inline(
        &self,
        model: &mut Model,
        place: usize,
        function: &Function,
        facts: &ModelFacts,
        names: &mut BTreeMap<Option<usize>, NodeNames>,
    ) -> Result<Inlined, String> {
        let calls = Calls::of(&model.functions);
        let callers: Vec<Option<usize>> = std::iter::once(None)
            .chain((0..model.functions.len()).map(Some))
            .filter(|&caller| calls.in_graph(body(model, caller)).contains(&place))
            .collect();
        let count: usize = callers
            .iter()
            .map(|&caller| calls.in_graph(body(model, caller)).into_iter().filter(|&called| called == place).count())
            .sum();
        if count == 0 {
            return Ok(Inlined::default());
        }
        let nodes = function.body.node_count().saturating_mul(count).saturating_add(model.node_count());
        if nodes > MAX_NODES {
            return Err(format!("there would be {nodes} nodes"));
        }
        if self.when == When::NoLarger && count > 1 {
            let grown = worth::growth(function, count);
            if grown > 0 {
                return Err(format!("the file would grow by {grown} bytes"));
            }
        }
        call::check(function)?;
        let mut imports = Vec::new();
        for &caller in &callers {
            imports.push(versions::missing(function, &body(model, caller).opsets, &calls)?);
        }
        let mut inlined = Inlined::default();
        for (caller, missing) in callers.into_iter().zip(imports) {
            let names = names.entry(caller).or_insert_with(|| NodeNames::of(body(model, caller)));
            let (caller, place) = match caller {
                None => (&mut model.graph, Place::Main),
                Some(place) => (&mut model.functions[place].body, Place::Function),
            };
            if !missing.is_empty() {
                let mut opsets = (*caller.opsets).clone();
                missing.into_iter().for_each(|(domain, version)| opsets.set(domain, version));
                import(caller, &opsets.into());
            }
            call::inline_all(caller, &Surroundings::outermost(facts, place), function, names, &mut inlined);
        }
        Ok(inlined)
    }
}

/// The main graph, or the body of a function.
fn body(model: &Model, caller: Option<usize>) -> &Graph {
    caller.map_or(&model.graph, |place| &model.functions[place].body)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::pass::Request;

    /// The manager refuses such models; who runs a pass by itself may have one all the same.
    #[test]
    fn a_function_that_calls_itself_through_another_is_left_alone() {
        let mut model = Model::from_text(
            r#"<ir_version: 10, opset_import: ["" : 21, "my" : 1]>
            g (float[2] x) => (y) { y = my.F(x) }
            <opset_import: ["my" : 1], domain: "my"> F (a) => (b) { b = my.G(a) }
            <opset_import: ["my" : 1], domain: "my"> G (a) => (b) { b = my.F(a) }"#,
        )
        .unwrap();
        let mut cx = PassCx::new(Request::default());
        let before = model.revision();
        InlineFunctions::default().run(&mut model, &mut cx).unwrap();
        assert_eq!(model.revision(), before);
        assert!(cx.declines().iter().all(|decline| decline.reason == "it calls itself"));
        assert_eq!(cx.declines().len(), 2);
    }
}
