//! What gradients say of channels: how much the model's answers would change without one, to a first approximation.
//!
//! Along an axis of a weight, `taylor` is the square of what the products of weights and gradients add up to, `fisher` the sum of their
//! squares; both are means over batches of samples.
//!
//! Sources: P. Molchanov et al., "Importance estimation for neural network pruning" (2019), equation 8; L. Theis et al., "Faster gaze
//! prediction with dense networks and Fisher pruning" (2018).

use std::collections::BTreeMap;

use onnxpress_ir::{Model, NodeId};

use super::super::members::Member;
use super::super::score::Criterion;
use crate::differentiate::on_samples;
use crate::evidence::EvidenceSource;
use crate::pass::PassError;

/// What each index along an axis of a weight is worth.
#[derive(Debug, Default)]
pub(in super::super) struct Sensed(BTreeMap<(NodeId, usize), Vec<f64>>);

impl Sensed {
    /// What the indices along an axis of a constant are worth; `None` where the constant has no gradient.
    pub(in super::super) fn along(&self, constant: NodeId, axis: usize) -> Option<&[f64]> {
        self.0.get(&(constant, axis)).map(Vec::as_slice)
    }
}

/// Measures what members of leaves that are `active` are worth.
///
/// # Errors
/// Where the model cannot be run, or has no gradients.
pub(in super::super) fn sensed(
    model: &Model,
    members: &[Vec<Member>],
    active: &[bool],
    source: &dyn EvidenceSource,
    criterion: Criterion,
) -> Result<Sensed, PassError> {
    let wanted = members.iter().zip(active).filter(|(_, active)| **active).flat_map(|(members, _)| members);
    let mut axes: BTreeMap<NodeId, Vec<usize>> = BTreeMap::new();
    for member in wanted {
        let axes = axes.entry(member.constant).or_default();
        if !axes.contains(&member.axis) {
            axes.push(member.axis);
        }
    }
    let mut found = Sensed::default();
    on_samples(model, source, &mut |step, gradients| {
        for ((parameter, weights), gradients) in step.parameters.iter().zip(&step.start).zip(gradients) {
            let (Some(axes), Ok(values)) = (axes.get(&parameter.constant), weights.to_f32s()) else { continue };
            let products: Vec<f64> = values.iter().zip(gradients).map(|(w, g)| f64::from(*w) * f64::from(*g)).collect();
            for &axis in axes {
                let worth = along(weights.dims(), axis, &products, criterion);
                let sums = found.0.entry((parameter.constant, axis)).or_insert_with(|| vec![0.0; worth.len()]);
                sums.iter_mut().zip(worth).for_each(|(sum, worth)| *sum += worth);
            }
        }
    })?;
    Ok(found)
}

/// Products of weights and gradients brought together along an axis.
fn along(dims: &[usize], axis: usize, products: &[f64], criterion: Criterion) -> Vec<f64> {
    let (extent, inner) = (dims[axis], dims[axis + 1..].iter().product::<usize>().max(1));
    let mut sums = vec![0.0; extent];
    for (at, product) in products.iter().enumerate() {
        sums[at / inner % extent] += if criterion == Criterion::Taylor { *product } else { product * product };
    }
    if criterion == Criterion::Taylor {
        sums.iter_mut().for_each(|sum| *sum *= *sum);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taylor_adds_up_before_it_squares() {
        let products = [1.0, -1.0, 2.0, 3.0, 0.0, 1.0];
        let of = |axis, criterion| along(&[2, 3], axis, &products, criterion);
        assert_eq!(of(0, Criterion::Taylor), [4.0, 16.0]);
        assert_eq!(of(0, Criterion::Fisher), [6.0, 10.0]);
        assert_eq!(of(1, Criterion::Taylor), [16.0, 1.0, 9.0]);
        assert_eq!(of(1, Criterion::Fisher), [10.0, 1.0, 5.0]);
    }
}
