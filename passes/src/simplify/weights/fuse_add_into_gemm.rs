//! Makes a `MatMul` of matrices, or a `Gemm` without `C`, and an `Add` behind it one `Gemm`.
//!
//! Before `y = Add(MatMul(A, B), C)`; after `y = Gemm(A, B, C)`.
//! Fires if both operands of the `MatMul` have two axes; if the sum has the extents of the product: each extent of `C`, which
//! has two axes at most, is 1 or for certain that of the product; if the model's version of the standard has a `Gemm` for the
//! type; and if nothing else reads the product (graph outputs count).
//! Exact: in real numbers the two are equal; they are rounded differently. Ends: one node fewer each time.

use onnxpress_ir::{Attr, Edit, EditError, Node, NodeId, Shape};

use super::matrices::{of_matrices, shape};
use crate::rewrite::{Found, MatchCx, Miss, Reads, Roots, Rule};
use crate::simplify::fused::Fused;

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct FuseAddIntoGemm;

/// The `Gemm`.
#[derive(Debug)]
pub struct Match(Fused);

impl Rule for FuseAddIntoGemm {
    const NAME: &'static str = "fuse-add-into-gemm";
    const CONTRACT: &'static str = crate::contract!("fuse_add_into_gemm.rs");
    const ROOTS: Roots = Roots::Operators(&["Add"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, add: NodeId) -> Found<Match> {
        for (index, other) in [(0, 1), (1, 0)] {
            let product = cx.operand(add, index)?;
            let Ok(node) = cx.node(product.node) else { continue };
            let attrs: Vec<Attr> = match () {
                () if node.node.is("MatMul") && of_matrices(cx, node.id).is_ok() => Vec::new(),
                // The factor of what was not there has no meaning any more.
                () if node.node.is("Gemm") && !node.has(2) => {
                    node.node.attrs.iter().filter(|attr| attr.name != "beta").cloned().collect()
                }
                () => continue,
            };
            let summand = cx.operand(add, other)?;
            let (Some(of_product), Some(of_summand)) = (shape(cx, product), shape(cx, summand)) else { continue };
            if summand == product || cx.node(add)?.version < 7 || !is_stretched_to(of_summand, of_product) {
                continue;
            }
            cx.sole_reader(product, add)?;
            let dtype = cx.ty(product).dtype().ok_or(Miss::NotHere)?;
            let reads = [cx.operand(node.id, 0)?, cx.operand(node.id, 1)?, summand].map(Reads::Value).to_vec();
            let mut gemm = Node::new("Gemm", 1);
            gemm.attrs = attrs;
            return Ok(Match(Fused::new(cx, add, &[add, node.id], gemm, reads, dtype)?));
        }
        Err(Miss::NotHere)
    }

    fn apply(&self, Match(fused): Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        fused.apply(edit)
    }
}

/// Whether a value of shape `from` is broadcast to `to` for certain, and `to` to nothing else.
fn is_stretched_to(from: &Shape, to: &Shape) -> bool {
    let pairs = from.iter().rev().zip(to.iter().rev());
    from.len() <= to.len()
        && pairs.into_iter().all(|(from, to)| from.as_const() == Some(1) || from.equals(to) == Some(true))
}
