//! Whether an extent that is asked for becomes a number that is computed with, or only a shape again.
//!
//! A shape that is asked for, taken apart and put together again follows when channels go: that is how exporters write a
//! reshape. An extent that ends in arithmetic, `1 / sqrt(d)`, would make other numbers of the channels that stay.

use std::collections::HashSet;

use onnxpress_ir::ValueId;

use crate::node::NodeCx;
use crate::table;

/// Chains of shapes are short; who reads this many values is taken to compute.
const MOST: usize = 1000;

/// Whether the extent of the operand's axis ends as a number among those of the model. Only `Shape` and `Size` give extents.
pub(super) fn as_number(cx: &NodeCx<'_>, axis: usize) -> bool {
    if !(cx.node.is("Shape") || cx.node.is("Size")) {
        return false;
    }
    let first = cx.attrs().int_or("start", 0).ok().and_then(|start| {
        let rank = i64::try_from(cx.rank(0)?).ok()?;
        usize::try_from(if start < 0 { start + rank } else { start }).ok()
    });
    let place = first.and_then(|first| axis.checked_sub(first)).filter(|_| cx.node.is("Shape"));
    let mut seen = HashSet::new();
    let mut open: Vec<(ValueId, Option<usize>)> = vec![(cx.id.port(0), place)];
    while let Some((value, place)) = open.pop() {
        if !seen.insert((value, place)) {
            continue;
        }
        if seen.len() > MOST {
            return true;
        }
        for reading in cx.graph.readers(value) {
            let onnxpress_ir::Slot::Operand(operand) = reading.slot else { return true };
            let Some(reader) = NodeCx::new(cx.graph, reading.node) else { return true };
            match after(&reader, operand as usize, place) {
                After::Shape => {}
                After::Number => return true,
                After::Values(place) => {
                    open.extend((0..reader.node.port_count() as u32).map(|port| (reading.node.port(port), place)));
                }
            }
        }
    }
    false
}

enum After {
    /// It became extents.
    Shape,
    /// It became a number.
    Number,
    /// It is among whole numbers still: at this place, or who knows where.
    Values(Option<usize>),
}

fn after(reader: &NodeCx<'_>, operand: usize, place: Option<usize>) -> After {
    let Some(relation) = table::of(reader.node).and_then(|operator| operator.axes.relation(reader).ok()) else {
        return After::Number;
    };
    if relation.operands.get(operand).is_some_and(Option::is_none) {
        return After::Shape;
    }
    let whole = |dtype: onnxpress_ir::DType| !dtype.is_float() && dtype != onnxpress_ir::DType::String;
    let first = reader.node.ports().first().and_then(|port| port.ty.dtype());
    if !first.is_some_and(whole) {
        return After::Number;
    }
    // Which element is taken is known where it is taken by number.
    let taken = || -> Option<Option<usize>> {
        let rank = reader.rank(0)?;
        if rank != 1 {
            return None;
        }
        let count = i64::try_from(reader.elements(0)?.len()).ok()?;
        let from_front = |index: i64| usize::try_from(if index < 0 { index + count } else { index }).ok();
        let (first, taken) = if reader.node.is("Gather") && operand == 0 {
            let indices = reader.ints(1)?;
            (from_front(*indices.first()?)?, indices.len())
        } else if reader.node.is("Slice") && operand == 0 && reader.ints(4).is_none_or(|steps| steps == [1]) {
            let (starts, ends) = (reader.ints(1)?, reader.ints(2)?);
            let (start, end) = (from_front(*starts.first()?)?, from_front((*ends.first()?).min(count))?);
            (start, end.checked_sub(start)?)
        } else {
            return None;
        };
        let place = place?;
        Some((first..first + taken).contains(&place).then(|| place - first))
    };
    match taken() {
        Some(None) => After::Shape,
        Some(place) => After::Values(place),
        None => After::Values(None),
    }
}
