//! `GatherBlockQuantized` of `com.microsoft`: entries that indices name along an axis of a table of few bits, as floats.
//!
//! Operands: the codes, of whole numbers of four bits or of bytes that hold codes of `bits` bits along the last axis; indices; scales, one
//! for each block of `block_size` neighbours along `quantize_axis`; optionally zero points, which lie as codes do. Without these zero is
//! the code 0, of bytes the middle one. Output: `(codes - zero) · scale` of the entries, with the axes of the indices in the place of
//! `gather_axis`.
//!
//! Source: onnxruntime, "Contrib Operators", `com.microsoft.GatherBlockQuantized`, version 1; held against onnxruntime 1.32.

use onnxpress_ir::{DType, Dim, Tensor};

use super::DOMAIN;
use super::packed_blocks::Blocks;
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static GATHER_BLOCK_QUANTIZED: Operator = Operator {
    domain: DOMAIN,
    name: "GatherBlockQuantized",
    infer: Infer::With(infer),
    axes: Axes::Opaque("quantized operators are not pruned"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("its weight is packed"),
    quantize: Quantize::Quantized,
    cost: Cost::None("only takes entries out"),
    effects: Effects::Pure,
    gradient: Gradient::NotPossible("its weight is packed"),
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let blocks = Blocks::of(&cx.attrs(), Some(128))?;
    let shape = match (cx.shape(0), cx.shape(1)) {
        (Some(data), Some(indices)) => {
            let axis = cx.axis(cx.attrs().int_or("gather_axis", 0)?, data.len())?;
            let mut data: Vec<Dim> = data.to_vec();
            if cx.dtype(0) == Some(DType::Uint8)
                && let Some(last) = data.last_mut()
            {
                *last = &*last * &Dim::from(blocks.per_byte() as i64);
            }
            Some([&data[..axis], indices, &data[axis + 1..]].concat().into())
        }
        _ => None,
    };
    cx.set_tensor(0, cx.dtype(2), shape);
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (data, scales) = (cx.tensor(0)?, cx.tensor(2)?);
    let blocks = Blocks::of(&cx.attrs(), Some(128))?;
    let packed = data.dtype() == DType::Uint8;
    let mut dims = data.dims().to_vec();
    if let Some(last) = dims.last_mut().filter(|_| packed) {
        *last = last.checked_mul(blocks.per_byte()).ok_or_else(|| EvalError::invalid("an extent overflows"))?;
    }
    let along = cx.axis(cx.attrs().int_or("quantize_axis", 1)?, dims.len())?;
    let axis = cx.axis(cx.attrs().int_or("gather_axis", 0)?, dims.len())?;
    cx.room_for(&dims)?;
    let mut grid = dims.clone();
    grid[along] = blocks.count(dims[along]);
    if scales.dims() != grid {
        return Err(EvalError::invalid(format!("scales {:?}, expected {grid:?}", scales.dims())));
    }
    // Codes of bytes lie along the last axis, each row of them in bytes of its own.
    let numbers = |tensor: &Tensor, dims: &[usize]| -> Result<Vec<f64>, EvalError> {
        let last = dims.last().copied().unwrap_or(1);
        let rows = dims.iter().take(dims.len().saturating_sub(1)).product();
        let found = if packed { blocks.unpacked(tensor, rows, last)? } else { tensor.to_f64s()? };
        let fits = found.len() == dims.iter().product::<usize>();
        if fits { Ok(found) } else { Err(EvalError::invalid(format!("{tensor:?}, expected extents {dims:?}"))) }
    };
    let codes = numbers(data, &dims)?;
    let zeros = match cx.optional_tensor(3)? {
        Some(zeros) => numbers(zeros, &grid)?,
        None => vec![if packed { blocks.middle() } else { 0.0 }; scales.len()],
    };
    let scale = scales.to_f64s()?;
    let product = |dims: &[usize]| dims.iter().product::<usize>();
    let inner = product(&dims[along + 1..]);
    let floats: Vec<f64> = codes
        .iter()
        .enumerate()
        .map(|(place, code)| {
            let (outer, index, within) = (place / inner / dims[along], place / inner % dims[along], place % inner);
            let block = (outer * grid[along] + index / blocks.size) * inner + within;
            (code - zeros[block]) * scale[block]
        })
        .collect();
    let indices = cx.tensor(1)?;
    let to = [&dims[..axis], indices.dims(), &dims[axis + 1..]].concat();
    cx.room_for(&to)?;
    let (extent, row) = (dims[axis], product(&dims[axis + 1..]));
    let entries: Vec<usize> = indices
        .to_i64s()?
        .into_iter()
        .map(|index| {
            let counted = if index < 0 { index.checked_add(extent as i64) } else { Some(index) };
            let entry = counted.and_then(|index| usize::try_from(index).ok()).filter(|&entry| entry < extent);
            entry.ok_or_else(|| EvalError::invalid(format!("index {index} is outside of an axis of extent {extent}")))
        })
        .collect::<Result<_, _>>()?;
    let mut taken = Vec::with_capacity(product(&to));
    for outer in 0..product(&dims[..axis]) {
        for entry in &entries {
            taken.extend_from_slice(&floats[(outer * extent + entry) * row..][..row]);
        }
    }
    Ok(vec![Tensor::from_f64s(scales.dtype(), &to, &taken)?.into()])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use onnxpress_ir::{DType, Tensor};

    use crate::testing::{OneNode, op};

    fn node() -> OneNode {
        op("GatherBlockQuantized").domain("com.microsoft").int("block_size", 2)
    }

    fn codes(dtype: DType, dims: &[usize], values: &[i64]) -> Tensor {
        Tensor::from_i64s(dtype, dims, values).unwrap()
    }

    #[test]
    fn entries_as_floats() {
        let table = codes(DType::Int4, &[3, 4], &[0, 1, 2, 3, -8, -7, -6, -5, 7, 6, 5, 4]);
        let of = |at: &[i64]| {
            node().constant(table.clone()).int64s(&[at.len()], at).floats(&[3, 2], &[1.0, 2.0, 1.0, 0.5, 1.0, 1.0])
        };
        assert_eq!(of(&[1, -3]).f32s(), [-8.0, -7.0, -3.0, -2.5, 0.0, 1.0, 4.0, 6.0]);
        let zeros = codes(DType::Int4, &[3, 2], &[1, 1, 0, 0, 0, 0]);
        assert_eq!(of(&[0]).constant(zeros).f32s(), [-1.0, 0.0, 2.0, 4.0]);
        assert_eq!(of(&[3]).fault(), "index 3 is outside of an axis of extent 3");
        assert_eq!(node().input("int4[10,64]").input("int64[N,s]").input("float[10,32]").infer(), "float[N,s,64]");
    }

    #[test]
    fn bytes_hold_codes_around_the_middle() {
        let table = codes(DType::Uint8, &[1, 2], &[0x98, 0x0F]);
        let of = || node().constant(table.clone()).int64s(&[], &[0]).floats(&[1, 2], &[1.0, 2.0]);
        assert_eq!(of().f32s(), [0.0, 1.0, 14.0, -16.0]);
        assert_eq!(of().constant(codes(DType::Uint8, &[1, 1], &[0xF8])).f32s(), [0.0, 1.0, 0.0, -30.0]);
        assert_eq!(node().input("uint8[10,32]").input("int64[N]").input("float[10,32]").infer(), "float[N,64]");
    }
}
