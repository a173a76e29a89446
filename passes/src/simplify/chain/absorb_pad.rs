//! Lets `Conv` and pooling do the padding of the `Pad` before them.
//!
//! Before `y = Conv(Pad(x, p), W, B)`, or `AveragePool`, `MaxPool`; after `y = Conv<pads = pads + p>(x, W, B)`.
//! Fires if the `Pad` adds a known value along spatial axes only and takes nothing away, nothing else reads it, the layer states
//! its padding (no `auto_pad` but `VALID`), and the value is what the layer adds itself: 0 for `Conv`; 0 for `AveragePool` that
//! counts its padding, or has none and is told to count it; for `MaxPool` no more than any element of `x` can be. Pooling must
//! not round its extents up, and a window must not lie in the padding alone.
//! Exact: the same elements stand in each window. Ends: one node fewer each time.

use onnxpress_ir::{Attr, Edit, EditError, NodeId, ValueId};
use onnxpress_ops::node::NodeCx;

use super::super::forms::bounds;
use super::super::forms::pads::Pads;
use crate::rewrite::{Change, Found, MatchCx, Miss, Reads, Roots, Rule};

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct AbsorbPad;

impl Rule for AbsorbPad {
    const NAME: &'static str = "absorb-pad";
    const CONTRACT: &'static str = crate::contract!("absorb_pad.rs");
    const ROOTS: Roots = Roots::Operators(&["Conv", "AveragePool", "MaxPool"]);
    type Match = Change;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Change> {
        let node = cx.node(root)?;
        let pad = cx.producer(root, 0, "Pad")?;
        let data = cx.operand(pad.id, 0)?;
        let rank = cx.shape(data).ok_or(Miss::NotHere)?.len();
        let added = Pads::of(cx, &pad, rank)?;
        let auto = cx.attribute(root, node.attrs().string_or("auto_pad", "NOTSET".into()))?;
        let spatial = rank > 2 && added.before[..2].iter().chain(&added.behind[..2]).all(|&pad| pad == 0);
        let stated = matches!(&*auto, "NOTSET" | "VALID");
        let value = added.value.ok_or(Miss::NotHere)?;
        if !stated || !spatial || !added.only_add() || !cx.is_read_once(pad.id.port(0)) {
            return Err(Miss::NotHere);
        }
        let own = match &*auto {
            "VALID" => None,
            _ => cx.attribute(root, node.attrs().ints("pads"))?,
        };
        let own = own.unwrap_or_else(|| vec![0; 2 * (rank - 2)]);
        let more = added.before[2..].iter().chain(&added.behind[2..]);
        let sum = own.iter().zip(more).map(|(own, more)| own.checked_add(*more)).collect::<Option<Vec<i64>>>();
        let pads = sum.filter(|sum| sum.len() == 2 * (rank - 2)).ok_or(Miss::NotHere)?;
        let counted = if node.node.is("Conv") {
            cx.require(value == 0.0, pad.id, "it does not add zeros")?;
            false
        } else {
            self.pools_alike(cx, &node, data, value, &own, &pads)?
        };
        let mut attrs = node.node.attrs.clone();
        attrs.retain(|attr| {
            attr.name != "pads" && attr.name != "auto_pad" && !(counted && attr.name == "count_include_pad")
        });
        attrs.push(Attr::ints("pads", pads));
        if counted {
            attrs.push(Attr::int("count_include_pad", 1));
        }
        let rest = (1..node.operand_count()).map(|index| node.operand(index).map_or(Reads::Nothing, Reads::Value));
        Change::new(cx, root, node.node.op_type.clone(), std::iter::once(data.into()).chain(rest), attrs)
    }

    fn apply(&self, found: Change, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}

impl AbsorbPad {
    /// Whether a pooling that pads so itself counts its padding.
    ///
    /// # Errors
    /// Where it would give something else.
    fn pools_alike(
        &self,
        cx: &MatchCx<'_>,
        node: &NodeCx<'_>,
        data: ValueId,
        value: f64,
        own: &[i64],
        pads: &[i64],
    ) -> Found<bool> {
        let attrs = node.attrs();
        cx.require(!cx.attribute(node.id, attrs.flag("ceil_mode"))?, node.id, "it rounds its extents up")?;
        let kernel = cx.attribute(node.id, attrs.ints("kernel_shape"))?.ok_or(Miss::NotHere)?;
        let fits = pads.iter().zip(kernel.iter().chain(&kernel)).all(|(pad, kernel)| pad < kernel);
        cx.require(fits, node.id, "a window would lie in the padding alone")?;
        if node.node.is("MaxPool") {
            if node.node.port_count() > 1 {
                cx.require(!cx.is_read(node.id.port(1)), node.id, "its indices are read")?;
            }
            cx.require(bounds::of(cx, data).low >= value, node.id, "the padding can be the greatest element")?;
            return Ok(false);
        }
        cx.require(value == 0.0, node.id, "its operand is not padded by zeros")?;
        let counts = cx.attribute(node.id, attrs.flag("count_include_pad"))?;
        let bare = node.version >= 7 && own.iter().all(|&pad| pad == 0);
        cx.require(counts || bare, node.id, "it does not count its own padding")?;
        Ok(true)
    }
}
