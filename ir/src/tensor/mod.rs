//! Tensors: an element type, extents, and packed data that is shared and never copied unless changed.
//!
//! The data of a weight is a slice of the mapped file it came from, so a model of any size opens at once and nothing here
//! holds more than a reference to it. A tensor is immutable; whoever changes a weight makes a new one.

mod convert;
mod deferred;
mod element;
pub mod minifloat;
mod sparse;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use ndarray::{ArrayD, IxDyn};
use sha2::{Digest, Sha256};
use smallvec::SmallVec;

pub use convert::{pack, range};
pub use deferred::Unmade;
pub use element::Element;
pub use sparse::SparseTensor;

use crate::carried::Carried;
use crate::dtype::DType;

/// Why bytes and extents make no tensor, or a tensor is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// The product of the extents is beyond what memory can address.
    #[error("extents {0:?} have more elements than memory can hold")]
    TooLarge(Vec<usize>),
    /// The data is longer or shorter than the extents say.
    #[error("{found} bytes of data, but {dtype}{dims:?} takes {expected}")]
    Length {
        /// The element type.
        dtype: DType,
        /// The extents.
        dims: Vec<usize>,
        /// Bytes (for strings: elements) there are.
        found: usize,
        /// Bytes (for strings: elements) there should be.
        expected: usize,
    },
    /// Another element type was asked for.
    #[error("the tensor is of {found}, not of {expected}")]
    DType {
        /// The tensor's element type.
        found: DType,
        /// What was asked for.
        expected: DType,
    },
}

#[derive(Clone)]
enum Data {
    /// Little-endian, packed, sub-byte elements from the low bits up.
    Packed(Bytes),
    Strings(Arc<[Bytes]>),
    /// Packed as well, made when it is first looked at.
    Deferred(Arc<deferred::Deferred>),
}

/// A dense tensor.
#[derive(Clone)]
pub struct Tensor {
    dtype: DType,
    dims: SmallVec<[usize; 4]>,
    data: Data,
    carried: Carried,
}

/// The number of elements of these extents; `None` where it overflows.
pub fn element_count(dims: &[usize]) -> Option<usize> {
    // An extent of 0 empties the tensor, however large the others are.
    if dims.contains(&0) {
        return Some(0);
    }
    dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
}

impl Tensor {
    /// A tensor over packed little-endian bytes, without a copy.
    ///
    /// # Errors
    /// Where the length is not what `dtype` and `dims` take, the extents overflow, or `dtype` is a string type.
    pub fn from_bytes(dtype: DType, dims: &[usize], bytes: Bytes) -> Result<Self, TensorError> {
        let count = element_count(dims).ok_or_else(|| TensorError::TooLarge(dims.to_vec()))?;
        if dtype == DType::String {
            return Err(TensorError::DType { found: dtype, expected: DType::Uint8 });
        }
        let expected = dtype.packed_len(count).ok_or_else(|| TensorError::TooLarge(dims.to_vec()))?;
        if bytes.len() != expected {
            return Err(TensorError::Length { dtype, dims: dims.to_vec(), found: bytes.len(), expected });
        }
        Ok(Self { dtype, dims: dims.into(), data: Data::Packed(bytes), carried: Carried::none() })
    }

    /// A tensor whose packed little-endian data is made when it is first looked at.
    ///
    /// # Errors
    /// Where the extents overflow, or `dtype` is a string type.
    ///
    /// # Panics
    /// When the data is looked at, if `make` gives more or fewer bytes than `dtype` and `dims` take.
    pub fn deferred(
        dtype: DType,
        dims: &[usize],
        make: impl Fn() -> Bytes + Send + Sync + 'static,
    ) -> Result<Self, TensorError> {
        let too_large = || TensorError::TooLarge(dims.to_vec());
        if dtype == DType::String {
            return Err(TensorError::DType { found: dtype, expected: DType::Uint8 });
        }
        let length = dtype.packed_len(element_count(dims).ok_or_else(too_large)?).ok_or_else(too_large)?;
        let data = Data::Deferred(Arc::new(deferred::Deferred::new(length, Box::new(make))));
        Ok(Self { dtype, dims: dims.into(), data, carried: Carried::none() })
    }

    /// The data of a tensor that is still to be made; `None` where they are at hand.
    pub fn unmade(&self) -> Option<Unmade> {
        match &self.data {
            Data::Deferred(data) if !data.is_made() => Some(Unmade(Arc::clone(data))),
            _ => None,
        }
    }

    /// A tensor of strings, in row-major order.
    ///
    /// # Errors
    /// Where there are more or fewer strings than the extents say.
    pub fn from_strings(dims: &[usize], strings: Vec<Bytes>) -> Result<Self, TensorError> {
        let expected = element_count(dims).ok_or_else(|| TensorError::TooLarge(dims.to_vec()))?;
        if strings.len() != expected {
            return Err(TensorError::Length {
                dtype: DType::String,
                dims: dims.to_vec(),
                found: strings.len(),
                expected,
            });
        }
        Ok(Self {
            dtype: DType::String,
            dims: dims.into(),
            data: Data::Strings(strings.into()),
            carried: Carried::none(),
        })
    }

    /// A tensor of values in row-major order.
    ///
    /// # Errors
    /// Where there are more or fewer values than the extents say.
    pub fn from_values<T: Element>(dims: &[usize], values: Vec<T>) -> Result<Self, TensorError> {
        Self::from_bytes(T::DTYPE, dims, T::encode(values))
    }

    /// A tensor of no dimensions.
    pub fn scalar<T: Element>(value: T) -> Self {
        Self {
            dtype: T::DTYPE,
            dims: SmallVec::new(),
            data: Data::Packed(T::encode(vec![value])),
            carried: Carried::none(),
        }
    }

    /// A tensor of one dimension.
    pub fn vector<T: Element>(values: Vec<T>) -> Self {
        let dims = SmallVec::from_slice(&[values.len()]);
        Self { dtype: T::DTYPE, dims, data: Data::Packed(T::encode(values)), carried: Carried::none() }
    }

    /// The tensor of an array, in row-major order whatever the array's own layout.
    pub fn from_array<T: Element>(array: ArrayD<T>) -> Self {
        let dims = SmallVec::from_slice(array.shape());
        let values = if array.is_standard_layout() && array.len() == array.as_slice_memory_order().map_or(0, <[T]>::len)
        {
            let (values, offset) = array.into_raw_vec_and_offset();
            match offset {
                None | Some(0) => values,
                Some(skip) => values[skip..].to_vec(),
            }
        } else {
            array.iter().copied().collect()
        };
        let count = element_count(&dims).unwrap_or(0);
        let values = if values.len() == count { values } else { values[..count].to_vec() };
        Self { dtype: T::DTYPE, dims, data: Data::Packed(T::encode(values)), carried: Carried::none() }
    }

    /// The same tensor with the reader's companion.
    #[must_use]
    pub fn with_carried(mut self, carried: Carried) -> Self {
        self.carried = carried;
        self
    }

    /// The reader's companion.
    pub fn carried(&self) -> &Carried {
        &self.carried
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The extents, outermost first; empty for a scalar.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.dims.len()
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        element_count(&self.dims).unwrap_or(0)
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the data takes in memory and, packed, in a file; for strings the sum of their lengths.
    pub fn byte_len(&self) -> usize {
        match &self.data {
            Data::Packed(bytes) => bytes.len(),
            Data::Deferred(data) => data.len(),
            Data::Strings(strings) => strings.iter().map(Bytes::len).sum(),
        }
    }

    /// The packed data; `None` for strings.
    pub fn bytes(&self) -> Option<&Bytes> {
        match &self.data {
            Data::Packed(bytes) => Some(bytes),
            Data::Deferred(data) => Some(data.bytes()),
            Data::Strings(_) => None,
        }
    }

    /// The strings in row-major order; `None` for every other element type.
    pub fn strings(&self) -> Option<&[Bytes]> {
        match &self.data {
            Data::Packed(_) | Data::Deferred(_) => None,
            Data::Strings(strings) => Some(strings),
        }
    }

    /// The elements in row-major order, borrowed where alignment allows.
    ///
    /// # Errors
    /// Where the tensor's elements are of another type.
    pub fn values<T: Element>(&self) -> Result<Cow<'_, [T]>, TensorError> {
        match self.bytes() {
            Some(bytes) if self.dtype == T::DTYPE => Ok(T::decode(bytes)),
            _ => Err(TensorError::DType { found: self.dtype, expected: T::DTYPE }),
        }
    }

    /// The elements as an array.
    ///
    /// # Errors
    /// Where the tensor's elements are of another type.
    pub fn to_array<T: Element>(&self) -> Result<ArrayD<T>, TensorError> {
        let values = self.values::<T>()?.into_owned();
        ArrayD::from_shape_vec(IxDyn(&self.dims), values).map_err(|_| TensorError::TooLarge(self.dims.to_vec()))
    }

    /// The same data under other extents.
    ///
    /// # Errors
    /// Where the number of elements differs.
    pub fn reshaped(&self, dims: &[usize]) -> Result<Self, TensorError> {
        match element_count(dims) {
            Some(count) if count == self.len() => {
                Ok(Self { dtype: self.dtype, dims: dims.into(), data: self.data.clone(), carried: Carried::none() })
            }
            other => Err(TensorError::Length {
                dtype: self.dtype,
                dims: dims.to_vec(),
                found: self.len(),
                expected: other.unwrap_or(usize::MAX),
            }),
        }
    }

    /// Whether both have the same type, extents and data, bit for bit.
    pub fn same_as(&self, other: &Self) -> bool {
        self.dtype == other.dtype
            && self.dims == other.dims
            && match (&self.data, &other.data) {
                (Data::Strings(a), Data::Strings(b)) => a == b,
                (Data::Deferred(a), Data::Deferred(b)) if Arc::ptr_eq(a, b) => true,
                _ => self
                    .bytes()
                    .zip(other.bytes())
                    .is_some_and(|(a, b)| (a.as_ptr() == b.as_ptr() && a.len() == b.len()) || a == b),
            }
    }

    /// SHA-256 over type, extents and data.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update([self.dtype as u8]);
        hash.update((self.dims.len() as u64).to_le_bytes());
        for &dim in &self.dims {
            hash.update((dim as u64).to_le_bytes());
        }
        match &self.data {
            Data::Packed(bytes) => hash.update(bytes),
            Data::Deferred(data) => hash.update(data.bytes()),
            Data::Strings(strings) => {
                for string in strings.iter() {
                    hash.update((string.len() as u64).to_le_bytes());
                    hash.update(string);
                }
            }
        }
        hash.finalize().into()
    }
}

/// Bitwise, as [`Tensor::same_as`]: a NaN equals itself, and 0 is not -0.
impl PartialEq for Tensor {
    fn eq(&self, other: &Self) -> bool {
        self.same_as(other)
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.dtype, self.dims())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn data_that_does_not_fit_the_extents_is_refused() {
        let short = Tensor::from_bytes(DType::Float, &[2, 2], Bytes::from_static(&[0; 12]));
        assert_eq!(short.unwrap_err().to_string(), "12 bytes of data, but float[2, 2] takes 16");
        let huge = Tensor::from_bytes(DType::Float, &[usize::MAX, 2], Bytes::new());
        assert!(matches!(huge, Err(TensorError::TooLarge(_))));
        assert!(Tensor::from_bytes(DType::Float, &[usize::MAX, 0, 2], Bytes::new()).unwrap().is_empty());
    }

    #[test]
    fn deferred_data_is_made_when_it_is_looked_at() {
        let made = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counter = Arc::clone(&made);
        let tensor = Tensor::deferred(DType::Int16, &[2], move || {
            counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Bytes::from_static(&[1, 0, 2, 0])
        })
        .unwrap();
        assert_eq!((tensor.byte_len(), tensor.clone() == tensor), (4, true));
        assert_eq!(made.load(std::sync::atomic::Ordering::Relaxed), 0);
        let unmade = tensor.unmade().unwrap();
        assert_eq!((unmade.byte_len(), unmade.make(), unmade.make().len()), (4, Bytes::from_static(&[1, 0, 2, 0]), 4));
        assert_eq!(made.swap(0, std::sync::atomic::Ordering::Relaxed), 2, "nothing is kept");
        assert_eq!((tensor.to_i64s().unwrap(), tensor == Tensor::vector(vec![1i16, 2])), (vec![1, 2], true));
        assert_eq!(made.load(std::sync::atomic::Ordering::Relaxed), 1);
        assert!(tensor.unmade().is_none() && unmade.make().len() == 4);
        assert_eq!(made.load(std::sync::atomic::Ordering::Relaxed), 1, "what is there is not made again");
    }

    #[test]
    fn values_are_read_from_any_alignment() {
        let mut file = vec![7u8];
        file.extend(1.5f32.to_le_bytes());
        let tensor = Tensor::from_bytes(DType::Float, &[1], Bytes::from(file).slice(1..)).unwrap();
        assert_eq!(*tensor.values::<f32>().unwrap(), [1.5]);
        assert!(tensor.values::<i32>().is_err());
    }

    #[test]
    fn an_array_in_any_layout_becomes_row_major() {
        let array = ndarray::array![[1i64, 2, 3], [4, 5, 6]];
        let transposed = Tensor::from_array(array.t().to_owned().into_dyn());
        assert_eq!(transposed.dims(), [3, 2]);
        assert_eq!(*transposed.values::<i64>().unwrap(), [1, 4, 2, 5, 3, 6]);
        assert_eq!(transposed.to_array::<i64>().unwrap(), array.t().into_dyn());
        let sliced = array.slice(ndarray::s![1.., ..]).to_owned().into_dyn();
        assert_eq!(*Tensor::from_array(sliced).values::<i64>().unwrap(), [4, 5, 6]);
    }
}
