//! Requests for few bits that make no sense or that a model cannot meet: a clear error, and nothing written.

use crate::workplace::Workplace;

fn refused(code: i32, pipeline: &str) -> String {
    Workplace::with_digits().refused(code, ["opt", "model.onnx", "-o", "out.onnx", "-p", pipeline])
}

#[test]
fn numbers_of_bits_that_there_are_not() {
    let said = refused(2, "quantize-weights{bits=0}");
    assert!(said.contains("`bits`") && said.contains("`0`"), "{said}");
    assert!(refused(1, "palettize{bits=0}").contains("`bits` is 0, expected 1 to 8"));
    assert!(refused(1, "palettize{bits=9}").contains("`bits` is 9, expected 1 to 8"));
    assert!(refused(2, "allocate-bits{average=4, bits=[5]}").contains("`5`"));
}

#[test]
fn samples_that_are_not_there() {
    for rounding in ["gptq", "awq"] {
        let said = refused(1, &format!("quantize-weights{{bits=4, rounding={rounding}}}"));
        assert!(said.contains(&format!("`rounding={rounding}` needs data: give samples with --calib")), "{said}");
    }
}

#[test]
fn blocks_that_no_axis_falls_into() {
    // 32 columns, and codes that only nodes other than DequantizeLinear decode.
    let said = refused(1, "quantize-weights{type=nf4, block=7, only=[fc2.weight]}");
    assert!(said.contains("nothing in the model was changed"), "{said}");
    assert!(refused(1, "quantize-weights{block=1}").contains("`block` is a number of at least 2"));
}

#[test]
fn codes_that_an_old_opset_has_not() {
    for (pipeline, needed) in [
        ("quantize-weights{bits=4, upgrade=false}", 21),
        ("quantize-weights{type=float8e4m3fn, upgrade=false}", 19),
        ("allocate-bits{average=6, bits=[4], upgrade=false}", 21),
    ] {
        let said = refused(1, pipeline);
        let expected = format!("this takes opset {needed}, the model has 17, and `upgrade` is false");
        assert!(said.contains(&expected), "{said}");
    }
}

#[test]
fn samples_that_are_not_to_be_used() {
    let said = refused(1, "quantize-weights{rounding=gptq, data=false}");
    assert!(said.contains("`rounding=gptq` needs data, and `data` is false"), "{said}");
}

#[test]
fn the_report_says_what_codes_take() {
    let place = Workplace::with_digits();
    for (pipeline, bits) in [("quantize-weights{bits=3}", 3), ("palettize{bits=2, upgrade=false}", 2)] {
        let outcome = place.run(["opt", "model.onnx", "-o", "out.onnx", "-p", pipeline, "--json", "--check", "off"]);
        outcome.assert_done();
        let report: serde_json::Value = serde_json::from_slice(&outcome.stdout).unwrap();
        let codes = report["passes"][0]["codes"].as_array().unwrap();
        assert!(!codes.is_empty());
        for it in codes {
            assert_eq!(it["bits"], bits);
            let entropy = it["entropy"].as_f64().unwrap();
            assert!(entropy > 0.5 && entropy <= f64::from(bits), "{it}");
            assert!(it["zstd_bytes"].as_u64().unwrap() < it["bytes"].as_u64().unwrap() + 32, "{it}");
        }
    }
}

#[test]
fn goals_that_contradict_each_other() {
    assert!(refused(1, "allocate-bits").contains("give one of `average`, `bytes` and `max-loss`"));
    assert!(
        refused(1, "allocate-bits{average=4, max-loss=1}").contains("give one of `average`, `bytes` and `max-loss`")
    );
}
