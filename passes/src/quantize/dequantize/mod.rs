//! `dequantize`: a quantized model in floats again.
//!
//! Operators on codes become operators on floats between `DequantizeLinear` and `QuantizeLinear` (`lower`), products of whole
//! numbers with dynamic scales products of floats (`dynamic`), codes that `Cast` and arithmetic decode constants (`spelled`); then what is quantized only to be dequantized is left as it is,
//! within the range that codes have, and constants are dequantized once and for all (`pairs`).

mod dynamic;
mod lower;
mod pairs;
mod spelled;
mod unrounded;

use std::borrow::Cow;
use std::collections::HashSet;

use onnxpress_ir::{DType, Graph, Model, Name, NodeId, Tensor, ValueId};
use onnxpress_ops::operator::Quantize;
use onnxpress_ops::{infer, table};

use super::calibrated::ONE_OFF;
use super::weight::{Granularity, Meaning, Quantized};
use crate::eliminate_dead::EliminateDead;
use crate::pass::{Pass, PassCx, PassError};

/// How far the result may be off the quantized model, as a share of an output's peak, where there is no model to hold it against that
/// rounds no activation (`unrounded`): what the result leaves out is the rounding of every activation to eight bits.
const TOLERANCE: f64 = 0.3;

/// The same where there is: numbers are divided by a scale and multiplied by it in the one, and left as they are in the other.
const SCALED: f64 = 1e-4;

/// Rounds of handing floats through operators that only move elements.
const ROUNDS: usize = 64;

crate::options! {
    /// Makes floats of what is quantized, weights and activations.
    ///
    /// `QuantizeLinear` and `DequantizeLinear`, `QLinearConv`, `QLinearMatMul`, onnxruntime's `QLinearAdd` and its like,
    /// `MatMulInteger` and `ConvInteger` behind `DynamicQuantizeLinear`, and codes behind `Cast` and `Mul`. Weights have the numbers that their codes stand for;
    /// activations are no more rounded, but still keep to the range that their codes had, by `Clip`, since that may do the work
    /// of a `Relu`. What stays is listed.
    pub struct Dequantize;
}

impl Pass for Dequantize {
    const NAME: &'static str = "dequantize";
    const LOSSY: bool = true;
    const MAY_GROW: bool = true;

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        let mut result = model.clone();
        let mut tally = Tally::default();
        each_graph(&mut result, &mut |graph, taken| tally.lower(graph, taken, cx))?;
        let lowered = (tally.lowered > 0).then(|| result.clone());
        each_graph(&mut result, &mut |graph, taken| tally.decode(graph, taken))?;
        if tally.applied == 0 {
            list(&model.graph, cx);
            return Ok(());
        }
        infer::model(&mut result);
        EliminateDead.run(&mut result, &mut PassCx::new(cx.request))?;
        list(&result.graph, cx);
        cx.applied(Self::NAME, tally.applied);
        let witness = match tally {
            // Nothing is rounded less than before.
            Tally { dynamic: 0, lowered: 0, unrounded: 0, .. } => Some(model.clone()),
            // What a dynamic scale rounds is not spelled without the rounding.
            Tally { dynamic: 1.., .. } => None,
            _ => unrounded::model(lowered.as_ref().unwrap_or(model)),
        };
        if tally.dynamic + tally.lowered + tally.unrounded > 0 {
            cx.set_tolerance(if witness.is_some() { SCALED } else { TOLERANCE });
        }
        if let Some(lowered) = lowered.filter(|_| witness.is_some()) {
            cx.set_intermediate(lowered, ONE_OFF);
        }
        cx.set_witness(witness.unwrap_or_else(|| model.clone()));
        *model = result;
        Ok(())
    }
}

/// What was done.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    /// Nodes that became floats.
    applied: usize,
    /// Products behind dynamic scales among them, whose activations are no more rounded then.
    dynamic: usize,
    /// Operators on codes that became operators on floats between conversions.
    lowered: usize,
    /// Roundings of activations that are gone.
    unrounded: usize,
}

/// The names of a graph's values.
struct Taken(HashSet<Name>);

impl Taken {
    fn of(graph: &Graph) -> Self {
        let names = graph.vertices().flat_map(|(_, vertex)| vertex.ports().iter().filter_map(|port| port.name.clone()));
        Self(names.collect())
    }

    /// What floats are called that codes stood for: as the weight was whose codes they are, where nothing else is called so by now.
    fn restored(&self, graph: &Graph, codes: ValueId) -> Option<Name> {
        let name = graph.port(codes).name.as_ref()?;
        let own =
            name.as_bytes().strip_suffix(b"_quantized").map(|own| Name::from_bytes(name.to_bytes().slice(..own.len())));
        Some(own.filter(|own| !own.is_empty() && !self.0.contains(own)).unwrap_or_else(|| name.suffixed("_float")))
    }
}

impl Tally {
    /// Operators on codes as operators on floats.
    fn lower(&mut self, graph: &mut Graph, taken: &Taken, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        let (products, lowered) = (dynamic::products(graph, taken, cx)?, lower::all(graph, taken, cx)?);
        self.dynamic += products;
        self.lowered += lowered;
        self.applied += products + lowered;
        Ok(())
    }

    /// What is left of codes as floats.
    fn decode(&mut self, graph: &mut Graph, taken: &Taken) -> Result<(), PassError> {
        self.applied += spelled::all(graph, taken)?;
        for _ in 0..ROUNDS {
            let (now, unrounded) = pairs::all(graph, taken)?;
            self.applied += now;
            self.unrounded += unrounded;
            if now == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// Hands every graph of a model to `work`, with the names that its values have.
fn each_graph(
    model: &mut Model,
    work: &mut dyn FnMut(&mut Graph, &Taken) -> Result<(), PassError>,
) -> Result<(), PassError> {
    fn within(
        graph: &mut Graph,
        work: &mut dyn FnMut(&mut Graph, &Taken) -> Result<(), PassError>,
    ) -> Result<(), PassError> {
        let taken = Taken::of(graph);
        work(graph, &taken)?;
        each_body(graph, &mut |body| within(body, work))
    }
    within(&mut model.graph, work)?;
    model.functions.iter_mut().try_for_each(|function| within(&mut function.body, work))
}

/// Hands the graphs inside of a graph's nodes to `work`.
fn each_body<E>(graph: &mut Graph, work: &mut dyn FnMut(&mut Graph) -> Result<(), E>) -> Result<(), E> {
    let holders: Vec<NodeId> = graph.nodes().filter(|(_, node)| node.has_subgraphs()).map(|(id, _)| id).collect();
    for id in holders {
        let bodies = graph.node(id).map_or(0, |node| node.subgraphs().count());
        for index in 0..bodies {
            if let Some(body) = graph.subgraphs_mut(id).nth(index) {
                work(body)?;
            }
        }
    }
    Ok(())
}

/// Lists what is still quantized, where no reason was given yet.
fn list(graph: &Graph, cx: &mut PassCx<'_>) {
    for (id, node) in graph.nodes() {
        let is_left = table::of(node).is_some_and(|sheet| sheet.quantize == Quantize::Quantized);
        let site = graph.describe(id);
        if is_left && !cx.declines().iter().any(|decline| decline.site == site) {
            cx.declined(Dequantize::NAME, site, "it is not written in a form that is known");
        }
        node.subgraphs().for_each(|body| list(body, cx));
    }
}

/// The floats that constant codes stand for; `None` where they are no constants or do not fit each other. `axis` is that of
/// scales that are a list.
fn floats(graph: &Graph, codes: ValueId, scale: ValueId, zero: Option<ValueId>, how: Granularity) -> Option<Tensor> {
    let (codes, scale) = (graph.constant(codes)?, scales(graph, scale)?);
    let zero_point = match zero {
        Some(zero) => Some(graph.constant(zero)?.clone()),
        None => None,
    };
    decoded(codes, &scale, zero_point, how)
}

/// Scales that are constants, the floats that those of 16 bits are, or the product of a scale and a list of them, as those of biases are.
pub(crate) fn scales(graph: &Graph, value: ValueId) -> Option<Cow<'_, Tensor>> {
    if let Some(tensor) = graph.constant(value) {
        return Some(Cow::Borrowed(tensor));
    }
    let node = graph.node(value.node)?;
    if node.is("Cast") {
        let stored = graph.constant(graph.operand(value.node, 0)?)?;
        let floats = || Tensor::from_values(stored.dims(), stored.to_f32s().ok()?).ok();
        return (graph.ty(value).dtype() == Some(DType::Float)).then(floats)?.map(Cow::Owned);
    }
    Some(node).filter(|node| node.is("Mul"))?;
    let [one, list] = [0, 1].map(|operand| {
        let factor = graph.operand(value.node, operand)?;
        let is_product = graph.node(factor.node).is_some_and(|node| node.is("Mul"));
        (!is_product).then(|| scales(graph, factor))?
    });
    let (one, list) = match (one?, list?) {
        (one, list) if one.len() == 1 => (one, list),
        (list, one) if one.len() == 1 => (one, list),
        _ => return None,
    };
    let by = *one.to_f32s().ok()?.first()?;
    let products: Vec<f32> = list.to_f32s().ok()?.into_iter().map(|scale| scale * by).collect();
    Tensor::from_values(list.dims(), products).ok().map(Cow::Owned)
}

/// The floats that a `DequantizeLinear` makes of constants.
pub(crate) fn decoded_constant(graph: &Graph, id: NodeId) -> Option<Tensor> {
    let cx = onnxpress_ops::node::NodeCx::new(graph, id)?;
    floats(graph, cx.operand(0)?, cx.operand(1)?, cx.operand(2), pairs::granularity(&cx)?)
}

/// The same of tensors at hand.
fn decoded(codes: &Tensor, scale: &Tensor, zero_point: Option<Tensor>, how: Granularity) -> Option<Tensor> {
    let how = match how {
        Granularity::Blocks { .. } => how,
        _ if scale.len() == 1 => Granularity::Tensor,
        other => other,
    };
    let dims: Vec<usize> = match how {
        Granularity::Tensor => Vec::new(),
        Granularity::Channel(axis) => vec![*codes.dims().get(axis)?],
        Granularity::Blocks { .. } => scale.dims().to_vec(),
    };
    let zero_point = match zero_point {
        Some(zeros) if zeros.len() == 1 && scale.len() > 1 => {
            let one = zeros.to_i64s().ok()?[0];
            Some(Tensor::from_i64s(zeros.dtype(), &dims, &vec![one; scale.len()]).ok()?)
        }
        Some(zeros) => Some(zeros.reshaped(&dims).ok()?),
        None => None,
    };
    let scale = scale.reshaped(&dims).ok()?;
    Quantized { codes: codes.clone(), scale, zero_point, granularity: how, meaning: Meaning::Number }.dequantized().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_zero_point_serves_many_scales() {
        let codes = Tensor::from_values(&[2, 2], vec![1u8, 2, 3, 4]).unwrap();
        let scale = Tensor::vector(vec![1f32, 10.0]);
        let found = decoded(&codes, &scale, Some(Tensor::scalar(1u8)), Granularity::Channel(0)).unwrap();
        assert_eq!(found.to_f32s().unwrap(), [0.0, 1.0, 20.0, 30.0]);
        assert_eq!(decoded(&codes, &Tensor::vector(vec![1f32; 3]), None, Granularity::Channel(0)), None);
    }
}
