//! The zeros that a model has.

use onnxpress_ir::{ConstantValue, Graph, Model};
use onnxpress_ops::evaluate::pick::densify;
use serde::Serialize;

use super::computed;
use super::layers::layers;
use super::options::KeptOf;
use crate::quantize::{Weights, tensor};

/// Patterns that are looked for, the tightest first.
const PATTERNS: [KeptOf; 4] =
    [KeptOf { kept: 1, of: 4 }, KeptOf { kept: 2, of: 4 }, KeptOf { kept: 4, of: 8 }, KeptOf { kept: 8, of: 16 }];
/// The most elements that a sparse weight is written out to.
const MAX_DENSE: usize = 1 << 28;

/// The zeros of a weight.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Zeros {
    /// Its name.
    pub name: String,
    /// Its extents.
    pub dims: Vec<usize>,
    /// How many elements are zero.
    pub zeros: usize,
    /// That as a share of all.
    pub share: f64,
    /// The tightest of the patterns `1:4`, `2:4`, `4:8` and `8:16` that holds: so many of so many neighbours along the axis that is summed
    /// over are not zero, at most.
    pub pattern: Option<String>,
}

/// The zeros of each weight that a layer multiplies by, in the model's order.
pub fn survey(model: &Model) -> Vec<Zeros> {
    let mut dense = model.clone();
    write_out(&mut dense.graph);
    computed::write_out(&mut dense);
    let weights = Weights::of(&dense);
    let all: Vec<usize> = (0..weights.list.len()).collect();
    let (mut found, _) = layers(&dense, &weights, &all);
    found.sort_by_key(|layer| layer.id);
    let one = |layer: &super::layers::Layer| {
        let (tensor, _) = tensor(&dense, &layer.weight)?;
        let flat = layer.flat(tensor)?;
        let zeros = flat.iter().filter(|weight| **weight == 0.0).count();
        let holds = |pattern: &&KeptOf| {
            let runs = flat.chunks(layer.matrices.columns()).flat_map(|row| row.chunks(layer.run));
            layer.run >= pattern.of
                && runs
                    .flat_map(|run| run.chunks(pattern.of))
                    .all(|group| group.iter().filter(|weight| **weight != 0.0).count() <= pattern.kept)
        };
        let pattern = PATTERNS.iter().find(holds).map(|pattern| format!("{}:{}", pattern.kept, pattern.of));
        let (name, dims, share) = (layer.name.clone(), tensor.dims().to_vec(), zeros as f64 / flat.len() as f64);
        Some(Zeros { name, dims, zeros, share, pattern })
    };
    found.iter().filter_map(one).collect()
}

/// Writes sparse constants with all their elements.
fn write_out(graph: &mut Graph) {
    let sparse: Vec<_> = graph
        .constants()
        .filter_map(|(id, constant)| match &constant.value {
            ConstantValue::Sparse(tensor) => Some((id, densify(tensor, MAX_DENSE).ok()?)),
            ConstantValue::Dense(_) => None,
        })
        .collect();
    sparse.into_iter().for_each(|(id, tensor)| graph.set_constant(id, tensor));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing::typed;

    #[test]
    fn zeros_are_counted_and_patterns_seen() {
        let model = typed(
            r#"
            <ir_version: 8, opset_import: ["" : 17]>
            net (float[N,4] x) => (y, z)
            <float[4,2] half = {0, 1, 2, 0, 0, 3, 4, 0}, float[4,2] full = iota(),
             sparse_tensor(float[2,8]) few = float[2] {1, 2} at int64[2] {0, 15}> {
                y = MatMul(x, half)
                w = MatMul(x, full)
                z = MatMul(w, few)
            }"#,
        );
        let said: Vec<String> =
            survey(&model).iter().map(|one| format!("{} {} {:?}", one.name, one.zeros, one.pattern)).collect();
        insta::assert_snapshot!(said.join("\n"), @r#"
        half 4 Some("2:4")
        full 1 None
        few 14 None
        "#);
    }
}
