//! Files that are no model: cut, garbled, empty, or something else altogether.

use insta::assert_snapshot;
use onnxpress::proto::Message as _;

use crate::small_models::{model, nested, relu};
use crate::workplace::{Workplace, digits, unreadable};

#[test]
fn a_file_cut_anywhere_is_no_model() {
    let whole = digits();
    let cuts = [1, 2, 3, 7, 8, 9, 16, 17, 40, 100, 119, 512, 4_096, 60_000, whole.len() - 100, whole.len() - 1];
    for cut in cuts {
        unreadable(&whole[..cut]);
    }
    assert_snapshot!(unreadable(&whole[..whole.len() / 2]), @"
    error: model.onnx: damaged or no ONNX model: at byte 10: field `graph` claims 119707 bytes, but 59849 are left
      help: the file was damaged or cut short on its way: fetch or export it again
    ");
}

#[test]
fn garbage_is_no_model() {
    // A linear congruential generator (Knuth's MMIX) is noise enough.
    let noise = |seed: u64| {
        let mut state = seed;
        std::iter::repeat_with(move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
    };
    for seed in 0..16 {
        unreadable(&noise(seed).take(1 << seed).collect::<Vec<_>>());
    }
    assert_snapshot!(unreadable(b"Dear Sir or Madam, please find attached"), @"error: model.onnx: it seems to be a text file, expected an ONNX model; name the .onnx file");
}

#[test]
fn an_empty_file_is_no_model() {
    assert_snapshot!(unreadable(b""), @"
    error: model.onnx: it is empty, expected an ONNX model
      help: the file was damaged or cut short on its way: fetch or export it again
    ");
}

#[test]
fn a_claim_of_four_gigabytes_in_twenty_bytes_is_not_believed() {
    let bytes = b"\x08\x0a\x3a\xff\xff\xff\xff\x0f\x0a\x0a\x22\x04Relu\x12\x02yy";
    assert_eq!(bytes.len(), 20);
    assert_snapshot!(unreadable(bytes), @"
    error: model.onnx: damaged or no ONNX model: at byte 2: field `graph` claims 4294967295 bytes, but 12 are left
      help: the file was damaged or cut short on its way: fetch or export it again
    ");
}

#[test]
fn a_directory_is_no_model() {
    let place = Workplace::new();
    std::fs::create_dir(place.path("model")).unwrap();
    assert_snapshot!(place.refused(1, ["opt", "model", "-o", "out.onnx", "-p", ""]), @"
    error: model: it is a directory, expected a file
      help: name the model's file, or pipe it in and name `-`
    ");
    place.refused(1, ["inspect", "model"]);
}

#[test]
#[cfg(unix)]
fn a_device_is_no_model() {
    let place = Workplace::new();
    assert_snapshot!(place.refused(1, ["opt", "/dev/zero", "-o", "out.onnx", "-p", ""]), @"
    error: /dev/zero: it is a device, expected a file
      help: name the model's file, or pipe it in and name `-`
    ");
    place.refused(1, ["inspect", "/dev/null"]);
}

#[test]
fn a_file_that_is_not_there_is_no_model() {
    assert_snapshot!(Workplace::new().refused(1, ["opt", "model.onnx", "-o", "out.onnx", "-p", ""]), @"error: model.onnx: cannot open it: No such file or directory (os error 2)");
}

#[test]
fn what_people_take_for_a_model_is_named() {
    assert_snapshot!(unreadable(b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 97\n"), @"error: model.onnx: it seems to be a Git LFS pointer, not the file itself, expected an ONNX model; fetch the file with `git lfs pull`");
    assert_snapshot!(unreadable(b"PK\x03\x04 and so on"), @"error: model.onnx: it seems to be a zip archive (PyTorch's checkpoints are such), expected an ONNX model; export the model to ONNX with the framework that made it");
}

#[test]
fn ten_thousand_subgraphs_inside_each_other_are_too_many() {
    assert_snapshot!(unreadable(&nested(10_000)), @"
    error: model.onnx: damaged or no ONNX model: at byte 4040, in graph.node.attribute.g.node.attribute. (307 more) .node.attribute.g.node.attribute.g: messages nest more than 320 deep (about 100 subgraphs within each other)
      help: what wrote the file made a mistake: export the model again, with its newest release if need be
    ");
    // Deep, but not too deep: what is wrong with it is told.
    assert_snapshot!(unreadable(&nested(20)), @"
    error: model.onnx: graph: If `y`: input 0 `c` is never defined
      help: what wrote the file made a mistake: export the model again, with its newest release if need be
    ");
}

#[test]
fn bytes_after_a_model_are_read_as_part_of_it() {
    let mut bytes = relu().encode_to_vec();
    bytes.extend([0xff; 9]);
    assert_snapshot!(unreadable(&bytes), @"
    error: model.onnx: damaged or no ONNX model: at byte 69: the bytes end in the middle of a number
      help: the file was damaged or cut short on its way: fetch or export it again
    ");
}

#[test]
fn an_error_on_standard_input_is_told_like_any_other() {
    let place = Workplace::new();
    let outcome =
        place.run_with_stdin(["opt", "-", "-o", "out.onnx", "-p", ""], &model(Default::default()).encode_to_vec()[..3]);
    outcome.assert_refused(1);
    assert!(place.files().is_empty());
    assert_snapshot!(outcome.stderr, @"
    error: standard input: damaged or no ONNX model: at byte 2: the bytes end in the middle of a number
      help: the file was damaged or cut short on its way: fetch or export it again
    ");
}
