//! Lets `Attention` split and join heads itself.
//!
//! Before `y = Reshape(Transpose(Attention(Transpose(Reshape(q)), Transpose(Reshape(k)), Transpose(Reshape(v)))))`, where `q` of
//! `[batch, sequence, heads * size]` becomes `[batch, heads, sequence, size]`, and back behind; after
//! `y = Attention<q_num_heads, kv_num_heads>(q, k, v)`.
//! Fires if extents show that it is just this that each does, and nothing else reads what is between (graph outputs count).
//! Exact: by the definition of the operator. Ends: eight nodes fewer each time.

use onnxpress_ir::{Attr, Dim, Edit, EditError, Node, NodeId, ValueId};

use super::pattern::{equal, giver, only_reader, shape};
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
        if old.operand_count() > 4 || old.node.port_count() > 1 {
            return Err(Miss::NotHere);
        }
        let mut gone = vec![root];
        let mut split = |index: usize| -> Found<(ValueId, i64)> {
            let (value, heads, nodes) = split_heads(cx, cx.operand(root, index)?)?;
            gone.extend(nodes);
            Ok((value, heads))
        };
        let ((q, q_heads), (k, k_heads), (v, v_heads)) = (split(0)?, split(1)?, split(2)?);
        let transpose = only_reader(cx, root.port(0), "Transpose")?;
        let reshape = only_reader(cx, transpose.port(0), "Reshape")?;
        exchanges(cx, transpose)?;
        let of = |value: ValueId| shape(cx, value).ok_or(Miss::NotHere);
        let (parts, whole) = (of(transpose.port(0))?, of(reshape.port(0))?);
        let ([b, s, h, d], [b1, s1, joined]) = (&parts[..], &whole[..]) else { return Err(Miss::NotHere) };
        let joins =
            equal([b, s].into_iter(), [b1, s1].into_iter()) && Dim::product([h, d]).equals(joined) == Some(true);
        if !joins || k_heads != v_heads {
            return Err(Miss::NotHere);
        }
        gone.extend([transpose, reshape]);
        let mut node = Node::new("Attention", 1);
        node.attrs.clone_from(&old.node.attrs);
        let node = node.with(Attr::int("q_num_heads", q_heads)).with(Attr::int("kv_num_heads", k_heads));
        let mask = old.operand(3).map(Reads::Value);
        let reads = [q, k, v].map(Reads::Value).into_iter().chain(mask).collect();
        let dtype = cx.ty(q).dtype().ok_or(Miss::NotHere)?;
        let fused = Fused::new(cx, reshape, &gone, node, reads, dtype)?;
        // With some of them left, the heads would be split twice.
        if fused.saved() + 1 == gone.len() { Ok(Match(fused, reshape)) } else { Err(Miss::NotHere) }
    }

    fn apply(&self, Match(fused, _): Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        fused.apply(edit)
    }

    fn sources(&self, root: NodeId, found: &Match) -> Vec<NodeId> {
        vec![found.1, root]
    }
}

/// Goes on only if sequence and heads change places.
fn exchanges(cx: &MatchCx<'_>, transpose: NodeId) -> Found<()> {
    let perm = cx.attribute(transpose, cx.node(transpose)?.attrs().ints("perm"))?;
    if perm == Some(vec![0, 2, 1, 3]) { Ok(()) } else { Err(Miss::NotHere) }
}

/// The value before its heads were split, how many there are, and the nodes.
fn split_heads(cx: &MatchCx<'_>, value: ValueId) -> Found<(ValueId, i64, [NodeId; 2])> {
    let transpose = giver(cx, value, "Transpose")?;
    exchanges(cx, transpose)?;
    let reshape = giver(cx, cx.operand(transpose, 0)?, "Reshape")?;
    let whole = cx.operand(reshape, 0)?;
    let of = |value: ValueId| shape(cx, value).ok_or(Miss::NotHere);
    let (before, after) = (of(whole)?, of(reshape.port(0))?);
    let ([b, s, joined], [b1, s1, h, d]) = (&before[..], &after[..]) else { return Err(Miss::NotHere) };
    let splits = equal([b, s].into_iter(), [b1, s1].into_iter()) && Dim::product([h, d]).equals(joined) == Some(true);
    let heads = h.as_const().filter(|&heads| splits && heads > 0).ok_or(Miss::NotHere)?;
    Ok((whole, heads, [transpose, reshape]))
}
