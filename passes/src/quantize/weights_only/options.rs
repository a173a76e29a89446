//! What can be asked of `quantize-weights`, and the run.

use onnxpress_ir::{DType, Model};

use super::apply;
use crate::options::{Options, Pattern};
use crate::pass::{Pass, PassCx, PassError};
use crate::quantize::weight::{Rounding, Scheme};

crate::option_enum! {
    /// How many bits a weight is written in.
    pub enum Bits {
        /// Four, two weights a byte, from opset 21 on.
        Four = "4",
        /// Eight.
        Eight = "8",
        /// Sixteen, from opset 21 on.
        Sixteen = "16",
    }
}

crate::option_enum! {
    /// How many scales a weight has.
    pub enum Granularity {
        /// One.
        Tensor,
        /// One for each output channel, which takes opset 13.
        Channel,
    }
}

crate::option_enum! {
    /// What makes floats of codes.
    pub enum Form {
        /// `DequantizeLinear`, from opset 10 on: runtimes keep the codes in memory and decode them in every run, or compute with them.
        Dequantize,
        /// `Cast` and `Mul`, in any opset: runtimes decode them once, when they load the model, and run as fast as before.
        Cast,
    }
}

crate::options! {
    /// Writes weights in few bits, and behind them what makes floats of the codes.
    ///
    /// Weights are constants that layers multiply by (`Conv`, `ConvTranspose`, `Gemm`, `MatMul`, `Einsum`, `LSTM`, `GRU` and
    /// others) and tables in which `Gather` looks up, in subgraphs and functions too. A weight that is shared is written once
    /// and stays shared. Rows that are looked up in a table become floats after the lookup. A weight stays as it is where codes
    /// and scales would take no less.
    ///
    /// The model goes to a newer version of the standard where the codes need it, and no further; the report says so. The result
    /// computes what the model computes whose weights are rounded.
    pub struct QuantizeWeights {
        /// How many bits a weight is written in.
        bits: Bits = Bits::Eight,
        /// How many scales a weight has.
        granularity: Granularity = Granularity::Channel,
        /// Whether zero is in the middle of the codes; otherwise there is a zero point, and codes reach from the least weight to
        /// the largest.
        symmetric: bool = true,
        /// How a scale is found.
        rounding: Rounding = Rounding::Nearest,
        /// What makes floats of codes.
        form: Form = Form::Dequantize,
        /// Weights that stay: by their own name, or that of a node that reads them or of its output.
        keep: Vec<Pattern> = Vec::new(),
        /// Only weights of such a name; all, where none is given.
        only: Vec<Pattern> = Vec::new(),
    }
}

impl QuantizeWeights {
    /// The type of codes.
    pub(super) fn dtype(&self) -> DType {
        match (self.bits, self.symmetric) {
            (Bits::Four, true) => DType::Int4,
            (Bits::Four, false) => DType::Uint4,
            (Bits::Eight, true) => DType::Int8,
            (Bits::Eight, false) => DType::Uint8,
            (Bits::Sixteen, true) => DType::Int16,
            (Bits::Sixteen, false) => DType::Uint16,
        }
    }

    /// How a weight is written.
    pub(super) fn scheme(&self) -> Scheme {
        Scheme { dtype: self.dtype(), symmetric: self.symmetric, reduce_range: false, rounding: self.rounding }
    }
}

impl Pass for QuantizeWeights {
    const NAME: &'static str = "quantize-weights";
    const LOSSY: bool = true;

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        apply::run(self, &format!("{}{{{}}}", Self::NAME, self.to_text()), model, cx)
    }
}
