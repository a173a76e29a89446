//! Sliding windows: what convolutions and pooling share.

use onnxpress_ir::Dim;

use super::Sliding;
use crate::evaluate::EvalError;
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

impl AutoPad {
    /// Reads the attribute `auto_pad`.
    ///
    /// # Errors
    /// Where its value is none that the standard has.
    pub(crate) fn of(attrs: &Attrs<'_>) -> Result<Self, Undecided> {
        match attrs.string_or("auto_pad", "NOTSET".into())?.as_ref() {
            "NOTSET" | "" => Ok(Self::NotSet),
            "SAME_UPPER" => Ok(Self::SameUpper),
            "SAME_LOWER" => Ok(Self::SameLower),
            "VALID" => Ok(Self::Valid),
            other => Err(Undecided::invalid(format!("`auto_pad` is `{other}`"))),
        }
    }
}

/// A list attribute of a window: as many entries as asked for (`otherwise` each where it is missing), none below `least` or
/// beyond 32 bits, so that sums and products of two do not overflow.
///
/// # Errors
/// Where the attribute is no such list.
pub(crate) fn entries(
    attrs: &Attrs<'_>,
    name: &str,
    length: usize,
    otherwise: i64,
    least: i64,
) -> Result<Vec<i64>, Undecided> {
    let values = attrs.ints(name)?.unwrap_or_else(|| vec![otherwise; length]);
    if values.len() != length {
        return Err(Undecided::invalid(format!("`{name}` has {} entries, not {length}", values.len())));
    }
    match values.iter().find(|&&value| value < least || value > i64::from(i32::MAX)) {
        Some(value) => Err(Undecided::invalid(format!("`{name}` has the entry {value}"))),
        None => Ok(values),
    }
}

impl Window {
    /// Reads the attributes of a node whose kernel has these extents.
    ///
    /// # Errors
    /// Where their lengths or values make no window.
    pub(crate) fn of(attrs: &Attrs<'_>, kernel: Vec<i64>) -> Result<Self, Undecided> {
        let rank = kernel.len();
        if let Some(extent) = kernel.iter().find(|&&extent| !(1..=i64::from(i32::MAX)).contains(&extent)) {
            return Err(Undecided::invalid(format!("the kernel has an extent of {extent}")));
        }
        let auto_pad = AutoPad::of(attrs)?;
        let pads = if auto_pad == AutoPad::NotSet {
            entries(attrs, "pads", 2 * rank, 0, i64::from(i32::MIN))?
        } else {
            Vec::new()
        };
        Ok(Self {
            strides: entries(attrs, "strides", rank, 1, 1)?,
            dilations: entries(attrs, "dilations", rank, 1, 1)?,
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

    /// The number of positions along an axis of this extent; unknown where the window never fits, of which runtimes make
    /// different things.
    pub(crate) fn positions(&self, axis: usize, extent: &Dim) -> Dim {
        let stride = Dim::from(self.strides[axis]);
        let span = Dim::from(self.span(axis));
        let (before, after) = match self.auto_pad {
            AutoPad::SameUpper | AutoPad::SameLower => return extent.ceil_div(&stride),
            AutoPad::Valid => (0, 0),
            AutoPad::NotSet => (self.pads[axis], self.pads[self.kernel.len() + axis]),
        };
        let room = extent + &Dim::from(before.saturating_add(after)) - &span;
        if room.is_non_negative() == Some(false) {
            return Dim::unknown();
        }
        // Without padding both ways of rounding come to the same.
        if !self.ceil_mode || self.auto_pad == AutoPad::Valid {
            return room.floor_div(&stride) + 1;
        }
        let positions = room.ceil_div(&stride) + 1;
        // A window that would begin in the padding behind the input does not count.
        let last = (&positions - 1) * &stride;
        match last.compare(&(extent + &Dim::from(before))) {
            Some(std::cmp::Ordering::Less) => positions,
            Some(_) => positions - 1,
            None => Dim::unknown(),
        }
    }

    /// Padding before and after an axis of this extent.
    pub(crate) fn padding(&self, axis: usize, extent: i64) -> (i64, i64) {
        match self.auto_pad {
            AutoPad::Valid => (0, 0),
            AutoPad::NotSet => (self.pads[axis], self.pads[self.kernel.len() + axis]),
            AutoPad::SameUpper | AutoPad::SameLower => {
                let stride = self.strides[axis];
                let positions = extent / stride + i64::from(extent % stride > 0);
                let total = ((positions - 1).saturating_mul(stride).saturating_add(self.span(axis)) - extent).max(0);
                let small = total / 2;
                if self.auto_pad == AutoPad::SameUpper { (small, total - small) } else { (total - small, small) }
            }
        }
    }
    /// The extents of the output over an input of these, and how the window slides over it.
    ///
    /// # Errors
    /// Where the window does not fit.
    pub(crate) fn slide(&self, input: &[usize]) -> Result<Sliding, EvalError> {
        let positions = |axis: usize| {
            let positions = self.positions(axis, &Dim::from_extent(input[axis])).as_const();
            positions.and_then(|count| usize::try_from(count).ok()).ok_or_else(|| {
                EvalError::invalid(format!("a window of {} does not fit an extent of {}", self.span(axis), input[axis]))
            })
        };
        let spatial = 0..input.len();
        Ok(Sliding {
            positions: spatial.clone().map(positions).collect::<Result<_, _>>()?,
            before: spatial.map(|axis| self.padding(axis, input[axis] as i64).0).collect(),
            extents: input.to_vec(),
            strides: self.strides.clone(),
            dilations: self.dilations.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    fn pooled(pool: crate::testing::OneNode, extent: &str) -> String {
        pool.input(&format!("float[1,1,{extent}]")).infer()
    }

    #[test]
    fn a_window_counts_if_it_begins_inside() {
        let pool = || op("MaxPool").ints("kernel_shape", &[2]).ints("strides", &[3]).int("ceil_mode", 1);
        assert_eq!(pooled(pool(), "7"), "float[1,1,3]", "the last window is half outside");
        assert_eq!(pooled(pool(), "6"), "float[1,1,2]", "the last would begin outside");
        assert_eq!(pooled(pool(), "N"), "float[1,1,?]", "which of the two is open");
    }

    #[test]
    fn padding_follows_from_auto_pad() {
        let pool =
            |auto_pad| op("MaxPool").ints("kernel_shape", &[3]).ints("strides", &[2]).string("auto_pad", auto_pad);
        assert_eq!(pooled(pool("SAME_UPPER"), "2*N"), "float[1,1,N]");
        assert_eq!(pooled(pool("VALID"), "2*N+1"), "float[1,1,N]");
        assert_eq!(pooled(pool("SAME"), "N"), "invalid: `auto_pad` is `SAME`");
    }

    #[test]
    fn attributes_of_the_wrong_length_or_size() {
        let pool = || op("MaxPool").ints("kernel_shape", &[3]);
        assert_eq!(pooled(pool().ints("pads", &[1]), "8"), "invalid: `pads` has 1 entries, not 2");
        assert_eq!(pooled(pool().ints("strides", &[0]), "8"), "invalid: `strides` has the entry 0");
        assert_eq!(
            pooled(pool().ints("dilations", &[i64::MAX]), "8"),
            format!("invalid: `dilations` has the entry {}", i64::MAX)
        );
        assert_eq!(pooled(pool(), "2"), "float[1,1,?]", "runtimes differ in what they make of it");
    }
}
