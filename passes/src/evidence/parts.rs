//! Moments of many layers in several runs, so that memory has room for those of each run.

use onnxpress_ir::{Model, NodeId};
use onnxpress_ops::LinearLayer;

use super::collect::rows_of;
use super::{EvidenceError, EvidenceSource, Moments, Wants, collect};

/// The most bytes of second moments that are held at once.
const HELD: usize = 512 << 20;

/// Measures the moments of layers, as many at once as memory has room for, and hands them to `each` with the place of the layer, in
/// order.
///
/// # Errors
/// Where the samples do not suit the model, it cannot be run, or the rows of a layer are not to be seen.
pub(crate) fn in_parts(
    model: &Model,
    layers: &[(NodeId, &LinearLayer)],
    source: &dyn EvidenceSource,
    each: &mut dyn FnMut(usize, &Moments),
) -> Result<(), EvidenceError> {
    let bytes = |&(node, layer): &(NodeId, &LinearLayer)| {
        rows_of(&model.graph, node, layer).map(|(rows, _)| {
            rows.columns().checked_pow(2).and_then(|all| all.checked_mul(8 * rows.groups())).unwrap_or(usize::MAX)
        })
    };
    let mut place = 0;
    while place < layers.len() {
        let (mut held, mut count, mut wants) = (0usize, 0, Wants::default());
        for layer in &layers[place..] {
            held = held.saturating_add(bytes(layer)?);
            if count > 0 && held > HELD {
                break;
            }
            wants.layer(layer.0, layer.1);
            count += 1;
        }
        let evidence = collect(model, &wants, source)?;
        for (at, (node, layer)) in layers.iter().enumerate().skip(place).take(count) {
            if let Some(moments) = evidence.layers.get(&(*node, layer.weight)) {
                each(at, moments);
            }
        }
        place += count;
    }
    Ok(())
}
