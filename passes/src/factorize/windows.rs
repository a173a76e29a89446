//! What a convolution does along each spatial axis, and two convolutions in a row as one.
//!
//! Along an axis where one of two looks at one place at a time, without steps or padding, both together do what the other does. Where that
//! holds for every axis they are one convolution, of the groups of the one with fewer of them.

use faer::Mat;
use onnxpress_ir::{Attr, AttrValue, Node, Tensor};
use onnxpress_ops::node::NodeCx;

use super::rewrite;

/// Where zeros are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pads {
    /// So many before and behind.
    Given(i64, i64),
    /// As many as give an output for each step; the odd one behind, or before.
    Same { upper: bool },
}

/// One axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Axis {
    kernel: usize,
    stride: i64,
    dilation: i64,
    pads: Pads,
}

impl Axis {
    fn is_idle(self) -> bool {
        self.kernel == 1 && self.stride == 1 && self.pads == Pads::Given(0, 0)
    }
}

/// What a convolution does along its axes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Windows {
    axes: Vec<Axis>,
    /// Whether the kernel's extents stand in an attribute.
    is_stated: bool,
}

impl Windows {
    /// Of a convolution whose kernel has these extents; `None` where its attributes are not known, or make none.
    pub(super) fn of(cx: &NodeCx<'_>, kernel: &[usize]) -> Option<Self> {
        let attrs = cx.attrs();
        let listed = |name: &str, count: usize, otherwise: i64| {
            let values = attrs.ints(name).ok()?.unwrap_or_else(|| vec![otherwise; count]);
            (values.len() == count).then_some(values)
        };
        let count = kernel.len();
        let (strides, dilations) = (listed("strides", count, 1)?, listed("dilations", count, 1)?);
        let automatic = attrs.string_or("auto_pad", "NOTSET".into()).ok()?;
        let given = match automatic.as_ref() {
            "NOTSET" | "" => listed("pads", 2 * count, 0)?,
            "VALID" | "SAME_UPPER" | "SAME_LOWER" => vec![0; 2 * count],
            _ => return None,
        };
        let axis = |(at, &kernel): (usize, &usize)| {
            // Of one place as many as there are steps need no padding.
            let pads = match automatic.as_ref() {
                "SAME_UPPER" if kernel > 1 => Pads::Same { upper: true },
                "SAME_LOWER" if kernel > 1 => Pads::Same { upper: false },
                _ => Pads::Given(given[at], given[count + at]),
            };
            Axis { kernel, stride: strides[at], dilation: dilations[at], pads }
        };
        let axes = kernel.iter().enumerate().map(axis).collect();
        Some(Self { axes, is_stated: attrs.ints("kernel_shape").ok()?.is_some() })
    }

    /// What two in a row do, where that is what one can do.
    pub(super) fn then(&self, second: &Self) -> Option<Self> {
        let one = |(a, b): (&Axis, &Axis)| match (a.is_idle(), b.is_idle()) {
            (_, true) => Some(*a),
            (true, false) => Some(*b),
            (false, false) => None,
        };
        let axes: Vec<Axis> = self.axes.iter().zip(&second.axes).map(one).collect::<Option<_>>()?;
        let made = Self { axes, is_stated: self.is_stated || second.is_stated };
        (self.axes.len() == second.axes.len() && made.automatic().is_some()).then_some(made)
    }

    /// What `auto_pad` says, or that it says nothing; `None` where axes cannot be told by one attribute.
    fn automatic(&self) -> Option<Option<&'static str>> {
        let mut same = self.axes.iter().filter_map(|axis| match axis.pads {
            Pads::Same { upper } => Some(upper),
            Pads::Given(..) => None,
        });
        let Some(upper) = same.next() else { return Some(None) };
        let others_fit = self.axes.iter().all(|axis| match axis.pads {
            Pads::Same { upper: other } => other == upper,
            Pads::Given(before, after) => axis.kernel == 1 && (before, after) == (0, 0),
        });
        others_fit.then_some(Some(if upper { "SAME_UPPER" } else { "SAME_LOWER" }))
    }

    /// The kernel's extents.
    pub(super) fn kernel(&self) -> Vec<usize> {
        self.axes.iter().map(|axis| axis.kernel).collect()
    }

    /// A convolution that does this.
    pub(super) fn node(&self, groups: usize) -> Node {
        let mut node = Node::new("Conv", 1);
        let all = |of: &dyn Fn(&Axis) -> i64| self.axes.iter().map(of).collect::<Vec<i64>>();
        let pads = |axis: &Axis| match axis.pads {
            Pads::Given(before, after) => (before, after),
            Pads::Same { .. } => (0, 0),
        };
        if let Some(Some(text)) = self.automatic() {
            node = node.with(Attr::new("auto_pad", AttrValue::String(text.into())));
        }
        if self.is_stated {
            node = node.with(Attr::ints("kernel_shape", all(&|axis| axis.kernel as i64)));
        }
        let given = [all(&|axis| pads(axis).0), all(&|axis| pads(axis).1)].concat();
        let lists = [
            ("strides", all(&|axis| axis.stride), 1),
            ("dilations", all(&|axis| axis.dilation), 1),
            ("pads", given, 0),
        ];
        for (name, values, otherwise) in lists {
            if values.iter().any(|&value| value != otherwise) {
                node = node.with(Attr::ints(name, values));
            }
        }
        if groups > 1 { node.with(Attr::int("group", groups as i64)) } else { node }
    }
}

/// The matrices of a weight's groups as those of fewer groups, zero where a group does not look.
fn regrouped(matrices: Vec<Mat<f64>>, groups: usize, places: usize) -> Option<Vec<Mat<f64>>> {
    let each = matrices.len().checked_div(groups).filter(|each| each * groups == matrices.len())?;
    if each == 1 {
        return Some(matrices);
    }
    let (outputs, channels) = (matrices.first()?.nrows(), matrices.first()?.ncols().checked_div(places)?);
    let block = |of: &[Mat<f64>]| {
        let mut whole = Mat::zeros(outputs * each, channels * places * each);
        for (at, matrix) in of.iter().enumerate() {
            for column in 0..matrix.ncols() {
                for output in 0..outputs {
                    whole[(at * outputs + output, at * channels * places + column)] = matrix[(output, column)];
                }
            }
        }
        whole
    };
    Some(matrices.chunks(each).map(block).collect())
}

/// The weight of two convolutions in a row, whose weights are these, one matrix a group, and which together do `windows`, with its groups.
pub(super) fn product(
    (v, first): (Vec<Mat<f64>>, &Windows),
    (u, second): (Vec<Mat<f64>>, &Windows),
    windows: &Windows,
    like: &Tensor,
) -> Option<(Tensor, usize)> {
    let groups = v.len().min(u.len());
    let count = |windows: &Windows| windows.kernel().iter().product::<usize>();
    let (before, behind, all) = (count(first), count(second), count(windows));
    let (v, u) = (regrouped(v, groups, before)?, regrouped(u, groups, behind)?);
    let mut made = Vec::new();
    for (v, u) in v.iter().zip(&u) {
        let (outputs, hidden, channels) = (u.nrows(), v.nrows(), v.ncols().checked_div(before)?);
        if u.ncols() != hidden * behind {
            return None;
        }
        let mut whole = Mat::zeros(outputs, channels * all);
        for place in 0..behind {
            let part = Mat::from_fn(outputs, hidden, |output, channel| u[(output, channel * behind + place)]);
            let product = part * v;
            for column in 0..product.ncols() {
                let at = merged_place(column % before, place, first, second, windows);
                let into = column / before * all + at;
                (0..outputs).for_each(|output| whole[(output, into)] += product[(output, column)]);
            }
        }
        made.push(whole);
    }
    let outputs: usize = made.iter().map(Mat::nrows).sum();
    let channels = made.first()?.ncols() / all.max(1);
    let dims: Vec<usize> = [outputs, channels].into_iter().chain(windows.kernel()).collect();
    let tensor = rewrite::tensor(&made.iter().collect::<Vec<_>>(), false, &dims, like)?;
    Some((tensor, groups))
}

/// The place in the kernel of both where one looks here and the other there: along each axis one of them has a single place.
fn merged_place(mut here: usize, mut there: usize, first: &Windows, second: &Windows, both: &Windows) -> usize {
    let (mut place, mut stride) = (0, 1);
    for ((a, b), all) in first.axes.iter().zip(&second.axes).zip(&both.axes).rev() {
        place += (here % a.kernel + there % b.kernel) * stride;
        (here, there) = (here / a.kernel, there / b.kernel);
        stride *= all.kernel;
    }
    place
}
