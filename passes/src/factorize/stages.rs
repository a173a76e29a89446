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
        let core = self.core.as_ref().map(|core| as_stored(core, like));
        Some(Self {
            v: as_stored(&self.v, like)?,
            core: match core {
                Some(core) => Some(core?),
                None => None,
            },
            u: as_stored(&self.u, like)?,
        })
    }
}

fn as_stored(matrix: &Mat<f64>, like: &Tensor) -> Option<Mat<f64>> {
    let (rows, columns) = (matrix.nrows(), matrix.ncols());
    let flat: Vec<f64> = (0..rows * columns).map(|at| matrix[(at / columns.max(1), at % columns.max(1))]).collect();
    let stored = Tensor::from_f64s(like.dtype(), &[rows, columns], &flat).ok()?.to_f64s().ok()?;
    stored.iter().all(|value| value.is_finite()).then(|| Mat::from_fn(rows, columns, |i, j| stored[i * columns + j]))
}
