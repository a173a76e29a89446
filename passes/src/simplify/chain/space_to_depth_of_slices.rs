//! Puts a `SpaceToDepth` in the place of slices that take every block's elements of one place.
//!
//! Before `y = Concat<axis = 1>(x[:, :, 0::b, 0::b], x[:, :, 1::b, 0::b], …)`, all places of a block of `b` times `b` once, in any order;
//! after `y = SpaceToDepth<blocksize = b>(x)`, with a `Gather` of the channels where they stand in another order than by rows.
//! Fires if the extents of `x` are known, those of the image multiples of `b`, and nothing else reads a slice.
//! Exact: the same elements. Ends: several nodes become at most two.

use onnxpress_ir::{Attr, Edit, EditError, Node, NodeId, Tensor, ValueId};

use super::super::forms::{concat, slicing};
use crate::rewrite::{Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct SpaceToDepthOfSlices;

impl Rule for SpaceToDepthOfSlices {
    const NAME: &'static str = "space-to-depth-of-slices";
    const CONTRACT: &'static str = crate::contract!("space_to_depth_of_slices.rs");
    const ROOTS: Roots = Roots::Operators(&["Concat"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Match> {
        let node = cx.node(root)?;
        let count = node.operand_count();
        let block = (2..=8usize).find(|block| block * block == count).ok_or(Miss::NotHere)?;
        if concat::axis(cx, &node)? != 1 {
            return Err(Miss::NotHere);
        }
        let first = cx.producer(root, 0, "Slice")?;
        let data = cx.operand(first.id, 0)?;
        let shape = cx.shape(data).filter(|shape| shape.len() == 4).ok_or(Miss::NotHere)?;
        let known =
            |axis: usize| shape[axis].as_const().and_then(|extent| usize::try_from(extent).ok()).ok_or(Miss::NotHere);
        let (channels, height, width) = (known(1)?, known(2)?, known(3)?);
        if height == 0 || width == 0 || !height.is_multiple_of(block) || !width.is_multiple_of(block) {
            return Err(Miss::NotHere);
        }
        let mut places = Vec::with_capacity(count);
        for index in 0..count {
            let slice = cx.producer(root, index, "Slice")?;
            let cuts = slicing::cuts(cx, &slice, 4)?;
            if cx.operand(slice.id, 0)? != data || !cx.is_read_once(slice.id.port(0)) || cuts.len() != 2 {
                return Err(Miss::NotHere);
            }
            let place = |axis: usize, extent: usize| {
                let cut = cuts.iter().find(|cut| cut.axis == axis && cut.step == block as i64)?;
                let cut = cut.counted_from_front(&shape[axis])?;
                let whole = cut.end.as_const()? >= extent as i64;
                usize::try_from(cut.start.as_const()?).ok().filter(|&start| whole && start < block)
            };
            let row = place(2, height).ok_or(Miss::NotHere)?;
            places.push(row * block + place(3, width).ok_or(Miss::NotHere)?);
        }
        let mut sorted = places.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..count) {
            return Err(Miss::NotHere);
        }
        let order =
            places.iter().flat_map(|place| (0..channels).map(move |channel| (place * channels + channel) as i64));
        let order = (!places.is_sorted()).then(|| order.collect());
        Ok(Match { root, data, block: block as i64, order })
    }

    fn apply(&self, found: Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}

/// The `Concat`, and what takes its place.
#[derive(Debug)]
pub struct Match {
    root: NodeId,
    data: ValueId,
    block: i64,
    /// Which channel stands where, unless they stand by rows.
    order: Option<Vec<i64>>,
}

impl Match {
    fn apply(self, edit: &mut Edit<'_>) -> Result<(), EditError> {
        let name = edit.graph().node(self.root).and_then(|node| node.name.clone());
        let node = Node::new("SpaceToDepth", 1).with(Attr::int("blocksize", self.block)).named(name);
        let mut result = edit.add(node, &[self.data])?;
        if let Some(order) = self.order {
            let order = edit.add_constant(None, Tensor::vector::<i64>(order));
            result = edit.add(Node::new("Gather", 1).with(Attr::int("axis", 1)), &[result, order])?;
        }
        edit.replace(self.root.port(0), result)
    }
}
