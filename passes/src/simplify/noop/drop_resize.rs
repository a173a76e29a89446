//! Drops `Resize` and `Upsample` that change no extent.
//!
//! Before `y = Resize(x, roi, scales, sizes)`; after, every reader of `y` reads `x`.
//! Fires if all scales are known and 1, or sizes are given and `x` and `y` have the same extents for certain; if coordinates
//! are transformed in a way that then maps each index to itself (all but `tf_crop_and_resize` and `tf_half_pixel_for_nn`).
//! Where a graph output needs the node for its name, it becomes an `Identity`.
//! Exact: each element is interpolated at its own place, with weight 1. Ends: one such node fewer each time.

use onnxpress_ir::{Edit, EditError, NodeId};

use crate::rewrite::{Bypass, Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct DropResize;

impl Rule for DropResize {
    const NAME: &'static str = "drop-resize";
    const CONTRACT: &'static str = crate::contract!("drop_resize.rs");
    const ROOTS: Roots = Roots::Operators(&["Resize", "Upsample"]);
    type Match = Bypass;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Bypass> {
        let node = cx.node(root)?;
        let mode = cx.attribute(root, node.attrs().string_or("coordinate_transformation_mode", "half_pixel".into()))?;
        if matches!(&*mode, "tf_crop_and_resize" | "tf_half_pixel_for_nn") {
            return Err(Miss::NotHere);
        }
        let is_resize = node.node.is("Resize");
        let sizes = is_resize && node.version >= 11 && node.has(3);
        if sizes && node.operand(2).is_none_or(|scales| cx.constant(scales).is_none_or(|tensor| tensor.is_empty())) {
            let same = cx.same_shape(cx.operand(root, 0)?, root.port(0));
            return if same { Bypass::of(cx, root) } else { Err(Miss::NotHere) };
        }
        let scales = match (is_resize && node.version >= 11, is_resize || node.version >= 9) {
            (true, _) => cx.constant(cx.operand(root, 2)?),
            (_, true) => cx.constant(cx.operand(root, 1)?),
            _ => {
                let scales = cx.attribute(root, node.attrs().floats("scales"))?.ok_or(Miss::NotHere)?;
                return if scales.iter().all(|&scale| scale == 1.0) {
                    Bypass::of(cx, root)
                } else {
                    Err(Miss::NotHere)
                };
            }
        };
        let scales = scales.and_then(|scales| scales.to_f64s().ok()).filter(|scales| !scales.is_empty());
        if scales.ok_or(Miss::NotHere)?.iter().all(|&scale| scale == 1.0) {
            Bypass::of(cx, root)
        } else {
            Err(Miss::NotHere)
        }
    }

    fn apply(&self, found: Bypass, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}
