//! What runtimes compute on codes: the one table that placement reads.
//!
//! A runtime that finds `DequantizeLinear`, an operator and `QuantizeLinear` in a row may fuse the three. Which operators it
//! does so for decides where quantization pays: around any other operator it only adds work. Operators that a table does not
//! list stay in float.
//!
//! Sources. onnxruntime: optimized models saved by version 1.32 (`optimized_model_filepath`, CPU) of each operator between
//! QDQ pairs; `tests/cross/fusions.py` repeats that. TensorRT: "Explicit quantization" in its documentation: symmetric int8, biases in
//! float, weighted layers read quantized operands. OpenVINO: the low precision transformations' list of operators. tract: its
//! reading of `DequantizeLinear`, which folds into Conv and MatMul.

use onnxpress_ops::operator::Quantize as Facet;
use onnxpress_ops::table;

crate::option_enum! {
    /// What runs the result, which decides what is quantized.
    pub enum Target {
        /// onnxruntime, on its CPU.
        Onnxruntime,
        /// TensorRT: symmetric int8 activations, biases in float.
        Tensorrt,
        /// OpenVINO.
        Openvino,
        /// tract.
        Tract,
        /// All that the data sheets say can be computed on codes.
        Generic,
    }
}

/// How a runtime computes an operator on codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// A linear map, whose results have to be codes for it to be fused at all.
    LinearToCodes,
    /// A linear map, whose results may be codes or floats.
    Linear,
    /// Operands and result with parameters of their own each.
    Apart,
    /// Operands and results with the same parameters.
    Shares,
    /// A limit that the rounding of its operand's producer takes over, its result being codes.
    Limit,
}

use How::{Apart, Limit, Linear, LinearToCodes, Shares};

const ONNXRUNTIME: &[(&str, How)] = &[
    // A Conv with float results is computed in float, its weight dequantized in every run.
    ("Conv", LinearToCodes),
    ("MatMul", Linear),
    ("Gemm", Linear),
    ("Add", Apart),
    ("Mul", Apart),
    ("AveragePool", Apart),
    ("GlobalAveragePool", Apart),
    ("LeakyRelu", Apart),
    ("Sigmoid", Apart),
    ("Relu", Limit),
    ("Clip", Limit),
    ("Concat", Shares),
    ("DepthToSpace", Shares),
    ("Expand", Shares),
    ("Flatten", Shares),
    ("Gather", Shares),
    ("Identity", Shares),
    ("MaxPool", Shares),
    ("ReduceMax", Shares),
    ("ReduceMin", Shares),
    ("Reshape", Shares),
    ("Resize", Shares),
    ("Slice", Shares),
    ("Split", Shares),
    ("Squeeze", Shares),
    ("Tile", Shares),
    ("Transpose", Shares),
    ("Unsqueeze", Shares),
];

const TENSORRT: &[(&str, How)] = &[
    ("Conv", Linear),
    ("ConvTranspose", Linear),
    ("MatMul", Linear),
    ("Gemm", Linear),
    ("Add", Apart),
    ("AveragePool", Apart),
    ("GlobalAveragePool", Apart),
    ("Relu", Limit),
    ("Clip", Limit),
    ("Concat", Shares),
    ("MaxPool", Shares),
    ("Reshape", Shares),
    ("Flatten", Shares),
    ("Transpose", Shares),
    ("Slice", Shares),
    ("Split", Shares),
    ("Squeeze", Shares),
    ("Unsqueeze", Shares),
];

const OPENVINO: &[(&str, How)] = &[
    ("Conv", Linear),
    ("ConvTranspose", Linear),
    ("MatMul", Linear),
    ("Gemm", Linear),
    ("Add", Apart),
    ("Mul", Apart),
    ("AveragePool", Apart),
    ("GlobalAveragePool", Apart),
    ("Relu", Limit),
    ("Clip", Limit),
    ("Concat", Shares),
    ("DepthToSpace", Shares),
    ("MaxPool", Shares),
    ("Pad", Shares),
    ("Reshape", Shares),
    ("Flatten", Shares),
    ("Transpose", Shares),
    ("Slice", Shares),
    ("Split", Shares),
    ("Squeeze", Shares),
    ("Unsqueeze", Shares),
];

const TRACT: &[(&str, How)] = &[
    ("Conv", Linear),
    ("MatMul", Linear),
    ("Gemm", Linear),
    ("Relu", Limit),
    ("Clip", Limit),
    ("MaxPool", Shares),
    ("Reshape", Shares),
    ("Flatten", Shares),
    ("Transpose", Shares),
    ("Squeeze", Shares),
    ("Unsqueeze", Shares),
];

impl Target {
    /// How the runtime computes an operator of the standard on codes; `None` where it does not.
    pub(crate) fn how(self, op_type: &str) -> Option<How> {
        let rows = match self {
            Self::Onnxruntime => ONNXRUNTIME,
            Self::Tensorrt => TENSORRT,
            Self::Openvino => OPENVINO,
            Self::Tract => TRACT,
            Self::Generic => return generic(op_type),
        };
        rows.iter().find(|(name, _)| *name == op_type).map(|(_, how)| *how)
    }

    /// Whether codes lie symmetrically around zero, so that there is no zero point.
    pub(crate) fn is_symmetric(self) -> bool {
        self == Self::Tensorrt
    }

    /// Whether an operator is fused only where its weight has zero points, be they 0.
    pub(crate) fn wants_zeros(self, op_type: &str) -> bool {
        self == Self::Onnxruntime && op_type == "Gemm"
    }

    /// Whether the runtime moves codes as it moves floats, and folds constants before it fuses what reads them.
    pub(crate) fn reads_compact(self) -> bool {
        self == Self::Onnxruntime
    }

    /// Whether biases are whole numbers, of the scale of the products that they are added to.
    pub(crate) fn has_integer_biases(self) -> bool {
        self != Self::Tensorrt
    }
}

/// By the data sheet alone.
fn generic(op_type: &str) -> Option<How> {
    match (op_type, table::operator(b"", op_type.as_bytes())?.quantize) {
        ("Relu" | "Clip", _) => Some(Limit),
        (_, Facet::Computes) => Some(Linear),
        (_, Facet::Elementwise) => Some(Apart),
        (_, Facet::Moves) => Some(Shares),
        (_, Facet::Quantized | Facet::KeepsFloat(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table may list less than the data sheets allow, never more, and never as another kind of thing.
    #[test]
    fn tables_agree_with_the_data_sheets() {
        for (op_type, how) in [ONNXRUNTIME, TENSORRT, OPENVINO, TRACT].into_iter().flatten() {
            let sheet = generic(op_type);
            let agrees = match how {
                LinearToCodes | Linear => sheet == Some(Linear),
                other => sheet == Some(*other),
            };
            assert!(agrees, "{op_type}: {how:?}, but its data sheet says {sheet:?}");
        }
    }
}
