//! onnxruntime's own operators on weights of few bits: `MatMulNBits` in the place of `MatMul` and `Gemm`, `GatherBlockQuantized` in that
//! of `Gather`. Its kernels compute with codes, where a `DequantizeLinear` before a product costs a decoding in every run.
//!
//! Codes are whole numbers without a sign in bytes of their own, of the matrix turned around: `[n, blocks, block_size · bits / 8]`. Codes
//! around zero are lifted by the middle, which is what zero is without zero points.

use onnxpress_ir::{
    Attr, DType, Edit, EditError, Graph, Kind, Model, Name, Node, NodeId, Opsets, Port, Tensor, TensorError, Use,
    ValueId,
};
use onnxpress_ops::infer::Standard;
use onnxpress_ops::node::NodeCx;

use super::candidates::{Weight, inside, part};
use super::decode;
use super::put::Placing;
use crate::imports::import;
use crate::quantize::weight::{Granularity, Meaning, Quantized, Role, Scheme};

/// The domain, and the version of it that has the operators.
const DOMAIN: &str = "com.microsoft";
const VERSION: i64 = 1;

/// What reads a weight, so that it can be read in blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// `MatMul`, the weight on the right.
    Product,
    /// `Gemm` of one times the product and one times what is added; whether the weight is turned around.
    Gemm { turned: bool },
    /// `Gather` of rows.
    Lookup,
}

/// Whether the operators read blocks of so many elements.
pub(super) fn reads_blocks_of(size: usize) -> bool {
    size >= 16 && size.is_power_of_two()
}

/// Why a weight cannot be read by these operators.
pub(super) fn unable(model: &Model, weight: &Weight, scheme: &Scheme, granularity: Granularity) -> Option<String> {
    if weight.function.is_some() {
        return Some("it is in a function, which imports operators of its own".to_owned());
    }
    let graph = inside(part(model, None), &weight.site.path)?;
    let tensor = graph.constant(weight.site.constant.port(0))?;
    if scheme.meaning != Meaning::Number
        || !scheme.dtype.is_integer()
        || scheme.dtype.bits() > 8
        || scheme.bits.is_some()
    {
        return Some("its codes are no whole numbers of 2, 4 or 8 bits".to_owned());
    }
    let Granularity::Blocks { axis, size } = granularity else {
        return Some("its scales do not lie in blocks".to_owned());
    };
    if !reads_blocks_of(size) {
        return Some(format!("blocks of {size} are no power of two from 16 on"));
    }
    let readers: Vec<Use> = graph.readers(weight.site.constant.port(0)).collect();
    for reading in readers {
        let Some(reader) = reader(graph, weight.site.constant, reading) else {
            return Some(format!("{} reads it, for which there is no such operator", graph.describe(reading.node)));
        };
        let summed = match reader {
            Reader::Product | Reader::Gemm { turned: false } => 0,
            Reader::Gemm { turned: true } | Reader::Lookup => 1,
        };
        if tensor.rank() != 2 || axis != summed {
            return Some("its blocks do not lie along what is summed over".to_owned());
        }
        let whole_bytes = scheme.dtype.bits() >= 4 && (tensor.dims()[1] * scheme.dtype.bits()).is_multiple_of(8);
        if reader == Reader::Lookup && (!whole_bytes || weight.site.role != (Role::Lookup { axis: 0 })) {
            return Some("its rows are no whole bytes of codes of 4 or 8 bits".to_owned());
        }
    }
    None
}

/// Whether onnxruntime would misread codes of two bits behind `DequantizeLinear`: of that and a product it makes `MatMulNBits`, and turns the
/// matrix around wrongly where its columns fill no whole bytes (seen in 1.32).
pub(super) fn misread(model: &Model, weight: &Weight) -> bool {
    let Some(graph) = inside(part(model, weight.function), &weight.site.path) else { return false };
    let constant = weight.site.constant;
    let columns = graph.constant(constant.port(0)).filter(|tensor| tensor.rank() == 2).map_or(0, |it| it.dims()[1]);
    let turns = |reading: Use| {
        matches!(reader(graph, constant, reading), Some(Reader::Product | Reader::Gemm { turned: false }))
    };
    !columns.is_multiple_of(4) && graph.readers(constant.port(0)).any(turns)
}

fn reader(graph: &Graph, constant: NodeId, reading: Use) -> Option<Reader> {
    let cx = NodeCx::new(graph, reading.node)?;
    let weight = constant.port(0);
    if !cx.node.canonical_domain().is_empty() {
        return None;
    }
    let places: Vec<usize> = (0..cx.operand_count()).filter(|&index| cx.operand(index) == Some(weight)).collect();
    match places[..] {
        [1] if cx.node.is("MatMul") => Some(Reader::Product),
        [1] if cx.node.is("Gemm") => {
            let attrs = cx.attrs();
            let one = |name| attrs.float_or(name, 1.0).is_ok_and(|value| value == 1.0);
            let plain = one("alpha") && (one("beta") || !cx.has(2)) && attrs.flag("transA") == Ok(false);
            plain.then(|| Reader::Gemm { turned: attrs.flag("transB") == Ok(true) })
        }
        [0] if cx.node.is("Gather") => {
            let rank = graph.constant(weight).map_or(2, Tensor::rank);
            let axis = cx.attrs().int_or("axis", 0).ok()?;
            (onnxpress_ir::shape::normalize_axis(axis, rank) == Some(0)).then_some(Reader::Lookup)
        }
        _ => None,
    }
}

/// Codes, scales and zero points as the operators have them, rows of codes turned around where `turned`.
struct Packed {
    codes: Tensor,
    scale: Tensor,
    zero_point: Option<Tensor>,
    /// The extents of the matrix as it is packed: rows, and what is summed over.
    rows: usize,
    summed: usize,
    bits: usize,
    size: usize,
}

/// The constants that were made of a weight: codes, scales and, where there are such, zero points.
type Made = [Option<ValueId>; 3];

/// How rows of codes lie in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// Block after block, the last one filled up.
    InBlocks,
    /// One behind the other.
    InRows,
}

fn packed(quantized: &Quantized, turned: bool, lie: Lie) -> Result<Packed, TensorError> {
    let &[first, second] = quantized.codes.dims() else {
        return Err(TensorError::DType { found: quantized.codes.dtype(), expected: DType::Uint8 });
    };
    let (rows, summed) = if turned { (second, first) } else { (first, second) };
    let bits = quantized.codes.dtype().bits();
    let size = match quantized.granularity {
        Granularity::Blocks { size, .. } => size,
        _ => summed,
    };
    let blocks = summed.div_ceil(size);
    // A signed code is lifted by the middle: of the two's complement that turns over the first bit.
    let lift = if quantized.codes.dtype().kind() == Kind::Signed { 1u8 << (bits - 1) } else { 0 };
    let mask = u8::MAX >> (8 - bits);
    let lifted = |codes: &Tensor| -> Result<Vec<u8>, TensorError> {
        Ok(codes.to_codes()?.into_iter().map(|code| (code & mask) ^ lift).collect())
    };
    let at =
        |row: usize, column: usize, columns: usize| if turned { column * rows + row } else { row * columns + column };
    let codes = lifted(&quantized.codes)?;
    let width = if lie == Lie::InBlocks { blocks * size } else { summed };
    let per = 8 / bits;
    let pack = |codes: &[u8], columns: usize, width: usize| -> Vec<u8> {
        let row = width.div_ceil(per);
        let mut bytes = vec![0u8; rows * row];
        for number in 0..rows {
            for column in 0..columns {
                bytes[number * row + column / per] |= codes[at(number, column, columns)] << (bits * (column % per));
            }
        }
        bytes
    };
    let bytes = pack(&codes, summed, width);
    let dims = match lie {
        Lie::InBlocks => vec![rows, blocks, size * bits / 8],
        Lie::InRows => vec![rows, width.div_ceil(per)],
    };
    let scales = quantized.scale.to_f64s()?;
    let ordered: Vec<f64> =
        (0..rows * blocks).map(|place| scales[at(place / blocks, place % blocks, blocks)]).collect();
    let zero_point = match &quantized.zero_point {
        None => None,
        Some(zeros) => {
            let bytes = pack(&lifted(zeros)?, blocks, blocks);
            let count = blocks.div_ceil(per);
            Some(Tensor::from_codes(DType::Uint8, &[rows, count], &bytes)?)
        }
    };
    Ok(Packed {
        codes: Tensor::from_codes(DType::Uint8, &dims, &bytes)?,
        scale: Tensor::from_f64s(quantized.scale.dtype(), &[rows, blocks], &ordered)?,
        // Where all zero points are the middle, none need be said.
        zero_point,
        rows,
        summed,
        bits,
        size,
    })
}

/// Puts the operators in the place of all that read a weight, and the weight's codes in that of the weight.
///
/// # Errors
/// Where the graph does not take them: a defect.
pub(super) fn put(
    graph: &mut Graph,
    constant: NodeId,
    quantized: &Quantized,
    placing: &Placing,
) -> Result<(), EditError> {
    let (value, pass) = (constant.port(0), placing.pass);
    let mut readers: Vec<Use> = graph.readers(value).collect();
    readers.sort_by_key(|reading| (graph.place(reading.node), *reading));
    let name = graph.port(value).name.clone();
    let mut made: Vec<((bool, Lie), Made)> = Vec::new();
    for reading in readers {
        let Some(reader) = reader(graph, constant, reading) else { continue };
        let turned = matches!(reader, Reader::Product | Reader::Gemm { turned: false });
        let lie = if reader == Reader::Lookup { Lie::InRows } else { Lie::InBlocks };
        let Ok(packed) = packed(quantized, turned, lie) else { continue };
        let Some(node) = graph.node(reading.node).cloned() else { continue };
        let operands: Vec<Option<ValueId>> = graph.operands(reading.node).collect();
        let mut edit = Edit::new(graph, &Standard, pass, &[reading.node]);
        let known = made.iter().find(|(key, _)| *key == (turned, lie)).map(|(_, parts)| *parts);
        let parts = match known {
            Some(parts) => parts,
            None => {
                let mut add = |suffix: &str, tensor: &Tensor| {
                    edit.add_constant(name.as_ref().map(|name| name.suffixed(suffix)), tensor.clone())
                };
                let codes = add("_quantized", &packed.codes);
                let mut scale = add("_scale", &placing.stored_scale(&packed.scale));
                let zeros = packed.zero_point.as_ref().map(|zeros| add("_zero_point", zeros));
                if placing.scales.is_some() {
                    scale = edit.add(decode::cast(packed.scale.dtype()), &[scale])?;
                }
                let parts = [Some(codes), Some(scale), zeros];
                made.push(((turned, lie), parts));
                parts
            }
        };
        let int = |name: &'static str, value: usize| Attr::int(name, value as i64);
        let [codes, scale, zeros] = parts;
        let port = |suffix: Option<&str>| {
            let own = node.ports().first().and_then(|port| port.name.as_ref());
            Port { name: suffix.and_then(|suffix| own.map(|name| name.suffixed(suffix))), ..Port::default() }
        };
        let (op_type, attrs, first) = match reader {
            Reader::Lookup => {
                let attrs = vec![
                    int("bits", packed.bits),
                    int("block_size", packed.size),
                    int("gather_axis", 0),
                    int("quantize_axis", 1),
                ];
                ("GatherBlockQuantized", attrs, [codes, operands.get(1).copied().flatten()])
            }
            _ => {
                let attrs = vec![
                    int("K", packed.summed),
                    int("N", packed.rows),
                    int("bits", packed.bits),
                    int("block_size", packed.size),
                ];
                ("MatMulNBits", attrs, [operands.first().copied().flatten(), codes])
            }
        };
        let added = operands.get(2).copied().flatten().filter(|_| matches!(reader, Reader::Gemm { .. }));
        let mut own = Node::new(op_type, 1).in_domain(DOMAIN).with_ports([port(added.map(|_| "_product"))]);
        for attr in attrs {
            own = own.with(attr);
        }
        let all: Vec<Option<ValueId>> = first.into_iter().chain([scale]).chain(zeros.map(Some)).collect();
        let mut result = edit.add_node(own, &all)?.port(0);
        if let Some(added) = added {
            result = edit.add(Node::new("Add", 1), &[result, added])?;
        }
        edit.replace(reading.node.port(0), result)?;
        edit.remove(reading.node);
        edit.commit();
    }
    let mut edit = Edit::new(graph, &Standard, pass, &[]);
    edit.remove(constant);
    edit.commit();
    Ok(())
}

/// Imports the domain into a model, where it is not imported yet.
pub(super) fn import_domain(model: &mut Model) {
    if model.graph.opsets.version(DOMAIN.as_bytes()).is_some() {
        return;
    }
    let mut opsets = Opsets::clone(&model.graph.opsets);
    opsets.set(Name::from(DOMAIN), VERSION);
    import(&mut model.graph, &std::sync::Arc::new(opsets));
}
