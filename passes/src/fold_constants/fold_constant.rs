//! Replaces the outputs of a node that depend on nothing but constants by what they are.
//!
//! Before `y = Op(a, b)` with constant `a` and `b`, or with constants at the ends of the up to 64 nodes that these are
//! computed from, or with elements that inference knows, as of the `Shape` of a value whose extents are known; after, `y` is
//! a constant.
//! Fires where every node in question is pure, known, not the call of a function, and without subgraphs, and where the file
//! does not grow on balance: the constant takes no more bytes than the nodes and constants that go because nothing reads
//! them any more, or a little more, and the run has saved that much elsewhere. So what is written far shorter than it is
//! (`ConstantOfShape`, `Expand`, `Tile`) stays, until something short is made of it.
//! `DequantizeLinear` stays, since its operand is stored quantized on purpose.
//! Exact: what is computed ahead is computed by the definition of the operator, rounded once where runtimes round more
//! often. Ends: one node fewer each time.

use onnxpress_ir::{Edit, EditError, Name, NodeId, Tensor, ValueId};
use onnxpress_ops::evaluate::Value;
use onnxpress_ops::interpret::Limits;

use super::cone::{self, Cone, REACH};
use crate::options::ByteSize;
use crate::rewrite::file_size;
use crate::rewrite::{Found, MatchCx, Miss, Roots, Rule};

/// Elementary steps that computing one constant may take: about a second.
const STEPS: u64 = 1 << 28;

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct FoldConstant {
    /// The largest constant that is computed.
    pub limit: ByteSize,
    /// What one constant may add to the file, as long as the file stays smaller than it came.
    pub growth: ByteSize,
}

impl FoldConstant {
    /// The largest constant that is computed unless the user says otherwise: a large layer's weights, transposed or cast.
    pub const LIMIT: ByteSize = ByteSize(256 << 20);
    /// What one constant may add unless the user says otherwise: a bias, not a mask of attention.
    pub const GROWTH: ByteSize = ByteSize(16_000);
}

impl Default for FoldConstant {
    fn default() -> Self {
        Self { limit: Self::LIMIT, growth: Self::GROWTH }
    }
}

/// What a node's outputs are, those that nothing reads aside.
#[derive(Debug)]
pub struct Folding {
    values: Vec<(ValueId, Option<Name>, Tensor)>,
}

impl Rule for FoldConstant {
    const NAME: &'static str = "fold-constant";
    const CONTRACT: &'static str = crate::contract!("fold_constant.rs");
    const ROOTS: Roots = Roots::Any;
    type Match = Folding;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Folding> {
        let node = cx.node(root)?;
        let ports = 0..node.node.port_count() as u32;
        let outputs: Vec<ValueId> = ports.map(|port| root.port(port)).filter(|&value| cx.is_read(value)).collect();
        if outputs.is_empty() {
            return Err(Miss::NotHere);
        }
        let tracked: Option<Vec<Tensor>> = outputs.iter().map(|&value| cone::tracked(cx, value)).collect();
        let cone = match tracked {
            Some(_) => None,
            None => Some(Cone::of(cx, root)?),
        };
        cx.require(!cone::keeps_quantized(&node), root, "its operand is stored quantized on purpose")?;
        cone::is_plain(cx, &node)?;

        let mut names = Vec::new();
        for &value in &outputs {
            names.push(cx.output_name(value)?.or_else(|| cx.port(value).name.clone()));
        }
        let freed = cx.bytes_of(&cx.goes_with(root, REACH));
        // Before anything is computed, where the extents say enough.
        let least = outputs.iter().zip(&names).map(|(&value, name)| {
            let ty = cx.ty(value).as_tensor();
            let extents = ty.and_then(|ty| Some((ty.dtype?, ty.shape.as_ref()?.as_consts()?)));
            extents.map_or(0, |(dtype, dims)| file_size::new_constant(dtype, &dims, name.as_ref(), cx.written()))
        });
        let least: usize = least.sum();
        cx.require(least <= self.limit.bytes(), root, format!("it is larger than {}", self.limit))?;
        if least.saturating_sub(freed) > self.growth.bytes() {
            cx.pays(root, least, freed, 0)?;
        }
        let tensors = match (tracked, cone) {
            (Some(tensors), _) => tensors,
            (None, Some(cone)) => self.evaluate(cx, root, &cone, &outputs)?,
            (None, None) => return Err(Miss::NotHere),
        };
        let made = tensors.iter().zip(&names);
        let made = made.map(|(tensor, name)| file_size::new_tensor(tensor, name.as_ref(), cx.written()));
        cx.pays(root, made.sum(), freed, self.growth.bytes())?;
        let values = outputs.into_iter().zip(names).zip(tensors);
        Ok(Folding { values: values.map(|((value, name), tensor)| (value, name, tensor)).collect() })
    }

    fn apply(&self, folding: Folding, edit: &mut Edit<'_>) -> Result<(), EditError> {
        for (value, name, tensor) in folding.values {
            let constant = edit.add_constant(name, tensor);
            edit.replace(value, constant)?;
        }
        Ok(())
    }
}

impl FoldConstant {
    fn evaluate(&self, cx: &MatchCx<'_>, root: NodeId, cone: &Cone, outputs: &[ValueId]) -> Found<Vec<Tensor>> {
        let limits = Limits { elements: self.limit.bytes(), steps: STEPS, ..Limits::default() };
        let values = cone.evaluate(cx, limits).map_err(|error| Miss::declined(root, error.to_string()))?;
        let tensor = |value: &ValueId| match values.get(value.port as usize) {
            Some(Value::Tensor(tensor)) => Ok(tensor.clone()),
            // A sequence or the like: no file has constants of that type.
            _ => Err(Miss::NotHere),
        };
        outputs.iter().map(tensor).collect()
    }
}
