//! One array: a header that says type, order and extents, and its elements.
//!
//! Format: numpy enhancement proposal 1, versions 1.0 to 3.0 (`numpy.lib.format`).

use std::borrow::Cow;
use std::io::Read;

use ndarray::{ArrayViewD, IxDyn};
use ndarray_npy::npy::header::{Header, Layout, ReadHeaderError};
use onnxpress_ir::tensor::element_count;
use onnxpress_ir::{DType, Tensor, TensorError};
use onnxpress_proto::Bytes;

/// What every array begins with.
pub(super) const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Longest header that is read, in bytes. numpy itself stops at 10,000.
const HEADER_LIMIT: usize = 10_000;

/// How deep the header's literal may nest: a dictionary with a tuple in it is 2, types with fields a few more. The parser
/// recurses, so this bounds its stack.
const NESTING_LIMIT: usize = 16;

/// Largest array that is read, in bytes: far above any input of a model, far below what a few compressed bytes can claim.
const DATA_LIMIT: usize = 1 << 34;

/// Why bytes are no array that can be a tensor.
#[derive(Debug, thiserror::Error)]
pub enum NpyError {
    /// The stream broke off, or could not be read.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// The header is none.
    #[error("no array in numpy's format: {0}")]
    Header(#[from] ReadHeaderError),
    /// The header is larger or deeper than any that describes a tensor.
    #[error("the header is longer or deeper than that of any tensor")]
    HeaderTooLong,
    /// Elements that no tensor has.
    #[error("elements of type `{0}` cannot be a tensor's")]
    ElementType(String),
    /// More data than a model's input can have.
    #[error("extents {0:?} have too many elements")]
    TooLarge(Vec<usize>),
    /// The data are shorter or longer than the header says.
    #[error("{found} bytes of data, {expected} expected")]
    Length {
        /// Bytes there are (at most one more than expected).
        found: usize,
        /// Bytes there should be.
        expected: usize,
    },
    /// A string that is no Unicode text.
    #[error("element {0} is no Unicode text")]
    Text(usize),
    /// The elements make no tensor.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// How elements lie in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    /// As in a tensor, but for the order of bytes.
    Plain(DType),
    /// Bytes, padded with zeros to this length.
    Padded(usize),
    /// Code points of 32 bits, padded with zeros to this number.
    Unicode(usize),
}

impl Item {
    /// The type that numpy describes as kind and size, as in `f4`.
    fn parse(kind: &str) -> Option<Self> {
        let dtype = match kind {
            "b1" => DType::Bool,
            "i1" => DType::Int8,
            "i2" => DType::Int16,
            "i4" => DType::Int32,
            "i8" => DType::Int64,
            "u1" => DType::Uint8,
            "u2" => DType::Uint16,
            "u4" => DType::Uint32,
            "u8" => DType::Uint64,
            "f2" => DType::Float16,
            "f4" => DType::Float,
            "f8" => DType::Double,
            "c8" => DType::Complex64,
            "c16" => DType::Complex128,
            // numpy has no bfloat16; the package `ml_dtypes` stores it as two opaque bytes.
            "V2" => DType::Bfloat16,
            _ => {
                let (kind, size) = kind.split_at_checked(1)?;
                let size: usize = size.parse().ok().filter(|&size| size <= DATA_LIMIT / 4)?;
                return match kind {
                    "S" | "a" => Some(Self::Padded(size)),
                    "U" => Some(Self::Unicode(size)),
                    _ => None,
                };
            }
        };
        Some(Self::Plain(dtype))
    }

    fn bytes(self) -> usize {
        match self {
            Self::Plain(dtype) => dtype.bits() / 8,
            Self::Padded(size) => size,
            Self::Unicode(size) => size * 4,
        }
    }

    /// Bytes whose order depends on the machine that wrote them.
    fn word(self) -> usize {
        match self {
            Self::Plain(DType::Complex64) => 4,
            Self::Plain(DType::Complex128) => 8,
            Self::Plain(dtype) => dtype.bits() / 8,
            Self::Padded(_) => 1,
            Self::Unicode(_) => 4,
        }
    }
}

/// What a header says of an array.
#[derive(Debug, Clone)]
pub(super) struct Described {
    item: Item,
    /// Words have their bytes in the order that is not ours.
    swapped: bool,
    /// The first axis runs fastest.
    pub(super) fortran: bool,
    pub(super) dims: Vec<usize>,
}

impl Described {
    /// Parses the header that a stream begins with.
    pub(super) fn read(from: &mut impl Read) -> Result<Self, NpyError> {
        let header = read_header(from)?;
        let descr = header.type_descriptor.to_string();
        let quoted = header.type_descriptor.as_string().map(String::as_str).unwrap_or_default();
        let (order, kind) = match quoted.split_at_checked(1) {
            Some((order @ ("<" | ">" | "|" | "="), kind)) => (order, kind),
            _ => ("=", quoted),
        };
        let item = Item::parse(kind).ok_or(NpyError::ElementType(descr))?;
        let dims = header.shape;
        let fortran = header.layout == Layout::Fortran && dims.len() > 1;
        Ok(Self { item, swapped: order == ">" && item.word() > 1, fortran, dims })
    }

    /// The same array as it lies in memory once it was read.
    pub(super) fn row_major(self) -> Self {
        Self { swapped: false, fortran: false, ..self }
    }

    /// The type that a tensor of these elements has.
    pub(super) fn dtype(&self) -> DType {
        match self.item {
            Item::Plain(dtype) => dtype,
            Item::Padded(_) | Item::Unicode(_) => DType::String,
        }
    }

    /// The next elements of the stream, as a tensor of extents `dims`.
    pub(super) fn read_elements(&self, from: &mut impl Read, dims: &[usize]) -> Result<Tensor, NpyError> {
        let (count, data) = self.read_bytes(from, dims)?;
        tensor_of(self.item, dims, count, data)
    }

    /// Their number and their bytes, in our order of bytes and of axes.
    pub(super) fn read_bytes(&self, from: &mut impl Read, dims: &[usize]) -> Result<(usize, Vec<u8>), NpyError> {
        let item = self.item;
        let too_large = || NpyError::TooLarge(dims.to_vec());
        // Elements of no bytes would let a header claim any number of them.
        let count = element_count(dims).filter(|&count| count <= DATA_LIMIT).ok_or_else(too_large)?;
        let expected = count.checked_mul(item.bytes().max(1)).filter(|&bytes| bytes <= DATA_LIMIT);
        let expected = if item.bytes() == 0 { 0 } else { expected.ok_or_else(too_large)? };
        let mut data = Vec::new();
        from.take(expected as u64).read_to_end(&mut data)?;
        if data.len() != expected {
            return Err(NpyError::Length { found: data.len(), expected });
        }
        if self.swapped {
            for word in data.chunks_exact_mut(item.word()) {
                word.reverse();
            }
        }
        if self.fortran && expected > 0 {
            data = row_major(&data, dims, item.bytes());
        }
        Ok((count, data))
    }

    /// The whole array, to the end of the stream.
    pub(super) fn read_all(&self, from: &mut impl Read) -> Result<Tensor, NpyError> {
        let tensor = self.read_elements(from, &self.dims)?;
        self.expect_end(from)?;
        Ok(tensor)
    }

    /// Makes sure that nothing follows the last element.
    pub(super) fn expect_end(&self, from: &mut impl Read) -> Result<(), NpyError> {
        match from.take(1).read_to_end(&mut Vec::new())? {
            0 => Ok(()),
            more => {
                let count = element_count(&self.dims).unwrap_or(usize::MAX);
                let expected = count.saturating_mul(self.item.bytes());
                Err(NpyError::Length { found: expected.saturating_add(more), expected })
            }
        }
    }
}

/// Reads an array to the end of the stream.
pub(super) fn read(from: &mut impl Read) -> Result<Tensor, NpyError> {
    Described::read(from)?.read_all(from)
}

fn read_header(from: &mut impl Read) -> Result<Header, NpyError> {
    // Magic, two bytes of version, and a length of two bytes (version 1) or four.
    let mut bytes = vec![0; MAGIC.len() + 4];
    from.read_exact(&mut bytes)?;
    let version = bytes[MAGIC.len()];
    let mut length = usize::from(u16::from_le_bytes([bytes[MAGIC.len() + 2], bytes[MAGIC.len() + 3]]));
    if version >= 2 {
        let mut high = [0; 2];
        from.read_exact(&mut high)?;
        bytes.extend(high);
        length |= usize::from(u16::from_le_bytes(high)) << 16;
    }
    if length > HEADER_LIMIT {
        return Err(NpyError::HeaderTooLong);
    }
    let start = bytes.len();
    bytes.resize(start + length, 0);
    from.read_exact(&mut bytes[start..])?;
    let mut depth = 0usize;
    for byte in &bytes[start..] {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > NESTING_LIMIT {
            return Err(NpyError::HeaderTooLong);
        }
    }
    Ok(Header::from_reader(&mut bytes.as_slice())?)
}

/// Elements of `size` bytes each, from the order in which the first axis runs fastest to that in which the last does.
fn row_major(data: &[u8], dims: &[usize], size: usize) -> Vec<u8> {
    let reversed: Vec<usize> = dims.iter().rev().copied().chain([size]).collect();
    let axes: Vec<usize> = (0..dims.len()).rev().chain([dims.len()]).collect();
    match ArrayViewD::from_shape(IxDyn(&reversed), data) {
        Ok(view) => view.permuted_axes(IxDyn(&axes)).iter().copied().collect(),
        // The length has been checked.
        Err(_) => data.to_vec(),
    }
}

fn tensor_of(item: Item, dims: &[usize], count: usize, mut data: Vec<u8>) -> Result<Tensor, NpyError> {
    let strings = match item {
        Item::Plain(dtype) => {
            if dtype == DType::Bool {
                data.iter_mut().for_each(|byte| *byte = u8::from(*byte != 0));
            }
            return Ok(Tensor::from_bytes(dtype, dims, Bytes::from(data))?);
        }
        Item::Padded(0) | Item::Unicode(0) => vec![Bytes::new(); count],
        Item::Padded(size) => data.chunks_exact(size).map(|one| Bytes::copy_from_slice(trim(one, 0))).collect(),
        Item::Unicode(size) => data
            .chunks_exact(size * 4)
            .enumerate()
            .map(|(index, one)| {
                let points: Vec<u32> =
                    one.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect();
                let text: Option<String> = trim(&points, 0).iter().map(|&point| char::from_u32(point)).collect();
                text.map(Bytes::from).ok_or(NpyError::Text(index))
            })
            .collect::<Result<_, _>>()?,
    };
    Ok(Tensor::from_strings(dims, strings)?)
}

fn trim<T: PartialEq>(values: &[T], padding: T) -> &[T] {
    let end = values.iter().rposition(|value| *value != padding).map_or(0, |last| last + 1);
    &values[..end]
}

/// The bytes of an array file, in parts.
pub(super) fn encode(tensor: &Tensor) -> [Bytes; 2] {
    let (descr, data) = match tensor.strings() {
        Some(strings) => encode_strings(strings),
        None => encode_numbers(tensor),
    };
    let extents: String = tensor.dims().iter().map(|extent| format!("{extent}, ")).collect();
    let extents = if tensor.rank() == 1 { extents.trim_end() } else { extents.trim_end_matches(", ") };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({extents}), }}");
    // With the ten bytes before it, a multiple of 64, so that the data are aligned wherever the file is mapped.
    let padded = (MAGIC.len() + 4 + header.len() + 1).next_multiple_of(64) - (MAGIC.len() + 4);
    header.extend(std::iter::repeat_n(' ', padded - header.len() - 1));
    header.push('\n');
    let mut bytes = MAGIC.to_vec();
    match u16::try_from(header.len()) {
        Ok(length) => {
            bytes.extend([1, 0]);
            bytes.extend(length.to_le_bytes());
        }
        // Tens of thousands of axes: version 2 exists for it.
        Err(_) => {
            bytes.extend([2, 0]);
            bytes.extend((header.len() as u32).to_le_bytes());
        }
    }
    bytes.extend(header.into_bytes());
    [Bytes::from(bytes), data]
}

fn encode_numbers(tensor: &Tensor) -> (Cow<'static, str>, Bytes) {
    let descr = match tensor.dtype() {
        DType::Bool => "|b1",
        DType::Int8 => "|i1",
        DType::Int16 => "<i2",
        DType::Int32 => "<i4",
        DType::Int64 => "<i8",
        DType::Uint8 => "|u1",
        DType::Uint16 => "<u2",
        DType::Uint32 => "<u4",
        DType::Uint64 => "<u8",
        DType::Float16 => "<f2",
        DType::Float => "<f4",
        DType::Double => "<f8",
        DType::Complex64 => "<c8",
        DType::Complex128 => "<c16",
        dtype if dtype.is_float() => {
            let values = tensor.to_f32s().unwrap_or_default();
            return ("<f4".into(), values.into_iter().flat_map(f32::to_le_bytes).collect());
        }
        dtype => {
            let signed = dtype.kind() == onnxpress_ir::Kind::Signed;
            let values = tensor.to_i64s().unwrap_or_default();
            return (if signed { "|i1" } else { "|u1" }.into(), values.into_iter().map(|value| value as u8).collect());
        }
    };
    (descr.into(), tensor.bytes().cloned().unwrap_or_default())
}

/// Unicode where all are, bytes otherwise, padded to the longest.
fn encode_strings(strings: &[Bytes]) -> (Cow<'static, str>, Bytes) {
    let texts: Result<Vec<&str>, _> = strings.iter().map(|string| std::str::from_utf8(string)).collect();
    let Ok(texts) = texts else {
        let longest = strings.iter().map(Bytes::len).max().unwrap_or(0).max(1);
        let mut data = Vec::with_capacity(longest * strings.len());
        for string in strings {
            data.extend_from_slice(string);
            data.resize(data.len() + longest - string.len(), 0);
        }
        return (format!("|S{longest}").into(), data.into());
    };
    let longest = texts.iter().map(|text| text.chars().count()).max().unwrap_or(0).max(1);
    let mut data = Vec::with_capacity(longest * 4 * texts.len());
    for (index, text) in texts.into_iter().enumerate() {
        data.extend(text.chars().flat_map(|point| u32::from(point).to_le_bytes()));
        data.resize(longest * 4 * (index + 1), 0);
    }
    (format!("<U{longest}").into(), data.into())
}
