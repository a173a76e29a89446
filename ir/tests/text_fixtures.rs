//! The texts in `fixtures/text` are what the exact form prints. `tests/cross/text_form.py` has ONNX's own parser read them,
//! so that together they show that the two speak one language.
//!
//! With `UPDATE_FIXTURES=1` a text that is not as it would be printed is written anew, and the test fails still.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

use onnxpress_ir::{DType, Model, Tensor};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/text").join(name)
}

/// The texts of a folder with the names of their files, in order.
fn texts(name: &str) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = entries.filter(|path| path.extension().is_some_and(|ext| ext == "onnxtxt")).collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

fn read(path: &Path, text: &str) -> Model {
    Model::from_text(text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_text_prints_as_it_stands() {
    for (path, text) in texts("").into_iter().chain(texts("extensions")) {
        let printed = read(&path, &text).to_text();
        if printed != text && std::env::var_os("UPDATE_FIXTURES").is_some() {
            fs::write(&path, &printed).unwrap();
        }
        assert_eq!(printed, text, "{}", path.display());
    }
}

/// `printer` has what `onnx.printer` makes of the texts of the same name.
#[test]
fn what_onnx_prints_reads_as_the_same_model() {
    for (path, text) in texts("printer") {
        let ours = fs::read_to_string(folder("").join(path.file_name().unwrap())).unwrap();
        assert_eq!(read(&path, &text).to_text(), ours, "{}", path.display());
    }
}

#[test]
fn literals_mean_what_their_twins_say() {
    let text = fs::read_to_string(folder("tensors.onnxtxt")).unwrap();
    let model = Model::from_text(&text).unwrap();
    let tensor = |name: &str| -> Tensor {
        let found =
            model.graph.constants().find(|(_, constant)| constant.port.name.as_ref().is_some_and(|n| *n == name));
        found.unwrap_or_else(|| panic!("{name}")).1.value.dense().unwrap().clone()
    };
    let number = |dtype: &&DType| !matches!(dtype, DType::String | DType::Complex64 | DType::Complex128);
    for dtype in DType::ALL.iter().filter(number) {
        let (is, means) = (tensor(&format!("{dtype}_is")), tensor(&format!("{dtype}_means")));
        assert_eq!(is.dtype(), *dtype);
        assert_eq!(is.to_f64s().unwrap(), means.to_f64s().unwrap(), "{dtype}");
    }
}
