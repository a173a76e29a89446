//! Gradients of pooling: to where the largest element was, or evenly over the window.

use onnxpress_ir::{Attr, Dim, Node, Tensor, ValueId};

use crate::evaluate::lanes::volume;
use crate::gradient::{Expression, GradientCx, GradientError, function, of};
use crate::linear::{Window, Windows};
use crate::movement::add_up;

type Done = Result<(), GradientError>;

/// The largest elements are looked for once more, because the node itself need not say where they were.
pub(super) fn max_pool(cx: &mut GradientCx<'_, '_>) -> Done {
    let (x, g) = (cx.operand(0)?, cx.result()?);
    let attrs = cx.node().node.attrs.iter().filter(|attr| attr.name != "storage_order").cloned().collect::<Vec<_>>();
    let again = attrs.into_iter().fold(Node::new("MaxPool", 2), Node::with);
    let places = cx.add_node(again, &[Some(x)])?.port(1);
    let back = add_up(cx, g, places, x)?;
    cx.give(0, back)
}

/// What was put at a place is found there.
pub(super) fn max_unpool(cx: &mut GradientCx<'_, '_>) -> Done {
    let (x, places, g) = (cx.operand(0)?, cx.operand(1)?, cx.result()?);
    if cx.optional(2).is_some() {
        return Err(GradientError::not_possible("places in a tensor of other extents"));
    }
    let (places, g) = (cx.flat(places)?, cx.flat(g)?);
    let found = cx.add(Node::new("GatherElements", 1).with(Attr::int("axis", 0)), &[g, places])?;
    let back = cx.shaped_like(found, x)?;
    cx.give(0, back)
}

/// How many elements each window counts, along one axis.
fn counts(window: &Window, axis: usize, positions: i64, extent: i64, padded: bool) -> Vec<f64> {
    let (before, after) = window.padding(axis, extent);
    let inside = if padded { 0..before + extent + after } else { before..before + extent };
    let count = |position: i64| {
        let from = position * window.strides[axis];
        (0..window.kernel[axis]).filter(|offset| inside.contains(&(from + offset * window.dilations[axis]))).count()
    };
    (0..positions).map(|position| count(position) as f64).collect()
}

/// One over how many elements each window counts.
fn shares(cx: &mut GradientCx<'_, '_>, window: &Window, x: ValueId, g: ValueId) -> Result<ValueId, GradientError> {
    let padded = cx.node().attrs().flag("count_include_pad")?;
    let (from, to, dtype) = (cx.shape(x)?, cx.shape(g)?, cx.dtype()?);
    let rank = window.kernel.len();
    let extents = |shape: &onnxpress_ir::Shape| shape.iter().skip(2).map(Dim::as_const).collect::<Option<Vec<i64>>>();
    let (Some(extents), Some(positions)) = (extents(&from), extents(&to)) else {
        let whole =
            !window.ceil_mode && (padded || window.pads.len() == 2 * rank && window.pads.iter().all(|&pad| pad == 0));
        return match whole {
            true => cx.number(1.0 / window.kernel.iter().map(|&extent| extent as f64).product::<f64>(), dtype),
            false => Err(GradientError::not_possible("padding that does not count, over extents that are not known")),
        };
    };
    let mut shares = vec![1.0];
    for axis in 0..rank {
        let counts = counts(window, axis, positions[axis], extents[axis], padded);
        shares = shares.iter().flat_map(|share| counts.iter().map(move |count| share / count)).collect();
    }
    let dims: Vec<usize> = positions.iter().map(|&extent| usize::try_from(extent).unwrap_or(0)).collect();
    debug_assert_eq!(volume(&dims), shares.len(), "one share a position");
    let tensor =
        Tensor::from_f64s(dtype, &dims, &shares).map_err(|error| GradientError::not_possible(error.to_string()))?;
    Ok(cx.constant(tensor))
}

/// How many windows there are along each axis, where they lie side by side and cover all.
fn tiles(cx: &GradientCx<'_, '_>, window: &Window, x: ValueId) -> Result<Option<Vec<i64>>, GradientError> {
    let extents: Option<Vec<i64>> = cx.shape(x)?.iter().skip(2).map(Dim::as_const).collect();
    let plain = window.strides == window.kernel && window.dilations.iter().all(|&dilation| dilation == 1);
    let Some(extents) = extents.filter(|_| plain) else { return Ok(None) };
    let padded = |axis: usize| window.padding(axis, extents[axis]) != (0, 0);
    if (0..extents.len()).any(padded) {
        return Ok(None);
    }
    let counts = extents.iter().zip(&window.kernel).map(|(extent, size)| (extent % size == 0).then_some(extent / size));
    Ok(counts.collect())
}

/// Each number repeated over its window: an axis a window is put behind each axis of positions, and taken into it.
fn repeated(cx: &mut GradientCx<'_, '_>, value: ValueId, tiles: &[i64], x: ValueId) -> Result<ValueId, GradientError> {
    let kernel = cx.node().attrs().ints("kernel_shape")?.unwrap_or_default();
    let lead = cx.extents_along(value, &[0, 1])?;
    let cut = |cx: &mut GradientCx<'_, '_>, sizes: &[i64]| {
        let pairs: Vec<i64> = tiles.iter().zip(sizes).flat_map(|(&tile, &size)| [tile, size]).collect();
        let pairs = cx.ints(pairs);
        cx.concat(&[lead, pairs])
    };
    let (single, whole) = (cut(cx, &vec![1; tiles.len()])?, cut(cx, &kernel)?);
    let single = cx.apply("Reshape", &[value, single])?;
    let spread = cx.apply("Expand", &[single, whole])?;
    cx.shaped_like(spread, x)
}

/// Each channel is a picture of its own, over which windows of ones write what they got.
pub(super) fn average_pool(cx: &mut GradientCx<'_, '_>) -> Done {
    let (x, g) = (cx.operand(0)?, cx.result()?);
    let attrs = cx.node().attrs();
    let kernel = attrs.ints("kernel_shape")?.ok_or_else(|| GradientError::not_possible("no `kernel_shape`"))?;
    let window = Window::of(&attrs, kernel.clone())?;
    let shares = shares(cx, &window, x, g)?;
    if let Some(tiles) = tiles(cx, &window, x)? {
        let shared = cx.write(&(of(g) * shares))?;
        let back = repeated(cx, shared, &tiles, x)?;
        return cx.give(0, back);
    }
    let windows = Windows::over(window, 1, &cx.shape(x)?)?;
    let shared = cx.write(&(of(g) * shares))?;
    let spatial: Vec<usize> = (2..kernel.len() + 2).collect();
    let each = |cx: &mut GradientCx<'_, '_>, value| {
        let (lead, spatial) = (cx.ints([-1, 1]), cx.extents_along(value, &spatial)?);
        let extents = cx.concat(&[lead, spatial])?;
        cx.apply("Reshape", &[value, extents])
    };
    let (pictures, shared) = (each(cx, x)?, each(cx, shared)?);
    let dims: Vec<usize> =
        [1, 1].into_iter().chain(kernel.iter().map(|&extent| usize::try_from(extent).unwrap_or(0))).collect();
    let ones = Tensor::from_f64s(cx.dtype()?, &dims, &vec![1.0; volume(&dims)])
        .map_err(|error| GradientError::not_possible(error.to_string()))?;
    let ones = cx.constant(ones);
    let back = windows.spread(cx, shared, ones, pictures)?;
    let back = cx.shaped_like(back, x)?;
    cx.give(0, back)
}

/// Every axis but samples and channels.
fn planes(cx: &GradientCx<'_, '_>, x: ValueId) -> Result<Vec<usize>, GradientError> {
    Ok((2..cx.rank(x)?).collect())
}

pub(super) fn global_average_pool(cx: &mut GradientCx<'_, '_>) -> Done {
    let (x, g) = (cx.operand(0)?, cx.result()?);
    let planes = planes(cx, x)?;
    let count = cx.count_along(x, &planes)?;
    let share = cx.write(&(of(g) / count))?;
    let back = cx.spread_like(share, x)?;
    cx.give(0, back)
}

/// Equal largest elements share the gradient.
pub(super) fn global_max_pool(cx: &mut GradientCx<'_, '_>) -> Done {
    let (x, y, g) = (cx.operand(0)?, of(cx.output(0)), of(cx.result()?));
    let axes = planes(cx, x)?.into_iter().map(|axis| axis as i64).collect();
    let hits = cx.write(&of(x).equals(y).as_number())?;
    let total = cx.sum(hits, axes, true)?;
    cx.give_by(0, || g * hits / total)
}

/// The attribute `p` of a pooling by norms.
fn exponent(cx: &GradientCx<'_, '_>) -> Result<f64, GradientError> {
    Ok(cx.node().attrs().int_or("p", 2)? as f64)
}

/// `sign(x) * (|x| / y)^(p - 1)`.
pub(super) fn global_lp_pool(cx: &mut GradientCx<'_, '_>) -> Done {
    let p = exponent(cx)?;
    cx.pointwise(|x, y, g| {
        let ratio = function("Abs", x.clone()) / y;
        g * function("Sign", x) * Expression::Apply("Pow", vec![ratio, (p - 1.0).into()])
    })
}
