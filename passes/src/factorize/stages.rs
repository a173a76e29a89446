//! The factors of one group, and the matrix that they make.

use faer::Mat;
use onnxpress_ir::Tensor;

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

    /// The numbers that tensors of the weight's type hold; `None` where they hold none of that size.
    pub(super) fn stored(&self, like: &Tensor) -> Option<Self> {
        Packed::of(self, like)?.stages()
    }
}

/// Factors as tensors of the weight's type: half the room, or less.
#[derive(Debug, Clone)]
pub(super) struct Packed {
    v: Tensor,
    core: Option<Tensor>,
    u: Tensor,
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
