//! Making what stands inside of nodes read values of the graphs around them.
//!
//! A value of a graph around is captured level by level: the node that holds the subgraph reads it as an implicit operand,
//! and inside there is a vertex for it, once.

use onnxpress_ir::{Edit, EditError, Graph, NodeId, Port, ValueId};
use onnxpress_ops::infer::Standard;

/// The way from a graph to one inside of it: the node that holds the next graph, and which of the node's subgraphs that is.
pub(crate) type Path = Vec<(NodeId, usize)>;

/// The graph at the end of a path, counted as a change of all around it.
pub(crate) fn graph_at<'g>(graph: &'g mut Graph, path: &[(NodeId, usize)]) -> &'g mut Graph {
    path.iter().fold(graph, |graph, &(holder, index)| {
        graph.subgraphs_mut(holder).nth(index).expect("the path was found in this graph")
    })
}

/// Makes the readers of each output of vertex `gone`, at the end of `path`, read the same output of `kept`, a vertex of this
/// graph, and removes `gone`. Outputs that are left out have no readers.
///
/// # Errors
/// Where the two are of different types; then nothing is removed.
pub(crate) fn read_instead(
    graph: &mut Graph,
    path: &[(NodeId, usize)],
    gone: NodeId,
    kept: NodeId,
    pass: &'static str,
) -> Result<(), EditError> {
    let ports = graph.vertex(kept).ports().iter();
    let ports =
        (0u32..).zip(ports).filter(|(_, port)| !port.omitted).map(|(port, _)| (gone.port(port), kept.port(port)));
    let pairs: Vec<_> = ports.collect();
    replace(graph, path, gone, pairs, pass)
}

fn replace(
    graph: &mut Graph,
    path: &[(NodeId, usize)],
    gone: NodeId,
    mut pairs: Vec<(ValueId, ValueId)>,
    pass: &'static str,
) -> Result<(), EditError> {
    let Some((&(holder, index), rest)) = path.split_first() else {
        let mut edit = Edit::new(graph, &Standard, pass, &[]);
        for (old, new) in pairs {
            edit.replace(old, new)?;
        }
        edit.remove(gone);
        edit.commit();
        return Ok(());
    };
    let inside = rest
        .iter()
        .try_fold(graph.node(holder).and_then(|node| node.subgraphs().nth(index)), |graph, &(holder, index)| {
            graph.map(|graph| graph.node(holder).and_then(|node| node.subgraphs().nth(index)))
        });
    if let Some(Some(inside)) = inside {
        // What nothing reads needs no way to it.
        pairs.retain(|&(old, _)| inside.readers(old).next().is_some());
    }
    for (_, kept) in &mut pairs {
        let (operand, port) = implicit_operand(graph, holder, *kept);
        let Some(body) = graph.subgraphs_mut(holder).nth(index) else { return Ok(()) };
        let captured = body.captures().find(|(_, capture)| capture.operand == operand).map(|(id, _)| id.port(0));
        *kept = captured.unwrap_or_else(|| body.add_capture(operand, port));
    }
    match graph.subgraphs_mut(holder).nth(index) {
        Some(body) => replace(body, rest, gone, pairs, pass),
        None => Ok(()),
    }
}

/// The number of a value among the implicit operands of a node, and what a capture of it knows.
fn implicit_operand(graph: &mut Graph, holder: NodeId, value: ValueId) -> (u32, Port) {
    let port = Port { omitted: false, ..graph.port(value).clone() };
    let place = graph.implicit_operands(holder).position(|operand| operand == Some(value));
    (place.map_or_else(|| graph.add_implicit_operand(holder, value), |place| place as u32), port)
}
