//! Recognizes `MeanVarianceNormalization`.
//!
//! `(x - mean(x)) / (sqrt(mean(x^2) - mean(x)^2) + 1e-9)`, as the standard's own function body writes it, is
//! `MeanVarianceNormalization(x)`; the variance may also be the mean of the squares of what is divided.
//! Fires if the means are taken along batch and picture of a tensor of rank 4, what the operator does by default and every runtime
//! knows; if `x` is of float; if the model's version of the standard has the operator; and if nothing else reads what the nodes give.
//! Exact: in real numbers the two are equal; they are rounded differently. Ends: several nodes fewer each time.

use onnxpress_ir::{DType, Edit, EditError, Node, NodeId};

use super::expression::near;
use super::normalized::{Centering, under_root};
use super::pattern::{either_way, giver, scalar};
use crate::rewrite::{Found, MatchCx, Miss, Reads, Roots, Rule};
use crate::simplify::fused::Fused;

/// What the operator adds to the deviation.
const EPSILON: f64 = 1e-9;

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct FuseMeanVariance;

/// The operator.
#[derive(Debug)]
pub struct Match(Fused);

impl Rule for FuseMeanVariance {
    const NAME: &'static str = "fuse-mean-variance";
    const CONTRACT: &'static str = crate::contract!("fuse_mean_variance.rs");
    const ROOTS: Roots = Roots::Operators(&["Div"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Match> {
        let add = giver(cx, cx.operand(root, 1)?, "Add")?;
        let way = |(deviation, epsilon)| scalar(cx, epsilon).filter(|&own| near(own, EPSILON)).map(|_| deviation);
        let deviation = either_way(cx, add)?.into_iter().find_map(way).ok_or(Miss::NotHere)?;
        let mut gone = vec![root, add];
        let variance = under_root(cx, deviation, &mut gone)?;
        let Centering { x, over, mean } = Centering::of(cx, cx.operand(root, 0)?, variance, &mut gone)?;
        let dtype = cx.ty(x).dtype().filter(|&dtype| dtype == DType::Float).ok_or(Miss::NotHere)?;
        if mean.is_none() || over.rank != 4 || over.axes != [0, 2, 3] {
            return Err(Miss::NotHere);
        }
        let node = Node::new("MeanVarianceNormalization", 1);
        Ok(Match(Fused::new(cx, root, &gone, node, vec![Reads::Value(x)], dtype)?))
    }

    fn apply(&self, Match(fused): Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        fused.apply(edit)
    }
}
