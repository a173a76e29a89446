#![allow(clippy::unwrap_used, clippy::panic)]

use onnxpress_ir::text::{Form, print_model};

use crate::quantize::testing::{apply, error, run, typed};

/// Convolutions in one group and in several, matrices on both sides, a Gemm with its weight turned, a recurrent layer and a normalization.
const NET: &str = r#"
    <ir_version: 10, opset_import: ["" : 21]>
    net (float[N,8,6,6] x) => (float[N,12] y)
    <float[16,8,3,3] a = normal(seed=1, std=0.5), float[16] b = normal(seed=2, std=0.5), float[16,4,3,3] c = normal(seed=3, std=0.3),
     float[16,40] d = normal(seed=4, std=0.5), float[40] s = normal(seed=10, std=2.0), float[40] z = normal(seed=11, std=1.0),
     float[24,40] left = normal(seed=7, std=0.5), float[24,16] h = normal(seed=8, std=0.5),
     float[1,64,16] w = normal(seed=12, std=0.4), float[1,64,16] r = normal(seed=13, std=0.4),
     float[12,16] e = normal(seed=5, std=0.5), float[12] f = normal(seed=6, std=1.0),
     int64[2] k = {-1, 16}, int64[3] step = {1, -1, 16}> {
        one = Conv<pads = [1, 1, 1, 1]>(x, a, b)
        relu = Relu(one)
        two = Conv<group = 4>(relu, c)
        flat = GlobalAveragePool(two)
        rows = Reshape(flat, k)
        three = MatMul(rows, d)
        norm = LayerNormalization(three, s, z)
        across = Transpose<perm = [1, 0]>(norm)
        four = MatMul(left, across)
        back = Transpose<perm = [1, 0]>(four)
        five = MatMul(back, h)
        sequence = Reshape(five, step)
        all, last = LSTM<hidden_size = 16>(sequence, w, r)
        states = Reshape(last, k)
        y = Gemm<transB = 1>(states, e, f)
    }"#;

const DATA: Option<&[usize]> = Some(&[8, 6, 6]);

#[test]
fn the_result_is_the_witness() {
    for options in [
        "rounding=gptq, bits=4, block=8",
        "rounding=gptq, bits=2, block=8, symmetric=false",
        "rounding=gptq, bits=3",
        "rounding=gptq, type=nf4, block=8",
        "rounding=gptq, type=float8e4m3fn",
        "rounding=gptq, granularity=tensor",
        "rounding=gptq, bits=4, block=8, form=cast",
        "rounding=awq, bits=4, block=8",
        "rounding=awq, bits=3, symmetric=false",
        "rounding=nearest, bits=4, block=8, scales=float16",
        "rounding=mse, bits=4, block=8, scales=float16, form=cast",
        "rounding=hqq, symmetric=false, bits=4, block=8, scales=float16",
    ] {
        let (model, report) = run(&format!("quantize-weights{{{options}}}"), NET, DATA);
        let report = report.unwrap();
        assert!(report.checkpoints[0].is_witness && report.passes[0].applied["quantize-weights"] > 5, "{options}");
        assert!(error(&report.checkpoints[0].expected, &model) < 1e-5, "{options}");
        assert!(error(&typed(NET), &model) > 1e-5, "{options}: nothing was lost?");
        let unseen = "samples show nothing of `r`, rounded without them: its rows";
        assert!(report.notices.iter().any(|notice| notice.starts_with(unseen)), "{:?}", report.notices);
    }
}

#[test]
fn samples_help() {
    let lost = |options: &str, data| {
        error(&typed(NET), &run(&format!("quantize-weights{{keep=[w, r], {options}}}"), NET, data).0)
    };
    let mut fitted = Vec::new();
    for how in ["bits=4, block=8", "bits=3, block=8, symmetric=false", "bits=4"] {
        let nearest = lost(how, None);
        let fed = lost(&format!("{how}, rounding=gptq"), DATA);
        assert!(fed < 0.9 * nearest, "{how}: gptq {fed}, nearest {nearest}");
        fitted.push((lost(how, DATA), nearest));
        assert_eq!(lost(&format!("{how}, data=false"), DATA), nearest);
    }
    let (with, without) = fitted.iter().fold((0.0, 0.0), |sums, one| (sums.0 + one.0, sums.1 + one.1));
    assert!(with < without, "{fitted:?}");
}

/// A normalization that makes some channels large, as those of transformers do.
const UNEVEN: &str = r#"
    <ir_version: 10, opset_import: ["" : 21]>
    net (float[N,16] x) => (float[N,24] y)
    <float[16] s = {1, 30, 1, 0.5, 1, 1, 20, 1, 1, 0.2, 1, 1, 25, 1, 1, 1}, float[16] z = normal(seed=1, std=0.1),
     float[16,24] w = normal(seed=2, std=0.5)> {
        norm = LayerNormalization(x, s, z)
        y = MatMul(norm, w)
    }"#;

#[test]
fn channels_that_matter_are_rounded_more_finely() {
    let lost = |options: &str, data| {
        let (model, report) = run(&format!("quantize-weights{{bits=4, block=16, {options}}}"), UNEVEN, data);
        assert!(error(&report.unwrap().checkpoints[0].expected, &model) < 1e-5);
        error(&typed(UNEVEN), &model)
    };
    let (nearest, aware) = (lost("rounding=mse", None), lost("rounding=awq", Some(&[16])));
    assert!(aware < 0.75 * nearest, "awq {aware}, mse {nearest}");
}

#[test]
fn a_plan_gives_the_same_result() {
    for rounding in ["gptq", "awq"] {
        let (model, report) = run(&format!("quantize-weights{{bits=4, block=8, rounding={rounding}}}"), NET, DATA);
        let plan = report.unwrap().passes[0].plan.clone().unwrap();
        let text = |model: &onnxpress_ir::Model| print_model(model, &Form { types: false, ..Form::brief() });
        assert_eq!(text(&apply(&plan, NET, DATA).unwrap()), text(&model));
        let error = apply(&plan, NET, None).unwrap_err();
        assert!(error.ends_with("it was made with 40 samples at hand, found no data; give --calib"), "{error}");
    }
}

#[test]
fn requests_without_samples_are_refused() {
    let refused = |options: &str| run(&format!("quantize-weights{{{options}}}"), NET, None).1.unwrap_err();
    assert!(refused("rounding=gptq").ends_with("`rounding=gptq` needs data: give samples with --calib"));
    assert!(refused("rounding=awq").ends_with("`rounding=awq` needs data: give samples with --calib"));
    assert!(refused("damping=0").ends_with("`damping` is 0, expected more than 0"));
}

/// Products with a matrix on the right, of a Gemm turned around, on the left, and rows that are looked up.
const PRODUCTS: &str = r#"
    <ir_version: 8, opset_import: ["" : 17]>
    net (float[N,2,48] x) => (float[N,2,8] y)
    <float[48,40] a = normal(seed=1, std=0.3), float[24,40] b = normal(seed=2, std=0.3), float[24] c = normal(seed=3, std=1.0),
     float[32,24] left = normal(seed=4, std=0.3), float[40,32] table = normal(seed=5, std=1.0), float[32,8] d = normal(seed=6, std=0.3),
     int64[2] k = {-1, 40}, int64[3] back = {-1, 2, 32}> {
        one = MatMul(x, a)
        rows = Reshape(one, k)
        two = Gemm<transB = 1>(rows, b, c)
        across = Transpose(two)
        three = MatMul(left, across)
        again = Transpose(three)
        codes = Mul(rows, rows)
        best = ArgMax<axis = 1, keepdims = 0>(codes)
        looked = Gather(table, best)
        sum = Add(again, looked)
        shaped = Reshape(sum, back)
        y = MatMul(shaped, d)
    }"#;

#[test]
fn onnxruntime_has_operators_of_its_own() {
    let (model, report) = run("quantize-weights{bits=4, block=16, form=matmulnbits}", PRODUCTS, None);
    insta::assert_snapshot!(print_model(&model, &Form { types: false, ..Form::brief() }), @r#"
    <ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1]>
    net (float[N,2,48] x) => (float[N,2,8] y)
    <
      uint8[40,3,8] a_quantized = elided("sha256:69d0cdf74e889b21"),
      float[40,3] a_scale = elided("sha256:7ed1de5ec99c735f"),
      float[24] c = elided("sha256:644cc39f0d8e290f"),
      uint8[24,3,8] b_quantized = elided("sha256:fe4ef93ac04fa872"),
      float[24,3] b_scale = elided("sha256:550341a073bede53"),
      int4[32,24] left_quantized = elided("sha256:b233acbffcfbfae0"),
      float[32,2] left_scale = elided("sha256:771fe9719bc5a57a"),
      int64[2] k = {-1, 40},
      int64[3] back = {-1, 2, 32},
      uint8[40,16] table_quantized = elided("sha256:f2195b399b9a733e"),
      float[40,2] table_scale = elided("sha256:53be87544e781b9d"),
      uint8[8,2,8] d_quantized = elided("sha256:0136c835828d8384"),
      float[8,2] d_scale = {0.04783538, 0.094721206, 0.08231394, 0.07136605, 0.07344016, 0.095990814, 0.06858008, 0.04815853, 0.092865475, 0.08796135, 0.064646505, 0.09514985, 0.09337254, 0.11146556, 0.0991797, 0.112846136}
    >
    {
      one = com.microsoft.MatMulNBits <K = 48, N = 40, bits = 4, block_size = 16> (x, a_quantized, a_scale)
      rows = Reshape(one, k)
      two_product = com.microsoft.MatMulNBits <K = 40, N = 24, bits = 4, block_size = 16> (rows, b_quantized, b_scale)
      two = Add(two_product, c)
      across = Transpose(two)
      left = DequantizeLinear <axis = 1, block_size = 16> (left_quantized, left_scale)
      three = MatMul(left, across)
      again = Transpose(three)
      codes = Mul(rows, rows)
      best = ArgMax <axis = 1, keepdims = 0> (codes)
      looked = com.microsoft.GatherBlockQuantized <bits = 4, block_size = 16, gather_axis = 0, quantize_axis = 1> (table_quantized, best, table_scale)
      sum = Add(again, looked)
      shaped = Reshape(sum, back)
      y = com.microsoft.MatMulNBits <K = 32, N = 8, bits = 4, block_size = 16> (shaped, d_quantized, d_scale)
    }
    "#);
    let report = report.unwrap();
    assert!(error(&report.checkpoints[0].expected, &model) < 1e-5);
    let decoded = "`left` decoded by DequantizeLinear: MatMul `three` reads it, for which there is no such operator";
    assert!(report.notices.iter().any(|notice| notice == decoded), "{:?}", report.notices);
}

#[test]
fn codes_of_onnxruntime_stand_for_what_the_witness_has() {
    for options in [
        "bits=8, block=32",
        "bits=4, block=32, symmetric=false",
        "bits=2, block=16, symmetric=false",
        "type=uint4, block=16, rounding=gptq",
    ] {
        let (model, report) =
            run(&format!("quantize-weights{{form=matmulnbits, {options}}}"), PRODUCTS, Some(&[2, 48]));
        let report = report.unwrap();
        assert!(error(&report.checkpoints[0].expected, &model) < 1e-5, "{options}");
        assert!(
            model.graph.nodes().filter(|(_, node)| node.op_type.to_str() == "MatMulNBits").count() >= 3,
            "{options}"
        );
        let plan = report.passes[0].plan.clone().unwrap();
        let again = apply(&plan, PRODUCTS, Some(&[2, 48])).unwrap();
        assert_eq!(error(&again, &model), 0.0, "{options}");
    }
}

fn bits(plan: &serde_json::Value) -> Vec<(String, u64)> {
    let layers = plan["layers"].as_array().unwrap().iter();
    let one = |layer: &serde_json::Value| {
        let tensor = layer["tensor"].as_str().unwrap().to_owned();
        let digits: String = layer["codes"].as_str().unwrap().chars().filter(char::is_ascii_digit).collect();
        (tensor, layer["bits"].as_u64().unwrap_or_else(|| digits.parse().unwrap()))
    };
    layers.map(one).collect()
}

#[test]
fn layers_that_bear_it_get_fewer_bits() {
    for data in [None, DATA] {
        let allocated = |goal: &str| {
            let (model, report) = run(&format!("allocate-bits{{{goal}, block=8}}"), NET, data);
            let report = report.unwrap();
            assert!(error(&report.checkpoints[0].expected, &model) < 1e-5);
            let plan = report.passes[0].plan.clone().unwrap();
            assert_eq!(error(&apply(&plan, NET, data).unwrap(), &model), 0.0);
            (error(&typed(NET), &model), plan)
        };
        let (much, plan) = allocated("average=9");
        let (little, _) = allocated("average=5");
        assert!(much < little, "{much} {little}");
        let layers = plan["layers"].as_array().unwrap();
        let after: u64 = layers.iter().map(|layer| layer["bytes"][1].as_u64().unwrap()).sum();
        let (bound, plan) = allocated("max-loss=0.5");
        assert!(bound < 0.5 && !bits(&plan).is_empty());
        let (same, _) = allocated(&format!("bytes={}", after + 200));
        assert!(same < little, "{same} {little}");
        let notices = run("allocate-bits{bytes=10, block=8}", NET, data).1.unwrap().notices;
        assert!(notices[0].starts_with("`bytes` is 10, the least that these weights can take is "), "{notices:?}");
    }
}

#[test]
fn gradients_say_what_bits_are_worth() {
    let allocated = |options: &str| {
        let (model, report) = run(&format!("allocate-bits{{average=5, block=8{options}}}"), NET, DATA);
        (bits(report.unwrap().passes[0].plan.as_ref().unwrap()), error(&typed(NET), &model))
    };
    let (by_output, by_answers) = (allocated(""), allocated(", criterion=fisher"));
    assert!(by_answers.1 < 2.0 * by_output.1, "{by_answers:?} {by_output:?}");
    let refused = |options: &str, data| run(&format!("allocate-bits{{{options}}}"), NET, data).1.unwrap_err();
    let fisher = "average=5, criterion=fisher";
    assert!(refused(fisher, None).ends_with("`criterion=fisher` needs data: give samples with --calib"));
    assert!(
        refused(&format!("{fisher}, data=false"), DATA).ends_with("`criterion=fisher` needs data, and `data` is false")
    );
    assert!(
        refused("max-loss=1, criterion=fisher", DATA)
            .ends_with("`max-loss` is a share of outputs' energy, which `criterion=fisher` does not measure")
    );
}

#[test]
fn requests_to_allocate_that_say_too_little_are_refused() {
    let refused = |options: &str| run(&format!("allocate-bits{{{options}}}"), NET, None).1.unwrap_err();
    assert!(refused("").ends_with("give one of `average`, `bytes` and `max-loss`"));
    assert!(refused("average=4, bytes=1MB").ends_with("give one of `average`, `bytes` and `max-loss`"));
    assert!(refused("average=-1").ends_with("`average` is -1, expected more than 0"));
    assert!(refused("average=4, bits=[]").ends_with("`bits` is empty, expected numbers of bits to choose among"));
    assert!(refused("average=4, rounding=gptq").ends_with("`rounding=gptq` needs data: give samples with --calib"));
}

#[test]
fn two_bits_lie_in_four_where_onnxruntime_would_misread_them() {
    let of = |columns: usize, options: &str| {
        let text = format!(
            r#"<ir_version: 10, opset_import: ["" : 21]>
            net (float[N,64] x) => (float[N,{columns}] y) <float[64,{columns}] w = normal(seed=1)> {{ y = MatMul(x, w) }}"#
        );
        let (model, report) = run(&format!("quantize-weights{{bits=2{options}}}"), &text, None);
        let report = report.unwrap();
        assert!(error(&report.checkpoints[0].expected, &model) < 1e-5);
        let printed = print_model(&model, &Form::brief());
        let codes = ["uint4[", "int4[", "uint2[", "int2[", "uint8["].into_iter().find(|dtype| printed.contains(dtype));
        (codes.unwrap().trim_end_matches('[').to_owned(), report.notices.len())
    };
    assert_eq!(of(46, ""), ("int4".to_owned(), 1));
    assert_eq!(of(46, ", symmetric=false"), ("uint4".to_owned(), 1));
    assert_eq!(of(44, "").0, "int2");
    assert_eq!(of(46, ", form=cast").0, "int2");
}

#[test]
fn what_no_scale_holds_or_no_layer_reads_is_left_alone_and_listed() {
    let net = r#"
    <ir_version: 10, opset_import: ["" : 21]>
    net (float[N,64] x) => (float[N,32] y, float[N,32] z)
    <float[64,32] tiny = normal(seed=1, std=1e-41), float[64,32] w = normal(seed=2, std=0.1), float[2048] v = normal(seed=3, std=1.0),
     int64[2] s = {64, 32}> {
        y = MatMul(x, tiny)
        matrix = Reshape(v, s)
        other = MatMul(x, w)
        more = MatMul(x, matrix)
        z = Add(other, more)
    }"#;
    let (_, report) = run("quantize-weights{bits=4, block=32}", net, None);
    let declined = &report.unwrap().passes[0].declined;
    let lines: Vec<String> = declined.iter().map(|one| format!("{}: {}", one.site, one.reason)).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    tiny: its numbers are too small for scales of float
    v: Reshape makes another constant of it; fold that first, with `simplify`
    ");
}
