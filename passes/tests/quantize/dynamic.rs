//! `quantize-dynamic`.

use super::{proven, run};

const LAYERS: &str = r#"
    <ir_version: 5, opset_import: ["" : 10]>
    g (float[N,48] x, int64[N] at) => (float[N,40] y, float[N,40] z)
    <float[48,32] w = normal(seed=1), float[40,32] v = normal(seed=2), float[40] b = normal(seed=3), float[200,40] table = normal(seed=4), float[32,2] small = normal(seed=5)>
    {
      h = MatMul(x, w)
      r = Relu(h)
      y = Gemm <transB = 1, alpha = 0.5, beta = 2.0> (r, v, b)
      e = Gather(table, at)
      s = MatMul(r, small)
      m = ReduceMax(s)
      z = Mul(e, m)
    }"#;

#[test]
fn products_are_of_whole_numbers_and_tables_of_bytes() {
    insta::assert_snapshot!(proven("quantize-dynamic", LAYERS), @r#"
    <ir_version: 6, opset_import: ["" : 11]>
    g (float[N,48] x, int64[N] at) => (float[N,40] y, float[N,40] z)
    <
      int8[48,32] w_quantized = elided("sha256:3416cd6e3746d0a2"),
      float[32] w_scale = elided("sha256:16df5b38ebeae589"),
      int8[32,40] v_quantized = elided("sha256:c0ef9d09d08521d8"),
      float[40] v_scale = elided("sha256:b319958156ff9a78"),
      float[40] b = elided("sha256:9d4782f7632e04b7"),
      int8[200,40] table_quantized = elided("sha256:147afcf892c2cf4d"),
      float[40] table_scale = elided("sha256:6f95727e49bcb824"),
      float[32,2] small = elided("sha256:73460b1d6b7f6475")
    >
    {
      x_quantized, x_scale, x_zero_point = DynamicQuantizeLinear(x)
      matmulinteger = MatMulInteger(x_quantized, w_quantized, x_zero_point)
      cast = Cast <to = 1> (matmulinteger)
      mul = Mul(x_scale, w_scale)
      h = Mul(cast, mul)
      r = Relu(h)
      r_quantized, r_scale, r_zero_point = DynamicQuantizeLinear(r)
      matmulinteger_1 = MatMulInteger(r_quantized, v_quantized, r_zero_point)
      cast_1 = Cast <to = 1> (matmulinteger_1)
      mul_1 = Mul(r_scale, v_scale)
      mul_2 = Mul(cast_1, mul_1)
      y = Add(mul_2, b)
      e_quantized = Gather(table_quantized, at)
      cast_2 = Cast <to = 1> (e_quantized)
      e = Mul(cast_2, table_scale)
      s = MatMul(r, small)
      m = ReduceMax(s)
      z = Mul(e, m)
    }
    left: small: codes, scales and nodes take no less than the weight
    notice: the model goes from opset 10 to 11, which DynamicQuantizeLinear needs
    "#);
}

#[test]
fn bytes_without_a_sign_have_a_zero_point() {
    insta::assert_snapshot!(proven("quantize-dynamic{weights=uint8, granularity=tensor, only=[w]}", LAYERS), @r#"
    <ir_version: 6, opset_import: ["" : 11]>
    g (float[N,48] x, int64[N] at) => (float[N,40] y, float[N,40] z)
    <
      uint8[48,32] w_quantized = elided("sha256:8eb91795e7dd8795"),
      float w_scale = {0.029616494},
      uint8 w_zero_point = {128},
      float[40,32] v = elided("sha256:2ef99dc1ef4a2e75"),
      float[40] b = elided("sha256:9e786f560652034c"),
      float[200,40] table = elided("sha256:0e2ee7a908a13f88"),
      float[32,2] small = elided("sha256:73460b1d6b7f6475")
    >
    {
      x_quantized, x_scale, x_zero_point = DynamicQuantizeLinear(x)
      matmulinteger = MatMulInteger(x_quantized, w_quantized, x_zero_point, w_zero_point)
      cast = Cast <to = 1> (matmulinteger)
      mul = Mul(x_scale, w_scale)
      h = Mul(cast, mul)
      r = Relu(h)
      y = Gemm <transB = 1, alpha = 0.5, beta = 2.0> (r, v, b)
      e = Gather(table, at)
      s = MatMul(r, small)
      m = ReduceMax(s)
      z = Mul(e, m)
    }
    left: v: `only` does not name it
    left: table: `only` does not name it
    left: small: `only` does not name it
    notice: the model goes from opset 10 to 11, which DynamicQuantizeLinear needs
    "#);
}

const CONVOLUTIONS: &str = r#"
    <ir_version: 7, opset_import: ["" : 13]>
    g (float[N,16,8,8] x) => (float[N,16,8,8] y)
    <float[16,16,3,3] w = normal(seed=1), float[16] b = normal(seed=2), float[16,4,3,3] grouped = normal(seed=3)>
    {
      h = Conv <pads = [1, 1, 1, 1]> (x, w, b)
      y = Conv <pads = [1, 1, 1, 1], group = 4> (h, grouped)
    }"#;

#[test]
fn convolutions_store_their_weights_or_become_integer_ones() {
    insta::assert_snapshot!(proven("quantize-dynamic", CONVOLUTIONS), @r#"
    <ir_version: 7, opset_import: ["" : 13]>
    g (float[N,16,8,8] x) => (float[N,16,8,8] y)
    <
      int8[16,16,3,3] w_quantized = elided("sha256:84a0a62a3954c25f"),
      float[16,1,1,1] w_scale = {0.018619427, 0.019408356, 0.019386793, 0.022257295, 0.018911315, 0.029616494, 0.017936114, 0.018665232, 0.024147049, 0.02362318, 0.020766735, 0.020727374, 0.020179888, 0.021433903, 0.018635375, 0.016009975},
      float[16] b = {0.5802847, -1.4953256, 0.42665341, 0.16854794, -0.7854995, -0.3418555, -0.114983596, 0.95487213, 1.3025413, 0.5168173, -0.6690302, 0.806894, -0.2736855, -0.47230572, 1.3611885, -1.6060044},
      int8[16,4,3,3] grouped_quantized = elided("sha256:62deb3a04dd49a52"),
      float[16,1,1,1] grouped_scale = {0.018201934, 0.017948639, 0.017571157, 0.020317726, 0.017761739, 0.034277298, 0.017454248, 0.014694258, 0.023126127, 0.015138449, 0.024426442, 0.019838989, 0.019594008, 0.026573656, 0.016040543, 0.020276416}
    >
    {
      cast = Cast <to = 1> (w_quantized)
      w = Mul(cast, w_scale)
      h = Conv <pads = [1, 1, 1, 1]> (x, w, b)
      cast_1 = Cast <to = 1> (grouped_quantized)
      grouped = Mul(cast_1, grouped_scale)
      y = Conv <pads = [1, 1, 1, 1], group = 4> (h, grouped)
    }
    "#);
    insta::assert_snapshot!(proven("quantize-dynamic{convolutions=integer}", CONVOLUTIONS), @r#"
    <ir_version: 7, opset_import: ["" : 13]>
    g (float[N,16,8,8] x) => (float[N,16,8,8] y)
    <
      int8[16,16,3,3] w_quantized = elided("sha256:84a0a62a3954c25f"),
      float[16,1,1] w_scale = {0.018619427, 0.019408356, 0.019386793, 0.022257295, 0.018911315, 0.029616494, 0.017936114, 0.018665232, 0.024147049, 0.02362318, 0.020766735, 0.020727374, 0.020179888, 0.021433903, 0.018635375, 0.016009975},
      float[16,1,1] b = {0.5802847, -1.4953256, 0.42665341, 0.16854794, -0.7854995, -0.3418555, -0.114983596, 0.95487213, 1.3025413, 0.5168173, -0.6690302, 0.806894, -0.2736855, -0.47230572, 1.3611885, -1.6060044},
      int8[16,4,3,3] grouped_quantized = elided("sha256:62deb3a04dd49a52"),
      float[16,1,1] grouped_scale = {0.018201934, 0.017948639, 0.017571157, 0.020317726, 0.017761739, 0.034277298, 0.017454248, 0.014694258, 0.023126127, 0.015138449, 0.024426442, 0.019838989, 0.019594008, 0.026573656, 0.016040543, 0.020276416}
    >
    {
      x_quantized, x_scale, x_zero_point = DynamicQuantizeLinear(x)
      convinteger = ConvInteger <pads = [1, 1, 1, 1]> (x_quantized, w_quantized, x_zero_point)
      cast = Cast <to = 1> (convinteger)
      mul = Mul(x_scale, w_scale)
      mul_1 = Mul(cast, mul)
      h = Add(mul_1, b)
      h_quantized, h_scale, h_zero_point = DynamicQuantizeLinear(h)
      convinteger_1 = ConvInteger <pads = [1, 1, 1, 1], group = 4> (h_quantized, grouped_quantized, h_zero_point)
      cast_1 = Cast <to = 1> (convinteger_1)
      mul_2 = Mul(h_scale, grouped_scale)
      y = Mul(cast_1, mul_2)
    }
    "#);
    insta::assert_snapshot!(proven("quantize-dynamic{convolutions=float}", CONVOLUTIONS), @r"
    unchanged
    left: w: no product of whole numbers is asked of Conv
    left: grouped: no product of whole numbers is asked of Conv
    ");
}

#[test]
fn layers_in_a_row_share_what_is_quantized() {
    insta::assert_snapshot!(proven("quantize-dynamic", r#"
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[N,48] x, bool c) => (float[N,48] y)
        <float[48,48] last = normal(seed=1), float[48,48] q = normal(seed=2), float[48,48] k = normal(seed=3)>
        {
          a = MatMul(x, q)
          b = MatMul(x, k)
          s = Add(a, b)
          t = MatMul(s, last)
          u = MatMul(t, last)
          y = If(c) <
            then_branch = f () => (float[N,48] r) <float[48,48] own = normal(seed=4)> { r = MatMul(u, own) },
            else_branch = g () => (float[N,48] p) { p = MatMul(u, q) }
          >
        }"#), @r#"
    <ir_version: 8, opset_import: ["" : 17]>
    g (float[N,48] x, bool c) => (float[N,48] y)
    <
      int8[48,48] q_quantized = elided("sha256:a54f92903753e641"),
      float[48] q_scale = elided("sha256:80eb68c3e4834010"),
      int8[48,48] k_quantized = elided("sha256:f613002a9e4ee58f"),
      float[48] k_scale = elided("sha256:3d3aa9b19f1cf1d7"),
      int8[48,48] last_quantized = elided("sha256:71890ef3fc0fd4f1"),
      float[48] last_scale = elided("sha256:1452aa78d15aef13")
    >
    {
      cast = Cast <to = 1> (q_quantized)
      q = Mul(cast, q_scale)
      a = MatMul(x, q)
      x_quantized, x_scale, x_zero_point = DynamicQuantizeLinear(x)
      matmulinteger = MatMulInteger(x_quantized, k_quantized, x_zero_point)
      cast_1 = Cast <to = 1> (matmulinteger)
      mul = Mul(x_scale, k_scale)
      b = Mul(cast_1, mul)
      s = Add(a, b)
      s_quantized, s_scale, s_zero_point = DynamicQuantizeLinear(s)
      matmulinteger_1 = MatMulInteger(s_quantized, last_quantized, s_zero_point)
      cast_2 = Cast <to = 1> (matmulinteger_1)
      mul_1 = Mul(s_scale, last_scale)
      t = Mul(cast_2, mul_1)
      t_quantized, t_scale, t_zero_point = DynamicQuantizeLinear(t)
      matmulinteger_2 = MatMulInteger(t_quantized, last_quantized, t_zero_point)
      cast_3 = Cast <to = 1> (matmulinteger_2)
      mul_2 = Mul(t_scale, last_scale)
      u = Mul(cast_3, mul_2)
      y = If(c) <
        then_branch = f () => (float[N,48] r)
        <
          int8[48,48] own_quantized = elided("sha256:639c721cba30e138"),
          float[48] own_scale = elided("sha256:5b0f141345d120d8")
        >
        {
          u_quantized, u_scale, u_zero_point = DynamicQuantizeLinear(u)
          matmulinteger_3 = MatMulInteger(u_quantized, own_quantized, u_zero_point)
          cast_4 = Cast <to = 1> (matmulinteger_3)
          mul_3 = Mul(u_scale, own_scale)
          r = Mul(cast_4, mul_3)
        },
        else_branch = g () => (float[N,48] p) {
          p = MatMul(u, q)
        }
      >
    }
    "#);
}

#[test]
fn nothing_is_done_twice() {
    let (model, _) = run("quantize-dynamic", LAYERS, "");
    insta::assert_snapshot!(proven("quantize-dynamic", &model.to_text()), @r"
    unchanged
    left: small: codes, scales and nodes take no less than the weight
    notice: the model is quantized already: it has 4 nodes as DynamicQuantizeLinear
    ");
}

#[test]
fn products_of_computed_values_are_of_whole_numbers_where_that_is_asked() {
    insta::assert_snapshot!(proven("quantize-dynamic{products=true}", r#"
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[2,5,48] x) => (float[2,5,48] y)
        <float[48,48] w = normal(seed=1)>
        {
          q = MatMul(x, w)
          k = Transpose <perm = [0, 2, 1]> (q)
          s = MatMul(q, k)
          p = Softmax(s)
          y = MatMul(p, x)
        }"#), @r#"
    <ir_version: 8, opset_import: ["" : 17]>
    g (float[2,5,48] x) => (float[2,5,48] y)
    <
      int8[48,48] w_quantized = elided("sha256:71890ef3fc0fd4f1"),
      float[48] w_scale = elided("sha256:1452aa78d15aef13")
    >
    {
      x_quantized, x_scale, x_zero_point = DynamicQuantizeLinear(x)
      matmulinteger = MatMulInteger(x_quantized, w_quantized, x_zero_point)
      cast = Cast <to = 1> (matmulinteger)
      mul = Mul(x_scale, w_scale)
      q = Mul(cast, mul)
      k = Transpose <perm = [0, 2, 1]> (q)
      q_quantized, q_scale, q_zero_point = DynamicQuantizeLinear(q)
      k_quantized, k_scale, k_zero_point = DynamicQuantizeLinear(k)
      matmulinteger_1 = MatMulInteger(q_quantized, k_quantized, q_zero_point, k_zero_point)
      cast_1 = Cast <to = 1> (matmulinteger_1)
      mul_1 = Mul(q_scale, k_scale)
      s = Mul(cast_1, mul_1)
      p = Softmax(s)
      y = MatMul(p, x)
    }
    "#);
}
