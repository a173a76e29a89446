//! Puts one operator in the place of elementwise nodes that compute it of one value.
//!
//! Before, for one, `y = Mul(Mul(x, 0.5), Add(Erf(Div(x, 1.41421)), 1))`; after `y = Gelu(x)`. The nodes are read as an expression
//! in `x` and brought to a normal form, so that it does not matter how the function is spelled. Known are `Gelu` (with `erf` and
//! with `tanh`), `Swish`, `Mish`, `HardSwish`, `HardSigmoid`, `Sigmoid`, `Softplus`, `Softsign`, `Elu`, `Selu`, `LeakyRelu`,
//! `ThresholdedRelu`, `Celu`, `Shrink`, `Relu`, `Clip`, and scaling or shifting by one number.
//! Fires if every constant has one element and does not raise the rank, numbers agree to five digits, the model's version of
//! the standard has the operator for the type of `x`, nothing else reads what at least one of the nodes gives, and the file
//! does not grow.
//! Exact: in real numbers the two are equal but for those digits; they are rounded differently. Ends: at least one node
//! fewer each time.

use onnxpress_ir::{DType, Edit, EditError, NodeId, Tensor};

use super::elementwise::{Group, beginnings};
use super::function::calls;
use crate::rewrite::{Found, MatchCx, Miss, Reads, Roots, Rule};
use crate::simplify::fused::Fused;

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct FuseElementwise;

impl Group {
    /// A scalar: the group's own constant, if it has one of this number.
    fn constant(&self, cx: &MatchCx<'_>, number: f64, dtype: DType) -> Found<Reads> {
        let own = self.numbers.iter().find(|(value, own)| {
            *own == number && cx.constant(*value).is_some_and(|tensor| tensor.rank() == 0 && tensor.dtype() == dtype)
        });
        match own {
            Some((value, _)) => Ok(Reads::Value(*value)),
            None => Tensor::from_f64s(dtype, &[], &[number]).map(Reads::New).map_err(|_| Miss::NotHere),
        }
    }
}

/// The operator.
#[derive(Debug)]
pub struct Match(Fused);

impl Rule for FuseElementwise {
    const NAME: &'static str = "fuse-elementwise";
    const CONTRACT: &'static str = crate::contract!("fuse_elementwise.rs");
    const ROOTS: Roots = Roots::Operators(&[
        "Add",
        "Clip",
        "Div",
        "Log",
        "Max",
        "Min",
        "Mul",
        "Reciprocal",
        "Relu",
        "Sub",
        "Sum",
        "Where",
    ]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Match> {
        let version = cx.node(root)?.version;
        // What reaches farthest saves most.
        let mut best: Found<Fused> = Err(Miss::NotHere);
        for x in beginnings(cx, root) {
            let ty = cx.ty(x);
            let Some(dtype) = ty.dtype().filter(|dtype| dtype.is_float()) else { continue };
            let Some(group) = Group::of(cx, root, x).filter(|group| group.nodes.len() > 1) else { continue };
            let ranks = (ty.shape().map(|shape| shape.len()), cx.ty(root.port(0)).shape().map(|shape| shape.len()));
            let keeps_rank = group.constant_rank == 0 || matches!(ranks, (Some(x), Some(y)) if x == y);
            if !keeps_rank {
                continue;
            }
            for call in calls(&group.expr, version) {
                let mut reads = vec![Reads::Value(x)];
                for number in &call.numbers {
                    reads.push(match number {
                        Some(number) => group.constant(cx, *number, dtype)?,
                        None => Reads::Nothing,
                    });
                }
                match Fused::new(cx, root, &group.nodes, call.node, reads, dtype) {
                    Ok(fused) if best.as_ref().is_ok_and(|best| best.saved() >= fused.saved()) => {}
                    Err(_) if !matches!(best, Err(Miss::NotHere)) => {}
                    found => best = found,
                }
            }
        }
        best.map(Match)
    }

    fn apply(&self, Match(fused): Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        fused.apply(edit)
    }
}
