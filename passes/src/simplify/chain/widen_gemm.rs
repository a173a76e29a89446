//! Lets `MatMul` work on all leading axes at once, in the place of a `Gemm` between two `Reshape`.
//!
//! Before `y = Reshape(Gemm(Reshape(x), w, b))`, where all axes of `x` but the last become one and come back; after
//! `y = Add(MatMul(x, w), b)`.
//! Fires if the last axis of `x` is that of the `Gemm`'s operand and the others are those of `y` for certain; if `alpha` and `beta` are 1,
//! nothing is transposed but a constant `w` that can be, `b` is left out or broadcasts to the last axis alone, and nothing else
//! reads what is between.
//! Exact: the same sums of the same products. Ends: one `Gemm` fewer each time.

use onnxpress_ir::{Dim, Edit, EditError, Node, NodeId, Tensor, ValueId};

use super::super::forms::regrouping;
use crate::rewrite::{Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct WidenGemm;

impl Rule for WidenGemm {
    const NAME: &'static str = "widen-gemm";
    const CONTRACT: &'static str = crate::contract!("widen_gemm.rs");
    const ROOTS: Roots = Roots::Operators(&["Reshape", "Unsqueeze"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Match> {
        let gemm = cx.producer(root, 0, "Gemm")?;
        let flat = cx.operand(gemm.id, 0)?;
        let (_, data) = regrouping::source(cx, flat)?;
        let (from, to) = (cx.shape(data).ok_or(Miss::NotHere)?, cx.shape(root.port(0)).ok_or(Miss::NotHere)?);
        let rows = cx.shape(flat).filter(|rows| rows.len() == 2).ok_or(Miss::NotHere)?;
        let columns = cx.shape(gemm.id.port(0)).filter(|columns| columns.len() == 2).ok_or(Miss::NotHere)?;
        let equal = |a: &Dim, b: &Dim| a.equals(b) == Some(true);
        let (Some((inner, leading)), Some((outer, kept))) = (from.split_last(), to.split_last()) else {
            return Err(Miss::NotHere);
        };
        let alike = leading.len() == kept.len() && leading.iter().zip(kept).all(|(a, b)| equal(a, b));
        if from.len() < 3 || !alike || !equal(inner, &rows[1]) || !equal(outer, &columns[1]) {
            return Err(Miss::NotHere);
        }
        let one = |name: &str| cx.attribute(gemm.id, gemm.attrs().float_or(name, 1.0)).map(|factor| factor == 1.0);
        let flag = |name: &str| cx.attribute(gemm.id, gemm.attrs().flag(name));
        let plain = one("alpha")? && one("beta")? && !flag("transA")?;
        if !plain || !cx.is_read_once(gemm.id.port(0)) || !cx.is_read_once(flat) {
            return Err(Miss::NotHere);
        }
        let weight = cx.operand(gemm.id, 1)?;
        let transposed = if flag("transB")? {
            let tensor = cx.constant(weight).ok_or(Miss::NotHere)?;
            // What is transposed is another constant: the old one must go.
            if !cx.is_read_once(weight) {
                return Err(Miss::NotHere);
            }
            Some(transposed(tensor).ok_or(Miss::NotHere)?)
        } else {
            None
        };
        let bias = gemm.operand(2);
        let spreads = |bias| {
            cx.shape(bias).is_some_and(|shape| {
                let (last, rest) = shape.split_last().map_or((None, &[][..]), |(last, rest)| (Some(last), rest));
                let one = Dim::from(1);
                rest.iter().all(|dim| equal(dim, &one))
                    && last.is_none_or(|last| equal(last, outer) || equal(last, &one))
            })
        };
        if bias.is_some_and(|bias| !spreads(bias)) {
            return Err(Miss::NotHere);
        }
        Ok(Match { root, gemm: gemm.id, data, weight, transposed, bias })
    }

    fn apply(&self, found: Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}

/// A matrix with its axes the other way round.
fn transposed(tensor: &Tensor) -> Option<Tensor> {
    let [rows, columns] = *tensor.dims() else { return None };
    let width = tensor.dtype().bits() / 8;
    let bytes = tensor.bytes().filter(|_| tensor.dtype().bits().is_multiple_of(8))?;
    let mut turned = Vec::with_capacity(bytes.len());
    for column in 0..columns {
        for row in 0..rows {
            let at = (row * columns + column) * width;
            turned.extend_from_slice(bytes.get(at..at + width)?);
        }
    }
    Tensor::from_bytes(tensor.dtype(), &[columns, rows], turned.into()).ok()
}

/// The nodes, and what the new ones read.
#[derive(Debug)]
pub struct Match {
    root: NodeId,
    gemm: NodeId,
    data: ValueId,
    weight: ValueId,
    /// The weight the other way round, where the `Gemm` turned it.
    transposed: Option<Tensor>,
    bias: Option<ValueId>,
}

impl Match {
    fn apply(self, edit: &mut Edit<'_>) -> Result<(), EditError> {
        let name = |edit: &Edit<'_>, id| edit.graph().node(id).and_then(|node| node.name.clone());
        let weight = match self.transposed {
            Some(tensor) => {
                let label = edit.graph().port(self.weight).name.clone().map(|name| name.suffixed("_transposed"));
                edit.add_constant(label, tensor)
            }
            None => self.weight,
        };
        let matmul = Node::new("MatMul", 1).named(name(edit, self.gemm));
        let mut result = edit.add(matmul, &[self.data, weight])?;
        if let Some(bias) = self.bias {
            let add = Node::new("Add", 1).named(name(edit, self.root));
            result = edit.add(add, &[result, bias])?;
        }
        edit.replace(self.root.port(0), result)
    }
}
