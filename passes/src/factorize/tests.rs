#![allow(clippy::unwrap_used, clippy::panic)]

use onnxpress_ir::{Model, Tensor};
use onnxpress_ops::evaluate::Value;
use onnxpress_ops::interpret::{self, Limits};

use crate::evidence::testing::{AtHand, typed, value};
use crate::manager::{self, Report, RunOptions};
use crate::pass::Request;

/// Layers of every kind that there is a form for.
const NET: &str = r#"
    <ir_version: 8, opset_import: ["" : 17]>
    net (float[N,2,6,5] x) => (float[N,5] y)
    <float[6,2,3,3] a = normal(seed=1, std=0.5), float[8,3,3,2] b = normal(seed=2, std=0.5), float[8] c = normal(seed=3, std=1.0),
     float[8,6] d = normal(seed=4, std=0.5), float[7,6] e = normal(seed=5, std=0.5), float[7] f = normal(seed=6, std=1.0),
     float[9,7] g = normal(seed=7, std=0.5), float[9,5] h = normal(seed=8, std=0.5), float[5] i = normal(seed=9, std=1.0),
     int64[2] k = {-1, 8}> {
        one = Conv<pads = [1, 0, 1, 2], strides = [2, 1], dilations = [1, 2]>(x, a)
        relu = Relu(one)
        two = Conv<group = 2, auto_pad = "SAME_UPPER">(relu, b, c)
        flat = GlobalAveragePool(two)
        rows = Reshape(flat, k)
        three = MatMul(rows, d)
        four = Gemm<transB = 1>(three, e, f)
        across = Transpose<perm = [1, 0]>(four)
        five = MatMul(g, across)
        back = Transpose<perm = [1, 0]>(five)
        six = MatMul(back, h)
        y = Add(six, i)
    }"#;

fn samples() -> AtHand {
    AtHand::new(50, &[2, 6, 5])
}

fn run(options: &str, text: &str, data: bool) -> (Model, Result<Report, String>) {
    let passes = crate::builtin().unwrap();
    let pipeline = passes.pipeline(&format!("factorize{{{options}}}")).unwrap();
    let mut model = typed(text);
    let source = samples();
    let evidence = data.then_some(&source as &dyn crate::evidence::EvidenceSource);
    let request = Request { evidence, ..Request::default() };
    let report =
        manager::run(&pipeline, &mut model, RunOptions { verify_each: true, request, ..RunOptions::default() });
    (model, report.map_err(|error| error.to_string()))
}

fn outputs(model: &Model) -> Vec<f64> {
    let batch: Vec<f32> = samples().samples[..4].concat();
    let input = Tensor::from_values(&[4, 2, 6, 5], batch).unwrap();
    let outputs = interpret::run(model, vec![Some(Value::Tensor(input))], Limits::default()).unwrap();
    let Value::Tensor(y) = &outputs[0] else { panic!("no tensor") };
    y.to_f64s().unwrap()
}

/// A recurrent layer in both directions, and one behind it that gives its last state.
const RECURRENT: &str = r#"
    <ir_version: 8, opset_import: ["" : 17]>
    net (float[N,2,6,5] x) => (float[1,N,6] y)
    <float[2,24,10] w = normal(seed=1, std=0.4), float[2,24,6] r = normal(seed=2, std=0.3), float[2,48] b = normal(seed=3, std=0.3),
     float[1,18,12] s = normal(seed=4, std=0.4), float[1,18,6] t = normal(seed=5, std=0.3), int64[3] k = {6, -1, 10},
     int64[3] l = {0, 0, -1}> {
        rows = Reshape(x, k)
        one = LSTM<direction = "bidirectional", hidden_size = 6>(rows, w, r, b)
        turned = Transpose<perm = [0, 2, 1, 3]>(one)
        flat = Reshape(turned, l)
        all, y = GRU<hidden_size = 6>(flat, s, t)
    }"#;

#[test]
fn recurrent_layers_read_what_a_product_leaves_of_their_inputs() {
    for (options, data) in [("ratio=1,save=none", false), ("rank=3", false), ("ratio=0.6", true)] {
        let (model, report) = run(options, RECURRENT, data);
        let report = report.unwrap();
        let point = &report.checkpoints[0];
        assert!(point.is_witness && error(&point.expected, &model) < 1e-5, "{options}");
        let count = |op: &str| model.graph.nodes().filter(|(_, node)| node.is(op)).count();
        assert_eq!(
            (count("MatMul"), count("LSTM"), count("GRU")),
            (2, 1, 1),
            "{options}: {:?}",
            report.passes[0].declined
        );
        let (whole, off) = (typed(RECURRENT), error(&typed(RECURRENT), &model));
        assert_eq!(off < 1e-5, options.starts_with("ratio=1"), "{options}: {off}");
        let mut back = model.clone();
        let pipeline = crate::builtin().unwrap().pipeline("merge-factors").unwrap();
        manager::run(&pipeline, &mut back, RunOptions { verify_each: true, ..RunOptions::default() }).unwrap();
        assert!(error(&model, &back) < 1e-5);
        assert_eq!(back.graph.nodes().count(), whole.graph.nodes().count());
    }
}

#[test]
fn what_a_state_is_multiplied_by_is_left_and_said() {
    let (_, report) = run("rank=3", RECURRENT, false);
    let report = report.unwrap();
    let declined: Vec<String> =
        report.passes[0].declined.iter().map(|decline| format!("{}: {}", decline.site, decline.reason)).collect();
    assert_eq!(
        declined,
        [
            "r: `LSTM` multiplies its state by it at each step, inside",
            "t: `GRU` multiplies its state by it at each step, inside"
        ]
    );
}

/// The largest difference, as a share of the peak.
fn error(a: &Model, b: &Model) -> f64 {
    let (a, b) = (outputs(a), outputs(b));
    let peak = a.iter().fold(0.0f64, |peak, value| peak.max(value.abs()));
    a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / peak
}

fn layers(model: &Model) -> Vec<String> {
    let order = model.graph.topological().unwrap();
    let nodes = order.into_iter().filter_map(|id| Some((id, model.graph.node(id)?)));
    let linear = nodes.filter(|(_, node)| ["Conv", "MatMul", "Gemm"].iter().any(|name| node.is(name)));
    linear.map(|(id, node)| format!("{} = {}", model.graph.label(id.port(0)), node.op_type)).collect()
}

#[test]
fn the_full_rank_is_exact() {
    for data in [false, true] {
        let (model, report) = run("energy=1,save=none", NET, data);
        assert_eq!(report.unwrap().passes[0].applied["factorize"], 6);
        assert!(error(&typed(NET), &model) < 1e-5, "with data: {data}");
    }
    let (model, _) = run("energy=1,save=none,form=channel", NET, false);
    // One of two factors is the identity, so there is no rounding but that of sums in another order.
    assert!(error(&typed(NET), &model) < 2e-7);
    assert_eq!(
        layers(&model),
        [
            "one_v = Conv",
            "one = Conv",
            "two_v = Conv",
            "two = Conv",
            "three_v = MatMul",
            "three = MatMul",
            "four_v = MatMul",
            "four = Gemm",
            "five_v = MatMul",
            "five = MatMul",
            "six_v = MatMul",
            "six = MatMul"
        ]
    );
}

#[test]
fn the_result_is_the_witness() {
    for (options, data) in [
        ("rank=2,save=none", false),
        ("ratio=0.5", false),
        ("rank=vbmf,save=none", true),
        ("energy=0.7,save=none", true),
        ("rank=2,reconstruct=false,save=none", true),
        ("target=params,remove=0.4", true),
        ("target=macs,remove=0.3", false),
        ("rank=2,form=spatial,save=none", true),
        ("rank=2,form=tucker,save=none", true),
        ("rank=3,form=cp,save=none", true),
        ("ratio=0.5,form=tucker,save=none", false),
    ] {
        let (model, report) = run(options, NET, data);
        let report = report.unwrap();
        let point = &report.checkpoints[0];
        assert!(point.is_witness && report.lossy, "{options}");
        assert!(error(&point.expected, &model) < 1e-5, "{options}");
        assert!(error(&typed(NET), &model) > 1e-4, "{options}: nothing was lost?");
    }
}

#[test]
fn samples_make_it_better_and_reconstruction_better_still() {
    let original = typed(NET);
    let lost = |options: &str, data: bool| {
        let (model, _) = run(options, NET, data);
        let (a, b) = (outputs(&original), outputs(&model));
        a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum::<f64>()
    };
    let (blind, seen) = (lost("rank=3,save=none", false), lost("rank=3,save=none,reconstruct=false", true));
    let fitted = lost("rank=3,save=none", true);
    assert!(seen < blind && fitted < seen, "{blind} {seen} {fitted}");
}

#[test]
fn a_target_is_met() {
    let (model, report) = run("target=params,remove=0.3", NET, false);
    let weights = |model: &Model| {
        model.graph.constants().map(|(_, constant)| constant.value.dims().iter().product::<usize>()).sum::<usize>()
    };
    let original = typed(NET);
    // What is no weight of a layer stays: three biases and the shape.
    let others = 8 + 7 + 5 + 2;
    let (before, after) = (weights(&original) - others, weights(&model) - others);
    assert!(after as f64 <= 0.7 * before as f64, "{after} of {before}");
    assert!(report.unwrap().passes[0].plan.is_some());
}

#[test]
fn what_saves_nothing_is_left_alone_with_the_reason() {
    let (_, report) = run("energy=1", NET, false);
    let report = report.unwrap();
    assert!(!report.changed);
    let reasons: Vec<String> =
        report.passes[0].declined.iter().map(|decline| format!("{}: {}", decline.site, decline.reason)).collect();
    insta::assert_snapshot!(reasons.join("\n"), @r"
    a: factors that keep 1 of its energy would save nothing
    b: factors that keep 1 of its energy would save nothing
    d: factors that keep 1 of its energy would save nothing
    e: factors that keep 1 of its energy would save nothing
    g: factors that keep 1 of its energy would save nothing
    h: factors that keep 1 of its energy would save nothing
    ");
}

#[test]
fn layers_that_have_no_form_say_why() {
    let text = r#"
        <ir_version: 8, opset_import: ["" : 17]>
        net (float[N,2,6,5] x) => (y, z)
        <float[4,1,3,3] a = normal(seed=1, std=0.5), float[4,2,2,2] t = normal(seed=2, std=0.5), float[5,5] s = normal(seed=3, std=0.5),
         float[9,5] e = normal(seed=4, std=1.0), int64[2] k = {1, 7}> {
            deep = Conv<group = 2>(x, a)
            up = ConvTranspose(deep, t)
            y = MatMul(x, s)
            twice = Add(s, s)
            rows = Gather(e, k)
            z = Concat<axis = 0>(twice, rows)
        }"#;
    let (_, report) = run("rank=1", text, false);
    let declined = report.unwrap().passes[0].declined.clone();
    let reasons: Vec<String> = declined.iter().map(|decline| format!("{}: {}", decline.site, decline.reason)).collect();
    insta::assert_snapshot!(reasons.join("\n"), @r"
    t: `ConvTranspose` has no form as a product of two
    s: the weight is read by several nodes, in several ways
    e: its factors would multiply where it looks up
    ");
}

#[test]
fn stacks_tables_and_what_several_nodes_read_have_factors() {
    let text = r#"
        <ir_version: 8, opset_import: ["" : 17]>
        net (float[N,2,6,5] x) => (y)
        <float[2,5,8] m = normal(seed=1, std=0.5), float[2,7,6] l = normal(seed=2, std=0.5), float[8,8] s = normal(seed=3, std=0.5),
         float[9,8] e = normal(seed=4, std=1.0), int64[6] k = {1, 7, 0, 8, 8, 2}, float[6,7] w = normal(seed=5, std=0.5),
         float[8] c = normal(seed=6, std=1.0)> {
            stack = MatMul(x, m)
            left = MatMul(l, stack)
            once = MatMul(left, s)
            twice = MatMul(once, s)
            rows = Gather(e, k)
            before = Gemm<transA = 1>(w, rows, c)
            y = Add(twice, before)
        }"#;
    let original = typed(text);
    for data in [false, true] {
        let (model, report) = run("energy=1,save=none", text, data);
        assert_eq!(report.unwrap().passes[0].applied["factorize"], 5);
        let exact = error(&original, &model);
        assert!(exact < 1e-4, "with data: {data}: {exact}");
        let (mut model, report) = run("rank=3,save=none", text, data);
        assert!(error(&report.unwrap().checkpoints[0].expected, &model) < 1e-5, "with data: {data}");
        let factorized = model.clone();
        let pipeline = crate::builtin().unwrap().pipeline("merge-factors").unwrap();
        let report = manager::run(&pipeline, &mut model, RunOptions::default()).unwrap();
        // What is shared stays shared.
        assert_eq!(report.passes[0].applied["merge-factors"], 4);
        assert!(error(&factorized, &model) < 1e-5, "with data: {data}");
    }
    let (model, _) = run("ratio=0.3,save=bytes", text, false);
    let dims = |name: &str| model.graph.constant(value(&model, name)).unwrap().dims().to_vec();
    assert_eq!(
        [dims("m_v"), dims("m_u"), dims("e_v"), dims("e_u")],
        [vec![2, 5, 2], vec![2, 2, 8], vec![9, 2], vec![2, 8]]
    );
}

#[test]
fn gemms_before_opset_11_keep_their_bias() {
    let text = r#"
        <ir_version: 4, opset_import: ["" : 9]>
        net (float[N,2,6,5] x) => (float[N,7] y, float[N,7] again)
        <float[7,60] e = normal(seed=5, std=0.5), float[7] f = normal(seed=6, std=1.0), float[7,7] g = normal(seed=7, std=0.5)> {
            flat = Flatten(x)
            y = Gemm<transB = 1>(flat, e, f)
            again = Gemm<transB = 1>(y, g, f)
        }"#;
    // The bias is shared, and the first layer's result is an output in the middle.
    for data in [false, true] {
        let (model, report) = run("rank=3,save=none", text, data);
        let report = report.unwrap();
        assert_eq!(report.passes[0].applied["factorize"], 2);
        assert!(error(&report.checkpoints[0].expected, &model) < 1e-5, "with data: {data}");
        assert_eq!(layers(&model), ["y_v = MatMul", "y = Gemm", "again_v = MatMul", "again = Gemm"]);
    }
}

#[test]
fn bad_requests_are_refused() {
    let fault = |options: &str| run(options, NET, false).1.unwrap_err().split_once("}: ").unwrap().1.to_owned();
    insta::assert_snapshot!(fault("rank=0"), @"`rank` is 0, expected at least 1");
    insta::assert_snapshot!(fault("target=params"), @"`target` needs `remove`, the share to remove");
    insta::assert_snapshot!(fault("rank=3,energy=0.5"), @"`energy`, `rank`, `ratio` and `target` are four ways to choose ranks: give one");
    insta::assert_snapshot!(fault("only=[nobody*]"), @"`nobody*` matches no layer");
    assert!(crate::builtin().unwrap().pipeline("factorize{energy=2}").is_err());
}

#[test]
fn convolutions_of_inputs_of_unknown_rank_are_written_by_their_weight() {
    let text = r#"
        <ir_version: 8, opset_import: ["" : 17]>
        net (x, int64[K] shape) => (y)
        <float[6,5,3,3] w = normal(seed=1, std=0.5)> {
            r = Reshape(x, shape)
            y = Conv(r, w)
        }"#;
    let (model, report) = run("rank=2", text, false);
    assert_eq!(report.unwrap().passes[0].applied["factorize"], 1);
    assert_eq!(layers(&model), ["y_v = Conv", "y = Conv"]);
    // An empty name is none: two nodes of the same one are refused by runtimes.
    let mut unnamed = typed(text);
    let conv = value(&unnamed, "y").node;
    unnamed.graph.node_mut(conv).name = Some("".into());
    let pipeline = crate::builtin().unwrap().pipeline("factorize{rank=2}").unwrap();
    manager::run(&pipeline, &mut unnamed, RunOptions::default()).unwrap();
    assert!(unnamed.graph.nodes().all(|(_, node)| node.name.as_ref().is_none_or(|name| name.is_empty())));
}

#[test]
fn each_form_has_its_convolutions() {
    let text = r#"
        <ir_version: 8, opset_import: ["" : 17]>
        net (float[N,8,9,9] x) => (y)
        <float[8,4,3,3] w = normal(seed=1, std=0.5), float[8] b = normal(seed=2, std=1.0)> {
            y = Conv<group = 2, strides = [2, 1], dilations = [1, 2], pads = [1, 2, 0, 3]>(x, w, b)
        }"#;
    let weights = |form: &str| {
        let (model, _) = run(&format!("rank=2, save=none, form={form}"), text, false);
        let dims = |name: &str| {
            let id = model.graph.constants().find(|(id, _)| model.graph.label(id.port(0)) == name)?.0;
            Some(format!("{name}{:?}", model.graph.constant(id.port(0))?.dims()))
        };
        ["w_v", "w_core", "w_u"].into_iter().filter_map(dims).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(weights("channel"), "w_v[4, 4, 3, 3] w_u[8, 2, 1, 1]");
    assert_eq!(weights("spatial"), "w_v[4, 4, 3, 1] w_u[8, 2, 1, 3]");
    assert_eq!(weights("tucker"), "w_v[4, 4, 1, 1] w_core[4, 2, 3, 3] w_u[8, 2, 1, 1]");
    assert_eq!(weights("cp"), "w_v[4, 4, 1, 1] w_core[4, 1, 3, 3] w_u[8, 2, 1, 1]");
}

#[test]
fn of_all_forms_the_best_is_taken() {
    // A kernel that is a product along its axes, and one whose channels are few: what suits the one does not suit the other.
    let text = r#"
        <ir_version: 8, opset_import: ["" : 17]>
        net (float[N,8,6,5] x) => (y, z)
        <float[2,8,3,1] a = normal(seed=1, std=0.5), float[8,2,1,3] b = normal(seed=2, std=0.5),
         float[2,8,1,1] c = normal(seed=3, std=0.5), float[2,2,3,3] d = normal(seed=4, std=0.5), float[8,2,1,1] e = normal(seed=5, std=0.5)> {
            p = Conv<pads = [1, 0, 1, 0]>(x, a)
            y = Conv<pads = [0, 1, 0, 1]>(p, b)
            q = Conv(x, c)
            r = Conv<pads = [1, 1, 1, 1]>(q, d)
            z = Conv(r, e)
        }"#;
    let mut model = typed(text);
    let pipeline = crate::builtin().unwrap().pipeline("merge-factors{all=true}, factorize{energy=0.999}").unwrap();
    let report = manager::run(&pipeline, &mut model, RunOptions::default()).unwrap();
    let plan = report.passes[1].plan.as_ref().unwrap();
    let of = |layer: &serde_json::Value| format!("{} {}", layer["layer"], layer["form"]).replace('"', "");
    let forms: Vec<_> = plan["layers"].as_array().unwrap().iter().map(of).collect();
    assert_eq!(forms, ["y spatial", "z tucker"]);
}

#[test]
fn merging_is_the_way_back() {
    let original = typed(NET);
    for data in [false, true] {
        let (mut model, _) = run("rank=2,save=none,form=channel,reconstruct=false", NET, data);
        let factorized = model.clone();
        let pipeline = crate::builtin().unwrap().pipeline("merge-factors").unwrap();
        let report =
            manager::run(&pipeline, &mut model, RunOptions { verify_each: true, ..RunOptions::default() }).unwrap();
        assert_eq!(report.passes[0].applied["merge-factors"], 6);
        assert!(error(&factorized, &model) < 1e-5, "with data: {data}");
        assert_eq!(layers(&model), layers(&original));
        for name in ["a", "b", "d", "e", "g", "h"] {
            let dims = |model: &Model| model.graph.constant(value(model, name)).unwrap().dims().to_vec();
            assert_eq!(dims(&model), dims(&original));
        }
    }
    // Something between two layers keeps them apart.
    let text = r#"
        <ir_version: 8, opset_import: ["" : 17]>
        net (float[N,4] x) => (float[N,4] y, float[N,4] z)
        <float[4,4] a = normal(seed=1, std=0.5), float[4,4] b = normal(seed=2, std=0.5), float[4,4] c = normal(seed=3, std=0.5)> {
            first = MatMul(x, a)
            y = Relu(first)
            second = MatMul(y, b)
            z = MatMul(second, c)
        }"#;
    let mut model = typed(text);
    let pipeline = crate::builtin().unwrap().pipeline("merge-factors{all=true}").unwrap();
    manager::run(&pipeline, &mut model, RunOptions::default()).unwrap();
    assert_eq!(layers(&model), ["first = MatMul", "z = MatMul"]);
}

#[test]
fn work_is_counted_where_samples_are_of_that_size() {
    // Of one place, the product has most of the work; of pictures, the convolution.
    let text = r#"
        <ir_version: 8, opset_import: ["" : 17]>
        net (float[N,2,H,W] x) => (float[N,40] y)
        <float[12,2,3,3] a = normal(seed=1, std=0.5), float[12,40] b = normal(seed=2, std=0.5)> {
            one = Conv<pads = [1, 1, 1, 1]>(x, a)
            flat = GlobalAveragePool(one)
            rows = Flatten(flat)
            y = MatMul(rows, b)
        }"#;
    let (_, report) = run("target=macs,remove=0.3", text, true);
    let report = report.unwrap();
    assert!(report.notices[0].ends_with("macs are removed where open extents are those of the samples"));
    let plan = report.passes[0].plan.clone().unwrap();
    assert_eq!(plan["layers"][0]["tensor"], "a");
    assert_eq!(plan["layers"][0]["macs"][0], 12.0 * 18.0 * 30.0);
    let (_, report) = run("target=macs,remove=0.3", text, false);
    let notices = report.unwrap().notices;
    assert!(notices[0].starts_with("macs are counted with 1 for the open extents `H`, `W`: "), "{notices:?}");
}

#[test]
fn products_are_made_where_somebody_looks_at_them() {
    let (model, report) = run("rank=2,save=none", NET, false);
    let witness = report.unwrap().checkpoints.remove(0).expected;
    let unmade = |name: &str| witness.graph.constant(value(&witness, name)).unwrap().unmade().is_some();
    // The others are so small that inference looks at them.
    assert!(unmade("a") && unmade("b"));
    assert!(error(&witness, &model) < 1e-5);
    assert!(!unmade("a"));
}
