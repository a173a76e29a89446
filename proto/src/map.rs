//! Files as memory, and whether they are still what they were.
//!
//! A mapped file costs no memory and no time until it is touched, and a slice of it can be written out
//! again without ever passing through a buffer. The price is that the file stays its owner's: it can be
//! cut short, or written to, while it is read. Cutting is survived by [`guard`]; both are noticed by
//! [`Mapped::check_unchanged`], which whoever has computed something from the bytes asks before it
//! believes the result.

#[cfg(unix)]
mod guard;
#[cfg(not(unix))]
#[path = "map/unguarded.rs"]
mod guard;

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use memmap2::{Mmap, MmapOptions};

/// How a file differs from what it was when it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Change {
    /// Part of it could not be read any more, and reading there gave zeros.
    #[error("part of it could not be read any more (it was cut short, or the disk failed)")]
    Cut,
    /// It has another size.
    #[error("it had {before} bytes and has {now}")]
    Size {
        /// Size when it was opened, in bytes.
        before: u64,
        /// Size now, in bytes.
        now: u64,
    },
    /// It was written to.
    #[error("it was written to")]
    Written,
    /// Another file stands in its place.
    #[error("another file was put in its place")]
    Replaced,
    /// It cannot be found any more.
    #[error("it cannot be found any more ({0})")]
    Gone(io::ErrorKind),
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
    /// Device and inode, where there are such.
    place: Option<(u64, u64)>,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        #[cfg(unix)]
        let place = {
            use std::os::unix::fs::MetadataExt as _;
            Some((metadata.dev(), metadata.ino()))
        };
        #[cfg(not(unix))]
        let place = None;
        Stamp { len: metadata.len(), modified: metadata.modified().ok(), place }
    }
}

/// A regular file, mapped to read.
#[derive(Debug)]
pub(crate) struct Mapped {
    // Dropped before the map: the guard must never cover addresses that belong to another by then.
    watch: guard::Watch,
    map: Mmap,
    path: PathBuf,
    stamp: Stamp,
}

impl Mapped {
    /// Maps all of `file`, which was opened at `path` and is a regular file that is not empty.
    pub(crate) fn new(path: &Path, file: &File) -> io::Result<Arc<Mapped>> {
        let stamp = Stamp::of(&file.metadata()?);
        let len = usize::try_from(stamp.len).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        // SAFETY: the map is read only and private, so nobody writes through it. Its file may still be
        // changed by others; a `&[u8]` of it is then no worse than one of shared memory: we only ever read
        // plain bytes, check each length that we compute from them against the slice at hand, and refuse
        // the result if `check_unchanged` finds a change. A file cut short is covered by the guard.
        let map = unsafe { MmapOptions::new().len(len).map(file)? };
        let watch = guard::Watch::new(&map)?;
        Ok(Arc::new(Mapped { watch, map, path: path.to_owned(), stamp }))
    }

    /// All of it; slices keep the map alive.
    pub(crate) fn bytes(self: &Arc<Self>) -> Bytes {
        struct Owner(Arc<Mapped>);
        impl AsRef<[u8]> for Owner {
            fn as_ref(&self) -> &[u8] {
                &self.0.map
            }
        }
        Bytes::from_owner(Owner(Arc::clone(self)))
    }

    /// Whether the file is still what was mapped. A change that keeps size and time (within the
    /// filesystem's clock tick, some milliseconds) is not noticed.
    pub(crate) fn check_unchanged(&self) -> Result<(), Change> {
        let now = match std::fs::metadata(&self.path) {
            Ok(metadata) => Stamp::of(&metadata),
            Err(error) => return Err(Change::Gone(error.kind())),
        };
        if now.place != self.stamp.place {
            Err(Change::Replaced)
        } else if now.len != self.stamp.len {
            Err(Change::Size { before: self.stamp.len, now: now.len })
        } else if self.watch.was_cut() {
            Err(Change::Cut)
        } else if now.modified != self.stamp.modified {
            Err(Change::Written)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
