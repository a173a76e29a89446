//! `initializers-as-constants`: takes values that callers may override for the constants that they nearly always are.

use std::collections::HashMap;

use onnxpress_ir::{ConstantForm, Model, NodeId};

use super::pin;
use crate::pass::{Pass, PassCx, PassError};

crate::options! {
    /// Makes initializers that are also inputs constants, and nothing but that.
    ///
    /// From version 4 of the file format on such an initializer is what the input is unless a caller gives another value, so
    /// passes have to leave it alone. Exporters write models so out of habit; callers that give no values run the result as
    /// before.
    pub struct InitializersAsConstants;
}

impl Pass for InitializersAsConstants {
    const NAME: &'static str = "initializers-as-constants";

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        let graph = &mut model.graph;
        let default = |&id: &NodeId| Some((id, graph.input(id).default.clone()?));
        let values: Vec<_> = graph.inputs().iter().filter_map(default).collect();
        for (id, _) in &values {
            cx.pinned(&graph.label(id.port(0)), None);
        }
        let count = values.len();
        if count > 0 {
            pin(graph, values);
            super::settle(model, "these constants")?;
        }
        cx.applied(Self::NAME, count);
        Ok(())
    }
}

/// Makes initializers that are also inputs constants that the file lists among its inputs as before: for passes that give weights another
/// type or shape, and the inputs with them.
///
/// # Errors
/// As the pass.
pub(crate) fn listed_as_constants(model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
    let graph = &model.graph;
    let listed: Vec<_> = (0u32..)
        .zip(graph.inputs())
        .map(|(place, &id)| (place, graph.input(id)))
        .filter(|(_, input)| input.default.is_some())
        .filter_map(|(place, input)| Some((input.port.name.clone()?, place, input.carried.clone())))
        .collect();
    if !listed.is_empty() {
        InitializersAsConstants.run(model, cx)?;
        let named: HashMap<_, _> =
            model.graph.constants().filter_map(|(id, constant)| Some((constant.port.name.clone()?, id))).collect();
        for (name, place, carried) in listed {
            if let Some(&id) = named.get(&name) {
                model.graph.constant_mut(id).form = ConstantForm::ListedAsInput { place, carried };
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::super::tests::run;

    #[test]
    fn the_value_stays_and_the_input_goes() {
        let text = run("initializers-as-constants", "g (float[2] x, float[2] w = {1, 2}) => (y) { y = Add(x, w) }");
        insta::assert_snapshot!(text, @r#"
        <ir_version: 10, opset_import: ["" : 21]>
        g (float[2] x) => (float[2] y)
        <float[2] w = {1, 2}>
        {
          y = Add(x, w)  # float[2]
        }
        settled: ["w"] []
        "#);
    }
}
