#![allow(clippy::unwrap_used, clippy::panic)]

use onnxpress_ir::Model;
use onnxpress_ir::text::{Form, print_model};

use crate::quantize::testing::{error, run, typed};

/// Layers of several kinds, and a table of rows.
const NET: &str = r#"
    <ir_version: 8, opset_import: ["" : 17]>
    net (float[N,8,6,6] x) => (float[N,12] y)
    <float[16,8,3,3] a = normal(seed=1, std=0.5), float[16] b = normal(seed=2, std=0.5), float[16,4,3,3] c = normal(seed=3, std=0.3),
     float[16,40] d = normal(seed=4, std=0.5), float[12,40] e = normal(seed=5, std=0.5), float[12] f = normal(seed=6, std=1.0),
     int64[2] k = {-1, 16}> {
        one = Conv<pads = [1, 1, 1, 1]>(x, a, b)
        relu = Relu(one)
        two = Conv<group = 4>(relu, c)
        flat = GlobalAveragePool(two)
        rows = Reshape(flat, k)
        three = MatMul(rows, d)
        y = Gemm<transB = 1>(three, e, f)
    }"#;

fn text(model: &Model) -> String {
    print_model(model, &Form { types: false, ..Form::brief() })
}

#[test]
fn places_are_looked_up_in_tables() {
    let (model, report) = run("palettize{only=[a, d]}", NET, None);
    insta::assert_snapshot!(text(&model), @r#"
    <ir_version: 10, opset_import: ["" : 21]>
    net (float[N,8,6,6] x) => (float[N,12] y)
    <
      uint4[16,8,3,3] a_codes = elided("sha256:c8a52f2f9d8baf4e"),
      float[16] a_table = {-2.1314244, -1.6143647, -1.2491621, -0.9744231, -0.7243263, -0.50571734, -0.24993527, -0.019377934, 0.19327031, 0.41010037, 0.67054945, 0.9274283, 1.1915612, 1.4653414, 1.8739272, 2.6499355},
      float[16,1,1,1] a_scale = {0.46559837, 0.46766922, 0.57036334, 0.5207199, 0.46137625, 0.41456565, 0.52893984, 0.46879146, 0.47304472, 0.4947895, 0.5220629, 0.54240185, 0.47610205, 0.5250364, 0.5138534, 0.49916744},
      float[16] b = {0.29014236, -0.7476628, 0.21332671, 0.08427397, -0.39274976, -0.17092775, -0.057491798, 0.47743607, 0.6512706, 0.25840864, -0.3345151, 0.403447, -0.13684274, -0.23615286, 0.68059427, -0.8030022},
      float[16,4,3,3] c = elided("sha256:a188aacbf53517b7"),
      float[12,40] e = elided("sha256:038b55ce41b8df5f"),
      float[12] f = {-1.233148, 0.13186626, 0.7939877, 0.4511548, 0.17302549, -1.5203902, 0.49947104, -0.45518056, -0.561509, -0.2619732, 0.7643679, -0.5008771},
      uint4[16,40] d_codes = elided("sha256:fc66618ed92ccc3c"),
      float[16] d_table = {-2.1082861, -1.6235862, -1.309808, -1.0411807, -0.74098617, -0.44695884, -0.18304653, 0.10459557, 0.3703995, 0.6417046, 0.95287365, 1.2231691, 1.4919559, 1.9706655, 2.4717817, 3.260161},
      float[40] d_scale = elided("sha256:d0af77e6a0461710"),
      int64[2] k = {-1, 16}
    >
    {
      cast = Cast <to = 6> (a_codes)
      gather = Gather(a_table, cast)
      a = Mul(gather, a_scale)
      one = Conv <pads = [1, 1, 1, 1]> (x, a, b)
      relu = Relu(one)
      two = Conv <group = 4> (relu, c)
      flat = GlobalAveragePool(two)
      rows = Reshape(flat, k)
      cast_1 = Cast <to = 6> (d_codes)
      gather_1 = Gather(d_table, cast_1)
      d = Mul(gather_1, d_scale)
      three = MatMul(rows, d)
      y = Gemm <transB = 1> (three, e, f)
    }
    "#);
    let report = report.unwrap();
    assert!(error(&report.checkpoints[0].expected, &model) < 1e-5);
    let (model, _) = run("palettize{only=[d], per=channel-group, group=20, bits=2, scale=false}", NET, None);
    insta::assert_snapshot!(text(&model), @r#"
    <ir_version: 13, opset_import: ["" : 25]>
    net (float[N,8,6,6] x) => (float[N,12] y)
    <
      float[16,8,3,3] a = elided("sha256:ecea8eb514f2cd77"),
      float[16] b = {0.29014236, -0.7476628, 0.21332671, 0.08427397, -0.39274976, -0.17092775, -0.057491798, 0.47743607, 0.6512706, 0.25840864, -0.3345151, 0.403447, -0.13684274, -0.23615286, 0.68059427, -0.8030022},
      float[16,4,3,3] c = elided("sha256:a188aacbf53517b7"),
      float[12,40] e = elided("sha256:038b55ce41b8df5f"),
      float[12] f = {-1.233148, 0.13186626, 0.7939877, 0.4511548, 0.17302549, -1.5203902, 0.49947104, -0.45518056, -0.561509, -0.2619732, 0.7643679, -0.5008771},
      uint2[16,40] d_codes = elided("sha256:9ad6df129552d14f"),
      float[8] d_table = {-0.8173522, -0.27043024, 0.17294389, 0.72544545, -0.7089002, -0.21932383, 0.20906685, 0.71461177},
      int32[40] d_begins = elided("sha256:5ca70507109333b5"),
      int64[2] k = {-1, 16}
    >
    {
      one = Conv <pads = [1, 1, 1, 1]> (x, a, b)
      relu = Relu(one)
      two = Conv <group = 4> (relu, c)
      flat = GlobalAveragePool(two)
      rows = Reshape(flat, k)
      cast = Cast <to = 6> (d_codes)
      add = Add(cast, d_begins)
      d = Gather(d_table, add)
      three = MatMul(rows, d)
      y = Gemm <transB = 1> (three, e, f)
    }
    "#);
}

#[test]
fn the_result_is_the_witness() {
    for options in [
        "",
        "bits=1",
        "bits=3, codes=quantile",
        "bits=8, codes=power-of-two",
        "bits=5, per=channel-group, group=5",
        "bits=6, init=linear, scale=false",
    ] {
        for data in [None, Some(&[8usize, 6, 6][..])] {
            let (model, report) = run(&format!("palettize{{{options}}}"), NET, data);
            let report = report.unwrap();
            assert!(report.checkpoints[0].is_witness, "{options}");
            assert!(error(&report.checkpoints[0].expected, &model) < 1e-5, "{options}");
            assert!(error(&typed(NET), &model) > 1e-5, "{options}: nothing was lost?");
        }
    }
}

#[test]
fn samples_help() {
    for bits in [2, 3, 4] {
        let lost = |data| error(&typed(NET), &run(&format!("palettize{{bits={bits}}}"), NET, data).0);
        let (alone, seen) = (lost(None), lost(Some(&[8, 6, 6])));
        assert!(seen < 0.8 * alone, "{bits} bits: {seen} of {alone}");
    }
}

#[test]
fn bad_requests_are_refused() {
    let refused = |options: &str| run(&format!("palettize{{{options}}}"), NET, None).1.unwrap_err();
    assert!(refused("bits=0").ends_with("`bits` is 0, expected 1 to 8"));
    assert!(refused("bits=9").ends_with("`bits` is 9, expected 1 to 8"));
    assert!(refused("per=channel-group, group=0").ends_with("`group` is 0, expected at least 1"));
    assert!(refused("only=[nobody]").ends_with("the pattern `nobody` matches no weight and no layer"));
}

#[test]
fn a_plan_gives_the_same_result() {
    for data in [None, Some(&[8usize, 6, 6][..])] {
        let (model, report) = run("palettize{bits=3}", NET, data);
        let plan = report.unwrap().passes[0].plan.clone().unwrap();
        let again = crate::quantize::testing::apply(&plan, NET, data);
        assert_eq!(text(&model), text(&again.unwrap()));
        if data.is_some() {
            let error = crate::quantize::testing::apply(&plan, NET, None).unwrap_err();
            assert!(error.contains("it was made with"), "{error}");
        }
    }
}
