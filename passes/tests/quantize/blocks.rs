//! `quantize-weights` in blocks, and in codes that are no whole numbers.

use super::proven;

const LAYERS: &str = r#"
    <ir_version: 8, opset_import: ["" : 17]>
    g (float[N,16,4,4] x, int64[N] at) => (float[?,24] y, float[N,32] e)
    <float[16,16,1,1] w = normal(seed=1), float[64,24] m = normal(seed=2), float[100,32] table = normal(seed=3)>
    {
      c = Conv(x, w)
      shape = Constant <value_ints = [-1, 64]> ()
      s = Reshape(c, shape)
      y = MatMul(s, m)
      e = Gather(table, at)
    }"#;

#[test]
fn neighbours_along_the_sum_share_a_scale() {
    insta::assert_snapshot!(proven("quantize-weights{bits=4, block=8}", LAYERS), @r#"
    <ir_version: 10, opset_import: ["" : 21]>
    g (float[N,16,4,4] x, int64[N] at) => (float[?,24] y, float[N,32] e)
    <
      int4[16,16,1,1] w_quantized = elided("sha256:39d0c79150f75f3c"),
      float[16,2,1,1] w_scale = elided("sha256:52847e6273f3143b"),
      int4[64,24] m_quantized = elided("sha256:297841ca556b79ca"),
      float[8,24] m_scale = elided("sha256:8c92fcc7ca9baef1"),
      int4[100,32] table_quantized = elided("sha256:35ed1ace015a24d6"),
      float[100,4] table_scale = elided("sha256:f569e02a35da7f11")
    >
    {
      w = DequantizeLinear <axis = 1, block_size = 8> (w_quantized, w_scale)
      c = Conv(x, w)
      shape = Constant <value = int64[2] {-1, 64}> ()
      s = Reshape(c, shape)
      m = DequantizeLinear <axis = 0, block_size = 8> (m_quantized, m_scale)
      y = MatMul(s, m)
      table = DequantizeLinear <axis = 1, block_size = 8> (table_quantized, table_scale)
      e = Gather(table, at)
    }
    notice: the model goes from opset 17 to 21, which its codes need
    "#);
    insta::assert_snapshot!(proven("quantize-weights{bits=4, block=24, rounding=hqq, only=[m]}", LAYERS), @r#"
    <ir_version: 10, opset_import: ["" : 21]>
    g (float[N,16,4,4] x, int64[N] at) => (float[?,24] y, float[N,32] e)
    <
      float[16,16,1,1] w = elided("sha256:715dd61bcba610b2"),
      float[100,32] table = elided("sha256:bc230f7183c1c088"),
      uint4[64,24] m_quantized = elided("sha256:ca482ecac9415711"),
      float[3,24] m_scale = elided("sha256:d2e1f8a25cdd64ac"),
      uint4[3,24] m_zero_point = elided("sha256:4a8f830fe218ed76")
    >
    {
      c = Conv(x, w)
      shape = Constant <value = int64[2] {-1, 64}> ()
      s = Reshape(c, shape)
      m = DequantizeLinear <axis = 0, block_size = 24> (m_quantized, m_scale, m_zero_point)
      y = MatMul(s, m)
      e = Gather(table, at)
    }
    left: w: `only` does not name it
    left: table: `only` does not name it
    notice: the model goes from opset 17 to 21, which its codes need
    "#);
    insta::assert_snapshot!(proven("quantize-weights{bits=4, block=16, form=cast, symmetric=false, only=[m]}", LAYERS), @r#"
    <ir_version: 10, opset_import: ["" : 21]>
    g (float[N,16,4,4] x, int64[N] at) => (float[?,24] y, float[N,32] e)
    <
      float[16,16,1,1] w = elided("sha256:715dd61bcba610b2"),
      float[100,32] table = elided("sha256:bc230f7183c1c088"),
      uint4[64,24] m_quantized = elided("sha256:a7d67a9fbf3fed71"),
      float[4,1,24] m_scale = elided("sha256:bf116846837fd988"),
      float[4,1,24] m_zero_point = elided("sha256:4dc26e65b0b13f62"),
      int64[3] m_quantized_blocks = {4, 16, 24},
      int64[2] m_quantized_shape = {64, 24}
    >
    {
      c = Conv(x, w)
      shape = Constant <value = int64[2] {-1, 64}> ()
      s = Reshape(c, shape)
      cast = Cast <to = 1> (m_quantized)
      reshape = Reshape(cast, m_quantized_blocks)
      sub = Sub(reshape, m_zero_point)
      mul = Mul(sub, m_scale)
      m = Reshape(mul, m_quantized_shape)
      y = MatMul(s, m)
      e = Gather(table, at)
    }
    left: w: `only` does not name it
    left: table: `only` does not name it
    notice: `m` decoded by Cast and Mul, which runtimes fold when they load the model: 7 kB of floats in memory from then on
    notice: the model goes from opset 17 to 21, which its codes need
    "#);
}

#[test]
fn two_and_three_bits_and_floats() {
    insta::assert_snapshot!(proven("quantize-weights{bits=2, block=32, rounding=mse, only=[m]}", LAYERS), @r#"
    <ir_version: 13, opset_import: ["" : 25]>
    g (float[N,16,4,4] x, int64[N] at) => (float[?,24] y, float[N,32] e)
    <
      float[16,16,1,1] w = elided("sha256:715dd61bcba610b2"),
      float[100,32] table = elided("sha256:bc230f7183c1c088"),
      int2[64,24] m_quantized = elided("sha256:f4caa0d0019c49cb"),
      float[2,24] m_scale = elided("sha256:4850359e6074bb32")
    >
    {
      c = Conv(x, w)
      shape = Constant <value = int64[2] {-1, 64}> ()
      s = Reshape(c, shape)
      m = DequantizeLinear <axis = 0, block_size = 32> (m_quantized, m_scale)
      y = MatMul(s, m)
      e = Gather(table, at)
    }
    left: w: `only` does not name it
    left: table: `only` does not name it
    notice: the model goes from opset 17 to 25, which its codes need
    "#);
    insta::assert_snapshot!(proven("quantize-weights{bits=3, block=32, only=[m]}", LAYERS), @r#"
    <ir_version: 10, opset_import: ["" : 21]>
    g (float[N,16,4,4] x, int64[N] at) => (float[?,24] y, float[N,32] e)
    <
      float[16,16,1,1] w = elided("sha256:715dd61bcba610b2"),
      float[100,32] table = elided("sha256:bc230f7183c1c088"),
      int4[64,24] m_quantized = elided("sha256:2c0512c4c9fa53dc"),
      float[2,24] m_scale = elided("sha256:2074cf54cc51aab7")
    >
    {
      c = Conv(x, w)
      shape = Constant <value = int64[2] {-1, 64}> ()
      s = Reshape(c, shape)
      m = DequantizeLinear <axis = 0, block_size = 32> (m_quantized, m_scale)
      y = MatMul(s, m)
      e = Gather(table, at)
    }
    left: w: `only` does not name it
    left: table: `only` does not name it
    notice: the model goes from opset 17 to 21, which its codes need
    "#);
    insta::assert_snapshot!(proven("quantize-weights{type=float8e4m3fn, only=[m]}", LAYERS), @r#"
    <ir_version: 9, opset_import: ["" : 19]>
    g (float[N,16,4,4] x, int64[N] at) => (float[?,24] y, float[N,32] e)
    <
      float[16,16,1,1] w = elided("sha256:715dd61bcba610b2"),
      float[100,32] table = elided("sha256:bc230f7183c1c088"),
      float8e4m3fn[64,24] m_quantized = elided("sha256:37c2556afa87dff1"),
      float[24] m_scale = elided("sha256:5a5529aeba344db9")
    >
    {
      c = Conv(x, w)
      shape = Constant <value = int64[2] {-1, 64}> ()
      s = Reshape(c, shape)
      m = DequantizeLinear <axis = 1> (m_quantized, m_scale)
      y = MatMul(s, m)
      e = Gather(table, at)
    }
    left: w: `only` does not name it
    left: table: `only` does not name it
    notice: the model goes from opset 17 to 19, which its codes need
    "#);
    insta::assert_snapshot!(proven("quantize-weights{type=float4e2m1, block=16, rounding=mse, only=[m]}", LAYERS), @r#"
    <ir_version: 11, opset_import: ["" : 23]>
    g (float[N,16,4,4] x, int64[N] at) => (float[?,24] y, float[N,32] e)
    <
      float[16,16,1,1] w = elided("sha256:715dd61bcba610b2"),
      float[100,32] table = elided("sha256:bc230f7183c1c088"),
      float4e2m1[64,24] m_quantized = elided("sha256:e2331c30c1bb7e11"),
      float[4,24] m_scale = elided("sha256:c662d2225cc90290")
    >
    {
      c = Conv(x, w)
      shape = Constant <value = int64[2] {-1, 64}> ()
      s = Reshape(c, shape)
      m = DequantizeLinear <axis = 0, block_size = 16> (m_quantized, m_scale)
      y = MatMul(s, m)
      e = Gather(table, at)
    }
    left: w: `only` does not name it
    left: table: `only` does not name it
    notice: the model goes from opset 17 to 23, which its codes need
    "#);
}

#[test]
fn quantiles_are_looked_up() {
    insta::assert_snapshot!(proven("quantize-weights{type=nf4, block=32}", LAYERS), @r#"
    <ir_version: 10, opset_import: ["" : 21]>
    g (float[N,16,4,4] x, int64[N] at) => (float[?,24] y, float[N,32] e)
    <
      uint4[16,16,1,1] w_quantized = elided("sha256:28971397e105b4b6"),
      float[16,1,1,1] w_scale = {1.4329695, 2.1534553, 2.3646672, 1.1603392, 1.7602183, 1.7482815, 1.849472, 1.6135757, 1.9148282, 2.4648612, 2.2789018, 2.4076314, 1.5595562, 2.3072326, 1.8801736, 2.1544132},
      float[16] w_quantized_values = {-1, -0.6961928, -0.52507305, -0.3949175, -0.28444138, -0.18477343, -0.091050036, 0, 0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1},
      uint4[64,24] m_quantized = elided("sha256:5050633fdaa1e450"),
      float[2,1,24] m_scale = elided("sha256:8a5106992376a5b6"),
      float[16] m_quantized_values = {-1, -0.6961928, -0.52507305, -0.3949175, -0.28444138, -0.18477343, -0.091050036, 0, 0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1},
      int64[3] m_quantized_blocks = {2, 32, 24},
      int64[2] m_quantized_shape = {64, 24},
      uint4[100,32] table_quantized = elided("sha256:5082d485aab01bdc"),
      float[100,1,1] table_scale = elided("sha256:d5717f16ef054c69"),
      float[16] table_quantized_values = {-1, -0.6961928, -0.52507305, -0.3949175, -0.28444138, -0.18477343, -0.091050036, 0, 0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1},
      int64[3] table_quantized_blocks = {100, 1, 32},
      int64[2] table_quantized_shape = {100, 32}
    >
    {
      cast = Cast <to = 6> (w_quantized)
      gather = Gather(w_quantized_values, cast)
      w = Mul(gather, w_scale)
      c = Conv(x, w)
      shape = Constant <value = int64[2] {-1, 64}> ()
      s = Reshape(c, shape)
      cast_1 = Cast <to = 6> (m_quantized)
      gather_1 = Gather(m_quantized_values, cast_1)
      reshape = Reshape(gather_1, m_quantized_blocks)
      mul = Mul(reshape, m_scale)
      m = Reshape(mul, m_quantized_shape)
      y = MatMul(s, m)
      cast_2 = Cast <to = 6> (table_quantized)
      gather_2 = Gather(table_quantized_values, cast_2)
      reshape_1 = Reshape(gather_2, table_quantized_blocks)
      mul_1 = Mul(reshape_1, table_scale)
      table = Reshape(mul_1, table_quantized_shape)
      e = Gather(table, at)
    }
    notice: `w` and 2 more decoded by Gather and Mul, which runtimes fold when they load the model: 20 kB of floats in memory from then on
    notice: the model goes from opset 17 to 21, which its codes need
    "#);
    insta::assert_snapshot!(proven("quantize-weights{type=nf4, block=20, only=[m]}", LAYERS), @r"
    unchanged
    left: w: `only` does not name it
    left: table: `only` does not name it
    left: m: its axis 0 does not fall into blocks of 20, which nodes other than DequantizeLinear need
    ");
}

#[test]
fn what_cannot_be_is_refused() {
    insta::assert_snapshot!(proven("quantize-weights{block=1}", LAYERS), @"`block` is a number of at least 2");
    insta::assert_snapshot!(proven("quantize-weights{type=nf4, symmetric=false}", LAYERS), @"codes of this type have no zero point, so `symmetric` cannot be false");
    insta::assert_snapshot!(proven("quantize-weights{rounding=hqq, symmetric=true}", LAYERS), @"`rounding=hqq` chooses zero points, so `symmetric` cannot be true");
    insta::assert_snapshot!(proven("quantize-weights{rounding=hqq, type=float8e5m2}", LAYERS), @"`rounding=hqq` chooses zero points, which codes of this type do not have");
    insta::assert_snapshot!(proven("quantize-weights{bits=4, block=7, form=matmulnbits}", LAYERS), @"`block` is 7, expected 16, 32, 64 …, which `form=matmulnbits` reads");
}
