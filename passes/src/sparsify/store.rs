//! How weights with zeros are written, and what that takes.

use onnxpress_ir::{Carried, ConstantForm, ConstantValue, DType, Model, SparseTensor, Tensor, Vertex};

use super::bitmask;
use super::layers::Layer;
use super::options::{Sparsify, Store};
use crate::compressed_size::zstd;
use crate::pass::{Pass, PassCx, PassError};
use crate::quantize::{part_mut, raise, tensor};
use crate::reading_across::graph_at;
use crate::rewrite::file_size;

/// What became of a weight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    /// The share of zeros before and after.
    pub(super) zeros: (f64, f64),
    /// How it is written.
    pub(super) how: Store,
    /// Bytes before and after.
    pub(super) bytes: (usize, usize),
}

/// The version of the file format from which on there are sparse initializers.
const SPARSE_SINCE: i64 = 6;

fn zeros(tensor: &Tensor) -> f64 {
    // A large weight stays where it is, and is looked at there.
    if tensor.dtype() == DType::Float
        && let Some(bytes) = tensor.bytes()
    {
        let zeros = bytes.chunks_exact(4).filter(|bytes| matches!(bytes, [0, 0, 0, 0 | 0x80])).count();
        return zeros as f64 / tensor.len().max(1) as f64;
    }
    let values = tensor.to_f64s().unwrap_or_default();
    values.iter().filter(|value| **value == 0.0).count() as f64 / values.len().max(1) as f64
}

/// The elements that are not zero, and where they stand.
fn sparse(tensor: &Tensor) -> Option<SparseTensor> {
    let flat = tensor.to_f64s().ok()?;
    let places: Vec<i64> = (0i64..).zip(&flat).filter(|(_, value)| **value != 0.0).map(|(at, _)| at).collect();
    let values: Vec<f64> = flat.iter().copied().filter(|value| *value != 0.0).collect();
    let values = Tensor::from_f64s(tensor.dtype(), &[values.len()], &values).ok()?;
    let (indices, dims) = (Tensor::vector(places), tensor.dims().to_vec());
    Some(SparseTensor { values, indices, dims, carried: Carried::none() })
}

/// Writes the weights of layers, which are in the model already, as asked for where that takes less; with what they were before.
/// Answers what became of each, by its place among the model's weights, and tells the user what all take.
///
/// # Errors
/// Where the graph does not take what is made: a defect.
pub(super) fn store(
    how: Store,
    model: &mut Model,
    layers: &[(&Layer, Option<Tensor>)],
    cx: &mut PassCx<'_>,
) -> Result<Vec<(usize, Stored)>, PassError> {
    let mut how = how;
    if how == Store::SparseInitializer && model.header.ir_version < SPARSE_SINCE {
        cx.notice(format!(
            "sparse initializers came with version {SPARSE_SINCE} of the file format: the weights are stored dense"
        ));
        how = Store::Dense;
    }
    if how == Store::Bitmask {
        let (from, to) = raise(model, bitmask::OPSET, true, cx)?;
        if to < bitmask::OPSET {
            cx.notice(format!(
                "opset {to} is as far as the model goes and cannot decode bits: the weights are stored dense"
            ));
            how = Store::Dense;
        } else if from < to {
            cx.notice(format!("the model goes from opset {from} to {to}, which decoding bits needs"));
        }
    }
    let mut told = Vec::new();
    let (mut raw, mut packed, mut elements) = ((0, 0), (Vec::new(), Vec::new()), (0.0, 0usize));
    for (layer, before) in layers {
        let Some(now) = tensor(model, &layer.weight).map(|(tensor, _)| tensor.clone()) else { continue };
        let (had, has) = (before.as_ref().map_or(0.0, zeros), zeros(&now));
        packed.0.extend(before.iter().filter_map(Tensor::bytes).cloned());
        packed.1.extend(now.bytes().cloned());
        elements = (elements.0 + has * now.len() as f64, elements.1 + now.len());
        let graph = graph_at(part_mut(model, layer.weight.function), &layer.weight.site.path);
        let constant = layer.weight.site.constant;
        let Vertex::Constant(vertex) = graph.vertex(constant) else { continue };
        let dense = file_size::constant(vertex, false);
        let mut stored = Stored { zeros: (had, has), how: Store::Dense, bytes: (dense, dense) };
        let plain = layer.weight.function.is_none() && matches!(vertex.form, ConstantForm::Initializer);
        match how {
            Store::SparseInitializer if plain => {
                let mut other = vertex.clone();
                if let Some(sparse) = sparse(&now) {
                    other.value = ConstantValue::Sparse(sparse);
                }
                let bytes = file_size::constant(&other, false);
                if bytes < dense {
                    graph.constant_mut(constant).value = other.value;
                    (stored.how, stored.bytes.1) = (how, bytes);
                }
            }
            Store::Bitmask if plain => {
                let parts = bitmask::Parts::of(&now).filter(|parts| parts.bytes(vertex.port.name.as_ref()) < dense);
                if let Some(parts) = parts {
                    stored.bytes.1 = parts.bytes(vertex.port.name.as_ref());
                    parts.put(graph, constant, Sparsify::NAME).map_err(|error| PassError::Broken(error.to_string()))?;
                    stored.how = how;
                }
            }
            _ => {}
        }
        raw = (raw.0 + stored.bytes.0, raw.1 + stored.bytes.1);
        told.push((layer.id, stored));
    }
    let kb = |bytes: usize| bytes.div_ceil(1000);
    let share = 100.0 * elements.0 / elements.1.max(1) as f64;
    let (zstd_now, zstd_before) = rayon::join(|| zstd(&packed.1), || zstd(&packed.0));
    cx.notice(format!(
        "{} weights, {share:.1} % of them zero: {} kB as written, {} before; {} kB after zstd, {} before",
        told.len(),
        kb(raw.1),
        kb(raw.0),
        kb(zstd_now),
        kb(zstd_before),
    ));
    Ok(told)
}
