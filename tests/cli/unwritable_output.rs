//! Outputs that cannot be written: nothing is left behind, and what stood there before still does.

use insta::assert_snapshot;

use crate::workplace::Workplace;

fn refused(out: &str) -> String {
    Workplace::with_digits().refused(1, ["opt", "model.onnx", "-o", out, "-p", ""])
}

#[test]
fn a_folder_that_is_not_there() {
    assert_snapshot!(refused("none/out.onnx"), @"error: none/out.onnx: the folder none does not exist; make it first");
    assert_snapshot!(refused("model.onnx/out.onnx"), @"error: model.onnx/out.onnx: cannot open it: Not a directory (os error 20)");
}

#[test]
fn a_folder_where_a_file_should_be() {
    let place = Workplace::with_digits();
    std::fs::create_dir(place.path("folder")).unwrap();
    assert_snapshot!(place.refused(1, ["opt", "model.onnx", "-o", "folder", "-p", ""]), @"error: folder: it is a folder, expected the name of a file");
    place.refused(1, ["opt", "model.onnx", "-o", "folder/", "-p", ""]);
}

#[test]
fn a_file_that_is_protected() {
    let place = Workplace::with_digits();
    place.write("out.onnx", b"precious");
    let mut permissions = std::fs::metadata(place.path("out.onnx")).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(place.path("out.onnx"), permissions).unwrap();
    assert_snapshot!(place.refused(1, ["opt", "model.onnx", "-o", "out.onnx", "-p", ""]), @"error: out.onnx: it may not be written: permission denied");
}

/// Not even root makes files in these folders.
#[test]
#[cfg(target_os = "linux")]
fn a_folder_that_may_not_be_written() {
    let said = refused("/proc/self/out.onnx");
    assert!(said.starts_with("error: /proc/self/out.onnx: "), "{said}");
    assert!(refused("/dev/null/out.onnx").starts_with("error: /dev/null/out.onnx: "));
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_under_standard_output() {
    let place = Workplace::with_digits();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = place.command(["opt", "model.onnx", "-o", "-", "-p", ""]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @"error: -: no room for its 119727 bytes: No space left on device (os error 28)");
    // Results in words are results too.
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = place.command(["inspect", "model.onnx"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @"error: standard output: No space left on device (os error 28)");
}

/// A limit on the size of files stands in for a full disk, which only root could make. The shell sets it, and has the signal
/// ignored that goes with it, so that the write fails as it does on a full disk.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_under_a_file() {
    let place = Workplace::with_digits();
    let before = place.files();
    for out in ["out.onnx", "model.onnx"] {
        let script = format!("trap '' XFSZ; ulimit -f 8; exec \"$0\" opt model.onnx -o {out} -p ''");
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_onnxpress")]).current_dir(place.path("."));
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert_eq!(said.matches("error:").count(), 1, "{said}");
        assert!(said.starts_with(&format!("error: {out}: no room for its 1")), "{said}");
        assert!(before == place.files(), "files were left or changed: {:?}", place.files().keys());
    }
}

#[test]
fn data_files_that_would_leave_the_folder() {
    let place = Workplace::with_digits();
    for name in ["../w.bin", "/tmp/w.bin", "a/w.bin", "", ".."] {
        place.refused(1, ["opt", "model.onnx", "-o", "out.onnx", "-p", "", "--external-data", name]);
    }
    let data = |name| place.refused(1, ["opt", "model.onnx", "-o", "out.onnx", "-p", "", "--external-data", name]);
    assert_snapshot!(data("../w.bin"), @"error: `../w.bin` cannot name a data file: it is more than a name, expected a plain file name beside the model");
    assert_snapshot!(data("out.onnx"), @"error: out.onnx: two files of this name are to be written; give one another name");
}
