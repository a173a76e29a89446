//! How a rule looks at a graph.

use std::cell::RefCell;
use std::collections::BTreeSet;

use onnxpress_ir::{
    Constant, ConstantForm, Dim, Graph, Name, Node, NodeId, Port, Shape, Tensor, Type, Use, ValueId, Vertex,
};
use onnxpress_ops::infer::Undecided;
use onnxpress_ops::node::NodeCx;

use super::effects::Effect;
use super::file_size::{self, Written};
use super::rule::{Found, Miss, Watch};
use super::surroundings::{Place, Surroundings};
use super::sweep;

/// Read access to a graph for `find`, in words that answer with a [`Miss`] where they find something else.
///
/// What is looked at is taken down, so that a root whose look came to nothing is looked at again when that changes, and only
/// then.
pub struct MatchCx<'a> {
    graph: &'a Graph,
    around: &'a Surroundings<'a>,
    watched: &'a RefCell<Vec<Watch>>,
}

impl<'a> MatchCx<'a> {
    pub(super) fn new(graph: &'a Graph, around: &'a Surroundings<'a>, watched: &'a RefCell<Vec<Watch>>) -> Self {
        Self { graph, around, watched }
    }

    /// The graph. What is looked at directly is not taken down: see [`watch`](Self::watch).
    pub fn graph(&self) -> &'a Graph {
        self.graph
    }

    /// What kind of graph it is.
    pub fn place(&self) -> Place {
        self.around.place
    }

    /// Takes down that what is found depends on this vertex.
    pub fn watch(&self, id: NodeId) {
        self.watched.borrow_mut().push(Watch::Vertex(id));
    }

    /// A node, unless it is a call of a function.
    ///
    /// # Errors
    /// [`Miss::NotHere`] if it is none.
    pub fn node(&self, id: NodeId) -> Found<NodeCx<'a>> {
        self.watch(id);
        NodeCx::new(self.graph, id).filter(|cx| self.around.model.called(cx.node).is_none()).ok_or(Miss::NotHere)
    }

    /// A node of this operator of the standard's domain.
    ///
    /// # Errors
    /// [`Miss::NotHere`] if it is none.
    pub fn operator(&self, id: NodeId, op_type: &str) -> Found<NodeCx<'a>> {
        self.node(id).and_then(|cx| if cx.node.is(op_type) { Ok(cx) } else { Err(Miss::NotHere) })
    }

    /// Operand `index` of a node.
    ///
    /// # Errors
    /// [`Miss::NotHere`] if it is left out.
    pub fn operand(&self, id: NodeId, index: usize) -> Found<ValueId> {
        self.watch(id);
        self.graph.operand(id, index).ok_or(Miss::NotHere)
    }

    /// The node whose first output operand `index` is, if it is of this operator of the standard's domain.
    ///
    /// # Errors
    /// [`Miss::NotHere`] if it is none.
    pub fn producer(&self, id: NodeId, index: usize, op_type: &str) -> Found<NodeCx<'a>> {
        let value = self.operand(id, index)?;
        if value.port == 0 { self.operator(value.node, op_type) } else { Err(Miss::NotHere) }
    }

    /// The only reading of a value. Graph outputs and captures are readings too.
    ///
    /// # Errors
    /// A decline that names another reader than `reader`.
    pub fn sole_reader(&self, value: ValueId, reader: NodeId) -> Found<Use> {
        if let Some(only) = self.graph.sole_reader(value) {
            return Ok(only);
        }
        self.watched.borrow_mut().push(Watch::Readers(value));
        let mut others: Vec<Use> = self.graph.readers(value).filter(|reading| reading.node != reader).collect();
        others.sort_unstable();
        let other = others.first().map(|reading| self.graph.describe(reading.node));
        Err(Miss::declined(
            value.node,
            match other {
                Some(other) => format!("it is also read by {other}"),
                None => "it is read twice".to_owned(),
            },
        ))
    }

    /// Whether exactly one reading of a value is there, graph outputs and captures included. Unlike
    /// [`sole_reader`](Self::sole_reader), silent where not.
    pub fn is_read_once(&self, value: ValueId) -> bool {
        self.watched.borrow_mut().push(Watch::Readers(value));
        self.graph.sole_reader(value).is_some()
    }

    /// Whether anything reads a value.
    pub fn is_read(&self, value: ValueId) -> bool {
        self.watched.borrow_mut().push(Watch::Readers(value));
        self.graph.readers(value).next().is_some()
    }

    /// What is known of a value.
    pub fn ty(&self, value: ValueId) -> &'a Type {
        self.watch(value.node);
        self.graph.ty(value)
    }

    /// The elements of a small tensor of whole numbers, where they are known or symbolic.
    pub fn elements(&self, value: ValueId) -> Option<&'a [Dim]> {
        self.watch(value.node);
        self.graph.elements(value)
    }

    /// The tensor that a value is, whoever calls the model: a constant of this graph or of one around it.
    pub fn constant(&self, value: ValueId) -> Option<&'a Tensor> {
        self.watch(value.node);
        self.around.constant(self.graph, value)
    }

    /// The extents of a value, where its rank is known.
    pub fn shape(&self, value: ValueId) -> Option<&'a Shape> {
        self.ty(value).shape()
    }

    /// Whether two values have the same extents for certain.
    pub fn same_shape(&self, one: ValueId, other: ValueId) -> bool {
        match (self.shape(one), self.shape(other)) {
            (Some(one), Some(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(a, b)| a.equals(b) == Some(true))
            }
            _ => false,
        }
    }

    /// The elements of a value, where all are whole numbers that are known ahead.
    pub fn ints(&self, value: ValueId) -> Option<Vec<i64>> {
        match self.elements(value).map(|elements| elements.iter().map(Dim::as_const).collect::<Option<Vec<_>>>()) {
            Some(Some(known)) => Some(known),
            _ => self.constant(value).filter(|tensor| tensor.dtype().is_integer())?.to_i64s().ok(),
        }
    }

    /// The elements of operand `index` of a node, where all are whole numbers that are known ahead; `None` within for an
    /// operand that is left out.
    ///
    /// # Errors
    /// [`Miss::NotHere`] where they are not known.
    pub fn int_operand(&self, id: NodeId, index: usize) -> Found<Option<Vec<i64>>> {
        self.watch(id);
        match self.graph.operand(id, index) {
            None => Ok(None),
            Some(value) => self.ints(value).map(Some).ok_or(Miss::NotHere),
        }
    }

    /// The tensor that operand `index` of a node is.
    ///
    /// # Errors
    /// A decline if it is left out or not constant.
    pub fn required_constant(&self, id: NodeId, index: usize, what: &str) -> Found<&'a Tensor> {
        let value = self.graph.operand(id, index);
        value
            .and_then(|value| self.constant(value))
            .ok_or_else(|| Miss::declined(id, format!("its {what} is not constant")))
    }

    /// Goes on only if a condition holds.
    ///
    /// # Errors
    /// A decline if not.
    pub fn require(&self, holds: bool, site: NodeId, reason: impl Into<String>) -> Found<()> {
        if holds { Ok(()) } else { Err(Miss::declined(site, reason)) }
    }

    /// What asking a node for an attribute came to.
    ///
    /// # Errors
    /// A decline where a function's caller sets it, or it is of another kind.
    pub fn attribute<T>(&self, id: NodeId, asked: Result<T, Undecided>) -> Found<T> {
        asked.map_err(|undecided| match undecided {
            Undecided::Unknown => Miss::declined(id, "the function's caller sets an attribute of it"),
            Undecided::Invalid(reason) => Miss::declined(id, reason),
        })
    }

    /// What a node does beside computing its outputs.
    pub fn effect(&self, node: &Node) -> Effect {
        Effect::of(node, self.around.model)
    }

    /// The graph outputs that give a value out.
    pub fn given_out(&self, value: ValueId) -> Vec<NodeId> {
        let outputs = self.graph.readers(value).map(|reading| reading.node);
        let mut outputs: Vec<_> = outputs.filter(|&id| matches!(self.graph.get(id), Some(Vertex::Output(_)))).collect();
        outputs.sort_unstable();
        outputs
    }

    /// The name by which graph outputs give a value out, if any does.
    ///
    /// # Errors
    /// A decline where there are several, since a value has one name.
    pub fn output_name(&self, value: ValueId) -> Found<Option<Name>> {
        let names: BTreeSet<_> = self.given_out(value).into_iter().map(|id| &self.graph.output(id).name).collect();
        let mut names = names.into_iter().cloned();
        let first = names.next();
        match names.next() {
            Some(second) => Err(Miss::declined(
                value.node,
                format!("outputs `{}` and `{second}` give it out", first.unwrap_or_default()),
            )),
            None => Ok(first),
        }
    }

    /// Whether every reader of `old` can read `new` instead, graph outputs too, which have names that cannot change.
    ///
    /// # Errors
    /// A decline where the file would need a node between `new` and an output.
    pub fn can_take_over(&self, old: ValueId, new: ValueId) -> Found<()> {
        self.watch(old.node);
        self.watch(new.node);
        let Some(name) = self.output_name(old)? else { return Ok(()) };
        let (site, label) = (old.node, self.graph.label(new));
        if let Some(other) = self.output_name(new)?.filter(|other| *other != name) {
            return Err(Miss::declined(site, format!("it gives `{other}` out a second time, as `{name}`")));
        }
        match self.graph.get(new.node) {
            Some(Vertex::Node(_)) => Ok(()),
            Some(Vertex::Constant(constant)) if !matches!(constant.form, ConstantForm::ListedAsInput { .. }) => Ok(()),
            Some(Vertex::Capture(_)) => {
                Err(Miss::declined(site, format!("it gives out `{label}`, a value of the graph around")))
            }
            _ => Err(Miss::declined(site, format!("it gives the input `{label}` out, as `{name}`"))),
        }
    }

    /// Whether a node may depend on constants alone. Producers are looked at before their readers, so of one that was not
    /// [found](Self::note_ahead) to do so it is known.
    pub fn may_be_ahead(&self, id: NodeId) -> bool {
        self.around.notes().is_none_or(|notes| notes.is_ahead(id))
    }

    /// Takes down that a node depends on constants alone, and is not replaced by one.
    pub fn note_ahead(&self, id: NodeId) {
        if let Some(notes) = self.around.notes() {
            notes.note_ahead(id);
        }
    }

    /// A constant that is there already and equal to a short list of whole numbers.
    pub fn list(&self, tensor: &Tensor) -> Option<ValueId> {
        self.around.notes()?.list(self.graph, tensor)
    }

    /// How a constant that a rule adds to this graph is written.
    pub fn written(&self) -> Written {
        self.around.written()
    }

    /// The nodes and constants that go when nothing reads the outputs of `root` any more, `root` first. No more than
    /// `limit` are looked for.
    pub fn goes_with(&self, root: NodeId, limit: usize) -> Vec<NodeId> {
        self.goes_but(root, &[], limit)
    }

    /// The same, for a `root` in whose place something comes that reads the values `kept`.
    pub fn goes_but(&self, root: NodeId, kept: &[ValueId], limit: usize) -> Vec<NodeId> {
        let mut gone = vec![root];
        let mut members = BTreeSet::from([root]);
        let mut at = 0;
        while let Some(&reader) = gone.get(at) {
            at += 1;
            for value in self.graph.reads(reader) {
                let producer = value.node;
                let stays = kept.iter().any(|kept| kept.node == producer);
                if gone.len() >= limit || stays || members.contains(&producer) {
                    continue;
                }
                let ports = 0..self.graph.vertex(producer).ports().len() as u32;
                let mut readers = ports.flat_map(|port| self.graph.readers(producer.port(port)));
                // A shared constant can have very many readers; the first few tell.
                let left = readers.by_ref().take(limit).all(|reading| members.contains(&reading.node));
                if !left || readers.next().is_some() {
                    self.watched.borrow_mut().push(Watch::Readers(value));
                } else if sweep::may_go(self.graph, producer, self.around.model)
                    || matches!(self.graph.get(producer), Some(Vertex::Capture(_)))
                {
                    members.insert(producer);
                    gone.push(producer);
                }
            }
        }
        gone
    }

    /// Those of `values` that are constants and read by `readers` alone, each once.
    pub fn constants_read_by(&self, values: impl Iterator<Item = ValueId>, readers: &[NodeId]) -> Vec<NodeId> {
        let mut constants = Vec::new();
        for value in values.filter(|&value| self.constant(value).is_some()) {
            let beside = self.graph.readers(value).find(|reading| !readers.contains(&reading.node));
            if beside.is_some() {
                self.watched.borrow_mut().push(Watch::Readers(value));
            } else if !constants.contains(&value.node) {
                constants.push(value.node);
            }
        }
        constants
    }

    /// How many bytes of the file go with these vertices, at least.
    pub fn bytes_of(&self, gone: &[NodeId]) -> usize {
        let listed = self.around.model.ir_version < 4;
        let bytes = gone.iter().map(|&id| match self.graph.get(id) {
            Some(Vertex::Node(_)) => file_size::node(self.graph, id),
            Some(Vertex::Constant(_) | Vertex::Capture(_)) => {
                let sole = self.around.sole(self.graph, id.port(0));
                let constant = sole.and_then(|(graph, id, place)| Some((self.constant_at(graph, id)?, place)));
                constant.map_or(0, |(constant, place)| file_size::constant(constant, listed && place == Place::Main))
            }
            _ => 0,
        });
        bytes.sum()
    }

    fn constant_at<'g>(&self, graph: &'g Graph, id: NodeId) -> Option<&'g Constant> {
        match graph.get(id) {
            Some(Vertex::Constant(constant)) => Some(constant),
            _ => None,
        }
    }

    /// Goes on only if the file does not grow on balance: if what is made takes no more than what goes, or not more than
    /// `limit` beyond that, and no more than the run has saved already.
    ///
    /// # Errors
    /// A decline if not.
    pub fn pays(&self, site: NodeId, made: usize, freed: usize, limit: usize) -> Found<()> {
        let grown = made.saturating_sub(freed);
        let pays = grown == 0 || grown <= limit && self.around.model.affords(grown);
        self.require(pays, site, format!("the file would grow by {grown} bytes"))
    }

    /// The port of a value.
    pub fn port(&self, value: ValueId) -> &'a Port {
        self.watch(value.node);
        self.graph.port(value)
    }
}
