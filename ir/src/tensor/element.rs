//! The Rust types that stand for element types, and the way between values and packed little-endian bytes.

use std::borrow::Cow;

use bytemuck::{AnyBitPattern, NoUninit};
use bytes::Bytes;
use half::{bf16, f16};
use num_complex::Complex;

use crate::dtype::DType;

#[cfg(target_endian = "big")]
compile_error!("ONNX stores little-endian data, and this crate reinterprets it in place");

/// A Rust type whose values are a tensor's elements.
///
/// Sub-byte and 8-bit float types have no Rust type of their own; they are read as wider ones through
/// [`Tensor::to_f64s`](super::Tensor::to_f64s) and its relatives.
pub trait Element: Copy + Send + Sync + PartialEq + std::fmt::Debug + 'static {
    /// The element type that this stands for.
    const DTYPE: DType;

    /// The values of packed bytes; borrowed where the bytes are aligned for it. A trailing partial element is ignored.
    fn decode(bytes: &[u8]) -> Cow<'_, [Self]>;

    /// The packed bytes of values, without a copy where possible.
    fn encode(values: Vec<Self>) -> Bytes;
}

/// A vector that lends out its bytes, so that a computed tensor needs no second copy.
struct Owner<T>(Vec<T>);

impl<T: NoUninit> AsRef<[u8]> for Owner<T> {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

fn decode_plain<T: AnyBitPattern>(bytes: &[u8]) -> Cow<'_, [T]> {
    let whole = &bytes[..bytes.len() / size_of::<T>() * size_of::<T>()];
    match bytemuck::try_cast_slice(whole) {
        Ok(values) => Cow::Borrowed(values),
        // A weight in a mapped file starts at any byte.
        Err(_) => Cow::Owned(whole.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect()),
    }
}

fn encode_plain<T: NoUninit + Send + Sync>(values: Vec<T>) -> Bytes {
    if values.is_empty() { Bytes::new() } else { Bytes::from_owner(Owner(values)) }
}

macro_rules! plain {
    ($($rust:ty => $dtype:ident),* $(,)?) => {$(
        impl Element for $rust {
            const DTYPE: DType = DType::$dtype;
            fn decode(bytes: &[u8]) -> Cow<'_, [Self]> {
                decode_plain(bytes)
            }
            fn encode(values: Vec<Self>) -> Bytes {
                encode_plain(values)
            }
        }
    )*};
}

plain! {
    f32 => Float, f64 => Double, f16 => Float16, bf16 => Bfloat16,
    i8 => Int8, i16 => Int16, i32 => Int32, i64 => Int64,
    u8 => Uint8, u16 => Uint16, u32 => Uint32, u64 => Uint64,
}

impl Element for bool {
    const DTYPE: DType = DType::Bool;
    fn decode(bytes: &[u8]) -> Cow<'_, [Self]> {
        Cow::Owned(bytes.iter().map(|&byte| byte != 0).collect())
    }
    fn encode(values: Vec<Self>) -> Bytes {
        Bytes::from(values.into_iter().map(u8::from).collect::<Vec<_>>())
    }
}

macro_rules! complex {
    ($($part:ty => $dtype:ident),*) => {$(
        impl Element for Complex<$part> {
            const DTYPE: DType = DType::$dtype;
            fn decode(bytes: &[u8]) -> Cow<'_, [Self]> {
                Cow::Owned(decode_plain::<[$part; 2]>(bytes).iter().map(|&[re, im]| Complex { re, im }).collect())
            }
            fn encode(values: Vec<Self>) -> Bytes {
                encode_plain(values.into_iter().map(|z| [z.re, z.im]).collect())
            }
        }
    )*};
}

complex!(f32 => Complex64, f64 => Complex128);
