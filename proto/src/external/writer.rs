//! Laying weights out in a data file of the model's own.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{ExternalError, embed, entry};
use crate::encode::Encoded;
use crate::schema::TensorProto;
use crate::schema::tensor_proto::DataLocation;

/// Bytes from which on a tensor goes to the data file; smaller ones stay in the model, where shapes and
/// axes are read without another file. The value that onnx itself uses (`size_threshold`).
pub const THRESHOLD: u64 = 1024;

/// At which offsets tensors start in a data file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alignment {
    /// For tensors of [`Alignment::LARGE`] bytes or more.
    pub large: u64,
    /// For all others.
    pub small: u64,
}

impl Alignment {
    /// Size from which on a tensor counts as large, in bytes. The limit that onnxruntime and onnx-ir use:
    /// a page is lost on average half for each, which is little for a mebibyte and much for less.
    pub const LARGE: u64 = 1 << 20;

    /// Large tensors at pages, as the schema recommends ("SHOULD be multiples 4096 to enable mmap
    /// support"); others at cache lines, so that whoever maps the file can read any element type in place.
    pub const MAPPED: Alignment = Alignment { large: 4096, small: 64 };

    /// One after the other, without a gap, as onnx's own Python writes them: the smallest file.
    pub const PACKED: Alignment = Alignment { large: 1, small: 1 };
}

/// Collects weights for one data file; the tensors are told where each will be.
#[derive(Debug)]
pub struct ExternalWriter {
    location: String,
    threshold: u64,
    alignment: Alignment,
    content: Encoded,
    /// Offsets by address and length: tensors that share their data in memory share them in the file too.
    /// The segments keep the memory alive, so an address stays what it is.
    placed: BTreeMap<(usize, usize), u64>,
}

impl ExternalWriter {
    /// A writer for the data file `location`, a plain file name in the model's folder, with [`THRESHOLD`]
    /// and [`Alignment::MAPPED`].
    ///
    /// # Errors
    /// If `location` is empty or more than a name.
    pub fn new(location: &str) -> Result<ExternalWriter, ExternalError> {
        let why = if location.is_empty() || location == "." || location == ".." {
            Some("it names no file")
        } else if location.contains(['/', '\\', ':', '\0']) {
            Some("it is more than a name")
        } else {
            None
        };
        match why {
            Some(why) => Err(ExternalError::BadName { name: location.to_owned(), why }),
            None => Ok(ExternalWriter {
                location: location.to_owned(),
                threshold: THRESHOLD,
                alignment: Alignment::MAPPED,
                content: Encoded::default(),
                placed: BTreeMap::new(),
            }),
        }
    }

    /// Leaves tensors of fewer than `bytes` bytes in the model.
    #[must_use]
    pub fn with_threshold(mut self, bytes: u64) -> ExternalWriter {
        self.threshold = bytes;
        self
    }

    /// Starts tensors at other offsets. An alignment of 0 counts as 1.
    #[must_use]
    pub fn with_alignment(mut self, alignment: Alignment) -> ExternalWriter {
        self.alignment = alignment;
        self
    }

    /// Gives `tensor` its `data`: in the data file if they are large enough (answers true), else in the
    /// tensor itself. `data` are what would be `raw_data`: little-endian, of the tensor's type and shape.
    pub fn place(&mut self, tensor: &mut TensorProto, data: Bytes) -> bool {
        let length = data.len() as u64;
        if length < self.threshold {
            embed(tensor, data);
            return false;
        }
        let key = (data.as_ptr() as usize, data.len());
        let offset = match self.placed.get(&key) {
            Some(&offset) => offset,
            None => {
                let offset = self.append(data);
                self.placed.insert(key, offset);
                offset
            }
        };
        tensor.raw_data = None;
        tensor.data_location = Some(DataLocation::External as i32);
        tensor.external_data = vec![
            entry("location", self.location.clone()),
            entry("offset", offset.to_string()),
            entry("length", length.to_string()),
        ];
        true
    }

    fn append(&mut self, data: Bytes) -> u64 {
        static ZEROS: [u8; 4096] = [0; 4096];
        let large = data.len() as u64 >= Alignment::LARGE;
        let alignment = if large { self.alignment.large } else { self.alignment.small };
        let offset = self.content.len().next_multiple_of(alignment.max(1));
        while self.content.len() < offset {
            let gap = (offset - self.content.len()).min(ZEROS.len() as u64);
            self.content.push(Bytes::from_static(&ZEROS[..gap as usize]));
        }
        self.content.push(data);
        offset
    }

    /// Name of the data file.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// The content of the data file; empty if every tensor stayed in the model.
    pub fn finish(self) -> Encoded {
        self.content
    }
}
