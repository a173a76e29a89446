//! Sliding windows: what convolutions and pooling share.

use onnxpress_ir::Dim;

use crate::infer::Undecided;
use crate::node::Attrs;

/// Kernel, strides, dilations and padding of a sliding window, one entry a spatial axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    pub kernel: Vec<i64>,
    pub strides: Vec<i64>,
    pub dilations: Vec<i64>,
    /// Explicit padding before each axis, then after each; empty where it follows from `auto_pad`.
    pub pads: Vec<i64>,
    pub auto_pad: AutoPad,
    /// Whether a last window that is only partly inside counts.
    pub ceil_mode: bool,
}

/// Where padding comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AutoPad {
    /// The attribute `pads`.
    NotSet,
    /// As much as gives `ceil(input / stride)` outputs, the odd one after.
    SameUpper,
    /// The same, the odd one before.
    SameLower,
    /// None.
    Valid,
}

impl Window {
    /// Reads the attributes of a node whose kernel has these extents.
    ///
    /// # Errors
    /// Where their lengths or values make no window.
    pub(crate) fn of(attrs: &Attrs<'_>, kernel: Vec<i64>) -> Result<Self, Undecided> {
        let rank = kernel.len();
        let list = |name: &str, length: usize, otherwise: i64, least: i64| -> Result<Vec<i64>, Undecided> {
            let values = attrs.ints(name)?.unwrap_or_else(|| vec![otherwise; length]);
            if values.len() != length {
                return Err(Undecided::invalid(format!("`{name}` has {} entries, not {length}", values.len())));
            }
            match values.iter().find(|&&value| value < least || value > i64::from(i32::MAX)) {
                Some(value) => Err(Undecided::invalid(format!("`{name}` has the entry {value}"))),
                None => Ok(values),
            }
        };
        if let Some(extent) = kernel.iter().find(|&&extent| !(1..=i64::from(i32::MAX)).contains(&extent)) {
            return Err(Undecided::invalid(format!("the kernel has an extent of {extent}")));
        }
        let auto_pad = match attrs.string_or("auto_pad", "NOTSET".into())?.as_ref() {
            "NOTSET" | "" => AutoPad::NotSet,
            "SAME_UPPER" => AutoPad::SameUpper,
            "SAME_LOWER" => AutoPad::SameLower,
            "VALID" => AutoPad::Valid,
            other => return Err(Undecided::invalid(format!("`auto_pad` is `{other}`"))),
        };
        let pads =
            if auto_pad == AutoPad::NotSet { list("pads", 2 * rank, 0, i64::from(i32::MIN))? } else { Vec::new() };
        Ok(Self {
            strides: list("strides", rank, 1, 1)?,
            dilations: list("dilations", rank, 1, 1)?,
            ceil_mode: attrs.flag("ceil_mode")?,
            kernel,
            pads,
            auto_pad,
        })
    }

    /// What the window spans along an axis: `(kernel - 1) * dilation + 1`.
    pub(crate) fn span(&self, axis: usize) -> i64 {
        (self.kernel[axis] - 1) * self.dilations[axis] + 1
    }

    /// The number of positions along an axis of this extent.
    pub(crate) fn positions(&self, axis: usize, extent: &Dim) -> Dim {
        let stride = Dim::from(self.strides[axis]);
        let span = Dim::from(self.span(axis));
        match self.auto_pad {
            AutoPad::SameUpper | AutoPad::SameLower => extent.ceil_div(&stride),
            AutoPad::Valid => (extent - &span).floor_div(&stride) + Dim::from(1),
            AutoPad::NotSet => {
                let (before, after) = (self.pads[axis], self.pads[self.kernel.len() + axis]);
                let room = extent + &Dim::from(before.saturating_add(after)) - &span;
                if !self.ceil_mode {
                    return room.floor_div(&stride) + Dim::from(1);
                }
                let positions = room.ceil_div(&stride) + Dim::from(1);
                // A window that would begin in the padding behind the input does not count.
                let last = (&positions - &Dim::from(1)) * &stride;
                match last.compare(&(extent + &Dim::from(before))) {
                    Some(std::cmp::Ordering::Less) => positions,
                    Some(_) => positions - Dim::from(1),
                    None => Dim::unknown(),
                }
            }
        }
    }

    /// Padding before and after an axis of this extent.
    pub(crate) fn padding(&self, axis: usize, extent: i64) -> (i64, i64) {
        match self.auto_pad {
            AutoPad::Valid => (0, 0),
            AutoPad::NotSet => (self.pads[axis], self.pads[self.kernel.len() + axis]),
            AutoPad::SameUpper | AutoPad::SameLower => {
                let stride = self.strides[axis];
                let positions = (extent + stride - 1) / stride;
                let total = ((positions - 1) * stride + self.span(axis) - extent).max(0);
                let small = total / 2;
                if self.auto_pad == AutoPad::SameUpper { (small, total - small) } else { (total - small, small) }
            }
        }
    }
}
