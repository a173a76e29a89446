//! Cutting: removes indices from a graph, with every slice of a constant, attribute and shape constant that goes with them.
//!
//! What is to change is worked out first, on the graph as it is; then the changes are made, and the types inferred anew. Every
//! value must come out with the extents that the coupling says. Where one does not, because a shape is computed in a way that
//! does not follow, the caller is told which value, and can leave its axes whole.

pub(crate) mod slices;
mod stated;

pub(crate) use stated::changes as node_changes;

use std::collections::BTreeMap;

use indexmap::IndexMap;
use onnxpress_ir::analysis::channels::{Coupling, SpanId};
use onnxpress_ir::{
    Attr, Dim, Edit, Graph, Model, Name, NodeId, Shape, Tensor, TensorType, Type, Use, ValueId, Vertex,
};
use onnxpress_ops::infer::{self, Standard};

use crate::pass::PassError;
use crate::rewrite::{ModelFacts, sweep};
use slices::{Kept, slice};

/// The kept indices of every leaf, ascending.
pub(crate) type Left = Vec<Vec<usize>>;

/// Which indices of every axis of a tensor are left; `None` where no axis loses any.
pub(crate) fn kept_of(coupling: &Coupling, axes: &[SpanId], left: &Left) -> Option<Kept> {
    let counts: Vec<usize> = left.iter().map(Vec::len).collect();
    let one = |&axis: &SpanId| {
        let extent = coupling.spans.extent(axis).filter(|_| coupling.spans.is_free(axis))?;
        (coupling.spans.count(axis, &counts) != extent).then(|| coupling.spans.kept(axis, left))
    };
    let kept: Kept = axes.iter().map(one).collect();
    kept.iter().any(Option::is_some).then_some(kept)
}

/// What a constant's readers want of it: readings by cut, in the order of readers.
pub(crate) type Cuts = Vec<(Option<Kept>, Vec<Use>)>;

/// What becomes of each constant that any reader wants cut.
pub(crate) fn cuts(graph: &Graph, coupling: &Coupling, left: &Left) -> IndexMap<NodeId, Cuts> {
    let mut all = IndexMap::new();
    for (id, _) in graph.constants() {
        let mut readings: Vec<Use> = graph.readers(id.port(0)).collect();
        readings.sort_by_key(|reading| (graph.place(reading.node), *reading));
        let mut cuts: Cuts = Vec::new();
        for reading in readings {
            let axes = coupling.read(graph, reading).unwrap_or_default();
            let kept = kept_of(coupling, axes, left);
            match cuts.iter_mut().find(|(cut, _)| *cut == kept) {
                Some((_, same)) => same.push(reading),
                None => cuts.push((kept, vec![reading])),
            }
        }
        // Who reads no element takes what the others take.
        let (asked, mut cuts): (Cuts, Cuts) =
            cuts.into_iter().partition(|(_, readings)| readings.iter().all(|&reading| coupling.is_only_asked(reading)));
        let asked = asked.into_iter().flat_map(|(_, readings)| readings);
        match cuts.first_mut() {
            Some((_, readings)) => readings.extend(asked),
            None => continue,
        }
        // The reader that wants it whole keeps it.
        cuts.sort_by_key(|(cut, _)| cut.is_some());
        if cuts.iter().any(|(cut, _)| cut.is_some()) {
            all.insert(id, cuts);
        }
    }
    all
}

/// One change of a node, beside its constants.
pub(crate) enum Change {
    /// An attribute has another value.
    Attribute(NodeId, Attr),
    /// An attribute goes.
    WithoutAttribute(NodeId, &'static str),
    /// An operand is a constant from now on.
    Operand(NodeId, usize, Tensor),
}

/// A value that did not come out as it should, with the reason.
pub(crate) struct Mismatch {
    /// The node that gives it.
    pub(crate) node: NodeId,
    /// What was found.
    pub(crate) reason: String,
}

/// Removes all indices that are not in `left`.
///
/// # Errors
/// The first value that did not come out with the extents that it should have; then the graph is not to be used.
pub(crate) fn cut(model: &mut Model, coupling: &Coupling, left: &Left) -> Result<Result<(), Mismatch>, PassError> {
    let graph = &model.graph;
    let cuts = cuts(graph, coupling, left);
    let mut changes = Vec::new();
    for (id, _) in graph.nodes() {
        if let Err(reason) = stated::changes(graph, id, coupling, left, &mut changes) {
            return Ok(Err(Mismatch { node: id, reason }));
        }
    }
    let expected = expected(graph, coupling, left);
    let failed = |error: &dyn std::fmt::Display| PassError::Broken(error.to_string());
    let mut orphans = Vec::new();
    let mut made: Vec<(Option<ValueId>, Tensor, ValueId)> = Vec::new();
    let mut edit = Edit::new(&mut model.graph, &Standard, "prune-channels", &[]);
    for (id, cuts) in cuts {
        let Some(tensor) = edit.graph().constant(id.port(0)).cloned() else { continue };
        let name = edit.graph().port(id.port(0)).name.clone();
        for (index, (kept, readings)) in cuts.into_iter().enumerate() {
            let Some(kept) = kept else { continue };
            let part = slice(&tensor, &kept).map_err(|error| failed(&error))?;
            if index == 0 {
                edit.set_constant(id, part);
                continue;
            }
            let copy = edit.add_constant(name.as_ref().map(|name| Name::from(format!("{name}_{index}"))), part);
            readings.into_iter().for_each(|reading| edit.connect(reading, Some(copy)));
        }
    }
    for change in changes {
        match change {
            Change::Attribute(node, attr) => edit.set_attr(node, attr),
            Change::WithoutAttribute(node, name) => edit.remove_attr(node, name),
            Change::Operand(node, operand, tensor) => {
                let before = edit.graph().operand(node, operand);
                let same = made.iter().find(|(of, other, _)| *of == before && other.same_as(&tensor));
                let value = match same {
                    Some((_, _, value)) => *value,
                    None => {
                        let name = before.and_then(|value| edit.graph().port(value).name.clone());
                        let name = name.map(|name| Name::from(format!("{name}_pruned")));
                        let value = edit.add_constant(name, tensor.clone());
                        made.push((before, tensor, value));
                        value
                    }
                };
                edit.set_operand(node, operand, Some(value));
                orphans.extend(before.map(|value| value.node));
            }
        }
    }
    edit.commit();
    let facts = ModelFacts::of(model);
    sweep(&mut model.graph, &orphans, &facts);
    forget(&mut model.graph, &expected);
    let found = infer::model(model);
    if let Some(invalid) = found.invalid.first() {
        let named = |(id, _): &(NodeId, &onnxpress_ir::Node)| model.graph.describe(*id) == invalid.node;
        let node = model.graph.nodes().find(named).map(|(id, _)| id);
        let node = node.ok_or_else(|| PassError::Broken(invalid.to_string()))?;
        return Ok(Err(Mismatch { node, reason: invalid.reason.clone() }));
    }
    Ok(compare(model, &expected))
}

/// The extents of a value, as far as they are constant.
type Extents = Vec<Option<i64>>;

/// The extents that values must come out with, where any changes; `None` for extents that are open.
fn expected(graph: &Graph, coupling: &Coupling, left: &Left) -> IndexMap<ValueId, Extents> {
    let counts: Vec<usize> = left.iter().map(Vec::len).collect();
    let mut all = IndexMap::new();
    for (value, axes) in coupling.values() {
        if !matches!(graph.get(value.node), Some(Vertex::Node(_))) {
            continue;
        }
        let extent = |&axis: &SpanId| -> Option<i64> {
            let extent = coupling.spans.extent(axis)?;
            let now = if coupling.spans.is_free(axis) { coupling.spans.count(axis, &counts) } else { extent };
            i64::try_from(now).ok()
        };
        all.insert(value, axes.iter().map(extent).collect());
    }
    all
}

/// Forgets what was known of values, but for what will be so again: types are merged with what was known before.
fn forget(graph: &mut Graph, expected: &IndexMap<ValueId, Extents>) {
    for (&value, extents) in expected {
        if !graph.contains(value.node) {
            continue;
        }
        let Some(TensorType { dtype, shape: Some(shape) }) = graph.ty(value).as_tensor().cloned() else { continue };
        let open = |(dim, extent): (&Dim, &Option<i64>)| match (dim.as_const(), extent) {
            (Some(before), Some(now)) if before != *now => Dim::unknown(),
            _ => dim.clone(),
        };
        let shape: Shape = shape.iter().zip(extents).map(open).collect();
        graph.set_fact(value, Type::tensor(dtype, shape), None);
    }
    let others: Vec<ValueId> = graph
        .nodes()
        .flat_map(|(id, node)| (0..node.port_count() as u32).map(move |port| id.port(port)))
        .filter(|value| !expected.contains_key(value))
        .collect();
    for value in others {
        graph.set_fact(value, graph.ty(value).clone(), None);
    }
    // What the file declares of values in between.
    let mut declared = std::mem::take(&mut graph.declared);
    for entry in &mut declared {
        let Some(value) = entry.value.filter(|value| graph.contains(value.node)) else { continue };
        if let Vertex::Constant(constant) = graph.vertex(value.node) {
            entry.ty = constant.port.ty.clone();
        }
        let Some(extents) = expected.get(&value) else { continue };
        if let Some(TensorType { dtype, shape: Some(shape) }) = entry.ty.as_tensor().cloned()
            && shape.len() == extents.len()
        {
            let now = |(dim, extent): (&Dim, &Option<i64>)| match (dim.as_const(), extent) {
                (Some(_), Some(now)) => Dim::from(*now),
                _ => dim.clone(),
            };
            entry.ty = Type::tensor(dtype, shape.iter().zip(extents).map(now).collect::<Shape>());
        }
    }
    graph.declared = declared;
}

fn compare(model: &Model, expected: &IndexMap<ValueId, Extents>) -> Result<(), Mismatch> {
    let graph = &model.graph;
    // In the order of flow, so that the first that is wrong is told, not what follows from it.
    let mut by_node: BTreeMap<NodeId, Vec<(ValueId, &Extents)>> = BTreeMap::new();
    for (value, extents) in expected {
        by_node.entry(value.node).or_default().push((*value, extents));
    }
    for id in graph.topological().unwrap_or_default() {
        for (value, extents) in by_node.get(&id).into_iter().flatten() {
            let Some(shape) = graph.ty(*value).shape() else { continue };
            let wrong =
                shape.iter().zip(extents.iter()).find(|(dim, extent)| extent.is_some() && dim.as_const() != **extent);
            if let Some((found, Some(extent))) = wrong {
                let reason = format!("its shape does not follow: found an extent of {found}, expected {extent}");
                return Err(Mismatch { node: id, reason });
            }
        }
    }
    Ok(())
}
