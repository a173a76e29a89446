//! What can be asked of `quantize-weights`, and the run.

use onnxpress_ir::{DType, Model};

use super::{apply, nbits};
use crate::evidence::EvidenceSource;
use crate::options::{Options, Pattern};
use crate::pass::{Pass, PassCx, PassError};
use crate::quantize::weight::{Meaning, Rounding, Scheme};

/// Neighbours that share a scale where onnxruntime's operators are asked for and nothing is said of blocks.
const BLOCK_OF_NBITS: usize = 32;

crate::option_enum! {
    /// How many bits a weight is written in.
    pub enum Bits {
        /// Two, four weights a byte, from opset 25 on; with `form=dequantize` in codes of four where onnxruntime would misread them, in products whose
        /// columns are no multiple of four.
        Two = "2",
        /// Three, in codes of four of which half stay unused.
        Three = "3",
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
    /// The type of codes.
    pub enum CodeType {
        /// Whole numbers of two bits.
        Int2,
        /// The same without a sign.
        Uint2,
        /// Whole numbers of four bits.
        Int4,
        /// The same without a sign.
        Uint4,
        /// Whole numbers of eight bits.
        Int8,
        /// The same without a sign.
        Uint8,
        /// Whole numbers of sixteen bits.
        Int16,
        /// The same without a sign.
        Uint16,
        /// Floats of eight bits, four of them exponent.
        Float8E4M3FN = "float8e4m3fn",
        /// Floats of eight bits, five of them exponent.
        Float8E5M2 = "float8e5m2",
        /// Floats of four bits, two of them exponent, from opset 23 on; onnxruntime does not read them.
        Float4E2M1 = "float4e2m1",
        /// The quantiles of a normal distribution in four bits, looked up by operators of any version that has the codes.
        Nf4 = "nf4",
    }
}

crate::option_enum! {
    /// What makes floats of codes.
    pub enum Form {
        /// `DequantizeLinear`, from opset 10 on: runtimes keep the codes in memory and decode them in every run, or compute with them.
        Dequantize,
        /// `Cast` and `Mul`, in any opset: runtimes decode them once, when they load the model, and run as fast as before.
        Cast,
        /// `MatMulNBits` and `GatherBlockQuantized` of onnxruntime, in any opset: its kernels compute with the codes. For products and
        /// lookups of matrices in blocks of 16, 32, 64 … along what is summed over; other weights are decoded by `DequantizeLinear`.
        Matmulnbits,
    }
}

crate::option_enum! {
    /// The type that scales are stored in.
    pub enum Scales {
        /// Half the bytes, behind each a `Cast` that runtimes take out when they load the model. A weight that is so small that its scales
        /// leave the range keeps floats.
        Float16,
    }
}

impl Scales {
    /// As a type of elements.
    pub(super) fn dtype(self) -> DType {
        match self {
            Self::Float16 => DType::Float16,
        }
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
        /// So many neighbours along the axis that is summed over share a scale, from opset 21 on; `granularity` then counts where
        /// an axis is shorter. Unless said, 32 with `form=matmulnbits`, whose operators read nothing but blocks.
        block: Option<usize> = None,
        /// The type of codes, in the place of what `bits` and `symmetric` say.
        r#type: Option<CodeType> = None,
        /// Whether zero is in the middle of the codes; otherwise there is a zero point, and codes reach from the least weight to
        /// the largest. Unless said, only `rounding=hqq` has zero points, which it is about.
        symmetric: Option<bool> = None,
        /// How a scale is found.
        rounding: Rounding = Rounding::Nearest,
        /// With `rounding=gptq` the share of the mean of a second moment's diagonal that is added to all of it.
        damping: f64 = apply::DAMPING,
        /// What makes floats of codes.
        form: Form = Form::Dequantize,
        /// The type that scales of floats are stored in; their own, where none is given.
        scales: Option<Scales> = None,
        /// Whether samples are used, where there are any: layers are then fitted one after the other before they are rounded.
        data: bool = true,
        /// Weights that stay: by their own name, or that of a node that reads them or of its output.
        keep: Vec<Pattern> = Vec::new(),
        /// Only weights of such a name; all, where none is given.
        only: Vec<Pattern> = Vec::new(),
        /// Whether the model may go to a newer opset where codes need it; otherwise it is refused.
        upgrade: bool = true,
    }
}

impl QuantizeWeights {
    /// The type of codes, and what they stand for.
    fn codes(&self) -> (DType, Meaning) {
        let dtype = match self.r#type {
            Some(CodeType::Nf4) => return (DType::Uint4, Meaning::Nf4),
            Some(CodeType::Int2) => DType::Int2,
            Some(CodeType::Uint2) => DType::Uint2,
            Some(CodeType::Int4) => DType::Int4,
            Some(CodeType::Uint4) => DType::Uint4,
            Some(CodeType::Int8) => DType::Int8,
            Some(CodeType::Uint8) => DType::Uint8,
            Some(CodeType::Int16) => DType::Int16,
            Some(CodeType::Uint16) => DType::Uint16,
            Some(CodeType::Float8E4M3FN) => DType::Float8e4m3fn,
            Some(CodeType::Float8E5M2) => DType::Float8e5m2,
            Some(CodeType::Float4E2M1) => DType::Float4e2m1,
            None => match (self.bits, self.symmetric()) {
                (Bits::Two, true) => DType::Int2,
                (Bits::Two, false) => DType::Uint2,
                (Bits::Three | Bits::Four, true) => DType::Int4,
                (Bits::Three | Bits::Four, false) => DType::Uint4,
                (Bits::Eight, true) => DType::Int8,
                (Bits::Eight, false) => DType::Uint8,
                (Bits::Sixteen, true) => DType::Int16,
                (Bits::Sixteen, false) => DType::Uint16,
            },
        };
        (dtype, Meaning::Number)
    }

    /// Whether zero is in the middle of the codes.
    fn symmetric(&self) -> bool {
        self.symmetric.unwrap_or(self.rounding != Rounding::Hqq)
    }

    /// Neighbours that share a scale.
    pub(super) fn block(&self) -> Option<usize> {
        self.block.or((self.form == Form::Matmulnbits).then_some(BLOCK_OF_NBITS))
    }

    /// How a weight is written.
    pub(super) fn scheme(&self) -> Scheme {
        let (dtype, meaning) = self.codes();
        let bits = (self.bits == Bits::Three && self.r#type.is_none()).then_some(3);
        Scheme { meaning, bits, ..Scheme::of(dtype, self.symmetric(), self.rounding) }
    }

    /// The samples that it works with.
    ///
    /// # Errors
    /// Where there are none and the rounding needs some.
    pub(super) fn source<'a>(&self, cx: &PassCx<'a>) -> Result<Option<&'a dyn EvidenceSource>, PassError> {
        match self.rounding.needs_data() {
            true => cx.data(&format!("`rounding={}`", self.rounding)).map(Some),
            false => Ok(cx.user_samples().filter(|_| self.data)),
        }
    }

    /// Refuses what no model can be given.
    pub(super) fn validated(&self) -> Result<(), PassError> {
        if self.block.is_some_and(|block| block < 2) {
            return Err(PassError::Request("`block` is a number of at least 2".to_owned()));
        }
        if !(self.damping > 0.0 && self.damping.is_finite()) {
            return Err(PassError::Request(format!("`damping` is {}, expected more than 0", self.damping)));
        }
        if self.rounding.needs_data() && !self.data {
            return Err(PassError::Request(format!("`rounding={}` needs data, and `data` is false", self.rounding)));
        }
        let (dtype, meaning) = self.codes();
        let whole = meaning == Meaning::Number && !dtype.is_float();
        if !whole && self.symmetric == Some(false) {
            return Err(PassError::Request(
                "codes of this type have no zero point, so `symmetric` cannot be false".to_owned(),
            ));
        }
        if self.rounding == Rounding::Hqq && !whole {
            return Err(PassError::Request(
                "`rounding=hqq` chooses zero points, which codes of this type do not have".to_owned(),
            ));
        }
        if self.rounding == Rounding::Hqq && self.symmetric() {
            return Err(PassError::Request(
                "`rounding=hqq` chooses zero points, so `symmetric` cannot be true".to_owned(),
            ));
        }
        if let (Form::Matmulnbits, Some(block)) = (self.form, self.block)
            && !nbits::reads_blocks_of(block)
        {
            let found = format!("`block` is {block}, expected 16, 32, 64 …, which `form=matmulnbits` reads");
            return Err(PassError::Request(found));
        }
        Ok(())
    }
}

impl Pass for QuantizeWeights {
    const NAME: &'static str = "quantize-weights";
    const LOSSY: bool = true;

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        self.validated()?;
        apply::run(self, &format!("{}{{{}}}", Self::NAME, self.to_text()), model, cx)
    }
}
