//! The weights of least magnitude, of a tensor of any size.
//!
//! Nothing has to be told of them but their magnitudes, so nothing is copied but those: the weight as doubles, scores of those and
//! an order of the scores would take six times what the tensor has.

use onnxpress_ir::{DType, Tensor};

/// The tensor without a share of its elements, the least; of equal ones the first go.
pub(super) fn removed(tensor: &Tensor, share: f64) -> Option<Tensor> {
    let count = ((share * tensor.len() as f64).round() as usize).min(tensor.len());
    if tensor.dtype() != DType::Float {
        let values = cut(tensor.to_f64s().ok()?, count, f64::abs, f64::total_cmp);
        return Tensor::from_f64s(tensor.dtype(), tensor.dims(), &values).ok();
    }
    Tensor::from_values(tensor.dims(), cut(tensor.to_f32s().ok()?, count, f32::abs, f32::total_cmp)).ok()
}

fn cut<T: Copy + Default>(
    mut values: Vec<T>,
    count: usize,
    size: impl Fn(T) -> T,
    compare: impl Fn(&T, &T) -> std::cmp::Ordering,
) -> Vec<T> {
    let Some(last) = count.checked_sub(1) else { return values };
    let mut sizes: Vec<T> = values.iter().map(|&value| size(value)).collect();
    let limit = *sizes.select_nth_unstable_by(last, &compare).1;
    let below = sizes[..last].iter().filter(|size| compare(size, &limit).is_lt()).count();
    drop(sizes);
    let mut equal = count - below;
    for value in &mut values {
        let order = compare(&size(*value), &limit);
        if order.is_lt() || order.is_eq() && equal > 0 {
            equal -= usize::from(order.is_eq());
            *value = T::default();
        }
    }
    values
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_least_go_and_of_equal_ones_the_first() {
        let values = [3.0f32, -1.0, 1.0, 0.5, -1.0, 2.0];
        let left = |share| {
            let single = Tensor::from_values(&[2, 3], values.to_vec()).unwrap();
            let half = Tensor::from_f64s(DType::Float16, &[2, 3], &single.to_f64s().unwrap()).unwrap();
            let [single, half] = [single, half].map(|tensor| removed(&tensor, share).unwrap());
            assert_eq!(single.to_f64s().unwrap(), half.to_f64s().unwrap());
            single.to_f32s().unwrap()
        };
        assert_eq!(left(0.0), values);
        assert_eq!(left(0.5), [3.0, 0.0, 0.0, 0.0, -1.0, 2.0]);
        assert_eq!(left(1.0), [0.0; 6]);
    }
}
