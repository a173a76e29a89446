//! The nodes that make floats of codes.

use onnxpress_ir::{Attr, DType, Edit, EditError, Node, Tensor, ValueId};
use onnxpress_ops::schema;

use super::options::Form;
use crate::quantize::weight::{Granularity, Parts, Quantized, node};

/// Which axes the codes have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axes {
    /// Those of the weight.
    Own,
    /// Those of a lookup along the first; the last stays the last.
    OfLookup,
}

/// The oldest version of the standard in which `Cast` makes floats of this type of codes.
pub(super) fn oldest_opset(codes: DType, floats: DType) -> Option<i64> {
    let casts = |schema: &&schema::OpSchema| {
        let takes = |formal: Option<&schema::Formal>, dtype: DType| {
            let constraint = formal.and_then(|formal| schema.constraint(formal));
            constraint.is_some_and(|constraint| constraint.types.tensors.contains(dtype))
        };
        // Before version 6 the type was a word.
        schema.since_version >= 6 && takes(schema.input(0), codes) && takes(schema.output(0), floats)
    };
    schema::versions(schema::STANDARD, "Cast").iter().filter(casts).map(|schema| schema.since_version).min()
}

/// Codes, scales and zero points as the file has them: for `Mul`, scales have axes of extent one after their own, and zero
/// points are floats.
pub(super) fn stored(quantized: &Quantized, form: Form) -> Quantized {
    if form == Form::Dequantize {
        return quantized.clone();
    }
    let floats = |tensor: &Tensor| {
        let dims = spread(quantized, tensor.dims());
        let values = tensor.to_f64s().and_then(|values| Tensor::from_f64s(quantized.scale.dtype(), &dims, &values));
        values.unwrap_or_else(|_| tensor.clone())
    };
    Quantized {
        scale: floats(&quantized.scale),
        zero_point: quantized.zero_point.as_ref().map(floats),
        ..quantized.clone()
    }
}

/// The extents with which parameters broadcast to the weight.
fn spread(quantized: &Quantized, dims: &[usize]) -> Vec<usize> {
    match quantized.granularity {
        Granularity::Channel(axis) => {
            let behind = quantized.codes.rank().saturating_sub(axis + 1);
            dims.iter().copied().chain(std::iter::repeat_n(1, behind)).collect()
        }
        _ => dims.to_vec(),
    }
}

/// Adds the nodes that make floats of codes; answers the floats.
///
/// # Errors
/// Where they do not fit each other: a defect.
pub(super) fn floats(
    edit: &mut Edit<'_>,
    form: Form,
    codes: ValueId,
    parts: &Parts,
    quantized: &Quantized,
    axes: Axes,
) -> Result<ValueId, EditError> {
    if form == Form::Cast {
        let to = Attr::int("to", quantized.scale.dtype().code());
        let mut floats = edit.add(Node::new("Cast", 1).with(to), &[codes])?;
        if let Some(zero_point) = parts.zero_point {
            floats = edit.add(Node::new("Sub", 1), &[floats, zero_point])?;
        }
        return edit.add(Node::new("Mul", 1), &[floats, parts.scale]);
    }
    let mut decoding = node(quantized.granularity);
    if axes == Axes::OfLookup && matches!(quantized.granularity, Granularity::Channel(_)) {
        decoding = decoding_along_last();
    }
    let operands: Vec<ValueId> = std::iter::once(codes).chain(parts.parameters()).collect();
    edit.add(decoding, &operands)
}

fn decoding_along_last() -> Node {
    Node::new("DequantizeLinear", 1).with(Attr::int("axis", -1))
}
