//! What can be asked of `quantize-dynamic`.

use onnxpress_ir::{DType, Model};

use super::run;
use crate::options::Pattern;
use crate::pass::{Pass, PassCx, PassError};
use crate::quantize::weight::{Rounding, Scheme};
use crate::quantize::weights_only::Granularity;

crate::option_enum! {
    /// What becomes of convolutions and other layers that are no matrix products.
    pub enum Convolutions {
        /// Their weights are written in eight bits and made floats of by `Cast` and `Mul`, which runtimes do once, when they load
        /// the model: as small as integers, as fast as floats.
        Stored,
        /// Convolutions become `ConvInteger`, which onnxruntime computes several times slower than `Conv`; other layers as above.
        Integer,
        /// They stay as they are.
        Float,
    }
}

crate::option_enum! {
    /// The type of weights.
    pub enum WeightType {
        /// Around zero.
        Int8,
        /// Around 128: for processors that have no instructions for products of bytes with a sign and saturate.
        Uint8,
    }
}

crate::options! {
    /// Computes matrix products on whole numbers; activations are quantized in every run, by their range there.
    ///
    /// `MatMul` and `Gemm` with constant weights, and with `products` those of computed values, become `DynamicQuantizeLinear` and `MatMulInteger`, which runtimes fuse. Tables
    /// in which rows are looked up, and the weights of other layers, are written in eight bits, and floats again where they are
    /// used. The model goes to opset 11 where it is older, and no further.
    ///
    /// The result computes what the model computes whose weights and activations are rounded so.
    pub struct QuantizeDynamic {
        /// The type of weights.
        weights: WeightType = WeightType::Int8,
        /// How many scales a weight has.
        granularity: Granularity = Granularity::Channel,
        /// How a weight's scale is found.
        rounding: Rounding = Rounding::Nearest,
        /// Whether weights are of seven bits, for processors that add two products in 16 bits and saturate.
        reduce_range: bool = false,
        /// What becomes of convolutions and other layers that are no matrix products.
        convolutions: Convolutions = Convolutions::Stored,
        /// Whether products of two computed values, as in attention, are computed on whole numbers too, both quantized in every run.
        products: bool = false,
        /// Weights that stay: by their own name, or that of a node that reads them or of its output.
        keep: Vec<Pattern> = Vec::new(),
        /// Only weights of such a name; all, where none is given.
        only: Vec<Pattern> = Vec::new(),
    }
}

impl QuantizeDynamic {
    /// How the weights of integer products are written.
    pub(super) fn scheme(&self) -> Scheme {
        let dtype = match self.weights {
            WeightType::Int8 => DType::Int8,
            WeightType::Uint8 => DType::Uint8,
        };
        Scheme { reduce_range: self.reduce_range, ..Scheme::of(dtype, true, self.rounding) }
    }

    /// How weights are written that are floats again when they are used.
    pub(super) fn stored(&self) -> Scheme {
        Scheme { reduce_range: false, dtype: DType::Int8, ..self.scheme() }
    }
}

impl Pass for QuantizeDynamic {
    const NAME: &'static str = "quantize-dynamic";
    const LOSSY: bool = true;

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        if self.rounding == Rounding::Hqq {
            return Err(PassError::Request(
                "weights of integer products have no zero points for `rounding=hqq`".to_owned(),
            ));
        }
        if self.rounding.needs_data() {
            return Err(PassError::Request(format!("`rounding={}` is for `quantize-weights`", self.rounding)));
        }
        run::run(self, model, cx)
    }
}
