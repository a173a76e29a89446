//! Writes constants as initializers that the file writes as nodes.
//!
//! Before `w = Constant<value = …>()`; after, `w` is an initializer of the graph.
//! Fires in graphs that can have initializers: not in the body of a function, nor in subgraphs before version 4 of the
//! format; and where the file does not grow on balance, as it could before that version, when every initializer was an input
//! too.
//! Exact: the value stays as it is. Ends: one constant fewer that is a node each time.

use onnxpress_ir::{ConstantForm, ConstantValue, Edit, EditError, NodeId, Vertex};

use crate::rewrite::file_size::{self, Written};
use crate::rewrite::{Found, MatchCx, Miss, Roots, Rule};

/// What listing a constant among the inputs may add to the file, as long as the file stays smaller than it came.
const INPUT: usize = 256;

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct ConstantToInitializer;

impl Rule for ConstantToInitializer {
    const NAME: &'static str = "constant-to-initializer";
    const CONTRACT: &'static str = crate::contract!("constant_to_initializer.rs");
    const ROOTS: Roots = Roots::ConstantNodes;
    type Match = NodeId;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<NodeId> {
        let Some(Vertex::Constant(constant)) = cx.graph().get(root) else { return Err(Miss::NotHere) };
        let written = cx.written();
        if written == Written::Node || !matches!(constant.value, ConstantValue::Dense(_)) {
            return Err(Miss::NotHere);
        }
        let (now, then) = (file_size::constant_as(constant, Written::Node), file_size::constant_as(constant, written));
        cx.pays(root, then, now, INPUT)?;
        Ok(root)
    }

    fn apply(&self, constant: NodeId, edit: &mut Edit<'_>) -> Result<(), EditError> {
        edit.set_form(constant, ConstantForm::Initializer);
        Ok(())
    }
}
