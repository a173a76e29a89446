#![allow(clippy::unwrap_used, clippy::panic)]

use faer::Mat;
use onnxpress_ir::{Model, NodeId};
use onnxpress_ops::operator::Linear;
use onnxpress_ops::{LinearLayer, node::NodeCx, table};

use super::held::Loss;
use super::*;
use crate::evidence::testing::{AtHand, typed, value};

const NET: &str = r#"
    <ir_version: 8, opset_import: ["" : 17]>
    net (float[N,2,4,4] x) => (float[N,3] y)
    <float[4,2,3,3] w = normal(seed=1, std=0.5), float[4] b = normal(seed=2, std=1.0), float[4,4,3,3] u = normal(seed=4, std=0.5),
     float[4,3] v = normal(seed=3, std=1.0), float[3] c = normal(seed=5, std=1.0)> {
        h = Conv<pads = [1, 1, 1, 1]>(x, w, b)
        r = Relu(h)
        g = Conv<pads = [1, 1, 1, 1]>(r, u)
        s = Add(g, r)
        p = GlobalAveragePool(s)
        f = Flatten(p)
        m = MatMul(f, v)
        y = Add(m, c)
    }"#;

fn layers(model: &Model) -> Vec<(NodeId, LinearLayer)> {
    let order = model.graph.topological().unwrap();
    let nodes = order.into_iter().filter_map(|id| Some((id, model.graph.node(id)?)));
    let layers = nodes.flat_map(|(id, node)| match table::of(node).unwrap().linear {
        Linear::Layers(of) => {
            of(&NodeCx::new(&model.graph, id).unwrap()).into_iter().map(|layer| (id, layer)).collect()
        }
        Linear::None(_) => Vec::new(),
    });
    layers.collect()
}

fn all(columns: usize) -> Vec<usize> {
    (0..columns).collect()
}

#[test]
fn untouched_models_are_refitted_to_what_they_are() {
    let model = typed(NET);
    let source = AtHand::new(40, &[2, 4, 4]);
    let mut lockstep = Lockstep::new(&model, &source, 7).unwrap();
    for (node, layer) in layers(&model) {
        lockstep.advance(node).unwrap();
        let seen = lockstep.see(node, &layer).unwrap();
        let tensor = model.graph.constant(model.graph.operand(node, layer.weight).unwrap()).unwrap();
        let weight = LayerWeight::of(&layer, tensor.dims()).unwrap();
        let at_hand = &weight.matrices(tensor).unwrap()[0];
        let fitted = refit(&seen.rows[0], &seen.results[0], &all(weight.columns()), at_hand, true, 1e-9).unwrap();
        assert!((&fitted.weight - at_hand).norm_max() < 1e-2, "{}", model.graph.describe(node));
        let columns = all(weight.columns());
        let loss = Loss::of(&seen.rows[0], &seen.results[0], &columns).at(&fitted.weight, &fitted.bias);
        assert!(loss < 1e-4 * seen.results[0].energy());
    }
    assert_eq!(lockstep.samples(), 40);
}

#[test]
fn a_later_layer_repairs_an_earlier_one() {
    let model = typed(NET);
    let source = AtHand::new(60, &[2, 4, 4]);
    let layers = layers(&model);
    let mut lockstep = Lockstep::new(&model, &source, 16).unwrap();
    // A constant factor in the first layer: the residual keeps it from being undone in the second alone, not in the last.
    let w = value(&model, "w");
    let halved: Vec<f64> = model.graph.constant(w).unwrap().to_f64s().unwrap().iter().map(|w| 0.8 * w).collect();
    let dims = model.graph.constant(w).unwrap().dims().to_vec();
    lockstep.set_constant(w, onnxpress_ir::Tensor::from_f64s(onnxpress_ir::DType::Float, &dims, &halved).unwrap());
    let (node, layer) = &layers[2];
    lockstep.advance(*node).unwrap();
    let seen = lockstep.see(*node, layer).unwrap();
    let v = model.graph.constant(value(&model, "v")).unwrap();
    let weight = LayerWeight::of(layer, v.dims()).unwrap();
    let at_hand = &weight.matrices(v).unwrap()[0];
    let loss = |has_bias, ridge| {
        let fitted = refit(&seen.rows[0], &seen.results[0], &all(4), at_hand, has_bias, ridge).unwrap();
        Loss::of(&seen.rows[0], &seen.results[0], &all(4)).at(&fitted.weight, &fitted.bias)
    };
    // Pulled so strongly that nothing moves: what the error is with the weights as they are.
    let (stays, repaired) = (loss(false, 1e9), loss(true, 1e-6));
    assert!(repaired < 0.2 * stays, "{repaired} of {stays}");
}

#[test]
fn biases_are_found_where_they_stand() {
    let model = typed(NET);
    let sites: Vec<BiasSite> = layers(&model)
        .iter()
        .map(|(node, layer)| bias_site(&model.graph, *node, layer, if layer.bias.is_some() { 4 } else { 3 }))
        .collect();
    assert_eq!(sites, [BiasSite::Own(value(&model, "b")), BiasSite::Free, BiasSite::Added(value(&model, "c"))]);
}

#[test]
fn weights_come_back_as_they_were() {
    let transposed = r#"
        <ir_version: 8, opset_import: ["" : 17]>
        net (float[N,4,3,3] x) => (y) <float[4,3,2,2] w = normal(seed=1, std=1.0)> { y = ConvTranspose<group = 2>(x, w) }"#;
    for text in [NET, transposed] {
        let model = typed(text);
        for (node, layer) in layers(&model) {
            let tensor = model.graph.constant(model.graph.operand(node, layer.weight).unwrap()).unwrap();
            let weight = LayerWeight::of(&layer, tensor.dims()).unwrap();
            let matrices: Vec<Mat<f64>> = weight.matrices(tensor).unwrap();
            assert_eq!(matrices.len() as i64, layer.groups);
            assert!(weight.tensor(&matrices, tensor).unwrap().same_as(tensor));
        }
    }
}

#[test]
fn there_is_room_for_samples_by_their_own_extents() {
    // Of small pictures many, though the model takes large ones and has many channels where they are smallest.
    let model = typed(
        r#"<ir_version: 8, opset_import: ["" : 17]>
        net (float[N,2,H,W] x) => (float[N,4096,P,Q] y)
        <float[4096,2,4,4] w = normal(seed=1, std=0.5)> {
            h = Conv<strides = [4, 4]>(x, w)
            r = Relu(h)
            y = Neg(r)
        }"#,
    );
    let source = AtHand::new(80, &[2, 4, 4]);
    let lockstep = Lockstep::new(&model, &source, 16).unwrap();
    assert_eq!(lockstep.samples(), 80);
}
