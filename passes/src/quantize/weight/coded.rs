//! The codes of a weight, by scales and zero points that are known.
//!
//! Those of a large weight are made when somebody looks at them.

use std::ops::Range;

use bytes::Bytes;
use onnxpress_ir::tensor::pack;
use onnxpress_ir::{DType, Tensor};
use rayon::prelude::*;

use super::grid::{GRAIN, floats};
use super::kernel::{self, Bytes4, Code, Parameters};
use super::layout::Layout;
use super::scheme::{Codes, Refusal};

/// Codes of so many bytes or more are made when they are looked at: until then, and again once they are written, a large weight takes no
/// memory but the file's.
const LATER: usize = 1 << 20;

/// Codes that are packed at a time: with the elements that they are made of, what the cache of one core holds.
const SCRATCH: usize = 1 << 15;

/// The places of elements beside each other, and their segments.
type Part = (Range<usize>, Range<usize>);

/// A weight that is to be rounded by scales and zero points that are known.
pub(super) struct Rounded {
    pub(super) weight: Tensor,
    pub(super) dtype: DType,
    pub(super) layout: Layout,
    pub(super) codes: Codes,
    pub(super) scales: Vec<f32>,
    pub(super) zeros: Vec<i32>,
}

impl Rounded {
    /// Its codes.
    pub(super) fn tensor(self) -> Result<Tensor, Refusal> {
        let (dtype, dims) = (self.dtype, self.weight.dims().to_vec());
        let later = dtype.packed_len(self.weight.len()).is_some_and(|length| length >= LATER);
        if later {
            let made = move || self.coded().ok().and_then(|tensor| tensor.bytes().cloned());
            let made = move || made().expect("the weight was looked through when its scales were chosen");
            return Ok(Tensor::deferred(dtype, &dims, made)?);
        }
        self.coded()
    }

    fn coded(&self) -> Result<Tensor, Refusal> {
        let bytes = floats(&self.weight)?;
        let (elements, _) = bytes.as_chunks::<4>();
        let (dtype, dims) = (self.dtype, self.weight.dims());
        match dtype.bits() {
            16 => packed::<u16>(dtype, dims, self.encoded(elements)),
            8 => packed::<u8>(dtype, dims, self.encoded(elements)),
            bits => match self.parts(bits) {
                Some(parts) => Ok(Tensor::from_bytes(dtype, dims, self.packed(elements, parts))?),
                None => Ok(Tensor::from_codes(dtype, dims, &self.encoded(elements))?),
            },
        }
    }

    /// Parts of which each begins with a byte of packed codes.
    fn parts(&self, bits: usize) -> Option<Vec<Part>> {
        let parts = self.layout.parts(SCRATCH).into_iter();
        let parts: Vec<Part> = parts.map(|part| (self.layout.places(&part), part)).collect();
        parts.iter().all(|(places, _)| (places.start * bits).is_multiple_of(8)).then_some(parts)
    }

    /// The codes, packed part by part while they are in the processor's cache.
    fn packed(&self, elements: &[Bytes4], parts: Vec<Part>) -> Bytes {
        let bits = self.dtype.bits();
        let mut written = vec![0u8; (elements.len() * bits).div_ceil(8)];
        let own = cut(&mut written, parts, |places| (places.len() * bits).div_ceil(8));
        own.into_par_iter().for_each_init(Vec::new, |codes, ((places, part), written)| {
            codes.resize(places.len(), 0u8);
            self.encode(elements, (places, part), codes);
            pack(codes, bits, written);
        });
        Bytes::from(written)
    }

    /// The codes, one a place.
    fn encoded<C: Code>(&self, elements: &[Bytes4]) -> Vec<C> {
        let mut written = vec![C::default(); elements.len()];
        let parts = self.layout.parts(GRAIN).into_iter().map(|part| (self.layout.places(&part), part)).collect();
        let own = cut(&mut written, parts, Range::len);
        own.into_par_iter().for_each(|(part, written)| self.encode(elements, part, written));
        written
    }

    fn encode<C: Code>(&self, elements: &[Bytes4], (places, part): Part, codes: &mut [C]) {
        let (scales, zeros) = (&*self.scales, &*self.zeros);
        let parameters = Parameters { scales, zeros, low: self.codes.low, high: self.codes.high };
        let mut segments = part.map(|number| self.layout.segment(number));
        kernel::encode(&elements[places.clone()], places.start, &mut segments, parameters, codes);
    }
}

/// The parts of a tensor, each with its own of what is written, `length` of its places.
fn cut<C>(mut rest: &mut [C], parts: Vec<Part>, length: impl Fn(&Range<usize>) -> usize) -> Vec<(Part, &mut [C])> {
    let own = |part: Part| {
        let (own, others) = std::mem::take(&mut rest).split_at_mut(length(&part.0));
        rest = others;
        (part, own)
    };
    parts.into_iter().map(own).collect()
}

fn packed<C: Code + bytemuck::NoUninit>(dtype: DType, dims: &[usize], codes: Vec<C>) -> Result<Tensor, Refusal> {
    // Codes of eight and sixteen bits are the packed data as they are.
    let bytes = match bytemuck::try_cast_vec::<C, u8>(codes) {
        Ok(bytes) => Bytes::from(bytes),
        Err((_, codes)) => Bytes::copy_from_slice(bytemuck::cast_slice(&codes)),
    };
    Ok(Tensor::from_bytes(dtype, dims, bytes)?)
}
