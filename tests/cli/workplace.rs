//! A folder of its own for every test, and the binary run in it.
//!
//! File names in tests are relative to that folder, so messages name `model.onnx` and no path of this machine.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use onnxpress::proto::Message as _;
use onnxpress::proto::schema::ModelProto;

/// A folder that goes away with the test.
pub(crate) struct Workplace {
    folder: tempfile::TempDir,
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// The samples of the digits network.
pub(crate) fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/digits/samples.npz")
}

/// The arguments of a run of a pipeline from `model.onnx` to `out.onnx` that checks structure alone.
pub(crate) fn opt<'a>(pipeline: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["opt", "model.onnx", "-o", "out.onnx", "-p", pipeline, "--check", "structure"], more].concat()
}

impl Workplace {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A folder with `model.onnx` in it.
    pub(crate) fn with_model(model: &ModelProto) -> Self {
        let place = Self::new();
        place.write("model.onnx", &model.encode_to_vec());
        place
    }

    /// A folder with the digits network as `model.onnx`.
    pub(crate) fn with_digits() -> Self {
        let place = Self::new();
        place.write("model.onnx", &digits());
        place
    }

    /// A folder with the digits network and its samples as `samples.npz`.
    pub(crate) fn with_digits_and_samples() -> Self {
        let place = Self::with_digits();
        std::fs::copy(samples(), place.path("samples.npz")).unwrap();
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn model(&self, name: &str) -> ModelProto {
        ModelProto::decode(self.read(name).as_slice()).unwrap()
    }

    /// Every file below the folder with what is in it; folders with nothing.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(self.folder.path(), &mut files);
        files
    }

    /// The binary, to be run in this folder. What the environment says about colours is not the test's.
    pub(crate) fn command(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onnxpress"));
        command.args(args).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").env_remove("RUST_BACKTRACE");
        command
    }

    pub(crate) fn run(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Outcome {
        self.outcome(self.command(args).output().unwrap())
    }

    pub(crate) fn run_with_stdin(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>, stdin: &[u8]) -> Outcome {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let stdin = stdin.to_vec();
        // Whether all of it is read is the child's business.
        let feeder = std::thread::spawn(move || drop(pipe.write_all(&stdin)));
        let outcome = self.wait(child);
        feeder.join().unwrap();
        outcome
    }

    pub(crate) fn wait(&self, child: Child) -> Outcome {
        self.outcome(child.wait_with_output().unwrap())
    }

    /// Runs what is bound to be refused, and answers the words: one error, the right code, and nothing else happened.
    pub(crate) fn refused(&self, code: i32, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
        let before = self.files();
        let outcome = self.run(args);
        outcome.assert_refused(code);
        assert!(before == self.files(), "the folder is not as it was: {:?}", self.files().keys());
        outcome.stderr
    }

    fn outcome(&self, output: Output) -> Outcome {
        let stderr = String::from_utf8(output.stderr).unwrap();
        // Data files are named by their real paths.
        let folder = self.folder.path().canonicalize().unwrap();
        let stderr = stderr.replace(&folder.display().to_string(), "FOLDER");
        Outcome { code: output.status.code(), stdout: output.stdout, stderr }
    }
}

impl Outcome {
    /// Done, without a word about a panic.
    pub(crate) fn assert_done(&self) -> &Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// One clear error, this exit code, nothing on standard output.
    pub(crate) fn assert_refused(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        assert_eq!(self.stderr.matches("error:").count(), 1, "{}", self.stderr);
        assert!(self.stdout.is_empty(), "a failed run printed {}", String::from_utf8_lossy(&self.stdout));
        self
    }

    /// Standard output as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        self.assert_done();
        serde_json::from_slice(&self.stdout).unwrap()
    }
}

/// The digits network, as its file has it.
pub(crate) fn digits() -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/digits/digits.onnx")).unwrap()
}

/// What every command that reads a model says of these bytes: all must say the same, and touch nothing.
pub(crate) fn unreadable(bytes: &[u8]) -> String {
    let place = Workplace::new();
    place.write("model.onnx", bytes);
    let said = place.refused(1, ["opt", "model.onnx", "-o", "out.onnx", "-p", ""]);
    assert_eq!(said, place.refused(1, ["inspect", "model.onnx"]));
    said
}

/// The same of a model.
pub(crate) fn invalid(model: &ModelProto) -> String {
    unreadable(&model.encode_to_vec())
}

fn collect(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            files.insert(path.clone(), Vec::new());
            collect(&path, files);
        } else {
            let content = if path.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
            files.insert(path, content);
        }
    }
}
