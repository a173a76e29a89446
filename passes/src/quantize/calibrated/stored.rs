//! Weights of layers that nothing computes on codes: recurrent layers, those in subgraphs, and what the target has no kernel for.
//!
//! They are codes in the file and floats in every run. As `Cast` and `Mul` write it, runtimes decode them when they load the model, so that
//! the layer is as fast as before.

use std::collections::BTreeSet;

use onnxpress_ir::{DType, Model, NodeId};

use super::options::Rest;
use super::plan::{PlanError, PlannedStored, PlannedWeight, QuantizePlan};
use super::settle::Settling;
use super::write::{self, As, WriteError};
use crate::pass::Pass;
use crate::quantize::calibrated::Quantize;
use crate::quantize::weight::{self, Granularity, Quantized, Role};
use crate::quantize::weights_only::{
    Form, Granularity as Asked, Order, Placing, Weight, Weights, bytes, part_mut, round, tensor,
};
use crate::reading_across::graph_at;

impl Settling<'_> {
    /// The weights that the request allows to be stored as codes, and that take fewer bytes so.
    pub(super) fn stored(&self) -> Vec<PlannedStored> {
        if self.options.rest == Rest::Float {
            return Vec::new();
        }
        let weights = Weights::of(self.model);
        let free = weights.list.iter().enumerate().filter(|(_, weight)| self.is_free(weight));
        free.filter_map(|(id, weight)| Some(PlannedStored { id, weight: self.storing(weight)? })).collect()
    }

    /// Whether nothing else becomes of a weight, and nobody wants it to stay.
    fn is_free(&self, weight: &Weight) -> bool {
        let (graph, site) = (&self.model.graph, &weight.site);
        let here = site.path.is_empty() && weight.function.is_none();
        let readers: BTreeSet<NodeId> = match here {
            true => graph.readers(site.constant.port(0)).map(|reading| reading.node).collect(),
            false => BTreeSet::new(),
        };
        let taken = self.placement.layers.iter().any(|layer| readers.contains(&layer.node));
        let looked_up =
            matches!(site.role, Role::Lookup { .. }) && (!self.options.tables || here && site.only_looked_up);
        let allowed = || readers.iter().all(|&reader| self.selection.allows(graph, reader).is_ok());
        !taken && !looked_up && !site.given_out && self.selection.allows_named(&site.names).is_ok() && allowed()
    }

    /// How a weight is stored; `None` where that would take as many bytes as its floats.
    fn storing(&self, weight: &Weight) -> Option<PlannedWeight> {
        let (tensor, name) = tensor(self.model, weight)?;
        let rounding = self.options.rounding.alone();
        let axis = match weight.granularity(tensor.dims(), Asked::Channel, None) {
            Granularity::Channel(axis) => Some(axis),
            _ => None,
        };
        let planned = PlannedWeight {
            name: weight.label(),
            dtype: DType::Int8.to_string(),
            axis,
            rounding: rounding.text().to_owned(),
            symmetric: true,
            reduce_range: false,
            zeros: false,
            short_scales: false,
        };
        let scheme = weight::Scheme::of(DType::Int8, true, rounding);
        let granularity = axis.map_or(Granularity::Tensor, Granularity::Channel);
        let (floats, codes) = bytes(tensor, name, &Order { weight: 0, scheme, granularity, form: Form::Cast });
        (tensor.dtype() == DType::Float && codes < floats).then_some(planned)
    }
}

/// A weight of a model with its codes.
pub(super) struct Stored {
    weight: Weight,
    codes: Quantized,
}

/// The stored weights of a plan in the model that it is for.
///
/// # Errors
/// Where it has no such weight, or that cannot be quantized.
pub(super) fn found(plan: &QuantizePlan, model: &Model) -> Result<Vec<Stored>, WriteError> {
    if plan.stored.is_empty() {
        return Ok(Vec::new());
    }
    let weights = Weights::of(model);
    let one = |planned: &PlannedStored| {
        let name = &planned.weight.name;
        let known = weights.list.get(planned.id).filter(|weight| weight.label() == *name && !weight.site.given_out);
        let found = known.and_then(|weight| Some((weight, tensor(model, weight)?.0)));
        let missing = || PlanError::Site { name: name.clone(), reason: format!("it is not weight {}", planned.id) };
        let (weight, tensor) = found.ok_or_else(missing)?;
        Ok(Stored { weight: weight.clone(), codes: write::codes(tensor, &planned.weight)? })
    };
    plan.stored.iter().map(one).collect()
}

impl Stored {
    /// Puts the codes in the place of the weight, or the floats that they stand for.
    ///
    /// # Errors
    /// Where the graph does not take it: a defect.
    pub(super) fn put(&self, model: &mut Model, form: As) -> Result<(), WriteError> {
        let graph = graph_at(part_mut(model, self.weight.function), &self.weight.site.path);
        let behind = self.weight.is_behind_lookup(self.codes.codes.dtype(), self.codes.granularity);
        let placing = Placing { pass: Quantize::NAME, form: Form::Cast, behind, scales: None };
        let done = match form {
            As::Floats => round(graph, &self.weight, &self.codes, Quantize::NAME),
            As::Codes => placing.put(graph, self.weight.site.constant, &self.codes),
        };
        let fail = |reason: String| PlanError::Site { name: self.weight.label(), reason };
        done.map_err(|error| fail(error.to_string()).into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use onnxpress_ir::Model;

    use super::super::tests::run_on_samples;

    const RECURRENT: &str = "
        net (float[N,6,8] x) => (float[1,6,3] y, float[N,6,32] z)
        <float[1,48,8] w = normal(seed=1), float[1,48,16] r = normal(seed=2), float[16,3] v = normal(seed=3), bool on = {1}> {
            s, h = GRU<hidden_size = 16>(x, w, r)
            y = MatMul(h, v)
            z = If(on) <
                then_branch = a () => (t) <float[8,32] inner = normal(seed=4)> { t = MatMul(x, inner) },
                else_branch = b () => (e) <float[8,32] other = normal(seed=5)> { u = Neg(x) e = MatMul(u, other) }
            >
        }";

    /// The constants of eight bits, of a graph and of those inside of it.
    fn codes(model: &Model) -> String {
        let bodies = model.graph.nodes().flat_map(|(_, node)| node.subgraphs());
        let mut names = Vec::new();
        for graph in std::iter::once(&model.graph).chain(bodies) {
            let constants = graph.constants().filter_map(|(id, _)| Some((id, graph.constant(id.port(0))?)));
            names.extend(
                constants
                    .filter(|(_, it)| it.dtype().bits() == 8 && it.rank() > 1)
                    .map(|(id, _)| graph.label(id.port(0))),
            );
        }
        names.sort();
        names.join(", ")
    }

    #[test]
    fn recurrent_layers_and_bodies_have_weights_of_eight_bits() {
        let of = |options: &str| {
            let (model, report) = run_on_samples(&format!("quantize{{grow=true{options}}}"), RECURRENT);
            report.map(|_| codes(&model)).unwrap()
        };
        assert_eq!(of(""), "inner_quantized, other_quantized, r_quantized, v_quantized, w_quantized");
        assert_eq!(of(", rest=float"), "v_quantized");
        assert_eq!(of(", keep=[r]"), "inner_quantized, other_quantized, v_quantized");
        assert_eq!(of(", only=[s]"), "r_quantized, w_quantized");
    }

    #[test]
    fn what_has_nothing_else_needs_no_samples_and_comes_back() {
        let alone = RECURRENT.replace("y = MatMul(h, v)", "y = Neg(h)").replace("float[1,6,3] y", "float[1,6,16] y");
        let (model, report) = run_on_samples("quantize,dequantize", &alone);
        report.unwrap();
        assert_eq!(codes(&model), "");
        assert!(!model.graph.nodes().any(|(_, node)| node.is("Mul")));
    }
}
