//! The factors of one group, and the matrix that they make.

use faer::Mat;
use onnxpress_ir::{DType, Tensor};

use super::features;
use super::form::{Extents, Form};

/// Factors in the order in which they are applied.
#[derive(Debug, Clone)]
pub(super) struct Stages {
    /// Features by what they mix.
    pub(super) v: Mat<f64>,
    /// Of three factors the one between: `rank` rows by `inner` times places of the kernel, or, of a sum of products, a row of the
    /// kernel's places for each.
    pub(super) core: Option<Mat<f64>>,
    /// Outputs by what comes before.
    pub(super) u: Mat<f64>,
}

impl Stages {
    /// The matrix that the factors stand for, outputs by columns.
    pub(super) fn product(&self, extents: &Extents, form: Form) -> Mat<f64> {
        let span = extents.span(form);
        match (&self.core, form) {
            (Some(core), Form::Cp) => {
                let last = Mat::from_fn(self.u.nrows(), self.u.ncols() * span, |output, at| {
                    self.u[(output, at / span)] * core[(at / span, at % span)]
                });
                features::expand(&last, &self.v, span)
            }
            (Some(core), _) => features::expand(&(&self.u * core), &self.v, span),
            (None, _) => features::expand(&self.u, &self.v, span),
        }
    }
}

/// Factors as tensors of the weight's type, rows by columns: half the room, or less.
#[derive(Debug, Clone)]
pub(super) struct Packed {
    pub(super) v: Tensor,
    pub(super) core: Option<Tensor>,
    pub(super) u: Tensor,
}

impl Packed {
    /// `None` where tensors hold no numbers of that size.
    pub(super) fn of(stages: &Stages, like: &Tensor) -> Option<Self> {
        let core = stages.core.as_ref().map(|core| packed(core, like));
        Some(Self {
            v: packed(&stages.v, like)?,
            core: match core {
                Some(core) => Some(core?),
                None => None,
            },
            u: packed(&stages.u, like)?,
        })
    }

    /// The factors again; `None` where some are no finite numbers.
    pub(super) fn stages(&self) -> Option<Stages> {
        let core = self.core.as_ref().map(unpacked);
        Some(Stages {
            v: unpacked(&self.v)?,
            core: match core {
                Some(core) => Some(core?),
                None => None,
            },
            u: unpacked(&self.u)?,
        })
    }
}

/// A tensor of matrices, one after the other, transposed where that is asked for.
pub(super) fn joined(matrices: &[&Tensor], transposed: bool, dims: &[usize]) -> Option<Tensor> {
    let dtype = matrices.first()?.dtype();
    match matrices {
        [one] if !transposed => one.reshaped(dims).ok(),
        _ if dtype == DType::Float => {
            let values = |tensor: &Tensor| tensor.to_f32s().ok();
            Tensor::from_values(dims, arranged(matrices, transposed, values)?).ok()
        }
        _ => Tensor::from_f64s(dtype, dims, &arranged(matrices, transposed, |tensor| tensor.to_f64s().ok())?).ok(),
    }
}

fn arranged<T: Copy>(
    matrices: &[&Tensor],
    transposed: bool,
    values: impl Fn(&Tensor) -> Option<Vec<T>>,
) -> Option<Vec<T>> {
    let mut all = Vec::with_capacity(matrices.iter().map(|tensor| tensor.len()).sum());
    for tensor in matrices {
        let (&[rows, columns], values) = (tensor.dims(), values(tensor)?) else { return None };
        if transposed {
            (0..columns).for_each(|j| all.extend((0..rows).map(|i| values[i * columns + j])));
        } else {
            all.extend(values);
        }
    }
    Some(all)
}

fn packed(matrix: &Mat<f64>, like: &Tensor) -> Option<Tensor> {
    let (rows, columns) = (matrix.nrows(), matrix.ncols());
    let flat: Vec<f64> = (0..rows * columns).map(|at| matrix[(at / columns.max(1), at % columns.max(1))]).collect();
    Tensor::from_f64s(like.dtype(), &[rows, columns], &flat).ok()
}

fn unpacked(tensor: &Tensor) -> Option<Mat<f64>> {
    let &[rows, columns] = tensor.dims() else { return None };
    let stored = tensor.to_f64s().ok()?;
    stored.iter().all(|value| value.is_finite()).then(|| Mat::from_fn(rows, columns, |i, j| stored[i * columns + j]))
}
