//! Activation functions that recurrent layers name in an attribute, with their parameters.

use crate::infer::Undecided;
use crate::node::Attrs;

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Activation {
    Relu,
    Tanh,
    Sigmoid,
    Softsign,
    Softplus,
    Affine { alpha: f64, beta: f64 },
    LeakyRelu { alpha: f64 },
    ThresholdedRelu { alpha: f64 },
    ScaledTanh { alpha: f64, beta: f64 },
    HardSigmoid { alpha: f64, beta: f64 },
    Elu { alpha: f64 },
}

impl Activation {
    pub(super) fn apply(self, x: f64) -> f64 {
        match self {
            Self::Relu => x.max(0.0),
            Self::Tanh => x.tanh(),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::Softsign => x / (1.0 + x.abs()),
            // For large x the exponential is infinite, its logarithm is not.
            Self::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
            Self::Affine { alpha, beta } => alpha * x + beta,
            Self::LeakyRelu { alpha } => {
                if x >= 0.0 {
                    x
                } else {
                    alpha * x
                }
            }
            Self::ThresholdedRelu { alpha } => {
                if x >= alpha {
                    x
                } else {
                    0.0
                }
            }
            Self::ScaledTanh { alpha, beta } => alpha * (beta * x).tanh(),
            Self::HardSigmoid { alpha, beta } => (alpha * x + beta).clamp(0.0, 1.0),
            Self::Elu { alpha } => {
                if x >= 0.0 {
                    x
                } else {
                    alpha * x.exp_m1()
                }
            }
        }
    }

    /// The functions of a node, those of one direction after those of the other: as its attributes say, or `otherwise` for
    /// each of `directions`. A function takes a parameter from the lists only if it has one.
    ///
    /// # Errors
    /// Where there are more or fewer, or an unknown one.
    pub(super) fn of(attrs: &Attrs<'_>, otherwise: &[Self], directions: usize) -> Result<Vec<Self>, Undecided> {
        let Some(names) = attrs.strings("activations")?.filter(|names| !names.is_empty()) else {
            return Ok(otherwise.repeat(directions));
        };
        let expected = otherwise.len() * directions;
        if names.len() != expected {
            return Err(Undecided::invalid(format!("{} activations, not {expected}", names.len())));
        }
        let mut alphas = attrs.floats("activation_alpha")?.unwrap_or_default().into_iter();
        let mut betas = attrs.floats("activation_beta")?.unwrap_or_default().into_iter();
        let mut alpha = |otherwise: f32| f64::from(alphas.next().unwrap_or(otherwise));
        let mut beta = |otherwise: f32| f64::from(betas.next().unwrap_or(otherwise));
        let mut known = |name: &[u8]| {
            Some(match name.to_ascii_lowercase().as_slice() {
                b"relu" => Self::Relu,
                b"tanh" => Self::Tanh,
                b"sigmoid" => Self::Sigmoid,
                b"softsign" => Self::Softsign,
                b"softplus" => Self::Softplus,
                b"affine" => Self::Affine { alpha: alpha(1.0), beta: beta(0.0) },
                b"leakyrelu" => Self::LeakyRelu { alpha: alpha(0.01) },
                b"thresholdedrelu" => Self::ThresholdedRelu { alpha: alpha(1.0) },
                b"scaledtanh" => Self::ScaledTanh { alpha: alpha(1.0), beta: beta(1.0) },
                b"hardsigmoid" => Self::HardSigmoid { alpha: alpha(0.2), beta: beta(0.5) },
                b"elu" => Self::Elu { alpha: alpha(1.0) },
                _ => return None,
            })
        };
        let one = |name: &bytes::Bytes| {
            known(name).ok_or_else(|| Undecided::invalid(format!("activation `{}`", String::from_utf8_lossy(name))))
        };
        names.iter().map(one).collect()
    }
}
