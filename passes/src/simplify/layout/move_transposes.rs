//! Moves `Transpose` through nodes that compute the same in another order of axes, where that leaves fewer nodes.
//!
//! Before `y = Transpose<0, 3, 1, 2>(Add(Relu(Transpose<0, 2, 3, 1>(x)), c))`; after `y = Add(Relu(x), c')`, `c'` turned too.
//! The nodes between may be elementwise, `Concat`, `Split`, `Softmax`, `Slice`, `Pad`, reductions, quantization, any number of
//! them with any number of readers; they name other axes then. What they read otherwise is turned by a new `Transpose`, and
//! turned back for who reads their results otherwise.
//! Fires if there are fewer nodes in the end, ranks are known, axes and pads are known, reductions that drop axes leave the
//! others in their order, and the file does not grow.
//! Exact: the same operations on the same elements; sums may be rounded differently. Ends: at least one node fewer each time.

use onnxpress_ir::{Attr, Edit, EditError, Node, NodeId, Port, Tensor, ValueId};
use rustc_hash::FxHashMap;

use super::super::forms::regrouping;
use super::follow::{Followed, Order};
use super::region::Region;
use crate::rewrite::{Found, MatchCx, Miss, Reads, Roots, Rule, file_size};

/// Bytes that the file may grow by for lists of axes, as long as it stays smaller than it came.
const GROWTH: usize = 1024;

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct MoveTransposes;

/// The nodes, what they read, and who goes.
#[derive(Debug)]
pub struct Match {
    order: Order,
    /// In the order of flow.
    members: Vec<(NodeId, Followed)>,
    /// What is read from outside, and how it is had turned.
    sources: Vec<(ValueId, Source)>,
    /// Values that are given, and the readers that go.
    cancelled: Vec<(ValueId, Vec<NodeId>)>,
}

/// How a turned value is had.
#[derive(Debug)]
enum Source {
    /// A single number, which is the same.
    Same,
    /// As another constant.
    Constant(Tensor),
    /// As another value, by a permutation unless that changes nothing.
    Value(ValueId, Option<Vec<usize>>),
}

impl Rule for MoveTransposes {
    const NAME: &'static str = "move-transposes";
    const CONTRACT: &'static str = crate::contract!("move_transposes.rs");
    const ROOTS: Roots = Roots::Operators(&["Transpose"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Match> {
        let permutation = regrouping::permutation(cx, &cx.node(root)?)?;
        if permutation.is_sorted() {
            return Err(Miss::NotHere);
        }
        let order = Order::new(permutation);
        let value = cx.operand(root, 0)?;
        // Nodes behind it can do without it, or nodes before it can give what it gives.
        let mut readers: Vec<NodeId> =
            cx.graph().readers(root.port(0)).take(MOST).map(|reading| reading.node).collect();
        readers.sort_unstable();
        readers.dedup();
        let behind = Region::around(cx, order.clone().reversed(), readers);
        let region = behind.or_else(|_| Region::around(cx, order, vec![value.node]))?;
        Match::of(cx, root, &region)
    }

    fn apply(&self, found: Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }

    fn sources(&self, root: NodeId, found: &Match) -> Vec<NodeId> {
        found.members.iter().map(|(id, _)| *id).chain([root]).collect()
    }
}

/// Readers of the root that are looked at.
const MOST: usize = 16;

impl Match {
    fn of(cx: &MatchCx<'_>, root: NodeId, region: &Region<'_, '_>) -> Found<Self> {
        let members = in_order_of_flow(cx, &region.members)?;
        let ids: Vec<NodeId> = members.iter().map(|(id, _)| *id).collect();
        let is_turned =
            |value: ValueId| members.iter().any(|(id, followed)| *id == value.node && followed.gives_turned);
        let mut sources: Vec<(ValueId, Source)> = Vec::new();
        let (mut constants, mut made, mut freed) = (Vec::new(), 0, vec![root]);
        for (id, followed) in &members {
            for (index, reads) in &followed.others {
                constants.extend(cx.graph().operand(*id, *index));
                if let Reads::New(tensor) = reads {
                    made += file_size::new_tensor(tensor, None, cx.written());
                }
            }
            for value in followed.turned.iter().filter_map(|&index| cx.graph().operand(*id, index)) {
                if is_turned(value) || sources.iter().any(|(known, _)| *known == value) {
                    continue;
                }
                let source = Source::of(cx, region, value)?;
                match &source {
                    Source::Constant(tensor) => {
                        constants.push(value);
                        made += file_size::new_tensor(tensor, cx.port(value).name.as_ref(), cx.written());
                    }
                    Source::Value(from, _) if *from != value => {
                        let only_here = cx.graph().readers(value).all(|reading| ids.contains(&reading.node));
                        freed.extend(only_here.then_some(value.node));
                    }
                    _ => {}
                }
                sources.push((value, source));
            }
        }
        let mut cancelled = Vec::new();
        for (id, _) in members.iter().filter(|(_, followed)| followed.gives_turned) {
            let gone = region.outputs(*id).map(|value| (value, region.cancelled(value)));
            cancelled.extend(gone.filter(|(_, gone)| !gone.is_empty()));
        }
        freed.extend(cx.constants_read_by(constants.into_iter(), &ids));
        freed.extend(cancelled.iter().flat_map(|(_, gone): &(ValueId, Vec<NodeId>)| gone));
        freed.sort_unstable();
        freed.dedup();
        cx.pays(root, made, cx.bytes_of(&freed), GROWTH)?;
        Ok(Self { order: region.order.clone(), members, sources, cancelled })
    }

    fn apply(self, edit: &mut Edit<'_>) -> Result<(), EditError> {
        let Self { order, members, sources, cancelled } = self;
        let mut turned: FxHashMap<ValueId, ValueId> = FxHashMap::default();
        for (value, source) in sources {
            let name = || edit.graph().port(value).name.clone().map(|name| name.suffixed("_turned"));
            let new = match source {
                Source::Same => value,
                Source::Constant(tensor) => {
                    let name = name();
                    edit.add_constant(name, tensor)
                }
                Source::Value(from, None) => from,
                Source::Value(from, Some(permutation)) => transposed(edit, from, &permutation)?,
            };
            turned.insert(value, new);
        }
        let mut moved = Vec::with_capacity(members.len());
        for (id, followed) in &members {
            let Some(old) = edit.graph().node(*id) else { continue };
            let ports: Vec<Port> =
                old.ports().iter().map(|port| Port { omitted: port.omitted, ..Port::default() }).collect();
            let mut node = Node::new(old.op_type.clone(), 0).with_ports(ports).named(old.name.clone());
            node.attrs.clone_from(&followed.attrs);
            let mut operands: Vec<Option<ValueId>> = edit.graph().operands(*id).collect();
            for &index in &followed.turned {
                operands[index] = operands[index].map(|value| turned.get(&value).copied().unwrap_or(value));
            }
            for (index, reads) in &followed.others {
                if operands.len() <= *index {
                    operands.resize(index + 1, None);
                }
                operands[*index] = match reads {
                    Reads::Value(value) => Some(*value),
                    Reads::New(tensor) => Some(edit.add_constant(None, tensor.clone())),
                    Reads::Nothing => None,
                };
            }
            let new = edit.add_node(node, &operands)?;
            let count = edit.graph().node(*id).map_or(0, Node::port_count) as u32;
            for port in 0..count {
                let name = edit.graph().port(id.port(port)).name.clone();
                turned.insert(id.port(port), new.port(port));
                moved.push((id.port(port), new.port(port), name));
            }
        }
        for (value, gone) in cancelled {
            let Some(&new) = turned.get(&value) else { continue };
            gone.into_iter().try_for_each(|id| edit.replace(id.port(0), new))?;
        }
        let given: Vec<NodeId> =
            members.iter().filter(|(_, followed)| !followed.gives_turned).map(|(id, _)| *id).collect();
        for (old, new, name) in moved {
            if given.contains(&old.node) {
                edit.replace(old, new)?;
                continue;
            }
            let stays = |id: NodeId| !members.iter().any(|(member, _)| *member == id);
            if edit.graph().readers(old).any(|reading| stays(reading.node)) {
                let back = transposed(edit, new, &order.back)?;
                edit.replace(old, back)?;
            }
            if edit.graph().port(new).name.is_none() {
                edit.rename(new, name.map(|name| name.suffixed("_turned")));
            }
        }
        Ok(())
    }
}

impl Source {
    fn of(cx: &MatchCx<'_>, region: &Region<'_, '_>, value: ValueId) -> Found<Self> {
        let order = &region.order;
        if let Some(tensor) = cx.constant(value) {
            let turned = || order.turned(tensor).map(Self::Constant).ok_or(Miss::NotHere);
            return if tensor.len() == 1 { Ok(Self::Same) } else { turned() };
        }
        if cx.shape(value).is_some_and(|shape| shape.is_empty()) {
            return Ok(Self::Same);
        }
        if let Some(first) = region.permutation(value.node) {
            let merged: Vec<usize> = order.turn.iter().map(|&axis| first[axis]).collect();
            let from = cx.operand(value.node, 0)?;
            return Ok(Self::Value(from, (!merged.is_sorted()).then_some(merged)));
        }
        Ok(match region.cancelled(value).first() {
            Some(known) => Self::Value(known.port(0), None),
            None => Self::Value(value, Some(order.turn.clone())),
        })
    }
}

fn transposed(edit: &mut Edit<'_>, value: ValueId, permutation: &[usize]) -> Result<ValueId, EditError> {
    let perm: Vec<i64> = permutation.iter().map(|&axis| axis as i64).collect();
    edit.add(Node::new("Transpose", 1).with(Attr::ints("perm", perm)), &[value])
}

/// The members so that each stands behind those whose results it reads.
fn in_order_of_flow(cx: &MatchCx<'_>, members: &[(NodeId, Followed)]) -> Found<Vec<(NodeId, Followed)>> {
    let mut left: Vec<&(NodeId, Followed)> = members.iter().collect();
    let mut sorted: Vec<(NodeId, Followed)> = Vec::with_capacity(members.len());
    while !left.is_empty() {
        let waits = |entry: &(NodeId, Followed)| {
            cx.graph().reads(entry.0).any(|value| left.iter().any(|other| other.0 == value.node))
        };
        let next = left.iter().position(|entry| !waits(entry)).ok_or(Miss::NotHere)?;
        sorted.push(left.remove(next).clone());
    }
    Ok(sorted)
}
