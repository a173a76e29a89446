//! Takes a factor on the result of a `Gemm`, or of a `MatMul` of matrices, into its `alpha` and `beta`.
//!
//! Before `y = Mul(Gemm<alpha, beta>(A, B, C), c)`; after `y = Gemm<c * alpha, c * beta>(A, B, C)`; `Div` multiplies by `1 / c`.
//! Fires if the factor is one number that does not raise the rank, the operands are of float or double, nothing else reads the
//! product (graph outputs count), and, for a `MatMul`, if the model's version of the standard has a `Gemm` without `C`.
//! Exact: in real numbers the two are equal; they are rounded differently. Ends: one node fewer each time.

use onnxpress_ir::{Attr, DType, Edit, EditError, Node, NodeId};

use super::affine::{Channels, Step};
use super::matrices::of_matrices;
use crate::rewrite::{Found, MatchCx, Miss, Reads, Roots, Rule};
use crate::simplify::fused::Fused;

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct AbsorbScalarIntoGemm;

/// The `Gemm`.
#[derive(Debug)]
pub struct Match(Fused);

impl Rule for AbsorbScalarIntoGemm {
    const NAME: &'static str = "absorb-scalar-into-gemm";
    const CONTRACT: &'static str = crate::contract!("absorb_scalar_into_gemm.rs");
    const ROOTS: Roots = Roots::Operators(&["Mul", "Div"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Match> {
        let step = Step::of(cx, root, Channels { count: 1, from_end: 0, rank: Some(2) })?;
        let data = step.data(cx)?;
        let node = cx.node(data.node)?;
        match () {
            () if node.node.is("Gemm") => {}
            () if node.node.is("MatMul") && node.version >= 11 => of_matrices(cx, node.id)?,
            () => return Err(Miss::NotHere),
        }
        cx.sole_reader(data, root)?;
        let dtype = cx.ty(data).dtype().filter(|dtype| matches!(dtype, DType::Float | DType::Double));
        let (factor, _) = step.affine.at(0);
        let mut gemm = Node::new("Gemm", 1);
        gemm.attrs =
            node.node.attrs.iter().filter(|attr| attr.name != "alpha" && attr.name != "beta").cloned().collect();
        let names: &[&'static str] = if node.has(2) { &["alpha", "beta"] } else { &["alpha"] };
        for &name in names {
            let scaled = factor * f64::from(cx.attribute(node.id, node.attrs().float_or(name, 1.0))?);
            gemm = gemm.with(Attr::float(name, scaled as f32));
        }
        let reads = (0..node.operand_count()).map(|index| node.operand(index).map_or(Reads::Nothing, Reads::Value));
        let dtype = dtype.ok_or(Miss::NotHere)?;
        Ok(Match(Fused::new(cx, root, &[root, node.id], gemm, reads.collect(), dtype)?))
    }

    fn apply(&self, Match(fused): Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        fused.apply(edit)
    }
}
