//! Which constants of a model are weights, and along which axis their output channels run.
//!
//! A constant is a weight where a linear map multiplies by it, as the data sheets say, where rows are looked up in it, or where
//! it is handed to a subgraph or a function that does one of these.

use std::cell::RefCell;
use std::collections::HashMap;

use onnxpress_ir::{Callables, Graph, NodeId, Slot, Tensor, Use, ValueId, Vertex};
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::operator::{Linear, LinearLayer};
use onnxpress_ops::table;

use crate::reading_across::Path;

/// What a constant is read as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Role {
    /// The weight of a linear map.
    Layer {
        /// The axis of output channels; `None` where there is no such axis.
        channels: Option<usize>,
        /// The axes that are summed over, outermost first.
        summed: Vec<usize>,
    },
    /// A table in which rows are looked up along an axis.
    Lookup {
        /// The axis.
        axis: usize,
    },
}

/// A constant that is read as a weight.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Site {
    /// The way from the graph that was searched to the one with the constant.
    pub(crate) path: Path,
    /// The constant.
    pub(crate) constant: NodeId,
    /// What it is read as first, lookups last.
    pub(crate) role: Role,
    /// Whether nothing but lookups along the first axis read it, in the constant's own graph.
    pub(crate) only_looked_up: bool,
    /// Whether a graph output gives it out, so that it has to stay what it is.
    pub(crate) given_out: bool,
    /// How messages call the first of the nodes that read it as a weight.
    pub(crate) reader: String,
    /// Its name and the names of these nodes, for patterns.
    pub(crate) names: Vec<String>,
}

/// The axis of a layer's weight that scales go along: of the axes that index outputs the innermost.
pub(crate) fn channel_axis(layer: &LinearLayer) -> Option<usize> {
    layer.output_axes.last().copied()
}

/// The weights of a graph and of all inside of it, and the constants of at least two axes that are none, in the graph's order.
/// Both are floats with all elements stored.
pub(crate) fn sites(graph: &Graph, functions: &Callables<'_>) -> (Vec<Site>, Vec<(Path, NodeId)>) {
    let mut search = Search { functions, inputs: RefCell::default(), sites: Vec::new(), others: Vec::new() };
    search.graph(graph, &Vec::new());
    (search.sites, search.others)
}

/// Readings of one value.
#[derive(Debug, Clone, Default)]
struct Readings {
    roles: Vec<Role>,
    names: Vec<String>,
    reader: Option<String>,
    others: bool,
    /// Read through a capture or a call.
    from_afar: bool,
    given_out: bool,
}

struct Search<'m> {
    functions: &'m Callables<'m>,
    /// What each input of each function is read as.
    inputs: RefCell<HashMap<(usize, usize), Option<Role>>>,
    sites: Vec<Site>,
    others: Vec<(Path, NodeId)>,
}

impl Search<'_> {
    fn graph(&mut self, graph: &Graph, path: &Path) {
        for (constant, vertex) in graph.constants() {
            let Some(tensor) = vertex.value.dense().filter(|tensor| is_of_floats(tensor)) else { continue };
            if tensor.rank() < 2 {
                if is_given_extents(graph, constant) {
                    self.others.push((path.clone(), constant));
                }
                continue;
            }
            let mut found = Readings::default();
            self.readings(graph, constant.port(0), &mut found, tensor.rank());
            let mut roles = found.roles.iter();
            let layer = found.roles.iter().find(|role| matches!(role, Role::Layer { .. }));
            let Some(role) = layer.or_else(|| roles.next()).cloned() else {
                self.others.push((path.clone(), constant));
                continue;
            };
            let looked_up = found.roles.iter().all(|role| *role == Role::Lookup { axis: 0 });
            let mut names = vec![graph.label(constant.port(0))];
            names.append(&mut found.names);
            self.sites.push(Site {
                path: path.clone(),
                constant,
                role,
                only_looked_up: looked_up && !found.others && !found.from_afar && !found.given_out,
                given_out: found.given_out,
                reader: found.reader.unwrap_or_default(),
                names,
            });
        }
        for (holder, node) in graph.nodes() {
            for (index, body) in node.subgraphs().enumerate() {
                let mut inner = path.clone();
                inner.push((holder, index));
                self.graph(body, &inner);
            }
        }
    }

    fn readings(&self, graph: &Graph, value: ValueId, found: &mut Readings, rank: usize) {
        // The newest reading comes first in the list of readers.
        let readers: Vec<Use> = graph.readers(value).collect();
        for reading in readers.into_iter().rev() {
            self.reading(graph, reading, found, rank);
        }
    }

    fn reading(&self, graph: &Graph, reading: Use, found: &mut Readings, rank: usize) {
        let Some(node) = graph.node(reading.node) else {
            found.given_out |= matches!(graph.get(reading.node), Some(Vertex::Output(_)));
            return;
        };
        match reading.slot {
            Slot::Capture(number) => {
                found.from_afar = true;
                for body in node.subgraphs() {
                    let inside = body.captures().filter(|(_, capture)| capture.operand == number);
                    inside.for_each(|(id, _)| self.readings(body, id.port(0), found, rank));
                }
            }
            Slot::Operand(operand) => {
                let operand = operand as usize;
                let role = match self.functions.called_by(node) {
                    Some(place) => {
                        found.from_afar = true;
                        self.of_input(place, operand, rank)
                    }
                    None => NodeCx::new(graph, reading.node).and_then(|cx| of_operand(&cx, operand, rank)),
                };
                let Some(role) = role else {
                    found.others = true;
                    return;
                };
                found.reader.get_or_insert_with(|| graph.describe(reading.node));
                found.names.extend(node.name.as_ref().map(ToString::to_string));
                found.names.extend(node.ports().iter().filter_map(|port| Some(port.name.as_ref()?.to_string())));
                found.roles.push(role);
            }
        }
    }

    /// What a function reads an input as: the first thing, where it does several.
    fn of_input(&self, place: usize, input: usize, rank: usize) -> Option<Role> {
        if let Some(known) = self.inputs.borrow().get(&(place, input)) {
            return known.clone();
        }
        // A function that calls itself, which is refused elsewhere, finds this.
        self.inputs.borrow_mut().insert((place, input), None);
        let body = &self.functions.functions()[place].body;
        let mut found = Readings::default();
        if let Some(id) = body.inputs().get(input) {
            self.readings(body, id.port(0), &mut found, rank);
        }
        let role = found.roles.into_iter().next().filter(|_| !found.given_out);
        self.inputs.borrow_mut().insert((place, input), role.clone());
        role
    }
}

/// Whether scales and codes can take less than the elements.
fn is_of_floats(tensor: &Tensor) -> bool {
    tensor.dtype().is_float() && tensor.dtype().bits() >= 16 && !tensor.is_empty()
}

/// Whether a vector becomes a matrix behind it.
fn is_given_extents(graph: &Graph, vector: NodeId) -> bool {
    let nodes = || graph.readers(vector.port(0)).filter_map(|reading| graph.node(reading.node));
    nodes().any(|node| ["Reshape", "Unsqueeze"].iter().any(|name| node.is(name)))
}

/// What a node reads an operand as.
fn of_operand(cx: &NodeCx<'_>, operand: usize, rank: usize) -> Option<Role> {
    if cx.node.is("Gather") {
        let axis = cx.attrs().int_or("axis", 0).ok()?;
        let axis = onnxpress_ir::shape::normalize_axis(axis, rank)?;
        return (operand == 0).then_some(Role::Lookup { axis });
    }
    // The state's weight multiplies what no operand holds, so the data sheet does not list it.
    let recurrent = ["LSTM", "GRU", "RNN"].iter().any(|name| cx.node.is(name));
    if recurrent && operand == 2 {
        return Some(Role::Layer { channels: Some(1), summed: vec![2] });
    }
    // In a function ranks are not known; that of the weight is all it takes.
    if cx.node.is("MatMul") {
        let (rows, columns) = (rank - 2, rank - 1);
        let (channels, summed) = if operand == 1 { (columns, rows) } else { (rows, columns) };
        return Some(Role::Layer { channels: Some(channels), summed: vec![summed] });
    }
    let Linear::Layers(layers) = table::of(cx.node)?.linear else { return None };
    let layer = layers(cx).into_iter().find(|layer| layer.weight == operand)?;
    let within = |axis: &usize| *axis < rank;
    Some(Role::Layer {
        channels: channel_axis(&layer).filter(within),
        summed: layer.input_axes.iter().copied().filter(within).collect(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use onnxpress_ir::Model;

    use super::*;

    fn found(text: &str) -> String {
        let mut model = Model::from_text(text).unwrap();
        onnxpress_ops::infer::model(&mut model);
        let functions = Callables::of(&model.functions);
        let (sites, others) = sites(&model.graph, &functions);
        let line = |site: &Site| format!("{}: {:?}, by {}", site.names[0], site.role, site.reader);
        let lines: Vec<_> = sites.iter().map(line).chain([format!("others: {}", others.len())]).collect();
        lines.join("\n")
    }

    #[test]
    fn weights_are_what_layers_and_lookups_read() {
        insta::assert_snapshot!(found("
            g (float[N,3,8,8] x, int64[N] at) => (y, e, m, l, s)
            <float[4,3,1,1] w = iota, float[10,6] table = iota, float[8,5] right = iota, float[5,6] left = iota, float[1,8,8] wl = iota, float[1,8,2] rl = iota, float[4,1] add = iota>
            {
              c = Conv(x, w)
              y = Transpose <perm = [1, 0, 2, 3]> (c)
              e = Gather(table, at)
              m0 = MatMul(c, right)
              m = MatMul(left, e)
              h = ReduceMax(x)
              q = Reshape(x, h)
              l, l2, l3 = LSTM <hidden_size = 2> (q, wl, rl)
              s = Add(e, add)
            }"), @r"
        w: Layer { channels: Some(0), summed: [1, 2, 3] }, by Conv `c`
        table: Lookup { axis: 0 }, by Gather `e`
        right: Layer { channels: Some(1), summed: [0] }, by MatMul `m0`
        left: Layer { channels: Some(0), summed: [1] }, by MatMul `m`
        wl: Layer { channels: Some(1), summed: [2] }, by LSTM `l`
        rl: Layer { channels: Some(1), summed: [2] }, by LSTM `l`
        others: 1
        ");
    }

    #[test]
    fn what_subgraphs_and_functions_multiply_by_is_a_weight_too() {
        insta::assert_snapshot!(found(r#"
            <ir_version: 10, opset_import: ["" : 21, "own" : 1]>
            g (float[N,4] x, bool c) => (y, z, v) <float[4,5] outer = iota, float[4,6] given = iota, float[4,7] both = iota> {
              y = If(c) <
                then_branch = a () => (t) <float[4,5] inner = iota> { u = MatMul(x, inner) t = MatMul(x, outer) },
                else_branch = b () => (e) { e = Neg(x) }
              >
              z = own.layer(x, given)
              v = MatMul(x, both)
              k = Neg(both)
            }
            <domain: "own", opset_import: ["" : 21]>
            layer (x, w) => (y) { y = MatMul(x, w) }
        "#), @r"
        outer: Layer { channels: Some(1), summed: [0] }, by MatMul `t`
        given: Layer { channels: Some(1), summed: [0] }, by layer `z`
        both: Layer { channels: Some(1), summed: [0] }, by MatMul `v`
        inner: Layer { channels: Some(1), summed: [0] }, by MatMul `u`
        others: 0
        ");
    }
}
