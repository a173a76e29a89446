//! `GridSample`: a tensor read at given places between its elements.
//!
//! Operands: X `[n, c, s..]` and a grid `[n, t.., rank of s]` of places, each in the order x, y, z and from -1 to 1 (the
//! centres of the corner elements if `align_corners`, else their outer edges). Output `[n, c, t..]`.
//!
//! Source: ONNX operator specification, `GridSample`, opsets 16 to 22 (from 20 on any rank, and the modes have other names).

use onnxpress_ir::{Dim, Shape, Tensor};

use super::interpolate::cubic;
use crate::axes::Axes;
use crate::evaluate::pick::{pick_or, zero};
use crate::evaluate::walk::strides;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static GRID_SAMPLE: Operator = Operator {
    domain: "",
    name: "GridSample",
    infer: Infer::With(infer),
    axes: Axes::With(|cx| {
        let rank = cx.rank(0).or(cx.rank(1)).filter(|&rank| rank >= 3).ok_or("the rank is not known")?;
        let places: Vec<String> = (2..rank).map(|axis| format!("t{axis}")).collect();
        let places = places.join(" ");
        Ok(format!("n c{}, n {places} _ -> n c {places}", " _".repeat(rank - 2)))
    }),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("its weights are activations"),
    quantize: Quantize::KeepsFloat("coordinates need the precision"),
    cost: Cost::None("no operand is a weight"),
    effects: Effects::Pure,
    gradient: Gradient::SpelledOut(super::grid_spelling::grid_sample),
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let shape = match (cx.shape(0), cx.shape(1)) {
        (Some(x), Some(grid)) => {
            if x.len() < 3 || x.len() != grid.len() {
                return Err(Undecided::invalid(format!("X{x} and a grid{grid} are not of one rank of at least 3")));
            }
            let (places, last) = (&grid[1..grid.len() - 1], &grid[grid.len() - 1]);
            if last.equals(&Dim::from_extent(x.len() - 2)) == Some(false) {
                return Err(Undecided::invalid(format!("a grid of {last} coordinates for {} axes", x.len() - 2)));
            }
            if x[0].equals(&grid[0]) == Some(false) {
                return Err(Undecided::invalid(format!("a batch of {} and one of {}", x[0], grid[0])));
            }
            let batch = if x[0].as_const().is_some() { &x[0] } else { &grid[0] };
            let batch = if batch.is_unknown() { &x[0] } else { batch };
            Some([batch, &x[1]].into_iter().chain(places).cloned().collect::<Shape>())
        }
        (Some(x), None) => {
            Some(x.iter().enumerate().map(|(axis, dim)| if axis < 2 { dim.clone() } else { Dim::unknown() }).collect())
        }
        _ => None,
    };
    cx.set_tensor(0, cx.dtype(0), shape);
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Nearest,
    Linear,
    Cubic,
}

#[derive(Clone, Copy, PartialEq)]
enum Padding {
    Zeros,
    Border,
    Reflection,
}

/// An axis of X.
struct Axis {
    extent: usize,
    low: f64,
    high: f64,
    padding: Padding,
}

impl Axis {
    /// A coordinate folded at the ends until it lies between them.
    fn reflected(&self, x: f64) -> f64 {
        let span = self.high - self.low;
        if span <= 0.0 {
            return self.low.max(0.0);
        }
        let beyond = if x < self.low { self.low - x } else { x - self.high };
        if beyond <= 0.0 {
            return x;
        }
        let turns = (beyond / span).floor();
        let rest = beyond - turns * span;
        // An even number of turns comes back from the end that was crossed.
        if (x < self.low) == (turns % 2.0 == 0.0) { self.low + rest } else { self.high - rest }
    }

    /// The index that is read for one that may lie outside.
    fn inside(&self, index: f64) -> Option<usize> {
        let last = self.extent as f64 - 1.0;
        match self.padding {
            _ if (0.0..=last).contains(&index) => Some(index as usize),
            _ if index.is_nan() || self.extent == 0 || self.padding == Padding::Zeros => None,
            Padding::Reflection => Some(self.reflected(index).clamp(0.0, last) as usize),
            _ => Some(index.clamp(0.0, last) as usize),
        }
    }

    /// What is read of the axis at a coordinate, and with what weights.
    fn taps(&self, mode: Mode, x: f64) -> Vec<(Option<usize>, f64)> {
        let x = if mode == Mode::Nearest { x.round_ties_even() } else { x };
        let x = match self.padding {
            _ if (self.low..=self.high).contains(&x) => x,
            Padding::Zeros => x,
            Padding::Border => x.clamp(0.0, (self.extent as f64 - 1.0).max(0.0)),
            Padding::Reflection => self.reflected(x),
        };
        let floor = x.floor();
        match mode {
            Mode::Nearest => vec![(self.inside(x.trunc()), 1.0)],
            Mode::Linear => vec![(self.inside(floor), 1.0 - (x - floor)), (self.inside(floor + 1.0), x - floor)],
            Mode::Cubic => (-1..3)
                .map(|offset| {
                    let at = floor + f64::from(offset);
                    (self.inside(at), cubic((x - at).abs(), -0.75))
                })
                .collect(),
        }
    }
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (x, grid) = (cx.tensor(0)?, cx.tensor(1)?);
    let rank = x.rank();
    let fits = rank >= 3 && grid.rank() == rank && grid.dims()[0] == x.dims()[0] && grid.dims()[rank - 1] == rank - 2;
    if !fits {
        return Err(EvalError::invalid(format!("X {x:?} and a grid {grid:?}")));
    }
    let attrs = cx.attrs();
    let mode = match attrs.string_or("mode", "linear".into())?.as_ref() {
        "nearest" => Mode::Nearest,
        "linear" | "bilinear" => Mode::Linear,
        "cubic" | "bicubic" => Mode::Cubic,
        other => return Err(EvalError::invalid(format!("`mode` is `{other}`"))),
    };
    let padding = match attrs.string_or("padding_mode", "zeros".into())?.as_ref() {
        "zeros" => Padding::Zeros,
        "border" => Padding::Border,
        "reflection" => Padding::Reflection,
        other => return Err(EvalError::invalid(format!("`padding_mode` is `{other}`"))),
    };
    let align = attrs.flag("align_corners")?;
    let axes: Vec<Axis> = x.dims()[2..]
        .iter()
        .map(|&extent| {
            let last = extent as f64 - 1.0;
            let (low, high) = if align { (0.0, last) } else { (-0.5, last + 0.5) };
            Axis { extent, low, high, padding }
        })
        .collect();
    let (batch, channels) = (x.dims()[0], x.dims()[1]);
    let places: usize = if grid.is_empty() { 0 } else { grid.dims()[1..rank - 1].iter().product() };
    let mut dims = vec![batch, channels];
    dims.extend(&grid.dims()[1..rank - 1]);
    let count = cx.room_for(&dims)?;
    let per_place = if mode == Mode::Cubic { 4u64 } else { 2 }.saturating_pow(axes.len() as u32);
    cx.spend((count as u64).saturating_mul(per_place))?;
    let coordinates = grid.to_f64s()?;
    let steps = strides(x.dims());
    // Of each place: which elements of a channel are read, as offsets into it.
    let taps_of = |place: usize| {
        let mut taps = vec![(Some(0usize), 1.0)];
        for (axis, plan) in axes.iter().enumerate() {
            let normalized = coordinates[place * axes.len() + (axes.len() - 1 - axis)];
            let (extent, step) = (plan.extent as f64, steps[2 + axis]);
            let at = if align {
                (normalized + 1.0) / 2.0 * (extent - 1.0)
            } else {
                ((normalized + 1.0) * extent - 1.0) / 2.0
            };
            // Coordinates are of binary32, which decides on which side of a half one lies.
            let along = plan.taps(mode, f64::from(at as f32));
            taps = taps
                .iter()
                .flat_map(|&(from, weight)| {
                    along.iter().map(move |&(at, w)| (from.zip(at).map(|(from, at)| from + at * step), weight * w))
                })
                .collect();
        }
        taps
    };
    if mode == Mode::Nearest {
        let mut found = vec![None; count];
        for n in 0..batch {
            for place in 0..places {
                let tap = taps_of(n * places + place)[0].0;
                for c in 0..channels {
                    found[(n * channels + c) * places + place] = tap.map(|tap| tap + n * steps[0] + c * steps[1]);
                }
            }
        }
        return Ok(vec![pick_or(x, &zero(x.dtype()), &dims, found.into_iter())?.into()]);
    }
    let values = x.to_f64s()?;
    let mut y = vec![0.0; count];
    for n in 0..batch {
        for place in 0..places {
            let taps = taps_of(n * places + place);
            for c in 0..channels {
                let from = n * steps[0] + c * steps[1];
                let read =
                    |&(tap, weight): &(Option<usize>, f64)| tap.map_or(0.0, |tap: usize| values[from + tap] * weight);
                y[(n * channels + c) * places + place] = taps.iter().map(read).sum();
            }
        }
    }
    Ok(vec![Tensor::from_f64s(x.dtype(), &dims, &y)?.into()])
}
