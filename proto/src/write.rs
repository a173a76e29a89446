//! Writing files so that each is there whole or not at all.
//!
//! A file is written under a temporary name in the folder it will stand in, brought to the disk, and
//! then renamed. So nobody ever sees half a model, an error leaves what was there before, and the target
//! may be the very file that is still mapped as the input: its old content lives on until the map ends.
//! A model and its data file go as one set: all are written first, then all are renamed.

mod writeback;

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use self::writeback::Writeback;
use crate::encode::Encoded;
use crate::schema::ModelProto;

/// Why a file could not be written. Nothing of it, and nothing temporary, is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The folder that it should stand in does not exist.
    #[error("{}: the folder {} does not exist; make it first", file.display(), folder.display())]
    NoFolder {
        /// The file to write.
        file: PathBuf,
        /// Its folder.
        folder: PathBuf,
    },
    /// Something stands there that no file can replace.
    #[error("{}: it is {what}, expected the name of a file", file.display())]
    NotAFile {
        /// The path.
        file: PathBuf,
        /// What is there.
        what: &'static str,
    },
    /// The file that stands there, or its folder, may not be written.
    #[error("{}: it may not be written: {source}", file.display())]
    NotWritable {
        /// The file to write.
        file: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// No room.
    #[error("{}: no room for its {needed} bytes: {source}", file.display())]
    Full {
        /// The file to write.
        file: PathBuf,
        /// Bytes that it takes.
        needed: u64,
        /// The system's reason.
        source: io::Error,
    },
    /// The input was cut short while its weights were copied from it.
    #[error("{}: not written: the input file was cut short meanwhile; run again when it rests", file.display())]
    InputCut {
        /// The file to write.
        file: PathBuf,
    },
    /// Two files of a set have the same name.
    #[error("{}: two files of this name are to be written; give one another name", file.display())]
    Twice {
        /// The name.
        file: PathBuf,
    },
    /// Anything else that the system reports.
    #[error("{}: cannot {action} it: {source}", file.display())]
    Io {
        /// The file to write.
        file: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

impl WriteError {
    fn new(file: &Path, action: &'static str, needed: u64, source: io::Error) -> WriteError {
        let file = file.to_owned();
        match source.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => WriteError::NotWritable { file, source },
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                WriteError::Full { file, needed, source }
            }
            // The system copies from the map itself, and meets the file's new end as a bad address.
            #[cfg(unix)]
            _ if source.raw_os_error() == Some(libc::EFAULT) => WriteError::InputCut { file },
            _ => WriteError::Io { file, action, source },
        }
    }
}

/// Files that are to appear together. Dropped before [`FileSet::commit`], it leaves no trace.
#[derive(Debug, Default)]
pub struct FileSet {
    temporary: Vec<Temporary>,
    /// Pipes and devices: nothing to rename, so they are written at the end.
    streams: Vec<(PathBuf, Encoded)>,
}

/// A file that is written, and not yet where it belongs.
#[derive(Debug)]
struct Temporary {
    written: NamedTempFile,
    target: PathBuf,
    folder: PathBuf,
}

impl FileSet {
    /// A set of no files.
    pub fn new() -> FileSet {
        FileSet::default()
    }

    /// Writes `content` for `path` under a temporary name beside it, and brings it to the disk. A link is
    /// followed: what it leads to will be replaced, not the link. The permissions of a file that is there
    /// already are kept. A pipe or a device is only noted, and written by [`FileSet::commit`].
    ///
    /// # Errors
    /// If the folder is missing, there is no room, or `path` is a folder or may not be written.
    pub fn stage(&mut self, path: &Path, content: Encoded) -> Result<(), WriteError> {
        let fail = |action, source| WriteError::new(path, action, content.len(), source);
        let present = match fs::metadata(path) {
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            // A file where a folder should be.
            Err(error) => return Err(fail("open", error)),
        };
        if let Some(metadata) = &present {
            if let Some(what) = not_writable(&metadata.file_type()) {
                return Err(WriteError::NotAFile { file: path.to_owned(), what });
            }
            if !metadata.is_file() {
                self.streams.push((path.to_owned(), content));
                return Ok(());
            }
            // Renaming would replace it all the same: a file that is protected is not ours to replace.
            if metadata.permissions().readonly() {
                return Err(fail("open", ErrorKind::PermissionDenied.into()));
            }
            OpenOptions::new().write(true).open(path).map_err(|error| fail("open", error))?;
        }
        let target = follow_links(path);
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        if !folder.is_dir() {
            return Err(WriteError::NoFolder { file: path.to_owned(), folder });
        }
        if target.file_name().is_none() {
            return Err(WriteError::NotAFile { file: path.to_owned(), what: "a folder" });
        }
        if self.temporary.iter().any(|other| same_place(&other.target, &target)) {
            return Err(WriteError::Twice { file: path.to_owned() });
        }
        let written = create(&folder, present.is_some()).map_err(|error| fail("create", error))?;
        content.write_to(&mut Writeback::new(written.as_file())).map_err(|error| fail("write", error))?;
        if let Some(metadata) = present {
            written.as_file().set_permissions(metadata.permissions()).map_err(|error| fail("protect", error))?;
        }
        written.as_file().sync_all().map_err(|error| fail("write", error))?;
        self.temporary.push(Temporary { written, target, folder });
        Ok(())
    }

    /// Puts every file in its place, in the order in which they were staged: a model after its data, so
    /// that no model ever stands there without. If one cannot be put in place, those before it are taken
    /// back. (A crash of the machine between two renames can still leave new data with an old model.)
    ///
    /// # Errors
    /// If a file cannot be renamed or a stream cannot be written.
    pub fn commit(self) -> Result<(), WriteError> {
        for (path, content) in &self.streams {
            let fail = |source| WriteError::new(path, "write", content.len(), source);
            let mut file = OpenOptions::new().write(true).open(path).map_err(fail)?;
            content.write_to(&mut file).map_err(fail)?;
        }
        let mut placed: Vec<Placed> = Vec::new();
        let folders: Vec<PathBuf> = self.temporary.iter().map(|file| file.folder.clone()).collect();
        for Temporary { written, target, folder } in self.temporary {
            let before = backup(&folder, &target);
            if let Err(error) = written.persist(&target) {
                placed.into_iter().rev().for_each(Placed::take_back);
                return Err(WriteError::new(&target, "rename", 0, error.error));
            }
            placed.push(Placed { target, before });
        }
        folders.iter().for_each(|folder| sync_folder(folder));
        Ok(())
    }
}

/// A file in its place, and a link to the one that was there before.
struct Placed {
    target: PathBuf,
    before: Option<NamedTempFile<()>>,
}

impl Placed {
    /// Puts back what was there. Nothing more can be done if that fails too.
    fn take_back(self) {
        match self.before {
            Some(before) => drop(before.persist(&self.target)),
            None => drop(fs::remove_file(&self.target)),
        }
    }
}

/// A second name for the file at `target`, removed when dropped; none if there is no file, or no such links.
fn backup(folder: &Path, target: &Path) -> Option<NamedTempFile<()>> {
    tempfile::Builder::new().prefix(".").make_in(folder, |name| fs::hard_link(target, name)).ok()
}

/// An empty temporary file in `folder`. A file that will replace another is nobody else's to read until it
/// has that one's permissions; a new one is created as any program creates one.
fn create(folder: &Path, replaces: bool) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".").suffix(".partial");
    #[cfg(unix)]
    if !replaces {
        // What the user's mask leaves of it.
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    }
    #[cfg(not(unix))]
    let _ = replaces;
    builder.tempfile_in(folder)
}

/// What a path leads to, if nothing can be written there.
fn not_writable(kind: &fs::FileType) -> Option<&'static str> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        if kind.is_socket() {
            return Some("a socket");
        }
    }
    kind.is_dir().then_some("a folder")
}

/// The path that `path` leads to, also where nothing stands yet. Forty links end a circle, as in Linux.
fn follow_links(path: &Path) -> PathBuf {
    let mut target = path.to_owned();
    for _ in 0..40 {
        let Ok(next) = fs::read_link(&target) else {
            break;
        };
        target = target.parent().unwrap_or(Path::new("")).join(next);
    }
    target
}

/// Whether two targets, whose folders exist, are one place.
fn same_place(a: &Path, b: &Path) -> bool {
    let folder = |path: &Path| {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        fs::canonicalize(parent.unwrap_or(Path::new("."))).ok()
    };
    a.file_name() == b.file_name() && folder(a) == folder(b)
}

/// Brings the names in `folder` to the disk. The files are in their places by then, and some network
/// filesystems cannot do this, so that it fails is no error.
fn sync_folder(folder: &Path) {
    if cfg!(unix) {
        drop(File::open(folder).and_then(|folder| folder.sync_all()));
    }
}

/// Writes `model` to `path`, whole or not at all; answers the length in bytes.
///
/// # Errors
/// As for [`FileSet::stage`] and [`FileSet::commit`].
pub fn write_atomically(path: &Path, model: &ModelProto) -> Result<u64, WriteError> {
    let content = Encoded::of(model);
    let len = content.len();
    let mut files = FileSet::new();
    files.stage(path, content)?;
    files.commit()?;
    Ok(len)
}

/// Writes `content` to standard output.
///
/// # Errors
/// What the system reports; if the reader has gone, of the kind [`ErrorKind::BrokenPipe`].
pub fn write_stdout(content: &Encoded) -> Result<(), WriteError> {
    let fail = |source| WriteError::new(Path::new("-"), "write", content.len(), source);
    // Rust's own handle looks for the ends of lines in what passes through it.
    #[cfg(unix)]
    let mut stdout = {
        use std::os::fd::AsFd as _;
        File::from(io::stdout().as_fd().try_clone_to_owned().map_err(fail)?)
    };
    #[cfg(not(unix))]
    let mut stdout = io::stdout().lock();
    content.write_to(&mut stdout).map_err(fail)
}

#[cfg(test)]
mod tests;
