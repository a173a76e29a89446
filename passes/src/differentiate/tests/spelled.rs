//! Operators that are made of others: a line a case, whose step must have the loss of the model as it is, and the gradients that
//! central differences say.

use onnxpress_ir::Tensor;

use super::{Differentiate, Loss, check, numbers, run, step, typed};

/// Whole graphs; every extent of an input that is a letter is 3.
const CASES: &[&str] = &[
    // Recurrent layers: directions, layouts, lengths, first states, functions.
    "(double[T,2,4] x) => (y) <double[1,3,4] w = normal(seed=1), double[1,3,3] r = normal(seed=2), double[1,6] b = normal(seed=3)> \
        { y = RNN<hidden_size=3>(x, w, r, b) }",
    "(double[3,2,4] x) => (y, h) <double[2,3,4] w = normal(seed=1), double[2,3,3] r = normal(seed=2)> \
        { y, h = RNN<hidden_size=3, direction=\"bidirectional\", activations=[\"LeakyRelu\", \"Elu\"], activation_alpha=[0.25, 0.5]>(x, w, r) }",
    "(double[T,2,4] x) => (y, h) <double[1,9,4] w = normal(seed=1), double[1,9,3] r = normal(seed=2), double[1,18] b = normal(seed=3)> \
        { y, h = GRU<hidden_size=3>(x, w, r, b) }",
    "(double[3,N,4] x, double[2,N,3] s) => (y, h) <double[2,9,4] w = normal(seed=1), double[2,9,3] r = normal(seed=2), double[2,18] b = normal(seed=3), \
        int32[3] l = {2, 3, 1}> \
        { y, h = GRU<hidden_size=3, direction=\"bidirectional\", linear_before_reset=1>(x, w, r, b, l, s) }",
    "(double[2,T,4] x) => (y, h, c) <double[1,12,4] w = normal(seed=1), double[1,12,3] r = normal(seed=2), double[1,24] b = normal(seed=3)> \
        { y, h, c = LSTM<hidden_size=3, layout=1>(x, w, r, b) }",
    "(double[T,2,4] x) => (y) <double[1,12,4] w = normal(seed=1), double[1,12,3] r = normal(seed=2)> \
        { y = LSTM<hidden_size=3, direction=\"reverse\", input_forget=1, clip=1.5>(x, w, r) }",
    "(double[T,2,4] x, double[2,2,3] s) => (y, h, c) <double[2,12,4] w = normal(seed=1), double[2,12,3] r = normal(seed=2), double[2,24] b = normal(seed=3), \
        int32[2] l = {2, 3}, double[2,2,3] d = normal(seed=4), double[2,9] p = normal(seed=5)> \
        { y, h, c = LSTM<hidden_size=3, direction=\"bidirectional\", activations=[\"HardSigmoid\", \"Tanh\", \"Softsign\", \"Sigmoid\", \"ScaledTanh\", \"Affine\"], \
        activation_alpha=[0.25, 0.5, 1.5], activation_beta=[0.5, 0.75, 0.25]>(x, w, r, b, l, s, d, p) }",
    // Scans: slices of any axis, from either end; captured weights; states that are no floats.
    "(double[2,T] x) => (s, y) <double[2,2] w = normal(seed=1), double[2] s0 = normal(seed=2)> \
        { s, y = Scan<num_scan_inputs=1, scan_input_axes=[1], scan_output_axes=[1], scan_input_directions=[1], body = \
        turn (double[2] before, double[2] slice) => (double[2] after, double[2] given) \
        { m = MatMul(w, before)  a = Add(m, slice)  after = Tanh(a)  given = Mul(after, slice) }>(s0, x) }",
    "(double[2,2,T] x) => (s, y) <double[2,2] w = normal(seed=1), double[2,2] v = normal(seed=2), double[2] s0 = normal(seed=3)> \
        { s, y = Scan<num_scan_inputs=1, scan_input_directions=[1], body = \
        outer (double[2] before, double[2,3] rows) => (double[2] after, double[2,3] given) \
        { first = MatMul(v, before)  last, given = Scan<num_scan_inputs=1, scan_input_axes=[1], scan_output_axes=[1], body = \
        inner (double[2] b, double[2] row) => (double[2] a, double[2] g) \
        { m = MatMul(w, b)  n = Mul(m, before)  p = Add(n, row)  a = Tanh(p)  g = Mul(a, row) }>(first, rows)  after = Add(last, before) }>(s0, x) }",
    // Attention and what goes with it.
    "(double[2,3,8] q, double[2,T,4] k) => (y) <double[8,8] a = normal(seed=1), double[4,4] b = normal(seed=2), double[4,6] c = normal(seed=3)> \
        { u = MatMul(q, a)  v = MatMul(k, b)  w = MatMul(k, c)  y = Attention<q_num_heads=4, kv_num_heads=2, is_causal=1, softcap=2.5>(u, v, w) }",
    "(double[2,2,3,4] q, double[2,2,2,4] p, double[2,2,2,4] o) => (y, k, v, s) <double[4,4] a = normal(seed=1), double[3,5] m = normal(seed=2)> \
        { u = MatMul(q, a)  y, k, v, s = Attention<scale=0.5, qk_matmul_output_mode=2>(u, q, q, m, p, o) }",
    "<ir_version: 13, opset_import: [\"\" : 25]> g (double[1,1,5,4] q) => (y) <double[4,4] a = normal(seed=1), bool[5,5] m = {1,0,1,1,1, 1,1,1,0,1, 0,1,1,1,1, 1,1,0,1,1, 1,1,1,1,1}> \
        { u = MatMul(q, a)  y = Attention<left_window_size=2, right_window_size=1>(u, q, q, m) }",
    "(double[2,T,6] x) => (y, p) <double[6,12] w = normal(seed=1), double[12] b = normal(seed=2), int32[2] m = {2, 3}> \
        { y, p = com.microsoft.Attention<num_heads=2>(x, w, b, m) }",
    "(double[2,T,6] x, double[2,2,2,1,2] o) => (y, p) <double[6,12] w = normal(seed=1), double[12] b = normal(seed=2), int32[2,4] m = {1,1,0,1, 1,1,1,1}> \
        { y, p = com.microsoft.Attention<num_heads=2, unidirectional=1>(x, w, b, m, o) }",
    "(double[2,3,4] q, double[2,T,4] k) => (y, a, b) <double[4,4] w = normal(seed=1), double[14] c = normal(seed=2), double[1,2,3,3] e = normal(seed=3), double[4,6] d = normal(seed=4)> \
        { u = MatMul(q, w)  v = MatMul(k, d)  y, a, b = com.microsoft.MultiHeadAttention<num_heads=2>(u, k, v, c, , e) }",
    "(double[2,T,8] x, double[T,2] c, double[T,2] s) => (y) <double[8,8] w = normal(seed=1), int64[2,3] i = {0,1,2, 2,0,1}> \
        { u = MatMul(x, w)  y = RotaryEmbedding<num_heads=2>(u, c, s, i) }",
    "(double[2,2,T,6] x, double[2,T,2] c, double[2,T,2] s) => (y) <double[6,6] w = normal(seed=1)> \
        { u = MatMul(x, w)  y = RotaryEmbedding<interleaved=1, rotary_embedding_dim=4>(u, c, s) }",
    "(double[2,T,8] x, double[5,2] c, double[5,2] s) => (y) <double[8,8] w = normal(seed=1), int64[1] i = {1}> \
        { u = MatMul(x, w)  y = com.microsoft.RotaryEmbedding<num_heads=2>(u, i, c, s) }",
    // Places between elements.
    "(double[2,2,3,4] x, double[2,2,T,2] g) => (y) <double[2,3,4] w = normal(seed=1), double[2] v = normal(seed=2, std=0.3)> \
        { a = Mul(x, w)  h = Mul(g, v)  y = GridSample(a, h) }",
    "(double[2,2,3] x, double[2,T,1] g) => (y) <double[2,3] w = normal(seed=1)> \
        { a = Mul(x, w)  y = GridSample<padding_mode=\"border\", align_corners=1>(a, g) }",
    "(double[2,2,3,4] x, double[2,2,T,2] g) => (y) <double[2,3,4] w = normal(seed=1)> \
        { a = Mul(x, w)  y = GridSample<mode=\"nearest\">(a, g) }",
    // What onnxruntime fuses.
    "(double[2,T,4] a, double[T,4] b) => (y, s) <double[4] g = normal(seed=1), double[4] h = normal(seed=2), double[4] c = normal(seed=3)> \
        { y, , , s = com.microsoft.SkipLayerNormalization<epsilon=0.01>(a, b, g, h, c) }",
    "(double[2,T,4] a, double[2,T,4] b) => (y) <double[4] g = normal(seed=1)> \
        { y = com.microsoft.SkipSimplifiedLayerNormalization<epsilon=0.01>(a, b, g) }",
    "(double[2,T,4] a) => (y) <double[5,4] t = normal(seed=1), double[3,4] p = normal(seed=2), double[2,4] k = normal(seed=3), double[4] g = normal(seed=4), double[4] h = normal(seed=5), \
        int32[2,3] i = {0,4,1, 1,1,2}, int32[2,3] j = {0,1,1, 0,0,1}> \
        { e, n = com.microsoft.EmbedLayerNormalization<epsilon=0.01>(i, j, t, p, k, g, h)  y = Mul(a, e) }",
    "(double[2,4,3] a) => (y) <double[2,3,4] w = normal(seed=1)> { y = com.microsoft.FusedMatMul<transA=1, transB=1, alpha=0.5>(a, w) }",
    "(double[T,4] a) => (y) <double[5,4] w = normal(seed=1), double[5] b = normal(seed=2)> \
        { y = com.microsoft.FusedGemm<transB=1, alpha=0.5, activation=\"LeakyRelu\", activation_alpha=0.25>(a, w, b) }",
];

fn whole(case: &str) -> String {
    match case.starts_with('<') {
        true => case.to_owned(),
        false => format!("<ir_version: 10, opset_import: [\"\" : 24, \"com.microsoft\" : 1]> g {case}"),
    }
}

#[test]
fn what_is_spelled_out_computes_the_same_and_has_gradients() {
    for case in CASES {
        let text = whole(case);
        let model = typed(&text);
        let extents = |id: &onnxpress_ir::NodeId| -> Vec<usize> {
            let shape = model.graph.input(*id).declared.shape().unwrap();
            shape.iter().map(|dim| dim.as_const().map_or(3, |extent| extent as usize)).collect()
        };
        let inputs: Vec<Tensor> =
            model.graph.inputs().iter().enumerate().map(|(at, id)| numbers(&extents(id), at + 3)).collect();
        let plain = run(&model, &inputs.iter().cloned().map(Some).collect::<Vec<_>>());
        let wanted: Vec<Tensor> =
            plain.iter().enumerate().map(|(at, output)| numbers(output.dims(), at + 30)).collect();
        let apart = |output: &Tensor, wanted: &Tensor| {
            let pairs = output.to_f64s().unwrap().into_iter().zip(wanted.to_f64s().unwrap());
            pairs.map(|(a, b)| (a - b).powi(2)).sum::<f64>() / output.len() as f64
        };
        let loss: f64 = plain.iter().zip(&wanted).map(|(output, wanted)| apart(output, wanted)).sum();
        let given: Vec<Tensor> = inputs.into_iter().chain(wanted).collect();
        let options = Differentiate { loss: Loss::Mse, ..Differentiate::default() };
        let made = step(&model, &options).unwrap_or_else(|error| panic!("{case}\n    {error}"));
        assert!(made.frozen.is_empty(), "{case}\n    {:?}", made.frozen);
        let all = given.iter().cloned().map(Some).chain(made.start.iter().cloned().map(Some)).collect::<Vec<_>>();
        let found = run(&made.model, &all)[0].to_f64s().unwrap()[0];
        // Kernels that round coordinates to binary32 as runtimes do are off by as much.
        assert!((found - loss).abs() < 1e-7 * loss.abs().max(1.0), "{case}\n    a loss of {found}, not {loss}");
        check(&text, &options, &given);
    }
}

#[test]
fn what_stands_behind_the_end_of_a_sequence_is_never_looked_at() {
    for layer in ["LSTM", "GRU"] {
        let gates = if layer == "LSTM" { 12 } else { 9 };
        let text = whole(&format!(
            "(double[3,2,4] x) => (y) <double[2,{gates},4] w = normal(seed=1), double[2,{gates},3] r = normal(seed=2), int32[2] l = {{2, 3}}> \
            {{ y = {layer}<hidden_size=3, direction=\"bidirectional\">(x, w, r, , l) }}"
        ));
        let made = step(&typed(&text), &Differentiate { loss: Loss::Mse, ..Differentiate::default() }).unwrap();
        let outputs = |padding: f64| {
            let mut samples = numbers(&[3, 2, 4], 3).to_f64s().unwrap();
            samples[16..20].fill(padding);
            let samples = Tensor::from_values(&[3, 2, 4], samples).unwrap();
            let given = [samples, numbers(&[3, 2, 2, 3], 30)].into_iter().chain(made.start.iter().cloned());
            run(&made.model, &given.map(Some).collect::<Vec<_>>())
        };
        let plain = outputs(0.5);
        assert!(plain.iter().all(|tensor| tensor.to_f64s().unwrap().iter().all(|x| x.is_finite())), "{layer}");
        assert_eq!(outputs(f64::NAN), plain, "{layer}");
    }
}

#[test]
fn a_scan_that_nothing_trained_acts_on_stays_as_it_is() {
    let text = whole(
        "(double[4,2] x) => (y) <double[2] s0 = normal(seed=1), double[2,3] w = normal(seed=2), double[2,2] m = normal(seed=3)> \
        { s, h = Scan<num_scan_inputs=1, body = turn (double[2] before, double[2] slice) => (double[2] after, double[2] given) \
        { k = MatMul(m, before)  after = Add(k, slice)  given = Tanh(after) }>(s0, x)  y = MatMul(h, w) }",
    );
    let results = |frozen: &[&str]| {
        let frozen = frozen.iter().map(|name| crate::options::Pattern::new(name)).collect();
        let made = step(&typed(&text), &Differentiate { loss: Loss::Mse, frozen, ..Differentiate::default() }).unwrap();
        let scans = made.model.graph.nodes().filter(|(_, node)| node.is("Scan"));
        scans.map(|(_, node)| node.port_count()).collect::<Vec<_>>()
    };
    assert_eq!(results(&["s0", "m"]), [2]);
    assert_eq!(results(&["s0"]), [3, 2], "the states before each turn, and the way back");
}
