//! The codes of a weight, by scales and zero points that are known.
//!
//! Those of a large weight are made when somebody looks at them.

use bytes::Bytes;
use onnxpress_ir::{DType, Tensor};
use rayon::prelude::*;

use super::grid::{GRAIN, floats};
use super::kernel::{self, Bytes4, Code, Parameters};
use super::layout::Layout;
use super::scheme::{Codes, Refusal};

/// Codes of so many bytes or more are made when they are looked at: until then, and again once they are written, a large weight takes no
/// memory but the file's.
const LATER: usize = 1 << 20;

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
            _ => Ok(Tensor::from_codes(dtype, dims, &self.encoded(elements))?),
        }
    }

    fn encoded<C: Code>(&self, elements: &[Bytes4]) -> Vec<C> {
        encoded(elements, &self.layout, self.codes, &self.scales, &self.zeros)
    }
}

fn packed<C: Code + bytemuck::NoUninit>(dtype: DType, dims: &[usize], codes: Vec<C>) -> Result<Tensor, Refusal> {
    // Codes of eight and sixteen bits are the packed data as they are.
    let bytes = match bytemuck::try_cast_vec::<C, u8>(codes) {
        Ok(bytes) => Bytes::from(bytes),
        Err((_, codes)) => Bytes::copy_from_slice(bytemuck::cast_slice(&codes)),
    };
    Ok(Tensor::from_bytes(dtype, dims, bytes)?)
}

/// The codes of a tensor, one a place.
fn encoded<C: Code>(elements: &[Bytes4], layout: &Layout, codes: Codes, scales: &[f32], zeros: &[i32]) -> Vec<C> {
    let mut written = vec![C::default(); elements.len()];
    let parameters = Parameters { scales, zeros, low: codes.low, high: codes.high };
    let mut rest = &mut *written;
    let mut parts = Vec::new();
    for part in layout.parts(GRAIN) {
        let places = layout.places(&part);
        let (own, others) = rest.split_at_mut(places.len());
        parts.push((part, places, own));
        rest = others;
    }
    parts.into_par_iter().for_each(|(part, places, written)| {
        let mut segments = part.map(|number| layout.segment(number));
        kernel::encode(&elements[places.clone()], places.start, &mut segments, parameters, written);
    });
    written
}
