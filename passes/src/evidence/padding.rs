//! Rows that are no data: what fills up sequences of different lengths.
//!
//! A batch of sequences comes with a mask of ones and zeros, `[batch, sequence]`, and what stands where it is zero is there to be
//! ignored. In the moments of a layer's input it would count as much as what is looked at, and often more, so those rows are left out.

use onnxpress_ir::{Kind, Model};
use onnxpress_ops::evaluate::Value;

/// Which places of a batch of sequences are data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Padding {
    /// Sequences, and places in each.
    dims: [usize; 2],
    /// Row-major.
    real: Vec<bool>,
}

impl Padding {
    /// Of the inputs of a model: what an input says that is called a mask, has whole numbers or truths in two axes, and names some places as
    /// none. With several the first counts.
    pub(crate) fn of(model: &Model, inputs: &[Option<Value>]) -> Option<Self> {
        let graph = &model.graph;
        graph.inputs().iter().zip(inputs).find_map(|(id, value)| {
            let Some(Value::Tensor(tensor)) = value else { return None };
            let whole = matches!(tensor.dtype().kind(), Kind::Signed | Kind::Unsigned | Kind::Bool);
            let &[sequences, places] = tensor.dims() else { return None };
            if !whole || !graph.label(id.port(0)).to_ascii_lowercase().contains("mask") {
                return None;
            }
            let numbers = tensor.to_i64s().ok()?;
            let truths = numbers.iter().all(|&number| number == 0 || number == 1);
            let real: Vec<bool> = numbers.iter().map(|&number| number != 0).collect();
            let some = real.contains(&true) && real.contains(&false);
            (truths && some).then_some(Self { dims: [sequences, places], real })
        })
    }

    /// Leaves only rows that are data, of an input with these extents whose rows are numbered over all axes but the last or, where
    /// sequences were flattened, over the first.
    pub(crate) fn leave(&self, dims: &[usize], rows: &mut Vec<usize>) {
        let [sequences, places] = self.dims;
        let fits = match dims {
            [a, b, _] => *a <= sequences && *b == places,
            [rows, _] => *rows <= sequences * places && rows.is_multiple_of(places),
            _ => false,
        };
        if fits {
            rows.retain(|&row| self.real.get(row).copied().unwrap_or(true));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use onnxpress_ir::Tensor;

    use super::*;

    fn padding(name: &str, mask: &[i64]) -> Option<Padding> {
        let text = format!("g (int64[N,S] {name}) => (int64[N,S] y) {{ y = Identity({name}) }}");
        let model = Model::from_text(&text).unwrap();
        let tensor = Tensor::from_values(&[2, 3], mask.to_vec()).unwrap();
        Padding::of(&model, &[Some(Value::Tensor(tensor))])
    }

    #[test]
    fn masked_rows_are_left_out() {
        let padding = padding("attention_mask", &[1, 1, 0, 1, 0, 0]).unwrap();
        let left = |dims: &[usize]| {
            let mut rows: Vec<usize> = (0..6).collect();
            padding.leave(dims, &mut rows);
            rows
        };
        assert_eq!(left(&[2, 3, 8]), [0, 1, 3]);
        assert_eq!(left(&[6, 8]), [0, 1, 3]);
        assert_eq!(left(&[2, 4, 8]), [0, 1, 2, 3, 4, 5], "another layout");
    }

    #[test]
    fn what_is_no_mask_masks_nothing() {
        assert_eq!(padding("attention_mask", &[1; 6]), None);
        assert_eq!(padding("attention_mask", &[1, 1, 2, 1, 0, 0]), None);
        assert_eq!(padding("input_ids", &[1, 1, 0, 1, 0, 0]), None);
    }
}
