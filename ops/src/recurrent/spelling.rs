//! Recurrent layers spelled out: the input's product once for all steps, and a `Scan` of what one step does to the state.
//!
//! What ends before the last step keeps its state: a flag for each step and sequence says whether the step counts. Both
//! directions read and write the sequence where it stands, so nothing is turned round.

use onnxpress_ir::{Attr, DType, Dim, Node, ValueId};

use super::activation::Activation;
use super::layer::{batch_first, directions};
use crate::gradient::{Expression, GradientCx, GradientError, Hand, Sliced, choose, function, of};

type Spelled = Result<Vec<Option<ValueId>>, GradientError>;

/// What one step does, of the shares of each gate in `W x + b`: the states after it, the one that is given out first.
type Step = fn(&mut Hand<'_, '_>, &Cell, Vec<Expression>, &[ValueId]) -> Result<Vec<ValueId>, GradientError>;

/// A kind of layer.
struct Kind {
    gates: usize,
    states: usize,
    /// The gates of each product with the state.
    products: &'static [usize],
    /// The functions of one direction, where the node names none.
    otherwise: &'static [Activation],
    step: Step,
}

/// What all directions read.
struct Sequences {
    /// `[t, n, i]`.
    x: ValueId,
    /// For each step and sequence whether it counts.
    counts: Option<ValueId>,
    /// The axis of directions of the first states.
    axis: i64,
}

/// One direction of a layer, as its body sees it.
struct Cell {
    hidden: i64,
    /// Weights of the state, turned round: `[h, g·h]`, one for each product.
    recurrence: Vec<ValueId>,
    /// Biases of the recurrence, one for each gate, where the layer has biases.
    bias: Option<Vec<ValueId>>,
    /// The peepholes of the gates i, o and f.
    peepholes: Option<Vec<ValueId>>,
    activations: Vec<Activation>,
    clip: Option<f64>,
    coupled: bool,
    linear_before_reset: bool,
}

impl Activation {
    fn written(self, x: Expression) -> Expression {
        let limit = |name, x, bound: f64| Expression::Apply(name, vec![x, bound.into()]);
        match self {
            Self::Relu => function("Relu", x),
            Self::Tanh => function("Tanh", x),
            Self::Sigmoid => function("Sigmoid", x),
            Self::Softsign => function("Softsign", x),
            Self::Softplus => function("Softplus", x),
            Self::Affine { alpha, beta } => alpha * x + beta,
            Self::LeakyRelu { alpha } => choose(x.clone().below(0.0), alpha * x.clone(), x),
            Self::ThresholdedRelu { alpha } => choose(x.clone().below(alpha), 0.0, x),
            Self::ScaledTanh { alpha, beta } => alpha * function("Tanh", beta * x),
            Self::HardSigmoid { alpha, beta } => limit("Max", limit("Min", alpha * x + beta, 1.0), 0.0),
            // Of what is not chosen the exponential must be finite all the same.
            Self::Elu { alpha } => {
                let bent = alpha * (function("Exp", limit("Min", x.clone(), 0.0)) - 1.0);
                choose(x.clone().below(0.0), bent, x)
            }
        }
    }
}

impl Cell {
    /// Function number `which` of a clipped argument.
    fn activate(&self, which: usize, x: Expression) -> Expression {
        let clipped = match self.clip {
            Some(clip) => {
                let below = Expression::Apply("Min", vec![x, clip.into()]);
                Expression::Apply("Max", vec![below, (-clip).into()])
            }
            None => x,
        };
        self.activations[which].written(clipped)
    }

    /// `R h + b` of the gates of product number `which`, the first of which has number `first`.
    fn recur(
        &self,
        hand: &mut Hand<'_, '_>,
        which: usize,
        gates: std::ops::Range<usize>,
        h: ValueId,
    ) -> Result<Vec<Expression>, GradientError> {
        let product = hand.apply("MatMul", &[h, self.recurrence[which]])?;
        let parts = parts(hand, product, gates.len(), self.hidden)?;
        let bias = |gate: usize, part: ValueId| match &self.bias {
            Some(bias) => of(part) + bias[gate],
            None => of(part),
        };
        Ok(gates.zip(parts).map(|(gate, part)| bias(gate, part)).collect())
    }
}

/// The value cut along its last axis into so many parts of this extent.
fn parts(hand: &mut Hand<'_, '_>, value: ValueId, count: usize, extent: i64) -> Result<Vec<ValueId>, GradientError> {
    if count == 1 {
        return Ok(vec![value]);
    }
    let sizes = hand.ints(vec![extent; count]);
    let split = hand.add_node(Node::new("Split", count).with(Attr::int("axis", -1)), &[Some(value), Some(sizes)])?;
    Ok((0..count as u32).map(|port| split.port(port)).collect())
}

fn rnn_step(
    hand: &mut Hand<'_, '_>,
    cell: &Cell,
    driven: Vec<Expression>,
    states: &[ValueId],
) -> Result<Vec<ValueId>, GradientError> {
    let recurrent = cell.recur(hand, 0, 0..1, states[0])?;
    let sums: Vec<Expression> = driven.into_iter().zip(recurrent).map(|(x, r)| x + r).collect();
    let written = hand.write(&cell.activate(0, sums[0].clone()))?;
    Ok(vec![written])
}

fn gru_step(
    hand: &mut Hand<'_, '_>,
    cell: &Cell,
    driven: Vec<Expression>,
    states: &[ValueId],
) -> Result<Vec<ValueId>, GradientError> {
    let h = states[0];
    let recurrent = cell.recur(hand, 0, 0..2, h)?;
    let gate = |at: usize| cell.activate(0, driven[at].clone() + recurrent[at].clone());
    let (update, reset) = (hand.write(&gate(0))?, hand.write(&gate(1))?);
    let candidate = if cell.linear_before_reset {
        let seen = cell.recur(hand, 1, 2..3, h)?;
        of(reset) * seen[0].clone()
    } else {
        let seen = hand.write(&(of(reset) * h))?;
        cell.recur(hand, 1, 2..3, seen)?[0].clone()
    };
    let new = cell.activate(1, driven[2].clone() + candidate);
    Ok(vec![hand.write(&((1.0 - of(update)) * new + of(update) * h))?])
}

fn lstm_step(
    hand: &mut Hand<'_, '_>,
    cell: &Cell,
    driven: Vec<Expression>,
    states: &[ValueId],
) -> Result<Vec<ValueId>, GradientError> {
    let (h, c) = (states[0], states[1]);
    let recurrent = cell.recur(hand, 0, 0..4, h)?;
    let sum = |gate: usize| driven[gate].clone() + recurrent[gate].clone();
    let seen = |x: Expression, which: usize, c: ValueId| match &cell.peepholes {
        Some(peepholes) => x + of(peepholes[which]) * c,
        None => x,
    };
    let input = hand.write(&cell.activate(0, seen(sum(0), 0, c)))?;
    let forget = match cell.coupled {
        true => 1.0 - of(input),
        false => cell.activate(0, seen(sum(2), 2, c)),
    };
    let after = hand.write(&(forget * c + of(input) * cell.activate(1, sum(3))))?;
    let output = cell.activate(0, seen(sum(1), 1, after));
    // What goes into the function of the cell is not clipped.
    let given = hand.write(&(output * cell.activations[2].written(of(after))))?;
    Ok(vec![given, after])
}

pub(super) fn rnn(cx: &mut GradientCx<'_, '_>) -> Spelled {
    let otherwise = &[Activation::Tanh];
    Kind { gates: 1, states: 1, products: &[1], otherwise, step: rnn_step }.spell_out(cx)
}

pub(super) fn gru(cx: &mut GradientCx<'_, '_>) -> Spelled {
    let otherwise = &[Activation::Sigmoid, Activation::Tanh];
    Kind { gates: 3, states: 1, products: &[2, 1], otherwise, step: gru_step }.spell_out(cx)
}

pub(super) fn lstm(cx: &mut GradientCx<'_, '_>) -> Spelled {
    let otherwise = &[Activation::Sigmoid, Activation::Tanh, Activation::Tanh];
    Kind { gates: 4, states: 2, products: &[4], otherwise, step: lstm_step }.spell_out(cx)
}

/// The part of an operand that is one direction's.
fn of_direction(
    cx: &mut GradientCx<'_, '_>,
    index: usize,
    direction: usize,
    axis: i64,
) -> Result<Option<ValueId>, GradientError> {
    let Some(all) = cx.optional(index) else { return Ok(None) };
    let number = cx.constant(onnxpress_ir::Tensor::scalar(direction as i64));
    cx.add(Node::new("Gather", 1).with(Attr::int("axis", axis)), &[all, number]).map(Some)
}

impl Kind {
    fn spell_out(&self, cx: &mut GradientCx<'_, '_>) -> Spelled {
        let attrs = cx.node().attrs();
        let (reversed, batch_first) = (directions(&attrs)?, batch_first(&attrs)?);
        let activations = Activation::of(&attrs, self.otherwise, reversed.len())?;
        let clip = attrs.float("clip")?.map(|clip| f64::from(clip).abs()).filter(|clip| clip.is_finite());
        let (coupled, linear_before_reset) = (attrs.flag("input_forget")?, attrs.flag("linear_before_reset")?);
        let hidden = cx.shape(cx.operand(2)?)?.get(2).and_then(Dim::as_const);
        let hidden = hidden.ok_or_else(|| GradientError::not_possible("the number of hidden units is not known"))?;
        let mut x = cx.operand(0)?;
        if batch_first {
            x = cx.transpose(x, vec![1, 0, 2])?;
        }
        let counts = counts(cx, x)?;
        if let Some(counts) = counts {
            // What stands behind the end of a sequence may be anything, even no number.
            x = cx.write(&choose(of(counts), of(x), 0.0))?;
        }
        let sequences = Sequences { x, counts, axis: i64::from(batch_first) };
        let (mut ys, mut lasts) = (Vec::new(), vec![Vec::new(); self.states]);
        for (number, &reversed) in reversed.iter().enumerate() {
            let functions = self.otherwise.len();
            let activations = activations[number * functions..(number + 1) * functions].to_vec();
            let cell = Cell {
                hidden,
                recurrence: Vec::new(),
                bias: None,
                peepholes: None,
                activations,
                clip,
                coupled,
                linear_before_reset,
            };
            let mut results = self.direction(cx, &sequences, cell, number, reversed)?;
            let y = results.pop().ok_or_else(|| GradientError::not_possible("a layer without a result"))?;
            let axis = cx.ints([1]);
            ys.push(cx.apply("Unsqueeze", &[y, axis])?);
            for (lasts, last) in lasts.iter_mut().zip(results) {
                let axis = cx.ints([0]);
                lasts.push(cx.apply("Unsqueeze", &[last, axis])?);
            }
        }
        let join = |cx: &mut GradientCx<'_, '_>, values: &[ValueId], axis: i64| match values {
            [one] => Ok(*one),
            many => cx.add(Node::new("Concat", 1).with(Attr::int("axis", axis)), many),
        };
        let mut results = vec![join(cx, &ys, 1)?];
        for last in &lasts {
            results.push(join(cx, last, 0)?);
        }
        if batch_first {
            results[0] = cx.transpose(results[0], vec![2, 0, 1, 3])?;
            for last in &mut results[1..] {
                *last = cx.transpose(*last, vec![1, 0, 2])?;
            }
        }
        Ok(results.into_iter().map(Some).collect())
    }

    /// One direction: its last states, then what it gave at each step `[t, n, h]`.
    fn direction(
        &self,
        cx: &mut GradientCx<'_, '_>,
        sequences: &Sequences,
        mut cell: Cell,
        number: usize,
        reversed: bool,
    ) -> Result<Vec<ValueId>, GradientError> {
        let (x, hidden) = (sequences.x, cell.hidden);
        let missing = || GradientError::not_possible("a weight is missing");
        let weight = of_direction(cx, 1, number, 0)?.ok_or_else(missing)?;
        let turned = cx.transposed(weight)?;
        let mut driven = cx.apply("MatMul", &[x, turned])?;
        let recurrence = of_direction(cx, 2, number, 0)?.ok_or_else(missing)?;
        let recurrence = cx.transposed(recurrence)?;
        let sizes = cx.ints(self.products.iter().map(|&gates| gates as i64 * hidden).collect::<Vec<_>>());
        let mut captured = match self.products {
            [_] => vec![recurrence],
            many => {
                let split = Node::new("Split", many.len()).with(Attr::int("axis", 1));
                let split = cx.add_node(split, &[Some(recurrence), Some(sizes)])?;
                (0..many.len() as u32).map(|port| split.port(port)).collect()
            }
        };
        let mut biased = false;
        if let Some(bias) = of_direction(cx, 3, number, 0)? {
            let halves = parts(cx, bias, 2, self.gates as i64 * hidden)?;
            driven = cx.apply("Add", &[driven, halves[0]])?;
            captured.extend(parts(cx, halves[1], self.gates, hidden)?);
            biased = true;
        }
        let mut peeping = false;
        if let Some(peepholes) = of_direction(cx, 7, number, 0)? {
            captured.extend(parts(cx, peepholes, 3, hidden)?);
            peeping = true;
        }
        let mut states = Vec::new();
        for state in 0..self.states {
            let given = of_direction(cx, 5 + state, number, sequences.axis)?;
            states.push(match given {
                Some(given) => given,
                None => {
                    let (batch, hidden) = (cx.extents_along(x, &[1])?, cx.ints([hidden]));
                    let extents = cx.concat(&[batch, hidden])?;
                    let dtype = cx.dtype()?;
                    let zero = cx.number(0.0, dtype)?;
                    cx.apply("Expand", &[zero, extents])?
                }
            });
        }
        let slices: Vec<Sliced> =
            std::iter::once(driven).chain(sequences.counts).map(|value| Sliced { value, axis: 0, reversed }).collect();
        let mut body = cx.open(&states, &slices, &captured);
        let mut inner = body.captured.clone().into_iter();
        cell.recurrence = inner.by_ref().take(self.products.len()).collect();
        cell.bias = biased.then(|| inner.by_ref().take(self.gates).collect());
        cell.peepholes = peeping.then(|| inner.collect());
        let (before, given) = (body.states.clone(), body.slices.clone());
        let dtype = cx.dtype()?;
        let mut edit = body.edit();
        let mut hand = Hand::new(&mut edit, Some(dtype));
        let gates = parts(&mut hand, given[0], self.gates, hidden)?.into_iter().map(of).collect();
        let mut after = (self.step)(&mut hand, &cell, gates, &before)?;
        let mut y = after[0];
        if let Some(&counts) = given.get(1) {
            y = hand.write(&choose(of(counts), of(y), 0.0))?;
            for (after, &before) in after.iter_mut().zip(&before) {
                *after = hand.write(&choose(of(counts), of(*after), before))?;
            }
        }
        edit.commit();
        cx.close(body, &after, &[Sliced { value: y, axis: 0, reversed }])
    }
}

/// For each step and sequence of `[t, n, i]` whether it counts: not where the sequence has ended, `[t, n, 1]`.
fn counts(cx: &mut GradientCx<'_, '_>, x: ValueId) -> Result<Option<ValueId>, GradientError> {
    let Some(lengths) = cx.optional(4) else { return Ok(None) };
    let numbers = cx.indices_along(x, 0)?;
    let numbers = cx.reshape(numbers, &[-1, 1])?;
    let lengths = cx.add(Node::new("Cast", 1).with(Attr::int("to", DType::Int64.code())), &[lengths])?;
    let inside = cx.apply("Less", &[numbers, lengths])?;
    let last = cx.ints([-1]);
    cx.apply("Unsqueeze", &[inside, last]).map(Some)
}
