//! What a layer's results are added to: a residual stream, whose losses the layer can make up for.

use onnxpress_ir::{Graph, NodeId, ValueId};
use onnxpress_ops::NormalizedBy;
use onnxpress_ops::node::NodeCx;

/// The nodes between a layer and the sum that are looked through.
const MOST_BETWEEN: usize = 3;

/// A value that results are added to.
pub(super) struct Stream {
    pub(super) value: ValueId,
    /// The node that adds, and which operand of it the value is.
    pub(super) sum: NodeId,
    pub(super) operand: usize,
    /// What the results are multiplied by before, one number for each index of axis 1; `None` where nothing is.
    scale: Option<Vec<f64>>,
}

impl Stream {
    /// Of a layer's results: what they are added to, where nobody else reads them on the way, which may lead through constants that
    /// are added and batch normalizations.
    pub(super) fn of(graph: &Graph, results: ValueId) -> Option<Self> {
        let (mut value, mut scale) = (results, None::<Vec<f64>>);
        for _ in 0..=MOST_BETWEEN {
            let next = graph.sole_reader(value)?.node;
            let node = graph.node(next)?;
            if node.is("BatchNormalization") {
                let own = normalized(graph, next)?;
                scale = Some(match scale {
                    None => own,
                    Some(before) if before.len() == own.len() => {
                        Vec::from_iter(before.iter().zip(&own).map(|(a, b)| a * b))
                    }
                    Some(_) => return None,
                });
                value = next.port(0);
                continue;
            }
            if !node.is("Add") {
                return None;
            }
            let (operand, other) = graph.operands(next).enumerate().find(|(_, other)| *other != Some(value))?;
            let other = other?;
            if graph.constant(other).is_none() {
                return Some(Self { value: other, sum: next, operand, scale });
            }
            value = next.port(0);
        }
        None
    }

    /// Asks results of extents `dims` for what the stream has lost: `was` is what it held, `is` what it holds.
    pub(super) fn give(&self, results: &mut [f32], dims: &[usize], was: &[f32], is: &[f32]) {
        let lost = was.iter().zip(is).map(|(was, is)| was - is);
        let Some(scale) = &self.scale else {
            results.iter_mut().zip(lost).for_each(|(result, lost)| *result += lost);
            return;
        };
        let inner: usize = dims.get(2..).unwrap_or_default().iter().product();
        if dims.get(1) != Some(&scale.len()) || inner == 0 {
            return;
        }
        for (at, (result, lost)) in results.iter_mut().zip(lost).enumerate() {
            let factor = scale[at / inner % scale.len()];
            // What is multiplied by nothing makes up for nothing.
            if factor.abs() > f64::from(f32::EPSILON) {
                *result += (f64::from(lost) / factor) as f32;
            }
        }
    }
}

/// What a batch normalization of constants multiplies each channel by.
fn normalized(graph: &Graph, node: NodeId) -> Option<Vec<f64>> {
    let operand = |index| graph.constant(graph.operand(node, index)?)?.to_f64s().ok();
    let (gamma, variance) = (operand(1)?, operand(4)?);
    let NormalizedBy::Operands { epsilon } = NormalizedBy::of(&NodeCx::new(graph, node)?).ok()? else { return None };
    let scale: Vec<f64> =
        gamma.iter().zip(&variance).map(|(gamma, variance)| gamma / (variance + epsilon).sqrt()).collect();
    (gamma.len() == variance.len() && scale.iter().all(|scale| scale.is_finite())).then_some(scale)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use onnxpress_ir::Model;

    use super::*;

    fn stream(nodes: &str) -> Option<Stream> {
        let text = format!(
            "<ir_version: 10, opset_import: [\"\" : 21]>\ng (float[1,2,1,2] x, float[1,2,1,2] s) => (float[1,2,1,2] y)\n\
             <float[2,2,1,1] w = splat(1), float[2] gamma = {{4, 0}}, float[2] zero = splat(0), float[2] four = splat(4)>\n\
             {{\n  c = Conv(x, w)\n  {nodes}\n}}"
        );
        let graph = Model::from_text(&text).unwrap().graph;
        let conv = graph.nodes().find(|(_, node)| node.is("Conv")).unwrap().0;
        Stream::of(&graph, conv.port(0))
    }

    #[test]
    fn results_are_asked_for_what_the_stream_lost() {
        let plain = stream("y = Add(s, c)").unwrap();
        let mut results = [1.0, 1.0, 1.0, 1.0];
        plain.give(&mut results, &[1, 2, 1, 2], &[4.0; 4], &[2.0, 4.0, 4.0, 3.0]);
        assert_eq!((plain.operand, results), (0, [3.0, 1.0, 1.0, 2.0]));
        // Behind a normalization a unit of the results is two of the stream, and of channel 1 nothing is left.
        let scaled =
            stream("n = BatchNormalization<epsilon = 0.0>(c, gamma, zero, zero, four)\n  y = Add(n, s)").unwrap();
        let mut results = [1.0, 1.0, 1.0, 1.0];
        scaled.give(&mut results, &[1, 2, 1, 2], &[4.0; 4], &[2.0, 4.0, 4.0, 3.0]);
        assert_eq!((scaled.operand, results), (1, [2.0, 1.0, 1.0, 1.0]));
    }

    #[test]
    fn an_activation_between_ends_the_search() {
        assert!(stream("r = Relu(c)\n  y = Add(r, s)").is_none());
    }
}
