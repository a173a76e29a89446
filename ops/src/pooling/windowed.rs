//! What the pooling operators with a window share: the rule for their output's shape, and the walk over the windows.
//!
//! Operand X `[n, c, s..]`; output `[n, c, t..]`.

use onnxpress_ir::Shape;

use crate::evaluate::lanes::volume;
use crate::evaluate::{EvalCx, EvalError};
use crate::infer::{InferCx, Undecided};
use crate::linear::{Sliding, Window};

/// The shape of the output; `None` where its rank is not known.
///
/// # Errors
/// Where the operand and the attributes make no pooling.
pub(super) fn output_shape(cx: &InferCx<'_>) -> Result<Option<Shape>, Undecided> {
    let Some(kernel) = cx.attrs().ints("kernel_shape")? else { return Err(Undecided::invalid("no `kernel_shape`")) };
    let rank = kernel.len() + 2;
    cx.expect_rank(0, rank)?;
    let window = Window::of(&cx.attrs(), kernel)?;
    let Some(x) = cx.shape(0) else { return Ok(None) };
    let mut shape = Shape::from(&x[..2]);
    shape.extend((2..rank).map(|axis| window.positions(axis - 2, &x[axis])));
    Ok(Some(shape))
}

/// Pooling of a tensor at hand.
pub(super) struct Pooling {
    pub window: Window,
    pub sliding: Sliding,
    /// The extents of the output.
    pub dims: Vec<usize>,
    kernel: Vec<usize>,
}

impl Pooling {
    /// Of a tensor of these extents, by the node's attributes.
    ///
    /// # Errors
    /// Where they make no pooling, or its result is larger or takes longer than allowed.
    pub(super) fn of(cx: &EvalCx<'_>, x: &[usize]) -> Result<Self, EvalError> {
        let kernel = cx.attrs().ints("kernel_shape")?.ok_or_else(|| EvalError::invalid("no `kernel_shape`"))?;
        if x.len() != kernel.len() + 2 {
            return Err(EvalError::invalid(format!("X of rank {}, not {}", x.len(), kernel.len() + 2)));
        }
        let window = Window::of(&cx.attrs(), kernel)?;
        let sliding = window.slide(&x[2..])?;
        let kernel: Vec<usize> =
            window.kernel.iter().map(|&extent| usize::try_from(extent).unwrap_or(usize::MAX)).collect();
        let dims: Vec<usize> = x[..2].iter().chain(&sliding.positions).copied().collect();
        // One plane has to fit even where there is none.
        cx.room_for(&sliding.positions)?;
        let (count, taps) = (cx.room_for(&dims)?, cx.room_for(&kernel)?);
        cx.spend((count.max(1) as u64).saturating_mul(taps as u64))?;
        Ok(Self { window, sliding, dims, kernel })
    }

    /// Gathers each window of `x` into a number that begins as `start`. `f` is told the number so far, the place of the
    /// element in its plane, and the element; elements come in row-major order of the window.
    pub(super) fn gather<T: Clone>(&self, x: &[f64], start: T, mut f: impl FnMut(&mut T, usize, f64)) -> Vec<T> {
        let plane = volume(&self.sliding.extents);
        let positions = volume(&self.sliding.positions);
        if positions == 0 {
            // The extents along other axes can be anything then.
            return Vec::new();
        }
        let mut gathered = Vec::new();
        for x in x.chunks_exact(plane.max(1)) {
            let from = gathered.len();
            gathered.resize(from + positions, start.clone());
            for (_, offset) in Sliding::offsets(&self.kernel) {
                self.sliding.rows(&offset, |row| {
                    row.pairs().for_each(|(position, place)| f(&mut gathered[from + position], place, x[place]));
                });
            }
        }
        // A plane without elements has windows too, as far as there is padding.
        gathered.resize(volume(&self.dims), start);
        gathered
    }

    /// For each window how many of its elements lie in the input, or with `padded` in the input and its padding.
    pub(super) fn counts(&self, padded: bool) -> Vec<usize> {
        let mut sliding = self.sliding.clone();
        if padded {
            for axis in 0..sliding.extents.len() {
                let extent = sliding.extents[axis];
                let (before, after) = self.window.padding(axis, extent as i64);
                sliding.before[axis] = 0;
                sliding.extents[axis] = usize::try_from(extent as i64 + before + after).unwrap_or(0);
            }
        }
        let mut counts = vec![0; volume(&sliding.positions)];
        if counts.is_empty() {
            return counts;
        }
        for (_, offset) in Sliding::offsets(&self.kernel) {
            sliding.rows(&offset, |row| row.pairs().for_each(|(position, _)| counts[position] += 1));
        }
        counts
    }
}
