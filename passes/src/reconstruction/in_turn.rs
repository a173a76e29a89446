//! Layers compressed one after the other, each fitted first to what the original answers for the inputs that the model compressed so far
//! produces.

use faer::Mat;
use onnxpress_ir::{Graph, Model, NodeId, Tensor, ValueId};
use onnxpress_ops::LinearLayer;

use super::{BiasSite, Fit, LayerWeight, Lockstep, Seen, fit};
use crate::evidence::{EvidenceError, EvidenceSource};

/// Samples at a time in lockstep.
const BATCH: usize = 25;

/// How strongly weights are pulled to those at hand, by what the layer sees, the weights and where the bias stands.
pub(crate) type Pull<'p> = dyn Fn(&Seen, &[Mat<f64>], BiasSite) -> f64 + 'p;

/// A layer whose turn comes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn<'a> {
    pub(crate) node: NodeId,
    pub(crate) layer: &'a LinearLayer,
    /// The constant.
    pub(crate) weight: ValueId,
    pub(crate) matrices: &'a LayerWeight,
    pub(crate) bias: BiasSite,
}

/// What a layer became: new constants.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turned {
    /// The weight.
    pub(crate) weight: Option<Tensor>,
    /// The bias, where it changes.
    pub(crate) bias: Option<(ValueId, Tensor)>,
}

impl Turn<'_> {
    /// The matrices of its weight, one a group.
    pub(crate) fn weights(&self, graph: &Graph) -> Option<Vec<Mat<f64>>> {
        self.matrices.matrices(graph.constant(self.weight)?).ok()
    }

    /// What a fit is as constants, of the types of those that the graph has.
    pub(crate) fn stored(&self, fit: &Fit, graph: &Graph) -> Turned {
        let weight = graph.constant(self.weight).and_then(|like| self.matrices.tensor(&fit.weight, like).ok());
        let bias = match (self.bias, &fit.bias) {
            (BiasSite::Own(value) | BiasSite::Added(value), Some(bias)) => graph
                .constant(value)
                .and_then(|like| Tensor::from_f64s(like.dtype(), like.dims(), bias).ok())
                .map(|tensor| (value, tensor)),
            _ => None,
        };
        Turned { weight, bias }
    }
}

/// Fits the layers of a model, which come in topological order and some of whose other constants are now `given`; `pull` says how strongly
/// weights are pulled to those at hand, by what the layer sees. Lets `compress` make of each fit what the layer can be. It is given
/// the place of the layer and what the layer sees; where it answers nothing, the layer stays as it is.
///
/// # Errors
/// Where the samples do not suit the model, or it cannot be run.
pub(crate) fn in_turn(
    model: &Model,
    given: &[(ValueId, Tensor)],
    turns: &[Turn<'_>],
    pull: &Pull<'_>,
    source: &dyn EvidenceSource,
    compress: &mut dyn FnMut(usize, &Seen, Fit) -> Option<Fit>,
) -> Result<Vec<Turned>, EvidenceError> {
    let mut lockstep = Lockstep::new(model, source, BATCH)?;
    given.iter().for_each(|(value, tensor)| lockstep.set_constant(*value, tensor.clone()));
    let mut all = Vec::with_capacity(turns.len());
    for (place, turn) in turns.iter().enumerate() {
        lockstep.advance(turn.node)?;
        let seen = lockstep.see(turn.node, turn.layer)?;
        let own = turn.bias.numbers(&model.graph);
        let fitted = turn
            .weights(&model.graph)
            .map(|weights| (pull(&seen, &weights, turn.bias), weights))
            .map(|(ridge, weights)| fit(&seen, &weights, |_, _| true, turn.bias, own.as_deref(), ridge));
        let turned = match fitted.and_then(|fitted| compress(place, &seen, fitted)) {
            Some(fit) => turn.stored(&fit, &model.graph),
            None => Turned::default(),
        };
        if let Some(weight) = &turned.weight {
            lockstep.set_constant(turn.weight, weight.clone());
        }
        if let Some((value, bias)) = &turned.bias {
            lockstep.set_constant(*value, bias.clone());
        }
        all.push(turned);
    }
    Ok(all)
}
