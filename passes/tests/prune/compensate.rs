//! What removed channels gave on average goes into biases.

use super::{pruned, run};

/// The biases of the plan, rounded.
fn biases(options: &str, graph: &str) -> String {
    let proven = pruned(options, graph);
    let (_, report) = run(&format!("prune-channels{{{options}}}"), graph);
    let Ok(report) = report else { return proven };
    let plan = report.passes[0].plan.clone().unwrap();
    let biases = plan["biases"].as_array().into_iter().flatten();
    let one = |bias: &serde_json::Value| {
        let numbers = bias["bias"].as_array().unwrap().iter();
        let numbers: Vec<_> = numbers.map(|number| format!("{:.3}", number.as_f64().unwrap())).collect();
        format!("{}: {}", bias["layer"].as_str().unwrap(), numbers.join(" "))
    };
    biases.map(one).collect::<Vec<_>>().join("\n")
}

/// A layer whose second and third channel are the least, so that they go; `between` gives `r` of `n`.
fn two_layers(between: &str, last: &str) -> String {
    format!(
        "<ir_version: 10, opset_import: [\"\" : 21]>
        g (float[1,2,4,4] x) => (float[1,1,4,4] y)
        <float[4,2,1,1] w = {{30, 30, 1, 1, 1, -1, 30, 20}}, float[4] one = splat(1), float[4] scale = {{3, 2, 0, 3}},
         float[4] bias = {{1, 0, 3, -1}}, float[4] mean = {{1, 2, 3, 4}}, float[4] var = splat(1),
         float[1,4,1,1] w2 = {{1, 1, 2, 1}}, float[1,4,3,3] w3 = splat(1), float[1] zero = {{0}}>
        {{
          c = Conv(x, w)
          n = BatchNormalization(c, scale, bias, mean, var)
          {between}
          {last}
        }}"
    )
}

const POINT: &str = "y = Conv(r, w2)";

#[test]
fn means_go_through_activations() {
    // 2 / sqrt(2 pi) above zero of the second channel; the third is 3, taken twice.
    insta::assert_snapshot!(biases("ratio=0.5", &two_layers("r = Relu(n)", POINT)), @"y: 6.799");
    insta::assert_snapshot!(biases("ratio=0.5", &two_layers("r = LeakyRelu<alpha = 0.5>(n)", POINT)), @"y: 6.400");
    insta::assert_snapshot!(biases("ratio=0.5", &two_layers("s = Sigmoid(n) r = Mul(n, s)", POINT)), @"y: 6.321");
    insta::assert_snapshot!(biases("ratio=0.5", &two_layers("s = Relu(n) r = MaxPool<kernel_shape = [1, 1]>(s)", POINT)), @"y: 6.799");
    insta::assert_snapshot!(biases("ratio=0.5", &two_layers("s = Relu(n) r = Add(s, c)", POINT)), @"");
}

#[test]
fn a_tap_counts_where_it_is_inside() {
    // Of 16 places, 4 see 4 of the 9 taps, 8 see 6, and 4 see all.
    insta::assert_snapshot!(biases("ratio=0.5", &two_layers("r = Relu(n)", "y = Conv<pads = [1, 1, 1, 1]>(r, w3)")), @"y: 23.744");
}

#[test]
fn nothing_is_done_where_nothing_is_known_or_asked() {
    insta::assert_snapshot!(biases("ratio=0.5, compensate=false", &two_layers("r = Relu(n)", POINT)), @"");
    let folded = two_layers("r = Relu(c)", POINT);
    insta::assert_snapshot!(biases("ratio=0.5", &folded), @"");
}

#[test]
fn a_filter_of_zeros_gives_its_bias() {
    insta::assert_snapshot!(biases("ratio=0.25", "
        g (float[N,2] x) => (float[N,2] y)
        <float[2,4] w = {1, 2, 0, 4, 5, 6, 0, 8}, float[4] b = {0, 0, 3, 0}, float[4,2] v = {1, 1, 1, 1, 0.25, 0.5, 1, 1},
         float[2] c = {0.5, 0.25}>
        {
          h = Gemm(x, w, b)
          r = Relu(h)
          m = MatMul(r, v)
          y = Add(m, c)
        }"), @"m: 1.250 1.750");
}

#[test]
fn means_follow_data_that_is_moved() {
    insta::assert_snapshot!(biases("ratio=0.5", "
        g (float[1,2,2,2] x) => (float[1,2] y)
        <float[2,2,1,1] w = {1, 1, 2, 2}, float[2] scale = splat(0.001), float[2] bias = {1, 2}, float[2] mean = splat(0),
         float[2] var = splat(1), float[8,2] v = iota, int64[2] flat = {1, -1}>
        {
          c = Conv(x, w)
          n = BatchNormalization(c, scale, bias, mean, var)
          f = Reshape(n, flat)
          y = Gemm(f, v)
        }"), @"y: 12.000 16.000");
}

#[test]
fn the_plan_holds_them() {
    let graph = two_layers("r = Relu(n)", POINT);
    let (_, report) = run("prune-channels{ratio=0.5}", &graph);
    let plan = report.unwrap().passes[0].plan.clone().unwrap();
    assert_eq!(plan["biases"][0]["bias"].as_array().unwrap().len(), 1);
}
