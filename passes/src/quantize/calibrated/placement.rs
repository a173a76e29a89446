//! Which values become codes, and which layers compute with them.
//!
//! Linear maps whose weights are constants are what quantization is for; all else follows from them. Another operator joins
//! where it stands between linear maps: all that it computes with comes from them as codes, and what it gives out is wanted as
//! codes again. So no operator is surrounded by conversions for its own sake.
//!
//! A value that a fused operator gives out exists as codes alone, and all of its readers read these. What comes out of an
//! operator in float, or from outside, is quantized only for those readers that compute with codes.

use std::collections::{BTreeMap, BTreeSet};

use onnxpress_ir::{DType, Graph, NodeId, Slot, Use, ValueId};
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::operator::{Linear, LinearLayer};
use onnxpress_ops::table;

use super::target::{How, Target};

/// A linear map that computes with codes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Layer {
    pub(crate) node: NodeId,
    /// How it multiplies; `None` where it multiplies two values of which neither is a constant.
    pub(crate) linear: Option<LinearLayer>,
    /// Operands that are codes at run time.
    pub(crate) operands: Vec<usize>,
}

/// A value that becomes codes.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Coded {
    /// Readings that get floats made of the codes.
    pub(crate) readings: Vec<Use>,
    /// The value whose parameters it shares, itself among others: the first of them.
    pub(crate) class: Option<ValueId>,
}

/// What is quantized in a graph.
#[derive(Debug, Default)]
pub(crate) struct Placement {
    /// Layers, producers first.
    pub(crate) layers: Vec<Layer>,
    /// Values.
    pub(crate) values: BTreeMap<ValueId, Coded>,
    /// Linear maps that stay in float, and why.
    pub(crate) left: Vec<(NodeId, String)>,
}

/// Whether a node may be quantized; otherwise, why not.
pub(crate) type Allowed<'a> = &'a dyn Fn(&Graph, NodeId) -> Result<(), String>;

struct Search<'g> {
    graph: &'g Graph,
    order: Vec<NodeId>,
    layers: BTreeMap<NodeId, Layer>,
    /// Other nodes that could be computed on codes.
    candidates: BTreeMap<NodeId, How>,
    joined: BTreeSet<NodeId>,
    to_codes: BTreeSet<NodeId>,
}

/// Places codes in a graph whose types are known.
pub(crate) fn placement(graph: &Graph, target: Target, allowed: Allowed<'_>) -> Placement {
    let order = graph.topological().unwrap_or_default();
    let mut search = Search {
        graph,
        order,
        layers: BTreeMap::new(),
        candidates: BTreeMap::new(),
        joined: BTreeSet::new(),
        to_codes: BTreeSet::new(),
    };
    let mut placement = Placement::default();
    for &id in &search.order.clone() {
        let Some(cx) = NodeCx::new(graph, id) else { continue };
        let how = std::str::from_utf8(cx.node.op_type.as_bytes()).ok().filter(|_| is_standard(&cx));
        let how = how.and_then(|name| target.how(name));
        match how {
            Some(How::Linear | How::LinearToCodes) => {
                match layer(&cx).and_then(|layer| allowed(graph, id).map(|()| layer)) {
                    Ok(layer) => {
                        if how == Some(How::LinearToCodes) {
                            search.to_codes.insert(id);
                        }
                        search.layers.insert(id, layer);
                    }
                    Err(reason) => placement.left.push((id, reason)),
                }
            }
            Some(how) if allowed(graph, id).is_ok() => {
                search.candidates.insert(id, how);
            }
            Some(_) => {}
            None => {
                if has_weight(&cx) {
                    placement.left.push((id, format!("{target} does not compute it on codes")));
                }
            }
        }
    }
    search.join();
    search.values(&mut placement.values);
    search.share(&mut placement.values);
    placement.layers = search.order.iter().filter_map(|id| search.layers.get(id).cloned()).collect();
    placement
}

fn is_standard(cx: &NodeCx<'_>) -> bool {
    cx.node.canonical_domain().is_empty()
}

/// Whether a constant of the node is the weight of a linear map.
fn has_weight(cx: &NodeCx<'_>) -> bool {
    match table::of(cx.node).map(|sheet| sheet.linear) {
        Some(Linear::Layers(layers)) => layers(cx).iter().any(|layer| cx.constant(layer.weight).is_some()),
        _ => false,
    }
}

/// The node as a layer on codes.
fn layer(cx: &NodeCx<'_>) -> Result<Layer, String> {
    let Some(Linear::Layers(layers)) = table::of(cx.node).map(|sheet| sheet.linear) else {
        return Err("it is no linear map".to_owned());
    };
    let found = layers(cx);
    let float = |operand: usize| match cx.dtype(operand) {
        Some(DType::Float) => Ok(()),
        Some(other) => Err(format!("it computes with {other}, not float")),
        None => Err("the types of its operands are not known".to_owned()),
    };
    let weighted = found.into_iter().find(|layer| cx.constant(layer.weight).is_some());
    match weighted {
        Some(linear) => {
            let weight = cx.constant(linear.weight).filter(|weight| !weight.is_empty() && weight.rank() >= 2);
            let weight = weight.ok_or("its weight is a vector, or empty")?;
            if weight.dtype() != DType::Float {
                return Err(format!("its weight is of {}, not float", weight.dtype()));
            }
            float(linear.input)?;
            if cx.constant(linear.input).is_some() {
                return Err("both of its operands are constants".to_owned());
            }
            Ok(Layer { node: cx.id, operands: vec![linear.input], linear: Some(linear) })
        }
        None if cx.node.is("MatMul") => {
            float(0)?;
            float(1)?;
            Ok(Layer { node: cx.id, linear: None, operands: vec![0, 1] })
        }
        None => Err("its weight is no constant".to_owned()),
    }
}

/// The operands of a node that hold elements to be computed with or handed on.
fn data(graph: &Graph, id: NodeId, how: How) -> Vec<usize> {
    let Some(node) = graph.node(id) else { return Vec::new() };
    let all = || (0..node.operand_count()).filter(|&operand| graph.operand(id, operand).is_some()).collect();
    match how {
        How::Apart => all(),
        How::Shares if node.is("Concat") => all(),
        How::Shares if node.is("Where") => vec![1, 2],
        How::Shares | How::Limit | How::Linear | How::LinearToCodes => vec![0],
    }
}

impl Search<'_> {
    /// The limit that takes over a value before it becomes codes, if it does so for all readers.
    fn limit_of(&self, value: ValueId) -> Option<NodeId> {
        let reading = self.graph.sole_reader(value).filter(|reading| reading.slot == Slot::Operand(0))?;
        (self.candidates.get(&reading.node) == Some(&How::Limit)).then_some(reading.node)
    }

    /// The value as whose codes another one leaves its producer: behind a limit, where one takes it over.
    fn end(&self, value: ValueId) -> ValueId {
        self.limit_of(value).map_or(value, |limit| limit.port(0))
    }

    fn is_float(&self, value: ValueId) -> bool {
        self.graph.ty(value).dtype() == Some(DType::Float)
    }

    /// Decides which nodes join the layers.
    fn join(&mut self) {
        // What comes from layers, on ways that can be computed on codes.
        let mut coded: BTreeSet<ValueId> = BTreeSet::new();
        let mut able: BTreeSet<NodeId> = BTreeSet::new();
        for (&id, layer) in &self.layers {
            // What a layer reads is codes for others too.
            coded.extend(layer.operands.iter().filter_map(|&operand| self.graph.operand(id, operand)));
            coded.insert(id.port(0));
        }
        for &id in &self.order {
            let ports = 0..self.graph.node(id).map_or(0, onnxpress_ir::Node::port_count) as u32;
            if let Some(&how) = self.candidates.get(&id) {
                let operands = data(self.graph, id, how);
                let all = operands.iter().all(|&operand| {
                    self.graph.operand(id, operand).is_some_and(|value| coded.contains(&value) && self.is_float(value))
                });
                if all && !operands.is_empty() {
                    able.insert(id);
                    coded.extend(ports.map(|port| id.port(port)));
                }
            }
        }
        // Of these, what is wanted as codes.
        let mut wanted: BTreeSet<ValueId> = BTreeSet::new();
        for &id in self.order.iter().rev() {
            if let Some(layer) = self.layers.get(&id) {
                wanted.extend(layer.operands.iter().filter_map(|&operand| self.graph.operand(id, operand)));
            } else if let Some(&how) = self.candidates.get(&id).filter(|_| able.contains(&id)) {
                let ports = 0..self.graph.node(id).map_or(0, onnxpress_ir::Node::port_count) as u32;
                if ports.map(|port| id.port(port)).any(|value| wanted.contains(&value)) {
                    self.joined.insert(id);
                    wanted.extend(
                        data(self.graph, id, how).iter().filter_map(|&operand| self.graph.operand(id, operand)),
                    );
                }
            }
        }
    }

    /// Collects the values that become codes, and who reads them so.
    fn values(&self, values: &mut BTreeMap<ValueId, Coded>) {
        for &id in &self.order {
            let operands = match (self.layers.get(&id), self.candidates.get(&id)) {
                (Some(layer), _) => layer.operands.clone(),
                (None, Some(&how)) if self.joined.contains(&id) => data(self.graph, id, how),
                _ => continue,
            };
            for operand in operands {
                let Some(value) = self.graph.operand(id, operand) else { continue };
                if self.limit_of(value) == Some(id) && self.leaves_fused(value) {
                    continue;
                }
                let reading = Use { node: id, slot: Slot::Operand(operand as u32) };
                values.entry(value).or_default().readings.push(reading);
            }
            if self.to_codes.contains(&id) {
                values.entry(self.end(id.port(0))).or_default();
            }
        }
        for (&value, coded) in values.iter_mut() {
            if self.leaves_fused(value) {
                // The graph lists the newest reading first.
                coded.readings = self.graph.readers(value).collect();
                coded.readings.reverse();
            }
        }
        values.retain(|_, coded| !coded.readings.is_empty());
    }

    /// Whether the value comes out of a fused operator, or a limit behind one, so that it exists as codes alone.
    fn leaves_fused(&self, value: ValueId) -> bool {
        let id = value.node;
        if self.layers.contains_key(&id) || self.joined.contains(&id) {
            return true;
        }
        if self.candidates.get(&id) != Some(&How::Limit) {
            return false;
        }
        let before = self.graph.operand(id, 0);
        before.is_some_and(|before| self.limit_of(before) == Some(id) && self.leaves_fused(before))
    }

    /// Finds the values that share parameters.
    fn share(&self, values: &mut BTreeMap<ValueId, Coded>) {
        let mut first: BTreeMap<ValueId, ValueId> = values.keys().map(|&value| (value, value)).collect();
        fn root(first: &BTreeMap<ValueId, ValueId>, mut value: ValueId) -> ValueId {
            while let Some(&next) = first.get(&value).filter(|next| **next != value) {
                value = next;
            }
            value
        }
        for &id in &self.order {
            if self.candidates.get(&id) != Some(&How::Shares) || !self.joined.contains(&id) {
                continue;
            }
            let ports = self.graph.node(id).map_or(0, onnxpress_ir::Node::port_count) as u32;
            // What a limit behind it takes away the codes of its operands would have to hold.
            let limited = (0..ports).any(|port| self.limit_of(id.port(port)).is_some());
            if limited {
                continue;
            }
            let given = (0..ports).map(|port| id.port(port));
            let read =
                data(self.graph, id, How::Shares).into_iter().filter_map(|operand| self.graph.operand(id, operand));
            let all: Vec<ValueId> = read.chain(given).filter(|value| values.contains_key(value)).collect();
            for pair in all.windows(2) {
                let (a, b) = (root(&first, pair[0]), root(&first, pair[1]));
                first.insert(a.max(b), a.min(b));
            }
        }
        for (&value, coded) in values.iter_mut() {
            coded.class = Some(root(&first, value));
        }
    }
}
