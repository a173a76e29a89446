//! Puts the body of a `Loop` that runs once in its place, and what went in where it never runs.
//!
//! Before `v, s = Loop(M, cond, v0) <body>`; after, the nodes of the body with 0 for the number of the turn, true for the
//! condition and `v0` for the carried values, what is stacked having a first axis of extent 1; or, where no turn is taken, every
//! reader of `v` reads `v0`.
//! Fires if `M` is known and at most 1, and `cond` is left out or known; or if `cond` is known to be false; or if the body gives a
//! false condition whatever happens and `M` is left out or known. Where no turn is taken, nothing may read what is stacked.
//! Exact: that is what the loop does. Ends: one `Loop` fewer each time.

use onnxpress_ir::{DType, Edit, EditError, Graph, NodeId, Tensor, ValueId};

use super::inlined::{Given, Inlined, Taken};
use crate::rewrite::{Found, MatchCx, Miss, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct InlineLoop;

/// How often the body runs.
#[derive(Debug)]
pub enum Match {
    /// Never: what takes the place of what.
    Never(Vec<(ValueId, ValueId)>),
    /// Once.
    Once(Box<Inlined>),
}

impl Rule for InlineLoop {
    const NAME: &'static str = "inline-loop";
    const CONTRACT: &'static str = crate::contract!("inline_loop.rs");
    const ROOTS: Roots = Roots::Operators(&["Loop"]);
    type Match = Match;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Match> {
        let node = cx.node(root)?;
        let body = node.attrs().graph("body").ok_or(Miss::NotHere)?;
        let most = match node.operand(0) {
            None => Some(i64::MAX),
            Some(value) => cx.ints(value).and_then(|most| most.first().copied()),
        };
        let enters = match node.operand(1) {
            None => Some(true),
            Some(value) => cx.constant(value).and_then(known_flag),
        };
        let carried = node.operand_count().saturating_sub(2);
        let ends = body.outputs().first().and_then(|&output| body.operand(output, 0));
        let ends = ends.and_then(|value| body.constant(value)).and_then(known_flag) == Some(false);
        if enters == Some(false) || most.is_some_and(|most| most <= 0) {
            return never(cx, root, carried);
        }
        if enters != Some(true) || !(most == Some(1) || most.is_some() && ends) {
            return Err(Miss::NotHere);
        }
        let number = Tensor::from_i64s(DType::Int64, scalar_dims(body, 0), &[0]).map_err(|_| Miss::NotHere)?;
        let goes_on = Tensor::from_i64s(DType::Bool, scalar_dims(body, 1), &[1]).map_err(|_| Miss::NotHere)?;
        let mut given = vec![Given::Constant(number), Given::Constant(goes_on)];
        for index in 2..node.operand_count() {
            given.push(Given::Value(cx.operand(root, index)?));
        }
        let ports = (0u32..).take(node.node.port_count());
        let result = |port: u32| if (port as usize) < carried { Taken::Value(port) } else { Taken::Slice(port, 0) };
        let taken = std::iter::once(Taken::Nothing).chain(ports.map(result)).collect();
        Inlined::new(cx, root, body, given, taken).map(|inlined| Match::Once(Box::new(inlined)))
    }

    fn apply(&self, found: Match, edit: &mut Edit<'_>) -> Result<(), EditError> {
        match found {
            Match::Never(pairs) => pairs.into_iter().try_for_each(|(old, new)| edit.replace(old, new)),
            Match::Once(inlined) => inlined.apply(edit),
        }
    }
}

/// What takes the place of what where no turn is taken.
fn never(cx: &MatchCx<'_>, root: NodeId, carried: usize) -> Found<Match> {
    let mut pairs = Vec::new();
    for port in (0u32..).take(cx.node(root)?.node.port_count()) {
        let old = root.port(port);
        if (port as usize) < carried {
            let new = cx.operand(root, 2 + port as usize)?;
            cx.can_take_over(old, new)?;
            pairs.push((old, new));
        } else {
            cx.require(!cx.is_read(old), root, "what its turns would stack is read")?;
        }
    }
    Ok(Match::Never(pairs))
}

/// Runtimes hand a scalar over as a vector of one element where the body declares a vector.
fn scalar_dims(body: &Graph, input: usize) -> &'static [usize] {
    let declared = body.inputs().get(input).and_then(|&id| body.input(id).declared.shape());
    if declared.is_some_and(|shape| shape.len() == 1) { &[1] } else { &[] }
}

fn known_flag(tensor: &Tensor) -> Option<bool> {
    match tensor.to_i64s().ok()?[..] {
        [flag] => Some(flag != 0),
        _ => None,
    }
}
