//! Interpolation along one axis after the other: where the elements of a resized axis come from, and with what weights.
//!
//! Source: ONNX operator specification, `Resize`, opset 19, and the reference implementation of the same release for what
//! the words leave open (ties between neighbours, windows of antialiased kernels).

use crate::evaluate::walk::around;
use crate::evaluate::{EvalCx, EvalError};
use crate::node::Attrs;

/// Where a coordinate of the output lies in the input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Coordinates {
    HalfPixel,
    HalfPixelSymmetric,
    PytorchHalfPixel,
    AlignCorners,
    Asymmetric,
    /// Of opsets 11 and 12 only.
    TfHalfPixelForNn,
    CropAndResize,
}

/// Which neighbour is the nearest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Nearest {
    RoundPreferFloor,
    RoundPreferCeil,
    Floor,
    Ceil,
}

/// How elements between elements are made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kernel {
    Nearest(Nearest),
    Linear,
    Cubic(f64),
}

/// What the attributes of a node say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Method {
    pub kernel: Kernel,
    pub coordinates: Coordinates,
    pub antialias: bool,
    pub exclude_outside: bool,
}

impl Method {
    /// Of a `Resize` of opset 11 or newer.
    ///
    /// # Errors
    /// Where a word is unknown.
    pub(super) fn of(attrs: &Attrs<'_>) -> Result<Self, EvalError> {
        let word = |name, otherwise: &'static str| attrs.string_or(name, otherwise.into());
        let unknown = |name: &str, word: &str| EvalError::invalid(format!("`{name}` is `{word}`"));
        let coordinates = match word("coordinate_transformation_mode", "half_pixel")?.as_ref() {
            "half_pixel" => Coordinates::HalfPixel,
            "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
            "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
            "align_corners" => Coordinates::AlignCorners,
            "asymmetric" => Coordinates::Asymmetric,
            "tf_half_pixel_for_nn" => Coordinates::TfHalfPixelForNn,
            "tf_crop_and_resize" => Coordinates::CropAndResize,
            other => return Err(unknown("coordinate_transformation_mode", other)),
        };
        let kernel = match word("mode", "nearest")?.as_ref() {
            "nearest" => Kernel::Nearest(match word("nearest_mode", "round_prefer_floor")?.as_ref() {
                "round_prefer_floor" => Nearest::RoundPreferFloor,
                "round_prefer_ceil" => Nearest::RoundPreferCeil,
                "floor" => Nearest::Floor,
                "ceil" => Nearest::Ceil,
                other => return Err(unknown("nearest_mode", other)),
            }),
            "linear" => Kernel::Linear,
            "cubic" => Kernel::Cubic(f64::from(attrs.float_or("cubic_coeff_a", -0.75)?)),
            other => return Err(unknown("mode", other)),
        };
        let (antialias, exclude_outside) = (attrs.flag("antialias")?, attrs.flag("exclude_outside")?);
        Ok(Self { kernel, coordinates, antialias, exclude_outside })
    }
}

/// One axis to be resized.
#[derive(Debug, Clone, Copy)]
pub(super) struct AxisPlan {
    pub input: usize,
    pub output: usize,
    pub scale: f64,
    /// Where the region begins and ends, as shares of the axis.
    pub region: (f64, f64),
}

impl AxisPlan {
    /// The coordinate in the input of index `at` of the output; `None` outside of the region.
    pub(super) fn coordinate(&self, coordinates: Coordinates, at: usize) -> Option<f64> {
        let (x, input, length) = (at as f64, self.input as f64, self.scale * self.input as f64);
        Some(match coordinates {
            Coordinates::HalfPixel => (x + 0.5) / self.scale - 0.5,
            Coordinates::PytorchHalfPixel if length == 1.0 => -0.5,
            Coordinates::PytorchHalfPixel => (x + 0.5) / self.scale - 0.5,
            Coordinates::HalfPixelSymmetric => {
                let adjustment = self.output as f64 / length;
                input / 2.0 * (1.0 - adjustment) + (x + 0.5) / self.scale - 0.5
            }
            Coordinates::AlignCorners if length == 1.0 => 0.0,
            Coordinates::AlignCorners => x * (input - 1.0) / (length - 1.0),
            Coordinates::Asymmetric => x / self.scale,
            Coordinates::TfHalfPixelForNn => (x + 0.5) / self.scale,
            Coordinates::CropAndResize => {
                let (start, end) = self.region;
                let within = if length == 1.0 {
                    (end - start) * (input - 1.0) / 2.0
                } else {
                    x * (end - start) * (input - 1.0) / (length - 1.0)
                };
                let coordinate = within + start * (input - 1.0);
                if !(0.0..=input - 1.0).contains(&coordinate) {
                    return None;
                }
                coordinate
            }
        })
    }

    /// The index nearest to a coordinate.
    pub(super) fn nearest(&self, coordinate: f64, nearest: Nearest) -> usize {
        let floor = coordinate.floor();
        let up = match nearest {
            Nearest::RoundPreferFloor => coordinate - floor > 0.5,
            Nearest::RoundPreferCeil => coordinate - floor >= 0.5,
            Nearest::Floor => false,
            Nearest::Ceil => coordinate > floor,
        };
        self.clamped(if up { floor + 1.0 } else { floor })
    }

    fn clamped(&self, index: f64) -> usize {
        (index.max(0.0) as usize).min(self.input.saturating_sub(1))
    }

    /// The indices whose weighted sum stands at a coordinate.
    fn taps(&self, method: &Method, coordinate: f64) -> Vec<(usize, f64)> {
        let floor = coordinate.floor();
        // Of an index itself, the neighbour before it counts as the first, at a distance of 1.
        let (first, ratio) = if coordinate == floor { (floor - 1.0, 1.0) } else { (floor, coordinate - floor) };
        let scale = if method.antialias { self.scale.min(1.0) } else { 1.0 };
        let reach = match method.kernel {
            Kernel::Nearest(nearest) => return vec![(self.nearest(coordinate, nearest), 1.0)],
            Kernel::Linear => 1.0,
            Kernel::Cubic(_) => 2.0,
        };
        // So many indices before the first as the stretched kernel reaches, and as many after the second.
        let before = (reach / scale).ceil() - 1.0;
        let count = (2.0 * before + 2.0) as usize;
        let mut taps: Vec<(f64, f64)> = (0..count)
            .map(|at| {
                let offset = at as f64 - before;
                let distance = ((offset - ratio) * scale).abs();
                let weight = match method.kernel {
                    Kernel::Cubic(a) => cubic(distance, a),
                    _ => (1.0 - distance).max(0.0),
                };
                (first + offset, weight)
            })
            .collect();
        if method.exclude_outside {
            taps.retain(|&(index, _)| index >= 0.0 && index < self.input as f64);
        }
        let sum: f64 = taps.iter().map(|(_, weight)| weight).sum();
        let renormalized = (method.antialias || method.exclude_outside) && sum != 0.0;
        taps.into_iter()
            .map(|(index, weight)| (self.clamped(index), if renormalized { weight / sum } else { weight }))
            .collect()
    }
}

/// Keys' cubic convolution kernel with the parameter `a`.
pub(super) fn cubic(x: f64, a: f64) -> f64 {
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    } else {
        0.0
    }
}

/// Resizes one axis of row-major values; what lies outside of the region becomes `outside`.
///
/// # Errors
/// Where the result is larger than allowed.
pub(super) fn resize_axis(
    cx: &EvalCx<'_>,
    method: &Method,
    values: &[f64],
    dims: &mut [usize],
    axis: usize,
    plan: &AxisPlan,
    outside: f64,
) -> Result<Vec<f64>, EvalError> {
    let (outer, input, inner) =
        around(dims, axis).ok_or_else(|| EvalError::invalid(format!("axis {axis} of a tensor {dims:?}")))?;
    dims[axis] = plan.output;
    let count = cx.room_for(dims)?;
    if count == 0 {
        return Ok(Vec::new());
    }
    let mut result = vec![0.0; count];
    for at in 0..plan.output {
        let taps = plan.coordinate(method.coordinates, at).map(|coordinate| plan.taps(method, coordinate));
        cx.spend((outer as u64 * inner as u64).saturating_mul(taps.as_ref().map_or(1, Vec::len) as u64))?;
        for block in 0..outer {
            let to = (block * plan.output + at) * inner;
            let to = &mut result[to..to + inner];
            let Some(taps) = &taps else {
                to.fill(outside);
                continue;
            };
            for &(index, weight) in taps {
                let from = (block * input + index) * inner;
                to.iter_mut().zip(&values[from..from + inner]).for_each(|(sum, value)| *sum += weight * value);
            }
        }
    }
    Ok(result)
}
