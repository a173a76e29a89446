//! What stands around a graph: the graphs that it is nested in, and what rules ask of the model.

use std::cell::Cell;
use std::collections::BTreeMap;

use onnxpress_ir::graph::canonical_domain;
use onnxpress_ir::{Graph, Model, Node, NodeId, Tensor, ValueId, Vertex};

use super::effects::{self, Effect};
use super::file_size::{self, Written};
use super::notes::Notes;
use crate::calls::{Callee, Calls};

/// What kind of graph it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The model's own.
    Main,
    /// The body of a function, which has no initializers.
    Function,
    /// Inside a node.
    Subgraph,
}

/// Domain, name, overload.
type Key = (Vec<u8>, Vec<u8>, Vec<u8>);

/// What rules ask of the model that holds a graph.
#[derive(Clone, Debug, Default)]
pub struct ModelFacts {
    /// The version of the file format.
    pub ir_version: i64,
    functions: BTreeMap<Key, Effect>,
    /// Bytes that the file may still grow by.
    credit: Cell<usize>,
    /// Whether something was left alone for want of credit.
    short: Cell<bool>,
}

impl ModelFacts {
    /// Of a model.
    pub fn of(model: &Model) -> Self {
        let mut facts = Self { ir_version: model.header.ir_version, ..Self::default() };
        for Callee { place, recursive } in Calls::of(&model.functions).callees_first() {
            let function = &model.functions[place];
            let effect = if recursive { Effect::Unknown } else { effects::of_graph(&function.body, &facts) };
            let domain = canonical_domain(function.domain.as_bytes()).to_vec();
            let key = (domain, function.name.as_bytes().to_vec(), function.overload.as_bytes().to_vec());
            facts.functions.insert(key, effect);
        }
        facts
    }

    /// The same, with most of what the run has saved so far as credit: what `came`, about so many bytes, shall not leave
    /// larger. The driver goes on counting.
    #[must_use]
    pub fn with_credit(self, came: Option<usize>, model: &Model) -> Self {
        // Sizes are estimates, and passes spend in turns: a part of the file is left out of the account for good.
        let saved = came.map_or(0, |came| (came - came / 64).saturating_sub(file_size::model(model)));
        self.credit.set(saved / 8 * 7);
        self
    }

    /// The same with more credit, which the whole must earn.
    #[must_use]
    pub(super) fn with_loan(self, loan: usize) -> Self {
        self.credit.set(self.credit.get().saturating_add(loan));
        self
    }

    /// Whether the file may grow by so many bytes.
    pub(super) fn affords(&self, bytes: usize) -> bool {
        let affords = bytes <= self.credit.get();
        self.short.set(self.short.get() || !affords);
        affords
    }

    /// Whether something was left alone that was not affordable.
    pub(super) fn was_short(&self) -> bool {
        self.short.get()
    }

    /// Takes down that something of so many bytes is in the place of something of others.
    pub(super) fn account(&self, before: usize, after: usize) {
        let saved = before.saturating_sub(after) / 8 * 7;
        self.credit.set((self.credit.get() + saved).saturating_sub(after.saturating_sub(before)));
    }

    /// What the function does beside computing, if the node calls one.
    pub fn called(&self, node: &Node) -> Option<Effect> {
        if self.functions.is_empty() {
            return None;
        }
        let part = |bytes: &[u8]| bytes.to_vec();
        let key = (part(node.canonical_domain()), part(node.op_type.as_bytes()), part(node.overload.as_bytes()));
        self.functions.get(&key).copied()
    }
}

/// What stands around a graph.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The model.
    pub model: &'a ModelFacts,
    /// What kind of graph it is.
    pub place: Place,
    outer: Option<Outer<'a>>,
    /// What was taken down about the graph.
    notes: Option<&'a Notes>,
}

#[derive(Clone, Copy, Debug)]
struct Outer<'a> {
    graph: &'a Graph,
    holder: NodeId,
    around: &'a Surroundings<'a>,
    /// For each implicit operand of the holder, by how many captures inside.
    captured: &'a [u32],
}

impl<'a> Surroundings<'a> {
    /// Of the model's own graph, or of a function's body.
    pub fn outermost(model: &'a ModelFacts, place: Place) -> Self {
        Self { model, place, outer: None, notes: None }
    }

    /// Of the subgraphs of `holder`, a node of `graph`. `captured` counts, for each implicit operand, the captures inside.
    pub(super) fn inside(&'a self, graph: &'a Graph, holder: NodeId, captured: &'a [u32]) -> Self {
        let outer = Some(Outer { graph, holder, around: self, captured });
        Self { model: self.model, place: Place::Subgraph, outer, notes: None }
    }

    /// The same, with notes on the graph that stands here.
    pub(super) fn noting<'b>(&'b self, notes: &'b Notes) -> Surroundings<'b> {
        Surroundings { notes: Some(notes), ..*self }
    }

    /// What was taken down about the graph that stands here.
    pub(super) fn notes(&self) -> Option<&'a Notes> {
        self.notes
    }

    /// How a constant that is added to the graph is written. A function has no initializers, and before version 4 of the
    /// format neither had subgraphs, and those of the main graph were inputs too.
    pub fn written(&self) -> Written {
        match (self.place, self.model.ir_version) {
            (Place::Function, _) | (Place::Subgraph, ..4) => Written::Node,
            (Place::Main, ..4) => Written::Listed,
            _ => Written::Initializer,
        }
    }

    /// How many bytes of the file a vertex of `graph`, which stands here, takes.
    pub(super) fn bytes(&self, graph: &Graph, id: NodeId) -> usize {
        file_size::vertex(graph, id, self.place == Place::Main && self.model.ir_version < 4)
    }

    /// The tensor that a value of `graph`, which stands here, is, whoever calls the model: its own constant or one around it.
    pub fn constant<'g>(&self, graph: &'g Graph, value: ValueId) -> Option<&'g Tensor>
    where
        'a: 'g,
    {
        match (graph.get(value.node)?, &self.outer) {
            (Vertex::Constant(constant), _) => constant.value.dense(),
            (Vertex::Capture(capture), Some(outer)) => {
                let seen = outer.graph.implicit_operands(outer.holder).nth(capture.operand as usize)??;
                outer.around.constant(outer.graph, seen)
            }
            _ => None,
        }
    }

    /// Where the constant that a value is stands, if nothing but `reader` leads to it: with the last reading of the value it
    /// goes out of the file.
    pub(super) fn sole<'g>(&self, graph: &'g Graph, value: ValueId) -> Option<(&'g Graph, NodeId, Place)>
    where
        'a: 'g,
    {
        match (graph.get(value.node)?, &self.outer) {
            (Vertex::Constant(_), _) => Some((graph, value.node, self.place)),
            (Vertex::Capture(capture), Some(outer)) => {
                let once = outer.captured.get(capture.operand as usize) == Some(&1);
                let seen = outer.graph.implicit_operands(outer.holder).nth(capture.operand as usize)??;
                outer.graph.sole_reader(seen).filter(|_| once)?;
                outer.around.sole(outer.graph, seen)
            }
            _ => None,
        }
    }
}
