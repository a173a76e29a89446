//! What comes of making spans one, as text: leaves by letter, sums and products as they are written.

use super::settle::Made;
use super::*;

fn text(settled: &Settled, span: SpanId) -> String {
    match settled.made(span) {
        Made::Leaf(number) => {
            let leaf = &settled.leaves()[number];
            let pin = if leaf.pinned.is_some() { "!" } else { "" };
            format!("{}{pin}:{}", char::from(b'a' + number as u8), leaf.extent)
        }
        Made::Sum(parts) => {
            format!("[{}]", parts.iter().map(|&part| text(settled, part)).collect::<Vec<_>>().join(" + "))
        }
        Made::Product(parts) => {
            format!("({})", parts.iter().map(|&part| text(settled, part)).collect::<Vec<_>>().join(" "))
        }
    }
}

fn settled(forest: Forest, spans: &[SpanId]) -> String {
    let settled = forest.settle(spans.iter().copied());
    spans.iter().map(|&span| text(&settled, span)).collect::<Vec<_>>().join(", ")
}

fn leaves<const N: usize>(forest: &mut Forest, extents: [u64; N]) -> [SpanId; N] {
    extents.map(|extent| forest.leaf(Some(extent)))
}

#[test]
fn equal_spans_are_one() {
    let mut forest = Forest::default();
    let [a, b, c] = leaves(&mut forest, [8, 8, 8]);
    forest.unify(a, b);
    forest.unify(b, c);
    assert_eq!(settled(forest, &[a, b, c]), "a:8, a:8, a:8");
}

#[test]
fn segments_meet_where_either_side_has_a_seam() {
    let mut forest = Forest::default();
    let [a, b, c, d, whole] = leaves(&mut forest, [3, 5, 4, 4, 8]);
    let (one, two) = (forest.sum(vec![a, b]), forest.sum(vec![c, d]));
    forest.unify(one, whole);
    forest.unify(whole, two);
    assert_eq!(settled(forest, &[a, b, c, d, whole]), "a:3, [b:1 + c:4], [a:3 + b:1], c:4, [a:3 + b:1 + c:4]");
}

#[test]
fn heads_split_a_hidden_size_and_come_together_again() {
    let mut forest = Forest::default();
    let [hidden, heads, size, merged] = leaves(&mut forest, [768, 12, 64, 768]);
    let product = forest.product(vec![heads, size]);
    forest.unify(hidden, product);
    forest.unify(merged, product);
    assert_eq!(settled(forest, &[hidden, heads, size, merged]), "(a:12 b:64), a:12, b:64, (a:12 b:64)");
}

#[test]
fn factors_are_refined_from_either_end() {
    let mut forest = Forest::default();
    let [a, b, c, d] = leaves(&mut forest, [50, 2, 2, 50]);
    let (one, two) = (forest.product(vec![a, b]), forest.product(vec![c, d]));
    forest.unify(one, two);
    // 100 indices as (50 2) and as (2 50): as (2 25 2) they are both.
    assert_eq!(settled(forest, &[one, two]), "((a:2 b:25) c:2), ((a:2 b:25) c:2)");
}

#[test]
fn three_projections_in_one_are_a_sum_of_products() {
    let mut forest = Forest::default();
    let [whole, q, k, v, heads, size] = leaves(&mut forest, [24, 8, 8, 8, 2, 4]);
    let parts = forest.sum(vec![q, k, v]);
    forest.unify(whole, parts);
    let split = forest.product(vec![heads, size]);
    for projection in [q, k, v] {
        forest.unify(projection, split);
    }
    assert_eq!(settled(forest, &[whole]), "[(a:2 b:4) + (a:2 b:4) + (a:2 b:4)]");
}

#[test]
fn groups_over_a_concatenation_share_their_indices() {
    let mut forest = Forest::default();
    let [a, b, groups, each] = leaves(&mut forest, [4, 4, 2, 4]);
    let (both, grouped) = (forest.sum(vec![a, b]), forest.product(vec![groups, each]));
    forest.unify(both, grouped);
    // To remove an index of `each` is to remove it from both; to remove a group is to remove all of one.
    assert_eq!(settled(forest, &[a, b, each]), "(a:1 b:4), (c:1 b:4), b:4");
}

#[test]
fn factors_that_never_meet_are_pinned() {
    let mut forest = Forest::default();
    let [a, b, c, d] = leaves(&mut forest, [4, 3, 3, 4]);
    let (one, two) = (forest.product(vec![a, b]), forest.product(vec![c, d]));
    forest.unify(one, two);
    assert_eq!(settled(forest, &[one, c, d]), "(a!:4 b!:3), c!:3, d!:4");
}

#[test]
fn pins_reach_what_a_span_is_taken_apart_into() {
    let mut forest = Forest::default();
    let [a, b, c] = leaves(&mut forest, [8, 3, 5]);
    forest.pin(a, "an output");
    let sum = forest.sum(vec![b, c]);
    forest.unify(sum, a);
    assert_eq!(settled(forest, &[a, b]), "[a!:3 + b!:5], a!:3");
}

#[test]
fn a_span_that_is_a_factor_of_itself_keeps_the_other_factor() {
    let mut forest = Forest::default();
    let [a, one] = leaves(&mut forest, [4, 1]);
    let product = forest.product(vec![one, a]);
    forest.unify(a, product);
    assert_eq!(settled(forest, &[a, one]), "a:4, b!:1");
}

#[test]
fn open_extents_are_matched_where_nothing_else_is_left() {
    let mut forest = Forest::default();
    let [n, m] = [forest.leaf(None), forest.leaf(None)];
    let [a, b] = leaves(&mut forest, [4, 4]);
    let (one, two) = (forest.product(vec![n, a]), forest.product(vec![m, b]));
    forest.unify(one, two);
    assert_eq!(settled(forest, &[one, two]), "(a!:0 b:4), (a!:0 b:4)");
}

#[test]
fn what_is_left_of_a_span_follows_from_its_leaves() {
    let mut forest = Forest::default();
    let [a, h, d] = leaves(&mut forest, [3, 2, 3]);
    let heads = forest.product(vec![h, d]);
    let all = forest.sum(vec![a, heads]);
    let settled = forest.settle([all]);
    let left = [vec![0, 2], vec![1], vec![0, 1]];
    assert_eq!(settled.kept(all, &left), [0, 2, 6, 7]);
    assert_eq!(settled.count(all, &[2, 1, 2]), 4);
}
