//! What a `Slice` takes: in attributes before version 10, in operands from there on.

use onnxpress_ir::shape::normalize_axis;
use onnxpress_ir::{Attr, Dim, NodeId, ValueId};
use onnxpress_ops::node::NodeCx;

use crate::rewrite::{Change, Found, MatchCx, Miss, Reads};

/// The first version that takes everything as operands.
const OPERANDS_SINCE: i64 = 10;

/// What is taken along one axis; negative indices count from the end.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Cut {
    pub(in super::super) axis: usize,
    pub(in super::super) start: Dim,
    pub(in super::super) end: Dim,
    pub(in super::super) step: i64,
}

impl Cut {
    /// A cut whose ends are known ahead.
    pub(in super::super) fn known(axis: usize, start: i64, end: i64, step: i64) -> Self {
        Self { axis, start: start.into(), end: end.into(), step }
    }

    /// The same with indices counted from the front, given the extent of the axis. `None` where that cannot be said for certain.
    pub(in super::super) fn counted_from_front(&self, extent: &Dim) -> Option<Self> {
        let place = |index: &Dim| match (index.as_const(), extent.as_const()) {
            (Some(index), Some(extent)) if index < 0 => Some(Dim::from(index.saturating_add(extent).max(0))),
            (Some(index), None) if index < 0 => None,
            _ => Some(index.clone()),
        };
        Some(Self { start: place(&self.start)?, end: place(&self.end)?, ..self.clone() })
    }

    /// First and one past last, where both are known ahead, count from the front, and every index between is taken.
    pub(in super::super) fn range(&self) -> Option<(i64, i64)> {
        let (start, end) = (self.start.as_const()?, self.end.as_const()?);
        (self.step == 1 && start >= 0 && end >= 0).then_some((start, end.max(start)))
    }
}

/// The cuts of a `Slice`, of a tensor of this rank.
///
/// # Errors
/// [`Miss::NotHere`] where axes or steps are not known ahead, or make no sense.
pub(in super::super) fn cuts(cx: &MatchCx<'_>, node: &NodeCx<'_>, rank: usize) -> Found<Vec<Cut>> {
    let (starts, ends, axes, steps) = if node.version < OPERANDS_SINCE {
        let list = |name| cx.attribute(node.id, node.attrs().ints(name));
        let dims = |list: Vec<i64>| list.into_iter().map(Dim::from).collect::<Vec<_>>();
        let (starts, ends) = (list("starts")?.ok_or(Miss::NotHere)?, list("ends")?.ok_or(Miss::NotHere)?);
        (dims(starts), dims(ends), list("axes")?, None)
    } else {
        let dims = |index| -> Found<Vec<Dim>> {
            let value = cx.operand(node.id, index)?;
            match cx.elements(value) {
                Some(elements) => Ok(elements.to_vec()),
                None => Ok(cx.ints(value).ok_or(Miss::NotHere)?.into_iter().map(Dim::from).collect()),
            }
        };
        (dims(1)?, dims(2)?, cx.int_operand(node.id, 3)?, cx.int_operand(node.id, 4)?)
    };
    let count = starts.len();
    let axes = axes.unwrap_or_else(|| (0..count as i64).collect());
    let steps = steps.unwrap_or_else(|| vec![1; count]);
    if [ends.len(), axes.len(), steps.len()].iter().any(|&other| other != count) {
        return Err(Miss::NotHere);
    }
    let mut cuts: Vec<Cut> = Vec::with_capacity(count);
    for (((start, end), axis), step) in starts.into_iter().zip(ends).zip(axes).zip(steps) {
        let axis = normalize_axis(axis, rank).ok_or(Miss::NotHere)?;
        if step == 0 || cuts.iter().any(|cut| cut.axis == axis) {
            return Err(Miss::NotHere);
        }
        cuts.push(Cut { axis, start, end, step });
    }
    Ok(cuts)
}

/// A node as a `Slice` of `data` that takes these cuts, all known ahead.
///
/// # Errors
/// [`Miss::NotHere`] where one is not known, or the version cannot say it; a decline where the file would grow.
pub(in super::super) fn slice(cx: &MatchCx<'_>, root: NodeId, data: ValueId, cuts: &[Cut]) -> Found<Change> {
    let node = cx.node(root)?;
    let list = |part: fn(&Cut) -> Option<i64>| cuts.iter().map(part).collect::<Option<Vec<i64>>>().ok_or(Miss::NotHere);
    let (starts, ends) = (list(|cut| cut.start.as_const())?, list(|cut| cut.end.as_const())?);
    let (axes, steps) = (list(|cut| Some(cut.axis as i64))?, list(|cut| Some(cut.step))?);
    let every = steps.iter().all(|&step| step == 1);
    if node.version < OPERANDS_SINCE {
        if !every {
            return Err(Miss::NotHere);
        }
        let attrs = vec![Attr::ints("axes", axes), Attr::ints("starts", starts), Attr::ints("ends", ends)];
        return Change::new(cx, root, "Slice", [data.into()], attrs);
    }
    // A list that is there already is not made again.
    let list = |index: usize, list: Vec<i64>| match node.operand(index).filter(|_| node.node.is("Slice")) {
        Some(value) if cx.constant(value).is_some() && cx.ints(value).as_ref() == Some(&list) => Reads::Value(value),
        _ => Reads::ints(list),
    };
    let leading = axes.iter().copied().eq(0..axes.len() as i64);
    let (starts, ends) = (list(1, starts), list(2, ends));
    let axes = if leading && every { Reads::Nothing } else { list(3, axes) };
    let steps = if every { Reads::Nothing } else { list(4, steps) };
    let operands = [data.into(), starts, ends, axes, steps];
    Change::new(cx, root, "Slice", operands, Vec::new())
}
