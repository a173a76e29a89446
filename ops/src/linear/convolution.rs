//! What the convolutions share: the rule for their output's shape, their layers and cost, and the sum itself.
//!
//! Operands X `[n, g·i, s..]` and W `[g·o, i, k..]`, at places that differ from operator to operator; output
//! `[n, g·o, t..]`.

use onnxpress_ir::{Dim, Shape};

use super::{Sliding, Window};
use crate::evaluate::lanes::volume;
use crate::evaluate::{EvalCx, EvalError};
use crate::infer::{InferCx, Undecided};
use crate::node::{Attrs, NodeCx};
use crate::operator::{LinearLayer, Rows};

/// The attribute `group`.
///
/// # Errors
/// Where it is not positive.
pub(crate) fn group(attrs: &Attrs<'_>) -> Result<i64, Undecided> {
    match attrs.int_or("group", 1)? {
        group if group > 0 => Ok(group),
        group => Err(Undecided::invalid(format!("`group` is {group}"))),
    }
}

/// The kernel's extents: the attribute `kernel_shape`, else the last `spatial` extents of W where those are constant.
///
/// # Errors
/// Where the attribute contradicts W.
pub(crate) fn kernel(attrs: &Attrs<'_>, w: Option<&Shape>, spatial: usize) -> Result<Option<Vec<i64>>, Undecided> {
    let of_weight = w.map(|w| &w[w.len() - spatial..]);
    match attrs.ints("kernel_shape")? {
        Some(kernel) if kernel.len() != spatial => {
            Err(Undecided::invalid(format!("`kernel_shape` has {} entries, not {spatial}", kernel.len())))
        }
        Some(kernel) => {
            let differs = |(&extent, of_weight): (&i64, &Dim)| Dim::from(extent).equals(of_weight) == Some(false);
            match of_weight {
                Some(of_weight) if kernel.iter().zip(of_weight).any(differs) => Err(Undecided::invalid(format!(
                    "`kernel_shape` is {kernel:?}, but W has {}",
                    Shape::from(of_weight)
                ))),
                _ => Ok(Some(kernel)),
            }
        }
        None => Ok(of_weight.and_then(|kernel| kernel.iter().map(Dim::as_const).collect())),
    }
}

/// The ranks of X and W, which must agree; `None` where neither is known.
///
/// # Errors
/// Where they do not, or there is no spatial axis.
pub(crate) fn common_rank(x: Option<&Shape>, w: Option<&Shape>) -> Result<Option<usize>, Undecided> {
    let Some(rank) = x.or(w).map(|shape| shape.len()) else { return Ok(None) };
    if rank < 3 || [x, w].into_iter().flatten().any(|shape| shape.len() != rank) {
        let text = |shape: Option<&Shape>| shape.map_or_else(|| "?".to_owned(), Shape::to_string);
        return Err(Undecided::invalid(format!("X{} and W{} are not of one rank of at least 3", text(x), text(w))));
    }
    Ok(Some(rank))
}

/// The shape of the output, from operands number `x` and `w`; `None` where its rank is not known.
///
/// # Errors
/// Where the operands and the attributes make no convolution.
pub(crate) fn output_shape(cx: &InferCx<'_>, x: usize, w: usize) -> Result<Option<Shape>, Undecided> {
    let (x, w) = (cx.shape(x), cx.shape(w));
    let Some(rank) = common_rank(x, w)? else { return Ok(None) };
    let dim = |shape: Option<&Shape>, axis: usize| shape.map_or_else(Dim::unknown, |shape| shape[axis].clone());
    let group = group(&cx.attrs())?;
    let (channels, per_group, outputs) = (dim(x, 1), dim(w, 1), dim(w, 0));
    if channels.equals(&(&per_group * group)) == Some(false) {
        return Err(Undecided::invalid(format!("X has {channels} channels, but W takes {group} times {per_group}")));
    }
    if outputs.divisible_by(group) == Some(false) {
        return Err(Undecided::invalid(format!("{outputs} output channels do not fall into {group} groups")));
    }
    let spatial = rank - 2;
    let mut shape: Shape = [dim(x, 0), outputs].into_iter().collect();
    match kernel(&cx.attrs(), w, spatial)? {
        Some(kernel) => {
            let window = Window::of(&cx.attrs(), kernel)?;
            shape.extend((0..spatial).map(|axis| window.positions(axis, &dim(x, 2 + axis))));
        }
        None => shape.extend((0..spatial).map(|_| Dim::unknown())),
    }
    Ok(Some(shape))
}

/// The layer of a node with these operands.
pub(crate) fn layers(cx: &NodeCx<'_>, input: usize, weight: usize, bias: usize) -> Vec<LinearLayer> {
    let rank = cx.rank(weight).or(cx.rank(input)).unwrap_or(4);
    vec![LinearLayer {
        input,
        weight,
        bias: Some(bias),
        output_axes: vec![0],
        input_axes: (1..rank).collect(),
        batch_axes: Vec::new(),
        groups: group(&cx.attrs()).unwrap_or(1),
        rows: Rows::Windows,
    }]
}

/// One a weight and output position: the output's elements times the weights that each sums over.
pub(crate) fn macs(cx: &NodeCx<'_>, weight: usize) -> Dim {
    match (cx.output_shape(0), cx.shape(weight)) {
        (Some(y), Some(w)) => y.size() * Dim::product(w.iter().skip(1)),
        _ => Dim::unknown(),
    }
}

/// A convolution of tensors at hand.
#[derive(Debug, Clone)]
pub(crate) struct Convolution {
    batch: usize,
    group: usize,
    /// Input and output channels of one group.
    inputs: usize,
    outputs: usize,
    kernel: Vec<usize>,
    sliding: Sliding,
}

impl Convolution {
    /// Of operands of these extents, by the node's attributes.
    ///
    /// # Errors
    /// Where they make no convolution, or its result is larger or takes longer than allowed.
    pub(crate) fn of(cx: &EvalCx<'_>, x: &[usize], w: &[usize]) -> Result<Self, EvalError> {
        let (shape_of_x, shape_of_w) = (Shape::from_extents(x), Shape::from_extents(w));
        common_rank(Some(&shape_of_x), Some(&shape_of_w))?;
        let kernel = kernel(&cx.attrs(), Some(&shape_of_w), w.len() - 2)?;
        let kernel = kernel.ok_or_else(|| EvalError::invalid("the kernel has no extents"))?;
        let group = usize::try_from(group(&cx.attrs())?).unwrap_or(usize::MAX);
        Self::new(cx, x, w, group, Window::of(&cx.attrs(), kernel)?.slide(&x[2..])?)
    }

    /// Of operands of these extents, in so many groups, with a window that slides so.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub(crate) fn new(
        cx: &EvalCx<'_>,
        x: &[usize],
        w: &[usize],
        group: usize,
        sliding: Sliding,
    ) -> Result<Self, EvalError> {
        if group == 0 || w[1].checked_mul(group) != Some(x[1]) || !w[0].is_multiple_of(group) {
            return Err(EvalError::invalid(format!("{} channels, weights {w:?} and {group} groups do not fit", x[1])));
        }
        let it = Self { batch: x[0], group, inputs: w[1], outputs: w[0] / group, kernel: w[2..].to_vec(), sliding };
        let count = cx.room_for(&it.output_dims())?;
        cx.spend((count as u64).saturating_mul(volume(&w[1..]) as u64))?;
        Ok(it)
    }

    /// The extents of the output.
    pub(crate) fn output_dims(&self) -> Vec<usize> {
        [self.batch, self.group * self.outputs].into_iter().chain(self.sliding.positions.iter().copied()).collect()
    }

    /// The output, for the elements of X and W and a number for each output channel.
    ///
    /// # Errors
    /// Where the bias has another number of entries.
    pub(crate) fn apply(&self, x: &[f64], w: &[f64], bias: Option<&[f64]>) -> Result<Vec<f64>, EvalError> {
        let channels = self.group * self.outputs;
        if let Some(bias) = bias.filter(|bias| bias.len() != channels) {
            return Err(EvalError::invalid(format!("a bias of {} entries for {channels} channels", bias.len())));
        }
        let plane = volume(&self.sliding.extents);
        let positions = volume(&self.sliding.positions);
        let taps = volume(&self.kernel);
        let mut y = Vec::new();
        for n in 0..self.batch {
            for o in 0..channels {
                let mut sums = vec![bias.map_or(0.0, |bias| bias[o]); positions];
                for i in 0..self.inputs {
                    let channel = n * self.group * self.inputs + o / self.outputs * self.inputs + i;
                    let x = &x[channel * plane..][..plane];
                    let w = &w[(o * self.inputs + i) * taps..][..taps];
                    for (number, offset) in Sliding::offsets(&self.kernel) {
                        let weight = w[number];
                        self.sliding.rows(&offset, |row| {
                            row.pairs().for_each(|(position, element)| sums[position] += weight * x[element]);
                        });
                    }
                }
                y.append(&mut sums);
            }
        }
        Ok(y)
    }
}
