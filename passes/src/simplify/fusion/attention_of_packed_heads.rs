//! Lets `Attention` split and join heads itself.
//!
//! Before `y = Reshape(Transpose(Attention(Transpose(Reshape(q)), Transpose(Reshape(k)), Transpose(Reshape(v)))))`, where `q` of
//! `[batch, sequence, heads * size]` becomes `[batch, heads, sequence, size]`, and back behind; after
//! `y = Attention<q_num_heads, kv_num_heads>(q, k, v)`.
//! Fires if extents show that it is just this that each does, and nothing else reads what is between (graph outputs count).
//! Exact: by the definition of the operator. Ends: eight nodes fewer each time.

use onnxpress_ir::{Attr, Edit, EditError, Node, NodeId};

use super::heads::{Packed, joined};
use crate::rewrite::{Found, MatchCx, Miss, Reads, Roots, Rule};
use crate::simplify::fused::Fused;

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct AttentionOfPackedHeads;

/// The operator, and the last of the nodes in whose place it comes.
#[derive(Debug)]
pub struct Match(Fused, NodeId);

impl Rule for AttentionOfPackedHeads {
    const NAME: &'static str = "attention-of-packed-heads";
    const CONTRACT: &'static str = crate::contract!("attention_of_packed_heads.rs");
    const ROOTS: Roots = Roots::Operators(&["Attention"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Match> {
        let old = cx.node(root)?;
        let is_packed = cx.attribute(root, old.attrs().int("q_num_heads"))?.is_some();
        if is_packed {
            return Err(Miss::NotHere);
        }
        let mut gone = vec![root];
        let mut packed = |index: usize| Packed::turned(cx, cx.operand(root, index)?, &mut gone);
        let (q, k, v) = (packed(0)?, packed(1)?, packed(2)?);
        let last = joined(cx, root.port(0), &mut gone)?;
        if k.heads != v.heads {
            return Err(Miss::NotHere);
        }
        let mut node = Node::new("Attention", 1);
        node.attrs.clone_from(&old.node.attrs);
        let node = node.with(Attr::int("q_num_heads", q.heads)).with(Attr::int("kv_num_heads", k.heads));
        // Mask, and keys and values of before, which are over heads in any case, as are those that are given.
        let rest = (3..old.operand_count()).map(|index| old.operand(index).map_or(Reads::Nothing, Reads::Value));
        let reads = [q.value, k.value, v.value].map(Reads::Value).into_iter().chain(rest).collect();
        let ports = (0u32..).zip(old.node.ports()).skip(1);
        let given = ports.map(|(port, kept)| if kept.omitted { None } else { Some(root.port(port)) });
        let outputs = std::iter::once(Some(last.port(0))).chain(given).collect();
        let dtype = cx.ty(q.value).dtype().ok_or(Miss::NotHere)?;
        let fused = Fused::giving(cx, outputs, &gone, node, reads, dtype)?;
        // With some of them left, the heads would be split twice.
        if fused.saved() + 1 == gone.len() { Ok(Match(fused, last)) } else { Err(Miss::NotHere) }
    }

    fn apply(&self, Match(fused, _): Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        fused.apply(edit)
    }

    fn sources(&self, root: NodeId, found: &Match) -> Vec<NodeId> {
        vec![found.1, root]
    }
}
