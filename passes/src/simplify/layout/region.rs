//! Which nodes are to compute on turned values, so that the fewest nodes are left.
//!
//! A value that the nodes read needs no new `Transpose` if it is constant or comes out of one that undoes the turn, which goes
//! if nobody else reads it; any other needs one. A value that they give needs one for whoever else reads it, and those readers
//! that are a `Transpose` by the turn itself go. The nodes are found by growing: of the neighbours of those found so far, that
//! which adds least comes next, and of all the sets on the way the best is taken.

use onnxpress_ir::{NodeId, ValueId, Vertex};

use super::super::forms::regrouping;
use super::follow::{Followed, Order};
use crate::rewrite::{Found, MatchCx, Miss};

/// Nodes that are looked at.
const MOST: usize = 64;

/// Readers of a value that are looked at.
const READERS: usize = 16;

/// How many nodes more than in the best set so far there may be on the way to a better one.
const PATIENCE: i64 = 3;

/// The nodes, each with what becomes of it.
pub(super) struct Region<'c, 'a> {
    cx: &'c MatchCx<'a>,
    pub(super) order: Order,
    pub(super) members: Vec<(NodeId, Followed)>,
}

impl<'c, 'a> Region<'c, 'a> {
    /// The best region that has one of these nodes.
    ///
    /// # Errors
    /// [`Miss::NotHere`] where none saves a node.
    pub(super) fn around(cx: &'c MatchCx<'a>, order: Order, seeds: Vec<NodeId>) -> Found<Self> {
        let mut region = Self { cx, order, members: Vec::new() };
        let mut frontier: Vec<(NodeId, Followed)> = Vec::new();
        let mut seen: Vec<NodeId> = Vec::new();
        region.look_at(seeds, &mut frontier, &mut seen);
        let (mut cost, mut best) = (0, (0, 0));
        while region.members.len() < MOST {
            let next = frontier.iter().enumerate().filter_map(|(place, entry)| {
                let more = region.cost_of(entry)?;
                // Names make the choice the same in whatever order the file has the nodes.
                let name = cx.graph().node(entry.0).and_then(|node| node.ports().first()?.name.clone());
                Some((more, name, place))
            });
            let Some((more, _, place)) = next.min() else { break };
            let entry = frontier.remove(place);
            let mut neighbours = Vec::new();
            for &index in &entry.1.turned {
                neighbours.extend(cx.graph().operand(entry.0, index).map(|value| value.node));
            }
            if entry.1.gives_turned {
                let outputs = region.outputs(entry.0);
                neighbours.extend(outputs.flat_map(|value| region.readers(value).unwrap_or_default()));
            }
            cost += more;
            region.members.push(entry);
            if cost < best.0 {
                best = (cost, region.members.len());
            } else if cost > best.0 + PATIENCE {
                break;
            }
            region.look_at(neighbours, &mut frontier, &mut seen);
        }
        region.members.truncate(best.1);
        if best.0 < 0 { Ok(region) } else { Err(Miss::NotHere) }
    }

    /// Adds those nodes to the frontier that can follow.
    fn look_at(&self, nodes: Vec<NodeId>, frontier: &mut Vec<(NodeId, Followed)>, seen: &mut Vec<NodeId>) {
        for id in nodes {
            if seen.len() >= 4 * MOST || seen.contains(&id) {
                continue;
            }
            seen.push(id);
            let Ok(node) = self.cx.node(id) else { continue };
            let followed = Followed::of(self.cx, &node, &self.order);
            frontier.extend(followed.ok().filter(|followed| self.fits(id, followed)).map(|followed| (id, followed)));
        }
    }

    /// Whether all operands can be turned, and the node is worth it: one that nobody reads goes by itself.
    fn fits(&self, id: NodeId, followed: &Followed) -> bool {
        if !self.outputs(id).any(|value| self.cx.is_read(value)) {
            return false;
        }
        let mut whole = 0;
        for &index in &followed.turned {
            let Some(value) = self.cx.graph().operand(id, index) else { return false };
            let Some(rank) = self.cx.shape(value).map(|shape| shape.len()) else { return false };
            let is_constant = self.cx.constant(value).is_some();
            if rank != self.order.rank() && !(rank == 0 || is_constant && rank < self.order.rank()) {
                return false;
            }
            whole += usize::from(rank == self.order.rank());
        }
        whole > 0
    }

    pub(super) fn outputs(&self, id: NodeId) -> impl Iterator<Item = ValueId> + use<> {
        let count = self.cx.graph().node(id).map_or(0, |node| node.port_count()) as u32;
        (0..count).map(move |port| id.port(port))
    }

    /// Who reads a value; `None` where these are too many.
    fn readers(&self, value: ValueId) -> Option<Vec<NodeId>> {
        let readers: Vec<NodeId> =
            self.cx.graph().readers(value).take(READERS + 1).map(|reading| reading.node).collect();
        (readers.len() <= READERS).then_some(readers)
    }

    fn member(&self, id: NodeId) -> Option<&Followed> {
        self.members.iter().find(|(member, _)| *member == id).map(|(_, followed)| followed)
    }

    /// Nodes more, or less than none fewer, if this node comes too. `None` where it cannot.
    fn cost_of(&self, entry: &(NodeId, Followed)) -> Option<i64> {
        let graph = self.cx.graph();
        let mut values: Vec<ValueId> =
            entry.1.turned.iter().filter_map(|&index| graph.operand(entry.0, index)).collect();
        values.extend(self.outputs(entry.0));
        values.sort_unstable();
        values.dedup();
        let mut more = 0;
        for value in values {
            more += self.at(value, Some(entry))? - self.at(value, None)?;
        }
        Some(more)
    }

    /// Nodes more at one value, where `entry` is a member too.
    fn at(&self, value: ValueId, entry: Option<&(NodeId, Followed)>) -> Option<i64> {
        let member = |id: NodeId| entry.filter(|entry| entry.0 == id).map(|entry| &entry.1).or_else(|| self.member(id));
        let reads_turned = |id: NodeId| {
            member(id).is_some_and(|followed| {
                followed.turned.iter().any(|&index| self.cx.graph().operand(id, index) == Some(value))
            })
        };
        if self.cx.constant(value).is_some() || self.cx.shape(value).is_some_and(|shape| shape.is_empty()) {
            return Some(0);
        }
        let readers = self.readers(value)?;
        if member(value.node).is_some_and(|followed| followed.gives_turned) {
            let gone = self.cancelled(value);
            let others = readers.iter().any(|&id| {
                member(id).is_none() && !gone.contains(&id) && self.permutation(id).is_none()
                    || member(id).is_some() && !reads_turned(id)
            });
            return Some(i64::from(others) - gone.len() as i64);
        }
        if !readers.iter().any(|&id| reads_turned(id)) {
            return Some(0);
        }
        let only_here = readers.iter().all(|&id| reads_turned(id));
        Some(match self.permutation(value.node) {
            Some(permutation) if permutation == self.order.back => -i64::from(only_here),
            Some(_) => i64::from(!only_here),
            // It may be there already.
            None => i64::from(self.cancelled(value).is_empty()),
        })
    }

    /// The permutation of a node, if it is a `Transpose` of as many axes that moves any.
    pub(super) fn permutation(&self, id: NodeId) -> Option<Vec<usize>> {
        let node = self.cx.operator(id, "Transpose").ok()?;
        let permutation = regrouping::permutation(self.cx, &node).ok()?;
        (permutation.len() == self.order.rank() && !permutation.is_sorted()).then_some(permutation)
    }

    /// The readers of a value that are a `Transpose` by the turn itself. A value can be given out by one name only, so of
    /// those that the graph gives out no more than one is among them.
    pub(super) fn cancelled(&self, value: ValueId) -> Vec<NodeId> {
        let turns = |id: &NodeId| self.permutation(*id).is_some_and(|permutation| permutation == self.order.turn);
        let mut found: Vec<NodeId> = self.readers(value).unwrap_or_default().into_iter().filter(turns).collect();
        let graph = self.cx.graph();
        let is_output = |id: NodeId| {
            graph
                .readers(id.port(0))
                .filter(|reading| matches!(graph.get(reading.node), Some(Vertex::Output(_))))
                .count()
        };
        found.sort_unstable();
        let mut given = false;
        found.retain(|&id| {
            let count = is_output(id);
            let keep = count == 0 || count == 1 && !given;
            given |= count > 0;
            keep
        });
        found
    }
}
