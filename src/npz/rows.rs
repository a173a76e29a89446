//! Arrays a few rows at a time: a set of samples may be larger than memory, and a model sees a batch of it only.
//!
//! Each array has a stream of its own, from where its member of the archive begins, so that arrays which belong together are
//! read side by side. A member that is read to its end is held against its checksum.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::Crc;
use flate2::read::DeflateDecoder;
use indexmap::IndexMap;
use onnxpress_ir::{DType, Shape, Tensor, Type};
use zip::{CompressionMethod, ZipArchive};

use super::npy::{self, Described, NpyError};
use super::{NpzError, read_start};

/// Where the bytes of an array lie in its file.
#[derive(Debug, Clone)]
enum Place {
    /// All of the file.
    Whole,
    /// A member of an archive.
    Member { start: u64, length: u64, deflated: bool, checksum: u32 },
}

#[derive(Debug, Clone)]
struct Member {
    place: Place,
    array: Described,
}

/// A file of arrays that are known by name and type, and read when asked for.
#[derive(Debug, Clone)]
pub struct ArrayFile {
    path: PathBuf,
    members: IndexMap<String, Member>,
}

impl ArrayFile {
    /// Opens an `.npz` archive (compressed or not), or an `.npy` file as one array under the file's own name, and reads no
    /// more than the headers.
    ///
    /// # Errors
    /// Where the file cannot be read, is neither of the two, or has an array whose elements no tensor can have.
    pub fn open(path: &Path) -> Result<Self, NpzError> {
        let io = |error| NpzError::Io { path: path.to_owned(), error };
        let wrong = |name: &str, error| NpzError::Array { path: path.to_owned(), name: name.to_owned(), error };
        let mut file = BufReader::new(File::open(path).map_err(io)?);
        let mut start = [0; npy::MAGIC.len()];
        let known = read_start(&mut file, &mut start).map_err(io)?;
        file.rewind().map_err(io)?;
        let mut members = IndexMap::new();
        if start[..known] == npy::MAGIC[..] {
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            let array = Described::read(&mut file).map_err(|error| wrong(&name, error))?;
            members.insert(name, Member { place: Place::Whole, array });
            return Ok(Self { path: path.to_owned(), members });
        }
        let archive = |error| NpzError::Archive { path: path.to_owned(), error };
        let mut zip = ZipArchive::new(file).map_err(archive)?;
        for index in 0..zip.len() {
            let mut entry = zip.by_index(index).map_err(archive)?;
            let name = entry.name().strip_suffix(".npy").unwrap_or(entry.name()).to_owned();
            let array = Described::read(&mut entry).map_err(|error| wrong(&name, error))?;
            let (start, length, checksum) = (entry.data_start(), entry.compressed_size(), entry.crc32());
            let deflated = entry.compression() != CompressionMethod::Stored;
            let place = Place::Member { start, length, deflated, checksum };
            if members.insert(name.clone(), Member { place, array }).is_some() {
                return Err(NpzError::Duplicate { path: path.to_owned(), name });
            }
        }
        Ok(Self { path: path.to_owned(), members })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The arrays' names and types, in the order of the file.
    pub fn types(&self) -> impl Iterator<Item = (&str, Type)> {
        let ty = |array: &Described| Type::tensor(array.dtype(), Shape::from_extents(&array.dims));
        self.members.iter().map(move |(name, member)| (name.as_str(), ty(&member.array)))
    }

    /// The extents of an array.
    pub fn dims(&self, name: &str) -> Option<&[usize]> {
        self.members.get(name).map(|member| member.array.dims.as_slice())
    }

    /// Starts reading an array; `None` where there is none of that name.
    ///
    /// # Errors
    /// Where the file cannot be read any more, or is not what it was.
    pub fn rows(&self, name: &str) -> Result<Option<Rows>, NpzError> {
        let Some(member) = self.members.get(name) else { return Ok(None) };
        let wrong = |error| NpzError::Array { path: self.path.clone(), name: name.to_owned(), error };
        let io = |error| NpzError::Io { path: self.path.clone(), error };
        let mut from = self.stream(&member.place).map_err(io)?;
        let mut array = Described::read(&mut from).map_err(wrong)?;
        if array.fortran {
            // Its rows lie scattered over all of it.
            let (_, bytes) = array.read_bytes(&mut from, &array.dims).map_err(wrong)?;
            array.expect_end(&mut from).map_err(wrong)?;
            from = Box::new(Cursor::new(bytes));
            array = array.row_major();
        }
        let left = array.dims.first().copied().unwrap_or(1);
        Ok(Some(Rows { path: self.path.clone(), name: name.to_owned(), array, left, from }))
    }

    fn stream(&self, place: &Place) -> std::io::Result<Box<dyn Read>> {
        let mut file = File::open(&self.path)?;
        let &Place::Member { start, length, deflated, checksum } = place else {
            return Ok(Box::new(BufReader::new(file)));
        };
        file.seek(SeekFrom::Start(start))?;
        let bytes = BufReader::new(file.take(length));
        let from: Box<dyn Read> = if deflated { Box::new(DeflateDecoder::new(bytes)) } else { Box::new(bytes) };
        Ok(Box::new(Checked { from, sum: Crc::new(), expected: checksum }))
    }
}

/// An array that is being read.
pub struct Rows {
    path: PathBuf,
    name: String,
    array: Described,
    left: usize,
    from: Box<dyn Read>,
}

impl Rows {
    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        self.array.dtype()
    }

    /// The extents of the whole array.
    pub fn dims(&self) -> &[usize] {
        &self.array.dims
    }

    /// The next `rows` of the first axis, or as many as there are left. An array without axes is given whole.
    ///
    /// # Errors
    /// Where the file cannot be read, or is shorter or longer than its header says.
    pub fn read(&mut self, rows: usize) -> Result<Tensor, NpzError> {
        self.next(rows).map_err(|error| NpzError::Array { path: self.path.clone(), name: self.name.clone(), error })
    }

    fn next(&mut self, rows: usize) -> Result<Tensor, NpyError> {
        let rows = rows.min(self.left);
        let mut dims = self.array.dims.clone();
        if let Some(first) = dims.first_mut() {
            *first = rows;
        }
        let tensor = self.array.read_elements(&mut self.from, &dims)?;
        self.left -= rows;
        if self.left == 0 {
            self.array.expect_end(&mut self.from)?;
        }
        Ok(tensor)
    }
}

/// A stream that is an error where its checksum is not the one expected.
struct Checked {
    from: Box<dyn Read>,
    sum: Crc,
    expected: u32,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.sum.update(&buffer[..read]);
        if read == 0 && !buffer.is_empty() && self.sum.sum() != self.expected {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "the checksum is another one"));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write as _;

    use zip::write::SimpleFileOptions;

    use super::*;

    fn archive(method: CompressionMethod, damage: bool) -> tempfile::NamedTempFile {
        let mut bytes = Vec::new();
        let mut zip = zip::ZipWriter::new(Cursor::new(&mut bytes));
        for (name, tensor) in [
            ("x", Tensor::from_values(&[5, 2], (0..10).map(|x| x as f32).collect()).unwrap()),
            ("label", Tensor::vector(vec![7i64, 8, 9, 10, 11])),
        ] {
            zip.start_file(format!("{name}.npy"), SimpleFileOptions::default().compression_method(method)).unwrap();
            npy::encode(&tensor).iter().for_each(|part| zip.write_all(part).unwrap());
        }
        zip.finish().unwrap();
        if damage {
            let at = bytes.windows(4).position(|window| window == 9f32.to_le_bytes()).unwrap();
            bytes[at] ^= 1;
        }
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        file
    }

    #[test]
    fn rows_come_as_asked_for_and_arrays_side_by_side() {
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            let file = archive(method, false);
            let arrays = ArrayFile::open(file.path()).unwrap();
            let types: Vec<_> = arrays.types().map(|(name, ty)| format!("{name}: {ty}")).collect();
            assert_eq!(types, ["x: float[5,2]", "label: int64[5]"]);
            let (mut x, mut label) = (arrays.rows("x").unwrap().unwrap(), arrays.rows("label").unwrap().unwrap());
            assert_eq!(x.read(2).unwrap().to_f32s().unwrap(), [0.0, 1.0, 2.0, 3.0]);
            assert_eq!(label.read(2).unwrap().to_i64s().unwrap(), [7, 8]);
            assert_eq!(x.read(9).unwrap().dims(), [3, 2]);
            assert_eq!(label.read(3).unwrap().to_i64s().unwrap(), [9, 10, 11]);
            assert_eq!(x.read(1).unwrap().dims(), [0, 2]);
            assert!(arrays.rows("y").unwrap().is_none());
        }
    }

    #[test]
    fn a_damaged_member_is_found_at_its_end() {
        let file = archive(CompressionMethod::Stored, true);
        let mut x = ArrayFile::open(file.path()).unwrap().rows("x").unwrap().unwrap();
        x.read(4).unwrap();
        let error = x.read(1).unwrap_err().to_string();
        assert!(error.ends_with("array `x`: cannot be read: the checksum is another one"), "{error}");
    }

    #[test]
    fn arrays_in_the_order_of_fortran_give_the_same_rows() {
        let header = "{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3), }\n";
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend([1i16, 4, 2, 5, 3, 6].into_iter().flat_map(i16::to_le_bytes));
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        let arrays = ArrayFile::open(file.path()).unwrap();
        let name = arrays.types().next().unwrap().0.to_owned();
        let mut rows = arrays.rows(&name).unwrap().unwrap();
        assert_eq!(rows.read(1).unwrap().to_i64s().unwrap(), [1, 2, 3]);
        assert_eq!(rows.read(1).unwrap().to_i64s().unwrap(), [4, 5, 6]);
    }
}
