#![allow(clippy::unwrap_used)]
use super::*;
use crate::samples;
use std::io::Write as _;

fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// The error of opening and decoding, without the path before it.
fn error(path: &Path) -> String {
    let error = ModelFile::open(path).and_then(|file| file.decode().map(drop)).unwrap_err().to_string();
    error.strip_prefix(&format!("{}: ", path.display())).unwrap().to_owned()
}

#[test]
fn a_mapped_model_decodes_to_what_was_encoded_and_its_weights_stay_in_the_file() {
    let whole = samples::model();
    let file = file(&whole.encode_to_vec());
    let opened = ModelFile::open(file.path()).unwrap();
    let decoded = opened.decode().unwrap();
    assert_eq!(decoded.model, whole);
    let weight = decoded.model.graph.unwrap().initializer[0].raw_data.clone().unwrap();
    assert!(opened.bytes().as_ptr_range().contains(&weight.as_ptr()), "the weight was copied");
}

#[test]
fn a_stream_decodes_like_a_file_but_has_no_folder() {
    let whole = samples::model();
    let bytes = whole.encode_to_vec();
    let opened = ModelFile::from_reader("-", bytes.as_slice()).unwrap();
    assert_eq!(opened.decode().unwrap().model, whole);
    assert_eq!(opened.folder(), None);
    opened.check_unchanged().unwrap();
}

#[test]
fn the_folder_of_a_bare_name_is_the_current_one() {
    let mapped = Mapped::new(Path::new("m.onnx"), file(b"x").as_file()).unwrap();
    let opened = ModelFile { name: "m.onnx".into(), bytes: mapped.bytes(), mapped: Some(mapped) };
    assert_eq!(opened.folder(), Some(Path::new(".")));
}

#[test]
fn an_endless_stream_is_cut_off() {
    let error = ModelFile::from_reader_within("-".into(), io::repeat(0), 1000).unwrap_err();
    assert_eq!(error.to_string(), "-: more than 1000 bytes came; write them to a file and name that");
    assert!(ModelFile::from_reader_within("-".into(), io::repeat(0).take(1000), 1000).is_ok());
}

#[test]
fn what_is_no_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(error(folder.path()), "it is a directory, expected a file");
    assert_eq!(error(file(b"").path()), "it is empty, expected an ONNX model");
    assert!(error(&folder.path().join("none.onnx")).starts_with("cannot open it: No such file"));
    assert_eq!(
        ModelFile::from_reader("-", io::empty()).unwrap_err().to_string(),
        "-: it is empty, expected an ONNX model"
    );
}

#[cfg(unix)]
#[test]
fn devices_are_refused_and_pipes_are_read() {
    assert_eq!(error(Path::new("/dev/zero")), "it is a device, expected a file");
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let whole = samples::model();
    std::thread::scope(|scope| {
        scope.spawn(|| std::fs::write(&pipe, whole.encode_to_vec()).unwrap());
        assert_eq!(ModelFile::open(&pipe).unwrap().decode().unwrap().model, whole);
    });
}

#[test]
fn what_is_no_model_is_named() {
    assert_eq!(
        error(file(b"PK\x03\x04....").path()),
        "it seems to be a zip archive (PyTorch's checkpoints are such), expected an ONNX model; \
         export the model to ONNX with the framework that made it"
    );
    let tensor = samples::tensor("t", vec![1, 2, 3]).encode_to_vec();
    assert_eq!(
        error(file(&tensor).path()),
        "it seems to be a single tensor (TensorProto), expected an ONNX model; \
         tensors are inputs or test data; name the model"
    );
    assert_eq!(
        error(file(&[0xff, 0xff, 0x03]).path()),
        "damaged or no ONNX model: at byte 0: found wire type 7, which does not exist"
    );
}

#[test]
fn a_model_without_a_graph_is_refused() {
    let bare = ModelProto { ir_version: Some(8), ..Default::default() };
    assert_eq!(error(file(&bare.encode_to_vec()).path()), "the model has no graph");
}

#[test]
fn a_bad_number_within_a_packed_list_is_the_decoders_to_find() {
    let mut bytes = samples::model();
    bytes.graph.as_mut().unwrap().initializer[1].int64_data = vec![-1];
    let mut bytes = bytes.encode_to_vec();
    let minus_one = bytes.windows(10).rposition(|ten| ten == [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
    bytes[minus_one.unwrap() + 9] = 2;
    let error = error(file(&bytes).path());
    assert!(error.contains("int64_data") && error.contains("invalid varint"), "{error}");
}

#[test]
fn invalid_utf8_survives() {
    let decoded = ModelFile::from_bytes("m", samples::model().encode_to_vec().into()).unwrap().decode().unwrap();
    assert_eq!(decoded.model.graph.unwrap().name.unwrap().as_ref(), b"not \xff UTF-8");
}

#[cfg(unix)]
#[test]
fn a_file_cut_before_it_is_decoded_is_an_error_that_says_so() {
    let mut whole = samples::model();
    whole.graph.as_mut().unwrap().initializer.push(samples::tensor("big", vec![1; 1 << 20]));
    let bytes = whole.encode_to_vec();
    let file = file(&bytes);
    let opened = ModelFile::open(file.path()).unwrap();
    file.as_file().set_len(1000).unwrap();
    let error = opened.decode().unwrap_err().to_string();
    let expected = format!("it had {} bytes and has 1000; run again when it rests", bytes.len());
    assert!(error.ends_with(&expected), "{error}");
}

#[cfg(unix)]
#[test]
fn weights_read_after_the_file_was_cut_are_void_and_reported() {
    let mut whole = samples::model();
    whole.graph.as_mut().unwrap().initializer.push(samples::tensor("big", vec![1; 1 << 20]));
    let file = file(&whole.encode_to_vec());
    let opened = ModelFile::open(file.path()).unwrap();
    let decoded = opened.decode().unwrap();
    file.as_file().set_len(0).unwrap();
    let weight = decoded.model.graph.unwrap().initializer[2].raw_data.clone().unwrap();
    assert_eq!(weight[weight.len() - 1], 0);
    assert!(matches!(opened.check_unchanged(), Err(ReadError::Changed { .. })));
}
