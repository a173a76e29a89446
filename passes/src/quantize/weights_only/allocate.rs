//! `allocate-bits`: each weight its own number of bits, so that all together take what was asked for and lose least.
//!
//! Each weight is rounded in every way that is allowed; what that changes in the layer's output, as a share of the output's energy, or in the
//! model's answers ([`fisher`]), against the bytes that it saves is the curve that [`crate::allocation`] shares out. What comes out is a plan
//! of `quantize-weights`, and done.

use std::collections::BTreeMap;

use faer::Mat;
use onnxpress_ir::{Model, NodeId};
use rayon::prelude::*;

use super::apply::{self, DAMPING, Order, Work};
use super::candidates::{Weight, Weights, data_of_codes, tensor};
use super::fisher;
use super::options::{Bits, Form, Granularity, QuantizeWeights, Scales};
use crate::allocation::{Choice, allocate};
use crate::evidence::{EvidenceSource, SecondMoment, Wants, collect};
use crate::options::{ByteSize, Options, Pattern};
use crate::pass::{Pass, PassCx, PassError};
use crate::quantize::sequential::{self, Layer};
use crate::quantize::weight::{self, Rounding};

/// The most bytes of second moments that are held at once.
const HELD: usize = 256 << 20;
/// Halvings of the search for how much can be saved at a loss.
const HALVINGS: usize = 40;

crate::option_enum! {
    /// What a weight's rounding is measured by.
    pub enum Worth {
        /// What it changes in the layer's output, as a share of the output's energy.
        Output,
        /// What it changes in the model's answers, by squares of gradients on samples (Theis et al. 2018).
        Fisher,
    }
}

crate::options! {
    /// Gives each weight its number of bits, and quantizes it so.
    ///
    /// Of every weight it is measured what each number of bits changes in the layer's output, on samples where there are some, or with
    /// `criterion=fisher` in the model's answers, and what it saves; layers that bear it get few bits, others many or none. One of `average`, `bytes` and `max-loss` says how far to go. The
    /// plan is one of `quantize-weights`: `apply-plan` repeats it, edited or not.
    pub struct AllocateBits {
        /// Bits of all weights in the mean, scales and zero points among them.
        average: Option<f64> = None,
        /// What all weights take together.
        bytes: Option<ByteSize> = None,
        /// The most that is lost: of all layers together, in percent of their outputs' energy.
        max_loss: Option<f64> = None,
        /// What a weight's rounding is measured by. `fisher` takes samples, and leaves weights without gradients alone.
        criterion: Worth = Worth::Output,
        /// Numbers of bits to choose among; a weight may also stay.
        bits: Vec<Bits> = vec![Bits::Two, Bits::Three, Bits::Four, Bits::Eight],
        /// So many neighbours along the axis that is summed over share a scale.
        block: Option<usize> = Some(32),
        /// Whether zero is in the middle of the codes; unless said, it is, but for `rounding=hqq`.
        symmetric: Option<bool> = None,
        /// How codes and scales are found once it is known how many bits there are.
        rounding: Rounding = Rounding::Mse,
        /// What makes floats of codes.
        form: Form = Form::Dequantize,
        /// The type that scales of floats are stored in; their own, where none is given.
        scales: Option<Scales> = None,
        /// Whether samples are used, where there are any: to measure what is lost, and to fit layers before they are rounded.
        data: bool = true,
        /// Weights that stay: by their own name, or that of a node that reads them or of its output.
        keep: Vec<Pattern> = Vec::new(),
        /// Only weights of such a name; all, where none is given.
        only: Vec<Pattern> = Vec::new(),
        /// Whether the model may go to a newer opset where codes need it; otherwise it is refused.
        upgrade: bool = true,
    }
}

/// How far to go.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Goal {
    /// Bits of all weights in the mean.
    Average(f64),
    /// Bytes of all weights.
    Bytes(f64),
    /// The sum of what layers lose, each as a share of its output's energy.
    Loss(f64),
}

impl AllocateBits {
    fn goal(&self) -> Result<Goal, PassError> {
        let positive = |name: &str, value: f64| match value > 0.0 {
            true => Ok(value),
            false => Err(PassError::Request(format!("`{name}` is {value}, expected more than 0"))),
        };
        match (self.average, self.bytes, self.max_loss) {
            (Some(bits), None, None) => Ok(Goal::Average(positive("average", bits)?)),
            (None, Some(bytes), None) => Ok(Goal::Bytes(bytes.0 as f64)),
            (None, None, Some(percent)) => Ok(Goal::Loss(positive("max-loss", percent)? / 100.0)),
            _ => Err(PassError::Request("give one of `average`, `bytes` and `max-loss`".to_owned())),
        }
    }

    /// How weights are quantized with so many bits.
    fn with(&self, bits: Bits) -> QuantizeWeights {
        QuantizeWeights {
            bits,
            block: self.block,
            symmetric: self.symmetric,
            rounding: self.rounding,
            form: self.form,
            scales: self.scales,
            data: self.data,
            ..QuantizeWeights::default()
        }
    }
}

impl Pass for AllocateBits {
    const NAME: &'static str = "allocate-bits";
    const LOSSY: bool = true;

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        let goal = self.goal()?;
        if self.bits.is_empty() {
            return Err(PassError::Request("`bits` is empty, expected numbers of bits to choose among".to_owned()));
        }
        self.bits.iter().try_for_each(|&bits| self.with(bits).validated())?;
        let text = format!("{}{{{}}}", Self::NAME, self.to_text());
        let data = self.with(Bits::Four).source(cx)?;
        let fisher = match self.criterion {
            Worth::Output => None,
            Worth::Fisher if matches!(goal, Goal::Loss(_)) => {
                return Err(PassError::Request(
                    "`max-loss` is a share of outputs' energy, which `criterion=fisher` does not measure".to_owned(),
                ));
            }
            Worth::Fisher if !self.data => {
                return Err(PassError::Request("`criterion=fisher` needs data, and `data` is false".to_owned()));
            }
            Worth::Fisher => Some(cx.data("`criterion=fisher`")?),
        };
        let work = Work { upgrade: self.upgrade, ..Work::of(model, &text, data, DAMPING, cx)? };
        let wanted = work.weights.wanted(&self.keep, &self.only, Self::NAME, cx)?;
        let mut candidates = candidates(self, goal, &work, &wanted, cx);
        let curves = match fisher {
            Some(source) => {
                let constants: Vec<NodeId> =
                    candidates.iter().filter_map(|it| constant(&work.weights.list[it.weight])).collect();
                let squares = fisher::squares(&work.whole, &constants, source)?;
                let squares = |weight: &Weight| squares.get(&constant(weight)?);
                candidates.retain(|candidate| {
                    let weight = &work.weights.list[candidate.weight];
                    let has = squares(weight).is_some();
                    if !has {
                        cx.declined(Self::NAME, weight.label(), "it has no gradient to be measured by");
                    }
                    has
                });
                let one = |candidate: &Candidate| {
                    let squares = squares(&work.weights.list[candidate.weight]).map_or(&[][..], Vec::as_slice);
                    curve(&work.whole, &work.weights, candidate, &Metric::Fisher(squares))
                };
                candidates.par_iter().map(one).collect()
            }
            None => curves(&work.whole, &work.weights, &candidates, data)?,
        };
        let picks = pick(&curves, &candidates, goal);
        if let Some(notice) = beyond_reach(&candidates, &picks, goal) {
            cx.notice(notice);
        }
        let mut orders = Vec::new();
        for (candidate, pick) in candidates.iter().zip(picks) {
            match pick.checked_sub(1).and_then(|pick| candidate.orders.get(pick)) {
                Some(order) => orders.push(*order),
                None => cx.declined(
                    Self::NAME,
                    work.weights.list[candidate.weight].label(),
                    "it would lose more than others do",
                ),
            }
        }
        work.settle(orders, model, Self::NAME, cx)
    }
}

/// The constant of a weight of the main graph, which alone may have gradients.
fn constant(weight: &Weight) -> Option<NodeId> {
    (weight.function.is_none() && weight.site.path.is_empty()).then_some(weight.site.constant)
}

/// What differences of a weight are measured by.
enum Metric<'a> {
    /// Their squares.
    Plain,
    /// What they change in the layer's output.
    Rows(&'a Layer, &'a [SecondMoment]),
    /// What they change in the answers.
    Fisher(&'a [f64]),
}

impl Metric<'_> {
    fn energy(&self, difference: &[f64]) -> f64 {
        let (layer, moments) = match self {
            Self::Plain => return difference.iter().map(|value| value * value).sum(),
            Self::Fisher(squares) => return fisher::cost(squares, difference),
            Self::Rows(layer, moments) => (layer, moments),
        };
        let matrices = &layer.matrices;
        let of_group = |(group, moment): (usize, &SecondMoment)| {
            let own =
                Mat::from_fn(matrices.outputs(), matrices.columns(), |o, k| difference[matrices.place(group, o, k)]);
            let product = &own * &moment.second();
            (0..own.ncols()).map(|k| (0..own.nrows()).map(|o| product[(o, k)] * own[(o, k)]).sum::<f64>()).sum::<f64>()
        };
        moments.iter().enumerate().map(of_group).sum()
    }

    /// What is lost by a difference, of a weight.
    fn lost(&self, difference: &[f64], weight: &[f64]) -> f64 {
        let lost = self.energy(difference);
        match self {
            // That is the same of all weights.
            Self::Fisher(_) => lost,
            _ => Some(self.energy(weight)).filter(|whole| *whole > 0.0).map_or(lost, |whole| lost / whole),
        }
    }
}

/// A weight, and the ways to write it in fewer bits.
struct Candidate {
    weight: usize,
    orders: Vec<Order>,
    /// Elements of the weight.
    elements: usize,
    /// Bytes as it is, and of each order: of the data alone where bits are counted, else with what a file has around them.
    bytes: (usize, Vec<usize>),
}

fn candidates(
    options: &AllocateBits,
    goal: Goal,
    work: &Work<'_>,
    wanted: &[usize],
    cx: &mut PassCx<'_>,
) -> Vec<Candidate> {
    let mut all: BTreeMap<usize, Candidate> = BTreeMap::new();
    for &bits in &options.bits {
        // Why one number of bits is none for a weight is no matter as long as another is.
        let mut aside = PassCx::new(cx.request);
        let own = options.with(bits);
        let asked = (Granularity::Channel, own.block());
        for order in apply::orders(&own, asked, &work.whole, &work.weights, wanted, &mut aside) {
            let Some((tensor, name)) = tensor(&work.whole, &work.weights.list[order.weight]) else { continue };
            let (before, after) = match goal {
                Goal::Average(_) => (tensor.byte_len(), data_of_codes(tensor, &order.scheme, order.granularity)),
                _ => apply::bytes(tensor, name, &order),
            };
            let new = || Candidate {
                weight: order.weight,
                orders: Vec::new(),
                elements: tensor.len(),
                bytes: (before, Vec::new()),
            };
            let candidate = all.entry(order.weight).or_insert_with(new);
            candidate.orders.push(order);
            candidate.bytes.1.push(after);
        }
    }
    for &index in wanted.iter().filter(|index| !all.contains_key(index)) {
        cx.declined(AllocateBits::NAME, work.weights.list[index].label(), "no number of bits makes it smaller");
    }
    all.into_values().collect()
}

/// What each weight offers: first to stay as it is.
fn curves(
    model: &Model,
    weights: &Weights,
    candidates: &[Candidate],
    source: Option<&dyn EvidenceSource>,
) -> Result<Vec<Vec<Choice>>, PassError> {
    let layer = |candidate: &Candidate| sequential::of_weight(model, &weights.list[candidate.weight]).ok();
    let layers: Vec<Option<Layer>> = candidates.iter().map(|candidate| source.and_then(|_| layer(candidate))).collect();
    let mut curves = Vec::with_capacity(candidates.len());
    let mut from = 0;
    while from < candidates.len() {
        let mut held = 0usize;
        let bytes = |layer: &Option<Layer>| {
            layer.as_ref().map_or(0, |layer| 8 * layer.matrices.groups() * layer.matrices.columns().pow(2))
        };
        let fits = layers[from..].iter().take_while(|layer| {
            held = held.saturating_add(bytes(layer));
            held <= HELD
        });
        let to = from + fits.count().max(1);
        let mut moments: BTreeMap<NodeId, Vec<SecondMoment>> = BTreeMap::new();
        if let Some(source) = source {
            let mut wants = Wants::default();
            for layer in layers[from..to].iter().flatten() {
                wants.layer(layer.node, &layer.layer);
            }
            if !wants.layers.is_empty() {
                let evidence = collect(model, &wants, source).map_err(|error| PassError::Request(error.to_string()))?;
                moments = evidence.layers.into_iter().map(|((node, _), moments)| (node, moments.groups)).collect();
            }
        }
        let part: Vec<Vec<Choice>> = candidates[from..to]
            .par_iter()
            .zip(&layers[from..to])
            .map(|(candidate, layer)| {
                let seen = layer.as_ref().and_then(|layer| Some((layer, moments.get(&layer.node)?)));
                let metric = seen.map_or(Metric::Plain, |(layer, moments)| Metric::Rows(layer, moments));
                curve(model, weights, candidate, &metric)
            })
            .collect();
        curves.extend(part);
        from = to;
    }
    Ok(curves)
}

fn curve(model: &Model, weights: &Weights, candidate: &Candidate, metric: &Metric<'_>) -> Vec<Choice> {
    let untouched = Choice { saved: 0.0, loss: 0.0 };
    let Some((tensor, _)) = tensor(model, &weights.list[candidate.weight]) else { return vec![untouched] };
    let Ok(values) = tensor.to_f64s() else { return vec![untouched] };
    let choice = |(order, after): (&Order, &usize)| {
        // How codes are chosen later needs samples at hand; what is compared here is the grid.
        let scheme = weight::Scheme {
            rounding: if order.scheme.rounding == Rounding::Nearest { Rounding::Nearest } else { Rounding::Mse },
            ..order.scheme
        };
        let rounded = weight::quantize(tensor, order.granularity, &scheme).and_then(|made| made.dequantized());
        let rounded = rounded.ok().and_then(|rounded| rounded.to_f64s().ok());
        let loss = rounded.map_or(f64::INFINITY, |rounded| {
            let difference: Vec<f64> = values.iter().zip(&rounded).map(|(a, b)| a - b).collect();
            metric.lost(&difference, &values)
        });
        Choice { saved: candidate.bytes.0 as f64 - *after as f64, loss }
    };
    std::iter::once(untouched).chain(candidate.orders.iter().zip(&candidate.bytes.1).map(choice)).collect()
}

/// What is said where choices take more than was asked for: there are none that take less.
fn beyond_reach(candidates: &[Candidate], picks: &[usize], goal: Goal) -> Option<String> {
    let taken = |(candidate, pick): (&Candidate, &usize)| match pick.checked_sub(1) {
        Some(pick) => candidate.bytes.1[pick],
        None => candidate.bytes.0,
    };
    let bytes = candidates.iter().zip(picks).map(taken).sum::<usize>() as f64;
    let elements = candidates.iter().map(|candidate| candidate.elements).sum::<usize>() as f64;
    match goal {
        Goal::Average(bits) if 8.0 * bytes > bits * elements => {
            Some(format!("`average` is {bits}, the least that these weights can have is {:.2}", 8.0 * bytes / elements))
        }
        Goal::Bytes(most) if bytes > most => {
            Some(format!("`bytes` is {most}, the least that these weights can take is {bytes}"))
        }
        _ => None,
    }
}

/// The choice of each weight.
fn pick(curves: &[Vec<Choice>], candidates: &[Candidate], goal: Goal) -> Vec<usize> {
    let before: f64 = candidates.iter().map(|candidate| candidate.bytes.0 as f64).sum();
    let elements: f64 = candidates.iter().map(|candidate| candidate.elements as f64).sum();
    let lost = |picks: &[usize]| -> f64 { picks.iter().zip(curves).map(|(&pick, curve)| curve[pick].loss).sum() };
    match goal {
        Goal::Average(bits) => allocate(curves, before - bits * elements / 8.0),
        Goal::Bytes(bytes) => allocate(curves, before - bytes),
        Goal::Loss(most) => {
            let (mut low, mut high) = (0.0, before);
            let mut best = allocate(curves, 0.0);
            for _ in 0..HALVINGS {
                let middle = (low + high) / 2.0;
                let picks = allocate(curves, middle);
                if lost(&picks) <= most {
                    (low, best) = (middle, picks);
                } else {
                    high = middle;
                }
            }
            best
        }
    }
}
