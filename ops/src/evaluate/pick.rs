//! Tensors made of elements that stand elsewhere: the one kernel of every operator that only moves them, for every element
//! type down to two bits.

use bytes::Bytes;
use onnxpress_ir::tensor::element_count;
use onnxpress_ir::{DType, SparseTensor, Tensor};

use super::EvalError;
use super::walk::strides;

/// The tensor of these extents whose elements stand, in row-major order, in which of `sources` and where.
///
/// # Errors
/// Where the sources are of different types, a place is outside its source, or there are more or fewer places than the
/// extents say.
pub fn pick_among(
    sources: &[&Tensor],
    dims: &[usize],
    places: impl Iterator<Item = (usize, usize)>,
) -> Result<Tensor, EvalError> {
    let first = sources.first().ok_or_else(|| EvalError::invalid("no operand to take elements from"))?;
    let dtype = first.dtype();
    if let Some(other) = sources.iter().find(|source| source.dtype() != dtype) {
        return Err(EvalError::invalid(format!("operands of {dtype} and {}", other.dtype())));
    }
    let missing = || EvalError::invalid("an index is outside of its tensor");
    if dtype == DType::String {
        let lists: Vec<&[Bytes]> = sources.iter().map(|source| source.strings().unwrap_or_default()).collect();
        let taken = places.map(|(which, place)| lists.get(which).and_then(|list| list.get(place)).cloned());
        return Ok(Tensor::from_strings(dims, taken.collect::<Option<_>>().ok_or_else(missing)?)?);
    }
    if dtype.bits() < 8 {
        let lists = sources.iter().map(|source| source.to_codes()).collect::<Result<Vec<_>, _>>()?;
        let taken = places.map(|(which, place)| lists.get(which).and_then(|list| list.get(place)).copied());
        return Ok(Tensor::from_codes(dtype, dims, &taken.collect::<Option<Vec<_>>>().ok_or_else(missing)?)?);
    }
    let width = dtype.bits() / 8;
    let lists: Vec<&[u8]> = sources.iter().map(|source| source.bytes().map_or(&[][..], |bytes| bytes)).collect();
    let mut bytes = Vec::with_capacity(places.size_hint().0.saturating_mul(width));
    for (which, place) in places {
        let from = place.checked_mul(width).ok_or_else(missing)?;
        let element = lists.get(which).and_then(|list| list.get(from..)?.get(..width));
        bytes.extend_from_slice(element.ok_or_else(missing)?);
    }
    Ok(Tensor::from_bytes(dtype, dims, Bytes::from(bytes))?)
}

/// The tensor of these extents whose elements stand in `source` at these places.
///
/// # Errors
/// Where a place is outside the source, or there are more or fewer places than the extents say.
pub fn pick(source: &Tensor, dims: &[usize], places: impl Iterator<Item = usize>) -> Result<Tensor, EvalError> {
    pick_among(&[source], dims, places.map(|place| (0, place)))
}

/// The same where a place may be nowhere: there stands the first element of `fill`.
///
/// # Errors
/// As [`pick_among`].
pub fn pick_or(
    source: &Tensor,
    fill: &Tensor,
    dims: &[usize],
    places: impl Iterator<Item = Option<usize>>,
) -> Result<Tensor, EvalError> {
    pick_among(&[source, fill], dims, places.map(|place| place.map_or((1, 0), |place| (0, place))))
}

/// One element of the type: 0, false, or the empty string.
pub fn zero(dtype: DType) -> Tensor {
    let zero = match dtype.packed_len(1) {
        Some(length) => Tensor::from_bytes(dtype, &[], Bytes::from(vec![0; length])),
        None => Tensor::from_strings(&[], vec![Bytes::new()]),
    };
    zero.expect("one element of a type has the length that the type says")
}

/// One element again and again.
///
/// # Errors
/// Where there is none, or the extents overflow. The caller has made sure that there is room.
pub fn repeat(element: &Tensor, dims: &[usize]) -> Result<Tensor, EvalError> {
    let count = element_count(dims).ok_or_else(|| EvalError::invalid(format!("extents {dims:?} overflow")))?;
    pick(element, dims, std::iter::repeat_n(0, count))
}

/// The tensor with all elements stored, if there are no more than `limit`: a sparse tensor may claim any extents.
///
/// # Errors
/// Where there are more, or the indices are none, or outside of the tensor.
pub fn densify(sparse: &SparseTensor, limit: usize) -> Result<Tensor, EvalError> {
    let fail = || EvalError::invalid("indices of a sparse tensor that are none");
    let elements = sparse.dims.iter().fold(1u128, |product, &dim| product.saturating_mul(dim as u128));
    let count = usize::try_from(elements).ok().filter(|&count| count <= limit);
    let count = count.ok_or(EvalError::TooLarge { elements, limit })?;
    let indices = sparse.indices.to_i64s()?;
    let (strides, linear) = (strides(&sparse.dims), ([1], [count]));
    let (steps, extents) = match sparse.indices.rank() {
        2 => (strides.as_slice(), sparse.dims.as_slice()),
        _ => (&linear.0[..], &linear.1[..]),
    };
    if indices.len() != sparse.values.len().saturating_mul(steps.len()) {
        return Err(fail());
    }
    let mut places = vec![None; count];
    for (stored, coordinates) in indices.chunks(steps.len().max(1)).enumerate() {
        let along = |((&index, &step), &extent): ((&i64, &usize), &usize)| {
            usize::try_from(index).ok().filter(|&index| index < extent).map(|index| index * step)
        };
        let offsets = coordinates.iter().zip(steps).zip(extents).map(along);
        let place = offsets.sum::<Option<usize>>().and_then(|place| places.get_mut(place)).ok_or_else(fail)?;
        *place = Some(stored);
    }
    pick_or(&sparse.values, &zero(sparse.dtype()), &sparse.dims, places.into_iter())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use onnxpress_ir::Carried;

    use super::*;

    fn sparse(indices: Tensor) -> SparseTensor {
        SparseTensor { values: Tensor::vector(vec![5i16, 7]), indices, dims: vec![2, 3], carried: Carried::none() }
    }

    #[test]
    fn both_forms_of_indices_lead_to_the_same_tensor() {
        let linear = densify(&sparse(Tensor::vector(vec![1i64, 5])), 6).unwrap();
        assert_eq!(linear.to_i64s().unwrap(), [0, 5, 0, 0, 0, 7]);
        let coordinates = Tensor::from_values(&[2, 2], vec![0i64, 1, 1, 2]).unwrap();
        assert_eq!(densify(&sparse(coordinates), 6).unwrap(), linear);
    }

    #[test]
    fn indices_outside_and_huge_claims_are_refused() {
        for indices in [vec![1i64, 6], vec![1, -1], vec![1]] {
            assert!(densify(&sparse(Tensor::vector(indices)), 6).is_err());
        }
        assert!(densify(&sparse(Tensor::from_values(&[2, 2], vec![0i64, 1, 0, 3]).unwrap()), 6).is_err());
        let claim = SparseTensor { dims: vec![1 << 40], ..sparse(Tensor::vector(vec![1i64, 2])) };
        assert!(matches!(densify(&claim, 6), Err(EvalError::TooLarge { .. })));
        assert!(matches!(densify(&sparse(Tensor::vector(vec![1i64, 2])), 5), Err(EvalError::TooLarge { .. })));
    }

    #[test]
    fn elements_of_any_width_are_picked() {
        for dtype in [DType::Int4, DType::Uint2, DType::Int8, DType::Int64] {
            let source = Tensor::from_i64s(dtype, &[3], &[1, 0, 1]).unwrap();
            let picked =
                pick_or(&source, &zero(dtype), &[2, 2], [Some(2), None, Some(1), Some(0)].into_iter()).unwrap();
            assert_eq!(picked.to_i64s().unwrap(), [1, 0, 0, 1], "{dtype}");
        }
        let words = Tensor::from_strings(&[2], vec![Bytes::from_static(b"a"), Bytes::from_static(b"b")]).unwrap();
        let picked = pick_or(&words, &zero(DType::String), &[2], [None, Some(1)].into_iter()).unwrap();
        assert_eq!(picked.strings().unwrap(), [Bytes::new(), Bytes::from_static(b"b")]);
    }

    #[test]
    fn places_outside_and_mixed_types_are_refused() {
        let source = Tensor::vector(vec![1i32, 2]);
        assert!(pick(&source, &[1], [2].into_iter()).is_err());
        assert!(pick(&source, &[1], [usize::MAX].into_iter()).is_err());
        assert!(pick(&source, &[2], [0].into_iter()).is_err());
        assert!(pick_or(&source, &zero(DType::Int64), &[1], [Some(0)].into_iter()).is_err());
    }
}
