//! Reading external data, within the model's folder.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::{ExternalError, Location, name};
use crate::map::Mapped;
use crate::read::{ModelFile, no_file};
use crate::schema::TensorProto;

/// The data files of one model: each is mapped once, when a tensor first names it.
#[derive(Debug)]
pub struct ExternalFiles {
    folder: Option<PathBuf>,
    /// By real path. An empty file has no map.
    files: BTreeMap<PathBuf, Option<Arc<Mapped>>>,
}

impl ExternalFiles {
    /// The files beside `model`; none may be named by a model that came from a stream.
    pub fn of(model: &ModelFile) -> ExternalFiles {
        ExternalFiles { folder: model.folder().map(Path::to_owned), files: BTreeMap::new() }
    }

    /// The files in `folder`.
    pub fn in_folder(folder: impl Into<PathBuf>) -> ExternalFiles {
        ExternalFiles { folder: Some(folder.into()), files: BTreeMap::new() }
    }

    /// The data of `tensor`, a slice of the mapped file; none if its data are not external.
    ///
    /// # Errors
    /// If the location is absolute, has a `..`, or follows a link out of the folder; if the file is
    /// missing, is no regular file, or ends before the data do.
    pub fn read(&mut self, tensor: &TensorProto) -> Result<Option<Bytes>, ExternalError> {
        let Some(location) = Location::of(tensor)? else {
            return Ok(None);
        };
        let (file, bytes) = self.file(tensor, &location)?;
        let (offset, size) = (location.offset, bytes.len() as u64);
        let length = location.length.unwrap_or(size.saturating_sub(offset));
        match offset.checked_add(length) {
            // Both fit a `usize`, being at most the length of the slice.
            Some(end) if end <= size => Ok(Some(bytes.slice(offset as usize..end as usize))),
            _ => Err(ExternalError::PastEnd { tensor: name(tensor), file, offset, length, size }),
        }
    }

    /// Real paths of the files that were read from so far, in order.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(PathBuf::as_path)
    }

    /// Whether the files are still what was read. To be asked before a result is written.
    ///
    /// # Errors
    /// [`ExternalError::Changed`] with the first file that is not.
    pub fn check_unchanged(&self) -> Result<(), ExternalError> {
        for (file, mapped) in &self.files {
            let check = mapped.as_ref().map_or(Ok(()), |mapped| mapped.check_unchanged());
            check.map_err(|change| ExternalError::Changed { file: file.clone(), change })?;
        }
        Ok(())
    }

    /// The file that `location` names: its real path and all its bytes.
    fn file(&mut self, tensor: &TensorProto, location: &Location) -> Result<(PathBuf, Bytes), ExternalError> {
        let outside = |why| ExternalError::Outside { tensor: name(tensor), location: location.file.clone(), why };
        let no_folder = || ExternalError::NoFolder { tensor: name(tensor), location: location.file.clone() };
        let folder = self.folder.as_deref().ok_or_else(no_folder)?;
        if let Some(why) = leads_out(&location.file) {
            return Err(outside(why));
        }
        let path = folder.join(&location.file);
        let read = |source| ExternalError::Read { tensor: name(tensor), file: path.clone(), source };
        let real = fs::canonicalize(&path).map_err(read)?;
        if !real.starts_with(fs::canonicalize(folder).map_err(read)?) {
            return Err(outside("is a link that leaves it"));
        }
        if !self.files.contains_key(&real) {
            let kind = fs::metadata(&real).map_err(read)?.file_type();
            if !kind.is_file() {
                // Asked before it is opened: opening a pipe would wait for its writer.
                let what = no_file(&kind).unwrap_or("a pipe");
                return Err(ExternalError::NotAFile { tensor: name(tensor), file: path, what });
            }
            self.files.insert(real.clone(), map(&real).map_err(read)?);
        }
        let bytes = self.files.get(&real).and_then(Option::as_ref).map_or_else(Bytes::new, Mapped::bytes);
        Ok((real, bytes))
    }
}

fn map(path: &Path) -> io::Result<Option<Arc<Mapped>>> {
    let file = File::open(path)?;
    if file.metadata()?.len() == 0 { Ok(None) } else { Mapped::new(path, &file).map(Some) }
}

/// Why a location cannot be trusted to stay in the folder, read by the rules of every system at once:
/// a model must not mean one file here and another elsewhere.
fn leads_out(location: &str) -> Option<&'static str> {
    let mut parts = location.split(['/', '\\']);
    if location.starts_with(['/', '\\']) || location.as_bytes().get(1) == Some(&b':') {
        Some("is absolute")
    } else if parts.any(|part| part == "..") {
        Some("contains `..`")
    } else if location.contains('\0') {
        Some("contains a zero byte")
    } else {
        None
    }
}
