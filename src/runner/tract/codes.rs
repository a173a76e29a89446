//! Codes that tract does not read: as numbers in float between conversions that are spelled by arithmetic.
//!
//! tract converts tensors to eight bits and back, with one scale or one an index of an axis, where scales are constants of binary32. What
//! else the standard has (sixteen, four and two bits, eight-bit floats, blocks, scales of other types or computed ones) would leave the
//! whole model to the interpreter. So each such `DequantizeLinear` becomes what the standard says it computes, `(x - zero_point) * scale`,
//! on codes that are kept as floats: constants as they are, those of `QuantizeLinear` as `saturate(round(x / scale) + zero_point)`, and
//! operators that only move codes move floats. A `Cast` reads such floats too. Binary32 holds every code of up to 24 bits. What does not
//! fit stays for tract to refuse.
//!
//! `dequantize` follows codes in the same way for its witness. It is not asked here: the proof must not rest on the passes that it proves.

use std::collections::HashMap;

use onnxpress_ir::shape::normalize_axis;
use onnxpress_ir::{Attr, DType, Edit, Graph, Node, NodeId, Port, Tensor, ValueId};
use onnxpress_ops::infer::Standard;
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::operator::Quantize;
use onnxpress_ops::table;

/// The most operators that only move codes one behind the other.
const MOVES: usize = 64;

/// Spells the conversions of a graph, and of those inside of it, that tract does not read.
pub(super) fn spell(graph: &mut Graph) {
    let unread = graph.nodes().filter(|(id, node)| {
        is(node, "DequantizeLinear") && !is_read(graph, *id) || is(node, "Cast") && !casts(graph, *id)
    });
    let unread: Vec<NodeId> = unread.map(|(id, _)| id).collect();
    let mut known = HashMap::new();
    for id in unread {
        let is_cast = graph.node(id).is_some_and(|node| is(node, "Cast"));
        let mut edit = Edit::new(graph, &Standard, "lower", &[id]);
        // An edit that is not committed takes itself back.
        let mut found = known.clone();
        let spelled = match is_cast {
            true => cast_numbers(&mut edit, id, &mut found),
            false => floats(&mut edit, id, &mut found),
        };
        if spelled.is_some() {
            edit.commit();
            known = found;
        }
    }
    drop_unread(graph);
    let holders: Vec<NodeId> = graph.nodes().filter(|(_, node)| node.has_subgraphs()).map(|(id, _)| id).collect();
    for id in holders {
        graph.subgraphs_mut(id).for_each(spell);
    }
}

fn is(node: &Node, name: &str) -> bool {
    node.op_type == name && [b"".as_slice(), b"com.microsoft"].contains(&node.canonical_domain())
}

/// Whether tract reads a `DequantizeLinear` as it is.
fn is_read(graph: &Graph, id: NodeId) -> bool {
    let Some(cx) = NodeCx::new(graph, id) else { return true };
    let constant = |operand: usize, dtype: DType| cx.constant(operand).is_some_and(|it| it.dtype() == dtype);
    let dtype = cx.dtype(0);
    cx.node.domain.is_empty()
        && cx.attrs().int_or("block_size", 0).unwrap_or(0) == 0
        && dtype.is_some_and(has_kernels)
        && constant(1, DType::Float)
        && (!cx.has(2) || dtype.is_some_and(|dtype| constant(2, dtype)))
}

/// Whether tract has the type that a `Cast` reads: it has none of fewer than eight bits, and no eight-bit floats.
fn casts(graph: &Graph, id: NodeId) -> bool {
    let dtype = graph.operand(id, 0).and_then(|value| graph.ty(value).dtype());
    dtype.is_none_or(|dtype| dtype == DType::Bool || dtype.bits() >= 8 && !(dtype.is_float() && dtype.bits() == 8))
}

/// Whether tract converts from codes of this type and to it.
fn has_kernels(dtype: DType) -> bool {
    [DType::Int8, DType::Uint8, DType::Int32].contains(&dtype)
}

/// Puts `(x - zero_point) * scale` in the place of a node.
fn floats(edit: &mut Edit<'_>, id: NodeId, known: &mut HashMap<ValueId, ValueId>) -> Option<()> {
    let parameters = Parameters::of(edit.graph(), id)?;
    let (codes, result) = (edit.graph().operand(id, 0)?, edit.graph().ty(id.port(0)).dtype()?);
    let codes = numbers(edit, codes, known, MOVES)?;
    let (scale, zero_point) = parameters.put(edit)?;
    let shifted = match zero_point {
        Some(zero_point) => edit.add(Node::new("Sub", 1), &[codes, zero_point]).ok()?,
        None => codes,
    };
    let scaled = edit.add(Node::new("Mul", 1), &[shifted, scale]).ok()?;
    let floats = match result {
        DType::Float => scaled,
        other => cast(edit, scaled, other)?,
    };
    edit.replace(id.port(0), floats).ok()?;
    edit.remove(id);
    Some(())
}

/// Lets a `Cast` read the floats that codes are.
fn cast_numbers(edit: &mut Edit<'_>, id: NodeId, known: &mut HashMap<ValueId, ValueId>) -> Option<()> {
    let numbers = numbers(edit, edit.graph().operand(id, 0)?, known, MOVES)?;
    edit.set_operand(id, 0, Some(numbers));
    Some(())
}

/// Codes as floats.
fn numbers(
    edit: &mut Edit<'_>,
    codes: ValueId,
    known: &mut HashMap<ValueId, ValueId>,
    moves: usize,
) -> Option<ValueId> {
    if let Some(&known) = known.get(&codes) {
        return Some(known);
    }
    let graph = edit.graph();
    let dtype = graph.ty(codes).dtype()?;
    let made = if let Some(tensor) = graph.constant(codes) {
        let floats = Tensor::from_values(tensor.dims(), tensor.to_f32s().ok()?).ok()?;
        edit.add_constant(None, floats)
    } else if has_kernels(dtype) {
        cast(edit, codes, DType::Float)?
    } else if is(graph.node(codes.node)?, "QuantizeLinear") {
        rounded(edit, codes.node, dtype)?
    } else {
        let node = graph.node(codes.node)?;
        let moved = table::of(node).is_some_and(|sheet| sheet.quantize == Quantize::Moves);
        if !moved || moves == 0 || node.port_count() != 1 || node.has_subgraphs() {
            return None;
        }
        let node = node.clone().with_ports([Port::default()]);
        let mut operands: Vec<Option<ValueId>> = graph.operands(codes.node).collect();
        for operand in operands.iter_mut().flatten() {
            if edit.graph().ty(*operand).dtype() == Some(dtype) {
                *operand = numbers(edit, *operand, known, moves - 1)?;
            }
        }
        edit.add_node(node, &operands).ok()?.port(0)
    };
    known.insert(codes, made);
    Some(made)
}

/// `saturate(round(x / scale) + zero_point)` in float, of a `QuantizeLinear` to whole numbers.
fn rounded(edit: &mut Edit<'_>, id: NodeId, dtype: DType) -> Option<ValueId> {
    let parameters = Parameters::of(edit.graph(), id)?;
    let input = edit.graph().operand(id, 0)?;
    let is_float = |value: ValueId| edit.graph().ty(value).dtype() == Some(DType::Float);
    if dtype.is_float() || !is_float(input) || !is_float(parameters.scale) {
        return None;
    }
    let (scale, zero_point) = parameters.put(edit)?;
    let divided = edit.add(Node::new("Div", 1), &[input, scale]).ok()?;
    let rounded = edit.add(Node::new("Round", 1), &[divided]).ok()?;
    let shifted = match zero_point {
        Some(zero_point) => edit.add(Node::new("Add", 1), &[rounded, zero_point]).ok()?,
        None => rounded,
    };
    let (low, high) = onnxpress_ir::tensor::range(dtype);
    let [low, high] = [low, high].map(|limit| edit.add_constant(None, Tensor::scalar(limit as f32)));
    let raised = edit.add(Node::new("Max", 1), &[shifted, low]).ok()?;
    edit.add(Node::new("Min", 1), &[raised, high]).ok()
}

fn cast(edit: &mut Edit<'_>, value: ValueId, to: DType) -> Option<ValueId> {
    edit.add(Node::new("Cast", 1).with(Attr::int("to", to.code())), &[value]).ok()
}

/// Scale and zero point of a conversion, and how they lie along its tensor.
struct Parameters {
    scale: ValueId,
    zero_point: Option<ValueId>,
    along: Along,
}

enum Along {
    /// One for all.
    All,
    /// One for each index of an axis: the extents that make them broadcast.
    Axis(Vec<i64>),
    /// One for each block of an axis: which of them each index has.
    Blocks { axis: usize, of: Vec<i64> },
}

impl Parameters {
    fn of(graph: &Graph, id: NodeId) -> Option<Self> {
        let cx = NodeCx::new(graph, id)?;
        let (scale, zero_point) = (cx.operand(1)?, cx.operand(2));
        let (shape, scales) = (cx.shape(0)?, cx.shape(1)?);
        let axis = || normalize_axis(cx.attrs().int_or("axis", 1).ok()?, shape.len());
        let is_one = scales.size().as_const() == Some(1) && scales.len() <= shape.len();
        let along = match usize::try_from(cx.attrs().int_or("block_size", 0).ok()?).ok()? {
            _ if is_one => Along::All,
            0 if scales.len() == 1 => {
                let axis = axis()?;
                Along::Axis((0..shape.len()).map(|at| if at == axis { -1 } else { 1 }).collect())
            }
            0 => return None,
            block => {
                let axis = axis()?;
                let extent = usize::try_from(shape.get(axis)?.as_const()?).ok()?;
                Along::Blocks { axis, of: (0..extent).map(|index| (index / block) as i64).collect() }
            }
        };
        Some(Self { scale, zero_point, along })
    }

    /// Both as floats that broadcast to the tensor.
    fn put(&self, edit: &mut Edit<'_>) -> Option<(ValueId, Option<ValueId>)> {
        let mut put = |value: ValueId| {
            let graph = edit.graph();
            let floats = match (graph.constant(value), graph.ty(value).dtype()?) {
                (_, DType::Float) => value,
                (Some(tensor), _) => {
                    let floats = Tensor::from_values(tensor.dims(), tensor.to_f32s().ok()?).ok()?;
                    edit.add_constant(None, floats)
                }
                (None, _) => cast(edit, value, DType::Float)?,
            };
            match &self.along {
                Along::All => Some(floats),
                Along::Axis(extents) => {
                    let extents = edit.add_constant(None, Tensor::vector(extents.clone()));
                    edit.add(Node::new("Reshape", 1), &[floats, extents]).ok()
                }
                Along::Blocks { axis, of } => {
                    let of = edit.add_constant(None, Tensor::vector(of.clone()));
                    let gather = Node::new("Gather", 1).with(Attr::int("axis", *axis as i64));
                    edit.add(gather, &[floats, of]).ok()
                }
            }
        };
        Some((
            put(self.scale)?,
            match self.zero_point {
                Some(zero_point) => Some(put(zero_point)?),
                None => None,
            },
        ))
    }
}

/// Drops conversions, what moved codes and constants of codes that nothing reads by now: tract would stumble over their types.
fn drop_unread(graph: &mut Graph) {
    let Ok(order) = graph.topological() else { return };
    let nodes = order.into_iter().rev().filter(|&id| graph.node(id).is_some());
    let all: Vec<NodeId> = nodes.chain(graph.constants().map(|(id, _)| id)).collect();
    for id in all {
        let vertex = graph.vertex(id);
        let is_code = |port: &Port| port.ty.dtype().is_some_and(|dtype| dtype.bits() <= 16 && !has_kernels(dtype));
        let all_codes = vertex.ports().iter().all(is_code);
        if all_codes && vertex.ports().iter().zip(0..).all(|(_, at)| graph.readers(id.port(at)).next().is_none()) {
            let mut edit = Edit::new(graph, &Standard, "lower", &[]);
            edit.remove(id);
            edit.commit();
        }
    }
}
