//! What a node's letters say of the graph around it: its relation of axes with every extent worked out, for the analysis of
//! channels, which knows no operator.
//!
//! The notation leaves some things to the operands: how many axes stand under `s..`, which of them broadcast, how many indices
//! a letter has. And some letters may not lose an index: where a role says so, where places matter (a window's axes), where
//! nobody can say so (an attribute that does not follow), and where indices are summed over and no weight could be zeroed, there or
//! before, to show that they do not matter.

mod asked;
mod extents;
mod shuffle;
mod vanishing;
mod weights;

use std::collections::HashMap;

use onnxpress_ir::analysis::channels::{self, Coupling};
use onnxpress_ir::{Graph, NodeId, Shape};

use crate::axes::{Axed, Axis, Relation, Role, Segment, Stated};
use crate::node::NodeCx;
use crate::table;
use extents::Extents;
pub use weights::Weights;

/// The coupling of a graph whose types are inferred.
pub fn coupling(graph: &Graph) -> Coupling {
    coupling_with(graph, Norms::Pin)
}

/// What becomes of channels along which a normalization takes statistics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Norms {
    /// None may go: the statistics of those that stay would be others.
    #[default]
    Pin,
    /// They may go: statistics are taken over those that stay.
    Follow,
}

/// Normalizations that have parameters for each channel, and make sense over fewer.
const NORMS: [&str; 5] = [
    "LayerNormalization",
    "RMSNormalization",
    "GroupNormalization",
    "SimplifiedLayerNormalization",
    "SkipLayerNormalization",
];

/// Whether the node takes statistics along channels in a way that makes sense over fewer of them.
pub fn is_norm(node: &onnxpress_ir::Node) -> bool {
    NORMS.iter().any(|name| node.op_type == **name)
}

/// The same, where it is said what becomes of channels along which a normalization takes statistics.
pub fn coupling_with(graph: &Graph, norms: Norms) -> Coupling {
    let weights = Weights::of(graph);
    let coupling = coupled(graph, norms, &weights, &HashMap::new());
    let shuffles = shuffle::relations(graph, &coupling);
    if shuffles.is_empty() { coupling } else { coupled(graph, norms, &weights, &shuffles) }
}

/// The coupling where some nodes have other relations than their sheets say.
fn coupled(graph: &Graph, norms: Norms, weights: &Weights, own: &HashMap<NodeId, String>) -> Coupling {
    Coupling::of(graph, |id| {
        let cx = NodeCx::new(graph, id).ok_or("it is no node")?;
        let operator = table::of(cx.node).ok_or("the operator is not known")?;
        let mut written: Relation = match own.get(&id) {
            Some(text) => text.parse().map_err(|error: crate::axes::SyntaxError| error.to_string())?,
            None => operator.axes.relation(&cx)?,
        };
        // Who puts back what was taken out pads, with what an operand says.
        if norms == Norms::Follow && is_norm(cx.node) && graph.opsets.standard() >= 11 {
            written.roles.retain(|(role, _)| *role != Role::Normalized);
        }
        Ok(Laid::out(&cx, &written).finish(&cx, &written, weights))
    })
}

/// A segment in letters by number.
enum Part {
    Letters(Vec<usize>),
    One,
    Opaque,
}

struct Known {
    letter: channels::Letter,
    /// Stands under `..`.
    many: bool,
    /// The text says how many there are.
    written: bool,
}

/// The segments of every axis of an operand or output, each axis with its extent; `None` where nothing is said of any.
type Row = Option<Vec<(Vec<Part>, Option<u64>)>>;

/// The relation with `..` written out.
struct Laid {
    letters: Vec<Known>,
    /// Operands, then outputs; with the extents that axes have.
    rows: Vec<Row>,
    operands: usize,
    /// The rank of something that has letters is not known, so they could slip through.
    rank_is_open: bool,
}

impl Laid {
    fn out(cx: &NodeCx<'_>, written: &Relation) -> Self {
        let mut laid =
            Self { letters: Vec::new(), rows: Vec::new(), operands: cx.operand_count(), rank_is_open: false };
        for index in 0..cx.operand_count() {
            let row = laid.row(written.operands.get(index), cx.shape(index));
            laid.rank_is_open |=
                cx.has(index) && cx.shape(index).is_none() && written.operands.get(index) != Some(&None);
            laid.rows.push(row);
        }
        for index in 0..cx.node.port_count() {
            let row = laid.row(written.outputs.get(index), cx.output_shape(index));
            let given = cx.node.ports().get(index).is_some_and(|port| !port.omitted);
            laid.rank_is_open |= given && cx.output_shape(index).is_none() && written.outputs.get(index) != Some(&None);
            laid.rows.push(row);
        }
        laid
    }

    fn letter(&mut self, name: &str, extent: Option<u64>, many: bool) -> usize {
        let at = self.letters.iter().position(|known| known.letter.name == name).unwrap_or_else(|| {
            let letter = channels::Letter { name: name.to_owned(), extent: None, pinned: None, asked: false };
            self.letters.push(Known { letter, many, written: false });
            self.letters.len() - 1
        });
        if extent.is_some() {
            self.letters[at].letter.extent = extent;
            self.letters[at].written = true;
        }
        at
    }

    fn row(&mut self, axed: Option<&Axed>, shape: Option<&Shape>) -> Row {
        let (axed, shape) = (axed?.as_ref()?, shape?);
        let many = axed.iter().filter(|axis| matches!(axis, Axis::Many(_))).count();
        let spread = (shape.len() + many).checked_sub(axed.len())?;
        let extents: Vec<Option<u64>> =
            shape.iter().map(|dim| dim.as_const().and_then(|extent| u64::try_from(extent).ok())).collect();
        let mut row = Vec::with_capacity(shape.len());
        for axis in axed {
            match axis {
                Axis::Segments(segments) => {
                    let parts = segments.iter().map(|segment| self.part(segment)).collect();
                    row.push((parts, extents.get(row.len()).copied().flatten()));
                }
                Axis::Many(name) => {
                    for from_last in (1..=spread).rev() {
                        let extent = extents.get(row.len()).copied().flatten();
                        let part = match extent {
                            // It broadcasts, or all have but one index there.
                            Some(1) => Part::One,
                            _ => Part::Letters(vec![self.letter(&format!("{name}.{from_last}"), None, true)]),
                        };
                        row.push((vec![part], extent));
                    }
                }
            }
        }
        (row.len() == shape.len()).then_some(row)
    }

    fn part(&mut self, segment: &Segment) -> Part {
        match segment {
            Segment::One => Part::One,
            Segment::Opaque => Part::Opaque,
            Segment::Product(factors) => {
                Part::Letters(factors.iter().map(|factor| self.letter(&factor.letter, factor.extent, false)).collect())
            }
        }
    }

    /// Which rows have the letter.
    fn having(&self, letter: usize) -> impl Iterator<Item = usize> {
        self.rows.iter().enumerate().filter_map(move |(index, row)| {
            let mut parts = row.iter().flatten().flat_map(|(parts, _)| parts);
            parts.any(|part| matches!(part, Part::Letters(letters) if letters.contains(&letter))).then_some(index)
        })
    }

    fn finish(mut self, cx: &NodeCx<'_>, written: &Relation, weights: &Weights) -> channels::Relation {
        Extents::solve(&mut self);
        for letter in 0..self.letters.len() {
            let name = &self.letters[letter].letter.name;
            let base = name.split('.').next().unwrap_or_default().to_owned();
            self.letters[letter].letter.asked =
                written.roles.iter().any(|(role, letters)| *role == Role::Asked && letters.contains(&base));
            if let Some(reason) = self.pinned(letter, cx, written, weights) {
                self.letters[letter].letter.pinned = Some(reason);
            }
        }
        let mut letters: Vec<channels::Letter> = self.letters.into_iter().map(|known| known.letter).collect();
        let ones: Vec<bool> = letters.iter().map(|letter| letter.extent == Some(1)).collect();
        let mut side = |rows: Vec<Row>| -> Vec<Option<Vec<channels::Axis>>> {
            let mut axis = |(parts, extent): (Vec<Part>, Option<u64>)| -> channels::Axis {
                let many = parts.len() > 1;
                let part = |part: Part| match part {
                    Part::One => Vec::new(),
                    // Beside others, a letter of a single index says nothing.
                    Part::Letters(all) if all.len() == 1 => all,
                    Part::Letters(all) => all.into_iter().filter(|&letter| !ones[letter]).collect(),
                    Part::Opaque => {
                        letters.push(channels::Letter {
                            name: "_".to_owned(),
                            extent: extent.filter(|_| !many),
                            pinned: Some("it says nothing of the axis".to_owned()),
                            asked: false,
                        });
                        vec![letters.len() - 1]
                    }
                };
                parts.into_iter().map(part).collect()
            };
            rows.into_iter().map(|row| row.map(|row| row.into_iter().map(&mut axis).collect())).collect()
        };
        let outputs = self.rows.split_off(self.operands);
        let (operands, outputs) = (side(self.rows), side(outputs));
        channels::Relation { letters, operands, outputs }
    }

    /// Why the letter may not lose an index.
    fn pinned(&self, letter: usize, cx: &NodeCx<'_>, written: &Relation, weights: &Weights) -> Option<String> {
        let known = &self.letters[letter];
        if let Some(reason) = &known.letter.pinned {
            return Some(reason.clone());
        }
        if self.rank_is_open {
            return Some("the rank of what it reads or gives out is not known".to_owned());
        }
        let base = known.letter.name.split('.').next().unwrap_or_default();
        let role = written.roles.iter().find(|(_, letters)| letters.iter().any(|other| other == base));
        if let Some((role, _)) = role {
            let reason = match role {
                Role::Asked => {
                    let place = self.having(letter).find(|&row| row < self.operands)?;
                    let row = self.rows[place].as_ref()?;
                    let axis = row.iter().position(|(parts, _)| {
                        parts.iter().any(|part| matches!(part, Part::Letters(all) if all.contains(&letter)))
                    })?;
                    return asked::as_number(cx, axis).then(|| "what is computed depends on its extent".to_owned());
                }
                Role::Normalized => "statistics are taken along the axis",
                Role::Chosen => "a maximum or an order is found along the axis",
                Role::Carried => "a state goes along the axis",
                Role::Fixed => "the operator says how many there are",
            };
            return Some(reason.to_owned());
        }
        let (reads, gives): (Vec<usize>, Vec<usize>) = self.having(letter).partition(|&row| row < self.operands);
        let is_stated = written.stated.iter().any(|stated| match stated {
            Stated::Attribute(_, letters) => letters.iter().any(|other| other == base),
            _ => true,
        });
        if known.written && !is_stated {
            return Some("an attribute says how many there are".to_owned());
        }
        match (reads.is_empty(), gives.is_empty()) {
            (true, false) if !is_stated => Some("the operator makes the axis".to_owned()),
            (false, true) if known.many => Some("places along the axis matter".to_owned()),
            (false, true) if is_stated && known.written => None,
            (false, true)
                if !reads.iter().any(|&row| weights.has(cx, row) || self.vanishes(row, letter, cx, weights)) =>
            {
                Some("it sums over the axis, and no weight lies along it".to_owned())
            }
            _ => None,
        }
    }

    /// Whether an operand is zero along a letter wherever the weights are that it is made of.
    fn vanishes(&self, row: usize, letter: usize, cx: &NodeCx<'_>, weights: &Weights) -> bool {
        let (value, axis) = (cx.operand(row), self.axis(row, letter));
        value.zip(axis).is_some_and(|(value, axis)| weights.vanish(value, axis))
    }
}
