//! `smooth-quant`: moves what makes values hard to quantize into weights, which bear it.
//!
//! Behind a normalization some channels of a transformer are a hundred times as large as others, the same ones for every token.
//! Each is divided by `s = max|x|^α / max|w|^(1-α)` in the normalization's scale and bias, and multiplied by it in the weights
//! that read it.
//!
//! Source: Xiao et al., "SmoothQuant: accurate and efficient post-training quantization for large language models", ICML 2023.

use std::collections::BTreeMap;

use onnxpress_ir::{DType, Graph, Model, NodeId, Slot, ValueId};
use onnxpress_ops::node::NodeCx;

use super::weight::Scaled;
use super::{power_of_two, put};
use crate::evidence::Wants;
use crate::options::Share;
use crate::pass::{Pass, PassCx, PassError};

crate::options! {
    /// Moves the ranges of channels behind LayerNormalization into the weights that read them.
    ///
    /// Where nothing but linear layers reads what is normalized. Scales are powers of two, so the model computes the same to the
    /// last bit. Needs samples.
    pub struct SmoothQuant {
        /// How much of the difficulty is moved: 1 evens out the values, little leaves them as they are.
        alpha: Share = Share::percent::<50>(),
    }
}

/// A normalization and the layers that read it.
pub(super) struct Site {
    value: ValueId,
    axis: usize,
    /// The constants of its scale and bias.
    pub(super) made: Vec<NodeId>,
    pub(super) readers: Vec<Scaled>,
}

impl Pass for SmoothQuant {
    const NAME: &'static str = "smooth-quant";

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        let graph = &model.graph;
        let mut sites = Vec::new();
        for id in graph.topological().unwrap_or_default() {
            match site(graph, id) {
                Ok(Some(site)) => sites.push(site),
                Ok(None) => {}
                Err(reason) => cx.declined(Self::NAME, graph.describe(id), reason),
            }
        }
        if sites.is_empty() {
            return Ok(());
        }
        let mut wants = Wants::default();
        for site in &sites {
            wants.channels(site.value, site.axis);
        }
        let evidence = cx.evidence(model, &wants)?;
        let fail = |error: onnxpress_ir::TensorError| PassError::Request(error.to_string());
        let mut changed = BTreeMap::new();
        let mut applied = 0;
        for site in &sites {
            let channels = evidence.values.get(&site.value).and_then(|statistics| statistics.channels.as_ref());
            let Some(seen) = channels.map(crate::evidence::ChannelStatistics::magnitudes) else { continue };
            let mut largest = vec![0f32; seen.len()];
            let mut weights = Vec::new();
            for reader in &site.readers {
                let Some(tensor) = model.graph.constant(reader.weight.port(0)) else { continue };
                let values = tensor.to_f32s().map_err(fail)?;
                let own = reader.magnitudes(&values, reader.inputs(), |place| reader.input_of(place));
                largest.iter_mut().zip(own).for_each(|(largest, own)| *largest = largest.max(own));
                weights.push((reader, values));
            }
            let alpha = self.alpha.get();
            let scale = |(seen, weight): (&f32, &f32)| match (*seen > 0.0, *weight > 0.0) {
                (true, true) => power_of_two(f64::from(*seen).powf(alpha) / f64::from(*weight).powf(1.0 - alpha)),
                _ => 1.0,
            };
            let scales: Vec<f32> = seen.iter().zip(&largest).map(scale).collect();
            let fits = site.readers.iter().all(|reader| reader.inputs() == scales.len());
            // The same scale for all channels changes nothing for codes.
            if !fits || scales.iter().all(|scale| Some(scale) == scales.first()) {
                continue;
            }
            for (reader, mut values) in weights {
                values.iter_mut().enumerate().for_each(|(place, value)| *value *= scales[reader.input_of(place)]);
                changed.insert(reader.weight, values);
            }
            for &constant in &site.made {
                let Some(tensor) = model.graph.constant(constant.port(0)) else { continue };
                let values = tensor.to_f32s().map_err(fail)?;
                changed.insert(constant, values.iter().zip(&scales).map(|(value, scale)| value / scale).collect());
            }
            applied += 1;
        }
        put(model, Self::NAME, changed).map_err(fail)?;
        cx.applied(Self::NAME, applied);
        Ok(())
    }
}

/// The node as a normalization whose channels can be scaled; `None` where it is none.
pub(super) fn site(graph: &Graph, id: NodeId) -> Result<Option<Site>, String> {
    let Some(cx) = NodeCx::new(graph, id).filter(|cx| cx.node.is("LayerNormalization")) else { return Ok(None) };
    let value = id.port(0);
    let mut made = Vec::new();
    for operand in [1, 2].into_iter().filter(|&operand| cx.has(operand)) {
        let tensor = cx.constant(operand).filter(|tensor| tensor.rank() == 1 && tensor.dtype() == DType::Float);
        let constant = cx.operand(operand).filter(|value| tensor.is_some() && graph.sole_reader(*value).is_some());
        made.push(constant.ok_or("its scale or bias is no constant of its own along one axis")?.node);
    }
    let rank =
        graph.ty(value).shape().map(|shape| shape.len()).filter(|rank| *rank > 0).ok_or("its rank is not known")?;
    let mut readers = Vec::new();
    for reading in graph.readers(value) {
        let layer = Scaled::of(graph, reading.node).map_err(|_| {
            format!("{} reads it too, and is no linear layer with a weight of its own", graph.describe(reading.node))
        })?;
        let along =
            matches!(layer.linear.rows, onnxpress_ops::operator::Rows::Along { input, .. } if input + 1 == rank);
        if !along || layer.input(graph) != Some(value) || !matches!(reading.slot, Slot::Operand(_)) {
            return Err(format!("{} does not multiply it along its last axis", graph.describe(reading.node)));
        }
        readers.push(layer);
    }
    readers.sort_by_key(|layer| layer.node);
    if readers.is_empty() {
        return Ok(None);
    }
    Ok(Some(Site { value, axis: rank - 1, made, readers }))
}
