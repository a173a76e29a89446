//! Weights that are said to be in another file: only files in the model's folder are read, and only where the data are.

use insta::assert_snapshot;
use onnxpress::proto::Message as _;

use crate::small_models::{add, external};
use crate::workplace::Workplace;

/// `inner/model.onnx`, whose weight `w` is said to be at `location`, and a file `inner/w.bin` that has it.
fn place(entries: &[(&str, &str)]) -> Workplace {
    let place = Workplace::new();
    std::fs::create_dir(place.path("inner")).unwrap();
    place.write("inner/model.onnx", &add(external("w", &[2, 3], entries)).encode_to_vec());
    place.write("inner/w.bin", &[0; 24]);
    place.write("outside.bin", &[0; 24]);
    place
}

fn refused(place: &Workplace) -> String {
    let said = place.refused(1, ["opt", "inner/model.onnx", "-o", "out.onnx", "-p", ""]);
    assert_eq!(said, place.refused(1, ["inspect", "inner/model.onnx"]));
    said
}

#[test]
fn a_file_in_the_folder_is_read() {
    for entries in [&[("location", "w.bin")][..], &[("location", "./w.bin"), ("offset", "0"), ("length", "24")]] {
        place(entries).run(["opt", "inner/model.onnx", "-o", "inner/out.onnx", "-p", ""]).assert_done();
    }
}

#[test]
fn the_way_out_of_the_folder_is_closed() {
    assert_snapshot!(refused(&place(&[("location", "../outside.bin")])), @"
    error: inner/model.onnx: tensor `w`: external data location `../outside.bin` contains `..`, expected a file in the model's folder
      help: no model may name files elsewhere: copy the data there, and name the copy
    ");
    assert_snapshot!(refused(&place(&[("location", "a/../../outside.bin")])), @"
    error: inner/model.onnx: tensor `w`: external data location `a/../../outside.bin` contains `..`, expected a file in the model's folder
      help: no model may name files elsewhere: copy the data there, and name the copy
    ");
    assert_snapshot!(refused(&place(&[("location", "/etc/passwd")])), @"
    error: inner/model.onnx: tensor `w`: external data location `/etc/passwd` is absolute, expected a file in the model's folder
      help: no model may name files elsewhere: copy the data there, and name the copy
    ");
    assert_snapshot!(refused(&place(&[("location", "")])), @"
    error: inner/model.onnx: tensor `w`: its data are external, but no `location` says where
      help: what wrote the file made a mistake: export the model again, with its newest release if need be
    ");
    assert_snapshot!(refused(&place(&[("length", "24")])), @"
    error: inner/model.onnx: tensor `w`: its data are external, but no `location` says where
      help: what wrote the file made a mistake: export the model again, with its newest release if need be
    ");
}

#[test]
#[cfg(unix)]
fn a_link_that_leaves_the_folder_is_not_followed() {
    let place = place(&[("location", "link.bin")]);
    std::os::unix::fs::symlink("../outside.bin", place.path("inner/link.bin")).unwrap();
    assert_snapshot!(refused(&place), @"
    error: inner/model.onnx: tensor `w`: external data location `link.bin` is a link that leaves it, expected a file in the model's folder
      help: no model may name files elsewhere: copy the data there, and name the copy
    ");
}

#[test]
#[cfg(unix)]
fn a_link_that_stays_in_the_folder_is_followed() {
    let place = place(&[("location", "link.bin")]);
    std::os::unix::fs::symlink("w.bin", place.path("inner/link.bin")).unwrap();
    place.run(["inspect", "inner/model.onnx"]).assert_done();
}

#[test]
fn a_file_that_is_missing_or_no_file() {
    assert_snapshot!(refused(&place(&[("location", "none.bin")])), @"
    error: inner/model.onnx: tensor `w`: cannot read its data file inner/none.bin: No such file or directory (os error 2)
      help: a model moves together with its data files: put them there too
    ");
    let place = place(&[("location", "folder")]);
    std::fs::create_dir(place.path("inner/folder")).unwrap();
    assert_snapshot!(refused(&place), @"error: inner/model.onnx: tensor `w`: its data file inner/folder is a directory, expected a regular file");
}

#[test]
fn a_file_that_is_too_short() {
    let short = place(&[("location", "w.bin")]);
    short.write("inner/w.bin", &[0; 23]);
    assert_snapshot!(refused(&short), @"
    error: inner/model.onnx: initializer `w`: 23 bytes of data, but float[2, 3] takes 24
      help: what wrote the file made a mistake: export the model again, with its newest release if need be
    ");
    assert_snapshot!(refused(&place(&[("location", "w.bin"), ("length", "25")])), @"
    error: inner/model.onnx: tensor `w`: its data are 25 bytes at offset 0 of FOLDER/inner/w.bin, which has 24 bytes
      help: the data file was cut short or is another model's: fetch both files again
    ");
    assert_snapshot!(refused(&place(&[("location", "w.bin"), ("length", "23")])), @"
    error: inner/model.onnx: initializer `w`: 23 bytes of data, but float[2, 3] takes 24
      help: what wrote the file made a mistake: export the model again, with its newest release if need be
    ");
}

#[test]
fn an_offset_past_the_end() {
    assert_snapshot!(refused(&place(&[("location", "w.bin"), ("offset", "25")])), @"
    error: inner/model.onnx: tensor `w`: its data are 0 bytes at offset 25 of FOLDER/inner/w.bin, which has 24 bytes
      help: the data file was cut short or is another model's: fetch both files again
    ");
    assert_snapshot!(refused(&place(&[("location", "w.bin"), ("offset", "1"), ("length", "24")])), @"
    error: inner/model.onnx: tensor `w`: its data are 24 bytes at offset 1 of FOLDER/inner/w.bin, which has 24 bytes
      help: the data file was cut short or is another model's: fetch both files again
    ");
    assert_snapshot!(refused(&place(&[("location", "w.bin"), ("offset", "18446744073709551615"), ("length", "24")])), @"
    error: inner/model.onnx: tensor `w`: its data are 24 bytes at offset 18446744073709551615 of FOLDER/inner/w.bin, which has 24 bytes
      help: the data file was cut short or is another model's: fetch both files again
    ");
    assert_snapshot!(refused(&place(&[("location", "w.bin"), ("offset", "-1")])), @"
    error: inner/model.onnx: tensor `w`: external data `offset` is `-1`, expected a number of bytes
      help: what wrote the file made a mistake: export the model again, with its newest release if need be
    ");
}

#[test]
fn a_model_from_a_pipe_has_no_folder() {
    let place = place(&[("location", "w.bin")]);
    let model = place.read("inner/model.onnx");
    let outcome = place.run_with_stdin(["opt", "-", "-o", "out.onnx", "-p", ""], &model);
    outcome.assert_refused(1);
    assert_snapshot!(outcome.stderr, @"error: standard input: tensor `w`: its data are in the file `w.bin`, but the model came from a stream, which has no folder; name the model's file");
}
