//! How `opt` proves its result, as the command line asks for it.

use serde::Serialize;

use super::Global;
use super::failure::Failure;
use crate::ir::Model;
use crate::passes::manager::Report;

/// How the result is proven.
#[derive(clap::Args, Debug)]
pub(super) struct Check {
    /// How the result is checked against what it ought to compute.
    #[arg(long, value_name = "MODE", default_value = "structure", value_parser = ["structure", "off"])]
    check: String,
    /// Check after every pass, so that the one at fault is named.
    #[arg(long)]
    check_each: bool,
}

/// How a result was proven.
#[derive(Debug, Serialize)]
pub(super) struct Proof {
    mode: String,
    #[serde(skip)]
    pub(super) notices: Vec<String>,
}

impl Proof {
    /// For people.
    pub(super) fn sentence(&self) -> String {
        format!("check: {}", self.mode)
    }
}

impl Check {
    /// Whether every pass is checked by itself.
    pub(super) fn each(&self) -> bool {
        self.check_each
    }

    /// Proves a result, or says where it is wrong.
    pub(super) fn prove(
        &self,
        original: &Model,
        result: &Model,
        _run: &Report,
        _global: &Global,
    ) -> Result<Proof, Failure> {
        let names = |model: &Model| -> Vec<String> {
            let graph = &model.graph;
            let inputs = graph.inputs().iter().map(|&id| graph.label(id.port(0)));
            inputs.chain(graph.outputs().iter().map(|&id| graph.output(id).name.to_string())).collect()
        };
        if self.check != "off" && names(original) != names(result) {
            return Err(Failure::check("the result has other inputs or outputs than the model that came in"));
        }
        Ok(Proof { mode: self.check.clone(), notices: Vec::new() })
    }
}
