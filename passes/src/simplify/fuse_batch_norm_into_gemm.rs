//! Folds a `BatchNormalization` in inference mode into the `Gemm` before it.
//!
//! Before `y = BatchNormalization(alpha * A * W + beta * C, scale, B_bn, mean, var)`; after `y = alpha * A * W' + C'`. With
//! `s = scale / sqrt(var + epsilon)` for each column: `W' = s * W` along the columns (the rows where `transB` is set),
//! `C' = s * (beta * C - mean) + B_bn`, and `beta` goes.
//! Fires if the normalization does not train, all parameters are constant, `C` is left out or one row or number for all
//! rows, the weight is of float or double, nothing else reads what the Gemm gives (graph outputs count), and the file does
//! not grow.
//! Exact: in real numbers the two are equal; they are rounded differently. Ends: one node fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId};

use super::batch_norm::{self, Affine, Fusion};
use crate::rewrite::{Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct FuseBatchNormIntoGemm;

/// The two nodes, with the weights that there will be.
#[derive(Debug)]
pub struct Match {
    gemm: NodeId,
    fusion: Fusion,
}

impl Rule for FuseBatchNormIntoGemm {
    const NAME: &'static str = "fuse-batch-norm-into-gemm";
    const CONTRACT: &'static str = crate::contract!("fuse_batch_norm_into_gemm.rs");
    const ROOTS: Roots = Roots::Operators(&["BatchNormalization"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, bn: NodeId) -> Found<Match> {
        let node = cx.producer(bn, 0, "Gemm")?;
        let gemm = node.id;
        cx.sole_reader(gemm.port(0), bn)?;
        let affine = Affine::of(cx, bn)?;
        let weight = batch_norm::weight(cx, gemm)?;
        let by_rows = cx.attribute(gemm, node.attrs().flag("transB"))?;
        let [rows, columns] = *weight.dims() else { return Err(Miss::NotHere) };
        let fits = affine.channels() == if by_rows { rows } else { columns };
        cx.require(fits, bn, "it has another number of channels than its operand")?;

        let beta = f64::from(cx.attribute(gemm, node.attrs().float_or("beta", 1.0))?);
        let c = match node.operand(2) {
            None => vec![0.0],
            Some(_) => {
                let c = cx.required_constant(gemm, 2, "C")?;
                let one_row = c.dims().split_last().is_none_or(|(_, others)| others.iter().all(|&extent| extent == 1));
                cx.require(
                    one_row && [1, affine.channels()].contains(&c.len()),
                    gemm,
                    "its C differs from row to row",
                )?;
                c.to_f64s().map_err(|error| Miss::declined(gemm, error.to_string()))?
            }
        };
        let columns = affine.scale.iter().zip(&affine.shift).zip(c.iter().cycle());
        let bias: Vec<f64> = columns.map(|((scale, shift), c)| scale * beta * c + shift).collect();
        let bias = batch_norm::in_range(gemm, weight.dtype(), &[bias.len()], &bias)?;
        let weight =
            batch_norm::rescaled(gemm, weight, |row, column| affine.scale[if by_rows { row } else { column }])?;
        Ok(Match { gemm, fusion: Fusion::new(cx, bn, gemm, weight, bias)? })
    }

    fn apply(&self, found: Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        edit.remove_attr(found.gemm, "beta");
        found.fusion.apply(edit)
    }
}
