//! Values inside that student and teacher both have.
//!
//! What a few hundred samples say about ten scores is soon learned by heart; about the values at the end of a block they say hundreds
//! of times as much. Values are the same in both models where they bear the same name. A compressor may have left a student fewer
//! channels of one: it is narrower along one axis then (`channels`).

use std::collections::{HashMap, HashSet};

use onnxpress_ir::{DType, Graph, NodeId, ValueId};

/// A value that both have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Landmark {
    pub(super) name: String,
    /// The value of the student.
    pub(super) ours: ValueId,
    /// That of the teacher.
    pub(super) theirs: ValueId,
    /// The axis along which the student's is narrower.
    pub(super) narrower: Option<usize>,
}

/// What nodes up to one have to do with parameters.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
struct Learned {
    /// How many matrices and kernels they read.
    weights: usize,
    /// How many constants of floats in all.
    constants: usize,
}

/// The values at the ends of blocks that both models have, in the order of computation: those that everything goes through, one for each
/// few weights. Where a model has none, its sums of equals, and where it has none of these either, what layers give.
pub(super) fn ends(student: &Graph, teacher: &Graph) -> Vec<Landmark> {
    let order = student.topological().unwrap_or_default();
    let active = active(student, &order);
    let common = common(student, teacher, &order, &active);
    let ends = cuts(student, &order, &active, &common);
    if !ends.is_empty() {
        return ends;
    }
    let sums: Vec<Landmark> = common.iter().filter(|it| is_sum(student, it.ours, &active)).cloned().collect();
    if !sums.is_empty() {
        return sums;
    }
    let reads_weights = |id: NodeId| student.reads(id).any(|value| is_weight(student, value));
    common.into_iter().filter(|it| reads_weights(it.ours.node)).collect()
}

/// Whether a constant could be trained.
fn is_learned(graph: &Graph, value: ValueId) -> bool {
    let floats = graph.constant(value).filter(|tensor| tensor.dtype().is_float());
    floats.is_some_and(|tensor| tensor.dims().iter().product::<usize>() > 1)
}

fn is_weight(graph: &Graph, value: ValueId) -> bool {
    is_learned(graph, value) && graph.constant(value).is_some_and(|tensor| tensor.rank() > 1)
}

/// Nodes whose results depend on both an input and a weight: neither masks nor weights that are computed.
fn active(graph: &Graph, order: &[NodeId]) -> HashSet<NodeId> {
    let inputs: HashSet<NodeId> = graph.inputs().iter().copied().collect();
    let (mut from_inputs, mut from_weights) = (inputs, HashSet::new());
    for &id in order.iter().filter(|&&id| graph.node(id).is_some()) {
        if graph.reads(id).any(|value| from_inputs.contains(&value.node)) {
            from_inputs.insert(id);
        }
        if graph.reads(id).any(|value| from_weights.contains(&value.node) || is_weight(graph, value)) {
            from_weights.insert(id);
        }
    }
    from_inputs.intersection(&from_weights).copied().filter(|&id| graph.node(id).is_some()).collect()
}

/// The axis along which one is narrower, of types that are alike but for one axis at most.
fn narrower(ours: &onnxpress_ir::Type, theirs: &onnxpress_ir::Type) -> Option<Option<usize>> {
    let float = ours.dtype() == Some(DType::Float) && theirs.dtype() == Some(DType::Float);
    let (a, b) = (ours.shape()?, theirs.shape()?);
    if !float || a.len() != b.len() || a.len() < 2 {
        return None;
    }
    let mut axes = Vec::new();
    for (axis, (ours, theirs)) in a.iter().zip(b.iter()).enumerate() {
        match (ours.as_const(), theirs.as_const()) {
            (Some(ours), Some(theirs)) if ours == theirs => {}
            (Some(ours), Some(theirs)) if ours < theirs && axis > 0 => axes.push(axis),
            (Some(_), Some(_)) => return None,
            _ => {}
        }
    }
    match axes.as_slice() {
        [] => Some(None),
        [one] => Some(Some(*one)),
        _ => None,
    }
}

/// Active values of the student that the teacher has too, but for answers, which are compared anyhow.
fn common(student: &Graph, teacher: &Graph, order: &[NodeId], active: &HashSet<NodeId>) -> Vec<Landmark> {
    let mut named: HashMap<Vec<u8>, ValueId> = HashMap::new();
    for (id, node) in teacher.nodes() {
        for (port, own) in node.ports().iter().enumerate() {
            if let Some(name) = &own.name {
                named.insert(name.as_bytes().to_vec(), id.port(port as u32));
            }
        }
    }
    let mut found = Vec::new();
    for &id in order.iter().filter(|id| active.contains(id)) {
        let Some(node) = student.node(id) else { continue };
        for (port, own) in node.ports().iter().enumerate() {
            let ours = id.port(port as u32);
            let Some(name) = &own.name else { continue };
            let Some(&theirs) = named.get(name.as_bytes()) else { continue };
            let given_out = student.readers(ours).any(|reader| student.outputs().contains(&reader.node));
            if let (false, Some(narrower)) = (given_out, narrower(student.ty(ours), teacher.ty(theirs))) {
                found.push(Landmark { name: name.to_str().into_owned(), ours, theirs, narrower });
            }
        }
    }
    found
}

/// Values that all active ones before them go through, one for each number of weights that lie before.
fn cuts(graph: &Graph, order: &[NodeId], active: &HashSet<NodeId>, common: &[Landmark]) -> Vec<Landmark> {
    let place: HashMap<NodeId, usize> = order.iter().enumerate().map(|(place, &id)| (id, place)).collect();
    let by_value: HashMap<ValueId, &Landmark> = common.iter().map(|it| (it.ours, it)).collect();
    // How far what was computed so far is read.
    let (mut furthest, mut before) = (0, Learned::default());
    let mut read: HashSet<ValueId> = HashSet::new();
    let mut found: Vec<(Learned, &Landmark)> = Vec::new();
    for (at, &id) in order.iter().enumerate().filter(|(_, id)| active.contains(id)) {
        for value in graph.reads(id).filter(|&value| is_learned(graph, value)) {
            if read.insert(value) {
                before.constants += 1;
                before.weights += usize::from(is_weight(graph, value));
            }
        }
        // Another way begins here, which goes past all before it.
        if !graph.reads(id).any(|value| active.contains(&value.node)) {
            found.clear();
        }
        let ports = graph.node(id).map_or(0, |node| node.port_count() as u32);
        let used: Vec<ValueId> =
            (0..ports).map(|port| id.port(port)).filter(|&v| graph.readers(v).next().is_some()).collect();
        if let ([value], true) = (used.as_slice(), furthest <= at)
            && let Some(landmark) = by_value.get(value)
        {
            match found.last_mut() {
                // What normalizes or is added belongs to the weights before it, what bends does not.
                Some((last, old)) if last.weights == before.weights => {
                    if last.constants < before.constants {
                        (*last, *old) = (before, landmark);
                    }
                }
                _ => found.push((before, landmark)),
            }
        }
        let readers = used.iter().flat_map(|&value| graph.readers(value));
        let places = readers.map(|reader| place.get(&reader.node).copied().unwrap_or(usize::MAX));
        furthest = furthest.max(places.max().unwrap_or(0));
    }
    // Behind the last weights are the outputs.
    found.into_iter().filter(|(learned, _)| learned.weights < before.weights).map(|(_, it)| it.clone()).collect()
}

/// Whether a value is the sum of two others of its own shape.
fn is_sum(graph: &Graph, value: ValueId, active: &HashSet<NodeId>) -> bool {
    let alike = |operand: Option<ValueId>| {
        operand.is_some_and(|it| active.contains(&it.node) && graph.ty(it).shape() == graph.ty(value).shape())
    };
    graph.node(value.node).is_some_and(|node| node.is("Add")) && graph.operands(value.node).all(alike)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing::typed;

    fn listed(student: &str, teacher: &str) -> String {
        let ends = ends(&typed(student).graph, &typed(teacher).graph);
        let all = ends.iter().map(|it| match it.narrower {
            Some(axis) => format!("{} narrower along {axis}", it.name),
            None => it.name.clone(),
        });
        all.collect::<Vec<_>>().join(", ")
    }

    const RESIDUAL: &str = r#"
        <ir_version: 8, opset_import: ["" : 17]>
        net (float[N,4] x, float[N,1] mask) => (float[N,3] y)
        <float[4,6] a = normal(seed=1), float[6] b = iota, float[6,WIDTH] c = normal(seed=2), float[WIDTH,6] d = normal(seed=3),
         float[6,3] e = normal(seed=4)> {
            one = MatMul(x, a)  two = Add(one, b)  three = Relu(two)
            four = MatMul(three, c)  five = Relu(four)  six = MatMul(five, d)
            seven = Add(six, three)  eight = Mul(seven, mask)  y = MatMul(eight, e)
        }"#;

    #[test]
    fn blocks_end_where_everything_goes_through() {
        let (narrow, wide) = (RESIDUAL.replace("WIDTH", "2"), RESIDUAL.replace("WIDTH", "5"));
        assert_eq!(listed(&narrow, &wide), "two, seven", "what lies beside a sum is no end, nor is a mask in the way");
    }

    #[test]
    fn a_chain_has_an_end_behind_each_layer() {
        let chain = r#"
            <ir_version: 8, opset_import: ["" : 17]>
            net (float[N,4] x) => (float[N,3] y)
            <float[4,WIDTH] a = normal(seed=1), float[WIDTH] b = iota, float[WIDTH,3] c = normal(seed=2)> {
                one = MatMul(x, a)  two = Add(one, b)  three = Relu(two)  y = MatMul(three, c)
            }"#;
        assert_eq!(listed(&chain.replace("WIDTH", "3"), &chain.replace("WIDTH", "7")), "two narrower along 1");
        assert_eq!(listed(&chain.replace("WIDTH", "9"), &chain.replace("WIDTH", "7")), "", "a student that is wider");
        let renamed = chain.replace("WIDTH", "7").replace("one", "a1").replace("two", "a2").replace("three", "a3");
        assert_eq!(listed(&chain.replace("WIDTH", "7"), &renamed), "");
    }

    #[test]
    fn without_a_way_that_all_go_sums_are_landmarks() {
        let twins = r#"
            <ir_version: 8, opset_import: ["" : 17]>
            net (float[N,4] x) => (float[N,4] y, float[N,4] z)
            <float[4,4] a = normal(seed=1), float[4,4] b = normal(seed=2), float[4,4] c = normal(seed=3)> {
                one = MatMul(x, a)  two = MatMul(x, b)  three = Add(one, two)  y = MatMul(three, c)  z = Relu(one)
            }"#;
        assert_eq!(listed(twins, twins), "three");
        let apart = twins
            .replace("three = Add(one, two)", "three = Concat<axis = 0>(one, two)")
            .replace("float[N,4] y", "float[M,4] y");
        assert_eq!(listed(&apart, &apart), "one, two");
    }
}
