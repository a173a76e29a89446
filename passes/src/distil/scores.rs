//! What classes student and teacher choose.

use onnxpress_ir::Tensor;
use onnxpress_ir::shape::normalize_axis;

use crate::evidence::EvidenceError;

fn failed(error: impl std::fmt::Display) -> EvidenceError {
    EvidenceError::Run(error.to_string())
}

/// On how many rows of scores along an axis the two have their largest at the same place, and of how many.
///
/// # Errors
/// Where they are no numbers.
pub(super) fn agreed(ours: &Tensor, theirs: &Tensor, axis: i64) -> Result<(usize, usize), EvidenceError> {
    let best = |tensor: &Tensor| Ok::<_, EvidenceError>(best_of(tensor, &tensor.to_f64s().map_err(failed)?, axis));
    let (ours, theirs) = (best(ours)?, best(theirs)?);
    Ok((ours.iter().zip(&theirs).filter(|(a, b)| a == b).count(), ours.len()))
}

/// The largest along an axis, for each index of the others.
fn best_of(tensor: &Tensor, values: &[f64], axis: i64) -> Vec<usize> {
    let Some(axis) = normalize_axis(axis, tensor.rank()) else { return Vec::new() };
    let dims = tensor.dims();
    let inner: usize = dims[axis + 1..].iter().product();
    let lane = dims[axis] * inner;
    let lanes = values
        .chunks_exact(lane.max(1))
        .flat_map(|block| (0..inner).map(move |at| block.iter().skip(at).step_by(inner)));
    lanes
        .map(|lane| {
            lane.enumerate().fold((0, f64::NEG_INFINITY), |best, (at, &x)| if x > best.1 { (at, x) } else { best }).0
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_best_class_is_found_along_any_axis() {
        let scores = Tensor::from_values(&[1, 3, 2], vec![1f64, 9.0, 5.0, 2.0, 3.0, 4.0]).unwrap();
        let values = scores.to_f64s().unwrap();
        assert_eq!(best_of(&scores, &values, 1), [1, 0]);
        assert_eq!(best_of(&scores, &values, -1), [1, 0, 1]);
        let others = Tensor::from_values(&[1, 3, 2], vec![9f64, 1.0, 5.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!(agreed(&scores, &others, -1).unwrap(), (2, 3));
    }
}
