//! What a graph costs when so many indices of each leaf are left, without cutting anything.
//!
//! Parameters and bytes of a constant are in proportion to the extents of its axes; the multiply-accumulates of a node are in
//! proportion to the extents of its letters. So a cut can be weighed by counting, as often as a search wants.

use onnxpress_ir::analysis::channels::{Coupling, SpanId};
use onnxpress_ir::{Graph, Use};
use onnxpress_ops::Cost;
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::table;

use crate::evidence::Extents;

crate::option_enum! {
    /// What is counted.
    pub enum Quantity {
        /// Elements of constants.
        Params,
        /// Multiply-accumulates of a sample; open extents count as those of `--calib`, or as one.
        Macs,
        /// Bytes of constants.
        Bytes,
    }
}

/// Parameters, multiply-accumulates and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Amount {
    pub(crate) params: f64,
    pub(crate) macs: f64,
    pub(crate) bytes: f64,
}

impl Amount {
    fn add(&mut self, other: &Self, share: f64) {
        self.params += other.params * share;
        self.macs += other.macs * share;
        self.bytes += other.bytes * share;
    }

    pub(crate) fn of(&self, quantity: Quantity) -> f64 {
        match quantity {
            Quantity::Params => self.params,
            Quantity::Macs => self.macs,
            Quantity::Bytes => self.bytes,
        }
    }
}

/// Something whose cost is in proportion to the extents of spans.
struct Term {
    spans: Vec<SpanId>,
    whole: Amount,
}

/// The terms of a graph's cost.
pub(crate) struct Costs<'c> {
    coupling: &'c Coupling,
    /// Whether terms are kept apart of which nothing can go.
    pinned_too: bool,
    terms: Vec<Term>,
    fixed: Amount,
}

impl<'c> Costs<'c> {
    /// Of a graph whose types are inferred.
    pub(crate) fn of(graph: &Graph, coupling: &'c Coupling, extents: &Extents) -> Self {
        Self::sorted(graph, coupling, extents, false)
    }

    /// The same, to be asked what lies along leaves, those that are pinned too.
    pub(crate) fn of_all(graph: &Graph, coupling: &'c Coupling, extents: &Extents) -> Self {
        Self::sorted(graph, coupling, extents, true)
    }

    fn sorted(graph: &Graph, coupling: &'c Coupling, extents: &Extents, pinned_too: bool) -> Self {
        let mut costs = Self { coupling, pinned_too, terms: Vec::new(), fixed: Amount::default() };
        for (id, constant) in graph.constants() {
            let Some(tensor) = constant.value.dense() else { continue };
            let is_weight = tensor.dtype().is_float() || tensor.rank() >= 2;
            let whole = Amount {
                params: if is_weight { tensor.len() as f64 } else { 0.0 },
                macs: 0.0,
                bytes: tensor.byte_len() as f64,
            };
            let mut readings: Vec<Use> = graph.readers(id.port(0)).collect();
            readings.sort();
            let spans = readings.first().and_then(|&reading| coupling.read(graph, reading)).unwrap_or_default();
            costs.add(spans.to_vec(), whole);
        }
        for (id, node) in graph.nodes() {
            let Some(cx) = NodeCx::new(graph, id) else { continue };
            let Some(Cost::Macs(macs)) = table::of(node).map(|operator| operator.cost) else { continue };
            let counted = extents.count(&macs(&cx)).unwrap_or(0);
            let spans = coupling.letters(id).iter().map(|(_, span)| *span).collect();
            costs.add(spans, Amount { macs: counted as f64, ..Amount::default() });
        }
        costs
    }

    fn add(&mut self, mut spans: Vec<SpanId>, whole: Amount) {
        if !self.pinned_too {
            spans.retain(|&span| self.coupling.spans.is_free(span));
        }
        if spans.is_empty() {
            self.fixed.params += whole.params;
            self.fixed.macs += whole.macs;
            self.fixed.bytes += whole.bytes;
        } else {
            self.terms.push(Term { spans, whole });
        }
    }

    /// The cost when so many indices of each leaf are left.
    pub(crate) fn with(&self, left: &[usize]) -> Amount {
        let mut sum = self.fixed;
        self.terms.iter().for_each(|term| sum.add(&term.whole, self.share(term, left)));
        sum
    }

    fn share(&self, term: &Term, left: &[usize]) -> f64 {
        let one = |&span: &SpanId| match self.coupling.spans.extent(span) {
            Some(extent) if extent > 0 => self.coupling.spans.count(span, left) as f64 / extent as f64,
            _ => 1.0,
        };
        term.spans.iter().map(one).product()
    }

    /// By leaf: the cost of all that lies along it when so many indices of each are left.
    pub(crate) fn along(&self, left: &[usize]) -> Vec<Amount> {
        let mut all = vec![Amount::default(); left.len()];
        for term in &self.terms {
            let share = self.share(term, left);
            let mut leaves = Vec::new();
            term.spans.iter().for_each(|&span| self.coupling.spans.visit_leaves(span, &mut |leaf| leaves.push(leaf)));
            leaves.sort_unstable();
            leaves.dedup();
            leaves.into_iter().for_each(|leaf| all[leaf].add(&term.whole, share));
        }
        all
    }
}
