//! Codes of which `Cast` and arithmetic make floats, as `form=cast` of `quantize-weights` writes them.
//!
//! Constant codes behind a `Cast`, and then operators whose other operands are constants, up to the multiplication by the scales: all of
//! that is one constant of floats. Where rows are looked up in the codes first, the table becomes floats, and the lookup is in those.

use std::collections::HashMap;

use onnxpress_ir::{Edit, EditError, Graph, NodeId, Port, Tensor, ValueId, Vertex};
use onnxpress_ops::evaluate::Value;
use onnxpress_ops::infer::Standard;
use onnxpress_ops::interpret::{self, Limits};
use onnxpress_ops::node::NodeCx;

use super::{Dequantize, Taken};
use crate::pass::{Pass, PassError};

/// Makes constants of floats of all such codes of a graph; answers how many.
pub(super) fn all(graph: &mut Graph, taken: &Taken) -> Result<usize, PassError> {
    let casts: Vec<NodeId> = graph.nodes().filter(|(_, node)| node.is("Cast")).map(|(id, _)| id).collect();
    let mut count = 0;
    for cast in casts {
        if let Some(decoding) = Decoding::of(graph, cast) {
            decoding.replace(graph, taken).map_err(|error| PassError::Broken(error.to_string()))?;
            count += 1;
        }
    }
    Ok(count)
}

/// What makes floats of codes.
struct Decoding {
    /// The codes, a constant.
    codes: ValueId,
    /// The lookup in them.
    lookup: Option<NodeId>,
    /// The last of the nodes, which gives the floats.
    last: NodeId,
    /// The floats of all codes.
    floats: Tensor,
}

impl Decoding {
    /// That which begins with a `Cast`; `None` where that decodes no codes.
    fn of(graph: &Graph, cast: NodeId) -> Option<Self> {
        let source = graph.operand(cast, 0)?;
        let lookup = NodeCx::new(graph, source.node).filter(|cx| cx.node.is("Gather"));
        let codes = match &lookup {
            Some(cx) if cx.attrs().int_or("axis", 0).ok()? == 0 => cx.operand(0)?,
            Some(_) => return None,
            None => source,
        };
        let table = graph.constant(codes)?;
        if !table.dtype().is_integer() || table.dtype().bits() > 16 || table.is_empty() {
            return None;
        }
        if lookup.is_some() && (table.rank() < 2 || graph.sole_reader(source).is_none()) {
            return None;
        }
        let chain = chain(graph, cast, lookup.is_some())?;
        let mut values = HashMap::from([(source, Value::Tensor(table.clone()))]);
        for &id in &chain {
            let value = |value: ValueId| {
                let constant = || graph.constant(value).cloned().map(Value::Tensor);
                values.get(&value).cloned().or_else(constant)
            };
            let operands: Vec<Option<Value>> = graph.operands(id).map(|operand| value(operand?)).collect();
            let made = interpret::node(graph, id, &operands, Limits::default()).ok()?;
            values.insert(id.port(0), made.into_iter().next()?);
        }
        let last = *chain.last()?;
        let Some(Value::Tensor(floats)) = values.remove(&last.port(0)) else { return None };
        let is_whole = lookup.is_none() || floats.dims() == table.dims();
        let lookup = lookup.map(|cx| cx.id);
        (floats.dtype().is_float() && is_whole).then_some(Self { codes, lookup, last, floats })
    }

    fn replace(self, graph: &mut Graph, taken: &Taken) -> Result<(), EditError> {
        let name = taken.restored(graph, self.codes);
        let lookup = self.lookup.and_then(|id| Some((graph.node(id)?.clone(), graph.operand(id, 1)?)));
        let mut edit = Edit::new(graph, &Standard, Dequantize::NAME, &[self.last]);
        let floats = match lookup {
            Some((node, indices)) => {
                let table = edit.add_constant(name, self.floats);
                edit.add(node.with_ports([Port::default()]), &[table, indices])?
            }
            None => edit.add_constant(None, self.floats),
        };
        edit.replace(self.last.port(0), floats)?;
        edit.remove(self.last);
        edit.commit();
        Ok(())
    }
}

/// The nodes from a `Cast` to the last multiplication by constants, and a `Reshape` behind that which brings blocks together; `None` where
/// nothing is multiplied. Behind a lookup, what else is read has one axis at most, so that it lies along the last of any rows.
fn chain(graph: &Graph, cast: NodeId, looked_up: bool) -> Option<Vec<NodeId>> {
    let (mut nodes, mut end, mut value) = (vec![cast], 0, cast.port(0));
    while let Some(reading) = graph.sole_reader(value) {
        let Some(Vertex::Node(node)) = graph.get(reading.node) else { break };
        let Some(name) = ["Sub", "Mul", "Reshape", "Gather"].into_iter().find(|name| node.is(name)) else { break };
        let others: Option<Vec<&Tensor>> = graph
            .operands(reading.node)
            .flatten()
            .filter(|&other| other != value)
            .map(|one| graph.constant(one))
            .collect();
        let arithmetic = ["Sub", "Mul"].contains(&name);
        let fits = others.is_some_and(|others| {
            others.len() == 1 && (!looked_up || arithmetic && others.iter().all(|other| other.rank() <= 1))
        });
        // Once it is floats, only bringing blocks together belongs to it.
        if !fits || end > 0 && name != "Reshape" {
            break;
        }
        nodes.push(reading.node);
        value = reading.node.port(0);
        if name == "Mul" || end > 0 {
            end = nodes.len();
        }
    }
    nodes.truncate(end);
    (end > 0).then_some(nodes)
}
