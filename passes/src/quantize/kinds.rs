//! Each kind of weight in each form of few bits: the result is its witness, or the weight stays and the reason is told.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::testing::{error, run, typed};

/// What kind of weight it is, the extents of a sample, and a model's inputs, constants and nodes.
const KINDS: [(&str, &[usize], &str); 14] = [
    ("product", &[16], "(float[N,16] x) => (float[N,32] y) <float[16,32] w = normal(seed=1)> { y = MatMul(x, w) }"),
    (
        "product from the left",
        &[8],
        "(float[N,8] x) => (float[32,N] y) <float[32,8] w = normal(seed=1)> { t = Transpose(x) y = MatMul(w, t) }",
    ),
    (
        "transposed operand",
        &[16],
        "(float[N,16] x) => (float[N,32] y) <float[32,16] w = normal(seed=1)> { t = Transpose(w) y = MatMul(x, t) }",
    ),
    (
        "Gemm with its weight turned",
        &[16],
        "(float[N,16] x) => (float[N,32] y) <float[32,16] w = normal(seed=1), float[32] b = normal(seed=2)>
         { y = Gemm<transB = 1>(x, w, b) }",
    ),
    (
        "stack of matrices",
        &[4, 8, 16],
        "(float[N,4,8,16] x) => (float[N,4,8,32] y) <float[4,16,32] w = normal(seed=1)> { y = MatMul(x, w) }",
    ),
    (
        "shared by two layers",
        &[16],
        "(float[N,16] x) => (float[N,32] y) <float[16,32] w = normal(seed=1)>
         { a = Neg(x) p = MatMul(a, w) q = MatMul(x, w) y = Max(p, q) }",
    ),
    (
        "table of rows",
        &[4],
        "(float[N,4] x) => (float[N,4,32] y) <float[64,32] w = normal(seed=1)>
         { a = Abs(x) i = Cast<to = 7>(a) y = Gather(w, i) }",
    ),
    (
        "convolution in groups",
        &[16, 6, 6],
        "(float[N,16,6,6] x) => (float[N,32,4,4] y) <float[32,4,3,3] w = normal(seed=1)> { y = Conv<group = 4>(x, w) }",
    ),
    (
        "depthwise convolution",
        &[64, 6, 6],
        "(float[N,64,6,6] x) => (float[N,64,4,4] y) <float[64,1,3,3] w = normal(seed=1)> { y = Conv<group = 64>(x, w) }",
    ),
    (
        "transposed convolution",
        &[16, 4, 4],
        "(float[N,16,4,4] x) => (float[N,32,6,6] y) <float[16,32,3,3] w = normal(seed=1)> { y = ConvTranspose(x, w) }",
    ),
    (
        "Einsum",
        &[4, 16],
        "(float[N,4,16] x) => (float[N,4,2,32] y) <float[16,2,32] w = normal(seed=1)>
         { y = Einsum<equation = \"nti,iho->ntho\">(x, w) }",
    ),
    (
        "LSTM",
        &[3, 16],
        "(float[N,3,16] x) => (float[N,1,3,16] y) <float[1,64,16] w = normal(seed=1, std=0.3), float[1,64,16] r = normal(seed=2, std=0.3)>
         { y = LSTM<hidden_size = 16>(x, w, r) }",
    ),
    (
        "GRU of both directions",
        &[3, 16],
        "(float[N,3,16] x) => (float[N,2,3,16] y) <float[2,48,16] w = normal(seed=1, std=0.3), float[2,48,16] r = normal(seed=2, std=0.3)>
         { y = GRU<hidden_size = 16, direction = \"bidirectional\">(x, w, r) }",
    ),
    (
        "in a subgraph and captured by it",
        &[16],
        "(float[N,16] x) => (float[N,32] y) <float[16,32] w = normal(seed=1), bool[1] c = {1}>
         { y = If(c) <
             then_branch = a () => (float[N,32] p) { p = MatMul(x, w) },
             else_branch = b () => (float[N,32] q) <float[16,32] v = normal(seed=2)> { q = MatMul(x, v) }> }",
    ),
];

/// Forms, and how far a result may be off its witness.
const FORMS: [(&str, f64); 13] = [
    ("quantize-weights{bits=4, block=16}", 1e-5),
    ("quantize-weights{bits=8}", 1e-5),
    ("quantize-weights{bits=4, block=16, form=cast}", 1e-5),
    ("quantize-weights{bits=4, block=16, form=matmulnbits}", 1e-5),
    ("quantize-weights{type=nf4}", 1e-5),
    ("quantize-weights{type=float8e4m3fn, rounding=mse}", 1e-5),
    ("quantize-weights{bits=3, symmetric=false, rounding=hqq, scales=float16}", 1e-5),
    ("quantize-weights{bits=4, block=16, rounding=gptq}", 1e-5),
    ("quantize-weights{bits=4, rounding=awq}", 1e-5),
    ("allocate-bits{average=9, block=none}", 1e-5),
    ("palettize{bits=4}", 1e-5),
    ("palettize{bits=3, codes=additive-power-of-two, per=channel-group}", 1e-5),
    ("convert-float", 3e-2),
];

#[test]
fn each_kind_in_each_form_is_right_or_says_why_not() {
    let mut told = std::collections::BTreeSet::new();
    for (kind, dims, graph) in KINDS {
        let text = format!("<ir_version: 10, opset_import: [\"\" : 21]>\nnet {graph}");
        for (form, tolerance) in FORMS {
            for data in [None, Some(dims)] {
                if data.is_none() && (form.contains("gptq") || form.contains("awq")) {
                    continue;
                }
                let (model, report) = run(form, &text, data);
                let report = report.unwrap_or_else(|reason| panic!("{kind}, {form}: {reason}"));
                let declined = &report.passes[0].declined;
                if !report.changed {
                    let reason = &declined.first().unwrap_or_else(|| panic!("{kind}, {form}: stays, and why?")).reason;
                    told.insert(format!("{kind}: {reason}"));
                    continue;
                }
                for point in &report.checkpoints {
                    let off = error(&point.expected, &point.actual);
                    assert!(off <= tolerance, "{kind}, {form}: off its witness by {off}");
                }
                let lost = error(&typed(&text), &model);
                assert!(lost > 0.0 && lost < 0.5, "{kind}, {form}: {lost} of the output is lost");
            }
        }
    }
    // `simplify` turns constants, so such a weight is met only where nobody asked for that.
    assert_eq!(Vec::from_iter(told), ["transposed operand: Transpose reads it, which multiplies no matrix by it"]);
}
