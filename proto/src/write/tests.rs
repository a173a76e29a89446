#![allow(clippy::unwrap_used)]
use super::*;
use crate::read::ModelFile;
use crate::samples;
use bytes::Bytes;
use prost::Message as _;

fn content(text: &'static str) -> Encoded {
    let mut encoded = Encoded::default();
    encoded.push(Bytes::from_static(text.as_bytes()));
    encoded
}

fn write(path: &Path, text: &'static str) -> Result<(), WriteError> {
    let mut files = FileSet::new();
    files.stage(path, content(text))?;
    files.commit()
}

fn names(folder: &Path) -> Vec<String> {
    let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}

#[test]
fn a_model_may_replace_the_file_that_it_is_mapped_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    let mut model = samples::model();
    model.graph.as_mut().unwrap().initializer.push(samples::tensor("big", vec![5; 100_000]));
    fs::write(&path, model.encode_to_vec()).unwrap();

    let opened = ModelFile::open(&path).unwrap();
    let mut decoded = opened.decode().unwrap().model;
    decoded.producer_name = Some("another".into());
    let len = write_atomically(&path, &decoded).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), len);
    // The old file is still what the old map shows, and the new one reads back.
    assert_eq!(opened.bytes().as_ref(), model.encode_to_vec());
    assert_eq!(ModelFile::open(&path).unwrap().decode().unwrap().model, decoded);
    assert_eq!(names(folder.path()), ["m.onnx"]);
}

#[test]
fn nothing_appears_before_the_commit_and_nothing_stays_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = FileSet::new();
    files.stage(&folder.path().join("a"), content("a")).unwrap();
    assert!(!folder.path().join("a").exists());
    drop(files);
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn a_set_appears_together() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = FileSet::new();
    files.stage(&folder.path().join("m.data"), content("data")).unwrap();
    files.stage(&folder.path().join("m.onnx"), content("model")).unwrap();
    files.commit().unwrap();
    assert_eq!(names(folder.path()), ["m.data", "m.onnx"]);
}

#[test]
fn a_set_that_fails_halfway_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("old.data"), "before").unwrap();
    let mut files = FileSet::new();
    files.stage(&at("new.data"), content("new")).unwrap();
    files.stage(&at("old.data"), content("after")).unwrap();
    files.stage(&at("m.onnx"), content("model")).unwrap();
    // Somebody makes a folder of the last name before the commit: it cannot be replaced.
    fs::create_dir_all(at("m.onnx/full")).unwrap();
    files.commit().unwrap_err();
    assert_eq!(names(folder.path()), ["m.onnx", "old.data"]);
    assert_eq!(fs::read_to_string(at("old.data")).unwrap(), "before");
}

#[test]
fn two_files_of_one_name_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = FileSet::new();
    files.stage(&folder.path().join("m"), content("data")).unwrap();
    let same = folder.path().join(".").join("m");
    assert!(matches!(files.stage(&same, content("model")), Err(WriteError::Twice { .. })));
}

#[test]
fn where_no_file_can_stand_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let message = |path: &Path| {
        let error = write(path, "x").unwrap_err().to_string();
        error.replace(folder.path().to_str().unwrap(), "DIR")
    };
    assert_eq!(
        message(&folder.path().join("no/m.onnx")),
        "DIR/no/m.onnx: the folder DIR/no does not exist; make it first"
    );
    assert_eq!(message(folder.path()), "DIR: it is a folder, expected the name of a file");
    fs::write(folder.path().join("file"), "").unwrap();
    let below = message(&folder.path().join("file/m.onnx"));
    assert!(below.starts_with("DIR/file/m.onnx: cannot open it: Not a directory"), "{below}");
}

#[test]
fn a_protected_file_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    fs::write(&path, "before").unwrap();
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&path, permissions).unwrap();
    assert!(matches!(write(&path, "x"), Err(WriteError::NotWritable { .. })));
    assert_eq!(names(folder.path()), ["m.onnx"]);
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn the_permissions_of_the_file_before_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.onnx");
        fs::write(&path, "before").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        write(&path, "after").unwrap();
        assert_eq!((mode(&path), fs::read_to_string(&path).unwrap().as_str()), (0o640, "after"));
    }

    #[test]
    fn a_new_file_has_the_permissions_that_any_program_gives() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("ours"), "x").unwrap();
        fs::write(folder.path().join("theirs"), "x").unwrap();
        assert_eq!(mode(&folder.path().join("ours")), mode(&folder.path().join("theirs")));
    }

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("far")).unwrap();
        symlink("far/m.onnx", at("link")).unwrap();
        for text in ["first", "second"] {
            write(&at("link"), text).unwrap();
            assert_eq!(fs::read_to_string(at("far/m.onnx")).unwrap(), text);
        }
        assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
        symlink("circle", at("circle")).unwrap();
        write(&at("circle"), "x").unwrap_err();
    }

    #[test]
    fn devices_and_pipes_are_written_directly() {
        write(Path::new("/dev/null"), "x").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| fs::read_to_string(&pipe).unwrap());
            write(&pipe, "through").unwrap();
            assert_eq!(reader.join().unwrap(), "through");
        });
        assert_eq!(names(folder.path()), ["pipe"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_device_is_told_with_the_room_it_takes() {
        let error = write(Path::new("/dev/full"), "four").unwrap_err().to_string();
        assert!(error.starts_with("/dev/full: no room for its 4 bytes: No space left"), "{error}");
    }

    /// A full disk, played by a limit on the size of files: in a child, since the limit is the process's.
    #[test]
    fn a_full_disk_leaves_nothing_behind() {
        const FOLDER: &str = "ONNXPRESS_TEST_FULL_DISK";
        if let Some(folder) = std::env::var_os(FOLDER) {
            let mut big = Encoded::default();
            big.push(vec![1; 1 << 20].into());
            let error = FileSet::new().stage(&Path::new(&folder).join("m.onnx"), big).unwrap_err();
            assert!(matches!(error, WriteError::Full { needed: 1_048_576, .. }), "{error}");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("m.onnx"), "before").unwrap();
        let this = std::env::current_exe().unwrap();
        let test = "write::tests::unix::a_full_disk_leaves_nothing_behind";
        let script = format!("trap '' XFSZ; ulimit -f 16; exec '{}' --exact {test} >/dev/null 2>&1", this.display());
        let status = std::process::Command::new("sh").args(["-c", &script]).env(FOLDER, folder.path()).status();
        assert!(status.unwrap().success());
        assert_eq!(names(folder.path()), ["m.onnx"]);
        assert_eq!(fs::read_to_string(folder.path().join("m.onnx")).unwrap(), "before");
    }

    #[test]
    fn weights_whose_file_was_cut_are_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let (input, output) = (folder.path().join("in.onnx"), folder.path().join("out.onnx"));
        let mut model = samples::model();
        model.graph.as_mut().unwrap().initializer.push(samples::tensor("big", vec![5; 1 << 20]));
        fs::write(&input, model.encode_to_vec()).unwrap();
        let opened = ModelFile::open(&input).unwrap();
        let decoded = opened.decode().unwrap().model;
        OpenOptions::new().write(true).open(&input).unwrap().set_len(10_000).unwrap();
        // The system call sees the cut, not the process: an error, and no signal.
        let error = write_atomically(&output, &decoded).unwrap_err();
        assert!(matches!(error, WriteError::InputCut { .. }), "{error}");
        assert!(opened.check_unchanged().is_err());
        assert_eq!(names(folder.path()), ["in.onnx"]);
    }

    #[test]
    fn standard_output_takes_a_model() {
        const CHILD: &str = "ONNXPRESS_TEST_STDOUT";
        if std::env::var_os(CHILD).is_some() {
            write_stdout(&Encoded::of(&samples::model())).unwrap();
            return;
        }
        let test = "write::tests::unix::standard_output_takes_a_model";
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let output = child.args(["--exact", test]).env(CHILD, "1").output().unwrap();
        // The test harness writes there too.
        let model = samples::model().encode_to_vec();
        assert!(output.stdout.windows(model.len()).any(|bytes| bytes == model));
    }
}
