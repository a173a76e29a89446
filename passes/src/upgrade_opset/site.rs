//! What a rule sees of its node, and how it changes it.

use std::collections::HashMap;

use onnxpress_ir::{Attr, AttrValue, Carried, ConstantForm, DType, Edit, Name, Node, NodeId, Tensor, ValueId};
use onnxpress_ops::infer::Undecided;
use onnxpress_ops::node::{Attrs, NodeCx};

use super::format::constant_attribute;
use crate::rewrite::file_size::Written;

/// Why a step cannot be made: an operator as it is used here.
pub(super) type Refusal = String;

/// Constants that rules have made in a graph: many nodes ask for the same axes.
#[derive(Debug, Default)]
pub(super) struct Constants(HashMap<(DType, Vec<usize>, Vec<u8>), ValueId>);

/// A node at the version before, in a graph that imports the version after.
pub(super) struct Site<'a> {
    pub(super) edit: Edit<'a>,
    pub(super) id: NodeId,
    /// The version that the rule brings the node to.
    pub(super) version: i64,
    /// The version where the walk ends.
    pub(super) to: i64,
    pub(super) written: Written,
    pub(super) constants: &'a mut Constants,
}

impl Site<'_> {
    /// The node among its operands.
    pub(super) fn cx(&self) -> Result<NodeCx<'_>, Refusal> {
        NodeCx::new(self.edit.graph(), self.id).ok_or_else(|| "it is gone".to_owned())
    }

    /// The attributes, with the defaults of the version before.
    pub(super) fn attrs(&self) -> Result<Attrs<'_>, Refusal> {
        Ok(Attrs::of(self.cx()?.node, self.version - 1))
    }

    /// A whole number, by default that of the version before.
    pub(super) fn int(&self, name: &str) -> Result<Option<i64>, Refusal> {
        self.attrs()?.int(name).map_err(|why| undecided(name, why))
    }

    /// A number, by default that of the version before.
    pub(super) fn float(&self, name: &str) -> Result<Option<f32>, Refusal> {
        self.attrs()?.float(name).map_err(|why| undecided(name, why))
    }

    /// A string, by default that of the version before.
    pub(super) fn string(&self, name: &str) -> Result<Option<String>, Refusal> {
        Ok(self.attrs()?.string(name).map_err(|why| undecided(name, why))?.map(std::borrow::Cow::into_owned))
    }

    /// The element type of operand `index`.
    pub(super) fn dtype(&self, index: usize) -> Result<DType, Refusal> {
        self.cx()?.dtype(index).ok_or_else(|| format!("the element type of operand {index} is not known"))
    }

    /// The values of a node's outputs that are read, by port.
    pub(super) fn is_read(&self, port: u32) -> bool {
        let graph = self.edit.graph();
        let exists = graph.node(self.id).is_some_and(|node| (port as usize) < node.port_count());
        exists && graph.readers(self.id.port(port)).next().is_some()
    }

    pub(super) fn set_attr(&mut self, attr: Attr) {
        self.edit.set_attr(self.id, attr);
    }

    pub(super) fn remove_attr(&mut self, name: &str) {
        self.edit.remove_attr(self.id, name);
    }

    /// Takes an attribute off the node as the node gives it.
    pub(super) fn take_attr(&mut self, name: &str) -> Option<AttrValue> {
        let value = self.edit.graph().node(self.id)?.attr(name)?.clone();
        self.edit.remove_attr(self.id, name);
        Some(value)
    }

    pub(super) fn set_operand(&mut self, index: usize, value: Option<ValueId>) {
        self.edit.set_operand(self.id, index, value);
    }

    /// Makes an attribute of numbers an operand: a tensor of rank 1, or a scalar where the attribute is one number. Nothing
    /// happens where the node does not give the attribute.
    pub(super) fn attr_into_operand(&mut self, name: &str, slot: usize) -> Result<(), Refusal> {
        let operand = match self.take_attr(name) {
            None => return Ok(()),
            Some(AttrValue::Ints(values)) => self.constant(name, Tensor::vector(values)),
            Some(AttrValue::Int(value)) => self.constant(name, Tensor::scalar(value)),
            Some(AttrValue::Floats(values)) => self.constant(name, Tensor::vector(values)),
            Some(value @ AttrValue::Reference { .. }) if self.version >= 12 => {
                let attr = constant_attribute(value).ok_or_else(|| format!("`{name}` is no number"))?;
                self.add(Node::new("Constant", 1).with(attr), &[])?
            }
            Some(_) => return Err(format!("`{name}` is an attribute of the function")),
        };
        self.set_operand(slot, Some(operand));
        Ok(())
    }

    /// A constant, called by the node's first output and what it is for; equal ones are made once a graph.
    pub(super) fn constant(&mut self, role: &str, tensor: Tensor) -> ValueId {
        let key = tensor.bytes().map(|bytes| (tensor.dtype(), tensor.dims().to_vec(), bytes.to_vec()));
        if let Some(&known) = key.as_ref().and_then(|key| self.constants.0.get(key)) {
            return known;
        }
        let node = self.edit.graph().node(self.id);
        let output = node.and_then(|node| node.ports().iter().find_map(|port| port.name.clone()));
        let value = self.edit.add_constant(output.map(|output| output.suffixed(&format!("_{role}"))), tensor);
        if self.written == Written::Node {
            self.edit.set_form(value.node, ConstantForm::Node { name: None, carried: Carried::none() });
        }
        if let Some(key) = key {
            self.constants.0.insert(key, value);
        }
        value
    }

    /// One number of an element type.
    pub(super) fn scalar(&mut self, role: &str, dtype: DType, value: f64) -> Result<ValueId, Refusal> {
        let tensor = Tensor::from_f64s(dtype, &[], &[value]).map_err(|error| error.to_string())?;
        Ok(self.constant(role, tensor))
    }

    /// Adds a node with one output.
    pub(super) fn add(&mut self, node: Node, operands: &[ValueId]) -> Result<ValueId, Refusal> {
        self.edit.add(node, operands).map_err(|error| error.to_string())
    }

    /// The node's operator, name and attributes, for a node that takes its place.
    pub(super) fn copy(&self, outputs: usize) -> Result<Node, Refusal> {
        let node = self.cx()?.node;
        let mut copy = Node::new(node.op_type.clone(), outputs).named(node.name.clone());
        copy.domain = node.domain.clone();
        copy.attrs = node.attrs.clone();
        Ok(copy)
    }

    /// Adds a node in the place of this one, with whatever operands; answers its id.
    pub(super) fn add_node(&mut self, node: Node, operands: &[Option<ValueId>]) -> Result<NodeId, Refusal> {
        self.edit.add_node(node, operands).map_err(|error| error.to_string())
    }

    /// Makes readers of output `port` read `new`.
    pub(super) fn replace(&mut self, port: u32, new: ValueId) -> Result<(), Refusal> {
        self.edit.replace(self.id.port(port), new).map_err(|error| error.to_string())
    }

    /// Removes the node, whose outputs others have taken over.
    pub(super) fn remove(&mut self) {
        self.edit.remove(self.id);
    }

    /// Gives the node another operator of the standard.
    pub(super) fn rename(&mut self, operator: &'static str) {
        let domain = self.edit.graph().node(self.id).map_or_else(Name::empty, |node| node.domain.clone());
        self.edit.set_operator(self.id, domain, operator.into());
    }

    /// Infers the node again, as the new version has it.
    pub(super) fn done(&mut self) -> Result<(), Refusal> {
        self.edit.refresh(self.id).map_err(|error| error.to_string())
    }
}

fn undecided(name: &str, why: Undecided) -> Refusal {
    match why {
        Undecided::Unknown => format!("`{name}` is an attribute of the function"),
        Undecided::Invalid(reason) => reason,
    }
}
