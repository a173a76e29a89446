//! `quantize-weights`.

use super::{proven, run};

const LAYERS: &str = r#"
    <ir_version: 8, opset_import: ["" : 17]>
    g (float[N,3,8,8] x) => (float[N,16,10] y)
    <float[16,3,3,3] w = normal(seed=1), float[16] b = normal(seed=2), float[36,10] m = normal(seed=3), float[4,1,1,1] tiny = normal(seed=4)>
    {
      c = Conv(x, w, b)
      s = Reshape(c, shape)
      y = MatMul(s, m)
      shape = Constant <value_ints = [-1, 16, 36]> ()
    }"#;

#[test]
fn layers_read_their_weights_through_dequantize_linear() {
    insta::assert_snapshot!(proven("quantize-weights", LAYERS), @r#"
    <ir_version: 8, opset_import: ["" : 17]>
    g (float[N,3,8,8] x) => (float[N,16,10] y)
    <
      int8[16,3,3,3] w_quantized = elided("sha256:1b2676e5205552cf"),
      float[16] w_scale = {0.01695634, 0.018619427, 0.013859986, 0.014562772, 0.015077387, 0.019408356, 0.018957727, 0.016018126, 0.018167187, 0.016963884, 0.016449174, 0.019128418, 0.012699881, 0.016731372, 0.019386793, 0.015313632},
      float[16] b = {0.5802847, -1.4953256, 0.42665341, 0.16854794, -0.7854995, -0.3418555, -0.114983596, 0.95487213, 1.3025413, 0.5168173, -0.6690302, 0.806894, -0.2736855, -0.47230572, 1.3611885, -1.6060044},
      int8[36,10] m_quantized = elided("sha256:442ab5bf1df1e338"),
      float[10] m_scale = {0.017948639, 0.017571157, 0.016780589, 0.017761739, 0.020317726, 0.023126127, 0.034277298, 0.019740533, 0.017454248, 0.019728478},
      float[4,1,1,1] tiny = {1.2357849, -0.33475664, 1.0486782, 0.70084286}
    >
    {
      w = DequantizeLinear <axis = 0> (w_quantized, w_scale)
      c = Conv(x, w, b)
      m = DequantizeLinear <axis = 1> (m_quantized, m_scale)
      shape = Constant <value = int64[3] {-1, 16, 36}> ()
      s = Reshape(c, shape)
      y = MatMul(s, m)
    }
    "#);
}

#[test]
fn one_scale_for_all_and_a_zero_point() {
    insta::assert_snapshot!(proven("quantize-weights{form=cast, symmetric=false, rounding=mse}", LAYERS), @r#"
    <ir_version: 8, opset_import: ["" : 17]>
    g (float[N,3,8,8] x) => (float[N,16,10] y)
    <
      uint8[16,3,3,3] w_quantized = elided("sha256:ba70a76b06850c7d"),
      float[16,1,1,1] w_scale = {0.014063831, 0.01633807, 0.012296217, 0.013354565, 0.013829179, 0.014978849, 0.016776087, 0.014035318, 0.016490893, 0.01434315, 0.016228732, 0.01765289, 0.012028117, 0.0131878285, 0.016074559, 0.011932776},
      float[16,1,1,1] w_zero_point = {153, 110, 143, 117, 138, 165, 144, 145, 114, 150, 129, 118, 120, 94, 102, 164},
      float[16] b = {0.5802847, -1.4953256, 0.42665341, 0.16854794, -0.7854995, -0.3418555, -0.114983596, 0.95487213, 1.3025413, 0.5168173, -0.6690302, 0.806894, -0.2736855, -0.47230572, 1.3611885, -1.6060044},
      uint8[36,10] m_quantized = elided("sha256:67c492e14b173eb1"),
      float[10] m_scale = {0.016292417, 0.01488652, 0.013639925, 0.015840085, 0.019176478, 0.017332848, 0.025566362, 0.018762408, 0.01732942, 0.018046405},
      float[10] m_zero_point = {115, 150, 156, 142, 120, 169, 85, 134, 127, 139},
      float[4,1,1,1] tiny = {1.2357849, -0.33475664, 1.0486782, 0.70084286}
    >
    {
      cast = Cast <to = 1> (w_quantized)
      sub = Sub(cast, w_zero_point)
      w = Mul(sub, w_scale)
      c = Conv(x, w, b)
      cast_1 = Cast <to = 1> (m_quantized)
      sub_1 = Sub(cast_1, m_zero_point)
      m = Mul(sub_1, m_scale)
      shape = Constant <value = int64[3] {-1, 16, 36}> ()
      s = Reshape(c, shape)
      y = MatMul(s, m)
    }
    notice: `w` and 1 more decoded by Cast and Mul, which runtimes fold when they load the model: 4 kB of floats in memory from then on
    "#);
    insta::assert_snapshot!(proven("quantize-weights{granularity=tensor, symmetric=false, only=[w], rounding=mse}", LAYERS), @r#"
    <ir_version: 8, opset_import: ["" : 17]>
    g (float[N,3,8,8] x) => (float[N,16,10] y)
    <
      uint8[16,3,3,3] w_quantized = elided("sha256:aca3e34498ff3c6b"),
      float w_scale = {0.019342862},
      uint8 w_zero_point = {128},
      float[16] b = {0.5802847, -1.4953256, 0.42665341, 0.16854794, -0.7854995, -0.3418555, -0.114983596, 0.95487213, 1.3025413, 0.5168173, -0.6690302, 0.806894, -0.2736855, -0.47230572, 1.3611885, -1.6060044},
      float[36,10] m = elided("sha256:3b6ea3ea580a5fde"),
      float[4,1,1,1] tiny = {1.2357849, -0.33475664, 1.0486782, 0.70084286}
    >
    {
      w = DequantizeLinear(w_quantized, w_scale, w_zero_point)
      c = Conv(x, w, b)
      shape = Constant <value = int64[3] {-1, 16, 36}> ()
      s = Reshape(c, shape)
      y = MatMul(s, m)
    }
    left: m: `only` does not name it
    "#);
}

#[test]
fn four_and_sixteen_bits_take_a_newer_opset() {
    insta::assert_snapshot!(proven("quantize-weights{bits=4}", LAYERS), @r#"
    <ir_version: 10, opset_import: ["" : 21]>
    g (float[N,3,8,8] x) => (float[N,16,10] y)
    <
      int4[16,3,3,3] w_quantized = elided("sha256:3d8b75e106f30c04"),
      float[16] w_scale = {0.2691819, 0.3378096, 0.22002728, 0.26421028, 0.23935352, 0.30810764, 0.30095392, 0.25428775, 0.32960466, 0.26930165, 0.2925457, 0.34704417, 0.23041213, 0.30355492, 0.3517318, 0.2431039},
      float[16] b = {0.5802847, -1.4953256, 0.42665341, 0.16854794, -0.7854995, -0.3418555, -0.114983596, 0.95487213, 1.3025413, 0.5168173, -0.6690302, 0.806894, -0.2736855, -0.47230572, 1.3611885, -1.6060044},
      int4[36,10] m_quantized = elided("sha256:1a2036cfa2c95d35"),
      float[10] m_scale = {0.32563958, 0.2789421, 0.26639184, 0.2819676, 0.3686216, 0.36712727, 0.6218881, 0.32431647, 0.31666994, 0.3131896},
      float[4,1,1,1] tiny = {1.2357849, -0.33475664, 1.0486782, 0.70084286}
    >
    {
      w = DequantizeLinear <axis = 0> (w_quantized, w_scale)
      c = Conv(x, w, b)
      m = DequantizeLinear <axis = 1> (m_quantized, m_scale)
      shape = Constant <value = int64[3] {-1, 16, 36}> ()
      s = Reshape(c, shape)
      y = MatMul(s, m)
    }
    notice: the model goes from opset 17 to 21, which its codes need
    "#);
    insta::assert_snapshot!(proven("quantize-weights{bits=16, symmetric=false, keep=[c]}", LAYERS), @r#"
    <ir_version: 10, opset_import: ["" : 21]>
    g (float[N,3,8,8] x) => (float[N,16,10] y)
    <
      float[16,3,3,3] w = elided("sha256:b5045452d58a7397"),
      float[16] b = {0.5802847, -1.4953256, 0.42665341, 0.16854794, -0.7854995, -0.3418555, -0.114983596, 0.95487213, 1.3025413, 0.5168173, -0.6690302, 0.806894, -0.2736855, -0.47230572, 1.3611885, -1.6060044},
      uint16[36,10] m_quantized = elided("sha256:0ee97d59158f4fdc"),
      float[10] m_scale = {6.325853e-5, 5.7914578e-5, 5.305135e-5, 6.1615596e-5, 7.464709e-5, 6.749065e-5, 9.942114e-5, 7.289636e-5, 6.742675e-5, 7.009113e-5},
      uint16[10] m_zero_point = {29501, 38532, 40171, 36610, 30968, 43517, 21749, 34392, 32659, 35747},
      float[4,1,1,1] tiny = {1.2357849, -0.33475664, 1.0486782, 0.70084286}
    >
    {
      c = Conv(x, w, b)
      m = DequantizeLinear <axis = 1> (m_quantized, m_scale, m_zero_point)
      shape = Constant <value = int64[3] {-1, 16, 36}> ()
      s = Reshape(c, shape)
      y = MatMul(s, m)
    }
    left: w: `keep` names it
    notice: the model goes from opset 17 to 21, which its codes need
    "#);
}

#[test]
fn rows_become_floats_behind_the_lookup() {
    insta::assert_snapshot!(proven("quantize-weights", r#"
        <ir_version: 7, opset_import: ["" : 12]>
        g (int64[N,S] at) => (float[N,S,24] y, z)
        <float[50,24] table = normal(seed=1)>
        {
          y = Gather(table, at)
          e = Gather(table, at)
          z = Neg(e)
        }"#), @r#"
    <ir_version: 7, opset_import: ["" : 13]>
    g (int64[N,S] at) => (float[N,S,24] y, z)
    <
      int8[50,24] table_quantized = elided("sha256:32288da2223d3209"),
      float[24] table_scale = elided("sha256:e38fb2ff4da63999")
    >
    {
      y_quantized = Gather(table_quantized, at)
      y = DequantizeLinear <axis = -1> (y_quantized, table_scale)
      e_quantized = Gather(table_quantized, at)
      e = DequantizeLinear <axis = -1> (e_quantized, table_scale)
      z = Neg(e)
    }
    notice: output `z`: its type is not declared
      z
    notice: the model goes from opset 12 to 13, which its codes need
    "#);
}

#[test]
fn a_weight_that_is_shared_stays_so() {
    insta::assert_snapshot!(proven("quantize-weights", r#"
        <ir_version: 8, opset_import: ["" : 17]>
        g (int64[N] at, bool c) => (float[N,50] y, float[N,24] k)
        <float[50,24] table = normal(seed=1)>
        {
          e = Gather(table, at)
          t = Transpose <perm = [1, 0]> (table)
          y = MatMul(e, t)
          k = If(c) <
            then_branch = a () => (r) { q = MatMul(y, table) r = Neg(q) },
            else_branch = b () => (e2) <float[24,24] own = normal(seed=2)> { e2 = MatMul(e, own) }
          >
        }"#), @r#"
    <ir_version: 8, opset_import: ["" : 17]>
    g (int64[N] at, bool c) => (float[N,50] y, float[N,24] k)
    <
      int8[50,24] table_quantized = elided("sha256:32288da2223d3209"),
      float[24] table_scale = elided("sha256:e38fb2ff4da63999")
    >
    {
      table = DequantizeLinear <axis = 1> (table_quantized, table_scale)
      e = Gather(table, at)
      t = Transpose <perm = [1, 0]> (table)
      y = MatMul(e, t)
      k = If(c) <
        then_branch = a () => (r) {
          q = MatMul(y, table)
          r = Neg(q)
        },
        else_branch = b () => (e2)
        <
          int8[24,24] own_quantized = elided("sha256:f120099a12d15ba7"),
          float[24] own_scale = elided("sha256:b0cef15ca46ec46a")
        >
        {
          own = DequantizeLinear <axis = 1> (own_quantized, own_scale)
          e2 = MatMul(e, own)
        }
      >
    }
    "#);
}

#[test]
fn recurrent_layers_have_two_weights() {
    insta::assert_snapshot!(proven("quantize-weights", r#"
        <ir_version: 8, opset_import: ["" : 14]>
        g (float[5,N,8] x) => (y)
        <float[2,32,8] w = normal(seed=1), float[2,32,8] r = normal(seed=2), float[2,64] b = normal(seed=3)>
        {
          y = LSTM <hidden_size = 8, direction = "bidirectional"> (x, w, r, b)
        }"#), @r#"
    <ir_version: 8, opset_import: ["" : 14]>
    g (float[5,N,8] x) => (y)
    <
      int8[2,32,8] r_quantized = elided("sha256:a7bcb5ac042eb645"),
      int8[2,32,8] w_quantized = elided("sha256:b79f7fab6fc749c5"),
      float[32] w_scale = elided("sha256:7943b49f94d320f0"),
      float[32] r_scale = elided("sha256:3e624048c89879b7"),
      float[2,64] b = elided("sha256:c834f14630cbeaf3")
    >
    {
      w = DequantizeLinear <axis = 1> (w_quantized, w_scale)
      r = DequantizeLinear <axis = 1> (r_quantized, r_scale)
      y = LSTM <hidden_size = 8, direction = "bidirectional"> (x, w, r, b)
    }
    notice: output `y`: its type is not declared
      y
    "#);
}

#[test]
fn functions_and_their_callers() {
    let numbers: Vec<String> = (0..192).map(|index| (index % 17).to_string()).collect();
    let graph = r#"
        <ir_version: 10, opset_import: ["" : 21, "own" : 1]>
        g (float[N,24] x) => (float[N,24] y) <float[24,8] given = normal(seed=1)> {
          h = own.layer(x, given)
          y = own.layer(h, given)
        }
        <domain: "own", opset_import: ["" : 21]>
        layer (x, w) => (y) {
          v = Constant <value = float[8,24] {NUMBERS}> ()
          h = MatMul(x, w)
          y = MatMul(h, v)
        }"#;
    insta::assert_snapshot!(proven("quantize-weights{granularity=tensor}", &graph.replace("NUMBERS", &numbers.join(", "))), @r#"
    <ir_version: 10, opset_import: ["" : 21, "own" : 1]>
    g (float[N,24] x) => (float[N,24] y)
    <int8[24,8] given_quantized = elided("sha256:1e1b341bfd99d33a"), float given_scale = {0.019408356}>
    {
      given = DequantizeLinear(given_quantized, given_scale)
      h = own.layer(x, given)
      y = own.layer(h, given)
    }

    <domain: "own", opset_import: ["" : 21]>
    layer (x, w) => (y) {
      h = MatMul(x, w)
      v_quantized = Constant <value = int8[8,24] = elided("sha256:f978141f77f4ff25")> ()
      v_scale = Constant <value = float {0.12598425}> ()
      v = DequantizeLinear(v_quantized, v_scale)
      y = MatMul(h, v)
    }
    "#);
}

#[test]
fn what_has_to_stay_is_listed() {
    insta::assert_snapshot!(proven("quantize-weights", r#"
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[24,24] x, float[24,24] open = normal(seed=9), double[24,24] d) => (y, z, float[24,24] out, v, u, n)
        <float[24,24] out = normal(seed=1), float[24,2] small = normal(seed=2), double[24,24] wide = normal(seed=3), float[24,24] added = normal(seed=4), float[24,24] bad = splat(inf)>
        {
          y = MatMul(x, out)
          z = MatMul(x, small)
          h = MatMul(x, open)
          v = MatMul(d, wide)
          u = Add(h, added)
          n = MatMul(x, bad)
        }"#), @r#"
    <ir_version: 8, opset_import: ["" : 17]>
    g (float[24,24] x, float[24,24] open = elided("sha256:c9d3696f2cb4ca6a"), double[24,24] d) => (
      y,
      z,
      float[24,24] out,
      v,
      u,
      n
    )
    <
      float[24,24] out = elided("sha256:3cfb590b0e7e56ec"),
      int8[24,2] small_quantized = elided("sha256:0c93de476fc61d3d"),
      float[2] small_scale = {0.016007718, 0.012645704},
      double[24,24] wide = elided("sha256:0331ebd0ca66f7a0"),
      float[24,24] added = elided("sha256:e88a11b828a08129"),
      float[24,24] bad = splat(inf)
    >
    {
      y = MatMul(x, out)
      small = DequantizeLinear <axis = 1> (small_quantized, small_scale)
      z = MatMul(x, small)
      h = MatMul(x, open)
      v = MatMul(d, wide)
      u = Add(h, added)
      n = MatMul(x, bad)
    }
    left: out: a graph output gives it out
    left: wide: nothing makes double of codes
    left: added: Add reads it, which multiplies no matrix by it
    left: open: callers may give another value
    left: bad: it holds a NaN or an infinity
    notice: output `y`: its type is not declared
      y
    notice: output `z`: its type is not declared
      z
    notice: output `v`: its type is not declared
      v
    notice: output `u`: its type is not declared
      u
    notice: output `n`: its type is not declared
      n
    "#);
}

#[test]
fn an_old_model_that_cannot_go_on_has_one_scale_a_weight() {
    insta::assert_snapshot!(proven("quantize-weights", r#"
        <ir_version: 8, opset_import: ["" : 11, "own" : 1]>
        g (float[N,24] x) => (float[N,24] y)
        <float[24,24] w = normal(seed=1)>
        {
          h = MatMul(x, w)
          y = own.soft <axis = 1> (h)
        }
        <domain: "own", opset_import: ["" : 11]>
        soft <axis> (x) => (y) {
          y = Softmax <axis: int = @axis> (x)
        }"#), @r#"
    <ir_version: 8, opset_import: ["" : 11, "own" : 1]>
    g (float[N,24] x) => (float[N,24] y)
    <int8[24,24] w_quantized = elided("sha256:58602b0215d05b51"), float w_scale = {0.022257295}>
    {
      w = DequantizeLinear(w_quantized, w_scale)
      h = MatMul(x, w)
      y = own.soft <axis = 1> (h)
    }

    <domain: "own", opset_import: ["" : 11]>
    soft <axis> (x) => (y) {
      y = Softmax <axis: int = @axis> (x)
    }
    notice: opset 12 is as far as the model goes, so its weights have one scale each
    "#);
}

#[test]
fn nothing_is_done_twice() {
    let (model, _) = run("quantize-weights", LAYERS, "");
    insta::assert_snapshot!(proven("quantize-weights", &model.to_text()), @r"
    unchanged
    notice: the model is quantized already: it has 2 nodes as DequantizeLinear
    ");
}

#[test]
fn a_plan_is_repeated_and_may_be_edited() {
    let (model, report) = run("quantize-weights", LAYERS, "");
    let plan = report.unwrap().passes[0].plan.clone().unwrap();
    let (again, report) = run("apply-plan{file=plan.json}", LAYERS, &plan.to_string());
    assert!(report.unwrap().changed);
    assert_eq!(again.to_text(), model.to_text());

    let tried = |edit: &dyn Fn(&mut serde_json::Value)| {
        let mut plan = plan.clone();
        edit(&mut plan);
        match run("apply-plan{file=plan.json}", LAYERS, &plan.to_string()) {
            (model, Ok(_)) => model
                .to_text()
                .lines()
                .find(|line| line.contains("w_quantized"))
                .map_or(String::new(), |line| line.chars().take(40).collect()),
            (_, Err(error)) => error,
        }
    };
    insta::assert_snapshot!(tried(&|plan| plan["layers"][0]["codes"] = "uint16".into()), @"  uint16[16,3,3,3] w_quantized = {54441,");
    insta::assert_snapshot!(tried(&|plan| plan["layers"][0]["codes"] = "int".into()), @"apply-plan{file=plan.json}: plan `plan.json`: weight `w`: `int` is no type of codes");
    insta::assert_snapshot!(tried(&|plan| plan["layers"][0]["codes"] = "float".into()), @"apply-plan{file=plan.json}: plan `plan.json`: weight `w`: opset 17, as far as the model goes, has no such codes");
    insta::assert_snapshot!(tried(&|plan| plan["layers"][0]["axis"] = 7.into()), @"apply-plan{file=plan.json}: plan `plan.json`: weight `w`: `7` is no axis of it");
    insta::assert_snapshot!(tried(&|plan| plan["layers"][0]["id"] = 7.into()), @"apply-plan{file=plan.json}: plan `plan.json`: weight 7 `w` is none of the model's");
    insta::assert_snapshot!(tried(&|plan| plan["layers"][1] = plan["layers"][0].clone()), @"apply-plan{file=plan.json}: plan `plan.json`: weight 0 `w` stands there twice");
    insta::assert_snapshot!(tried(&|plan| plan["model"] = "another".into()), @"apply-plan{file=plan.json}: plan `plan.json`: it was made for another model (digest another, found 9441eca1f6bbd57e542ff7e1e63d2d1aad7618f78d7818296be13118ac69fafe)");
    insta::assert_snapshot!(tried(&|plan| plan["schema"] = 2.into()), @"apply-plan{file=plan.json}: plan `plan.json`: it is of format 2, expected 1");
    insta::assert_snapshot!(tried(&|plan| plan["layer"] = 2.into()), @"apply-plan{file=plan.json}: plan `plan.json`: unknown field `layer`, expected one of `schema`, `pass`, `model`, `data`, `damping`, `layers`, `left`");
}

#[test]
fn what_cannot_be_met_is_refused() {
    insta::assert_snapshot!(proven("quantize-weights{keep=[nobody*]}", LAYERS), @"the pattern `nobody*` matches no weight and no layer");
    let passes = onnxpress_passes::builtin().unwrap();
    let refused = |text: &str| passes.pipeline(text).map(|_| ()).unwrap_err().to_string();
    insta::assert_snapshot!(refused("quantize-weights{bits=9}"), @"`quantize-weights`: option `bits` takes `2`, `3`, `4`, `8` or `16`, found `9` (at byte 22 of the pipeline)");
    insta::assert_snapshot!(refused("quantize-weights{granularity=row}"), @"`quantize-weights`: option `granularity` takes `tensor` or `channel`, found `row` (at byte 29 of the pipeline)");
}
