//! Inputs that change under our hands. A model's weights are read from its file to the last moment, so what was computed
//! from a file that changed meanwhile is not to be trusted, and a file that was cut short must not bring the process down.
//!
//! To change a file at the right moment the process is held up: its standard error is a pipe that is full, so it waits
//! where it first says something, which is after the model was mapped and before anything is written.

#![cfg(target_os = "linux")]

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::process::{Child, Stdio};
use std::time::Duration;

use insta::assert_snapshot;

use crate::workplace::Workplace;

/// What a full pipe is full of.
const FILLING: u8 = 1;

/// Waits until `what` holds, and fails the test when that takes a minute.
fn until(what: impl Fn() -> bool) {
    for _ in 0..6_000 {
        if what() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("waited in vain");
}

/// Whether the process has a file of this name mapped.
fn has_mapped(child: &Child, name: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{}/maps", child.id())).unwrap().lines().any(|line| line.ends_with(name))
}

/// Runs `opt`, does `meanwhile` to the folder while the process waits, and answers what it then says.
fn while_running(place: &Workplace, mapped: &str, meanwhile: impl FnOnce(&Workplace)) -> String {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut filler = writer.try_clone().unwrap();
    let (sender, filled) = std::sync::mpsc::channel();
    let filling =
        std::thread::spawn(move || while sender.send(()).is_ok() && filler.write_all(&[FILLING; 4_096]).is_ok() {});
    // Full when nothing more goes in for a while.
    while filled.recv_timeout(Duration::from_millis(200)).is_ok() {}
    drop(filled);

    let mut command =
        place.command(["opt", "model.onnx", "-o", "out.onnx", "-p", "infer-shapes", "--print-after", "infer-shapes"]);
    let mut child = command.stderr(Stdio::from(writer)).spawn().unwrap();
    drop(command);
    until(|| has_mapped(&child, mapped));
    meanwhile(place);
    let mut said = Vec::new();
    reader.read_to_end(&mut said).unwrap();
    filling.join().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(!place.path("out.onnx").exists());
    said.retain(|&byte| byte != FILLING);
    let said = String::from_utf8(said).unwrap();
    let error = said.find("error:").unwrap();
    let folder = place.path(".").canonicalize().unwrap();
    said[error..].replace(&folder.display().to_string(), "FOLDER")
}

#[test]
fn a_file_that_is_written_to() {
    let place = Workplace::with_digits();
    let said = while_running(&place, "model.onnx", |place| {
        let mut file = OpenOptions::new().append(true).open(place.path("model.onnx")).unwrap();
        file.write_all(b"more").unwrap();
    });
    assert_snapshot!(said, @"error: model.onnx: the file changed while it was in use: it had 119727 bytes and has 119731; run again when it rests");
}

#[test]
fn a_file_that_is_cut_short() {
    let place = Workplace::with_digits();
    let said = while_running(&place, "model.onnx", |place| {
        OpenOptions::new().write(true).open(place.path("model.onnx")).unwrap().set_len(5_000).unwrap();
    });
    assert_snapshot!(said, @"error: model.onnx: the file changed while it was in use: it had 119727 bytes and has 5000; run again when it rests");
}

#[test]
fn a_data_file_that_is_cut_short() {
    let place = Workplace::with_digits();
    let split = ["opt", "model.onnx", "-o", "model.onnx", "-p", "", "--external-data", "model.data"];
    place.run(split).assert_done();
    let said = while_running(&place, "model.data", |place| {
        OpenOptions::new().write(true).open(place.path("model.data")).unwrap().set_len(5_000).unwrap();
    });
    assert_snapshot!(said, @"error: model.onnx: FOLDER/model.data: the file changed while it was in use: it had 112640 bytes and has 5000; run again when it rests");
}

/// Here the process waits in the middle of writing, for a reader that has taken only the first byte.
#[test]
fn a_file_that_is_cut_short_while_it_is_written_out() {
    let place = Workplace::with_digits();
    let mut command = place.command(["opt", "model.onnx", "-o", "-", "-p", ""]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut [0]).unwrap();
    OpenOptions::new().write(true).open(place.path("model.onnx")).unwrap().set_len(0).unwrap();
    std::io::copy(&mut out, &mut std::io::sink()).unwrap();
    let outcome = place.wait(child);
    outcome.assert_refused(1);
    assert_snapshot!(outcome.stderr, @"error: -: not written: the input file was cut short meanwhile; run again when it rests");
}
