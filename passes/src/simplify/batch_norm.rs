//! What `BatchNormalization` in inference mode does to a channel, and how that goes into the weights before it.

use onnxpress_ir::{DType, Edit, EditError, Name, NodeId, Tensor, ValueId, Vertex};
use onnxpress_ops::node::NodeCx;

use crate::rewrite::{Found, MatchCx, Miss, file_size};

/// Bytes that the copy of a weight may take which is read elsewhere too, as long as the file stays smaller than it came.
const COPY: usize = 16_000;

/// `y = scale * x + shift`, for each channel.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Affine {
    pub(super) scale: Vec<f64>,
    pub(super) shift: Vec<f64>,
}

impl Affine {
    /// What a `BatchNormalization` does: `scale / sqrt(input_var + epsilon)`, and `B - input_mean` times that.
    ///
    /// # Errors
    /// A decline where it trains, its parameters are not constant, or there is no such number.
    pub(super) fn of(cx: &MatchCx<'_>, bn: NodeId) -> Found<Self> {
        let node = cx.operator(bn, "BatchNormalization")?;
        cx.require(is_inference(cx, &node)?, bn, "it is in training mode")?;
        if node.version < 9 {
            let spatial = cx.attribute(bn, node.attrs().int_or("spatial", 1))?;
            cx.require(spatial != 0, bn, "it normalizes each element by itself, not each channel")?;
        }
        let epsilon = f64::from(cx.attribute(bn, node.attrs().float_or("epsilon", 1e-5))?);
        let vector = |index, what| -> Found<Vec<f64>> {
            let tensor = cx.required_constant(bn, index, what)?;
            let values = tensor.to_f64s().ok().filter(|_| tensor.rank() == 1);
            values.ok_or_else(|| Miss::declined(bn, format!("its {what} is no vector of numbers")))
        };
        let (gamma, beta) = (vector(1, "scale")?, vector(2, "B")?);
        let (mean, var) = (vector(3, "input_mean")?, vector(4, "input_var")?);
        let channels = gamma.len();
        let fit = [&beta, &mean, &var].iter().all(|values| values.len() == channels);
        cx.require(fit, bn, "its parameters are of different lengths")?;
        let scale: Vec<f64> = gamma.iter().zip(&var).map(|(gamma, var)| gamma / (var + epsilon).sqrt()).collect();
        let shift: Vec<f64> =
            scale.iter().zip(beta.iter().zip(&mean)).map(|(scale, (beta, mean))| beta - scale * mean).collect();
        let finite = scale.iter().chain(&shift).all(|value| value.is_finite());
        cx.require(finite, bn, "a variance or another parameter is out of range")?;
        Ok(Self { scale, shift })
    }

    /// The number of channels.
    pub(super) fn channels(&self) -> usize {
        self.scale.len()
    }
}

/// Whether a `BatchNormalization` takes its statistics from its operands. Between opsets 7 and 13 it does if it has no
/// outputs for new ones.
fn is_inference(cx: &MatchCx<'_>, node: &NodeCx<'_>) -> Found<bool> {
    match node.version {
        ..7 => cx.attribute(node.id, node.attrs().flag("is_test")),
        7..14 => Ok(node.node.ports().iter().skip(1).all(|port| port.omitted)),
        _ => Ok(!cx.attribute(node.id, node.attrs().flag("training_mode"))?),
    }
}

/// A layer whose weight is operand 1 and whose bias is operand 2, with both as they are to be.
#[derive(Debug)]
pub(super) struct Fusion {
    bn: ValueId,
    layer: ValueId,
    weight: Placed,
    bias: Placed,
}

/// A tensor and where it goes.
#[derive(Debug)]
struct Placed {
    tensor: Tensor,
    /// The constant whose place it takes, if nothing else reads that.
    instead_of: Option<NodeId>,
    name: Option<Name>,
}

impl Fusion {
    /// A layer's weights with what the `BatchNormalization` behind it does, given both as they are to be.
    ///
    /// # Errors
    /// A decline where the file would grow, since someone else reads the weight as it is, or an output would lose its name.
    pub(super) fn new(cx: &MatchCx<'_>, bn: NodeId, layer: NodeId, weight: Tensor, bias: Tensor) -> Found<Self> {
        let graph = cx.graph();
        cx.can_take_over(bn.port(0), layer.port(0))?;
        let parameters = (1..5).filter_map(|index| graph.operand(bn, index));
        let weights = (1..3).filter_map(|index| graph.operand(layer, index));
        let mut gone = cx.constants_read_by(parameters.chain(weights), &[bn, layer]);
        gone.push(bn);
        let place = |tensor: Tensor, old: Option<ValueId>, other: Option<ValueId>| {
            let own = old.filter(|old| {
                matches!(graph.get(old.node), Some(Vertex::Constant(_))) && graph.sole_reader(*old).is_some()
            });
            let name = old.or(other).and_then(|value| graph.port(value).name.clone());
            let named_so = old.is_none() && other.is_some_and(|other| gone.contains(&other.node));
            let name = if own.is_some() || named_so { name } else { name.map(|name| name.suffixed("_fused")) };
            Placed { tensor, instead_of: own.map(|old| old.node), name }
        };
        let weight = place(weight, graph.operand(layer, 1), None);
        // A layer that had no bias gets that of the normalization.
        let bias = place(bias, graph.operand(layer, 2), graph.operand(bn, 2));
        let made = |placed: &Placed| file_size::new_tensor(&placed.tensor, placed.name.as_ref(), cx.written());
        let (made, freed) = (made(&weight) + made(&bias), cx.bytes_of(&gone));
        cx.pays(layer, made, freed, COPY)?;
        Ok(Self { bn: bn.port(0), layer: layer.port(0), weight, bias })
    }

    /// Carries it out.
    ///
    /// # Errors
    /// Where the two outputs are of different types.
    pub(super) fn apply(self, edit: &mut Edit<'_>) -> Result<(), EditError> {
        for (index, placed) in [(1, self.weight), (2, self.bias)] {
            match placed.instead_of {
                Some(id) => edit.set_constant(id, placed.tensor),
                None => {
                    let value = edit.add_constant(placed.name, placed.tensor);
                    edit.set_operand(self.layer.node, index, Some(value));
                }
            }
        }
        // The layer gives now what the normalization gave.
        let name = edit.graph().port(self.bn).name.clone();
        edit.rename(self.layer, name);
        edit.replace(self.bn, self.layer)
    }
}

/// The constant weight of a layer, of a type in which one more rounding does not show.
///
/// # Errors
/// A decline where it is not constant or of another type.
pub(super) fn weight<'a>(cx: &MatchCx<'a>, layer: NodeId) -> Found<&'a Tensor> {
    let weight = cx.required_constant(layer, 1, "weight")?;
    let wide = matches!(weight.dtype(), DType::Float | DType::Double);
    cx.require(wide, layer, format!("its weight is of {}, which would be rounded once more", weight.dtype()))?;
    Ok(weight)
}

/// The tensor with each element times a factor that depends on its first two indices.
///
/// # Errors
/// A decline where a product is out of range.
pub(super) fn rescaled(layer: NodeId, weight: &Tensor, factor: impl Fn(usize, usize) -> f64) -> Found<Tensor> {
    let [first, second, rest @ ..] = weight.dims() else {
        return Err(Miss::declined(layer, "its weight has fewer than two axes"));
    };
    let run: usize = rest.iter().product();
    let mut values = weight.to_f64s().map_err(|error| Miss::declined(layer, error.to_string()))?;
    if run > 0 {
        let factors = (0..*first).flat_map(|a| (0..*second).map(move |b| (a, b)));
        for (chunk, (a, b)) in values.chunks_mut(run).zip(factors) {
            let factor = factor(a, b);
            chunk.iter_mut().for_each(|value| *value *= factor);
        }
    }
    in_range(layer, weight.dtype(), weight.dims(), &values)
}

/// The tensor of these values.
///
/// # Errors
/// A decline where one is out of range.
pub(super) fn in_range(layer: NodeId, dtype: DType, dims: &[usize], values: &[f64]) -> Found<Tensor> {
    let widest = if dtype == DType::Double { f64::MAX } else { f64::from(f32::MAX) };
    let tensor = Tensor::from_f64s(dtype, dims, values).ok().filter(|_| values.iter().all(|v| v.abs() <= widest));
    tensor.ok_or_else(|| Miss::declined(layer, "its weights would be out of range"))
}

/// The bias of a layer, or zeros: `scale * bias + shift`.
///
/// # Errors
/// A decline where it is not constant or does not fit.
pub(super) fn fused_bias(cx: &MatchCx<'_>, layer: NodeId, affine: &Affine, dtype: DType) -> Found<Tensor> {
    let channels = affine.channels();
    let bias = match cx.graph().operand(layer, 2) {
        Some(_) => cx.required_constant(layer, 2, "bias")?.to_f64s().unwrap_or_default(),
        None => vec![0.0; channels],
    };
    cx.require(bias.len() == channels, layer, "its bias is of another length than the normalization")?;
    let values: Vec<f64> =
        bias.iter().zip(affine.scale.iter().zip(&affine.shift)).map(|(b, (scale, shift))| scale * b + shift).collect();
    in_range(layer, dtype, &[channels], &values)
}
