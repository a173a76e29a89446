//! Recognizes `DepthToSpace` and `SpaceToDepth`.
//!
//! Before `y = Reshape(Transpose(Reshape(x)))` through six axes, two of which are of `b` indices; after `y = DepthToSpace<b>(x)` or
//! `y = SpaceToDepth<b>(x)`, in the mode that the permutation shows: `DCR` where the place inside the block is slowest among the
//! channels, `CRD` where the channel is.
//! Fires if the extents show that it is just this, whatever the symbols in them stand for; if nothing else reads what is
//! between (graph outputs count); and if the model's version of the standard has the operator with the mode: `CRD` is there
//! from version 11 on, for `SpaceToDepth` from 28 on.
//! Exact: the same elements at the same places. Ends: two nodes fewer each time.

use onnxpress_ir::{Attr, Dim, Edit, EditError, Node, NodeId, Shape};

use super::pattern::{giver, shape};
use crate::rewrite::{Found, MatchCx, Miss, Reads, Roots, Rule};
use crate::simplify::fused::Fused;

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct FuseBlockMoves;

/// The operator.
#[derive(Debug)]
pub struct Match(Fused);

/// A permutation of six axes, and what it is for.
struct Form {
    op_type: &'static str,
    crd: bool,
    /// The version from which the mode can be said; 1 for the one that always was.
    since: i64,
    perm: [i64; 6],
}

const FORMS: [Form; 4] = [
    Form::new("DepthToSpace", true, 11, [0, 1, 4, 2, 5, 3]),
    Form::new("DepthToSpace", false, 1, [0, 3, 4, 1, 5, 2]),
    Form::new("SpaceToDepth", false, 1, [0, 3, 5, 1, 2, 4]),
    Form::new("SpaceToDepth", true, 28, [0, 1, 3, 5, 2, 4]),
];

impl Rule for FuseBlockMoves {
    const NAME: &'static str = "fuse-block-moves";
    const CONTRACT: &'static str = crate::contract!("fuse_block_moves.rs");
    const ROOTS: Roots = Roots::Operators(&["Reshape"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Match> {
        let turned = cx.operand(root, 0)?;
        let transpose = giver(cx, turned, "Transpose")?;
        let split = cx.operand(transpose, 0)?;
        let reshape = giver(cx, split, "Reshape")?;
        let perm = cx.attribute(transpose, cx.node(transpose)?.attrs().ints("perm"))?.ok_or(Miss::NotHere)?;
        let x = cx.operand(reshape, 0)?;
        let of = |value| shape(cx, value).ok_or(Miss::NotHere);
        let (before, six, after) = (of(x)?, of(split)?, of(root.port(0))?);
        let version = cx.node(root)?.version;
        let fits = |form: &&Form| perm == form.perm && version >= form.since;
        let form = FORMS.iter().find(fits).ok_or(Miss::NotHere)?;
        let block = form.block_of(before, six, after).ok_or(Miss::NotHere)?;
        cx.sole_reader(turned, root)?;
        cx.sole_reader(split, transpose)?;
        let mut node = Node::new(form.op_type, 1).with(Attr::int("blocksize", block));
        if form.crd {
            node = node.with(Attr::string("mode", "CRD"));
        }
        let dtype = cx.ty(x).dtype().ok_or(Miss::NotHere)?;
        Ok(Match(Fused::new(cx, root, &[root, transpose, reshape], node, vec![Reads::Value(x)], dtype)?))
    }

    fn apply(&self, Match(fused): Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        fused.apply(edit)
    }
}

impl Form {
    const fn new(op_type: &'static str, crd: bool, since: i64, perm: [i64; 6]) -> Self {
        Self { op_type, crd, since, perm }
    }

    /// Where among the six axes are the channels, the two of a block, and the two of the picture. A picture is made of blocks
    /// by putting each axis of a block behind its own of the picture; it is taken apart by putting them beside the channels.
    fn places(&self) -> (usize, [usize; 2], [usize; 2]) {
        let axis = |place: usize| self.perm[place] as usize;
        match (self.op_type, self.crd) {
            ("DepthToSpace", _) => (axis(1), [axis(3), axis(5)], [axis(2), axis(4)]),
            (_, true) => (axis(1), [axis(2), axis(3)], [axis(4), axis(5)]),
            (_, false) => (axis(3), [axis(1), axis(2)], [axis(4), axis(5)]),
        }
    }

    /// The extent of a block, if the three shapes are those of the form.
    fn block_of(&self, before: &Shape, six: &Shape, after: &Shape) -> Option<i64> {
        if six.len() != 6 {
            return None;
        }
        let (channels, sides, picture) = self.places();
        let block = six[sides[0]].as_const().filter(|&block| block > 0)?;
        let (n, c) = (&six[0], &six[channels]);
        let [h, w] = picture.map(|axis| &six[axis]);
        let b = Dim::from(block);
        let deep = [n.clone(), Dim::product([c, &b, &b]), h.clone(), w.clone()];
        let wide = [n.clone(), c.clone(), Dim::product([h, &b]), Dim::product([w, &b])];
        let (from, to) = if self.op_type == "DepthToSpace" { (deep, wide) } else { (wide, deep) };
        let is = |shape: &Shape, of: [Dim; 4]| {
            shape.len() == 4 && shape.iter().zip(&of).all(|(own, extent)| own.equals(extent) == Some(true))
        };
        let fits = six[sides[1]].as_const() == Some(block) && is(before, from) && is(after, to);
        fits.then_some(block)
    }
}
