//! `MatMulNBits` of `com.microsoft`: a product with a matrix of few bits, in blocks that share a scale.
//!
//! Operands A `[b.., m, k]`; the codes of the matrix, transposed, as bytes `[n, blocks, block_size · bits / 8]`; scales, one a block and
//! row; optionally zero points, packed as codes are or of A's type, without which zero is the middle code; `g_idx`; a bias `[n]`.
//! Attributes `K`, `N`, `bits`, `block_size`. Output `A · ((codes - zero) · scale)ᵀ + bias`.
//!
//! Source: onnxruntime, "Contrib Operators", `com.microsoft.MatMulNBits`, version 1; held against onnxruntime 1.32.

use onnxpress_ir::{DType, Dim, Shape, Tensor};

use super::DOMAIN;
use super::packed_blocks::Blocks;
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::linear::matrix;
use crate::node::Attrs;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static MAT_MUL_NBITS: Operator = Operator {
    domain: DOMAIN,
    name: "MatMulNBits",
    infer: Infer::With(infer),
    axes: Axes::Opaque("quantized operators are not pruned"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("its weight is packed"),
    quantize: Quantize::Quantized,
    cost: Cost::Macs(|cx| match (cx.output_shape(0), extent(&cx.attrs(), "K")) {
        (Some(y), Ok(k)) => y.size() * &Dim::from(k as i64),
        _ => Dim::unknown(),
    }),
    effects: Effects::Pure,
    gradient: Gradient::NotPossible("its weight is packed"),
};

fn extent(attrs: &Attrs<'_>, name: &str) -> Result<usize, Undecided> {
    let found = attrs.int(name)?;
    let extent = found.and_then(|extent| usize::try_from(extent).ok()).filter(|extent| (1..1 << 31).contains(extent));
    extent.ok_or_else(|| Undecided::invalid(format!("`{name}` is {found:?}, expected an extent")))
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let (k, n) = (extent(&cx.attrs(), "K")?, extent(&cx.attrs(), "N")?);
    let shape = match cx.shape(0).map(|a| a.split_last()) {
        Some(None) => return Err(Undecided::invalid("A has no axis")),
        Some(Some((last, rest))) => {
            if last.equals(&Dim::from(k as i64)) == Some(false) {
                return Err(Undecided::invalid(format!("A has {last} columns, expected {k}")));
            }
            Some(rest.iter().cloned().chain([Dim::from(n as i64)]).collect::<Shape>())
        }
        None => None,
    };
    cx.set_tensor(0, cx.dtype(0), shape);
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (k, n) = (extent(&cx.attrs(), "K")?, extent(&cx.attrs(), "N")?);
    let blocks = Blocks::of(&cx.attrs(), None)?;
    if cx.optional_tensor(4)?.is_some_and(|index| !index.is_empty()) {
        return Err(EvalError::unsupported("`g_idx`"));
    }
    let (a, scales) = (cx.tensor(0)?, cx.tensor(2)?.to_f64s()?);
    let count = blocks.count(k);
    cx.room_for(&[n, count, blocks.size])?;
    let codes = blocks.unpacked(cx.tensor(1)?, n, count * blocks.size)?;
    let zeros = match cx.optional_tensor(3)? {
        None => vec![blocks.middle(); n * count],
        Some(zeros) if zeros.dtype() == DType::Uint8 => blocks.unpacked(zeros, n, count)?,
        Some(zeros) => zeros.to_f64s()?,
    };
    if scales.len() != n * count || zeros.len() != n * count {
        return Err(EvalError::invalid(format!("{} scales for {n} rows of {count} blocks", scales.len())));
    }
    // The matrix as MatMul has it: k by n.
    let mut b = vec![0.0; k * n];
    for row in 0..n {
        for at in 0..k {
            let block = row * count + at / blocks.size;
            b[at * n + row] = (codes[row * count * blocks.size + at] - zeros[block]) * scales[block];
        }
    }
    let (mut y, dims) = matrix::product(cx, (&a.to_f64s()?, a.dims()), (&b, &[k, n]))?;
    if let Some(bias) = cx.optional_tensor(5)? {
        let bias = bias.to_f64s()?;
        if bias.len() != n {
            return Err(EvalError::invalid(format!("a bias of {}, expected {n}", bias.len())));
        }
        y.iter_mut().enumerate().for_each(|(place, y)| *y += bias[place % n]);
    }
    Ok(vec![Tensor::from_f64s(a.dtype(), &dims, &y)?.into()])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use onnxpress_ir::{DType, Tensor};

    use crate::testing::{OneNode, op};

    fn node(k: i64, n: i64, bits: i64) -> OneNode {
        let node = op("MatMulNBits").domain("com.microsoft");
        node.int("K", k).int("N", n).int("bits", bits).int("block_size", 4)
    }

    fn bytes(dims: &[usize], values: &[u8]) -> Tensor {
        Tensor::from_codes(DType::Uint8, dims, values).unwrap()
    }

    #[test]
    fn codes_less_zero_times_the_scale_of_the_block() {
        // Two rows of five: a block of four, and one that is cut.
        let codes = bytes(&[2, 2, 2], &[0x98, 0xBA, 0x0C, 0, 0x10, 0x32, 0x0F, 0]);
        let product = || node(5, 2, 4).floats(&[1, 5], &[1.0, 1.0, 1.0, 1.0, 10.0]).constant(codes.clone());
        let scaled = || product().floats(&[4], &[1.0, 0.5, 2.0, 1.0]);
        // 0 + 1 + 2 + 3 and ten times 4 · 0.5; -16 - 14 - 12 - 10 and ten times 7.
        assert_eq!(scaled().f32s(), [26.0, 18.0]);
        assert_eq!(scaled().constant(bytes(&[2], &[0xC8, 0xF0])).f32s(), [6.0, 12.0]);
        assert_eq!(scaled().omitted().omitted().floats(&[2], &[100.0, 200.0]).f32s(), [126.0, 218.0]);
        assert_eq!(product().floats(&[3], &[1.0; 3]).fault(), "3 scales for 2 rows of 2 blocks");
        let two = node(4, 1, 2).floats(&[1, 4], &[1.0; 4]).constant(bytes(&[1, 1, 1], &[0b11_10_01_00]));
        assert_eq!(two.floats(&[1], &[1.0]).f32s(), [-2.0]);
    }

    #[test]
    fn the_attributes_have_the_extents() {
        let of = |k| node(k, 7, 4).input("float[N,s,64]").input("uint8[7,16,2]").input("float[112]").infer();
        assert_eq!(of(64), "float[N,s,7]");
        assert_eq!(of(65), "invalid: A has 64 columns, expected 65");
        assert_eq!(of(-1), "invalid: `K` is Some(-1), expected an extent");
        assert_eq!(node(4, 1, 5).floats(&[1, 4], &[1.0; 4]).fault(), "`bits` is 5, expected 2, 4 or 8");
    }
}
