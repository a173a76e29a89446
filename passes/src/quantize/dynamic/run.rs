//! The run of `quantize-dynamic`.

use std::collections::HashMap;

use onnxpress_ir::{Edit, Graph, Model, NodeId, Vertex};
use onnxpress_ops::infer::{self, Standard};
use rayon::prelude::*;

use super::computed;
use super::layers::{Layer, layers};
use super::options::{Convolutions, QuantizeDynamic};
use super::product::{self, Activations, Side};
use crate::pass::{Pass, PassCx, PassError};
use crate::quantize::weight::{self, Granularity, Quantized, Refusal, Written};
use crate::quantize::weights_only::{
    Form, Granularity as Asked, Order, Weights, bytes, carry_out, inside, notice_quantized, part, part_mut, raise,
    tensor,
};
use crate::reading_across::{Path, graph_at};

const NAME: &str = QuantizeDynamic::NAME;

/// The version of the standard that has `DynamicQuantizeLinear`.
const OPSET: i64 = 11;

/// Bytes that the nodes of an integer product take, about.
const NODES: usize = 400;

/// A weight that layers multiply by as whole numbers.
struct Product {
    weight: usize,
    layers: Vec<Layer>,
    granularity: Granularity,
}

/// Does what the options ask for, and says what was done.
pub(super) fn run(options: &QuantizeDynamic, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
    let before = Weights::of(model);
    before.wanted(&options.keep, &options.only, NAME, &mut PassCx::new(cx.request))?;
    if before.list.is_empty() && !options.products {
        before.others.iter().for_each(|(name, reason)| cx.declined(NAME, name.clone(), reason.clone()));
        notice_quantized(model, cx);
        return Ok(());
    }
    let mut base = model.clone();
    let (from, to) = raise(&mut base, OPSET, true, cx)?;
    if to < OPSET {
        cx.notice(format!("opset {to} is as far as the model goes, which has no DynamicQuantizeLinear"));
        return Ok(());
    }
    let weights = Weights::of(&base);
    let wanted = weights.wanted(&options.keep, &options.only, NAME, cx)?;
    weights.others.iter().for_each(|(name, reason)| cx.declined(NAME, name.clone(), reason.clone()));
    let (products, orders) = chosen(options, &base, &weights, &wanted, cx);
    let (mut result, mut witness) = (base.clone(), base.clone());
    let stored = carry_out(&orders, &weights, (&base, &mut result, &mut witness), NAME, cx)?.len();
    let mut made = multiplied(options, &products, &weights, (&base, &mut result, &mut witness), cx)?;
    if options.products {
        made += computed::multiplied(options, &mut result, &mut witness)?;
    }
    if stored + made == 0 {
        notice_quantized(model, cx);
        return Ok(());
    }
    if from < to {
        cx.notice(format!("the model goes from opset {from} to {to}, which DynamicQuantizeLinear needs"));
    }
    for side in [&mut result, &mut witness] {
        infer::model(side);
    }
    cx.applied(NAME, stored + made);
    cx.set_witness(witness);
    *model = result;
    Ok(())
}

/// What becomes products of whole numbers, and what is stored in few bits; the rest is declined.
fn chosen(
    options: &QuantizeDynamic,
    model: &Model,
    weights: &Weights,
    wanted: &[usize],
    cx: &mut PassCx<'_>,
) -> (Vec<Product>, Vec<Order>) {
    let (mut products, mut orders) = (Vec::new(), Vec::new());
    for &index in wanted {
        let weight = &weights.list[index];
        let Some((tensor, name)) = tensor(model, weight) else { continue };
        let order = |scheme, form| {
            let granularity = weight.granularity(tensor.dims(), options.granularity, None);
            Order { weight: index, scheme, granularity, form }
        };
        let (now, then) = bytes(tensor, name, &order(options.scheme(), Form::Dequantize));
        let graph = inside(part(model, weight.function), &weight.site.path);
        let found = graph.map_or(Err(String::new()), |graph| {
            layers(graph, weight.site.constant, options.convolutions == Convolutions::Integer)
        });
        match found {
            Ok(layers) if then + NODES < now => {
                let channels = layers[0].kind.channels();
                let many = tensor.dims().get(channels).is_some_and(|&extent| extent > 1);
                let granularity = match options.granularity {
                    Asked::Channel if many => Granularity::Channel(channels),
                    _ => Granularity::Tensor,
                };
                products.push(Product { weight: index, layers, granularity });
            }
            Ok(_) => cx.declined(NAME, weight.label(), "codes, scales and nodes take no less than the weight"),
            Err(reason) if options.convolutions == Convolutions::Float && !weight.site.only_looked_up => {
                cx.declined(NAME, weight.label(), reason);
            }
            Err(_) if then >= now => {
                cx.declined(NAME, weight.label(), "codes and scales take no less than the weight");
            }
            Err(_) => orders.push(order(options.stored(), Form::Cast)),
        }
    }
    (products, orders)
}

/// Writes products of whole numbers into result and witness, which have the vertices of `base`; answers how many weights that
/// took.
fn multiplied(
    options: &QuantizeDynamic,
    products: &[Product],
    weights: &Weights,
    (base, result, witness): (&Model, &mut Model, &mut Model),
    cx: &mut PassCx<'_>,
) -> Result<usize, PassError> {
    let scheme = options.scheme();
    let quantized: Vec<Result<Quantized, Refusal>> = products
        .par_iter()
        .map(|product| match tensor(base, &weights.list[product.weight]) {
            Some((tensor, _)) => weight::quantize(tensor, product.granularity, &scheme),
            None => Err(Refusal::Empty),
        })
        .collect();
    let mut made = 0;
    let mut known: HashMap<(Option<usize>, Path), [Activations; 2]> = HashMap::new();
    for (product, quantized) in products.iter().zip(quantized) {
        let weight = &weights.list[product.weight];
        let quantized = match quantized {
            Ok(quantized) => quantized,
            Err(refusal) => {
                cx.declined(NAME, weight.label(), refusal.to_string());
                continue;
            }
        };
        let [of_result, of_witness] = known.entry((weight.function, weight.site.path.clone())).or_default();
        for (model, side, known) in
            [(&mut *result, Side::Result, of_result), (&mut *witness, Side::Witness, of_witness)]
        {
            let graph = graph_at(part_mut(model, weight.function), &weight.site.path);
            write(graph, weight.site.constant, product, &quantized, known, side)?;
        }
        made += 1;
    }
    Ok(made)
}

fn write(
    graph: &mut Graph,
    constant: NodeId,
    product: &Product,
    quantized: &Quantized,
    known: &mut Activations,
    side: Side,
) -> Result<(), PassError> {
    let name = graph.port(constant.port(0)).name.clone();
    let written = match graph.vertex(constant) {
        Vertex::Constant(constant) => Written::like(&constant.form),
        _ => Written::AsUsual,
    };
    let weight = product::Weight { name: name.as_ref(), quantized, written };
    let kind = product.layers[0].kind;
    let broken = |reason: String| PassError::Broken(reason);
    let mut constants = None;
    for layer in &product.layers {
        let mut edit = Edit::new(graph, &Standard, NAME, &[layer.node]);
        // Layers of one weight may have factors of their own.
        let same = constants.filter(|_| layer.kind == kind);
        let own = match same {
            Some(constants) => constants,
            None => weight.constants(&mut edit, layer.kind, side).map_err(|error| broken(error.to_string()))?,
        };
        constants = constants.or(Some(own));
        product::replace(&mut edit, layer, &own, known, side).map_err(|error| broken(error.to_string()))?;
        if layer == product.layers.last().unwrap_or(layer) {
            edit.remove(constant);
        }
        edit.commit();
    }
    Ok(())
}
