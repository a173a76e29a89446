//! Gradients of windows that slide: of convolutions, of transposed ones, and of what pools by adding up.
//!
//! What a window read is written back by a transposed convolution ([`Windows::spread`]), or, where windows move by one place, by a
//! plain one of the weights turned round, which every runtime does faster. The gradient of the weights is a
//! convolution again: of the input by the gradient, with samples in the place of channels, strides in the place of dilations and
//! the other way round ([`Windows::correlate`]).

use onnxpress_ir::{Attr, Dim, Node, Shape, ValueId};

use super::Window;
use super::conv_transpose::Spread;
use super::convolution::group;
use crate::gradient::{GradientCx, GradientError};

/// The most places of a window that is turned round: their numbers are a constant of the step.
const MOST_PLACES: i64 = 1 << 12;

type Done = Result<(), GradientError>;

/// How windows slide, and over what.
pub(crate) struct Windows {
    pub groups: i64,
    pub kernel: Vec<i64>,
    pub strides: Vec<i64>,
    pub dilations: Vec<i64>,
    /// Padding before each axis, then after each.
    pub pads: Vec<i64>,
}

impl Windows {
    /// Those of a node whose attributes make this window, over an operand of this shape.
    ///
    /// # Errors
    /// Where the padding depends on extents that are not known.
    pub(crate) fn over(window: Window, groups: i64, x: &Shape) -> Result<Self, GradientError> {
        let rank = window.kernel.len();
        let mut pads = window.pads.clone();
        if pads.is_empty() {
            pads = vec![0; 2 * rank];
            for axis in 0..rank {
                let extent = x.get(axis + 2).and_then(Dim::as_const);
                let extent =
                    extent.ok_or_else(|| GradientError::not_possible("`auto_pad` of extents that are not known"))?;
                (pads[axis], pads[rank + axis]) = window.padding(axis, extent);
            }
        }
        if pads.iter().any(|&pad| pad < 0) {
            return Err(GradientError::not_possible("a negative padding"));
        }
        Ok(Self { groups, kernel: window.kernel, strides: window.strides, dilations: window.dilations, pads })
    }

    fn rank(&self) -> usize {
        self.kernel.len()
    }

    /// What a window spans along an axis.
    fn span(&self, axis: usize) -> i64 {
        (self.kernel[axis] - 1) * self.dilations[axis] + 1
    }

    fn spatial(&self) -> Vec<usize> {
        (2..self.rank() + 2).collect()
    }

    fn transposed(&self) -> Node {
        Node::new("ConvTranspose", 1)
            .with(Attr::int("group", self.groups))
            .with(Attr::ints("strides", self.strides.clone()))
            .with(Attr::ints("dilations", self.dilations.clone()))
    }

    /// How many places a window has, where they can be turned round one by one.
    fn places(&self) -> Option<i64> {
        let places = self.kernel.iter().try_fold(1i64, |product, &extent| product.checked_mul(extent))?;
        (1..=MOST_PLACES).contains(&places).then_some(places)
    }

    /// The padding with which the turned weights go back over the gradient, where windows move by one place.
    fn turned_pads(&self) -> Option<Vec<i64>> {
        self.places()?;
        let rank = self.rank();
        let pads = self.pads.iter().enumerate().map(|(at, pad)| self.span(at % rank.max(1)) - 1 - pad);
        let pads: Vec<i64> = pads.collect();
        let by_one = self.strides.iter().all(|&stride| stride == 1);
        (rank > 0 && by_one && pads.iter().all(|&pad| pad >= 0)).then_some(pads)
    }

    /// Weights `[g·o, i, k..]` as `[g·i, o, k..]`, with the last place of a window first.
    fn turned(&self, cx: &mut GradientCx<'_, '_>, weight: ValueId) -> Result<ValueId, GradientError> {
        let unknown = || GradientError::not_possible("a kernel of extents that are not known");
        let channels = cx.shape(weight)?.get(1).and_then(Dim::as_const).ok_or_else(unknown)?;
        let places = self.places().ok_or_else(unknown)?;
        let cut = cx.reshape(weight, &[self.groups, -1, channels, places])?;
        let swapped = cx.transpose(cut, vec![0, 2, 1, 3])?;
        let backwards = cx.ints((0..places).rev().collect::<Vec<_>>());
        let turned = cx.add(Node::new("Gather", 1).with(Attr::int("axis", 3)), &[swapped, backwards])?;
        let all = self.groups.checked_mul(channels).ok_or_else(unknown)?;
        let whole: Vec<i64> = [all, -1].into_iter().chain(self.kernel.iter().copied()).collect();
        cx.reshape(turned, &whole)
    }

    /// What the windows read, written back over `x`: the gradient of the input, of that of the output and the weights.
    ///
    /// # Errors
    /// Where a node makes no sense.
    pub(crate) fn spread(
        &self,
        cx: &mut GradientCx<'_, '_>,
        g: ValueId,
        weight: ValueId,
        x: ValueId,
    ) -> Result<ValueId, GradientError> {
        if let Some(pads) = self.turned_pads() {
            let weight = self.turned(cx, weight)?;
            let node = Node::new("Conv", 1)
                .with(Attr::int("group", self.groups))
                .with(Attr::ints("dilations", self.dilations.clone()))
                .with(Attr::ints("pads", pads));
            return cx.add(node, &[g, weight]);
        }
        let (from, to) = (cx.shape(g)?, cx.shape(x)?);
        let rank = self.rank();
        // All that windows cover, less what is wanted and what comes before it: that is padding after, or windows end short.
        let rest = |axis: usize| {
            let positions = from.get(axis + 2)?.as_const()?;
            let covered = (positions - 1).checked_mul(self.strides[axis])?.checked_add(self.span(axis))?;
            Some(covered - self.pads[axis] - to.get(axis + 2)?.as_const()?)
        };
        if let Some(rest) = (0..rank).map(rest).collect::<Option<Vec<i64>>>() {
            let after = rest.iter().map(|&rest| rest.max(0));
            let pads: Vec<i64> = self.pads[..rank].iter().copied().chain(after).collect();
            let short: Vec<i64> = rest.iter().map(|&rest| (-rest).max(0)).collect();
            let node = self.transposed().with(Attr::ints("pads", pads)).with(Attr::ints("output_padding", short));
            return cx.add(node, &[g, weight]);
        }
        let covered = cx.add(self.transposed(), &[g, weight])?;
        // Windows end short by less than a stride; where they do not, what is too much is cut off.
        let mut more = vec![0; 2 * (rank + 2)];
        for axis in 0..rank {
            more[rank + 4 + axis] = self.strides[axis] - 1;
        }
        let more = cx.ints(more);
        let covered = cx.apply("Pad", &[covered, more])?;
        let starts = cx.ints(self.pads[..rank].to_vec());
        let extents = cx.extents_along(x, &self.spatial())?;
        let ends = cx.apply("Add", &[starts, extents])?;
        let axes = cx.ints((2..rank as i64 + 2).collect::<Vec<_>>());
        cx.apply("Slice", &[covered, starts, ends, axes])
    }

    /// The value `[n, g·c, s..]` with its channels in front and each group's own samples in the place of channels:
    /// `[c, g·n, s..]`, or, with `groups_first`, `[g·c, n, s..]`.
    fn samples_behind(
        &self,
        cx: &mut GradientCx<'_, '_>,
        value: ValueId,
        channels: i64,
        groups_first: bool,
    ) -> Result<ValueId, GradientError> {
        let rank = self.rank() as i64;
        let swap = |cx: &mut GradientCx<'_, '_>| cx.transpose(value, [1, 0].into_iter().chain(2..rank + 2).collect());
        if self.groups == 1 || groups_first {
            return swap(cx);
        }
        let spatial = cx.extents_along(value, &self.spatial())?;
        let lead = cx.ints([0, self.groups, channels]);
        let cut = cx.concat(&[lead, spatial])?;
        let cut = cx.apply("Reshape", &[value, cut])?;
        let turned = cx.transpose(cut, [2, 1, 0].into_iter().chain(3..rank + 3).collect())?;
        let lead = cx.ints([channels, -1]);
        let joined = cx.concat(&[lead, spatial])?;
        cx.apply("Reshape", &[turned, joined])
    }

    /// The gradient of weights `[g·o, i, k..]`, of the input `[n, g·i, s..]` and the gradient `[n, g·o, t..]` of the output.
    ///
    /// # Errors
    /// Where a node makes no sense.
    pub(crate) fn correlate(
        &self,
        cx: &mut GradientCx<'_, '_>,
        x: ValueId,
        g: ValueId,
        channels: i64,
    ) -> Result<ValueId, GradientError> {
        let rank = self.rank() as i64;
        let x = self.samples_behind(cx, x, channels, false)?;
        let g = self.samples_behind(cx, g, channels, true)?;
        let node = Node::new("Conv", 1)
            .with(Attr::int("group", self.groups))
            .with(Attr::ints("strides", self.dilations.clone()))
            .with(Attr::ints("dilations", self.strides.clone()))
            .with(Attr::ints("pads", self.pads.clone()));
        let sums = cx.add(node, &[x, g])?;
        let mut sums = cx.transpose(sums, [1, 0].into_iter().chain(2..rank + 2).collect())?;
        if self.strides.iter().any(|&stride| stride > 1) {
            // Where windows end short of the input, there is room for offsets that the kernel does not have.
            let operands = [
                sums,
                cx.ints(vec![0; self.rank()]),
                cx.ints(self.kernel.clone()),
                cx.ints((2..rank + 2).collect::<Vec<_>>()),
            ];
            sums = cx.apply("Slice", &operands)?;
        }
        Ok(sums)
    }
}

/// The extents of a kernel, and how many channels of a group it has along axis 1.
fn kernel(cx: &GradientCx<'_, '_>) -> Result<(Vec<i64>, i64), GradientError> {
    let weight = cx.shape(cx.operand(1)?)?;
    let extents: Option<Vec<i64>> = weight.iter().skip(1).map(Dim::as_const).collect();
    match extents.as_deref() {
        Some([channels, kernel @ ..]) => Ok((kernel.to_vec(), *channels)),
        _ => Err(GradientError::not_possible("a kernel of extents that are not known")),
    }
}

/// The gradient of the bias: the sum over all but the channels.
fn bias(cx: &mut GradientCx<'_, '_>) -> Done {
    if cx.wants(2) {
        let g = cx.result()?;
        let axes = (0..cx.rank(g)? as i64).filter(|&axis| axis != 1).collect();
        let sum = cx.sum(g, axes, false)?;
        cx.give(2, sum)?;
    }
    Ok(())
}

pub(super) fn conv(cx: &mut GradientCx<'_, '_>) -> Done {
    let (x, weight, g) = (cx.operand(0)?, cx.operand(1)?, cx.result()?);
    let (kernel, channels) = kernel(cx)?;
    let attrs = cx.node().attrs();
    let windows = Windows::over(Window::of(&attrs, kernel)?, group(&attrs)?, &cx.shape(x)?)?;
    if cx.wants(0) {
        let dx = windows.spread(cx, g, weight, x)?;
        cx.give(0, dx)?;
    }
    if cx.wants(1) {
        let dw = windows.correlate(cx, x, g, channels)?;
        cx.give(1, dw)?;
    }
    bias(cx)
}

/// A convolution of the gradient by the same weights; for these, input and gradient change places.
pub(super) fn conv_transpose(cx: &mut GradientCx<'_, '_>) -> Done {
    let (x, weight, mut g) = (cx.operand(0)?, cx.operand(1)?, cx.result()?);
    let (kernel, channels) = kernel(cx)?;
    let attrs = cx.node().attrs();
    let groups = group(&attrs)?;
    let spread = Spread::of(&attrs, kernel.clone())?;
    let pads = spread.pads(&cx.shape(x)?).ok_or_else(|| GradientError::not_possible("a padding that is not known"))?;
    // Nothing comes back from where no window lies: there only the bias is.
    let rank = kernel.len();
    let (before, after) = pads.split_at(rank);
    let after: Vec<i64> = after.iter().zip(&spread.output_padding).map(|(pad, more)| pad - more).collect();
    let starts: Vec<i64> = before.iter().map(|pad| (-pad).max(0)).collect();
    let ends: Vec<i64> = after.iter().map(|&pad| if pad < 0 { pad } else { i64::MAX }).collect();
    if starts.iter().any(|&start| start > 0) || ends.iter().any(|&end| end < 0) {
        let axes = cx.ints((2..rank as i64 + 2).collect::<Vec<_>>());
        let (starts, ends) = (cx.ints(starts), cx.ints(ends));
        g = cx.apply("Slice", &[g, starts, ends, axes])?;
    }
    let pads: Vec<i64> = before.iter().chain(&after).map(|&pad| pad.max(0)).collect();
    let windows = Windows { groups, kernel, strides: spread.strides, dilations: spread.dilations, pads };
    if cx.wants(0) {
        let node = Node::new("Conv", 1)
            .with(Attr::int("group", groups))
            .with(Attr::ints("strides", windows.strides.clone()))
            .with(Attr::ints("dilations", windows.dilations.clone()))
            .with(Attr::ints("pads", windows.pads.clone()));
        let dx = cx.add(node, &[g, weight])?;
        cx.give(0, dx)?;
    }
    if cx.wants(1) {
        let dw = windows.correlate(cx, g, x, channels)?;
        cx.give(1, dw)?;
    }
    bias(cx)
}
