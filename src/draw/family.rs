//! Families of operators, which decide the colour of a box.

/// What an operator is for, as far as colours go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Inputs and outputs of a graph.
    Interface,
    /// Convolutions, matrix products, recurrent layers: where the weights are.
    Linear,
    /// Normalizations.
    Normalization,
    /// Activation functions.
    Activation,
    /// Elementwise arithmetic and logic.
    Arithmetic,
    /// Pooling and reductions.
    Reduction,
    /// Moves and reshapes data, computes nothing.
    Movement,
    /// Quantizes, dequantizes, or computes on integers that stand for reals.
    Quantization,
    /// Runs a subgraph.
    Control,
    /// Constants and generators.
    Constant,
    /// Everything else.
    #[default]
    Other,
    /// Boxes of one set, such as those whose channels can only be removed together; colours repeat.
    Set(u8),
}

impl Family {
    /// How many colours sets have.
    pub const SETS: u8 = SETS.len() as u8;

    /// Every family of operators, in the order of the legend.
    pub const ALL: [Family; 11] = [
        Family::Interface,
        Family::Linear,
        Family::Normalization,
        Family::Activation,
        Family::Arithmetic,
        Family::Reduction,
        Family::Movement,
        Family::Quantization,
        Family::Control,
        Family::Constant,
        Family::Other,
    ];

    /// The family of an operator of the standard or of onnxruntime, by its type; [`Family::Other`] for unknown ones.
    pub fn of_operator(op_type: &str) -> Family {
        MEMBERS
            .iter()
            .find(|(_, types)| types.split_ascii_whitespace().any(|known| known == op_type))
            .map_or(Family::Other, |(family, _)| *family)
    }

    /// The words in the legend.
    pub(super) fn caption(self) -> &'static str {
        match self {
            Family::Interface => "input, output",
            Family::Linear => "convolution, linear",
            Family::Normalization => "normalization",
            Family::Activation => "activation",
            Family::Arithmetic => "elementwise",
            Family::Reduction => "pooling, reduction",
            Family::Movement => "data movement",
            Family::Quantization => "quantization",
            Family::Control => "control flow",
            Family::Constant => "constant",
            Family::Other => "other",
            Family::Set(_) => "one set a colour, colours repeat",
        }
    }

    /// The class in the style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Family::Interface => "io",
            Family::Linear => "lin",
            Family::Normalization => "norm",
            Family::Activation => "act",
            Family::Arithmetic => "ew",
            Family::Reduction => "red",
            Family::Movement => "move",
            Family::Quantization => "quant",
            Family::Control => "ctl",
            Family::Constant => "const",
            Family::Other => "other",
            Family::Set(set) => SETS[usize::from(set) % SETS.len()].0,
        }
    }

    /// The colours of boxes, light enough on the one and dark enough on the other for text of the page's colour.
    pub(super) fn colours(self) -> Colours {
        let [light_fill, light_line, dark_fill, dark_line] = match self {
            Family::Interface => ["#dde3ea", "#5b6878", "#39424e", "#93a1b3"],
            Family::Linear => ["#d3e4fb", "#3a76c0", "#1d3c63", "#6ba4ea"],
            Family::Normalization => ["#d3f0e1", "#2b9868", "#164637", "#4dc495"],
            Family::Activation => ["#fdded0", "#d2602f", "#5a2c1a", "#f1946c"],
            Family::Arithmetic => ["#d0eef5", "#24899e", "#12454f", "#57c2d8"],
            Family::Reduction => ["#e4f1c8", "#6d961b", "#35460f", "#a8d24e"],
            Family::Movement => ["#e6ddfb", "#7757c6", "#3a2c65", "#a78ef1"],
            Family::Quantization => ["#fbefbd", "#a9850a", "#4d400e", "#e0be3c"],
            Family::Control => ["#fbdaea", "#c23f7b", "#5a203f", "#ef85b5"],
            Family::Constant => ["#eee6da", "#8c7754", "#453b2b", "#c0aa86"],
            Family::Other => ["#efefef", "#868686", "#3a3a3a", "#a0a0a0"],
            Family::Set(set) => return SETS[usize::from(set) % SETS.len()].1.colours(),
        };
        Colours { light_fill, light_line, dark_fill, dark_line }
    }
}

/// The classes of sets, and the families whose colours they have.
const SETS: [(&str, Family); 9] = [
    ("set0", Family::Linear),
    ("set1", Family::Activation),
    ("set2", Family::Normalization),
    ("set3", Family::Quantization),
    ("set4", Family::Movement),
    ("set5", Family::Reduction),
    ("set6", Family::Control),
    ("set7", Family::Arithmetic),
    ("set8", Family::Constant),
];

/// Fill and outline of a box on a light and on a dark page.
pub(super) struct Colours {
    pub(super) light_fill: &'static str,
    pub(super) light_line: &'static str,
    pub(super) dark_fill: &'static str,
    pub(super) dark_line: &'static str,
}

/// Operator types by family. Only colours depend on it: a type that is missing here is drawn in grey.
const MEMBERS: [(Family, &str); 9] = [
    (
        Family::Linear,
        "Conv ConvTranspose DeformConv MatMul Gemm Einsum LSTM GRU RNN Attention MultiHeadAttention \
         GroupQueryAttention FusedConv FusedMatMul FusedGemm FusedAttention NhwcConv",
    ),
    (
        Family::Normalization,
        "BatchNormalization InstanceNormalization LayerNormalization GroupNormalization RMSNormalization LRN \
         LpNormalization MeanVarianceNormalization SimplifiedLayerNormalization SkipLayerNormalization \
         SkipSimplifiedLayerNormalization EmbedLayerNormalization GroupNorm SkipGroupNorm",
    ),
    (
        Family::Activation,
        "Relu LeakyRelu PRelu Elu Selu Celu Gelu FastGelu BiasGelu QuickGelu Sigmoid HardSigmoid Tanh HardSwish \
         Swish Mish Softplus Softsign ThresholdedRelu Softmax LogSoftmax Hardmax Shrink Clip",
    ),
    (
        Family::Arithmetic,
        "Add Sub Mul Div Pow Sqrt Exp Log Neg Abs Sign Floor Ceil Round Reciprocal Erf Sin Cos Tan Asin Acos Atan \
         Sinh Cosh Asinh Acosh Atanh Mod Min Max Mean Sum Where Equal Greater GreaterOrEqual Less LessOrEqual And \
         Or Xor Not BitShift BitwiseAnd BitwiseOr BitwiseXor BitwiseNot IsNaN IsInf Dropout",
    ),
    (
        Family::Reduction,
        "MaxPool AveragePool LpPool GlobalAveragePool GlobalMaxPool GlobalLpPool MaxRoiPool RoiAlign ReduceMean \
         ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceSumSquare \
         ArgMax ArgMin TopK CumSum CumProd",
    ),
    (
        Family::Movement,
        "Reshape Transpose Flatten Squeeze Unsqueeze Concat Split Slice Gather GatherElements GatherND Scatter \
         ScatterElements ScatterND Pad Expand Tile Identity Cast CastLike Shape Size DepthToSpace SpaceToDepth \
         Resize Upsample ReverseSequence Compress NonZero Unique Trilu OneHot GridSample CenterCropPad Col2Im \
         TensorScatter",
    ),
    (
        Family::Quantization,
        "QuantizeLinear DequantizeLinear DynamicQuantizeLinear QLinearConv QLinearMatMul ConvInteger MatMulInteger \
         QLinearAdd QLinearMul QLinearConcat QLinearSigmoid QLinearLeakyRelu QLinearAveragePool \
         QLinearGlobalAveragePool QLinearSoftmax QGemm MatMulNBits DynamicQuantizeMatMul MatMulIntegerToFloat \
         QAttention",
    ),
    (Family::Control, "If Loop Scan SequenceMap"),
    (
        Family::Constant,
        "Constant ConstantOfShape EyeLike Range RandomNormal RandomNormalLike RandomUniform RandomUniformLike \
         Bernoulli Multinomial",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_in_one_family() {
        let mut types: Vec<&str> = MEMBERS.iter().flat_map(|(_, types)| types.split_ascii_whitespace()).collect();
        let all = types.len();
        types.sort_unstable();
        types.dedup();
        assert_eq!(types.len(), all);
        assert_eq!(Family::of_operator("Conv"), Family::Linear);
        assert_eq!(Family::of_operator("of my own"), Family::Other);
    }
}
