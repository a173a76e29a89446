//! Reads the rows that a linear layer multiplies its weight with off its input, and its results off its output.
//!
//! Statistics of a layer's input (its mean and second moment) are taken over these rows: vectors along an axis, or the windows
//! of a convolution, laid out flat as the weight's input axes are (channels of one group, then the kernel), so that
//! `result = weight · row` for the weight as a matrix. The padding around a convolution's input is zeros in its rows.

use onnxpress_ir::Shape;

use super::{Sliding, Window, convolution};
use crate::infer::Undecided;
use crate::node::NodeCx;
use crate::operator::{LinearLayer, Rows};

/// How the rows of one layer are read.
#[derive(Debug, Clone)]
pub struct LayerRows {
    groups: usize,
    columns: usize,
    outputs: usize,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    Along { input: usize, output: Option<usize> },
    Windows { kernel: Vec<usize>, window: Window },
}

impl LayerRows {
    /// For a layer of a node, whose weight has extents that are known.
    ///
    /// # Errors
    /// Why no rows can be read.
    pub fn of(cx: &NodeCx<'_>, layer: &LinearLayer) -> Result<Self, String> {
        let unknown = || "the extents of the weight are not known".to_owned();
        let weight = cx.shape(layer.weight).and_then(Shape::as_consts).ok_or_else(unknown)?;
        let groups = usize::try_from(layer.groups).ok().filter(|groups| *groups > 0).ok_or_else(unknown)?;
        let volume = |axes: &[usize]| axes.iter().try_fold(1usize, |all, &axis| all.checked_mul(*weight.get(axis)?));
        let (outputs, inputs) = volume(&layer.output_axes).zip(volume(&layer.input_axes)).ok_or_else(unknown)?;
        // Axis 0 runs over all groups, whether it is an output's or an input's.
        let per_group = |count: usize, axes: &[usize]| if axes.contains(&0) { count / groups } else { count };
        let (outputs, columns) = (per_group(outputs, &layer.output_axes), per_group(inputs, &layer.input_axes));
        let place = match layer.rows {
            Rows::Hidden(reason) => return Err(reason.to_owned()),
            Rows::Along { input, output } => {
                // What spreads each element over a window sums over that only in the results.
                let extent = cx.shape(layer.input).and_then(|shape| shape.get(input)?.as_const());
                if extent.is_some_and(|extent| usize::try_from(extent) != Ok(columns * groups)) {
                    return Err(format!("its rows of {columns} are not those of its input"));
                }
                Place::Along { input, output }
            }
            Rows::Windows => {
                let said = |error: Undecided| match error {
                    Undecided::Unknown => unknown(),
                    Undecided::Invalid(reason) => reason,
                };
                let kernel = weight.get(2..).unwrap_or_default().to_vec();
                let extents = kernel.iter().map(|&extent| i64::try_from(extent).unwrap_or(i64::MAX)).collect();
                let shape = Shape::from_extents(&weight);
                convolution::kernel(&cx.attrs(), Some(&shape), kernel.len()).map_err(said)?;
                Place::Windows { window: Window::of(&cx.attrs(), extents).map_err(said)?, kernel }
            }
        };
        Ok(Self { groups, columns, outputs, place })
    }

    /// Into how many groups the input falls; each has rows of its own.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// Entries of a row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Results of a row in one group.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Whether results can be read off the output.
    pub fn has_results(&self) -> bool {
        !matches!(self.place, Place::Along { output: None, .. })
    }

    /// Makes ready to read inputs of these extents.
    ///
    /// # Errors
    /// Where the layer takes no such input.
    pub fn over(&self, dims: &[usize]) -> Result<InputRows<'_>, String> {
        let (count, layout) = match &self.place {
            Place::Along { input, .. } => {
                if dims.get(*input) != Some(&(self.columns * self.groups)) {
                    return Err(format!("an input {dims:?} for rows of {} along axis {input}", self.columns));
                }
                let others = dims.iter().enumerate().filter(|(axis, _)| axis != input);
                (others.map(|(_, extent)| extent).product(), Layout::Along { axis: *input })
            }
            Place::Windows { kernel, window } => {
                let windows = self.windows(dims, kernel, window)?;
                (dims[0] * windows.positions, Layout::Windows(windows))
            }
        };
        Ok(InputRows { layer: self, dims: dims.to_vec(), count, layout })
    }

    /// Appends the results of rows number `which` of a group. `y` has the output's elements.
    ///
    /// # Errors
    /// Where the results are not to be seen, or the output has no such row.
    pub fn read_results(
        &self,
        y: &[f32],
        dims: &[usize],
        group: usize,
        which: &[usize],
        to: &mut Vec<f32>,
    ) -> Result<(), String> {
        let axis = match &self.place {
            Place::Along { output, .. } => output.ok_or("the operator goes on computing with the results")?,
            Place::Windows { .. } => 1,
        };
        let others = dims.iter().enumerate().filter(|(other, _)| *other != axis).map(|(_, extent)| extent);
        let count: usize = others.product();
        let fits = dims.get(axis) == Some(&(self.outputs * self.groups)) && y.len() == dims.iter().product::<usize>();
        if !fits || which.iter().any(|&row| row >= count) {
            return Err(format!("an output {dims:?} has no such rows"));
        }
        along(y, dims, axis, group * self.outputs, self.outputs, which, to);
        Ok(())
    }

    fn windows(&self, dims: &[usize], kernel: &[usize], window: &Window) -> Result<Windows, String> {
        let taps: usize = kernel.iter().product();
        if dims.len() != kernel.len() + 2 || dims[1].checked_mul(taps) != self.columns.checked_mul(self.groups) {
            return Err(format!("an input {dims:?} for a kernel {kernel:?} and {} groups", self.groups));
        }
        let sliding = window.slide(&dims[2..]).map_err(|error| error.to_string())?;
        let positions = sliding.positions.iter().product();
        let mut below = Vec::with_capacity(taps);
        for (_, offset) in Sliding::offsets(kernel) {
            let mut elements = vec![None; positions];
            sliding.rows(&offset, |row| row.pairs().for_each(|(position, element)| elements[position] = Some(element)));
            below.push(elements);
        }
        Ok(Windows { channels: dims[1], plane: dims[2..].iter().product(), positions, below })
    }
}

/// The rows of inputs of certain extents.
#[derive(Debug)]
pub struct InputRows<'a> {
    layer: &'a LayerRows,
    dims: Vec<usize>,
    count: usize,
    layout: Layout,
}

#[derive(Debug)]
enum Layout {
    Along { axis: usize },
    Windows(Windows),
}

#[derive(Debug)]
struct Windows {
    channels: usize,
    plane: usize,
    positions: usize,
    /// For each offset of the kernel and each position, the element below it in a plane; none in the padding.
    below: Vec<Vec<Option<usize>>>,
}

impl InputRows<'_> {
    /// How many rows there are in each group.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The extents of the input.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Appends rows number `which` of a group, one after the other. `x` has the input's elements.
    ///
    /// # Errors
    /// Where there are no such rows.
    pub fn read(&self, x: &[f32], group: usize, which: &[usize], to: &mut Vec<f32>) -> Result<(), String> {
        let columns = self.layer.columns;
        let fits = group < self.layer.groups && x.len() == self.dims.iter().product::<usize>();
        if !fits || which.iter().any(|&row| row >= self.count) {
            return Err(format!("an input {:?} has no such rows", self.dims));
        }
        to.reserve(which.len() * columns);
        match &self.layout {
            Layout::Along { axis } => along(x, &self.dims, *axis, group * columns, columns, which, to),
            Layout::Windows(windows) => {
                let channels = columns / windows.below.len().max(1);
                for &row in which {
                    let (sample, position) = (row / windows.positions, row % windows.positions);
                    for channel in group * channels..(group + 1) * channels {
                        let plane = &x[(sample * windows.channels + channel) * windows.plane..][..windows.plane];
                        to.extend(windows.below.iter().map(|below| below[position].map_or(0.0, |at| plane[at])));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Appends, for each row, the elements `first..first + count` along an axis; rows are numbered over the other axes in order.
fn along(x: &[f32], dims: &[usize], axis: usize, first: usize, count: usize, which: &[usize], to: &mut Vec<f32>) {
    let inner: usize = dims[axis + 1..].iter().product();
    let extent = dims[axis];
    for &row in which {
        let start = (row / inner * extent + first) * inner + row % inner;
        match inner {
            1 => to.extend_from_slice(&x[start..start + count]),
            _ => to.extend((0..count).map(|index| x[start + index * inner])),
        }
    }
}

#[cfg(test)]
#[path = "rows/tests.rs"]
mod tests;
