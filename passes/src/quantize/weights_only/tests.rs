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
    for how in ["bits=4, block=8", "bits=3, block=8, symmetric=false", "bits=4"] {
        let nearest = lost(how, None);
        let fed = lost(&format!("{how}, rounding=gptq"), DATA);
        assert!(fed < 0.9 * nearest, "{how}: gptq {fed}, nearest {nearest}");
    }
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
