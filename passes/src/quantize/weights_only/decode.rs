//! The nodes that make floats of codes.

use onnxpress_ir::{Attr, DType, Edit, EditError, Node, Tensor, ValueId};
use onnxpress_ops::schema;

use super::options::Form;
use crate::quantize::weight::{Granularity, Meaning, NF4, Parts, Quantized, Scheme, node};

/// Which axes the codes have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axes {
    /// Those of the weight.
    Own,
    /// Those of a lookup along the first; the last stays the last.
    OfLookup,
}

/// The oldest version of the standard in which `Cast` makes floats of this type of codes.
pub(in crate::quantize) fn oldest_opset(codes: DType, floats: DType) -> Option<i64> {
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

/// Why codes of this kind cannot be decoded in this form.
pub(super) fn unable(dims: &[usize], scheme: &Scheme, granularity: Granularity, form: Form) -> Option<String> {
    match granularity {
        Granularity::Blocks { axis, size }
            if is_folded(form, scheme.meaning) && dims.get(axis).is_none_or(|extent| !extent.is_multiple_of(size)) =>
        {
            Some(format!(
                "its axis {axis} does not fall into blocks of {size}, which nodes other than DequantizeLinear need"
            ))
        }
        _ => None,
    }
}

/// Whether `DequantizeLinear` decodes it.
fn is_dequantized(quantized: &Quantized, form: Form) -> bool {
    form == Form::Dequantize && quantized.meaning == Meaning::Number
}

/// Whether nodes decode it that runtimes fold.
pub(super) fn is_folded(form: Form, meaning: Meaning) -> bool {
    form == Form::Cast || meaning == Meaning::Nf4
}

/// Codes, scales and zero points as the file has them: for `Mul`, scales have axes of extent one where they are spread, and zero
/// points are floats.
pub(super) fn stored(quantized: &Quantized, form: Form) -> Quantized {
    if is_dequantized(quantized, form) {
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

/// The extents with which parameters broadcast to the weight or, of blocks, to the weight with its blocks apart.
fn spread(quantized: &Quantized, dims: &[usize]) -> Vec<usize> {
    match quantized.granularity {
        Granularity::Channel(axis) => {
            let behind = quantized.codes.rank().saturating_sub(axis + 1);
            dims.iter().copied().chain(std::iter::repeat_n(1, behind)).collect()
        }
        Granularity::Blocks { axis, .. } => {
            let (outer, inner) = dims.split_at((axis + 1).min(dims.len()));
            outer.iter().copied().chain([1]).chain(inner.iter().copied()).collect()
        }
        Granularity::Tensor => dims.to_vec(),
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
    if is_dequantized(quantized, form) {
        let mut decoding = node(quantized.granularity);
        if axes == Axes::OfLookup && matches!(quantized.granularity, Granularity::Channel(_)) {
            decoding = Node::new("DequantizeLinear", 1).with(Attr::int("axis", -1));
        }
        let operands: Vec<ValueId> = std::iter::once(codes).chain(parts.parameters()).collect();
        return edit.add(decoding, &operands);
    }
    let name = edit.graph().port(codes).name.clone();
    let constant = |edit: &mut Edit<'_>, suffix: &str, tensor: Tensor| {
        edit.add_constant(name.as_ref().map(|name| name.suffixed(suffix)), tensor)
    };
    let mut floats = match quantized.meaning {
        Meaning::Nf4 => {
            let index = edit.add(cast(DType::Int32), &[codes])?;
            let values: Vec<f64> = NF4.iter().copied().map(f64::from).collect();
            let table = Tensor::from_f64s(quantized.scale.dtype(), &[NF4.len()], &values);
            let table = constant(edit, "_values", table.unwrap_or_else(|_| Tensor::vector(NF4.to_vec())));
            edit.add(Node::new("Gather", 1), &[table, index])?
        }
        Meaning::Number => edit.add(cast(quantized.scale.dtype()), &[codes])?,
    };
    let dims: Vec<i64> = quantized.codes.dims().iter().map(|&extent| extent as i64).collect();
    let blocks = match quantized.granularity {
        Granularity::Blocks { axis, size } => Some((axis, size as i64)),
        _ => None,
    };
    if let Some((axis, size)) = blocks {
        let mut apart = dims.clone();
        apart[axis] /= size;
        apart.insert(axis + 1, size);
        let shape = constant(edit, "_blocks", Tensor::vector(apart));
        floats = edit.add(Node::new("Reshape", 1), &[floats, shape])?;
    }
    if let Some(zero_point) = parts.zero_point {
        floats = edit.add(Node::new("Sub", 1), &[floats, zero_point])?;
    }
    floats = edit.add(Node::new("Mul", 1), &[floats, parts.scale])?;
    if blocks.is_some() {
        let shape = constant(edit, "_shape", Tensor::vector(dims));
        floats = edit.add(Node::new("Reshape", 1), &[floats, shape])?;
    }
    Ok(floats)
}

/// The node that makes this type of another.
pub(super) fn cast(to: DType) -> Node {
    Node::new("Cast", 1).with(Attr::int("to", to.code()))
}
