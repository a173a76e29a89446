//! Each group of channels pruned alone, for whoever wants to see what that does to the outputs.

use onnxpress_ir::Model;

use super::PruneChannels;
use super::apply::apply_plan;
use super::options::Compensate;
use super::plan::Plan;
use crate::pass::{Pass, PassCx, PassError, Request};

/// A model of which one group of channels was pruned.
#[derive(Debug, Clone)]
pub struct Alone {
    /// What people may call the group.
    pub name: String,
    /// How many channels it had, and how many are gone.
    pub channels: (usize, usize),
    /// The model without them.
    pub model: Model,
}

/// Prunes each group that a request would prune, as far as the request would, alone and without compensation.
///
/// # Errors
/// Where the request cannot be met.
pub fn alone(options: &PruneChannels, model: &Model, request: Request<'_>) -> Result<Vec<Alone>, PassError> {
    let options = PruneChannels { compensate: Compensate::Nothing, ..options.clone() };
    let request = Request { plans: true, ..request };
    let mut cx = PassCx::new(request);
    options.run(&mut model.clone(), &mut cx)?;
    let Some(planned) = cx.into_said().plan else { return Ok(Vec::new()) };
    let broken = |error: &dyn std::fmt::Display| PassError::Broken(error.to_string());
    let whole: Plan = serde_json::from_value(planned).map_err(|error| broken(&error))?;
    let one = |group: &super::plan::PlannedGroup| {
        let (name, channels) = (group.name.clone(), (group.channels, group.channels - group.kept.len()));
        // What is said of tensors is said of all groups together.
        let (tensors, copies) = Default::default();
        let plan = Plan { groups: vec![group.clone()], tensors, copies, ..whole.clone() };
        let plan = serde_json::to_value(plan).map_err(|error| broken(&error))?;
        let mut model = model.clone();
        apply_plan(plan, &mut model, &mut PassCx::new(request)).map_err(PassError::Request)?;
        Ok(Alone { name, channels, model })
    };
    whole.groups.iter().filter(|group| group.kept.len() < group.channels).map(one).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::evidence::testing::typed;
    use crate::options::Options;

    #[test]
    fn every_group_goes_by_itself() {
        let model = typed(
            "g (float[N,3,4,4] x) => (y)
             <float[4,3,1,1] a = normal(seed=1), float[6,4,1,1] b = normal(seed=2), float[2,6,1,1] c = normal(seed=3)>
             { h = Conv(x, a) k = Conv(h, b) y = Conv(k, c) }",
        );
        let found = alone(&PruneChannels::from_options(&[]).unwrap(), &model, Request::default()).unwrap();
        let said: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.channels)).collect();
        assert_eq!(said, [("a", (4, 2)), ("b", (6, 3))]);
        let dims = |one: &Alone| -> Vec<usize> {
            one.model.graph.constants().map(|(_, vertex)| vertex.value.dims()[0]).collect()
        };
        assert_eq!((dims(&found[0]), dims(&found[1])), (vec![2, 6, 2], vec![4, 3, 2]));
    }
}
