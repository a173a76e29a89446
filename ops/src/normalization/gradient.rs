//! Gradients of normalizations. Statistics are taken once more: what a node computed on its way is not among its outputs.
//!
//! With `n` the normalized numbers, `d` the deviation they were divided by and `g` the gradient that reaches them, that of what
//! was normalized is `(g - mean(g) - n mean(g n)) / d`: the mean and the deviation of the input do not matter to the output, so
//! nothing of the gradient goes in their direction. J. Ba et al., "Layer Normalization" (2016).

use onnxpress_ir::{Dim, Tensor, ValueId};

use crate::gradient::{Expression, GradientCx, GradientError, function, of};
use crate::parameters::axis_of;

type Done = Result<(), GradientError>;

/// What the standard adds to the deviation where it has no attribute for it.
const TINY: f64 = 1e-9;

/// The most channels of a local response normalization: their square is the size of a constant.
const MOST_CHANNELS: usize = 1 << 12;

/// Numbers along some axes brought to mean 0 and deviation 1, or only to a root mean square of 1.
struct Normalized {
    axes: Vec<usize>,
    count: ValueId,
    /// The numbers once normalized.
    numbers: ValueId,
    /// One over what they were divided by.
    inverse: ValueId,
    centered: bool,
}

impl Normalized {
    fn of(
        cx: &mut GradientCx<'_, '_>,
        x: ValueId,
        axes: Vec<usize>,
        epsilon: f64,
        centered: bool,
    ) -> Result<Self, GradientError> {
        let count = cx.count_along(x, &axes)?;
        let mean = |cx: &mut GradientCx<'_, '_>, value: ValueId| {
            let sum = cx.sum(value, axes.iter().map(|&axis| axis as i64).collect(), true)?;
            Ok::<_, GradientError>(of(sum) / count)
        };
        let from_mean = if centered {
            let mean = mean(cx, x)?;
            cx.write(&(of(x) - mean))?
        } else {
            x
        };
        let squares = cx.write(&of(from_mean).squared())?;
        let variance = mean(cx, squares)?;
        let inverse = cx.write(&function("Reciprocal", function("Sqrt", variance + epsilon)))?;
        let numbers = cx.write(&(of(from_mean) * inverse))?;
        Ok(Self { axes, count, numbers, inverse, centered })
    }

    fn mean(&self, cx: &mut GradientCx<'_, '_>, value: Expression) -> Result<Expression, GradientError> {
        let value = cx.write(&value)?;
        let sum = cx.sum(value, self.axes.iter().map(|&axis| axis as i64).collect(), true)?;
        Ok(of(sum) / self.count)
    }

    /// The gradient of what was normalized, of that of the normalized numbers.
    fn back(&self, cx: &mut GradientCx<'_, '_>, g: Expression) -> Result<ValueId, GradientError> {
        let g = of(cx.write(&g)?);
        let along = self.mean(cx, g.clone() * self.numbers)?;
        let mut rest = g.clone() - of(self.numbers) * along;
        if self.centered {
            rest = rest - self.mean(cx, g)?;
        }
        cx.write(&(rest * self.inverse))
    }
}

/// What is added to the variance.
fn epsilon(cx: &GradientCx<'_, '_>) -> Result<f64, GradientError> {
    Ok(f64::from(cx.node().attrs().float_or("epsilon", 1e-5)?))
}

/// A list of one number a channel, to be multiplied with `[n, c, s..]`.
fn by_channel(cx: &mut GradientCx<'_, '_>, list: ValueId, rank: usize) -> Result<Expression, GradientError> {
    let ones = std::iter::repeat_n(1, rank.saturating_sub(2));
    Ok(of(cx.reshape(list, &std::iter::once(-1).chain(ones).collect::<Vec<_>>())?))
}

/// The sum of `[n, c, s..]` over all but the channels.
fn over_channels(cx: &mut GradientCx<'_, '_>, value: Expression) -> Result<ValueId, GradientError> {
    let value = cx.write(&value)?;
    let axes = (0..cx.rank(value)? as i64).filter(|&axis| axis != 1).collect();
    cx.sum(value, axes, false)
}

/// With given statistics it is a product and a sum.
pub(super) fn batch(cx: &mut GradientCx<'_, '_>) -> Done {
    if cx.node().attrs().flag("training_mode")? {
        return Err(GradientError::not_possible("it takes the statistics of its batch"));
    }
    let (x, g) = (cx.operand(0)?, of(cx.result()?));
    let rank = cx.rank(x)?;
    let epsilon = epsilon(cx)?;
    let (scale, mean, variance) = (cx.operand(1)?, cx.operand(3)?, cx.operand(4)?);
    let inverse = cx.write(&function("Reciprocal", function("Sqrt", of(variance) + epsilon)))?;
    if cx.wants(0) {
        let factor = cx.write(&(of(scale) * inverse))?;
        let factor = by_channel(cx, factor, rank)?;
        cx.give_by(0, || g.clone() * factor)?;
    }
    if !(1..5).any(|index| cx.wants(index)) {
        return Ok(());
    }
    let total = over_channels(cx, g.clone())?;
    let mean = by_channel(cx, mean, rank)?;
    let along = over_channels(cx, g * (of(x) - mean))?;
    cx.give_by(1, || of(along) * inverse)?;
    cx.give(2, total)?;
    cx.give_by(3, || -(of(total) * scale * inverse))?;
    cx.give_by(4, || -0.5 * (of(along) * scale * of(inverse) * of(inverse).squared()))
}

/// Axes from `axis` on; scale and bias broadcast.
fn of_last_axes(cx: &mut GradientCx<'_, '_>, centered: bool) -> Done {
    let (x, scale, g) = (cx.operand(0)?, of(cx.operand(1)?), of(cx.result()?));
    let rank = cx.rank(x)?;
    let first = axis_of(cx.node().attrs().int_or("axis", -1)?, rank)?;
    let epsilon = epsilon(cx)?;
    let normalized = Normalized::of(cx, x, (first..rank).collect(), epsilon, centered)?;
    if cx.wants(0) {
        let back = normalized.back(cx, g.clone() * scale)?;
        cx.give(0, back)?;
    }
    cx.give_by(1, || g.clone() * normalized.numbers)?;
    cx.give_by(2, || g)
}

pub(super) fn layer(cx: &mut GradientCx<'_, '_>) -> Done {
    of_last_axes(cx, true)
}

pub(super) fn rms(cx: &mut GradientCx<'_, '_>) -> Done {
    of_last_axes(cx, false)
}

pub(super) fn instance(cx: &mut GradientCx<'_, '_>) -> Done {
    let (x, scale, g) = (cx.operand(0)?, cx.operand(1)?, of(cx.result()?));
    let rank = cx.rank(x)?;
    let epsilon = epsilon(cx)?;
    let normalized = Normalized::of(cx, x, (2..rank).collect(), epsilon, true)?;
    if cx.wants(0) {
        let scale = by_channel(cx, scale, rank)?;
        let back = normalized.back(cx, g.clone() * scale)?;
        cx.give(0, back)?;
    }
    of_channel_parameters(cx, g, of(normalized.numbers))
}

/// Gradients of scale and bias, one number a channel.
fn of_channel_parameters(cx: &mut GradientCx<'_, '_>, g: Expression, numbers: Expression) -> Done {
    if cx.wants(1) {
        let sum = over_channels(cx, g.clone() * numbers)?;
        cx.give(1, sum)?;
    }
    if cx.wants(2) {
        let sum = over_channels(cx, g)?;
        cx.give(2, sum)?;
    }
    Ok(())
}

/// Groups of channels are rows of their own while they are normalized.
pub(super) fn group(cx: &mut GradientCx<'_, '_>) -> Done {
    let (x, scale, g) = (cx.operand(0)?, cx.operand(1)?, cx.result()?);
    let groups = cx.node().attrs().int("num_groups")?.ok_or_else(|| GradientError::not_possible("no `num_groups`"))?;
    let rank = cx.rank(x)?;
    let by_group = cx.node().version < 21;
    let rows = cx.reshape(x, &[0, groups, -1])?;
    let epsilon = epsilon(cx)?;
    let normalized = Normalized::of(cx, rows, vec![2], epsilon, true)?;
    let (scaled, numbers) = if by_group {
        let (rows, scale) = (cx.reshape(g, &[0, groups, -1])?, by_channel(cx, scale, 3)?);
        (of(rows) * scale, of(normalized.numbers))
    } else {
        let scale = by_channel(cx, scale, rank)?;
        let scaled = cx.write(&(of(g) * scale))?;
        (of(cx.reshape(scaled, &[0, groups, -1])?), of(cx.shaped_like(normalized.numbers, x)?))
    };
    if cx.wants(0) {
        let back = normalized.back(cx, scaled)?;
        let back = cx.shaped_like(back, x)?;
        cx.give(0, back)?;
    }
    let g = if by_group { cx.reshape(g, &[0, groups, -1])? } else { g };
    of_channel_parameters(cx, of(g), numbers)
}

/// `x / ||x||`: what of the gradient goes along the result is lost.
pub(super) fn lp(cx: &mut GradientCx<'_, '_>) -> Done {
    let (x, y, g) = (cx.operand(0)?, of(cx.output(0)), of(cx.result()?));
    let attrs = cx.node().attrs();
    let (axis, absolute) = (attrs.int_or("axis", -1)?, attrs.int_or("p", 2)? == 1);
    let sum = |cx: &mut GradientCx<'_, '_>, value: Expression| {
        let value = cx.write(&value)?;
        Ok::<_, GradientError>(of(cx.sum(value, vec![axis], true)?))
    };
    let along = sum(cx, g.clone() * y.clone())?;
    if absolute {
        let norm = sum(cx, function("Abs", of(x)))?;
        return cx.give_by(0, || (g - function("Sign", of(x)) * along) / norm);
    }
    let squares = sum(cx, of(x).squared())?;
    cx.give_by(0, || (g - y * along) / function("Sqrt", squares))
}

/// Mean and variance along `axes`, without parameters.
pub(super) fn mean_variance(cx: &mut GradientCx<'_, '_>) -> Done {
    let (x, g) = (cx.operand(0)?, cx.result()?);
    let rank = cx.rank(x)?;
    let axes = cx.node().attrs().ints("axes")?.unwrap_or_else(|| vec![0, 2, 3]);
    let axes = axes.into_iter().map(|axis| axis_of(axis, rank)).collect::<Result<Vec<_>, _>>()?;
    let normalized = Normalized::of(cx, x, axes, TINY.powi(2), true)?;
    let back = normalized.back(cx, of(g))?;
    cx.give(0, back)
}

/// `x s^-beta` with `s` the squares of the channels nearby, added up: each channel is near to those that are near to it.
pub(super) fn local_response(cx: &mut GradientCx<'_, '_>) -> Done {
    let (x, g) = (cx.operand(0)?, cx.result()?);
    let attrs = cx.node().attrs();
    let (alpha, beta) = (f64::from(attrs.float_or("alpha", 1e-4)?), f64::from(attrs.float_or("beta", 0.75)?));
    let bias = f64::from(attrs.float_or("bias", 1.0)?);
    let size = attrs.int("size")?.filter(|&size| size > 0).ok_or_else(|| GradientError::not_possible("no `size`"))?;
    let channels = cx.shape(x)?.get(1).and_then(Dim::as_const).and_then(|channels| usize::try_from(channels).ok());
    let channels = channels.filter(|&channels| channels <= MOST_CHANNELS);
    let channels = channels.ok_or_else(|| GradientError::not_possible("a number of channels that is not known"))?;
    let (before, after) = ((size - 1) / 2, size / 2);
    let near = |row: usize, column: usize| {
        let distance = column as i64 - row as i64;
        f64::from(u8::from(-before <= distance && distance <= after))
    };
    let band = |turned: bool| -> Vec<f64> {
        let pairs = (0..channels).flat_map(|row| (0..channels).map(move |column| (row, column)));
        pairs.map(|(row, column)| if turned { near(column, row) } else { near(row, column) }).collect()
    };
    let dtype = cx.dtype()?;
    let nearby = |cx: &mut GradientCx<'_, '_>, value: Expression, turned: bool| {
        let band = Tensor::from_f64s(dtype, &[channels, channels], &band(turned));
        let band = band.map_err(|error| GradientError::not_possible(error.to_string()))?;
        let (band, value) = (cx.constant(band), cx.write(&value)?);
        let rows = cx.reshape(value, &[0, channels as i64, -1])?;
        let sums = cx.apply("MatMul", &[band, rows])?;
        Ok::<_, GradientError>(of(cx.shaped_like(sums, x)?))
    };
    let share = alpha / size as f64;
    let squares = nearby(cx, of(x).squared(), false)?;
    let sums = of(cx.write(&(bias + share * squares))?);
    let factor = of(cx.write(&Expression::Apply("Pow", vec![sums.clone(), (-beta).into()]))?);
    let others = nearby(cx, of(g) * of(x) * factor.clone() / sums, true)?;
    cx.give_by(0, || of(g) * factor - 2.0 * share * beta * of(x) * others)
}
