//! Codes in a graph: the constants and the node that makes floats of them, and the version that the node needs.

use onnxpress_ir::{Attr, Carried, ConstantForm, DType, Edit, Name, Node, ValueId};
use onnxpress_ops::schema;

use super::{Granularity, Quantized};

const DEQUANTIZE: &str = "DequantizeLinear";

/// The constants that a quantized weight is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) codes: ValueId,
    pub(crate) scale: ValueId,
    pub(crate) zero_point: Option<ValueId>,
}

impl Parts {
    /// The operands of `DequantizeLinear` and its like, from the second on: the scale, and the zero point where there is one.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = ValueId> {
        std::iter::once(self.scale).chain(self.zero_point)
    }
}

/// Whether constants are written as nodes, as in functions and in subgraphs of old files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// As the graph writes its constants.
    AsUsual,
    /// As nodes.
    AsNodes,
}

impl Written {
    /// As a constant of this form.
    pub(crate) fn like(form: &ConstantForm) -> Self {
        if matches!(form, ConstantForm::Node { .. }) { Self::AsNodes } else { Self::AsUsual }
    }
}

/// Adds the codes, scales and zero points of a weight of this name to the graph: `w_quantized`, `w_scale`, `w_zero_point`.
pub(crate) fn parts(edit: &mut Edit<'_>, name: Option<&Name>, it: &Quantized, written: Written) -> Parts {
    let mut add = |suffix: &str, tensor: &onnxpress_ir::Tensor| {
        let value = edit.add_constant(name.map(|name| name.suffixed(suffix)), tensor.clone());
        if written == Written::AsNodes {
            edit.set_form(value.node, ConstantForm::Node { name: None, carried: Carried::none() });
        }
        value
    };
    Parts {
        codes: add("_quantized", &it.codes),
        scale: add("_scale", &it.scale),
        zero_point: it.zero_point.as_ref().map(|zeros| add("_zero_point", zeros)),
    }
}

/// The node, to be given codes, scales and zero points.
pub(crate) fn node(granularity: Granularity) -> Node {
    let int = |name: &'static str, value: usize| Attr::int(name, value as i64);
    let node = Node::new(DEQUANTIZE, 1);
    match granularity {
        Granularity::Tensor => node,
        // The first version with an axis has 1 by default; it is written all the same, for people to see.
        Granularity::Channel(axis) => node.with(int("axis", axis)),
        Granularity::Blocks { axis, size } => node.with(int("axis", axis)).with(int("block_size", size)),
    }
}

/// The oldest version of the standard in which `DequantizeLinear` reads these codes with scales of this type; `None` where none
/// does.
pub(crate) fn oldest_opset(codes: DType, scale: DType, granularity: Granularity) -> Option<i64> {
    let attribute = match granularity {
        Granularity::Tensor => None,
        Granularity::Channel(_) => Some("axis"),
        Granularity::Blocks { .. } => Some("block_size"),
    };
    let reads = |schema: &&schema::OpSchema| {
        let takes = |slot: usize, dtype: DType| {
            let formal = schema.input(slot);
            formal.is_some_and(|formal| match (&formal.types, schema.constraint(formal)) {
                (_, Some(constraint)) => constraint.types.tensors.contains(dtype),
                (schema::TypeRef::Tensor(only), None) => *only == dtype,
                _ => false,
            })
        };
        takes(0, codes) && takes(1, scale) && attribute.is_none_or(|name| schema.attribute(name).is_some())
    };
    schema::versions(schema::STANDARD, DEQUANTIZE).iter().filter(reads).map(|schema| schema.since_version).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_codes_need() {
        let of = |codes, scale, granularity| oldest_opset(codes, scale, granularity);
        let (channel, blocks) = (Granularity::Channel(0), Granularity::Blocks { axis: 0, size: 32 });
        assert_eq!(of(DType::Int8, DType::Float, Granularity::Tensor), Some(10));
        assert_eq!(of(DType::Int8, DType::Float, channel), Some(13));
        assert_eq!(of(DType::Int8, DType::Float16, channel), Some(19));
        assert_eq!(of(DType::Uint4, DType::Float, Granularity::Tensor), Some(21));
        assert_eq!(of(DType::Int8, DType::Float, blocks), Some(21));
        assert_eq!(of(DType::Int16, DType::Float, channel), Some(21));
        assert_eq!(of(DType::Int8, DType::Double, channel), None);
    }
}
