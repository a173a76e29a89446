//! The weight of a linear layer as matrices: one a group, outputs by columns.

use faer::Mat;
use onnxpress_ir::{DType, Tensor, tensor::TensorError};
use onnxpress_ops::LinearLayer;

/// Where the elements of a layer's weight stand, for reading it as matrices and writing it back.
#[derive(Debug, Clone)]
pub struct LayerWeight {
    dims: Vec<usize>,
    /// Where each group, output and column begins; an element stands at the sum of its three.
    groups: Vec<u32>,
    outputs: Vec<u32>,
    columns: Vec<u32>,
}

impl LayerWeight {
    /// Of a weight with these extents; `None` where they do not fit the layer, or there are stacks of matrices.
    pub fn of(layer: &LinearLayer, dims: &[usize]) -> Option<Self> {
        let groups = usize::try_from(layer.groups).ok().filter(|groups| *groups > 0)?;
        if layer.batch_axes.is_empty() { Self::arranged(layer, groups, dims) } else { None }
    }

    /// Of a weight that may be a stack of matrices, which are its groups then.
    pub fn stacked(layer: &LinearLayer, dims: &[usize]) -> Option<Self> {
        if layer.groups == 1 { Self::arranged(layer, 1, dims) } else { Self::of(layer, dims) }
    }

    fn arranged(layer: &LinearLayer, groups: usize, dims: &[usize]) -> Option<Self> {
        let axes = layer.batch_axes.iter().chain(&layer.output_axes).chain(&layer.input_axes);
        let mut sorted: Vec<usize> = axes.copied().collect();
        sorted.sort_unstable();
        if sorted != (0..dims.len()).collect::<Vec<_>>() {
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
            // All of them are below the number of elements.
            offsets.into_iter().map(|offset| offset as u32).collect::<Vec<u32>>()
        };
        let of_group = if dims.is_empty() { 0 } else { extent(0) * strides[0] };
        let of_groups = match layer.batch_axes.is_empty() {
            true => (0..groups).map(|group| (group * of_group) as u32).collect(),
            false => offsets(&layer.batch_axes),
        };
        let (outputs, columns) = (offsets(&layer.output_axes), offsets(&layer.input_axes));
        Some(Self { dims: dims.to_vec(), groups: of_groups, outputs, columns })
    }

    /// How many matrices there are.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Rows of each.
    pub fn outputs(&self) -> usize {
        self.outputs.len()
    }

    /// Columns of each, in the order in which the layer's rows have them.
    pub fn columns(&self) -> usize {
        self.columns.len()
    }

    /// The place in the tensor of an element of a group's matrix.
    pub fn place(&self, group: usize, output: usize, column: usize) -> usize {
        (self.groups[group] + self.outputs[output] + self.columns[column]) as usize
    }

    /// The matrices of a tensor.
    ///
    /// # Errors
    /// Where its elements are no numbers.
    pub fn matrices(&self, tensor: &Tensor) -> Result<Vec<Mat<f64>>, TensorError> {
        // Where they stand: a copy of a large weight in between would be the most that a pass has to hold.
        if tensor.dtype() == DType::Float {
            let values = tensor.values::<f32>()?;
            return Ok(self.read(|place| f64::from(values[place])));
        }
        let values = tensor.to_f64s()?;
        Ok(self.read(|place| values[place]))
    }

    fn read(&self, at: impl Fn(usize) -> f64) -> Vec<Mat<f64>> {
        let matrix = |group| {
            Mat::from_fn(self.outputs(), self.columns(), |output, column| at(self.place(group, output, column)))
        };
        (0..self.groups()).map(matrix).collect()
    }

    /// The tensor of matrices, of the element type of `like`.
    ///
    /// # Errors
    /// Where the type cannot hold them.
    pub fn tensor(&self, matrices: &[Mat<f64>], like: &Tensor) -> Result<Tensor, TensorError> {
        let count = self.dims.iter().product();
        if like.dtype() == DType::Float {
            let mut values = vec![0.0f32; count];
            self.write(matrices, |place, value| values[place] = value as f32);
            return Tensor::from_values(&self.dims, values);
        }
        let mut values = vec![0.0; count];
        self.write(matrices, |place, value| values[place] = value);
        Tensor::from_f64s(like.dtype(), &self.dims, &values)
    }

    fn write(&self, matrices: &[Mat<f64>], mut put: impl FnMut(usize, f64)) {
        for (group, matrix) in matrices.iter().enumerate().take(self.groups()) {
            for output in 0..self.outputs() {
                for column in 0..self.columns() {
                    put(self.place(group, output, column), matrix[(output, column)]);
                }
            }
        }
    }
}
