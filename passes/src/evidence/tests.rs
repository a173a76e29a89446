#![allow(clippy::unwrap_used, clippy::panic)]

use onnxpress_ir::Model;
use onnxpress_ops::operator::Linear;
use onnxpress_ops::{node::NodeCx, table};

use super::testing::{self, AtHand, value};
use super::*;

const NET: &str = r#"
    <ir_version: 8, opset_import: ["" : 17]>
    net (float[N,2,4,4] x) => (float[N,3] y)
    <float[4,1,3,3] w = normal(seed=1, std=1.0), float[4] b = normal(seed=2, std=1.0), float[4,3] v = normal(seed=3, std=1.0)> {
        c = Conv<group = 2, pads = [1, 1, 1, 1]>(x, w, b)
        r = Relu(c)
        p = GlobalAveragePool(r)
        f = Flatten(p)
        y = MatMul(f, v)
    }"#;

fn samples(count: usize) -> AtHand {
    AtHand::new(count, &[2, 4, 4])
}

fn typed() -> Model {
    testing::typed(NET)
}

fn all(model: &Model) -> Wants {
    let mut wants = Wants::default();
    wants.value(value(model, "r")).channels(value(model, "c"), 1);
    for (id, node) in model.graph.nodes() {
        if let Some(Linear::Layers(layers)) = table::of(node).map(|operator| operator.linear) {
            layers(&NodeCx::new(&model.graph, id).unwrap()).iter().for_each(|layer| {
                wants.layer(id, layer);
            });
        }
    }
    wants
}

#[test]
fn batches_make_no_difference() {
    let model = typed();
    let wants = all(&model);
    let together = collect(&model, &wants, &samples(7)).unwrap();
    let by_two = collect(&model, &wants, &AtHand { most: 2, ..samples(7) }).unwrap();
    let r = &together.values[&value(&model, "r")];
    assert_eq!((r.count, r.min), (7 * 4 * 16, 0.0));
    for (value, statistics) in &together.values {
        assert_eq!(statistics.histogram, by_two.values[value].histogram);
    }
    for (layer, moments) in &together.layers {
        for (one, other) in moments.groups.iter().zip(&by_two.layers[layer].groups) {
            assert!((one.second() - other.second()).norm_max() < 1e-5);
            assert_eq!(one.count(), other.count());
        }
    }
}

#[test]
fn moments_foretell_the_output() {
    // E|y|^2 of a layer without bias is tr(W E[x xT] WT): measured on one side, foretold on the other.
    let model = typed();
    let mut wants = all(&model);
    wants.value(value(&model, "y"));
    let evidence = collect(&model, &wants, &samples(9)).unwrap();
    let (_, moments) = evidence.layers.iter().find(|(_, moments)| moments.groups.len() == 1).unwrap();
    let weight = model.graph.constant(value(&model, "v")).unwrap().to_f64s().unwrap();
    let h = moments.groups[0].second();
    let mut foretold = 0.0;
    for output in 0..3 {
        for (i, j) in (0..4).flat_map(|i| (0..4).map(move |j| (i, j))) {
            foretold += weight[i * 3 + output] * h[(i, j)] * weight[j * 3 + output];
        }
    }
    let measured = evidence.values[&value(&model, "y")].mean_square() * 3.0;
    assert!((foretold - measured).abs() < 1e-5 * measured, "{foretold} {measured}");

    let (_, grouped) = evidence.layers.iter().find(|(_, moments)| moments.groups.len() == 2).unwrap();
    assert_eq!((grouped.groups[0].columns(), grouped.groups[0].count()), (9, 9 * 16));
}

#[test]
fn channels_are_those_of_the_whole() {
    let model = typed();
    let evidence = collect(&model, &all(&model), &samples(5)).unwrap();
    let statistics = &evidence.values[&value(&model, "c")];
    let channels = statistics.channels.as_ref().unwrap();
    assert_eq!(channels.len(), 4);
    assert_eq!(channels.max.iter().copied().fold(f32::MIN, f32::max), statistics.max);
    let mean: f64 = channels.means().iter().sum::<f64>() / 4.0;
    assert!((mean - statistics.mean()).abs() < 1e-9);
}

#[test]
fn a_part_goes_on_from_values_seen_before() {
    let model = typed();
    let (r, y) = (value(&model, "r"), value(&model, "y"));
    let source = samples(3);
    let whole = probe(&model, &[r, y]).unwrap();
    let rest = part(&model, &[r], &[y]).unwrap();
    assert_eq!(rest.graph.nodes().count(), 3, "the convolution is not part of it");
    source
        .feed(&whole, 2, &mut |feed| {
            let seen = source.load(&whole)?.run(feed.inputs)?;
            let again = source.load(&rest)?.run(&[Some(seen[0].clone())])?;
            assert_eq!(again[0], seen[1]);
            Ok(())
        })
        .unwrap();
    assert!(part(&model, &[], &[y]).is_err(), "an input is missing");
}

#[test]
fn masks_set_no_range() {
    let mut statistics = Statistics::new(None);
    statistics.add(&[1.0, -2.0, f32::MIN, f32::NEG_INFINITY, f32::NAN], &[5]);
    assert_eq!((statistics.count, statistics.masked, statistics.min, statistics.max), (2, 3, -2.0, 1.0));
}

#[test]
fn rows_that_are_several_count_as_several() {
    let (mut long, mut short) = (SecondMoment::new(4), SecondMoment::new(2));
    long.add(&[1.0, 2.0, 3.0, 5.0, -1.0, 0.5, 2.0, -3.0]);
    short.add(&[1.0, 2.0, 3.0, 5.0, -1.0, 0.5, 2.0, -3.0]);
    assert_eq!(long.taken_apart(&[vec![0, 2], vec![1, 3]]), short);
}
