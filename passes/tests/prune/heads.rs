//! Attention as exporters write it: whole heads go, or what is in them.

use super::pruned;

/// Four heads of two; `between` makes `t` of the scores `s` of queries `q` and keys `k`.
fn attention(between: &str) -> String {
    format!(
        "<ir_version: 10, opset_import: [\"\" : 21]>
        g (float[N,5,6] x) => (float[N,5,6] y)
        <float[6,8] wq = normal(seed=1), float[6,8] wk = normal(seed=2), float[6,8] wv = normal(seed=3),
         float[8] bq = normal(seed=4), float[8,6] wo = normal(seed=5), int64[4] heads = {{0, 0, 4, 2}},
         int64[3] merged = {{0, 0, 8}}, float root = {{1.4142135}}, int64 last = {{3}}>
        {{
          q0 = MatMul(x, wq)
          q1 = Add(q0, bq)
          q2 = Reshape(q1, heads)
          q = Transpose<perm = [0, 2, 1, 3]>(q2)
          k1 = MatMul(x, wk)
          k2 = Reshape(k1, heads)
          k = Transpose<perm = [0, 2, 3, 1]>(k2)
          v1 = MatMul(x, wv)
          v2 = Reshape(v1, heads)
          v = Transpose<perm = [0, 2, 1, 3]>(v2)
          s = MatMul(q, k)
          {between}
          p = Softmax<axis = -1>(t)
          a = MatMul(p, v)
          a1 = Transpose<perm = [0, 2, 1, 3]>(a)
          a2 = Reshape(a1, merged)
          y = MatMul(a2, wo)
        }}"
    )
}

/// The constants that are left, after a cut that is proven.
fn left(options: &str, between: &str) -> String {
    pruned(options, &attention(between))
}

const DIVIDED: &str = "t = Div(s, root)";

#[test]
fn whole_heads_go() {
    let whole = left("ratio=0.5", DIVIDED);
    insta::assert_snapshot!(whole, @"
    wq: float[6,4]
    wk: float[6,4]
    wv: float[6,4]
    bq: float[4]
    wo: float[4,6]
    root: float[]
    last: int64[] = [3]
    heads_pruned: int64[4] = [0, 0, 2, 2]
    merged_pruned: int64[3] = [0, 0, 4]
    ");
    assert_eq!(left("ratio=0.5, factors=outer", DIVIDED), whole);
}

#[test]
fn indices_go_from_all_heads() {
    // The scores are divided by what they were divided by.
    insta::assert_snapshot!(left("ratio=0.5, factors=inner", DIVIDED), @"
    wq: float[6,4]
    wk: float[6,4]
    wv: float[6,4]
    bq: float[4]
    wo: float[4,6]
    root: float[]
    last: int64[] = [3]
    heads_pruned: int64[4] = [0, 0, 4, 1]
    merged_pruned: int64[3] = [0, 0, 4]
    ");
    insta::assert_snapshot!(left("ratio=0.5, factors=inner, include=[wk]", DIVIDED), @"
    wq: float[6,4]
    wk: float[6,4]
    wv: float[6,8]
    bq: float[4]
    wo: float[8,6]
    heads: int64[4] = [0, 0, 4, 2]
    merged: int64[3] = [0, 0, 8]
    root: float[]
    last: int64[] = [3]
    heads_pruned: int64[4] = [0, 0, 4, 1]
    ");
    insta::assert_snapshot!(left("ratio=0.5, factors=all", DIVIDED), @"
    wq: float[6,2]
    wk: float[6,2]
    wv: float[6,2]
    bq: float[2]
    wo: float[2,6]
    root: float[]
    last: int64[] = [3]
    heads_pruned: int64[4] = [0, 0, 2, 1]
    merged_pruned: int64[3] = [0, 0, 2]
    ");
}

#[test]
fn a_scale_that_is_computed_of_extents() {
    let computed = "e0 = Shape(q)
          e1 = Gather(e0, last)
          e2 = Cast<to = 1>(e1)
          e3 = Sqrt(e2)
          t = Div(s, e3)";
    insta::assert_snapshot!(left("ratio=0.5, factors=outer", computed), @"
    wq: float[6,4]
    wk: float[6,4]
    wv: float[6,4]
    bq: float[4]
    wo: float[4,6]
    root: float[]
    last: int64[] = [3]
    heads_pruned: int64[4] = [0, 0, 2, 2]
    merged_pruned: int64[3] = [0, 0, 4]
    ");
    insta::assert_snapshot!(left("ratio=0.5, factors=inner", computed), @"
    wq: float[6,8]
    wk: float[6,8]
    wv: float[6,4]
    bq: float[8]
    wo: float[4,6]
    heads: int64[4] = [0, 0, 4, 2]
    root: float[]
    last: int64[] = [3]
    heads_pruned: int64[4] = [0, 0, 4, 1]
    merged_pruned: int64[3] = [0, 0, 4]
    ");
}

/// One head of four, whose queries are divided by `divisor` before the scores.
fn divided(divisor: &str) -> String {
    format!(
        "<ir_version: 8, opset_import: [\"\" : 17]>
        g (float[N,5,6] x) => (float[N,5,6] y)
        <float[6,4] wq = normal(seed=1), float[6,4] wk = normal(seed=2), {divisor}>
        {{
          q = MatMul(x, wq)
          t = Div(q, d)
          k = MatMul(x, wk)
          kt = Transpose<perm = [0, 2, 1]>(k)
          s = MatMul(t, kt)
          p = Softmax<axis = -1>(s)
          y = MatMul(p, x)
        }}"
    )
}

#[test]
fn what_divides_goes_with_what_it_divides() {
    // The witness does not put divisors to zero: zero by zero is not zero.
    let left = |divisor: &str| pruned("ratio=0.5", &divided(divisor));
    insta::assert_snapshot!(left("float[4] d = {1, 2, 3, 4}"), @"
    wq: float[6,2]
    wk: float[6,2]
    d: float[2]
    ");
    insta::assert_snapshot!(left("float d = {2}"), @"
    wq: float[6,2]
    wk: float[6,2]
    d: float[]
    ");
}
