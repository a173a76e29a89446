//! `dequantize`.

use super::{proven, run};

/// Quantizes, dequantizes, and proves the way back; answers the model.
fn there_and_back(pipeline: &str, graph: &str) -> String {
    let (model, report) = run(pipeline, graph, "");
    assert!(report.unwrap().changed);
    proven("dequantize", &model.to_text())
}

const LAYERS: &str = r#"
    <ir_version: 8, opset_import: ["" : 17]>
    g (float[N,24] x, int64[N] at) => (float[N,8] y, float[N,24] e)
    <float[24,24] w = normal(seed=1), float[24,8] v = normal(seed=2), float[8] b = normal(seed=3), float[50,24] table = normal(seed=4)>
    {
      h = MatMul(x, w)
      r = Relu(h)
      y = Gemm(r, v, b)
      e = Gather(table, at)
    }"#;

#[test]
fn weights_have_the_numbers_that_codes_stand_for() {
    insta::assert_snapshot!(there_and_back("quantize-weights{granularity=tensor}", LAYERS), @r#"
    <ir_version: 8, opset_import: ["" : 17]>
    g (float[N,24] x, int64[N] at) => (float[N,8] y, float[N,24] e)
    <
      float[24,24] w = elided("sha256:f4c0bac3f7628cde"),
      float[8] b = {0.16602525, 0.11929144, 0.5103543, -0.07833039, -0.2179262, -0.35897505, -0.9920161, 1.1369699},
      float[24,8] v = elided("sha256:8d9f9c550bc662cf"),
      float[50,24] table = elided("sha256:126f21d775cb855f")
    >
    {
      h = MatMul(x, w)
      r = Relu(h)
      y = Gemm(r, v, b)
      e = Gather(table, at)
    }
    "#);
    insta::assert_snapshot!(there_and_back("quantize-weights{bits=4, block=8, symmetric=false}", LAYERS), @r#"
    <ir_version: 10, opset_import: ["" : 21]>
    g (float[N,24] x, int64[N] at) => (float[N,8] y, float[N,24] e)
    <
      float[24,24] w = elided("sha256:18af2da139ab77d7"),
      float[8] b = {0.16602525, 0.11929144, 0.5103543, -0.07833039, -0.2179262, -0.35897505, -0.9920161, 1.1369699},
      float[24,8] v = elided("sha256:c36157e1c3258958"),
      float[50,24] table = elided("sha256:4c7a80e65b627316")
    >
    {
      h = MatMul(x, w)
      r = Relu(h)
      y = Gemm(r, v, b)
      e = Gather(table, at)
    }
    "#);
}

#[test]
fn dynamic_products_are_of_floats_again() {
    insta::assert_snapshot!(there_and_back("quantize-dynamic", LAYERS), @r#"
    <ir_version: 8, opset_import: ["" : 17]>
    g (float[N,24] x, int64[N] at) => (float[N,8] y, float[N,24] e)
    <
      float[24,24] w = elided("sha256:a988c11bf6b43366"),
      float[8] b = {0.16602525, 0.11929144, 0.5103543, -0.07833039, -0.2179262, -0.35897505, -0.9920161, 1.1369699},
      float[24,8] v = elided("sha256:0db9a7a53a4f88ea"),
      float[50,24] table = elided("sha256:626bba48d1dce0ba")
    >
    {
      h = MatMul(x, w)
      r = Relu(h)
      mul_2 = MatMul(r, v)
      y = Add(mul_2, b)
      e = Gather(table, at)
    }
    "#);
    insta::assert_snapshot!(there_and_back("quantize-dynamic{convolutions=integer}", r#"
        <ir_version: 7, opset_import: ["" : 13]>
        g (float[N,16,6,6] x) => (float[N,16,6,6] y)
        <float[16,16,3,3] w = normal(seed=1), float[16] b = normal(seed=2)>
        {
          y = Conv <pads = [1, 1, 1, 1]> (x, w, b)
        }"#), @r#"
    <ir_version: 7, opset_import: ["" : 13]>
    g (float[N,16,6,6] x) => (float[N,16,6,6] y)
    <
      float[16,16,3,3] w = elided("sha256:87079dcb9c7efb88"),
      float[16,1,1] b = {0.5802847, -1.4953256, 0.42665341, 0.16854794, -0.7854995, -0.3418555, -0.114983596, 0.95487213, 1.3025413, 0.5168173, -0.6690302, 0.806894, -0.2736855, -0.47230572, 1.3611885, -1.6060044}
    >
    {
      mul_1 = Conv <pads = [1, 1, 1, 1]> (x, w)
      y = Add(mul_1, b)
    }
    "#);
}

#[test]
fn activations_keep_to_their_range() {
    insta::assert_snapshot!(proven("dequantize", r#"
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[N,4] x) => (float[4,N] y)
        <float xs = splat(0.0078125), uint8 xz = splat(128), int8[4,4] w = {10, 20, 30, 40, 50, 60, 70, 80, 90, -10, -20, -30, -40, -50, -60, -70}, float[4] ws = splat(0.01), float ys = splat(0.02), uint8 yz = splat(0)>
        {
          xq = QuantizeLinear(x, xs, xz)
          xd = DequantizeLinear(xq, xs, xz)
          wd = DequantizeLinear <axis = 1> (w, ws)
          h = MatMul(xd, wd)
          hq = QuantizeLinear(h, ys, yz)
          t = Transpose <perm = [1, 0]> (hq)
          y = DequantizeLinear(t, ys, yz)
        }"#), @r#"
    <ir_version: 8, opset_import: ["" : 17]>
    g (float[N,4] x) => (float[4,N] y)
    <
      float constant = {-1},
      float constant_1 = {0.9921875},
      float[4,4] wd = {0.099999994, 0.19999999, 0.29999998, 0.39999998, 0.5, 0.59999996, 0.7, 0.79999995, 0.9, -0.099999994, -0.19999999, -0.29999998, -0.39999998, -0.5, -0.59999996, -0.7},
      float constant_2 = {0},
      float constant_3 = {5.1}
    >
    {
      xd = Clip(x, constant, constant_1)
      h = MatMul(xd, wd)
      clip = Clip(h, constant_2, constant_3)
      y = Transpose <perm = [1, 0]> (clip)
    }
    "#);
}

#[test]
fn operators_on_codes_become_operators_on_floats() {
    insta::assert_snapshot!(proven("dequantize", r#"
        <ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
        g (float[N,2,4,4] x) => (float[N,2,4,4] y, float[N,4,4,4] c)
        <float s = splat(0.02), uint8 z = splat(100), int8[2,2,1,1] w = {10, -20, 30, 40}, float[2] ws = {0.01, 0.02}, int8[2] wz = {0, 0}, int32[2] b = {100, -200}, float[1] one = {0.03}>
        {
          q = QuantizeLinear(x, s, z)
          k = QLinearConv(q, s, z, w, ws, wz, s, z, b)
          a = com.microsoft.QLinearAdd(k, s, z, q, s, z, s, z)
          y = DequantizeLinear(a, s, z)
          j = com.microsoft.QLinearConcat <axis = 1> (s, z, a, s, z, q, s, z)
          c = DequantizeLinear(j, s, z)
        }"#), @r#"
    <ir_version: 8, opset_import: ["" : 17]>
    g (float[N,2,4,4] x) => (float[N,2,4,4] y, float[N,4,4,4] c)
    <
      float constant = {-2},
      float[2,2,1,1] w_float = {0.099999994, -0.19999999, 0.59999996, 0.79999995},
      float[2] b = {0.02, -0.08},
      float constant_1 = {3.1},
      float constant_2 = {-2},
      float constant_3 = {3.1},
      float constant_4 = {-2},
      float constant_5 = {3.1},
      float constant_6 = {-2},
      float constant_7 = {3.1}
    >
    {
      clip = Clip(x, constant, constant_1)
      conv = Conv(clip, w_float, b)
      clip_1 = Clip(conv, constant_2, constant_3)
      add = Add(clip_1, clip)
      y = Clip(add, constant_4, constant_5)
      concat = Concat <axis = 1> (y, clip)
      c = Clip(concat, constant_6, constant_7)
    }
    "#);
}

#[test]
fn what_moves_codes_for_several_readers_moves_floats_once() {
    insta::assert_snapshot!(proven("dequantize", r#"
        <ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
        g (float[N,2,4,4] x) => (float[N,2,4,4] y, float[N,2,4,4] d, uint8[N,2,4,4] t)
        <float s = splat(0.02), uint8 z = splat(100), float wide = splat(0.05)>
        {
          q = QuantizeLinear(x, s, z)
          [move] m = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (q)
          a = com.microsoft.QLinearAdd(m, s, z, m, s, z, s, z)
          y = DequantizeLinear(a, s, z)
          d = DequantizeLinear(m, wide, z)
          t = Transpose <perm = [0, 1, 3, 2]> (m)
        }"#), @r#"
    <ir_version: 8, opset_import: ["" : 17]>
    g (float[N,2,4,4] x) => (float[N,2,4,4] y, float[N,2,4,4] d, uint8[N,2,4,4] t)
    <
      float s = {0.02},
      uint8 z = {100},
      float constant = {-2},
      float constant_1 = {3.1},
      float wide = {0.05},
      float constant_2 = {-2},
      float constant_3 = {3.1}
    >
    {
      q = QuantizeLinear(x, s, z)
      [move] m = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (q)
      dequantizelinear = DequantizeLinear(q, wide, z)
      d = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (dequantizelinear)
      clip = Clip(x, constant, constant_1)
      maxpool = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (clip)
      add = Add(maxpool, maxpool)
      y = Clip(add, constant_2, constant_3)
      t = Transpose <perm = [0, 1, 3, 2]> (m)
    }
    left: QuantizeLinear `q`: it is not written in a form that is known
    left: DequantizeLinear: it is not written in a form that is known
    "#);
}

#[test]
fn codes_that_are_their_own_zero_points_stay() {
    let text = proven(
        "dequantize",
        r#"
        <ir_version: 8, opset_import: ["" : 17]>
        g (float x) => (float y, float z)
        <float s = {0.02}, uint8 k = {100}, int64[0] none = {}>
        {
          q = QuantizeLinear(x, s, k)
          m = Reshape(q, none)
          a = DequantizeLinear(m, s, m)
          b = DequantizeLinear(m, s, m)
          y = Neg(a)
          z = Abs(b)
        }"#,
    );
    assert!(text.starts_with("unchanged"), "{text}");
}

#[test]
fn what_is_no_form_that_is_known_stays() {
    insta::assert_snapshot!(proven("dequantize", r#"
        <ir_version: 8, opset_import: ["" : 17]>
        g (uint8[N,4] q) => (float[N,4] y, int32[N,2] i)
        <float s = splat(0.02), uint8 z = splat(100), int8[4,2] w = {10, -20, 30, 40, 1, 2, 3, 4}>
        {
          y = DequantizeLinear(q, s, z)
          i = MatMulInteger(q, w, z)
        }"#), @r"
    unchanged
    left: MatMulInteger `i`: its first operand is not what DynamicQuantizeLinear gives
    left: DequantizeLinear `y`: it is not written in a form that is known
    ");
}

#[test]
fn codes_that_arithmetic_decodes_become_constants() {
    insta::assert_snapshot!(there_and_back("quantize-weights{form=cast, symmetric=false}", LAYERS), @r#"
    <ir_version: 8, opset_import: ["" : 17]>
    g (float[N,24] x, int64[N] at) => (float[N,8] y, float[N,24] e)
    <
      float[24,24] w = elided("sha256:3ae71a8839bc0f6a"),
      float[8] b = {0.16602525, 0.11929144, 0.5103543, -0.07833039, -0.2179262, -0.35897505, -0.9920161, 1.1369699},
      float[24,8] v = elided("sha256:859da76118259685"),
      float[50,24] table = elided("sha256:37ab32606d7f73d1")
    >
    {
      h = MatMul(x, w)
      r = Relu(h)
      y = Gemm(r, v, b)
      e = Gather(table, at)
    }
    "#);
    insta::assert_snapshot!(there_and_back("quantize-weights{form=cast, bits=4, block=8}", LAYERS), @r#"
    <ir_version: 10, opset_import: ["" : 21]>
    g (float[N,24] x, int64[N] at) => (float[N,8] y, float[N,24] e)
    <
      float[24,24] w = elided("sha256:cb29a2d440ae2596"),
      float[8] b = {0.16602525, 0.11929144, 0.5103543, -0.07833039, -0.2179262, -0.35897505, -0.9920161, 1.1369699},
      float[24,8] v = elided("sha256:9d7197e86381bcf8"),
      float[50,24] table = elided("sha256:aa2f2506d8780a81")
    >
    {
      h = MatMul(x, w)
      r = Relu(h)
      y = Gemm(r, v, b)
      e = Gather(table, at)
    }
    "#);
    insta::assert_snapshot!(there_and_back("quantize-weights{type=nf4, block=8, only=[w]}", LAYERS), @r#"
    <ir_version: 10, opset_import: ["" : 21]>
    g (float[N,24] x, int64[N] at) => (float[N,8] y, float[N,24] e)
    <
      float[24,24] w = elided("sha256:05b543113290381c"),
      float[24,8] v = elided("sha256:ca00716b5b2165a9"),
      float[8] b = {0.16602525, 0.11929144, 0.5103543, -0.07833039, -0.2179262, -0.35897505, -0.9920161, 1.1369699},
      float[50,24] table = elided("sha256:8922a0d565ac989c")
    >
    {
      h = MatMul(x, w)
      r = Relu(h)
      y = Gemm(r, v, b)
      e = Gather(table, at)
    }
    "#);
}

#[test]
fn a_bias_is_decoded_by_scales_of_sixteen_bits() {
    insta::assert_snapshot!(proven("dequantize", r#"
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[N,2,4,4] x) => (float[N,2,4,4] y)
        <float s = splat(0.5), uint8 z = splat(100), int8[2,2,1,1] w = {10, -20, 30, 40}, float16[2] h = {0.25, 0.5}, int8[2] wz = {0, 0}, int32[2] b = {100, -200}>
        {
          ws = Cast <to = 1> (h)
          q = QuantizeLinear(x, s, z)
          k = QLinearConv(q, s, z, w, ws, wz, s, z, b)
          y = DequantizeLinear(k, s, z)
        }"#), @r#"
    <ir_version: 8, opset_import: ["" : 17]>
    g (float[N,2,4,4] x) => (float[N,2,4,4] y)
    <
      float constant = {-50},
      float[2,2,1,1] w_float = {2.5, -5, 15, 20},
      float[2] b = {12.5, -50},
      float constant_1 = {77.5},
      float constant_2 = {-50},
      float constant_3 = {77.5}
    >
    {
      clip = Clip(x, constant, constant_1)
      conv = Conv(clip, w_float, b)
      y = Clip(conv, constant_2, constant_3)
    }
    "#);
}

#[test]
fn what_stays_in_codes_is_rounded_as_before() {
    insta::assert_snapshot!(proven("dequantize", r#"
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[N,2,4,4] x, float[2] given) => (float[N,2,4,4] y)
        <float s = splat(0.02), uint8 z = splat(100), int8[2,2,1,1] w = {10, -20, 30, 40}, float[2] ws = {0.01, 0.02}, int8[2] wz = {0, 0}, float[1] one = {0.03}>
        {
          q = QuantizeLinear(x, s, z)
          p = DequantizeLinear(q, s, z)
          r = Relu(p)
          t = QuantizeLinear(r, s, z)
          k = QLinearConv(t, s, z, w, given, wz, s, z)
          y = DequantizeLinear(k, s, z)
        }"#), @r#"
    <ir_version: 8, opset_import: ["" : 17]>
    g (float[N,2,4,4] x, float[2] given) => (float[N,2,4,4] y)
    <
      float s = {0.02},
      uint8 z = {100},
      float constant = {-2},
      float constant_1 = {3.1},
      int8[2,2,1,1] w = {10, -20, 30, 40},
      int8[2] wz = {0, 0}
    >
    {
      p = Clip(x, constant, constant_1)
      r = Relu(p)
      t = QuantizeLinear(r, s, z)
      k = QLinearConv(t, s, z, w, given, wz, s, z)
      y = DequantizeLinear(k, s, z)
    }
    left: QLinearConv `k`: operand 3 has several scales and is no constant
    left: QuantizeLinear `t`: it is not written in a form that is known
    left: DequantizeLinear `y`: it is not written in a form that is known
    "#);
}

#[test]
fn what_dynamic_scales_round_is_held_to_the_whole() {
    let text = r#"
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[N,64] x) => (float[N,32] y) <float[64,32] w = normal(seed=1)> { y = MatMul(x, w) }"#;
    let (_, report) = run("quantize-dynamic,dequantize", text, "");
    let points = report.unwrap().checkpoints;
    let links: Vec<_> = points.iter().map(|point| (point.passes.join(","), point.is_witness)).collect();
    assert_eq!(links, [("quantize-dynamic".to_owned(), true), ("dequantize".to_owned(), true)]);
}
