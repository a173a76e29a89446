//! What the three recurrent operators share: directions, layouts, lengths, and how their axes are related.
//!
//! Operands: X `[t, n, i]`, W `[d, g·h, i]`, R `[d, g·h, h]`, B `[d, 2·g·h]`, sequence_lens `[n]`, initial_h `[d, n, h]`,
//! and for LSTM initial_c `[d, n, h]` and P `[d, 3·h]`. Outputs: Y `[t, d, n, h]`, Y_h `[d, n, h]`, Y_c `[d, n, h]`.
//! With `layout = 1` the batch axis `n` stands first in all of these.

use onnxpress_ir::{Dim, Shape, Tensor};

use super::activation::Activation;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::infer::{InferCx, Undecided};
use crate::node::{Attrs, NodeCx};
use crate::operator::{LinearLayer, Rows};

/// Of each direction, whether it runs from the end to the beginning.
pub(super) fn directions(attrs: &Attrs<'_>) -> Result<&'static [bool], Undecided> {
    // The first version of GRU has a default with a letter missing.
    Ok(match attrs.string_or("direction", "forward".into())?.as_ref() {
        "forward" | "foward" => &[false],
        "reverse" => &[true],
        "bidirectional" => &[false, true],
        other => return Err(Undecided::invalid(format!("`direction` is `{other}`"))),
    })
}

pub(super) fn batch_first(attrs: &Attrs<'_>) -> Result<bool, Undecided> {
    Ok(attrs.int_or("layout", 0)? == 1)
}

/// The extents of a state, from those of its axes.
fn state<T>(directions: T, batch: T, hidden: T, batch_first: bool) -> [T; 3] {
    if batch_first { [batch, directions, hidden] } else { [directions, batch, hidden] }
}

/// Infers a layer of this many gates.
///
/// # Errors
/// Where operands contradict each other.
pub(super) fn infer(cx: &mut InferCx<'_>, gates: i64) -> Result<(), Undecided> {
    let dtype = cx.dtype(0).or(cx.dtype(1)).or(cx.dtype(2));
    for (index, rank) in [(0, 3), (1, 3), (2, 3), (3, 2), (4, 1), (5, 3)] {
        cx.expect_rank(index, rank)?;
    }
    let directions = Dim::from_extent(directions(&cx.attrs())?.len());
    let batch_first = batch_first(&cx.attrs())?;
    let extent = |index: usize, axis: usize| cx.shape(index).map_or_else(Dim::unknown, |shape| shape[axis].clone());
    let hidden = match cx.attrs().int("hidden_size")? {
        Some(hidden) if hidden > 0 => Dim::from(hidden),
        _ => match (extent(2, 2), extent(1, 1)) {
            (hidden, _) if !hidden.is_unknown() => hidden,
            (_, rows) => rows.floor_div(gates),
        },
    };
    for operand in [1, 2] {
        if (extent(operand, 1)).equals(&(&hidden * gates)) == Some(false) {
            let rows = extent(operand, 1);
            return Err(Undecided::invalid(format!("operand {operand} has {rows} rows for {gates} times {hidden}")));
        }
    }
    if extent(0, 2).equals(&extent(1, 2)) == Some(false) {
        return Err(Undecided::invalid(format!("X has {} features, W takes {}", extent(0, 2), extent(1, 2))));
    }
    let (steps, batch) = if batch_first { (1, 0) } else { (0, 1) };
    let (steps, mut batch) = (extent(0, steps), extent(0, batch));
    if batch.is_unknown() {
        batch = extent(5, if batch_first { 0 } else { 1 });
    }
    let y = if batch_first {
        [batch.clone(), steps, directions.clone(), hidden.clone()]
    } else {
        [steps, directions.clone(), batch.clone(), hidden.clone()]
    };
    cx.set_tensor(0, dtype, y.into_iter().collect::<Shape>());
    let last: Shape = state(directions, batch, hidden, batch_first).into_iter().collect();
    cx.set_tensor(1, dtype, last.clone());
    cx.set_tensor(2, dtype, last);
    Ok(())
}

/// How the axes of a layer of this many gates are related.
///
/// # Errors
/// Where an attribute is not known.
pub(super) fn relation(cx: &NodeCx<'_>, gates: usize) -> Result<String, String> {
    let batch_first = batch_first(&cx.attrs()).map_err(|_| "the layout is not known here")?;
    let (x, y, state) = if batch_first { ("n t i", "n t d h", "n d h") } else { ("t n i", "t d n h", "d n h") };
    let rows = if gates == 1 { "h".to_owned() } else { format!("(g:{gates} h)") };
    let biases = if gates == 1 { "(b:2 h)".to_owned() } else { format!("(b:2 g:{gates} h)") };
    let operands =
        [x, &format!("d {rows} i"), &format!("d {rows} h"), &format!("d {biases}"), "n", state, state, "d (p:3 h)"];
    let outputs = [y, state, state];
    let operands = &operands[..cx.operand_count().clamp(1, operands.len())];
    let outputs = &outputs[..cx.node.port_count().clamp(1, outputs.len())];
    Ok(format!("{} -> {}; carried t d, fixed g b p, hidden_size=h", operands.join(", "), outputs.join(", ")))
}

/// The weight of the input. That of the state multiplies what no operand holds.
pub(super) fn layers(_: &NodeCx<'_>) -> Vec<LinearLayer> {
    vec![LinearLayer {
        input: 0,
        weight: 1,
        bias: None,
        output_axes: vec![0, 1],
        input_axes: vec![2],
        batch_axes: Vec::new(),
        groups: 1,
        rows: Rows::Along { input: 2, output: None },
    }]
}

/// Both weights once for each step of each sequence.
pub(super) fn macs(cx: &NodeCx<'_>) -> Dim {
    match (cx.shape(0), cx.shape(1), cx.shape(2)) {
        (Some(x), Some(w), Some(r)) if x.len() == 3 => &x[0] * &x[1] * (w.size() + r.size()),
        _ => Dim::unknown(),
    }
}

/// One direction of a layer.
pub(super) struct Direction<'a> {
    /// Of the state.
    pub hidden: usize,
    /// Weights of the state, row-major `[g·h, h]`.
    pub recurrence: &'a [f64],
    /// Biases of the recurrence, `[g·h]`.
    pub bias: &'a [f64],
    /// Peephole weights, `[3·h]`; zeros where the node has none.
    pub peepholes: &'a [f64],
    /// The functions, in the order of the attribute.
    pub activations: &'a [Activation],
    /// What goes into an activation is kept within plus and minus this.
    pub clip: f64,
}

impl Direction<'_> {
    /// `R h + b` for the rows of one gate.
    pub(super) fn recur(&self, gate: usize, h: &[f64]) -> Vec<f64> {
        (gate * self.hidden..(gate + 1) * self.hidden)
            .map(|row| dot(&self.recurrence[row * self.hidden..(row + 1) * self.hidden], h) + self.bias[row])
            .collect()
    }

    /// Function number `which` of a clipped argument.
    pub(super) fn activate(&self, which: usize, x: f64) -> f64 {
        self.activations[which].apply(x.clamp(-self.clip, self.clip))
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// What goes from step to step.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub h: Vec<f64>,
    pub c: Vec<f64>,
}

/// One step: the direction, `W x + b` of all gates, and the state to be moved on.
pub(super) type Step = fn(&EvalCx<'_>, &Direction<'_>, &[f64], &mut State) -> Result<(), EvalError>;

/// The elements of operand `index`, which must have these extents; zeros where it is left out.
fn operand(cx: &EvalCx<'_>, index: usize, dims: &[usize]) -> Result<Vec<f64>, EvalError> {
    match cx.optional_tensor(index)? {
        None => Ok(vec![0.0; cx.room_for(dims)?]),
        Some(tensor) if tensor.dims() == dims => Ok(tensor.to_f64s()?),
        Some(tensor) => Err(EvalError::invalid(format!("operand {index} is {:?}, not {dims:?}", tensor.dims()))),
    }
}

/// Runs a layer of this many gates; `otherwise` are the functions of one direction where the node names none.
///
/// # Errors
/// Where operands do not fit each other.
pub(super) fn evaluate(
    cx: &EvalCx<'_>,
    gates: usize,
    otherwise: &[Activation],
    step: Step,
) -> Result<Vec<Value>, EvalError> {
    let (x, w) = (cx.tensor(0)?, cx.tensor(1)?);
    let attrs = cx.attrs();
    let (reversed, batch_first) = (directions(&attrs)?, batch_first(&attrs)?);
    let ([a, b, features], [_, rows, _]) = (x.dims(), w.dims()) else {
        return Err(EvalError::invalid(format!("X {:?} and W {:?} are not of rank 3", x.dims(), w.dims())));
    };
    let (steps, batch, features) = if batch_first { (*b, *a, *features) } else { (*a, *b, *features) };
    let (d, hidden, rows) = (reversed.len(), rows / gates, rows / gates * gates);
    // A tensor without elements may claim any extent, and lists as long as it follow.
    cx.room_for(&[batch])?;
    let xs = x.to_f64s()?;
    let ws = operand(cx, 1, &[d, rows, features])?;
    let rs = operand(cx, 2, &[d, rows, hidden])?;
    let bs = operand(cx, 3, &[d, 2 * rows])?;
    let initial = state(d, batch, hidden, batch_first);
    let (hs, cs) = (operand(cx, 5, &initial)?, operand(cx, 6, &initial)?);
    let ps = operand(cx, 7, &[d, 3 * hidden])?;
    let lengths = cx.ints(4)?.unwrap_or_else(|| vec![i64::MAX; batch]);
    if lengths.len() != batch {
        return Err(EvalError::invalid(format!("{} lengths of {batch} sequences", lengths.len())));
    }
    let activations = Activation::of(&attrs, otherwise, d)?;
    let clip = attrs.float("clip")?.map_or(f64::INFINITY, |clip| f64::from(clip).abs());
    let y_dims = if batch_first { [batch, steps, d, hidden] } else { [steps, d, batch, hidden] };
    cx.spend((steps as u64).saturating_mul(batch as u64).saturating_mul((ws.len() + rs.len()) as u64))?;
    let mut y = vec![0.0; cx.room_for(&y_dims)?];
    let (mut y_h, mut y_c) = (hs.clone(), cs.clone());
    for (k, &reversed) in reversed.iter().enumerate() {
        let part = |all, length| part::<f64>(all, k, length);
        let bias: &[f64] = part(&bs, 2 * rows);
        let (input_bias, bias) = bias.split_at(rows);
        let direction = Direction {
            hidden,
            recurrence: part(&rs, rows * hidden),
            bias,
            peepholes: part(&ps, 3 * hidden),
            activations: &activations[k * otherwise.len()..(k + 1) * otherwise.len()],
            clip: if clip.is_nan() { f64::INFINITY } else { clip },
        };
        let weights: &[f64] = part(&ws, rows * features);
        for (n, &length) in lengths.iter().enumerate() {
            let at = (if batch_first { n * d + k } else { k * batch + n }) * hidden;
            let mut state = State { h: hs[at..at + hidden].to_vec(), c: cs[at..at + hidden].to_vec() };
            let length = usize::try_from(length).unwrap_or(0).min(steps);
            for turn in 0..length {
                let t = if reversed { length - 1 - turn } else { turn };
                let from = (if batch_first { n * steps + t } else { t * batch + n }) * features;
                let input = &xs[from..from + features];
                let driven: Vec<f64> = (0..rows)
                    .map(|row| dot(&weights[row * features..(row + 1) * features], input) + input_bias[row])
                    .collect();
                step(cx, &direction, &driven, &mut state)?;
                let to = (if batch_first { (n * steps + t) * d + k } else { (t * d + k) * batch + n }) * hidden;
                y[to..to + hidden].copy_from_slice(&state.h);
            }
            y_h[at..at + hidden].copy_from_slice(&state.h);
            y_c[at..at + hidden].copy_from_slice(&state.c);
        }
    }
    let dtype = x.dtype();
    let outputs = [
        Tensor::from_f64s(dtype, &y_dims, &y)?,
        Tensor::from_f64s(dtype, &initial, &y_h)?,
        Tensor::from_f64s(dtype, &initial, &y_c)?,
    ];
    Ok(outputs.into_iter().map(Value::from).collect())
}

/// Stretch number `index` of so many elements.
fn part<T>(all: &[T], index: usize, length: usize) -> &[T] {
    &all[index * length..(index + 1) * length]
}
