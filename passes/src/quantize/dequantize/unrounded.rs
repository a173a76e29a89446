//! What a quantized model computes but for the rounding of its activations: codes taken for real numbers.
//!
//! `dequantize` takes that rounding away, so its result equals no model that rounds. It must equal this one, in which `QuantizeLinear`
//! divides by the scale and keeps to the range of the codes, and `DequantizeLinear` multiplies by the scale. What is constant is left to
//! the standard's own operator.

use std::collections::HashMap;

use onnxpress_ir::{Edit, Graph, Model, Node, NodeId, Port, ValueId};
use onnxpress_ops::infer::{self, Standard};
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::operator::Quantize;
use onnxpress_ops::table;

use super::pairs::{clipped, reach};
use super::{Dequantize, each_body};
use crate::pass::Pass;

/// How many operators that only move codes may stand between the two.
const MOVES: usize = 32;

/// The model without the rounding of activations; `None` where codes come from elsewhere than `QuantizeLinear` with one constant scale.
pub(super) fn model(model: &Model) -> Option<Model> {
    let mut made = model.clone();
    graph(&mut made.graph)?;
    for function in &mut made.functions {
        graph(&mut function.body)?;
    }
    infer::model(&mut made);
    Some(made)
}

fn graph(graph: &mut Graph) -> Option<()> {
    let is_decoding = |node: &Node| node.op_type == "DequantizeLinear";
    let decodings: Vec<NodeId> = graph.nodes().filter(|(_, node)| is_decoding(node)).map(|(id, _)| id).collect();
    let mut known = HashMap::new();
    for id in decodings {
        let (codes, scale) = (graph.operand(id, 0)?, graph.operand(id, 1)?);
        if graph.constant(codes).is_some() {
            continue;
        }
        // What an operator on codes gives that stays is rounded as before.
        let stays = |node: &Node| node.op_type != "QuantizeLinear" && is_about_codes(node);
        if graph.node(codes.node).is_some_and(stays) {
            continue;
        }
        graph.constant(scale).filter(|scale| scale.len() == 1)?;
        let mut edit = Edit::new(graph, &Standard, Dequantize::NAME, &[id]);
        let real = real(&mut edit, codes, &mut known, MOVES)?;
        let floats = edit.add(Node::new("Mul", 1), &[real, scale]).ok()?;
        edit.replace(id.port(0), floats).ok()?;
        edit.remove(id);
        edit.commit();
    }
    each_body(graph, &mut |body| self::graph(body).ok_or(())).ok()
}

fn is_about_codes(node: &Node) -> bool {
    table::of(node).is_some_and(|sheet| sheet.quantize == Quantize::Quantized)
}

/// Codes less their zero point, as real numbers.
fn real(edit: &mut Edit<'_>, codes: ValueId, known: &mut HashMap<ValueId, ValueId>, moves: usize) -> Option<ValueId> {
    if let Some(&known) = known.get(&codes) {
        return Some(known);
    }
    let graph = edit.graph();
    let cx = NodeCx::new(graph, codes.node)?;
    let made = if cx.node.op_type == "QuantizeLinear" {
        let (input, scale) = (cx.operand(0)?, cx.operand(1)?);
        graph.constant(scale)?.values::<f32>().ok().filter(|scale| scale.len() == 1)?;
        let (low, high) = reach(graph, codes, cx.operand(2))?;
        let divided = edit.add(Node::new("Div", 1), &[input, scale]).ok()?;
        clipped(edit, divided, (low as f32, high as f32)).ok()?
    } else {
        let moved = table::of(cx.node).is_some_and(|sheet| sheet.quantize == Quantize::Moves);
        if !moved || moves == 0 || cx.node.port_count() != 1 || cx.node.has_subgraphs() {
            return None;
        }
        let (node, dtype) = (cx.node.clone().with_ports([Port::default()]), graph.ty(codes).dtype());
        let mut operands: Vec<Option<ValueId>> = graph.operands(codes.node).collect();
        for operand in operands.iter_mut().flatten() {
            if edit.graph().ty(*operand).dtype() == dtype {
                *operand = real(edit, *operand, known, moves - 1)?;
            }
        }
        edit.add_node(node, &operands).ok()?.port(0)
    };
    known.insert(codes, made);
    Some(made)
}
