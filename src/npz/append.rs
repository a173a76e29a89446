//! An archive that arrays are put into one after the other, so that none but the one at hand is in memory.

use std::fs::File;
use std::io::{Seek, Write};

use onnxpress_ir::Tensor;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{NpzError, npy};

/// How an array lies in its archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// As it is: for numbers that look random.
    Stored,
    /// Compressed: for arrays that are mostly zeros.
    Deflated,
}

/// An archive that is being written.
pub struct Appending {
    zip: ZipWriter<File>,
}

impl Appending {
    /// Begins an archive in an empty file.
    pub fn begin(file: File) -> Self {
        Self { zip: ZipWriter::new(file) }
    }

    /// Goes on with the archive that a file holds.
    ///
    /// # Errors
    /// Where it holds none.
    pub fn go_on(file: File) -> Result<Self, NpzError> {
        Ok(Self { zip: ZipWriter::new_append(file)? })
    }

    /// Puts an array behind those that are there. Names are the caller's to keep apart.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn put(&mut self, name: &str, tensor: &Tensor, packing: Packing) -> Result<(), NpzError> {
        put(&mut self.zip, name, tensor, packing)
    }

    /// Ends the archive; before, the file is none.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn finish(self) -> Result<(), NpzError> {
        self.zip.finish()?.flush()?;
        Ok(())
    }
}

/// Puts an array into an archive.
pub(super) fn put<W: Write + Seek>(
    zip: &mut ZipWriter<W>,
    name: &str,
    tensor: &Tensor,
    packing: Packing,
) -> Result<(), NpzError> {
    let method = match packing {
        Packing::Stored => CompressionMethod::Stored,
        Packing::Deflated => CompressionMethod::Deflated,
    };
    let array = npy::encode(tensor);
    let large = array.iter().map(|part| part.len() as u64).sum::<u64>() >= u64::from(u32::MAX);
    let options = SimpleFileOptions::default().compression_method(method).large_file(large);
    zip.start_file(format!("{name}.npy"), options)?;
    for part in array {
        zip.write_all(&part)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::ArrayFile;
    use super::*;

    #[test]
    fn arrays_come_one_after_the_other() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let one = |value: i64| Tensor::vector(vec![value; 3]);
        let mut archive = Appending::begin(file.reopen().unwrap());
        archive.put("0/a", &one(1), Packing::Stored).unwrap();
        archive.finish().unwrap();
        let mut archive = Appending::go_on(file.reopen().unwrap()).unwrap();
        archive.put("1/a", &one(2), Packing::Deflated).unwrap();
        archive.finish().unwrap();
        let arrays = ArrayFile::open(file.path()).unwrap();
        let read = |name: &str| arrays.rows(name).unwrap().unwrap().read(3).unwrap();
        assert_eq!((read("0/a"), read("1/a")), (one(1), one(2)));
        assert!(Appending::go_on(tempfile::tempfile().unwrap()).is_err(), "an empty file is no archive");
    }
}
