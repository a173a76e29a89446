//! The weights of a model that can have zeros, as matrices.

use std::collections::HashMap;

use onnxpress_ir::{Graph, Model, NodeId, Tensor};
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::operator::{Linear, LinearLayer, Rows};
use onnxpress_ops::table;

use crate::quantize::weight::Role;
use crate::quantize::{Weight, Weights, tensor};
use crate::reconstruction::{BiasSite, LayerWeight, bias_site};

/// A layer of the main graph that samples say something of.
#[derive(Debug, Clone)]
pub(super) struct Visible {
    pub(super) node: NodeId,
    pub(super) layer: LinearLayer,
    pub(super) bias: BiasSite,
}

/// A weight that can have zeros.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    /// Its place among the model's weights.
    pub(super) id: usize,
    pub(super) weight: Weight,
    /// As messages call it.
    pub(super) name: String,
    pub(super) matrices: LayerWeight,
    /// How many columns in a row are neighbours along the first axis that is summed over, as [`order`](Self::order) has them.
    pub(super) run: usize,
    /// The layer that reads it, or why samples say nothing of it.
    pub(super) visible: Result<Visible, String>,
}

impl Layer {
    /// Rows of all groups.
    pub(super) fn rows(&self) -> usize {
        self.matrices.groups() * self.matrices.outputs()
    }

    /// Weights.
    pub(super) fn len(&self) -> usize {
        self.rows() * self.matrices.columns()
    }

    /// Columns in the order in which neighbours stand side by side: for each place of the kernel all channels.
    pub(super) fn order(&self) -> Vec<usize> {
        let places = self.matrices.columns() / self.run.max(1);
        (0..places).flat_map(|place| (0..self.run).map(move |channel| channel * places + place)).collect()
    }

    /// The elements of a tensor, all groups row by row, columns in [order](Self::order).
    pub(super) fn flat(&self, tensor: &Tensor) -> Option<Vec<f64>> {
        let (values, order) = (tensor.to_f64s().ok()?, self.order());
        let mut flat = Vec::with_capacity(self.len());
        self.each_row(|group, output| {
            flat.extend(order.iter().map(|&column| values[self.matrices.place(group, output, column)]));
        });
        Some(flat)
    }

    /// The tensor of such elements, of the type of `like`.
    pub(super) fn unflattened(&self, flat: &[f64], like: &Tensor) -> Option<Tensor> {
        let (mut values, order) = (vec![0.0; self.len()], self.order());
        let mut rows = flat.chunks_exact(self.matrices.columns().max(1));
        self.each_row(|group, output| {
            for (&column, &value) in order.iter().zip(rows.next().unwrap_or_default()) {
                values[self.matrices.place(group, output, column)] = value;
            }
        });
        Tensor::from_f64s(like.dtype(), like.dims(), &values).ok()
    }

    fn each_row(&self, mut each: impl FnMut(usize, usize)) {
        for group in 0..self.matrices.groups() {
            (0..self.matrices.outputs()).for_each(|output| each(group, output));
        }
    }
}

/// The layers of the wanted weights, those that samples say something of in topological order before all others; and the weights that
/// can have no zeros, with the reason.
pub(super) fn layers(model: &Model, weights: &Weights, wanted: &[usize]) -> (Vec<Layer>, Vec<(String, String)>) {
    let order = model.graph.topological().unwrap_or_default();
    let place: HashMap<NodeId, usize> = order.into_iter().enumerate().map(|(place, id)| (id, place)).collect();
    let (mut found, mut left) = (Vec::new(), Vec::new());
    for &id in wanted {
        let weight = &weights.list[id];
        let Some((tensor, _)) = tensor(model, weight) else { continue };
        match one(model, id, weight, tensor) {
            Ok(layer) => found.push(layer),
            Err(reason) => left.push((weight.label(), reason)),
        }
    }
    found.sort_by_key(|layer| match &layer.visible {
        Ok(visible) => (place.get(&visible.node).copied().unwrap_or(usize::MAX), layer.id),
        Err(_) => (usize::MAX, layer.id),
    });
    (found, left)
}

fn one(model: &Model, id: usize, weight: &Weight, tensor: &Tensor) -> Result<Layer, String> {
    let Role::Layer { summed, .. } = &weight.site.role else {
        return Err("rows are looked up in it: nothing is multiplied by its zeros".to_owned());
    };
    if tensor.is_empty() {
        return Err("it is empty".to_owned());
    }
    let visible = if weight.function.is_none() && weight.site.path.is_empty() {
        visible(&model.graph, weight.site.constant, tensor)
    } else {
        Err("it is in a subgraph or a function".to_owned())
    };
    let (layer, matrices) = match &visible {
        Ok((visible, matrices)) => (visible.layer.clone(), Some(matrices.clone())),
        Err(_) => {
            let output_axes = (0..tensor.rank()).filter(|axis| !summed.contains(axis)).collect();
            let rows = Rows::Hidden("only its axes are known");
            let (input_axes, batch_axes) = (summed.clone(), Vec::new());
            (
                LinearLayer { input: 0, weight: 0, bias: None, output_axes, input_axes, batch_axes, groups: 1, rows },
                None,
            )
        }
    };
    let matrices = matrices.or_else(|| LayerWeight::of(&layer, tensor.dims()));
    let matrices = matrices.ok_or("it is too large, or its axes are not known")?;
    let first = layer.input_axes.first().map_or(1, |&axis| tensor.dims()[axis]);
    // Axis 0 runs over all groups, of which a matrix has one.
    let groups = if layer.input_axes.first() == Some(&0) { matrices.groups() } else { 1 };
    Ok(Layer {
        id,
        weight: weight.clone(),
        name: weight.label(),
        matrices,
        run: (first / groups).max(1),
        visible: visible.map(|(visible, _)| visible),
    })
}

/// The only layer that reads a constant, where its input and its results can be seen.
fn visible(graph: &Graph, constant: NodeId, tensor: &Tensor) -> Result<(Visible, LayerWeight), String> {
    let reading = graph.sole_reader(constant.port(0)).ok_or("several nodes read it")?;
    let cx = NodeCx::new(graph, reading.node).ok_or("no node reads it")?;
    let Some(Linear::Layers(of)) = table::of(cx.node).map(|operator| operator.linear) else {
        return Err(format!("`{}` hides what it is multiplied with", cx.node.op_type));
    };
    let layer = of(&cx).into_iter().find(|layer| cx.operand(layer.weight) == Some(constant.port(0)));
    let layer = layer.ok_or_else(|| format!("`{}` hides what it is multiplied with", cx.node.op_type))?;
    let is_one = |name: &str| cx.attrs().float_or(name, 1.0).is_ok_and(|value| value == 1.0);
    if cx.node.is("Gemm") && !(is_one("alpha") && is_one("beta")) {
        return Err("`alpha` or `beta` is not 1".to_owned());
    }
    let matrices = LayerWeight::of(&layer, tensor.dims()).ok_or("it is a stack of matrices")?;
    // Whether its rows can be read at all.
    crate::evidence::rows_of(graph, reading.node, &layer).map_err(|error| error.to_string())?;
    let bias = bias_site(graph, reading.node, &layer, matrices.groups() * matrices.outputs());
    Ok((Visible { node: reading.node, layer, bias }, matrices))
}
