//! `correct-bias`: what lossy passes have moved the means of layers by is taken off their biases.
//!
//! Rounding, clipping and pruning move the mean of what a layer answers, channel by channel, and a shift of the mean does more harm
//! than noise of the same energy: layers behind do not average it out. The model before the first lossy pass of the pipeline is what
//! means are held against, layer by layer, by the names of values, which rewriting keeps.
//!
//! With data both models go side by side, and layers are corrected one after the other, so each sees the inputs that the corrected
//! model gives it (`data`). Without, batch normalizations of the model as it came say what the means of inputs are, and the change of
//! the weight what it makes of them (`statistics`).
//!
//! Source: Nagel et al., "Data-free quantization through weight equalization and bias correction", ICCV 2019.

mod data;
mod site;
mod statistics;
#[cfg(test)]
mod tests;

use onnxpress_ir::{Edit, Graph, Model, NodeId, ValueId};
use onnxpress_ops::infer::{self, Standard};
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::operator::Linear;
use onnxpress_ops::{LinearLayer, Rows, table};

use crate::options::Pattern;
use crate::pass::{Pass, PassCx, PassError};
use site::Site;

crate::option_enum! {
    /// What says how far means have moved.
    pub enum Source {
        /// Samples: both models are run on them.
        Data,
        /// The batch normalizations of the model as it came, in closed form.
        BatchNorm,
    }
}

crate::options! {
    /// Takes off biases what lossy passes have moved the means of layers by.
    ///
    /// To be run behind `quantize`, `quantize-weights`, `prune-channels` or any other lossy pass. Layers are held against those of the
    /// model before the first of these, by the names of what they give. Nothing but constants of biases changes; layers without a
    /// place for one, and such as cannot be recognized any more, are listed.
    pub struct CorrectBias {
        /// What says how far means have moved.
        source: Source = Source::Data,
        /// Only biases of such layers are changed, by name, by that of the result or of a constant; all, where none is given.
        only: Vec<Pattern> = Vec::new(),
        /// No biases of such layers are changed.
        keep: Vec<Pattern> = Vec::new(),
    }
}

/// A layer, and the value that stands for its results in the model before.
struct Pair {
    node: NodeId,
    linear: LinearLayer,
    /// In the model before.
    original: ValueId,
    /// The axis of the channels in the results.
    axis: usize,
    site: Site,
}

/// By how much the mean of each channel of a layer was too high.
type Shift = Vec<f64>;

impl Pass for CorrectBias {
    const NAME: &'static str = "correct-bias";
    const LOSSY: bool = true;
    // Layers that had no bias may get one.
    const MAY_GROW: bool = true;
    const LOOKS_BACK: bool = true;

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        let (Some(before), Some(came)) = (cx.request.before_loss, cx.request.original) else {
            cx.notice("no lossy pass has changed the model, so no mean has moved");
            return Ok(());
        };
        self.check(&model.graph)?;
        let mut result = model.clone();
        let pairs = self.pairs(before, &mut result, cx);
        infer::model(&mut result);
        let shifts = match self.source {
            Source::Data => data::correct(before, &mut result, &pairs, cx)?,
            Source::BatchNorm => statistics::correct(came, before, &mut result, &pairs, cx),
        };
        let moved = shifts.iter().filter(|shift| shift.iter().any(|by| *by != 0.0)).count();
        if moved == 0 {
            return Ok(());
        }
        cx.applied(Self::NAME, moved);
        cx.set_witness(witness(&result, &pairs));
        *model = result;
        Ok(())
    }
}

impl CorrectBias {
    /// # Errors
    /// Where a pattern names nothing.
    fn check(&self, graph: &Graph) -> Result<(), PassError> {
        let all: Vec<Vec<String>> = graph.nodes().map(|(id, _)| names(graph, id)).collect();
        for pattern in self.only.iter().chain(&self.keep) {
            if !all.iter().flatten().any(|name| pattern.matches(name)) {
                return Err(PassError::Request(format!("the pattern `{pattern}` matches no node and no constant")));
            }
        }
        Ok(())
    }

    /// The layers of the result in topological order, with those of the model before; such as have a place for a bias have one then.
    fn pairs(&self, before: &Model, result: &mut Model, cx: &mut PassCx<'_>) -> Vec<Pair> {
        let mut pairs = Vec::new();
        for id in result.graph.topological().unwrap_or_default() {
            let names = names(&result.graph, id);
            let says = |patterns: &[Pattern]| patterns.iter().any(|one| names.iter().any(|name| one.matches(name)));
            if says(&self.keep) || !self.only.is_empty() && !says(&self.only) {
                continue;
            }
            let Some((linear, axis)) = NodeCx::new(&result.graph, id).and_then(|cx| layer(&cx)) else { continue };
            let found = match counterpart(&before.graph, &result.graph, id) {
                Some(original) => Site::of(result, id, &linear).map(|site| (original, site)),
                None => Err("the model before has no value of that name".to_owned()),
            };
            match found {
                Ok((original, site)) => pairs.push(Pair { node: id, linear, original, axis, site }),
                Err(reason) => cx.declined(Self::NAME, result.graph.describe(id), reason),
            }
        }
        pairs
    }
}

/// The names of a node, of its results and of what it reads.
fn names(graph: &Graph, id: NodeId) -> Vec<String> {
    let Some(node) = graph.node(id) else { return Vec::new() };
    let own = node.name.iter().map(ToString::to_string);
    let given = node.ports().iter().filter_map(|port| Some(port.name.as_ref()?.to_string()));
    let read = graph.operands(id).flatten().filter_map(|value| Some(graph.port(value).name.as_ref()?.to_string()));
    own.chain(given).chain(read).collect()
}

/// The node as a layer whose weight does not depend on the inputs, and the axis of its channels.
fn layer(cx: &NodeCx<'_>) -> Option<(LinearLayer, usize)> {
    let Linear::Layers(layers) = table::of(cx.node)?.linear else { return None };
    let linear = layers(cx).into_iter().next()?;
    let axis = match linear.rows {
        Rows::Windows => 1,
        Rows::Along { output: Some(axis), .. } => axis,
        _ => return None,
    };
    let weight = cx.operand(linear.weight)?;
    let stored = cx.graph.constant(weight).is_some() || site::decoded(cx.graph, weight).is_some();
    stored.then_some((linear, axis))
}

/// The value of the model before that a layer's results are named after.
fn counterpart(before: &Graph, graph: &Graph, layer: NodeId) -> Option<ValueId> {
    let named = |value: ValueId| {
        let name = graph.port(value).name.as_ref()?;
        let same = |(id, node): (NodeId, &onnxpress_ir::Node)| {
            let port = node.ports().iter().position(|port| port.name.as_ref() == Some(name))?;
            Some(id.port(port as u32))
        };
        before.nodes().find_map(same)
    };
    let results = layer.port(0);
    // An output keeps its name, and what it was made of gets another.
    let behind = || {
        let codes = graph.sole_reader(results)?.node;
        graph.node(codes).filter(|node| node.is("QuantizeLinear"))?;
        let floats = graph.sole_reader(codes.port(0))?.node;
        named(floats.port(0))
    };
    named(results).or_else(behind)
}

/// The result with biases as the floats that they stand for.
fn witness(result: &Model, pairs: &[Pair]) -> Model {
    let mut witness = result.clone();
    let mut edit = Edit::new(&mut witness.graph, &Standard, CorrectBias::NAME, &[]);
    for pair in pairs {
        if let Some((reader, operand, floats)) = pair.site.floats(edit.graph()) {
            let value = edit.add_constant(None, floats);
            edit.set_operand(reader, operand, Some(value));
        }
    }
    edit.commit();
    infer::model(&mut witness);
    witness
}
