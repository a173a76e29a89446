//! What the indices of each leaf are worth, measured on samples.

use std::borrow::Cow;

use faer::Mat;
use onnxpress_ir::analysis::channels::Coupling;
use onnxpress_ir::{Model, NodeId};
use rayon::prelude::*;

use super::super::members::Member;
use super::consumers::{Consumer, consumers, recurrences};
use super::held::Part;
use super::obs::Layer;
use super::weigh::{PARTS, weigh};
use crate::evidence::{Evidence, EvidenceError, EvidenceSource, First, SecondMoment, Wants, collect, rows_of};
use crate::reconstruction::Trial;

/// A share of the mean square of a layer's rows that is added to each: what is hardly ever seen is not believed to be nothing.
const RIDGE: f64 = 1e-2;

/// Of one leaf.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Worth {
    /// For each index, what is lost once it and all that are worth less have gone: a share of how much the model's outputs vary, or of
    /// what readers answer where only an order was sought.
    pub(crate) lost: Vec<f64>,
    /// For each index, the root of the mean square of what it holds, relative to the mean over all.
    pub(crate) activation: Vec<f64>,
}

/// What is to be known of leaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Sought {
    /// What their indices hold.
    Activation,
    /// What is lost as their indices go one by one, by those who read them: it ranks the indices of each leaf.
    Order,
    /// What the model's outputs lose, so that leaves compare. A sample takes `macs` multiply-accumulates.
    Loss { macs: f64 },
}

/// The worth of the leaves that `wanted` names; `None` for one that no layer reads whose rows can be seen.
///
/// # Errors
/// Where the samples do not suit the model, or it cannot be run.
pub(crate) fn measured(
    model: &Model,
    coupling: &Coupling,
    members: &[Vec<Member>],
    wanted: &[bool],
    source: &dyn EvidenceSource,
    sought: Sought,
) -> Result<Vec<Option<Worth>>, EvidenceError> {
    let readers = consumers(&model.graph, coupling, members);
    let mut wants = Wants::default();
    for consumer in readers.iter().zip(wanted).filter(|(_, wanted)| **wanted).flat_map(|(readers, _)| readers) {
        if rows_of(&model.graph, consumer.plain.node, &consumer.plain.layer).is_ok() {
            wants.layer(consumer.plain.node, &consumer.plain.layer);
        }
    }
    let orders = sought != Sought::Activation;
    // Where nothing is held against samples, all of them count, and what they tell serves again.
    let (seen, held) = (Part::seen(source), Part::held(source));
    let evidence = collect(model, &wants, if matches!(sought, Sought::Loss { .. }) { &seen } else { source })?;
    let one = |((readers, members), wanted): ((&Vec<Consumer>, &Vec<Member>), &bool)| match wanted {
        true => of_leaf(model, readers, recurrences(&model.graph, coupling, members), &evidence, orders),
        false => None,
    };
    let mut worths: Vec<Option<Worth>> = readers.par_iter().zip(members).zip(wanted).map(one).collect();
    if let Sought::Loss { macs } = sought {
        let total = worths.iter().flatten().count();
        let few = First { source: &held, count: Trial::samples(PARTS.len() * total, macs) };
        let mut trial = Trial::new(model, &few)?;
        let from = |(leaf, worth): (usize, &Option<Worth>)| {
            worth.as_ref()?;
            let nodes = readers[leaf].iter().map(|reader| reader.plain.node);
            trial.first(nodes).map(|(place, node)| (place, leaf, node))
        };
        let mut order: Vec<(usize, usize, NodeId)> = worths.iter().enumerate().filter_map(from).collect();
        order.sort_unstable();
        for (done, (_, leaf, from)) in order.into_iter().enumerate() {
            let Some(worth) = &mut worths[leaf] else { continue };
            let moments = |reader: &Consumer| evidence.layers.get(&(reader.plain.node, reader.plain.layer.weight));
            let seen: Vec<_> = readers[leaf].iter().filter_map(|reader| Some((reader, moments(reader)?))).collect();
            weigh(&mut trial, from, &seen, &mut worth.lost)?;
            source.progress("weigh channels", done + 1, total);
        }
        source.progress("weigh channels", 0, 0);
    }
    Ok(worths)
}

/// A reader with what was seen of its rows: weight, moment and columns of each group.
struct Reader<'a> {
    weight: Mat<f64>,
    moment: Cow<'a, SecondMoment>,
    columns: Cow<'a, [Vec<usize>]>,
    /// Whether its other weights will be fitted to make up for what goes: where its results are seen.
    is_fitted: bool,
    /// What its losses are shares of.
    energy: f64,
}

fn of_leaf(
    model: &Model,
    readers: &[Consumer],
    recurrences: Vec<Mat<f64>>,
    evidence: &Evidence,
    orders: bool,
) -> Option<Worth> {
    let mut seen: Vec<Reader<'_>> = Vec::new();
    for consumer in readers {
        let plain = &consumer.plain;
        let Some(moments) = evidence.layers.get(&(plain.node, plain.layer.weight)) else { continue };
        let Some(weights) = model.graph.constant(plain.weight).and_then(|tensor| plain.matrices.matrices(tensor).ok())
        else {
            continue;
        };
        let first = seen.len();
        let rows = rows_of(&model.graph, plain.node, &plain.layer);
        let is_fitted = rows.is_ok_and(|(rows, _)| rows.has_results());
        for (weight, moment) in weights.into_iter().zip(&moments.groups) {
            let energy = output_energy(&weight, moment);
            let (moment, columns) = (Cow::Borrowed(moment), Cow::Borrowed(&*consumer.columns));
            seen.push(Reader { weight, moment, columns, is_fitted, energy });
        }
        // The groups of a layer are one output.
        let whole: f64 = seen[first..].iter().map(|reader| reader.energy).sum();
        seen[first..].iter_mut().for_each(|reader| reader.energy = whole);
    }
    let recurring: Vec<Reader<'_>> =
        recurrences.into_iter().filter_map(|recurrence| recurring(recurrence, &seen)).collect();
    seen.extend(recurring);
    let count = seen.first()?.columns.len();
    let mut activation = vec![0.0; count];
    for reader in &seen {
        let squares = reader.moment.mean_squares();
        let of = |columns: &[usize]| {
            columns.iter().map(|&column| squares[column]).sum::<f64>() / columns.len().max(1) as f64
        };
        let own: Vec<f64> = reader.columns.iter().map(|columns| of(columns).sqrt()).collect();
        let mean = own.iter().sum::<f64>() / count as f64;
        if mean > 0.0 {
            activation.iter_mut().zip(&own).for_each(|(sum, own)| *sum += own / mean / seen.len() as f64);
        }
    }
    let lost = if orders { removal(&seen, count)? } else { Vec::new() };
    Some(Worth { lost, activation })
}

/// A recurrence as one that reads what the others do: nobody sees its own rows, but they are much like theirs.
fn recurring<'a>(weight: Mat<f64>, others: &[Reader<'a>]) -> Option<Reader<'a>> {
    let of_each = |other: &Reader<'_>| other.columns.first().map_or(0, Vec::len);
    let alike =
        |other: &&Reader<'_>| of_each(other) > 0 && other.columns.iter().all(|columns| columns.len() == of_each(other));
    let other = others.iter().find(alike)?;
    let count = other.columns.len();
    let moment = other.moment.taken_apart(&other.columns);
    (weight.ncols() == count).then(|| Reader {
        energy: output_energy(&weight, &moment),
        weight,
        moment: Cow::Owned(moment),
        columns: Cow::Owned((0..count).map(|index| vec![index]).collect()),
        is_fitted: false,
    })
}

/// `E|W x|²`.
fn output_energy(weight: &Mat<f64>, moment: &SecondMoment) -> f64 {
    let product = weight * &moment.second();
    (0..weight.ncols()).map(|j| (0..weight.nrows()).map(|i| product[(i, j)] * weight[(i, j)]).sum::<f64>()).sum()
}

/// A moment in which blocks of columns have nothing to do with each other, so that none makes up for another.
fn blocks(moment: &Mat<f64>, blocks: &[Vec<usize>]) -> Mat<f64> {
    let mut block_of = vec![usize::MAX; moment.nrows()];
    for (number, block) in blocks.iter().enumerate() {
        block.iter().for_each(|&column| block_of[column] = number);
    }
    let kept = |i: usize, j: usize| block_of[i] == block_of[j];
    Mat::from_fn(moment.nrows(), moment.ncols(), |i, j| if kept(i, j) { moment[(i, j)] } else { 0.0 })
}

/// Removes one index after the other, always the one that costs least, in all readers at once; answers what is lost by then.
fn removal(readers: &[Reader<'_>], count: usize) -> Option<Vec<f64>> {
    let mut layers = Vec::new();
    for reader in readers {
        let mut moment = match reader.is_fitted {
            // The means go into biases, so what is lost is lost around them.
            true => reader.moment.covariance(),
            false => blocks(&reader.moment.second(), &reader.columns),
        };
        let squares = reader.moment.mean_squares();
        let ridge = RIDGE * squares.iter().sum::<f64>() / squares.len().max(1) as f64;
        (0..moment.nrows()).for_each(|i| moment[(i, i)] += ridge.max(f64::MIN_POSITIVE));
        layers.push(Layer::new(&reader.weight, &moment, &reader.columns, reader.energy)?);
    }
    let mut alive: Vec<usize> = (0..count).collect();
    let mut lost = vec![0.0; count];
    let mut total = 0.0;
    while !alive.is_empty() {
        let cost = |&index: &usize| layers.iter().map(|layer| layer.cost(index)).sum::<f64>();
        let costs: Vec<f64> = alive.par_iter().map(cost).collect();
        let least = (0..alive.len()).min_by(|&a, &b| costs[a].total_cmp(&costs[b])).unwrap_or(0);
        let index = alive.remove(least);
        total += costs[least].max(0.0);
        lost[index] = total;
        layers.iter_mut().for_each(|layer| layer.remove(index));
    }
    lost.iter().all(|loss| loss.is_finite()).then_some(lost)
}
