//! What can be asked of `quantize`.

use onnxpress_ir::DType;

use super::target::Target;
use crate::options::Pattern;
use crate::pass::PassError;
use crate::quantize::range::{Calibration, Method};
use crate::quantize::weight::Rounding;
use crate::quantize::weight::adaptive::Beginning;

crate::option_enum! {
    /// The type of the codes of values.
    pub enum Activations {
        /// 0 to 255.
        Uint8,
        /// -128 to 127.
        Int8,
        /// 0 to 65535; needs opset 21.
        Uint16,
        /// -32768 to 32767; needs opset 21.
        Int16,
    }
}

impl Activations {
    /// The same in 16 bits.
    pub(crate) fn wide(self) -> Self {
        match self {
            Self::Uint8 | Self::Uint16 => Self::Uint16,
            Self::Int8 | Self::Int16 => Self::Int16,
        }
    }

    /// The type itself.
    pub(crate) fn dtype(self) -> DType {
        match self {
            Self::Uint8 => DType::Uint8,
            Self::Int8 => DType::Int8,
            Self::Uint16 => DType::Uint16,
            Self::Int16 => DType::Int16,
        }
    }
}

crate::option_enum! {
    /// The type of the codes of weights.
    pub enum Weights {
        /// -127 to 127, zero being 0.
        Int8,
        /// 0 to 255, zero being chosen.
        Uint8,
    }
}

crate::option_enum! {
    /// How many scales a weight has.
    pub enum Scales {
        /// One.
        Tensor,
        /// One for each output channel.
        Channel,
    }
}

crate::option_enum! {
    /// How a weight is rounded.
    pub enum WeightRounding {
        /// To the nearest code, with the scale that just reaches the largest weight.
        Nearest,
        /// To the nearest code, with the scale of least squared error: the largest weights may be clipped.
        Mse,
        /// Up or down, as changes the results of the layer least on the samples, layers after each other, each fitted to repair what
        /// those before it lost; biases are corrected on the way (Nagel et al. 2020).
        Adaptive,
        /// The same, found by gradients first, each weight on its way between the two codes (the relaxation of Nagel et al.). It comes
        /// further and takes longer, by the square of a layer's inputs.
        AdaptiveGradient,
    }
}

impl WeightRounding {
    /// Where the search for codes on samples begins; `None` where there is none.
    pub(super) fn search(self) -> Option<Beginning> {
        match self {
            Self::Nearest | Self::Mse => None,
            Self::Adaptive => Some(Beginning::Nearest),
            Self::AdaptiveGradient => Some(Beginning::Relaxed),
        }
    }

    /// The one of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rounding| rounding.text() == name)
    }

    /// How scale and codes are found of the weight alone.
    pub(crate) fn alone(self) -> Rounding {
        match self {
            Self::Nearest => Rounding::Nearest,
            Self::Mse | Self::Adaptive | Self::AdaptiveGradient => Rounding::Mse,
        }
    }
}

crate::option_enum! {
    /// How computing on codes is written.
    pub enum Written {
        /// Operators on floats between QuantizeLinear and DequantizeLinear, which runtimes fuse.
        Qdq,
        /// QLinearConv and QLinearMatMul, where all that is around them is codes of eight bits; as before elsewhere.
        Qoperator,
    }
}

crate::option_enum! {
    /// What becomes of the layers that hurt most.
    pub enum Relief {
        /// They stay in float.
        Float,
        /// They read values in codes of 16 bits, and stay in float where that is not enough; needs opset 21.
        Sixteen = "16bit",
    }
}

crate::option_enum! {
    /// What becomes of weights of layers that are not computed on codes.
    pub enum Rest {
        /// They are written in eight bits, and made floats of by `Cast` and `Mul`, which runtimes do once, when they load the model.
        Stored,
        /// They stay in float.
        Float,
    }
}

crate::option_enum! {
    /// Layers that stay in float.
    pub enum Exempt {
        /// Those that no other layer comes before.
        First,
        /// Those that no other layer comes after.
        Last,
    }
}

crate::options! {
    /// Computes on whole numbers of few bits: values and weights, with QuantizeLinear and DequantizeLinear around them.
    ///
    /// Ranges of values are measured on samples. Quantized are linear layers and what stands between them, as the runtime that
    /// `target` names fuses it; all else stays in float, so that no operator is surrounded by conversions for nothing. Values
    /// that only move share their parameters, and biases become int32 with the scale of the products. The plan says what was
    /// quantized how, and why the rest was not. The result computes what the model with the standard's fake quantization does.
    pub struct Quantize {
        /// The type of the codes of values.
        activations: Activations = Activations::Uint8,
        /// The type of the codes of weights.
        weights: Weights = Weights::Int8,
        /// How many scales a weight has.
        granularity: Scales = Scales::Channel,
        /// How the range of a value is found.
        calibration: Calibration = Calibration::Mse,
        /// Percent of the elements that `calibration=percentile` keeps inside of the range.
        percentile: f64 = 99.99,
        /// How a weight is rounded.
        rounding: WeightRounding = WeightRounding::Mse,
        /// Whether weights leave a bit unused, for instructions that add two products in 16 bits.
        reduce_range: bool = false,
        /// Whether values have zero in the middle of their codes.
        symmetric: bool = false,
        /// How computing on codes is written.
        form: Written = Written::Qdq,
        /// What runs the result.
        target: Target = Target::Onnxruntime,
        /// Whether tables of which rows are looked up are written as codes.
        tables: bool = true,
        /// What becomes of weights of layers that the target does not compute on codes: recurrent ones, those in subgraphs.
        rest: Rest = Rest::Stored,
        /// Whether products of two computed values, as in attention, are computed on codes.
        products: bool = true,
        /// Whether the mean of what rounding the weights does to each channel is taken off its bias.
        correct_bias: bool = true,
        /// The most that the outputs may be off on the samples, in percent of their energy (0.1 is 30 dB): the layers that
        /// hurt most stay in float, or read 16 bits, until it fits.
        budget: Option<f64> = None,
        /// What becomes of the layers that hurt most, until the budget fits.
        relief: Relief = Relief::Float,
        /// Whether the result may take more bytes than what came in, as small models do, whose weights save less than conversions take.
        grow: bool = false,
        /// Layers that stay in float.
        exempt: Vec<Exempt> = Vec::new(),
        /// Only nodes of such a name, or with such a weight, are quantized; all, where none is given.
        only: Vec<Pattern> = Vec::new(),
        /// No node of such a name or with such a weight is quantized.
        keep: Vec<Pattern> = Vec::new(),
        /// Other types for some, as in `["head*=float", "conv1=int16"]`: what the values that a node reads become.
        overrides: Vec<String> = Vec::new(),
    }
}

/// Another type for the values that some nodes read; `None` where they stay in float.
pub(crate) struct Override {
    pub(crate) text: String,
    pub(crate) pattern: Pattern,
    pub(crate) activations: Option<Activations>,
}

impl Quantize {
    /// Checks what the parser cannot.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn overrides(&self) -> Result<Vec<Override>, PassError> {
        if !(self.percentile > 50.0 && self.percentile <= 100.0) {
            let found = self.percentile;
            return Err(PassError::Request(format!("`percentile` is {found}, expected more than 50 and at most 100")));
        }
        if let Some(budget) = self.budget.filter(|budget| *budget < 0.0) {
            return Err(PassError::Request(format!("`budget` is {budget}, expected a number of percent from 0 on")));
        }
        let one = |text: &String| {
            let fail = |reason: String| PassError::Request(format!("override `{text}`: {reason}"));
            let (pattern, word) = text.rsplit_once('=').ok_or_else(|| fail("expected PATTERN=TYPE".to_owned()))?;
            let activations = match Activations::ALL.into_iter().find(|activations| activations.text() == word) {
                None if word == "float" => None,
                None => {
                    let types = Activations::ALL.map(Activations::text).join(", ");
                    return Err(fail(format!("`{word}` is no type, expected float, {types}")));
                }
                found => found,
            };
            Ok(Override { text: text.clone(), pattern: Pattern::new(pattern), activations })
        };
        self.overrides.iter().map(one).collect()
    }

    /// How ranges are found for codes of so many steps.
    pub(crate) fn method(&self, steps: u32) -> Method {
        Method { calibration: self.calibration, percentile: self.percentile, steps }
    }
}
