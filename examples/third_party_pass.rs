//! A pass written by a third party: declared, registered, and named in pipeline text beside those of the house.
//!
//! `rename-nodes` gives every node a name made of its operator and a number. It has one option, which pipeline text sets.

#![allow(clippy::print_stdout, reason = "an example talks")]

use std::error::Error;

use onnxpress::ir::{Model, Name, NodeId};
use onnxpress::passes::manager::{self, RunOptions};
use onnxpress::passes::pass::{Pass, PassCx, PassError};

onnxpress::passes::options! {
    /// Names every node of the main graph after its operator: `Relu_7`.
    pub struct RenameNodes {
        /// Leave nodes alone that have a name.
        keep: bool = true,
    }
}

impl Pass for RenameNodes {
    const NAME: &'static str = "rename-nodes";

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        let ids: Vec<NodeId> = model.graph.nodes().map(|(id, _)| id).collect();
        let mut renamed = 0;
        for (number, id) in ids.into_iter().enumerate() {
            let Some(node) = model.graph.node(id) else { continue };
            if self.keep && node.name.as_ref().is_some_and(|name| !name.is_empty()) {
                cx.declined(Self::NAME, model.graph.describe(id), "it has a name");
                continue;
            }
            let name = format!("{}_{number}", node.op_type);
            model.graph.node_mut(id).name = Some(Name::from(name));
            renamed += 1;
        }
        cx.applied(Self::NAME, renamed);
        Ok(())
    }
}

const MODEL: &str = r#"
    <ir_version: 10, opset_import: ["" : 21]>
    tiny (float[N,3] x) => (float[N,3] y) {
      a = Identity(x)
      [last] b = Relu(a)
      y = Neg(b)
    }"#;

fn main() -> Result<(), Box<dyn Error>> {
    println!("{}", renamed()?);
    Ok(())
}

/// The model as text after a pipeline that names the pass.
fn renamed() -> Result<String, Box<dyn Error>> {
    let mut passes = onnxpress::passes::builtin()?;
    passes.register::<RenameNodes>()?;

    let mut model = Model::from_text(MODEL)?;
    let pipeline = passes.pipeline("eliminate-identity,rename-nodes{keep=true}")?;
    let report = manager::run(&pipeline, &mut model, RunOptions::default())?;

    println!("{}", report.pipeline);
    for decline in report.passes.iter().flat_map(|pass| &pass.declined) {
        println!("{}: left alone, {}", decline.site, decline.reason);
    }
    Ok(model.to_text())
}

#[test]
fn the_pass_runs_beside_those_of_the_house() -> Result<(), Box<dyn Error>> {
    assert!(renamed()?.contains("[last] b = Relu(x)\n  [Neg_1] y = Neg(b)"));
    Ok(())
}
