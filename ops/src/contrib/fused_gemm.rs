//! `FusedGemm` of `com.microsoft`: `Gemm` and an activation after it.
//!
//! Operands and output as for `Gemm`; the attribute `activation` names one of the standard's activation functions, whose
//! `alpha`, `beta` and `gamma` are `activation_alpha` and so on.
//!
//! Source: onnxruntime, `FusedGemm`, version 1.

use super::DOMAIN;
use crate::activation::{elu, hard_sigmoid, leaky_relu, relu, sigmoid, softplus, softsign, thresholded_relu};
use crate::axes::Axes;
use crate::evaluate::elementwise::map_floats;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::linear::gemm;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static FUSED_GEMM: Operator = Operator {
    domain: DOMAIN,
    name: "FusedGemm",
    infer: Infer::With(gemm::infer),
    axes: Axes::With(gemm::axes),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::Layers(gemm::layers),
    quantize: Quantize::Computes,
    cost: Cost::Macs(gemm::macs),
    effects: Effects::Pure,
    gradient: Gradient::SpelledOut(super::spelling::fused_gemm),
};

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let product = gemm::gemm(cx)?;
    let parameter = |name: &str, otherwise: f32| cx.attrs().float_or(name, otherwise).map(f64::from);
    let name = cx.attrs().string_or("activation", "".into())?;
    let activated = match name.as_ref() {
        "" => product,
        "Relu" => map_floats(&product, relu)?,
        "Sigmoid" => map_floats(&product, sigmoid)?,
        "Tanh" => map_floats(&product, f64::tanh)?,
        "Softplus" => map_floats(&product, softplus)?,
        "Softsign" => map_floats(&product, softsign)?,
        "LeakyRelu" => {
            let alpha = parameter("activation_alpha", 0.01)?;
            map_floats(&product, |x| leaky_relu(x, alpha))?
        }
        "ThresholdedRelu" => {
            let alpha = parameter("activation_alpha", 1.0)?;
            map_floats(&product, |x| thresholded_relu(x, alpha))?
        }
        "Elu" => {
            let alpha = parameter("activation_alpha", 1.0)?;
            map_floats(&product, |x| elu(x, alpha))?
        }
        "HardSigmoid" => {
            let (alpha, beta) = (parameter("activation_alpha", 0.2)?, parameter("activation_beta", 0.5)?);
            map_floats(&product, |x| hard_sigmoid(x, alpha, beta))?
        }
        other => return Err(EvalError::unsupported(format!("activation `{other}`"))),
    };
    Ok(vec![activated.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn the_activation_comes_after_the_product() {
        let node = |activation| {
            op("FusedGemm")
                .domain("com.microsoft")
                .string("activation", activation)
                .floats(&[1, 1], &[2.0])
                .floats(&[1, 2], &[-3.0, 4.0])
        };
        assert_eq!(node("Relu").f32s(), [0.0, 8.0]);
        assert_eq!(node("LeakyRelu").float("activation_alpha", 0.5).f32s(), [-3.0, 8.0]);
        assert_eq!(node("Sine").fault(), "activation `Sine` is not supported by the interpreter");
        assert_eq!(
            op("FusedGemm").domain("com.microsoft").input("float[N,4]").input("float[4,5]").infer(),
            "float[N,5]"
        );
    }
}
