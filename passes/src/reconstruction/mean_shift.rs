//! What a change of a layer's weight does to the mean of its results.

use onnxpress_ops::operator::{LinearLayer, Rows};

/// The mean change of each output channel: `Σ difference · E[x]`, for inputs whose channels have these means. `None` where the
/// weight's axes are none that this is known for.
///
/// For a convolution the mean of a channel stands for every place below the kernel: zeros of the padding are not told apart.
pub(crate) fn of(difference: &[f32], dims: &[usize], layer: &LinearLayer, means: &[f64]) -> Option<Vec<f64>> {
    if !layer.batch_axes.is_empty() || difference.len() != dims.iter().product::<usize>() {
        return None;
    }
    match layer.rows {
        Rows::Windows if layer.output_axes == [0] => {
            let (&outputs, &inputs) = (dims.first()?, dims.get(1)?);
            let taps: usize = dims[2..].iter().product();
            let groups = usize::try_from(layer.groups).ok().filter(|&groups| groups > 0 && outputs % groups == 0)?;
            if means.len() != inputs.checked_mul(groups)? || taps == 0 {
                return None;
            }
            let of_output = |output: usize| {
                let first = output / (outputs / groups) * inputs;
                let row = &difference[output * inputs * taps..(output + 1) * inputs * taps];
                let sums = row.chunks_exact(taps).map(|taps| taps.iter().map(|&tap| f64::from(tap)).sum::<f64>());
                sums.zip(&means[first..]).map(|(sum, mean)| sum * mean).sum()
            };
            Some((0..outputs).map(of_output).collect())
        }
        Rows::Along { .. } if dims.len() == 2 && layer.output_axes.len() == 1 => {
            let output_axis = layer.output_axes[0];
            let (outputs, inputs) = (*dims.get(output_axis)?, *dims.get(1 - output_axis.min(1))?);
            if means.len() != inputs {
                return None;
            }
            let at = |output: usize, input: usize| match output_axis {
                0 => difference[output * inputs + input],
                _ => difference[input * outputs + output],
            };
            let of_output =
                |output: usize| means.iter().enumerate().map(|(input, mean)| f64::from(at(output, input)) * mean).sum();
            Some((0..outputs).map(of_output).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn means_go_through_the_weight() {
        let layer = |output: usize, groups, rows| LinearLayer {
            input: 0,
            weight: 1,
            bias: None,
            output_axes: vec![output],
            input_axes: vec![1 - output],
            batch_axes: Vec::new(),
            groups,
            rows,
        };
        let along = Rows::Along { input: 1, output: Some(1) };
        let w = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(of(&w, &[2, 3], &layer(0, 1, along), &[1.0, 0.0, 10.0]).unwrap(), [31.0, 64.0]);
        assert_eq!(of(&w, &[3, 2], &layer(1, 1, along), &[1.0, 0.0, 10.0]).unwrap(), [51.0, 62.0]);
        // Two groups of one channel, a kernel of three.
        assert_eq!(of(&w, &[2, 1, 3], &layer(0, 2, Rows::Windows), &[1.0, 10.0]).unwrap(), [6.0, 150.0]);
        assert!(of(&w, &[2, 3], &layer(0, 1, along), &[1.0]).is_none());
    }
}
