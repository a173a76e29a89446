//! What a value is computed from, if that is constants alone.

use std::collections::{BTreeMap, BTreeSet};

use onnxpress_ir::{AttrValue, Dim, NodeId, Tensor, ValueId};
use onnxpress_ops::evaluate::{EvalError, Value};
use onnxpress_ops::interpret::{self, Limits};
use onnxpress_ops::node::NodeCx;

use crate::rewrite::{Effect, Found, MatchCx, Miss};

/// Nodes that are looked at together: enough for what exporters write around a shape or a mask, and a bound to the time
/// that a long chain of constants takes which would make the file larger at every step.
pub(super) const REACH: usize = 64;

/// A node and all that it is computed from, up to constants.
#[derive(Debug)]
pub(super) struct Cone {
    /// Producers first; the node itself is the last.
    nodes: Vec<NodeId>,
}

impl Cone {
    /// The cone of a node.
    ///
    /// # Errors
    /// [`Miss::NotHere`] where something else than constants is in it, or more than [`REACH`] nodes are.
    pub(super) fn of(cx: &MatchCx<'_>, root: NodeId) -> Found<Self> {
        let mut cone = Self { nodes: Vec::new() };
        cone.collect(cx, root, &mut BTreeSet::new())?;
        cx.note_ahead(root);
        Ok(cone)
    }

    fn collect(&mut self, cx: &MatchCx<'_>, id: NodeId, seen: &mut BTreeSet<NodeId>) -> Found<()> {
        if !seen.insert(id) {
            return Ok(());
        }
        if seen.len() > REACH {
            return Err(Miss::NotHere);
        }
        for value in cx.graph().operands(id).flatten() {
            if known(cx, value).is_none() {
                if !cx.may_be_ahead(value.node) {
                    return Err(Miss::NotHere);
                }
                is_plain(cx, &cx.node(value.node)?)?;
                self.collect(cx, value.node, seen)?;
            }
        }
        self.nodes.push(id);
        Ok(())
    }

    /// The outputs of the last node.
    ///
    /// # Errors
    /// Where a node of it has no kernel, or it fails, or a bound is met.
    pub(super) fn evaluate(&self, cx: &MatchCx<'_>, limits: Limits) -> Result<Vec<Value>, EvalError> {
        let graph = cx.graph();
        let mut values: BTreeMap<ValueId, Value> = BTreeMap::new();
        let mut outputs = Vec::new();
        for &id in &self.nodes {
            let operand = |value: ValueId| match values.get(&value) {
                Some(value) => Ok(value.clone()),
                None => known(cx, value).map(Value::Tensor).ok_or_else(|| EvalError::invalid("no constant")),
            };
            let operands: Vec<Option<Value>> =
                graph.operands(id).map(|value| value.map(operand).transpose()).collect::<Result<_, _>>()?;
            outputs = interpret::node(graph, id, &operands, limits)?;
            values.extend((0u32..).zip(outputs.iter().cloned()).map(|(port, value)| (id.port(port), value)));
        }
        Ok(outputs)
    }
}

/// The tensor that a value is without anything being computed: a constant, or whole numbers that inference knows.
pub(super) fn known(cx: &MatchCx<'_>, value: ValueId) -> Option<Tensor> {
    cx.constant(value).cloned().or_else(|| tracked(cx, value))
}

/// The tensor of which inference knows every element.
pub(super) fn tracked(cx: &MatchCx<'_>, value: ValueId) -> Option<Tensor> {
    let elements: Vec<i64> = cx.elements(value)?.iter().map(Dim::as_const).collect::<Option<_>>()?;
    let ty = cx.ty(value).as_tensor()?;
    let (dtype, dims) = (ty.dtype?, ty.shape.as_ref()?.as_consts()?);
    match dtype.is_float() {
        true => {
            let elements: Vec<f64> = elements.into_iter().map(|element| element as f64).collect();
            Tensor::from_f64s(dtype, &dims, &elements).ok()
        }
        false => Tensor::from_i64s(dtype, &dims, &elements).ok(),
    }
}

/// Whether a node does nothing but compute its outputs from its operands, and is to be computed ahead.
///
/// # Errors
/// [`Miss::NotHere`] if not.
pub(super) fn is_plain(cx: &MatchCx<'_>, node: &NodeCx<'_>) -> Found<()> {
    let set_by_caller = node.node.attrs.iter().any(|attr| matches!(attr.value, AttrValue::Reference { .. }));
    let plain = !node.node.has_subgraphs() && !set_by_caller && cx.effect(node.node) == Effect::Pure;
    if plain && !keeps_quantized(node) { Ok(()) } else { Err(Miss::NotHere) }
}

/// Whether a node spells out what is stored in few bits on purpose. What is made of that would be as large as if it had
/// never been quantized, and runtimes would not find the integers that they compute with.
pub(super) fn keeps_quantized(node: &NodeCx<'_>) -> bool {
    node.node.op_type == "DequantizeLinear"
}
