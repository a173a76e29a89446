//! Which weights of a model are to be quantized, and why the others are not.

use onnxpress_ir::{Callables, DType, Graph, Model, Name, NodeId, Tensor, Vertex};

use super::decode;
use super::options::Granularity as Asked;
use crate::options::Pattern;
use crate::pass::{PassCx, PassError};
use crate::quantize::weight::{Granularity, Role, Scheme, Site, node, sites};
use crate::reading_across::Path;
use crate::rewrite::file_size::{self, NEW_NAME, Written};

/// Bytes of a constant that is worth a word where it is left alone.
const WORTH_A_WORD: usize = 1024;

/// A weight of a model.
#[derive(Debug, Clone)]
pub(crate) struct Weight {
    /// The function in whose body it is; `None` in the main graph.
    pub(crate) function: Option<usize>,
    /// Where, and what it is read as.
    pub(crate) site: Site,
}

/// All weights of a model, in its order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Weights {
    pub(crate) list: Vec<Weight>,
    /// Constants of some size that are no weights: their names and why.
    pub(crate) others: Vec<(String, String)>,
}

/// The main graph, or the body of a function.
pub(in crate::quantize) fn part(model: &Model, function: Option<usize>) -> &Graph {
    match function {
        None => &model.graph,
        Some(place) => &model.functions[place].body,
    }
}

/// The same, to be changed.
pub(crate) fn part_mut(model: &mut Model, function: Option<usize>) -> &mut Graph {
    match function {
        None => &mut model.graph,
        Some(place) => &mut model.functions[place].body,
    }
}

/// The graph at the end of a path.
pub(in crate::quantize) fn inside<'g>(graph: &'g Graph, path: &Path) -> Option<&'g Graph> {
    path.iter().try_fold(graph, |graph, &(holder, index)| graph.node(holder)?.subgraphs().nth(index))
}

/// The tensor of a weight, and its name.
pub(crate) fn tensor<'m>(model: &'m Model, weight: &Weight) -> Option<(&'m Tensor, Option<&'m Name>)> {
    let graph = inside(part(model, weight.function), &weight.site.path)?;
    let constant = weight.site.constant.port(0);
    Some((graph.constant(constant)?, graph.port(constant).name.as_ref()))
}

impl Weights {
    /// Of a model whose types are inferred.
    pub(crate) fn of(model: &Model) -> Self {
        let functions = Callables::of(&model.functions);
        let mut weights = Self::default();
        for function in std::iter::once(None).chain((0..model.functions.len()).map(Some)) {
            let graph = part(model, function);
            let (sites, others) = sites(graph, &functions);
            weights.list.extend(sites.into_iter().map(|site| Weight { function, site }));
            for (path, constant) in others {
                let Some(graph) = inside(graph, &path) else { continue };
                let large = graph.constant(constant.port(0)).is_some_and(|tensor| tensor.byte_len() >= WORTH_A_WORD);
                if large {
                    weights.others.push((graph.label(constant.port(0)), unread_as_weight(graph, constant)));
                }
            }
            for &id in graph.inputs() {
                let input = graph.input(id);
                let dims = input.default.as_ref().map_or(&[][..], |value| value.dims());
                if dims.len() >= 2 && input.port.ty.dtype().is_some_and(DType::is_float) {
                    weights.others.push((graph.label(id.port(0)), "callers may give another value".to_owned()));
                }
            }
        }
        weights
    }

    /// The weights that patterns allow, by their place in the list; the others are declined.
    ///
    /// # Errors
    /// Where a pattern matches nothing.
    pub(crate) fn wanted(
        &self,
        keep: &[Pattern],
        only: &[Pattern],
        pass: &'static str,
        cx: &mut PassCx<'_>,
    ) -> Result<Vec<usize>, PassError> {
        let named = |pattern: &Pattern, weight: &Weight| weight.site.names.iter().any(|name| pattern.matches(name));
        for pattern in keep.iter().chain(only) {
            if !self.list.iter().any(|weight| named(pattern, weight)) {
                return Err(PassError::Request(format!("the pattern `{pattern}` matches no weight and no layer")));
            }
        }
        let mut wanted = Vec::new();
        for (index, weight) in self.list.iter().enumerate() {
            let reason = if weight.site.given_out {
                "a graph output gives it out"
            } else if keep.iter().any(|pattern| named(pattern, weight)) {
                "`keep` names it"
            } else if !only.is_empty() && !only.iter().any(|pattern| named(pattern, weight)) {
                "`only` does not name it"
            } else {
                wanted.push(index);
                continue;
            };
            cx.declined(pass, weight.label(), reason);
        }
        Ok(wanted)
    }
}

/// Why a constant is none of the weights.
fn unread_as_weight(graph: &Graph, constant: NodeId) -> String {
    let reader = graph.readers(constant.port(0)).filter(|reading| graph.node(reading.node).is_some()).last();
    let known = |id: NodeId| graph.operands(id).flatten().all(|value| graph.constant(value).is_some());
    match reader.map(|reading| (reading.node, graph.vertex(reading.node))) {
        Some((id, Vertex::Node(node))) if known(id) => {
            format!("{} makes another constant of it; fold that first, with `simplify`", node.op_type)
        }
        Some((_, Vertex::Node(node))) => format!("{} reads it, which multiplies no matrix by it", node.op_type),
        _ => "no node reads it".to_owned(),
    }
}

impl Weight {
    /// How messages call it.
    pub(crate) fn label(&self) -> String {
        self.site.names.first().cloned().unwrap_or_default()
    }

    /// How scales are to lie over it.
    pub(in crate::quantize) fn granularity(&self, dims: &[usize], asked: Asked, block: Option<usize>) -> Granularity {
        if let Some(size) = block {
            let along = match &self.site.role {
                Role::Lookup { .. } => dims.len().checked_sub(1),
                // Of several, the longest is cut into the fewest short blocks.
                Role::Layer { summed, .. } => {
                    summed.iter().copied().rev().max_by_key(|&axis| dims.get(axis).copied().unwrap_or(0))
                }
            };
            if let Some(axis) = along.filter(|&axis| dims.get(axis).is_some_and(|&extent| extent >= size)) {
                return Granularity::Blocks { axis, size };
            }
        }
        let axis = match (asked, &self.site.role) {
            (Asked::Tensor, _) => None,
            // Behind the lookup scales can only lie along axes that are left as they are.
            (Asked::Channel, Role::Lookup { .. }) if self.site.only_looked_up => dims.len().checked_sub(1),
            (Asked::Channel, Role::Lookup { axis }) => Some(*axis),
            (Asked::Channel, Role::Layer { channels, .. }) => *channels,
        };
        match axis.filter(|&axis| dims.get(axis).is_some_and(|&extent| extent > 1)) {
            Some(axis) => Granularity::Channel(axis),
            None => Granularity::Tensor,
        }
    }

    /// Whether floats are made behind the lookup.
    pub(in crate::quantize) fn is_behind_lookup(&self, codes: DType, granularity: Granularity) -> bool {
        // Runtimes look up no elements of less than a byte, nor small floats.
        let is_byte = codes.bits() >= 8 && codes.is_integer();
        self.site.only_looked_up && is_byte && !matches!(granularity, Granularity::Blocks { .. })
    }
}

/// The extents of a weight's scales.
fn scale_dims(weight: &Tensor, how: Granularity) -> Vec<usize> {
    match how {
        Granularity::Tensor => vec![],
        Granularity::Channel(axis) => vec![weight.dims()[axis]],
        Granularity::Blocks { axis, size } => {
            let blocks = |(index, &dim): (usize, &usize)| if index == axis { dim.div_ceil(size.max(1)) } else { dim };
            weight.dims().iter().enumerate().map(blocks).collect()
        }
    }
}

/// Bytes of a weight's codes, scales and zero points, without what a file has around them.
pub(super) fn data_of_codes(weight: &Tensor, scheme: &Scheme, how: Granularity) -> usize {
    let scales: usize = scale_dims(weight, how).iter().product();
    let packed = |dtype: DType, count: usize| dtype.packed_len(count).unwrap_or(usize::MAX);
    packed(scheme.dtype, weight.len())
        + packed(scheme.scales.unwrap_or(weight.dtype()), scales)
        + if scheme.has_zero_points() { packed(scheme.dtype, scales) } else { 0 }
}

/// About how many bytes codes, scales and the nodes behind them take.
pub(in crate::quantize) fn bytes_of_codes(
    weight: &Tensor,
    name: Option<&Name>,
    scheme: &Scheme,
    how: Granularity,
) -> usize {
    let name = name.map_or(NEW_NAME, |name| name.as_bytes().len());
    let named = |suffix: &str| Name::from("x".repeat(name) + suffix);
    let scales = scale_dims(weight, how);
    let constant = |dtype, dims: &[usize], suffix: &str| {
        file_size::new_constant(dtype, dims, Some(&named(suffix)), Written::Initializer)
    };
    let operands = [name + "_quantized".len(), name + "_scale".len(), name + "_zero_point".len()];
    let (dtype, zeros) = (scheme.dtype, scheme.has_zero_points());
    // Scales of another type than the weight's have a node that makes them of it.
    let cast = scheme
        .scales
        .map_or(0, |_| file_size::node_reading(&decode::cast(weight.dtype()), operands.into_iter().take(1)));
    constant(dtype, weight.dims(), "_quantized")
        + constant(scheme.scales.unwrap_or(weight.dtype()), &scales, "_scale")
        + cast
        + if zeros { constant(dtype, &scales, "_zero_point") } else { 0 }
        + file_size::node_reading(&node(how), operands.into_iter().take(if zeros { 3 } else { 2 }))
        + name
        + 2
}
