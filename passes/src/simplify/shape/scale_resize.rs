//! Lets `Resize` scale by known factors in the place of computed sizes.
//!
//! Before `y = Resize(x, roi, , sizes)` with sizes that are computed from the extents of `x`; after `y = Resize(x, roi, scales)`.
//! Fires if each size is a known multiple of the extent along its axis, or both are known and the quotient gives the size
//! back; and if aspect ratios are not to be kept.
//! Exact: from sizes `Resize` computes the same scales. Ends: one computed list fewer each time.

use onnxpress_ir::shape::normalize_axis;
use onnxpress_ir::{Dim, Edit, EditError, NodeId, Tensor};

use crate::rewrite::{Change, Found, MatchCx, Miss, Reads, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct ScaleResize;

impl Rule for ScaleResize {
    const NAME: &'static str = "scale-resize";
    const CONTRACT: &'static str = crate::contract!("scale_resize.rs");
    const ROOTS: Roots = Roots::Operators(&["Resize"]);
    type Match = Change;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Change> {
        let node = cx.node(root)?;
        let data = cx.operand(root, 0)?;
        let sizes = cx.operand(root, 3)?;
        let scaled = node.operand(2).is_some_and(|scales| cx.constant(scales).is_none_or(|tensor| !tensor.is_empty()));
        if node.version < 11 || scaled || cx.constant(sizes).is_some() {
            return Err(Miss::NotHere);
        }
        let policy = cx.attribute(root, node.attrs().string_or("keep_aspect_ratio_policy", "stretch".into()))?;
        let from = cx.shape(data).ok_or(Miss::NotHere)?;
        let axes = cx.attribute(root, node.attrs().ints("axes"))?;
        let axes = axes.unwrap_or_else(|| (0..from.len() as i64).collect());
        let sizes = cx.elements(sizes).filter(|sizes| sizes.len() == axes.len()).ok_or(Miss::NotHere)?;
        if &*policy != "stretch" {
            return Err(Miss::NotHere);
        }
        let scale = |(&axis, size): (&i64, &Dim)| factor(&from[normalize_axis(axis, from.len())?], size);
        let scales: Option<Vec<f32>> = axes.iter().zip(sizes).map(scale).collect();
        let scales = Tensor::vector::<f32>(scales.ok_or(Miss::NotHere)?);
        let roi = node.operand(1).map_or(Reads::Nothing, Reads::Value);
        Change::operands(cx, root, [data.into(), roi, scales.into()])
    }

    fn apply(&self, found: Change, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}

/// What an extent is multiplied by to give a size.
fn factor(extent: &Dim, size: &Dim) -> Option<f32> {
    if let (Some(extent), Some(size)) = (extent.as_const(), size.as_const()) {
        let scale = size as f32 / extent as f32;
        return ((extent as f32 * scale).floor() as i64 == size).then_some(scale);
    }
    let factor = size.floor_div(extent).as_const().filter(|&factor| factor > 0 && factor < 1 << 16)?;
    ((extent * factor).equals(size) == Some(true)).then_some(factor as f32)
}
