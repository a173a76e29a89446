//! Putting new weights in the place of old ones, and doing without the node that they absorb.

use onnxpress_ir::{Edit, EditError, Name, NodeId, Slot, Tensor, Use, ValueId, Vertex};

use super::layer::{Layer, Weights};
use crate::rewrite::{Found, MatchCx, file_size};

/// Bytes that the copy of a weight may take which is read elsewhere too, as long as the file stays smaller than it came.
const COPY: usize = 16_000;

/// Layers with the weights that they are to have, and a node that goes.
#[derive(Debug)]
pub(super) struct Refit {
    old: ValueId,
    new: ValueId,
    /// Whether `new` is what `old` was, and so bears its name.
    renamed: bool,
    sets: Vec<Set>,
}

/// An operand that is to be another constant.
#[derive(Debug)]
struct Set {
    node: NodeId,
    operand: usize,
    tensor: Tensor,
    /// The constant whose place it takes, if nothing else reads that.
    instead_of: Option<NodeId>,
    name: Option<Name>,
}

impl Refit {
    /// A node's constants replaced by ones that absorb the node that gives `old`, whose readers are to read `new`. What
    /// is to be which operand of which node, is in `changes`.
    ///
    /// # Errors
    /// A decline where the file would grow, since someone else reads a weight as it is, or an output would lose its name.
    pub(super) fn new(
        cx: &MatchCx<'_>,
        old: ValueId,
        new: ValueId,
        changes: Vec<(NodeId, usize, Tensor)>,
    ) -> Found<Self> {
        let graph = cx.graph();
        cx.can_take_over(old, new)?;
        let absorbed = old.node;
        let nodes: Vec<NodeId> = changes.iter().map(|(node, ..)| *node).chain([absorbed]).collect();
        let is_changed = |reading: Use| {
            reading.node == absorbed
                || changes
                    .iter()
                    .any(|(node, operand, _)| reading == Use { node: *node, slot: Slot::Operand(*operand as u32) })
        };
        let replaced = changes.iter().filter_map(|(node, operand, _)| graph.operand(*node, *operand));
        let mut gone = cx.constants_read_by(graph.operands(absorbed).flatten().chain(replaced), &nodes);
        gone.retain(|id| graph.readers(id.port(0)).all(is_changed));
        // A layer that had no bias gets the name of what shifted.
        let shift = if graph.node(absorbed).is_some_and(|node| node.is("BatchNormalization")) { 2..3 } else { 0..2 };
        let shift =
            shift.filter_map(|index| graph.operand(absorbed, index)).find(|&value| cx.constant(value).is_some());
        let set = |(node, operand, tensor)| {
            let before = graph.operand(node, operand);
            let own = before.filter(|value| {
                matches!(graph.get(value.node), Some(Vertex::Constant(_))) && graph.sole_reader(*value).is_some()
            });
            let named_so = before.is_none() && shift.is_some_and(|shift| gone.contains(&shift.node));
            let name = before.or(shift).and_then(|value| graph.port(value).name.clone());
            let name = if own.is_some() || named_so { name } else { name.map(|name| name.suffixed("_fused")) };
            Set { node, operand, tensor, instead_of: own.map(|value| value.node), name }
        };
        let sets: Vec<Set> = changes.iter().cloned().map(set).collect();
        let made = sets.iter().map(|set| file_size::new_tensor(&set.tensor, set.name.as_ref(), cx.written())).sum();
        gone.push(absorbed);
        cx.pays(absorbed, made, cx.bytes_of(&gone), COPY)?;
        Ok(Self { old, new, renamed: nodes[..nodes.len() - 1].contains(&new.node), sets })
    }

    /// Layers with new weights, which absorb the node that gives `old`.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub(super) fn of_layers(
        cx: &MatchCx<'_>,
        old: ValueId,
        new: ValueId,
        layers: Vec<(Layer<'_>, Weights)>,
    ) -> Found<Self> {
        let changes = layers.into_iter().flat_map(|(layer, weights)| {
            let weight = weights.weight.map(|tensor| (layer.node, 1, tensor));
            weight.into_iter().chain(weights.bias)
        });
        Self::new(cx, old, new, changes.collect())
    }

    /// Carries it out.
    ///
    /// # Errors
    /// Where the two values are of different types.
    pub(super) fn apply(self, edit: &mut Edit<'_>) -> Result<(), EditError> {
        for set in self.sets {
            match set.instead_of {
                Some(id) => edit.set_constant(id, set.tensor),
                None => {
                    let value = edit.add_constant(set.name, set.tensor);
                    edit.set_operand(set.node, set.operand, Some(value));
                }
            }
            if set.operand == 2 {
                // The factor of a Gemm's bias is in it now.
                edit.remove_attr(set.node, "beta");
            }
        }
        if self.renamed {
            // The layer gives now what the absorbed node gave.
            let name = edit.graph().port(self.old).name.clone();
            edit.rename(self.new, name);
        }
        edit.replace(self.old, self.new)
    }
}
