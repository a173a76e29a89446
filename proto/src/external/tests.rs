#![allow(clippy::unwrap_used)]
use super::*;
use crate::read::ModelFile;
use crate::samples;
use std::fs;
use std::path::Path;

/// A tensor `w` with these external data entries.
fn tensor(entries: &[(&str, &str)]) -> TensorProto {
    TensorProto {
        name: Some("w".into()),
        data_location: Some(DataLocation::External as i32),
        external_data: entries.iter().map(|(key, value)| samples::entry(key, value)).collect(),
        ..Default::default()
    }
}

/// A folder `model` with a data file of the bytes 0 to 99, within a folder that the model has no business in.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let outer = tempfile::tempdir().unwrap();
    let inner = outer.path().join("model");
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("w.bin"), (0..100).collect::<Vec<u8>>()).unwrap();
    fs::write(outer.path().join("secret"), "secret").unwrap();
    (outer, inner)
}

fn read(folder: &Path, entries: &[(&str, &str)]) -> Result<Bytes, String> {
    let read = ExternalFiles::in_folder(folder).read(&tensor(entries));
    let real = fs::canonicalize(folder).unwrap();
    let shorten = |error: String| error.replace(real.to_str().unwrap(), "DIR").replace(folder.to_str().unwrap(), "DIR");
    read.map(Option::unwrap).map_err(|error| shorten(error.to_string()))
}

fn error(folder: &Path, entries: &[(&str, &str)]) -> String {
    read(folder, entries).unwrap_err()
}

#[test]
fn a_range_of_the_file_is_read() {
    let (_outer, model) = folder();
    let range = [("location", "w.bin"), ("offset", "10"), ("length", "3"), ("checksum", "unchecked")];
    assert_eq!(read(&model, &range).unwrap().as_ref(), [10, 11, 12]);
    assert_eq!(read(&model, &[("location", "./w.bin"), ("offset", "98")]).unwrap().as_ref(), [98, 99]);
    assert_eq!(read(&model, &[("location", "w.bin")]).unwrap().len(), 100);
    assert_eq!(read(&model, &[("location", "w.bin"), ("offset", "100"), ("length", "0")]).unwrap().len(), 0);
}

#[test]
fn data_within_the_tensor_are_not_external() {
    let mut files = ExternalFiles::in_folder("/nowhere");
    assert_eq!(files.read(&samples::tensor("t", vec![1])).unwrap(), None);
    let stale = TensorProto { data_location: None, ..tensor(&[("location", "/etc/passwd")]) };
    assert_eq!(files.read(&stale).unwrap(), None);
}

#[test]
fn a_file_is_mapped_once_however_it_is_named() {
    let (_outer, model) = folder();
    let mut files = ExternalFiles::in_folder(&model);
    let first = files.read(&tensor(&[("location", "w.bin")])).unwrap().unwrap();
    let second = files.read(&tensor(&[("location", "./w.bin")])).unwrap().unwrap();
    assert_eq!(first.as_ptr(), second.as_ptr());
    assert_eq!(files.paths().count(), 1);
}

#[test]
fn locations_that_lead_out_are_refused() {
    let (_outer, model) = folder();
    let why = |location: &str| {
        let message = error(&model, &[("location", location)]);
        let start = format!("tensor `w`: external data location `{location}` ");
        let end = ", expected a file in the model's folder";
        message.strip_prefix(&start).unwrap().strip_suffix(end).unwrap().to_owned()
    };
    assert_eq!(why("/etc/passwd"), "is absolute");
    assert_eq!(why("\\\\server\\share"), "is absolute");
    assert_eq!(why("C:\\weights"), "is absolute");
    assert_eq!(why("../secret"), "contains `..`");
    assert_eq!(why("sub\\..\\..\\secret"), "contains `..`");
    assert_eq!(why("w.bin\0"), "contains a zero byte");
}

#[cfg(unix)]
#[test]
fn links_may_stay_in_the_folder_and_not_leave_it() {
    use std::os::unix::fs::symlink;
    let (outer, model) = folder();
    symlink("w.bin", model.join("inside")).unwrap();
    assert_eq!(read(&model, &[("location", "inside")]).unwrap().len(), 100);
    symlink("../secret", model.join("outside")).unwrap();
    symlink("..", model.join("up")).unwrap();
    for location in ["outside", "up/secret"] {
        let message = error(&model, &[("location", location)]);
        assert!(message.contains("is a link that leaves it"), "{message}");
    }
    // The folder itself may be reached by a link.
    symlink("model", outer.path().join("alias")).unwrap();
    assert_eq!(read(&outer.path().join("alias"), &[("location", "w.bin")]).unwrap().len(), 100);
}

#[test]
fn what_is_missing_or_short_names_the_tensor_and_the_file() {
    let (_outer, model) = folder();
    let missing = error(&model, &[("location", "none.bin")]);
    assert!(missing.starts_with("tensor `w`: cannot read its data file DIR/none.bin: No such file"), "{missing}");
    let past = |offset, length| error(&model, &[("location", "w.bin"), ("offset", offset), ("length", length)]);
    assert_eq!(past("90", "11"), "tensor `w`: its data are 11 bytes at offset 90 of DIR/w.bin, which has 100 bytes");
    assert_eq!(past("101", "0"), "tensor `w`: its data are 0 bytes at offset 101 of DIR/w.bin, which has 100 bytes");
    assert!(past("18446744073709551615", "2").contains("2 bytes at offset 18446744073709551615"));
    assert_eq!(error(&model, &[]), "tensor `w`: its data are external, but no `location` says where");
}

#[test]
fn numbers_are_digits() {
    let (_outer, model) = folder();
    for bad in ["-1", "+1", "1e3", "", " 1", "0x10", "18446744073709551616"] {
        let message = error(&model, &[("location", "w.bin"), ("offset", bad)]);
        assert_eq!(message, format!("tensor `w`: external data `offset` is `{bad}`, expected a number of bytes"));
    }
}

#[cfg(unix)]
#[test]
fn folders_and_pipes_are_no_data_files() {
    let (_outer, model) = folder();
    assert_eq!(
        error(&model, &[("location", ".")]),
        "tensor `w`: its data file DIR/. is a directory, expected a regular file"
    );
    assert!(std::process::Command::new("mkfifo").arg(model.join("pipe")).status().unwrap().success());
    assert_eq!(
        error(&model, &[("location", "pipe")]),
        "tensor `w`: its data file DIR/pipe is a pipe, expected a regular file"
    );
}

#[test]
fn an_empty_file_holds_only_nothing() {
    let (_outer, model) = folder();
    fs::write(model.join("empty"), "").unwrap();
    assert_eq!(read(&model, &[("location", "empty")]).unwrap().len(), 0);
    assert!(error(&model, &[("location", "empty"), ("length", "1")]).contains("which has 0 bytes"));
}

#[test]
fn a_model_from_a_stream_has_no_external_data() {
    let stream = ModelFile::from_bytes("-", Bytes::from_static(b"x")).unwrap();
    let error = ExternalFiles::of(&stream).read(&tensor(&[("location", "w.bin")])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "tensor `w`: its data are in the file `w.bin`, but the model came from a stream, \
         which has no folder; name the model's file"
    );
}

#[cfg(unix)]
#[test]
fn a_data_file_cut_while_it_is_mapped_is_reported() {
    let (_outer, model) = folder();
    let path = model.join("big.bin");
    fs::write(&path, vec![9; 1 << 20]).unwrap();
    let mut files = ExternalFiles::in_folder(&model);
    let data = files.read(&tensor(&[("location", "big.bin")])).unwrap().unwrap();
    files.check_unchanged().unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1).unwrap();
    assert_eq!(data[1 << 19], 0);
    assert!(matches!(files.check_unchanged(), Err(ExternalError::Changed { .. })));
}

#[test]
fn what_is_laid_out_reads_back() {
    let (_outer, model) = folder();
    let mut writer = ExternalWriter::new("out.data").unwrap();
    let data = [vec![1; 10], vec![2; 1024], vec![3; 5000], vec![4; 1 << 20], vec![5; 2000]];
    let mut tensors: Vec<TensorProto> = data.iter().map(|data| samples::tensor("t", data.clone())).collect();
    let placed: Vec<bool> =
        tensors.iter_mut().zip(&data).map(|(tensor, data)| writer.place(tensor, data.clone().into())).collect();
    assert_eq!(placed, [false, true, true, true, true]);

    let mut bytes = Vec::new();
    writer.finish().write_to(&mut bytes).unwrap();
    fs::write(model.join("out.data"), bytes).unwrap();
    let mut files = ExternalFiles::in_folder(&model);
    for (tensor, data) in tensors.iter().zip(&data).skip(1) {
        assert_eq!(tensor.raw_data, None);
        assert_eq!(files.read(tensor).unwrap().unwrap(), data);
    }
    let offsets: Vec<u64> = tensors[1..].iter().map(|tensor| Location::of(tensor).unwrap().unwrap().offset).collect();
    // The second at the next cache line, the mebibyte at the next page.
    assert_eq!(offsets, [0, 1024, 8192, 8192 + (1 << 20)]);
    assert_eq!(tensors[0].raw_data.as_deref(), Some([1; 10].as_slice()));
}

#[test]
fn tensors_that_share_their_data_share_them_in_the_file() {
    let shared = Bytes::from(vec![1; 2000]);
    let mut writer = ExternalWriter::new("out.data").unwrap().with_threshold(0).with_alignment(Alignment::PACKED);
    for data in [shared.clone(), shared.clone(), shared.slice(..1000), Bytes::new()] {
        assert!(writer.place(&mut TensorProto::default(), data));
    }
    assert_eq!(writer.finish().len(), 3000);
}

#[test]
fn what_was_external_can_be_embedded() {
    let mut tensor = tensor(&[("location", "w.bin")]);
    embed(&mut tensor, Bytes::from_static(b"abc"));
    assert_eq!(tensor, TensorProto { name: Some("w".into()), raw_data: Some("abc".into()), ..Default::default() });
}

#[test]
fn a_data_file_has_a_plain_name() {
    for name in ["", ".", "..", "a/b", "a\\b", "/a", "C:a"] {
        assert!(matches!(ExternalWriter::new(name), Err(ExternalError::BadName { .. })), "{name}");
    }
    assert_eq!(ExternalWriter::new("m.onnx.data").unwrap().location(), "m.onnx.data");
}
