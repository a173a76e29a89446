//! Real models with damage: reading, verifying, simplifying and writing them gives a result or an error, and never a panic.

use std::path::Path;

use onnxpress::ir::assign_names;
use onnxpress::onnx::{self, OpenOptions};
use onnxpress::passes::manager::{self, RunOptions};
use onnxpress::proto::Message as _;
use onnxpress::{draw, inspect};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::random_models::{any_model, read};

/// What an edit does to the bytes.
#[derive(Debug, Clone)]
enum Edit {
    Set(usize, u8),
    Insert(usize, u8),
    Remove(usize),
    /// Overwrites a stretch with a copy of another.
    Copy(usize, usize, usize),
    Cut(usize),
}

fn any_edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        6 => (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        // Small numbers are what kinds, axes and counts are made of.
        6 => (any::<usize>(), 0..24_u8).prop_map(|(at, byte)| Edit::Set(at, byte)),
        1 => (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Edit::Insert(at, byte)),
        1 => any::<usize>().prop_map(Edit::Remove),
        2 => (any::<usize>(), any::<usize>(), 1..40_usize).prop_map(|(to, from, len)| Edit::Copy(to, from, len)),
        1 => any::<usize>().prop_map(Edit::Cut),
    ]
}

fn edited(mut bytes: Vec<u8>, edits: &[Edit]) -> Vec<u8> {
    for edit in edits {
        let len = bytes.len().max(1);
        match *edit {
            _ if bytes.is_empty() => {}
            Edit::Set(at, byte) => bytes[at % len] = byte,
            Edit::Insert(at, byte) => bytes.insert(at % len, byte),
            Edit::Remove(at) => drop(bytes.remove(at % len)),
            Edit::Copy(to, from, count) => {
                let (to, from) = (to % len, from % len);
                let count = count.min(len - to).min(len - from);
                bytes.copy_within(from..from + count, to);
            }
            Edit::Cut(at) => bytes.truncate(at % len),
        }
    }
    bytes
}

/// All that is done to a model between reading and writing.
fn press(bytes: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    let mut file = onnx::open_stdin(bytes, OpenOptions::default())?;
    let _ = draw::of_model(&file.model, "damaged").to_dot();
    let pipeline = onnxpress::passes::builtin()?.pipeline("simplify,infer-shapes")?;
    manager::run(&pipeline, &mut file.model, RunOptions { verify_each: true, ..RunOptions::default() })?;
    let summary = inspect::summary(&file.model, file.bytes, file.external_bytes);
    serde_json::to_string(&summary)?;
    let text = file.model.to_text();
    let _ = onnxpress::ir::Model::from_text(&text);
    file.outgoing()?.encode().write_to(&mut std::io::sink())?;
    Ok(())
}

fn digits() -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/digits/digits.onnx")).unwrap()
}

/// Damage where the graph is rather than in the weights, which are nearly all of the file.
fn in_the_graph(edits: Vec<Edit>) -> Vec<Edit> {
    const NODES: usize = 5_000;
    let place = |at: usize| at % NODES;
    let moved = |edit| match edit {
        Edit::Set(at, byte) => Edit::Set(place(at), byte),
        Edit::Insert(at, byte) => Edit::Insert(place(at), byte),
        Edit::Remove(at) => Edit::Remove(place(at)),
        Edit::Copy(to, from, count) => Edit::Copy(place(to), place(from), count),
        cut => cut,
    };
    edits.into_iter().map(moved).collect()
}

proptest! {
    #![proptest_config(crate::config(256))]

    #[test]
    fn a_damaged_trained_model_gives_a_result_or_an_error(edits in vec(any_edit(), 1..4)) {
        let _ = press(&edited(digits(), &in_the_graph(edits)));
    }

    #[test]
    fn a_damaged_random_model_gives_a_result_or_an_error((text, edits) in (any_model(8), vec(any_edit(), 1..4))) {
        let mut model = read(&text);
        assign_names(&mut model);
        let _ = press(&edited(onnx::to_message(&model, false).unwrap().encode_to_vec(), &edits));
    }
}

#[test]
fn undamaged_models_are_pressed() {
    press(&digits()).unwrap();
}
