//! The weight of a linear layer as matrices: one a group, outputs by columns.

use faer::Mat;
use onnxpress_ir::{Tensor, tensor::TensorError};
use onnxpress_ops::LinearLayer;

/// Where the elements of a layer's weight stand, for reading it as matrices and writing it back.
#[derive(Debug, Clone)]
pub struct LayerWeight {
    dims: Vec<usize>,
    groups: usize,
    outputs: usize,
    columns: usize,
    /// For each group, output and column, row-major: the place of the element in the tensor.
    places: Vec<u32>,
}

impl LayerWeight {
    /// Of a weight with these extents; `None` where they do not fit the layer, or there are stacks of matrices.
    pub fn of(layer: &LinearLayer, dims: &[usize]) -> Option<Self> {
        let groups = usize::try_from(layer.groups).ok().filter(|groups| *groups > 0)?;
        let all: Vec<usize> = layer.output_axes.iter().chain(&layer.input_axes).copied().collect();
        let mut sorted = all.clone();
        sorted.sort_unstable();
        if !layer.batch_axes.is_empty() || sorted != (0..dims.len()).collect::<Vec<_>>() {
            return None;
        }
        let total: usize = dims.iter().try_fold(1usize, |all, &extent| all.checked_mul(extent))?;
        if u32::try_from(total).is_err() || groups > 1 && !dims.first()?.is_multiple_of(groups) {
            return None;
        }
        // Axis 0 runs over the groups first.
        let strides: Vec<usize> = (0..dims.len()).map(|axis| dims[axis + 1..].iter().product()).collect();
        let extent = |axis: usize| if axis == 0 { dims[0] / groups } else { dims[axis] };
        let offsets = |axes: &[usize]| {
            let mut offsets = vec![0usize];
            for &axis in axes {
                let along: Vec<usize> = (0..extent(axis)).map(|index| index * strides[axis]).collect();
                offsets = offsets.iter().flat_map(|from| along.iter().map(move |step| from + step)).collect();
            }
            offsets
        };
        let (rows, columns) = (offsets(&layer.output_axes), offsets(&layer.input_axes));
        let of_group = if dims.is_empty() { 0 } else { extent(0) * strides[0] };
        let mut places = Vec::with_capacity(total);
        for group in 0..groups {
            for row in &rows {
                places.extend(columns.iter().map(|column| (group * of_group + row + column) as u32));
            }
        }
        Some(Self { dims: dims.to_vec(), groups, outputs: rows.len(), columns: columns.len(), places })
    }

    /// How many matrices there are.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// Rows of each.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Columns of each, in the order in which the layer's rows have them.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The place in the tensor of an element of a group's matrix.
    pub fn place(&self, group: usize, output: usize, column: usize) -> usize {
        self.places[(group * self.outputs + output) * self.columns + column] as usize
    }

    /// The matrices of a tensor.
    ///
    /// # Errors
    /// Where its elements are no numbers.
    pub fn matrices(&self, tensor: &Tensor) -> Result<Vec<Mat<f64>>, TensorError> {
        let values = tensor.to_f64s()?;
        let matrix = |group| {
            Mat::from_fn(self.outputs, self.columns, |output, column| values[self.place(group, output, column)])
        };
        Ok((0..self.groups).map(matrix).collect())
    }

    /// The tensor of matrices, of the element type of `like`.
    ///
    /// # Errors
    /// Where the type cannot hold them.
    pub fn tensor(&self, matrices: &[Mat<f64>], like: &Tensor) -> Result<Tensor, TensorError> {
        let mut values = vec![0.0; self.places.len()];
        for (group, matrix) in matrices.iter().enumerate().take(self.groups) {
            for output in 0..self.outputs {
                for column in 0..self.columns {
                    values[self.place(group, output, column)] = matrix[(output, column)];
                }
            }
        }
        Tensor::from_f64s(like.dtype(), &self.dims, &values)
    }
}
