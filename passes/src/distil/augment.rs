//! Samples shown in another way each time: the teacher answers to what is shown, so no label has to hold.

use onnxpress_ir::random::SplitMix64;
use onnxpress_ir::{DType, Graph, Tensor};
use onnxpress_ops::evaluate::Value;

use super::Augmentation;

/// How far pictures are moved at most, in places.
const SHIFT: usize = 4;

/// The deviation of what is added, as a share of the batch's own.
const NOISE: f64 = 0.05;

/// The fewest rows and columns of what is taken for a picture.
const PICTURE: i64 = 28;

/// What `auto` comes to for inputs of these shapes: pictures are moved, and those in colour mirrored too. What is gray is writing more often
/// than not, which a mirror makes something else of.
pub(super) fn fitting(graph: &Graph) -> Vec<Augmentation> {
    let mut ways = Vec::new();
    for &id in graph.inputs() {
        let input = graph.input(id);
        let extent = |axis: usize| input.declared.shape()?.get(axis)?.as_const();
        let rank = input.declared.shape().map_or(0, |shape| shape.len());
        if rank != 4 || input.declared.dtype() != Some(DType::Float) || input.default.is_some() {
            continue;
        }
        if extent(2).min(extent(3)).is_some_and(|least| least >= PICTURE) {
            ways = match extent(1) {
                Some(3 | 4) => vec![Augmentation::Flip, Augmentation::Crop4],
                Some(1) => vec![Augmentation::Crop4],
                _ => ways,
            };
        }
    }
    ways
}

/// Changes a batch: inputs of floats, pictures `[n, c, h, w]` where they are mirrored or moved. Nothing is mixed where an input is
/// not of floats.
pub(super) fn augment(inputs: &mut [Option<Value>], ways: &[Augmentation], random: &mut SplitMix64) {
    let floats = |value: &Value| matches!(value, Value::Tensor(tensor) if tensor.dtype() == DType::Float);
    let all_floats = inputs.iter().flatten().all(floats);
    // All inputs of a sample are mixed by the same share.
    let mut mixing = random.clone();
    let samples = inputs.iter().flatten().find_map(|value| value.as_tensor().ok()?.dims().first().copied());
    let shares: Vec<f64> = (0..samples.unwrap_or(0)).map(|_| mixing.unit()).collect();
    *random = SplitMix64::new(mixing.bits());
    for value in inputs.iter_mut().flatten() {
        let Value::Tensor(tensor) = value else { continue };
        if tensor.dtype() != DType::Float {
            continue;
        }
        let dims = tensor.dims().to_vec();
        let Ok(mut values) = tensor.to_f32s() else { continue };
        for way in ways {
            match (way, dims.as_slice()) {
                (Augmentation::Noise, _) => add_noise(&mut values, random),
                (Augmentation::Mix, [samples, ..]) if all_floats && *samples == shares.len() => {
                    mix(&mut values, &shares)
                }
                (Augmentation::Flip, &[samples, channels, height, width]) => {
                    flip(&mut values, samples, channels * height, width, random);
                }
                (Augmentation::Crop4, &[samples, channels, height, width]) => {
                    shift(&mut values, [samples, channels, height, width], random);
                }
                _ => {}
            }
        }
        if let Ok(changed) = Tensor::from_values(&dims, values) {
            *tensor = changed;
        }
    }
}

fn add_noise(values: &mut [f32], random: &mut SplitMix64) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
    let variance = values.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count;
    let deviation = NOISE * variance.sqrt();
    values.iter_mut().for_each(|x| *x += (deviation * random.nearly_normal()) as f32);
}

/// Lays over each sample the one behind it, which counts as much as the share says.
fn mix(values: &mut [f32], shares: &[f64]) {
    let size = values.len().checked_div(shares.len()).unwrap_or(0);
    let before = values.to_vec();
    for (sample, share) in shares.iter().enumerate() {
        let other = (sample + 1) % shares.len();
        let (own, other) = (sample * size..(sample + 1) * size, &before[other * size..(other + 1) * size]);
        for (value, other) in values[own].iter_mut().zip(other) {
            *value += (share * (f64::from(*other) - f64::from(*value))) as f32;
        }
    }
}

/// Mirrors rows of `width` numbers, of about half of the samples.
fn flip(values: &mut [f32], samples: usize, rows: usize, width: usize, random: &mut SplitMix64) {
    let size = rows * width;
    for sample in 0..samples {
        if random.bits() & 1 == 1 && width > 0 {
            values[sample * size..(sample + 1) * size].chunks_exact_mut(width).for_each(<[f32]>::reverse);
        }
    }
}

/// Moves each sample by as many places down and to the right as are drawn, or up and to the left.
fn shift(values: &mut [f32], [samples, channels, height, width]: [usize; 4], random: &mut SplitMix64) {
    let size = channels * height * width;
    for sample in 0..samples {
        let mut draw = |extent: usize| {
            let most = SHIFT.min(extent);
            (random.unit() * (2 * most + 1) as f64) as isize - most as isize
        };
        let (down, right) = (draw(height), draw(width));
        let own = values[sample * size..(sample + 1) * size].to_vec();
        let place = |at: usize, by: isize, extent: usize| at.checked_add_signed(-by).filter(|&from| from < extent);
        for (index, value) in values[sample * size..(sample + 1) * size].iter_mut().enumerate() {
            let (plane, row, column) = (index / (height * width), index / width % height, index % width);
            let from = place(row, down, height).zip(place(column, right, width));
            *value = from.map_or(0.0, |(row, column)| own[(plane * height + row) * width + column]);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shown(way: Augmentation, seed: u64) -> Vec<f32> {
        let picture = Tensor::from_values(&[1, 1, 2, 3], vec![1f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        let mut inputs = [Some(Value::Tensor(picture))];
        augment(&mut inputs, &[way], &mut SplitMix64::new(seed));
        inputs[0].as_ref().unwrap().as_tensor().unwrap().to_f32s().unwrap()
    }

    #[test]
    fn pictures_are_known_by_their_shape() {
        let of = |shape: &str| {
            let text = format!("g (float[{shape}] x) => (float[{shape}] y) {{ y = Relu(x) }}");
            fitting(&crate::evidence::testing::typed(&text).graph)
        };
        assert_eq!(of("N,3,32,32"), [Augmentation::Flip, Augmentation::Crop4]);
        assert_eq!(of("N,1,28,28"), [Augmentation::Crop4]);
        assert_eq!([of("N,3,8,8"), of("N,64,56,56"), of("N,3,H,W"), of("N,128")].concat(), []);
    }

    #[test]
    fn pictures_are_mirrored_or_not() {
        let ways: Vec<_> = (0..8).map(|seed| shown(Augmentation::Flip, seed)).collect();
        assert!(
            ways.contains(&vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) && ways.contains(&vec![3.0, 2.0, 1.0, 6.0, 5.0, 4.0])
        );
    }

    #[test]
    fn what_is_mixed_lies_between_two() {
        let mut values = [0.0, 0.0, 1.0, 2.0, 4.0, 4.0];
        mix(&mut values, &[0.5, 0.0, 1.0]);
        assert_eq!(values, [0.5, 1.0, 1.0, 2.0, 0.0, 0.0]);
    }

    #[test]
    fn what_is_moved_keeps_its_order_and_leaves_zeros() {
        let ways: Vec<_> = (0..60).map(|seed| shown(Augmentation::Crop4, seed)).collect();
        assert!(ways.contains(&vec![0.0, 0.0, 0.0, 0.0, 1.0, 2.0]), "down and to the right by one");
        assert!(ways.iter().all(|way| way.iter().filter(|x| **x != 0.0).is_sorted()));
        let noisy = shown(Augmentation::Noise, 1);
        assert!(noisy.iter().zip(1u8..).all(|(x, plain)| (x - f32::from(plain)).abs() < 0.6 && *x != f32::from(plain)));
    }
}
