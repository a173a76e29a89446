//! Whether the parts of a sparse tensor fit together.
//! Source: ONNX, `SparseTensorProto`: values `[NNZ]`, indices `[NNZ]` ascending or `[NNZ, rank]` in lexicographic order.

use crate::tensor::{SparseTensor, element_count};

/// What is wrong first, if anything is.
pub(super) fn fault(tensor: &SparseTensor) -> Option<&'static str> {
    let count = match tensor.values.dims() {
        [count] => *count,
        _ => return Some("the stored elements are no list"),
    };
    let Ok(indices) = tensor.indices.values::<i64>() else { return Some("the indices are no int64") };
    match tensor.indices.dims() {
        [linear] if *linear == count => {
            let Some(elements) = element_count(&tensor.dims) else {
                return Some("the extents are beyond what memory can hold");
            };
            let inside = |&index: &i64| usize::try_from(index).is_ok_and(|index| index < elements);
            if !indices.iter().all(inside) {
                return Some("an index is outside the extents");
            }
            (!indices.is_sorted_by(|a, b| a < b)).then_some("the indices do not ascend")
        }
        [rows, rank] if *rows == count && *rank == tensor.dims.len() => {
            let rows = || indices.chunks_exact((*rank).max(1));
            let inside = |(&index, &extent): (&i64, &usize)| usize::try_from(index).is_ok_and(|index| index < extent);
            if !rows().all(|row| row.iter().zip(&tensor.dims).all(inside)) {
                return Some("an index is outside the extents");
            }
            (!rows().is_sorted_by(|a, b| a < b)).then_some("the indices do not ascend")
        }
        _ => Some("there are more or fewer indices than stored elements"),
    }
}
