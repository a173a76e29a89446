//! A file for values that memory has no room for; nobody else sees it, and it is gone when the run is.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use onnxpress_passes::evidence::{Aside, EvidenceError};

/// The file, and which places of it are free.
pub(super) struct Scratch(Mutex<Inner>);

struct Inner {
    file: File,
    end: u64,
    /// By length: values of one place in a model are all of one size, so what is free is used again as it is.
    free: BTreeMap<usize, Vec<u64>>,
}

impl Scratch {
    /// An empty file where the system has its temporary ones; `None` where it takes none.
    pub(super) fn new() -> Option<Self> {
        let file = tempfile::tempfile().ok()?;
        Some(Self(Mutex::new(Inner { file, end: 0, free: BTreeMap::new() })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn said(error: std::io::Error) -> EvidenceError {
    EvidenceError::Samples(format!("a temporary file for values of the samples: {error}"))
}

impl Aside for Scratch {
    fn put(&self, bytes: &[u8]) -> Result<u64, EvidenceError> {
        let mut inner = self.inner();
        let at = match inner.free.get_mut(&bytes.len()).and_then(Vec::pop) {
            Some(at) => at,
            None => {
                let at = inner.end;
                inner.end += bytes.len() as u64;
                at
            }
        };
        inner.file.seek(SeekFrom::Start(at)).map_err(said)?;
        inner.file.write_all(bytes).map_err(said)?;
        Ok(at)
    }

    fn get(&self, at: u64, len: usize) -> Result<Vec<u8>, EvidenceError> {
        let mut inner = self.inner();
        inner.file.seek(SeekFrom::Start(at)).map_err(said)?;
        let mut bytes = vec![0; len];
        inner.file.read_exact(&mut bytes).map_err(said)?;
        Ok(bytes)
    }

    fn free(&self, at: u64, len: usize) {
        self.inner().free.entry(len).or_default().push(at);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn places_are_used_again() {
        let scratch = Scratch::new().unwrap();
        let places: Vec<u64> = [&b"abc"[..], b"defg", b"hij"].map(|bytes| scratch.put(bytes).unwrap()).to_vec();
        assert_eq!(places, [0, 3, 7]);
        assert_eq!(scratch.get(3, 4).unwrap(), b"defg");
        scratch.free(0, 3);
        assert_eq!((scratch.put(b"klm").unwrap(), scratch.put(b"nop").unwrap()), (0, 10));
        assert_eq!((scratch.get(0, 3).unwrap(), scratch.get(7, 3).unwrap()), (b"klm".to_vec(), b"hij".to_vec()));
    }
}
