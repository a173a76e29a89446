//! A body that runs once, and what goes into it and comes out.

use onnxpress_ir::{Attr, Edit, EditError, Graph, Name, Node, NodeId, Tensor, ValueId};

use crate::rewrite::{Found, MatchCx, Miss};
use crate::transplant::{Copied, Transplant};

/// The first version of `Squeeze` and `Unsqueeze` that takes axes as an operand.
const AXES_OPERAND_SINCE: i64 = 13;

/// What an input of the body is given.
#[derive(Debug)]
pub(super) enum Given {
    /// A value of the graph around.
    Value(ValueId),
    /// The only slice of a value along an axis.
    Slice(ValueId, i64),
    /// A constant.
    Constant(Tensor),
}

/// What becomes of an output of the body.
#[derive(Debug)]
pub(super) enum Taken {
    /// An output of the node.
    Value(u32),
    /// The only slice along a new axis of an output of the node.
    Slice(u32, i64),
    /// Nothing asks for it.
    Nothing,
}

/// A body that is to run once in the place of the node that holds it.
#[derive(Debug)]
pub struct Inlined {
    root: NodeId,
    body: Graph,
    captured: Vec<Option<ValueId>>,
    given: Vec<Given>,
    taken: Vec<Taken>,
}

impl Inlined {
    /// A body, with something for each of its inputs and outputs.
    ///
    /// # Errors
    /// A decline where the body cannot be copied; [`Miss::NotHere`] where the numbers do not fit.
    pub(super) fn new(
        cx: &MatchCx<'_>,
        root: NodeId,
        body: &Graph,
        given: Vec<Given>,
        taken: Vec<Taken>,
    ) -> Found<Self> {
        if given.len() != body.inputs().len() || taken.len() != body.outputs().len() {
            return Err(Miss::NotHere);
        }
        let dense = body.constants().all(|(_, constant)| constant.value.dense().is_some());
        cx.require(dense, root, "its body has a sparse constant")?;
        let plain = body.inputs().iter().all(|&input| body.input(input).default.is_none());
        cx.require(plain, root, "its body has inputs with defaults")?;
        let captured = cx.graph().implicit_operands(root).collect();
        Ok(Self { root, body: body.clone(), captured, given, taken })
    }

    /// Carries it out.
    ///
    /// # Errors
    /// Where a node of the body makes no sense where it comes to stand.
    pub(super) fn apply(self, edit: &mut Edit<'_>) -> Result<(), EditError> {
        let Self { root, body, captured, given, taken } = self;
        let mut transplant = Transplant::new(&body);
        transplant.give_captures(&captured);
        for (input, given) in body.inputs().iter().zip(given) {
            let value = match given {
                Given::Value(value) => value,
                Given::Slice(value, axis) => axis_node(edit, "Squeeze", value, axis)?,
                Given::Constant(tensor) => edit.add_constant(None, tensor),
            };
            transplant.give(input.port(0), Some(value));
        }
        let constant = |edit: &mut Edit<'_>, name: Option<Name>, tensor| edit.add_constant(name, tensor);
        // What a subgraph captures is always given here.
        transplant.carry_out(edit, |node| Copied::Node(Box::new(node.clone())), constant)?;
        let mut named = Vec::new();
        for (index, taken) in taken.into_iter().enumerate() {
            let Some(inner) = transplant.output(index) else { continue };
            let (port, new) = match taken {
                Taken::Nothing => continue,
                Taken::Value(port) => (port, inner),
                Taken::Slice(port, axis) => (port, axis_node(edit, "Unsqueeze", inner, axis)?),
            };
            let old = root.port(port);
            // What the node gave keeps its name, unless it comes from outside.
            if (new != inner || transplant.is_computed(index)) && !named.contains(&new) {
                let name = edit.graph().port(old).name.clone();
                edit.rename(new, name);
                named.push(new);
            }
            edit.replace(old, new)?;
        }
        edit.remove(root);
        Ok(())
    }
}

/// `Squeeze` or `Unsqueeze` of one axis.
fn axis_node(edit: &mut Edit<'_>, op_type: &'static str, value: ValueId, axis: i64) -> Result<ValueId, EditError> {
    if edit.graph().opsets.standard() < AXES_OPERAND_SINCE {
        return edit.add(Node::new(op_type, 1).with(Attr::ints("axes", [axis])), &[value]);
    }
    let axes = edit.add_constant(None, Tensor::vector::<i64>(vec![axis]));
    edit.add(Node::new(op_type, 1), &[value, axes])
}
