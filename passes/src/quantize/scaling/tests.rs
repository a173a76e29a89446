#![allow(clippy::unwrap_used, clippy::panic)]

use crate::quantize::calibrated::tests::{run_on_samples, samples_of};

/// Runs a pass, holds the result against the model that came in to the last bit, and answers constants and declines.
fn scaled(pass: &str, graph: &str) -> String {
    let (model, report) = run_on_samples(pass, graph);
    let report = match report {
        Ok(report) => report,
        Err(error) => return error,
    };
    let before = onnxpress_ir::Model::from_text(graph).unwrap();
    assert_eq!(samples_of(&before), samples_of(&model));
    let mut lines = Vec::new();
    for (id, _) in model.graph.constants() {
        let tensor = model.graph.constant(id.port(0)).unwrap();
        let values: Vec<String> = tensor.to_f32s().unwrap().iter().map(|value| format!("{value}")).collect();
        lines.push(format!("{} = {}", model.graph.label(id.port(0)), values.join(" ")));
    }
    lines.extend(report.passes[0].declined.iter().map(|it| format!("{}: {}", it.site, it.reason)));
    lines.join("\n")
}

#[test]
fn channels_between_layers_come_to_be_alike() {
    insta::assert_snapshot!(scaled("equalize", "
        net (float[N,2,2,2] x) => (y)
        <float[2,2,1,1] a = {16, 0, 1, 1}, float[2] b = {8, 1}, float[2,1,1,1] d = {1, 4}, float[1,2,1,1] c = {0.25, 2}> {
            h = Conv(x, a, b)
            r = Relu(h)
            k = Conv<group = 2>(r, d)
            p = MaxPool<kernel_shape = [2, 2]>(k)
            y = Conv(p, c)
        }"), @r"
    a = 1 0 2 2
    b = 0.5 2
    d = 2 2
    c = 2 2
    Conv `y`: it makes an output of the graph
    ");
}

#[test]
fn what_does_not_scale_stays() {
    insta::assert_snapshot!(scaled("equalize", "
        net (float[N,2] x) => (y, s)
        <float[2,2] a = {16, 0, 1, 1}, float[2,2] b = {1, 2, 3, 4}, float[2,2] c = {1, 2, 3, 4}> {
            h = MatMul(x, a)
            t = Tanh(h)
            k = MatMul(t, b)
            y = MatMul(k, c)
            s = Relu(k)
        }"), @r"
    a = 16 0 1 1
    b = 1 2 3 4
    c = 1 2 3 4
    MatMul `h`: Tanh `t` does not scale with it
    MatMul `k`: what it makes has several readers, or none
    MatMul `y`: it makes an output of the graph
    ");
}

#[test]
fn weights_bear_what_values_do_not() {
    let graph = |readers: &str| {
        format!("
        net (float[N,4] x) => (y, z)
        <float[4] g = {{100, 1, 1, 1}}, float[4] b = {{0, 0, 1, 0}}, float[4,2] v = {{1, 2, 1, 1, 1, 1, 1, 1}}, float[4,2] w = splat(1)> {{
            n = LayerNormalization(x, g, b)
            y = MatMul(n, v)
            {readers}
        }}")
    };
    insta::assert_snapshot!(scaled("smooth-quant", &graph("z = MatMul(n, w)")), @r"
    g = 12.5 1 0.5 1
    b = 0 0 0.5 0
    v = 8 16 1 1 2 2 1 1
    w = 8 8 1 1 2 2 1 1
    ");
    insta::assert_snapshot!(scaled("smooth-quant", &graph("z = Relu(n)")), @r"
    g = 100 1 1 1
    b = 0 0 1 0
    v = 1 2 1 1 1 1 1 1
    w = 1 1 1 1 1 1 1 1
    LayerNormalization `n`: Relu `z` reads it too, and is no linear layer with a weight of its own
    ");
}
