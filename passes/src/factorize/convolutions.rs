//! Puts the factors of a convolution in its place.
//!
//! Along each spatial axis one of the factors does what the convolution did: steps, dilates and pads. The others look at one place at a
//! time there. Nothing is added before the last, so what is padded with zeros stays so.

use onnxpress_ir::{Attr, AttrValue, Edit, EditError, Graph, Name, Node, Tensor, ValueId};
use onnxpress_ops::infer::Standard;

use super::compress::Factors;
use super::form::{Form, Size};
use super::layers::Layer;
use super::rewrite::NAME;
use super::stages::joined;

/// One of the convolutions.
struct Stage {
    suffix: &'static str,
    weight: Tensor,
    /// For each spatial axis, whether it does there what the layer did.
    acts: Vec<bool>,
    groups: usize,
}

/// The convolutions in their order.
fn stages(graph: &Graph, layer: &Layer, size: Size, made: &Factors) -> Option<Vec<Stage>> {
    let kernel = graph.constant(layer.weight)?.dims().get(2..)?;
    let extents = &layer.extents;
    let (none, all) = (vec![false; kernel.len()], vec![true; kernel.len()]);
    let first: Vec<bool> = (0..kernel.len()).map(|axis| axis == 0).collect();
    let rest: Vec<bool> = first.iter().map(|acts| !acts).collect();
    let u: Vec<_> = made.iter().map(|packed| &packed.u).collect();
    let v: Vec<_> = made.iter().map(|packed| &packed.v).collect();
    let core: Option<Vec<_>> = made.iter().map(|packed| packed.core.as_ref()).collect();
    let stage = |suffix, matrices: &[_], channels: usize, acts: &[bool], groups: usize| {
        let outputs: usize = made.len() * <[&Tensor]>::first(matrices)?.dims().first()?;
        let places = kernel.iter().zip(acts).map(|(&extent, &acts)| if acts { extent } else { 1 });
        let dims: Vec<usize> = [outputs, channels].into_iter().chain(places).collect();
        let weight = joined(matrices, false, &dims)?;
        Some(Stage { suffix, weight, acts: acts.to_vec(), groups })
    };
    let Size { rank, inner, .. } = size;
    let groups = extents.groups;
    Some(match size.form {
        Form::Channel => {
            vec![stage("_v", &v, extents.channels, &all, groups)?, stage("_u", &u, rank, &none, groups)?]
        }
        Form::Spatial => {
            vec![stage("_v", &v, extents.channels, &first, groups)?, stage("_u", &u, rank, &rest, groups)?]
        }
        Form::Tucker => vec![
            stage("_v", &v, extents.channels, &none, groups)?,
            stage("_core", &core?, inner, &all, groups)?,
            stage("_u", &u, rank, &none, groups)?,
        ],
        Form::Cp => vec![
            stage("_v", &v, extents.channels, &none, groups)?,
            stage("_core", &core?, 1, &all, groups.checked_mul(rank)?)?,
            stage("_u", &u, rank, &none, groups)?,
        ],
    })
}

/// What is left of an attribute for a convolution that acts on some axes.
fn attribute(attr: &Attr, stage: &Stage) -> Option<Attr> {
    let kernel: Vec<i64> = stage.weight.dims().get(2..)?.iter().map(|&extent| extent as i64).collect();
    let by_axis = |values: &[i64], neutral: i64| {
        let acts = |at: usize| stage.acts.get(at % stage.acts.len().max(1)).copied().unwrap_or(false);
        values.iter().enumerate().map(|(at, &value)| if acts(at) { value } else { neutral }).collect::<Vec<_>>()
    };
    let name = attr.name.as_bytes();
    match (name, &attr.value) {
        (b"group", _) => None,
        (b"kernel_shape", _) => Some(Attr::ints("kernel_shape", kernel)),
        _ if stage.acts.iter().all(|acts| *acts) => Some(attr.clone()),
        _ if !stage.acts.contains(&true) => None,
        (b"strides", AttrValue::Ints(values)) => Some(Attr::ints("strides", by_axis(values, 1))),
        (b"dilations", AttrValue::Ints(values)) => Some(Attr::ints("dilations", by_axis(values, 1))),
        (b"pads", AttrValue::Ints(values)) => Some(Attr::ints("pads", by_axis(values, 0))),
        _ => Some(attr.clone()),
    }
}

/// Writes a convolution as several. `Ok(false)` where its factors cannot be stored.
///
/// # Errors
/// Where a node makes no sense in the graph: a defect.
pub(super) fn rewrite(graph: &mut Graph, layer: &Layer, size: Size, made: &Factors) -> Result<bool, EditError> {
    let Some(stages) = stages(graph, layer, size, made) else { return Ok(false) };
    let Some(old) = graph.node(layer.node).cloned() else { return Ok(false) };
    let operands: Vec<Option<ValueId>> = graph.operands(layer.node).collect();
    let Some(mut value) = operands.get(layer.layer.input).copied().flatten() else { return Ok(false) };
    let base = graph.port(layer.weight).name.clone();
    let suffixed = |base: &Option<Name>, suffix: &str| {
        base.as_ref().filter(|name| !name.is_empty()).map(|name| Name::from(format!("{name}{suffix}")))
    };
    let output = layer.node.port(0);
    let output_name = graph.port(output).name.clone();
    let last = stages.len().saturating_sub(1);
    let mut edit = Edit::new(graph, &Standard, NAME, &[layer.node]);
    for (number, stage) in stages.into_iter().enumerate() {
        let mut node = Node::new("Conv", 1).named(suffixed(&old.name, stage.suffix));
        for attr in old.attrs.iter().filter_map(|attr| attribute(attr, &stage)) {
            node = node.with(attr);
        }
        if stage.groups > 1 {
            node = node.with(Attr::int("group", stage.groups as i64));
        }
        let weight = edit.add_constant(suffixed(&base, stage.suffix), stage.weight);
        let mut reads = vec![Some(value), Some(weight)];
        if number == last {
            reads.extend(operands.iter().skip(2).copied());
        }
        value = edit.add_node(node, &reads)?.port(0);
        if number < last {
            edit.rename(value, suffixed(&output_name, stage.suffix));
        }
    }
    edit.replace(output, value)?;
    edit.remove(layer.node);
    edit.remove(layer.weight.node);
    edit.commit();
    Ok(true)
}
