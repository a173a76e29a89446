//! Sizes for what a model leaves open: what the user says, what the model's own operators demand, and else small numbers.

use std::collections::BTreeMap;

use onnxpress_ir::{Dim, Graph, NodeId, Shape, Symbol};
use onnxpress_ops::axes::{Axis, Relation, Segment};
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::table;

/// A size for every symbol in the shapes of the inputs.
pub(super) type Sizes = BTreeMap<Symbol, i64>;

/// What is tried for extents that nothing is known of, in this order. Most models do with 1; nets that shrink their input
/// step by step want one of the larger ones.
const TRIED: &[i64] = &[1, 2, 3, 4, 8, 16, 32, 64, 128, 224, 256, 512];

/// Assignments of sizes worth trying, the most likely first. `graph` is annotated, every open extent of its inputs a symbol.
pub(super) fn candidates(graph: &Graph, fixed: &Sizes) -> Vec<Sizes> {
    let mut free: Vec<(Symbol, bool)> = Vec::new();
    for &id in graph.inputs() {
        let Some(shape) = graph.ty(id.port(0)).shape() else { continue };
        for (axis, dim) in shape.iter().enumerate() {
            for symbol in dim.symbols() {
                match free.iter_mut().find(|(known, _)| *known == symbol) {
                    Some((_, outer)) => *outer &= axis == 0,
                    None => free.push((symbol, axis == 0)),
                }
            }
        }
    }
    free.retain(|(symbol, _)| !fixed.contains_key(symbol));
    if free.is_empty() {
        return vec![fixed.clone()];
    }
    let demanded = demands(graph, fixed);
    let with = |known: &Sizes, size: i64, outer_size: i64| {
        let mut sizes = known.clone();
        for (symbol, outer) in &free {
            sizes.entry(symbol.clone()).or_insert(if *outer { outer_size } else { size });
        }
        sizes
    };
    let mut solved = fixed.clone();
    solved.extend(demanded);
    // An outermost axis is a batch nearly always, and one of its elements is enough; a last attempt takes it for a length.
    let mut candidates: Vec<Sizes> = TRIED.iter().map(|&size| with(&solved, size, 1)).collect();
    candidates.push(with(fixed, 1, 1));
    candidates.extend([2, 4, 16, 64].map(|size| with(&solved, size, size)));
    let mut distinct: Vec<Sizes> = Vec::new();
    for sizes in candidates {
        if !distinct.contains(&sizes) {
            distinct.push(sizes);
        }
    }
    distinct
}

/// Sizes without which some operator has operands that do not fit together: an extent that must be equal to a constant one.
fn demands(graph: &Graph, fixed: &Sizes) -> Sizes {
    let mut demanded = fixed.clone();
    let Ok(order) = graph.topological() else { return Sizes::new() };
    for id in order {
        for (open, constant) in equations(graph, id) {
            let open = open.substitute(|symbol| demanded.get(symbol).map(|&size| Dim::from(size)));
            let symbols = open.symbols();
            let (Some(symbol), 1) = (symbols.first(), symbols.len()) else { continue };
            if let Some(size) = open.solve_for(symbol, constant).filter(|&size| size > 0) {
                demanded.insert(symbol.clone(), size);
            }
        }
    }
    demanded
}

/// Open extents of a node's operands, and the constants that they must be equal to.
fn equations(graph: &Graph, id: NodeId) -> Vec<(Dim, i64)> {
    let Some(cx) = NodeCx::new(graph, id) else { return Vec::new() };
    let mut found = Vec::new();
    if cx.node.is("Reshape")
        && let (Some(shape), Some(target)) = (cx.shape(0), cx.ints(1))
        && target.iter().all(|&extent| extent > 0)
        && let Some(elements) = target.iter().try_fold(1i64, |product, &extent| product.checked_mul(extent))
    {
        found.push((shape.size(), elements));
    }
    let relation = table::of(cx.node).and_then(|operator| operator.axes.relation(&cx).ok());
    if let Some(relation) = relation {
        found.extend(equal_letters(&relation, &cx));
    }
    found
}

fn equal_letters(relation: &Relation, cx: &NodeCx<'_>) -> Vec<(Dim, i64)> {
    let mut extents: BTreeMap<&str, Vec<&Dim>> = BTreeMap::new();
    for (index, axes) in relation.operands.iter().enumerate() {
        let (Some(axes), Some(shape)) = (axes, cx.shape(index)) else { continue };
        for (letter, dim) in lettered(axes, shape) {
            extents.entry(letter).or_default().push(dim);
        }
    }
    let mut found = Vec::new();
    for dims in extents.into_values() {
        // An extent of 1 may broadcast, so it demands nothing.
        let Some(constant) = dims.iter().find_map(|dim| dim.as_const().filter(|&extent| extent > 1)) else { continue };
        found.extend(dims.into_iter().filter(|dim| dim.as_const().is_none()).map(|dim| (dim.clone(), constant)));
    }
    found
}

/// The axes that stand for one letter and no more, with their extents.
fn lettered<'a>(axes: &'a [Axis], shape: &'a Shape) -> Vec<(&'a str, &'a Dim)> {
    let many = axes.iter().position(|axis| matches!(axis, Axis::Many(_)));
    let place = |at: usize| match many {
        Some(many) if at > many => (shape.rank() + at).checked_sub(axes.len()),
        Some(many) if at == many => None,
        Some(_) => Some(at),
        None => Some(at).filter(|_| axes.len() == shape.rank()),
    };
    let one = |(at, axis): (usize, &'a Axis)| match axis {
        Axis::Segments(segments) => match segments.as_slice() {
            [Segment::Product(factors)] => match factors.as_slice() {
                [factor] => Some((factor.letter.as_str(), shape.get(place(at)?)?)),
                _ => None,
            },
            _ => None,
        },
        Axis::Many(_) => None,
    };
    axes.iter().enumerate().filter_map(one).collect()
}
