//! Constants in another float type.

use half::{bf16, f16};
use onnxpress_ir::{DType, Tensor, TensorError};

/// A constant in another float type: rounded to nearest, what is beyond the largest number becomes that.
///
/// # Errors
/// Where the constant is of no numbers.
pub(super) fn converted(tensor: &Tensor, to: DType) -> Result<Tensor, TensorError> {
    if let Ok(values) = tensor.values::<f32>() {
        match to {
            DType::Float16 => {
                let half =
                    |value: f32| f16::from_f32(if value.is_finite() { value.clamp(-65504.0, 65504.0) } else { value });
                return Tensor::from_values(tensor.dims(), values.iter().map(|&value| half(value)).collect());
            }
            DType::Bfloat16 => {
                let (low, high) = (bf16::MIN.to_f32(), bf16::MAX.to_f32());
                let half = |value: f32| bf16::from_f32(if value.is_finite() { value.clamp(low, high) } else { value });
                return Tensor::from_values(tensor.dims(), values.iter().map(|&value| half(value)).collect());
            }
            _ => {}
        }
    }
    let values = tensor.to_f64s()?;
    let limit = f64::from(f32::MAX);
    let within: Vec<f64> =
        values.into_iter().map(|value| if value.is_finite() { value.clamp(-limit, limit) } else { value }).collect();
    Tensor::from_f64s(to, tensor.dims(), &within)
}

/// A constant rounded to what another type holds, in its own; computed when somebody looks at it.
///
/// # Errors
/// Where its extents make no tensor.
pub(super) fn rounded(tensor: &Tensor, to: DType) -> Result<Tensor, TensorError> {
    let own = tensor.clone();
    Tensor::deferred(tensor.dtype(), tensor.dims(), move || {
        let round = |tensor: &Tensor| {
            let values = converted(tensor, to)?.to_f64s()?;
            Tensor::from_f64s(tensor.dtype(), tensor.dims(), &values)
        };
        let made = round(&own).ok().and_then(|tensor| tensor.bytes().cloned());
        made.or_else(|| own.bytes().cloned()).unwrap_or_default()
    })
}
