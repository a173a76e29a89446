//! `AffineGrid`: for each place of an image the place that an affine map sends it to, as `GridSample` takes it.
//!
//! Operands: theta `[n, 2, 3]` or `[n, 3, 4]`, and the size of the image, `[n, c, (d,) h, w]`. Output `[n, (d,) h, w, 2 or 3]`,
//! coordinates in the order x, y, z. Places run from -1 to 1: the centres of the corner pixels if `align_corners`, else their
//! outer edges.
//!
//! Source: ONNX operator specification, `AffineGrid`, opset 20.

use onnxpress_ir::{Dim, Shape, Tensor};

use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static AFFINE_GRID: Operator = Operator {
    domain: "",
    name: "AffineGrid",
    infer: Infer::With(infer),
    axes: Axes::Spec("n _ _, * -> n _"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("its map is an activation"),
    quantize: Quantize::KeepsFloat("coordinates need the precision"),
    cost: Cost::None("elementwise"),
    effects: Effects::Pure,
    gradient: Gradient::NotPossible("grids are no parameters of the models that are compressed"),
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    cx.expect_rank(0, 3)?;
    let theta = cx.shape(0);
    let batch = theta.map_or_else(Dim::unknown, |theta| theta[0].clone());
    let size = match (cx.elements(1), cx.shape(1)) {
        (Some(size), _) => Some(size.to_vec()),
        (None, Some(size)) => size.first().and_then(Dim::as_const).and_then(|rank| match rank {
            4 | 5 => Some(vec![Dim::unknown(); rank as usize]),
            _ => None,
        }),
        _ => None,
    };
    let shape = match size.as_deref() {
        Some([n, _, places @ ..]) if matches!(places.len(), 2 | 3) => {
            let batch = if n.is_unknown() { batch } else { n.clone() };
            let rank = Dim::from_extent(places.len());
            Some(std::iter::once(batch).chain(places.iter().cloned()).chain([rank]).collect::<Shape>())
        }
        Some(other) => return Err(Undecided::invalid(format!("a size of {} entries, not 4 or 5", other.len()))),
        None => None,
    };
    cx.set_tensor(0, cx.dtype(0), shape);
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let theta = cx.tensor(0)?;
    let size = cx.ints(1)?.unwrap_or_default();
    let size = size.iter().map(|&extent| usize::try_from(extent).ok()).collect::<Option<Vec<_>>>();
    let size = size.ok_or_else(|| EvalError::invalid("a negative size"))?;
    let places = size.get(2..).unwrap_or_default();
    let rank = places.len();
    if !matches!(rank, 2 | 3) || theta.dims() != [size[0], rank, rank + 1] {
        return Err(EvalError::invalid(format!("theta {theta:?} for a size {size:?}")));
    }
    let align = cx.attrs().flag("align_corners")?;
    let coordinate = |at: usize, extent: usize| match (align, extent) {
        (true, 1) => -1.0,
        (true, _) => -1.0 + 2.0 * at as f64 / (extent - 1) as f64,
        (false, _) => (2.0 * at as f64 + 1.0) / extent as f64 - 1.0,
    };
    let mut dims = vec![size[0]];
    dims.extend(places);
    dims.push(rank);
    let mut grid = Vec::with_capacity(cx.room_for(&dims)?);
    for map in theta.to_f64s()?.chunks_exact(rank * (rank + 1)) {
        for at in ndarray::indices(places) {
            let at = ndarray::Dimension::slice(&at);
            // The last axis is x, and x comes first.
            let mut place: Vec<f64> =
                at.iter().zip(places).rev().map(|(&at, &extent)| coordinate(at, extent)).collect();
            place.push(1.0);
            grid.extend(map.chunks_exact(rank + 1).map(|row| row.iter().zip(&place).map(|(a, b)| a * b).sum::<f64>()));
        }
    }
    Ok(vec![Tensor::from_f64s(theta.dtype(), &dims, &grid)?.into()])
}
