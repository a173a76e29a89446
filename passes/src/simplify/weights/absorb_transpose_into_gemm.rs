//! Lets a `Gemm` read matrices as they are before they are transposed.
//!
//! Before `y = Gemm(Transpose(A), B, C)`; after `y = Gemm<transA = 1>(A, B, C)`, or without `transA` where it was set; likewise
//! for `B`. A `MatMul` of matrices becomes a `Gemm` for that, if the model's version of the standard has one without `C`.
//! Fires if the operand is a matrix with its two axes exchanged, which nothing else reads (graph outputs count).
//! Exact: the same numbers are multiplied and added. Ends: one node fewer each time.

use onnxpress_ir::{Attr, Edit, EditError, Node, NodeId};

use super::matrices::{Factor, of_matrices};
use crate::rewrite::{Found, MatchCx, Miss, Reads, Roots, Rule};
use crate::simplify::fused::Fused;

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct AbsorbTransposeIntoGemm;

/// The `Gemm` that reads other matrices.
#[derive(Debug)]
pub struct Match(Fused);

impl Rule for AbsorbTransposeIntoGemm {
    const NAME: &'static str = "absorb-transpose-into-gemm";
    const CONTRACT: &'static str = crate::contract!("absorb_transpose_into_gemm.rs");
    const ROOTS: Roots = Roots::Operators(&["Gemm", "MatMul"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Match> {
        let node = cx.node(root)?;
        let factors = [Factor::of(cx, root, 0)?, Factor::of(cx, root, 1)?];
        if factors.iter().all(|factor| !factor.transposed) {
            return Err(Miss::NotHere);
        }
        if node.node.is("MatMul") {
            of_matrices(cx, root)?;
            if node.version < 11 {
                return Err(Miss::NotHere);
            }
        }
        let mut gemm = Node::new("Gemm", 1);
        gemm.attrs =
            node.node.attrs.iter().filter(|attr| attr.name != "transA" && attr.name != "transB").cloned().collect();
        for (name, factor) in ["transA", "transB"].into_iter().zip(&factors) {
            if cx.attribute(root, node.attrs().flag(name))? != factor.transposed {
                gemm = gemm.with(Attr::int(name, 1));
            }
        }
        let gone: Vec<NodeId> = factors.iter().filter_map(|factor| factor.transpose).chain([root]).collect();
        let rest = (2..node.operand_count()).map(|index| node.operand(index).map_or(Reads::Nothing, Reads::Value));
        let reads = factors.iter().map(|factor| Reads::Value(factor.value)).chain(rest).collect();
        let dtype = cx.ty(factors[0].value).dtype().ok_or(Miss::NotHere)?;
        Ok(Match(Fused::new(cx, root, &gone, gemm, reads, dtype)?))
    }

    fn apply(&self, Match(fused): Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        fused.apply(edit)
    }
}
