//! What goes together.

use super::{pruned, run};

#[test]
fn a_residual_stream_is_cut_as_one() {
    insta::assert_snapshot!(pruned("ratio=0.5", "
        g (float[N,3,8,8] x) => (float[N,2,8,8] y)
        <float[4,3,1,1] wa = normal(seed=1), float[4,4,3,3] wb = normal(seed=2), float[2,4,1,1] wy = normal(seed=3)>
        {
          a = Conv(x, wa)
          b = Conv<pads = [1, 1, 1, 1]>(a, wb)
          s = Add(a, b)
          r = Relu(s)
          y = Conv(r, wy)
        }"), @"
    wa: float[2,3,1,1]
    wb: float[2,2,3,3]
    wy: float[2,2,1,1]
    ");
}

#[test]
fn a_padded_shortcut_and_a_slice_follow() {
    insta::assert_snapshot!(pruned("ratio=0.5", "
        g (float[2,3,4,4] x) => (float[2,2,4,4] y)
        <float[4,3,1,1] wa = normal(seed=1), float[8,4,1,1] wb = normal(seed=2), float[2,6,1,1] wy = normal(seed=3),
         int64[8] pads = {0, 2, 0, 0, 0, 2, 0, 0}, int64[1] starts = {1}, int64[1] ends = {7}, int64[1] axes = {1}>
        {
          a = Conv(x, wa)
          b = Conv(a, wb)
          p = Pad(a, pads)
          s = Add(p, b)
          t = Slice(s, starts, ends, axes)
          y = Conv(t, wy)
        }"), @"
    wa: float[2,3,1,1]
    wb: float[4,2,1,1]
    wy: float[2,3,1,1]
    axes: int64[1] = [1]
    pads_pruned: int64[8] = [0, 0, 0, 0, 0, 2, 0, 0]
    starts_pruned: int64[1] = [0]
    ends_pruned: int64[1] = [3]
    ");
}

#[test]
fn segments_of_a_concatenation_and_of_a_split_are_cut_each() {
    insta::assert_snapshot!(pruned("ratio=0.5", "
        g (float[2,3,4,4] x) => (float[2,2,4,4] y)
        <float[4,3,1,1] wa = normal(seed=1), float[6,3,1,1] wb = normal(seed=2), int64[2] sizes = {6, 4},
         float[2,6,1,1] wc = normal(seed=3), float[2,4,1,1] wd = normal(seed=4)>
        {
          a = Conv(x, wa)
          b = Conv(x, wb)
          c = Concat<axis = 1>(a, b)
          d, e = Split<axis = 1>(c, sizes)
          f = Conv(d, wc)
          h = Conv(e, wd)
          y = Add(f, h)
        }"), @"
    wa: float[2,3,1,1]
    wb: float[3,3,1,1]
    wc: float[2,3,1,1]
    wd: float[2,2,1,1]
    sizes_pruned: int64[2] = [3, 2]
    ");
}

#[test]
fn channels_are_shuffled_between_groups() {
    insta::assert_snapshot!(pruned("ratio=0.5", "
        g (float[1,3,4,4] x) => (float[1,2,4,4] y)
        <float[8,3,1,1] wa = normal(seed=1), float[8,4,1,1] wb = normal(seed=2), float[8,1,3,3] wd = normal(seed=3),
         float[2,8,1,1] wy = normal(seed=4), int64[5] apart = {1, 2, 4, 4, 4}, int64[4] together = {1, 8, 4, 4}>
        {
          a = Conv(x, wa)
          b = Conv<group = 2>(a, wb)
          c = Reshape(b, apart)
          d = Transpose<perm = [0, 2, 1, 3, 4]>(c)
          e = Reshape(d, together)
          f = Conv<group = 8, pads = [1, 1, 1, 1]>(e, wd)
          y = Conv(f, wy)
        }"), @"
    wa: float[4,3,1,1]
    wb: float[4,2,1,1]
    wd: float[4,1,3,3]
    wy: float[2,4,1,1]
    apart_pruned: int64[5] = [1, 2, 2, 4, 4]
    together_pruned: int64[4] = [1, 4, 4, 4]
    ");
}

#[test]
fn indices_and_steps_follow() {
    insta::assert_snapshot!(pruned("ratio=0.5", "
        g (float[2,3,4,4] x) => (float[2,2,4,4] y)
        <float[8,3,1,1] wa = normal(seed=1), int64[6] order = {5, 4, 0, 1, 2, -1}, int64[1] start = {1}, int64[1] end = {9},
         int64[1] axis = {1}, int64[1] step = {2}, float[2,6,1,1] wb = normal(seed=2), float[2,4,1,1] wc = normal(seed=3)>
        {
          a = Conv(x, wa)
          b = Gather<axis = 1>(a, order)
          c = Slice(a, start, end, axis, step)
          d = Conv(b, wb)
          e = Conv(c, wc)
          y = Add(d, e)
        }"), @"
    wa: float[4,3,1,1]
    start: int64[1] = [1]
    end: int64[1] = [9]
    axis: int64[1] = [1]
    step: int64[1] = [2]
    wb: float[2,3,1,1]
    wc: float[2,2,1,1]
    order_pruned: int64[3] = [1, 0, 3]
    ");
}

#[test]
fn runs_go_where_groups_do_not_divide_channels() {
    // Three groups of 7 are two runs of 3 each, and one channel that stays.
    insta::assert_snapshot!(pruned("ratio=0.5", "
        g (float[1,3,4,4] x) => (float[1,2,4,4] y)
        <float[6,3,1,1] wa = normal(seed=1), float[21,2,1,1] wb = normal(seed=2), float[21] bb = normal(seed=5),
         float[21,1,3,3] wd = normal(seed=3), float[6,7,1,1] we = normal(seed=6), float[2,6,1,1] wy = normal(seed=4),
         int64[5] apart = {1, 3, 7, 4, 4}, int64[4] together = {1, -1, 4, 4}>
        {
          a = Conv(x, wa)
          b = Conv<group = 3>(a, wb, bb)
          r = Relu(b)
          c = Reshape(r, apart)
          d = Transpose<perm = [0, 2, 1, 3, 4]>(c)
          e = Reshape(d, together)
          f = Conv<group = 21, pads = [1, 1, 1, 1]>(e, wd)
          h = Conv<group = 3>(f, we)
          y = Conv(h, wy)
        }"), @"
    wa: float[3,3,1,1]
    wb: float[12,1,1,1]
    bb: float[12]
    wd: float[12,1,3,3]
    we: float[3,4,1,1]
    wy: float[2,3,1,1]
    together: int64[4] = [1, -1, 4, 4]
    apart_pruned: int64[5] = [1, 3, 4, 4, 4]
    ");
}

#[test]
fn hidden_units_of_stacked_layers_in_both_directions() {
    insta::assert_snapshot!(pruned("ratio=0.5", "
        g (float[5,2,3] x) => (float[5,2,2] y)
        <float[2,16,3] w1 = normal(seed=1, std=0.5), float[2,16,4] r1 = normal(seed=2, std=0.5),
         float[2,32] b1 = normal(seed=3), int64[3] flat = {0, 0, -1}, float[1,6,8] w2 = normal(seed=4),
         float[1,6,2] r2 = normal(seed=5), float[2,2] wy = normal(seed=6), int64[1] one = {1}>
        {
          a = LSTM<hidden_size = 4, direction = \"bidirectional\">(x, w1, r1, b1)
          b = Transpose<perm = [0, 2, 1, 3]>(a)
          c = Reshape(b, flat)
          d = GRU<hidden_size = 2>(c, w2, r2)
          e = Squeeze(d, one)
          y = MatMul(e, wy)
        }"), @"
    w1: float[2,8,3]
    r1: float[2,8,2]
    b1: float[2,16]
    flat: int64[3] = [0, 0, -1]
    w2: float[1,3,4]
    r2: float[1,3,1]
    wy: float[1,2]
    one: int64[1] = [1]
    ");
}

#[test]
fn a_constant_that_readers_want_cut_differently_is_copied() {
    insta::assert_snapshot!(pruned("ratio=0.5", "
        g (float[N,4] x) => (float[N,4] y)
        <float[4,4] w = normal(seed=1)>
        {
          a = MatMul(x, w)
          y = MatMul(a, w)
        }"), @"
    w: float[4,2]
    w_1: float[2,4]
    ");
}

/// Exporters share a zero point by way of `Identity`.
#[test]
fn codes_are_cut_with_their_scales() {
    insta::assert_snapshot!(pruned("ratio=0.5", "
        <ir_version: 10, opset_import: [\"\" : 21]>
        g (float[N,4] x) => (float[N,2] y)
        <int8[4,6] a = {-5, 2, -2, 5, 1, -3, 4, 0, -4, 3, -1, -5, 2, -2, 5, 1, -3, 4, 0, -4, 3, -1, -5, 2},
         float[6] sa = {0.1, 0.2, 0.3, 0.1, 0.2, 0.3}, int8[6] zero = splat(0),
         int8[6,2] b = {-5, 2, -2, 5, 1, -3, 4, 0, -4, 3, -1, -5}, float sb = {0.1}, int8 none = {0}, float su = {0.02}, uint8 half = {128}>
        {
          za = Identity(zero)
          wa = DequantizeLinear<axis = 1>(a, sa, za)
          h = MatMul(x, wa)
          q = QuantizeLinear(h, su, half)
          d = DequantizeLinear(q, su, half)
          zb = Identity(none)
          wb = DequantizeLinear(b, sb, zb)
          y = MatMul(d, wb)
        }"), @"
    a: int8[4,3]
    sa: float[3]
    zero: int8[3]
    b: int8[3,2]
    sb: float[]
    none: int8[]
    su: float[]
    half: uint8[]
    ");
}

#[test]
fn what_cannot_go_says_why() {
    insta::assert_snapshot!(pruned("ratio=0.5", "
        g (float[N,4] x) => (float[N,4] y, float[N] m)
        <float[4,6] a = normal(seed=1), float[6,4] b = normal(seed=2)>
        {
          h = MatMul(x, a)
          n = Softmax(h)
          y = MatMul(n, b)
          m = ReduceMean<axes = [1], keepdims = 0>(y)
        }".replace("g (", "<ir_version: 8, opset_import: [\"\" : 13]> g (").as_str()), @"
    a: input `x` of the graph
    b: Softmax `n`: statistics are taken along the axis
    b: output `y` of the graph
    ");
}

#[test]
fn layers_in_bodies_stay_and_say_so() {
    insta::assert_snapshot!(pruned("ratio=0.5", "
        g (float[N,4] x, bool on) => (float[N,2] y)
        <float[4,6] a = normal(seed=1), float[6,2] b = normal(seed=2)>
        {
          y = If(on) <
            then_branch = yes () => (float[N,2] p) { h = MatMul(x, a) p = MatMul(h, b) },
            else_branch = no () => (float[N,2] q) <float[4,2] c = iota> { q = MatMul(x, c) }
          >
        }"), @"
    a: read by If `y`
    a: read by If `y`
    b: read by If `y`
    b: read by If `y`
    c: in a body of If `y`: subgraphs are not pruned
    ");
}

const NORMALIZED: &str = "
    <ir_version: 10, opset_import: [\"\" : 21]>
    g (float[N,5,6] x) => (float[N,5,6] y)
    <float[6,8] a = normal(seed=1), float[8] s = normal(seed=2), float[8] t = normal(seed=3), float[8,6] b = normal(seed=4),
     float[8] s2 = normal(seed=5), float[8] t2 = normal(seed=6), int64[3] back = {0, 2, 1}>
    {
      h = MatMul(x, a)
      n = LayerNormalization(h, s, t)
      r = Add(n, h)
      c = Transpose<perm = [0, 2, 1]>(r)
      m = GroupNormalization<num_groups = 2>(c, s2, t2)
      d = Transpose<perm = [0, 2, 1]>(m)
      y = MatMul(d, b)
    }";

#[test]
fn normalizations_pin_channels_unless_they_may_follow() {
    insta::assert_snapshot!(pruned("ratio=0.5", NORMALIZED), @"
    a: input `x` of the graph
    s: LayerNormalization `n`: statistics are taken along the axis
    s: LayerNormalization `n`: statistics are taken along the axis
    b: output `y` of the graph
    ");
    insta::assert_snapshot!(pruned("ratio=0.5, through-norm=true", NORMALIZED), @"
    a: float[6,4]
    s: float[4]
    t: float[4]
    b: float[4,6]
    s2: float[4]
    t2: float[4]
    back: int64[3] = [0, 2, 1]
    ");
}

#[test]
fn the_same_request_gives_the_same_plan() {
    let graph = "
        g (float[N,3] x) => (float[N,2] y)
        <float[3,8] a = normal(seed=1), float[8,2] b = normal(seed=2)>
        {
          h = MatMul(x, a)
          y = MatMul(h, b)
        }";
    let plan = || run("prune-channels{criterion=random, seed=7}", graph).1.unwrap().passes[0].plan.clone().unwrap();
    assert_eq!(plan(), plan());
    insta::assert_snapshot!(serde_json::to_string(&plan()["tensors"]).unwrap(), @r#"{"a":{"1":[1,2,3,5]},"b":{"0":[1,2,3,5]}}"#);
}
