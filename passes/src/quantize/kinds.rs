//! Each kind of weight in each form of few bits: the result is its witness, or the weight stays and the reason is told.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::testing::{error, run, typed};

/// The name of a model whose weight is of some kind, the extents of a sample, and its text.
macro_rules! kind {
    ($name:literal, $($extent:literal),+) => {
        ($name, &[$($extent),+], include_str!(concat!("../../../fixtures/weights/", $name, ".onnxtxt")))
    };
}

/// Kinds of weights; `tests/cross/forms.py` runs the same in onnxruntime.
const KINDS: [(&str, &[usize], &str); 14] = [
    kind!("product", 16),
    kind!("product_from_the_left", 8),
    kind!("transposed_operand", 16),
    kind!("gemm_with_its_weight_turned", 16),
    kind!("stack_of_matrices", 4, 8, 16),
    kind!("shared_by_two_layers", 16),
    kind!("table_of_rows", 4),
    kind!("convolution_in_groups", 16, 6, 6),
    kind!("depthwise_convolution", 64, 6, 6),
    kind!("transposed_convolution", 16, 4, 4),
    kind!("einsum", 4, 16),
    kind!("lstm", 3, 16),
    kind!("gru_of_both_directions", 3, 16),
    kind!("in_a_subgraph_and_captured_by_it", 16),
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
    for (kind, dims, text) in KINDS {
        for (form, tolerance) in FORMS {
            for data in [None, Some(dims)] {
                if data.is_none() && (form.contains("gptq") || form.contains("awq")) {
                    continue;
                }
                let (model, report) = run(form, text, data);
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
                let lost = error(&typed(text), &model);
                assert!(lost > 0.0 && lost < 0.5, "{kind}, {form}: {lost} of the output is lost");
            }
        }
    }
    // `simplify` turns constants, so such a weight is met only where nobody asked for that.
    assert_eq!(
        Vec::from_iter(told),
        ["transposed_operand: Transpose makes another constant of it; fold that first, with `simplify`"]
    );
}
