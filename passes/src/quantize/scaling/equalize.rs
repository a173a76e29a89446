//! `equalize`: gives the channels between two layers ranges that are alike.
//!
//! A channel that one layer makes large and the next weighs little takes most of the codes of a value and few of a weight. With
//! `r1` and `r2` the largest weights of a channel where it is made and where it is read, both become `sqrt(r1 r2)`.
//!
//! Source: Nagel et al., "Data-free quantization through weight equalization and bias correction", ICCV 2019, section 4.1.

use std::collections::BTreeMap;

use onnxpress_ir::{Graph, Model, NodeId};

use super::weight::Scaled;
use super::{power_of_two, put};
use crate::pass::{Pass, PassCx, PassError};

/// Operators that give out `s f(x)` for `s x`, channel by channel, if s is positive.
const HOMOGENEOUS: [&str; 8] =
    ["Relu", "LeakyRelu", "PRelu", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Identity"];

/// Rounds over all pairs: a layer between two others is in two of them.
const ROUNDS: usize = 20;

crate::options! {
    /// Gives channels between two layers ranges that are alike, for codes with one scale for all.
    ///
    /// Through Relu, PRelu, LeakyRelu and pooling, and along chains of depthwise convolutions. Scales are powers of two, so the
    /// model computes the same to the last bit. Needs no data.
    pub struct Equalize;
}

/// Two layers, and the weights between which scales move.
struct Pair {
    first: usize,
    second: usize,
}

impl Pass for Equalize {
    const NAME: &'static str = "equalize";

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        let graph = &model.graph;
        let mut layers: Vec<Scaled> = Vec::new();
        for id in graph.topological().unwrap_or_default() {
            match Scaled::of(graph, id) {
                Ok(layer) => layers.push(layer),
                Err(Some(reason)) => cx.declined(Self::NAME, graph.describe(id), reason),
                Err(None) => {}
            }
        }
        let numbers: BTreeMap<NodeId, usize> =
            layers.iter().enumerate().map(|(number, layer)| (layer.node, number)).collect();
        let mut pairs = Vec::new();
        for (first, layer) in layers.iter().enumerate() {
            match follower(graph, layer.node, &numbers) {
                Ok(second) if layer.outputs() == layers[second].inputs() => pairs.push(Pair { first, second }),
                Ok(second) => {
                    let reason = format!("{} reads its channels in another order", graph.describe(layers[second].node));
                    cx.declined(Self::NAME, graph.describe(layer.node), reason);
                }
                Err(reason) => cx.declined(Self::NAME, graph.describe(layer.node), reason),
            }
        }
        let mut values: BTreeMap<NodeId, Vec<f32>> = BTreeMap::new();
        for layer in pairs.iter().flat_map(|pair| [&layers[pair.first], &layers[pair.second]]) {
            for id in std::iter::once(layer.weight).chain(layer.bias) {
                let Some(tensor) = graph.constant(id.port(0)) else { continue };
                let elements = tensor.to_f32s().map_err(|error| PassError::Request(error.to_string()))?;
                values.insert(id, elements);
            }
        }
        let before = values.clone();
        let mut moved = vec![false; pairs.len()];
        for _ in 0..ROUNDS {
            let mut any = false;
            for (number, pair) in pairs.iter().enumerate() {
                let one = balance(&layers[pair.first], &layers[pair.second], &mut values);
                moved[number] |= one;
                any |= one;
            }
            if !any {
                break;
            }
        }
        values.retain(|id, elements| before.get(id) != Some(elements));
        put(model, Self::NAME, values).map_err(|error| PassError::Request(error.to_string()))?;
        cx.applied(Self::NAME, moved.into_iter().filter(|moved| *moved).count());
        Ok(())
    }
}

/// The layer that alone reads what another makes, through operators that scale with it.
pub(super) fn follower(graph: &Graph, layer: NodeId, numbers: &BTreeMap<NodeId, usize>) -> Result<usize, String> {
    let mut value = layer.port(0);
    loop {
        let reading = graph.sole_reader(value).ok_or("what it makes has several readers, or none")?;
        let node = graph.node(reading.node).ok_or("it makes an output of the graph")?;
        if let Some(&number) = numbers.get(&reading.node) {
            return Ok(number);
        }
        let homogeneous = HOMOGENEOUS.iter().any(|name| node.is(name)) && node.port_count() == 1;
        if !homogeneous || graph.operand(reading.node, 0) != Some(value) {
            return Err(format!("{} does not scale with it", graph.describe(reading.node)));
        }
        value = reading.node.port(0);
    }
}

/// Moves scales between two layers; answers whether any was other than one.
fn balance(first: &Scaled, second: &Scaled, values: &mut BTreeMap<NodeId, Vec<f32>>) -> bool {
    let (Some(makes), Some(reads)) = (values.get(&first.weight), values.get(&second.weight)) else { return false };
    let made = first.magnitudes(makes, first.outputs(), |place| first.output_of(place));
    let read = second.magnitudes(reads, second.inputs(), |place| second.input_of(place));
    let scale = |(made, read): (&f32, &f32)| match (*made > 0.0, *read > 0.0) {
        // sqrt(r1 r2) / r2: what the first is divided by.
        (true, true) => power_of_two((f64::from(*made) / f64::from(*read)).sqrt()),
        _ => 1.0,
    };
    let scales: Vec<f32> = made.iter().zip(&read).map(scale).collect();
    if scales.iter().all(|scale| *scale == 1.0) {
        return false;
    }
    if let Some(weight) = values.get_mut(&first.weight) {
        weight.iter_mut().enumerate().for_each(|(place, value)| *value /= scales[first.output_of(place)]);
    }
    if let Some(bias) = first.bias.and_then(|bias| values.get_mut(&bias)) {
        let count = scales.len();
        bias.iter_mut().enumerate().for_each(|(channel, value)| *value /= scales[channel % count]);
    }
    if let Some(weight) = values.get_mut(&second.weight) {
        weight.iter_mut().enumerate().for_each(|(place, value)| *value *= scales[second.input_of(place)]);
    }
    true
}
