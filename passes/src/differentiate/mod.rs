//! `differentiate`: the training step of a model, as a model.
//!
//! Beside the graph that computes the outputs stands a loss that compares them with what is wanted (`loss`); reverse mode walks
//! the graph from there and asks each operator's data sheet for the nodes that compute the gradients of its operands
//! (`reverse`). [`step`] makes a model of it: samples, what is wanted and parameters are inputs, the loss and the parameters'
//! gradients outputs. Whatever runs models takes training steps then, and nothing here knows how.

mod batch_norm;
mod loss;
mod on_samples;
mod parameters;
mod recompute;
mod reverse;
mod scan;
mod spelling;
mod step;
#[cfg(test)]
mod tests;

use onnxpress_ir::Model;

use crate::options::{Pattern, Share};
use crate::pass::{Pass, PassCx, PassError};

pub(crate) use on_samples::on_samples;
pub use recompute::Saving;
pub(crate) use step::unused;
pub use step::{Brief, Parameter, Step, step, step_for};

/// The name of the pass, which the nodes that it writes are stamped with.
const NAME: &str = "differentiate";

crate::option_enum! {
    /// How outputs are compared with what is wanted.
    pub enum Loss {
        /// The divergence of a teacher's probabilities from the model's, at a temperature.
        Kl,
        /// The mean square of the differences from a teacher's outputs.
        Mse,
        /// The surprise at the right classes.
        CrossEntropy,
    }
}

crate::options! {
    /// Writes the training step of the model in its place.
    ///
    /// The result takes the model's inputs, what is wanted (`teacher`: outputs to come close to; for `cross-entropy` `labels`: the
    /// number of the right class, of each sample) and the parameters, which default to what they are; it gives the `loss` and, for
    /// each parameter `W`, `gradient/W`. Parameters are the weights, biases, scales and tables of the model; those behind an
    /// operator without a gradient are left as they are, and said. The model is brought to a version of the standard that can
    /// say it.
    pub struct Differentiate {
        /// Constants that are parameters, by name.
        parameters: Vec<Pattern> = vec![Pattern::new("*")],
        /// Constants that are none, by name.
        frozen: Vec<Pattern> = Vec::new(),
        /// How outputs are compared with what is wanted.
        loss: Loss = Loss::Kl,
        /// What scores are divided by for `kl`, which makes probabilities more alike.
        temperature: f64 = 4.0,
        /// Outputs that are compared, by name.
        outputs: Vec<Pattern> = vec![Pattern::new("*")],
        /// How much the values of a step may take at once, as a share of what they take where all activations are kept. With less than
        /// all, some are computed anew when gradients are (Chen et al. 2016), which takes up to a third more time.
        memory: Share = Share::ALL,
    }
}

impl Pass for Differentiate {
    const NAME: &'static str = NAME;
    const LOSSY: bool = true;
    const MAY_GROW: bool = true;

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        let step = step(model, self)?;
        for (name, reason) in &step.frozen {
            cx.declined(Self::NAME, name.clone(), reason.clone());
        }
        if let Some(saving) = step.saving {
            let (percent, asked) = (100.0 * saving.share(), 100.0 * self.memory.get());
            let reached = if percent <= asked { "" } else { ", as little as it can" };
            cx.notice(format!(
                "a step holds {percent:.0} % of the values that it would hold with all activations kept{reached}"
            ));
        }
        cx.applied(Self::NAME, step.parameters.len());
        cx.made_another();
        cx.set_witness(step.model.clone());
        *model = step.model;
        Ok(())
    }
}
