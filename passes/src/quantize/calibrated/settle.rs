//! From places and measurements to a plan: scales, zero points, biases.

use std::collections::{BTreeMap, BTreeSet};

use onnxpress_ir::{DType, Graph, Model, NodeId, Slot, ValueId, Vertex};
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::operator::{LinearLayer, Rows};

use super::names::{self, Selection};
use super::options::{Quantize, Scales, Weights};
use super::placement::{Coded, Layer, Placement};
use super::plan::{
    LeftInFloat, PlannedLayer, PlannedReading, PlannedTable, PlannedValue, PlannedWeight, QuantizePlan, SCHEMA,
};
use super::{bias, scales, write};
use crate::evidence::{Evidence, Statistics, Wants};
use crate::pass::PassError;
use crate::quantize::range::Range;
use crate::quantize::weight::{self, Role, Scheme, channel_axis};
use crate::quantize::weights_only::half_holds;
use crate::reconstruction::mean_shift;

/// What has to be measured for a placement.
pub(crate) fn wants(placement: &Placement, graph: &Graph) -> Wants {
    let mut wants = Wants::default();
    for &value in placement.values.keys() {
        wants.value(value);
    }
    for layer in &placement.layers {
        if let Some((value, axis)) = mean_of(graph, layer) {
            wants.channels(value, axis);
        }
    }
    wants
}

/// The value and axis whose means are those of the layer's rows.
fn mean_of(graph: &Graph, layer: &Layer) -> Option<(ValueId, usize)> {
    let linear = layer.linear.as_ref()?;
    let axis = match linear.rows {
        Rows::Along { input, .. } => input,
        Rows::Windows => 1,
        Rows::Hidden(_) => return None,
    };
    Some((graph.operand(layer.node, linear.input)?, axis))
}

/// The scale and the code of zero with which codes of a type cover a range.
pub(crate) fn parameters(range: Range, (low, high): (i64, i64), symmetric: bool) -> (f32, i64) {
    let (zero, scale) = if symmetric {
        let zero = (low + high + 1).div_euclid(2);
        (Some(zero), range.high.max(-range.low) / (high - zero) as f64)
    } else {
        (None, (range.high - range.low) / (high - low) as f64)
    };
    // What is always zero has any scale; one is the plainest.
    let scale = if scale > 0.0 { (scale as f32).clamp(f32::MIN_POSITIVE, f32::MAX) } else { 1.0 };
    let found = (low as f64 - range.low / f64::from(scale)).round_ties_even() as i64;
    (scale, zero.unwrap_or(found.clamp(low, high)))
}

/// All that a plan is made of.
pub(crate) struct Settling<'a> {
    pub(crate) options: &'a Quantize,
    pub(crate) selection: &'a Selection<'a>,
    pub(crate) model: &'a Model,
    pub(crate) placement: &'a Placement,
    pub(crate) evidence: &'a Evidence,
    pub(crate) opset: i64,
}

impl Settling<'_> {
    /// The plan.
    ///
    /// # Errors
    /// Where a weight cannot be quantized.
    pub(crate) fn plan(&self, digest: &str, text: &str) -> Result<QuantizePlan, PassError> {
        let graph = &self.model.graph;
        let describe =
            |(id, reason): &(NodeId, String)| LeftInFloat { name: graph.describe(*id), reason: reason.clone() };
        Ok(QuantizePlan {
            schema: SCHEMA,
            pass: text.to_owned(),
            model: digest.to_owned(),
            evidence: self.evidence.source.clone(),
            opset: self.opset,
            form: self.options.form.text().to_owned(),
            compact: self.options.target.reads_compact(),
            values: self.values(),
            layers: self.placement.layers.iter().map(|layer| self.layer(layer)).collect::<Result<_, _>>()?,
            tables: self.tables(),
            stored: self.stored(),
            left: self.placement.left.iter().map(describe).collect(),
        })
    }

    fn values(&self) -> Vec<PlannedValue> {
        let graph = &self.model.graph;
        let mut groups: BTreeMap<ValueId, Vec<(ValueId, &Coded)>> = BTreeMap::new();
        for (&value, coded) in &self.placement.values {
            groups.entry(coded.class.unwrap_or(value)).or_default().push((value, coded));
        }
        let mut planned = Vec::new();
        for (number, members) in groups.values().enumerate() {
            let mut whole = Statistics::new(None);
            for (value, _) in members {
                if let Some(statistics) = self.evidence.values.get(value) {
                    merge(&mut whole, statistics);
                }
            }
            let dtype = self.activations(members).dtype();
            let (low, high) = onnxpress_ir::tensor::range(dtype);
            let steps = u32::try_from(high - low).unwrap_or(u32::MAX);
            let range = self.options.method(steps).range(&whole);
            let symmetric = self.options.symmetric || self.options.target.is_symmetric();
            let (scale, zero_point) = parameters(range, (low, high), symmetric);
            for &(value, coded) in members {
                let reader = |reading: &onnxpress_ir::Use| {
                    let (operand, inside) = match reading.slot {
                        Slot::Operand(operand) => (operand, false),
                        Slot::Capture(operand) => (operand, true),
                    };
                    let name = graph.describe(reading.node);
                    PlannedReading { node: reading.node.slot(), name, operand, inside }
                };
                planned.push(PlannedValue {
                    id: (value.node.slot(), value.port),
                    name: graph.label(value),
                    group: number,
                    dtype: dtype.to_string(),
                    scale,
                    zero_point,
                    seen: (whole.min, whole.max),
                    readers: coded.readings.iter().map(reader).collect(),
                });
            }
        }
        planned.sort_by_key(|value| value.id);
        planned
    }

    /// The type of the codes of values that share parameters: what an override says of a reader, or else what all get.
    fn activations(&self, members: &[(ValueId, &Coded)]) -> super::options::Activations {
        let graph = &self.model.graph;
        let readers = members.iter().flat_map(|(_, coded)| &coded.readings);
        let mut said = readers.filter_map(|reading| {
            self.selection.overridden(&names::names(graph, reading.node)).and_then(|it| it.activations)
        });
        said.next().unwrap_or(self.options.activations)
    }

    fn layer(&self, layer: &Layer) -> Result<PlannedLayer, PassError> {
        let graph = &self.model.graph;
        let name = graph.describe(layer.node);
        let planned = PlannedLayer { id: layer.node.slot(), name, weight: None, integer_bias: false, bias: None };
        let (Some(linear), Some(cx)) = (&layer.linear, NodeCx::new(graph, layer.node)) else { return Ok(planned) };
        let axis = if self.options.granularity == Scales::Channel { channel_axis(linear) } else { None };
        // A stack of matrices has its scale for all: runtimes know one axis only.
        let axis = axis.filter(|_| linear.batch_axes.is_empty());
        let Some(value) = cx.operand(linear.weight) else { return Ok(planned) };
        let mut weight = self.weight(value, axis);
        weight.zeros = self.options.target.wants_zeros(&cx.node.op_type.to_str());
        let integer_bias = self.options.target.has_integer_biases() && linear.bias.is_some() && bias::is_plain(&cx);
        // Adaptive rounding corrects the biases itself.
        let correct = self.options.correct_bias && self.options.rounding.search().is_none();
        let bias = if correct { self.corrected(&cx, linear, &weight)? } else { None };
        Ok(PlannedLayer { weight: Some(weight), integer_bias, bias, ..planned })
    }

    fn weight(&self, value: ValueId, axis: Option<usize>) -> PlannedWeight {
        let symmetric = self.options.weights == Weights::Int8;
        let tensor = self.model.graph.constant(value);
        let short_scales = tensor.is_some_and(|tensor| {
            let scheme = Scheme::of(DType::Int8, symmetric, self.options.rounding.alone());
            self.options.target.reads_compact()
                && scales::is_worth_rounding(tensor, axis)
                && half_holds(tensor, &scheme)
        });
        PlannedWeight {
            name: self.model.graph.label(value),
            dtype: self.options.weights.text().to_owned(),
            axis,
            rounding: self.options.rounding.text().to_owned(),
            symmetric,
            reduce_range: self.options.reduce_range,
            zeros: false,
            short_scales,
        }
    }

    /// The bias that makes up for the mean of what rounding the weight does.
    fn corrected(
        &self,
        cx: &NodeCx<'_>,
        linear: &LinearLayer,
        planned: &PlannedWeight,
    ) -> Result<Option<Vec<f32>>, PassError> {
        let input = cx.operand(linear.input).and_then(|value| self.evidence.values.get(&value));
        let channels = input.and_then(|statistics| statistics.channels.as_ref());
        // Where the next node adds it, inputs are mostly tokens, of which those that only fill up a text have means of their own.
        let place = bias::place(cx, linear).filter(|_| linear.bias.is_some());
        let (Some((reader, operand)), Some(channels)) = (place, channels) else { return Ok(None) };
        let Some(tensor) = cx.constant(linear.weight) else { return Ok(None) };
        let own = cx.graph.operand(reader, operand);
        let known = own.and_then(|own| cx.graph.constant(own));
        if own.is_some() && known.is_none() {
            return Ok(None);
        }
        let fail = |error: &dyn std::fmt::Display| PassError::Request(error.to_string());
        let codes = write::codes(tensor, planned).map_err(|error| fail(&error))?;
        let rounded = codes.dequantized().map_err(|error| fail(&error))?;
        let (exact, rounded) = (tensor.to_f32s(), rounded.to_f32s());
        let (exact, rounded) = (exact.map_err(|error| fail(&error))?, rounded.map_err(|error| fail(&error))?);
        let difference: Vec<f32> = rounded.iter().zip(&exact).map(|(rounded, exact)| rounded - exact).collect();
        let Some(shift) = mean_shift::of(&difference, tensor.dims(), linear, &channels.means()) else {
            return Ok(None);
        };
        let own = match known {
            Some(bias) => bias.to_f32s().map_err(|error| fail(&error))?,
            None => vec![0.0],
        };
        if own.len() != 1 && own.len() != shift.len() {
            return Ok(None);
        }
        Ok(Some(shift.iter().enumerate().map(|(channel, shift)| own[channel % own.len()] - *shift as f32).collect()))
    }

    /// Tables that nothing but lookups of rows read.
    fn tables(&self) -> Vec<PlannedTable> {
        if !self.options.tables {
            return Vec::new();
        }
        let graph = &self.model.graph;
        let functions = onnxpress_ir::Callables::of(&self.model.functions);
        let (sites, _) = weight::sites(graph, &functions);
        let mut planned = Vec::new();
        for site in sites.into_iter().filter(|site| site.path.is_empty() && site.only_looked_up) {
            let value = site.constant.port(0);
            let float = graph.constant(value).filter(|tensor| tensor.dtype() == onnxpress_ir::DType::Float);
            let Some(tensor) = float else { continue };
            let readers: BTreeSet<NodeId> = graph.readers(value).map(|reading| reading.node).collect();
            let allowed = readers.iter().all(|&reader| self.selection.allows(graph, reader).is_ok());
            let is_node = readers.iter().all(|&reader| matches!(graph.get(reader), Some(Vertex::Node(_))));
            if !allowed || !is_node || !matches!(site.role, Role::Lookup { axis: 0 }) {
                continue;
            }
            let axis = (self.options.granularity == Scales::Channel).then(|| tensor.rank() - 1);
            let weight = self.weight(value, axis);
            planned.push(PlannedTable { id: site.constant.slot(), weight });
        }
        planned
    }
}

/// Takes in what was measured of another value that has the same parameters.
fn merge(whole: &mut Statistics, other: &Statistics) {
    if other.count == 0 {
        return;
    }
    let first = whole.count == 0;
    whole.min = if first { other.min } else { whole.min.min(other.min) };
    whole.max = if first { other.max } else { whole.max.max(other.max) };
    whole.count += other.count;
    whole.masked += other.masked;
    whole.sum += other.sum;
    whole.squares += other.squares;
    whole.histogram.merge(&other.histogram);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_has_a_code_of_its_own() {
        let of = |low, high, codes, symmetric| parameters(Range::new(low, high), codes, symmetric);
        assert_eq!(of(0.0, 2.55, (0, 255), false), (0.01, 0));
        assert_eq!(of(-1.0, 1.55, (0, 255), false), (0.01, 100));
        assert_eq!(of(0.0, 2.55, (-128, 127), false), (0.01, -128));
        assert_eq!(of(-1.27, 1.0, (-128, 127), true), (0.01, 0));
        assert_eq!(of(-1.27, 1.0, (0, 255), true), (0.01, 128));
        assert_eq!(of(0.0, 0.0, (0, 255), false), (1.0, 0));
        assert!(of(0.0, 1e-45, (0, 255), false).0 > 0.0);
    }
}
