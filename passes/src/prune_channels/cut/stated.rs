//! What a node says of extents in attributes and shape constants, and must say anew when indices go.
//!
//! Where the data sheet says that they stand, and the relation of axes what they are, so one routine serves every operator that
//! states them the same way. A shape operand that is computed of constants alone becomes a constant; one of which some entries
//! are open is left to compute itself, or written with the 0 and -1 that `Reshape` has for them.

use onnxpress_ir::analysis::channels::{Coupling, SpanId};
use onnxpress_ir::{Attr, AttrValue, Dim, Graph, NodeId, Tensor, ValueId};
use onnxpress_ops::axes::{Axis, Relation, Segment, Stated};
use onnxpress_ops::node::NodeCx;
use onnxpress_ops::table;

use super::{Change, Left};

/// Collects what must change in a node. An answer of `Err` says why it cannot follow.
pub(crate) fn changes(
    graph: &Graph,
    id: NodeId,
    coupling: &Coupling,
    left: &Left,
    changes: &mut Vec<Change>,
) -> Result<(), String> {
    let Some(cx) = NodeCx::new(graph, id) else { return Ok(()) };
    if coupling.letters(id).iter().all(|(_, span)| !coupling.spans.is_free(*span)) {
        return Ok(());
    }
    let Some(operator) = table::of(cx.node) else { return Ok(()) };
    let Ok(relation) = operator.axes.relation(&cx) else { return Ok(()) };
    let counts = left.iter().map(Vec::len).collect();
    let node = Stating { cx, coupling, relation: &relation, counts };
    for stated in &relation.stated {
        match stated {
            Stated::Attribute(name, letters) => node.attribute(name, letters, changes),
            Stated::Extents(operand) => node.extents(*operand, changes),
            Stated::Parts => node.parts(changes)?,
            Stated::Pads => node.pads(changes)?,
            Stated::Bounds => node.bounds(changes)?,
            Stated::Indices => node.indices(changes),
            Stated::Repeats => node.repeats(changes)?,
            Stated::Follows => {}
        }
    }
    Ok(())
}

struct Stating<'a> {
    cx: NodeCx<'a>,
    coupling: &'a Coupling,
    relation: &'a Relation,
    counts: Vec<usize>,
}

impl Stating<'_> {
    fn count(&self, span: SpanId) -> Option<i64> {
        let extent = self.coupling.spans.extent(span)?;
        let count =
            if self.coupling.spans.is_free(span) { self.coupling.spans.count(span, &self.counts) } else { extent };
        i64::try_from(count).ok()
    }

    /// How many indices a segment is left with.
    fn segment(&self, segment: &Segment) -> Option<i64> {
        match segment {
            Segment::One => Some(1),
            Segment::Opaque => None,
            Segment::Product(factors) => factors
                .iter()
                .map(|factor| self.count(self.coupling.letter(self.cx.id, &factor.letter)?))
                .try_fold(1i64, |product, count| product.checked_mul(count?)),
        }
    }

    /// The segments of each axis of an operand or output, where no axis stands for several.
    fn segments(row: Option<&Option<Vec<Axis>>>) -> Option<Vec<&[Segment]>> {
        let mut all = Vec::new();
        for axis in row?.as_ref()? {
            match axis {
                Axis::Segments(segments) => all.push(segments.as_slice()),
                Axis::Many(_) => return None,
            }
        }
        Some(all)
    }

    /// The extents of an output, before and now; `None` where open.
    fn output(&self, port: u32) -> Vec<(Option<i64>, Option<i64>)> {
        let axes = self.coupling.axes(self.cx.id.port(port)).unwrap_or_default();
        let before = |&axis: &SpanId| self.coupling.spans.extent(axis).and_then(|extent| i64::try_from(extent).ok());
        axes.iter().map(|axis| (before(axis), self.count(*axis))).collect()
    }

    fn attribute(&self, name: &str, letters: &[String], changes: &mut Vec<Change>) {
        let mut count = letters.iter().map(|letter| self.count(self.coupling.letter(self.cx.id, letter)?));
        let Some(count) = count.try_fold(1i64, |product, count| product.checked_mul(count?)) else { return };
        if self.cx.attrs().int(name).ok().flatten().is_some_and(|before| before != count) {
            changes.push(Change::Attribute(self.cx.id, Attr::int(name.to_owned(), count)));
        }
    }

    /// Puts other numbers in the place of a shape operand's, if they differ.
    fn set(&self, operand: usize, now: Vec<i64>, changes: &mut Vec<Change>) {
        let Some(value) = self.cx.operand(operand) else { return };
        if self.cx.ints(operand).as_ref() == Some(&now) {
            return;
        }
        let dims: Vec<usize> = match self.cx.graph.ty(value).shape().and_then(|shape| shape.as_consts()) {
            Some(dims) if dims.iter().product::<usize>() == now.len() => dims,
            _ => vec![now.len()],
        };
        let tensor = match self.cx.dtype(operand) {
            Some(onnxpress_ir::DType::Int32) => {
                Tensor::from_values(&dims, now.iter().map(|&entry| i32::try_from(entry).unwrap_or(i32::MAX)).collect())
            }
            _ => Tensor::from_values(&dims, now),
        };
        changes.extend(tensor.ok().map(|tensor| Change::Operand(self.cx.id, operand, tensor)));
    }

    /// A shape operand: entries that say the old extent say the new one.
    fn extents(&self, operand: usize, changes: &mut Vec<Change>) {
        let output = self.output(0);
        if !output.iter().any(|(before, now)| before != now) {
            return;
        }
        let attribute = self.cx.attrs().get("shape").filter(|_| self.cx.operand(operand).is_none());
        if let Some(AttrValue::Ints(entries)) = attribute {
            let now = entries.iter().zip(&output).map(|(&entry, extents)| renewed(entry, extents)).collect::<Vec<_>>();
            changes.push(Change::Attribute(self.cx.id, Attr::ints("shape", now)));
            return;
        }
        // The target of an Expand may have fewer axes than its result.
        let skip = |count: usize| output.len().saturating_sub(count);
        if let Some(entries) = self.cx.ints(operand) {
            let from = skip(entries.len());
            let now = entries.iter().zip(&output[from..]).map(|(&entry, extents)| renewed(entry, extents)).collect();
            return self.set(operand, now, changes);
        }
        let Some(elements) = self.cx.elements(operand) else { return };
        if let Some(now) = self.reshape_target(elements, &output) {
            return self.set(operand, now, changes);
        }
        let from = skip(elements.len());
        for (place, (entry, extents)) in elements.iter().zip(&output[from..]).enumerate() {
            if let (Some(entry), Some(value)) = (entry.as_const(), self.cx.operand(operand))
                && renewed(entry, extents) != entry
            {
                piece(self.cx.graph, value, place, renewed(entry, extents), changes);
            }
        }
    }

    /// A target for Reshape with open entries: those that are the operand's extent at the same place are 0, one other is -1.
    fn reshape_target(&self, elements: &[Dim], output: &[(Option<i64>, Option<i64>)]) -> Option<Vec<i64>> {
        if !self.cx.node.is("Reshape")
            || self.cx.attrs().flag("allowzero") != Ok(false)
            || elements.len() != output.len()
        {
            return None;
        }
        let from = self.cx.shape(0)?;
        let mut taken = elements.iter().any(|entry| entry.as_const() == Some(-1));
        let mut now = Vec::new();
        for (axis, (entry, extents)) in elements.iter().zip(output).enumerate() {
            now.push(match entry.as_const() {
                Some(entry) => renewed(entry, extents),
                None if from.get(axis).is_some_and(|dim| dim.equals(entry) == Some(true)) => 0,
                None if !taken => {
                    taken = true;
                    -1
                }
                None => return None,
            });
        }
        Some(now)
    }

    /// The sizes of a Split.
    fn parts(&self, changes: &mut Vec<Change>) -> Result<(), String> {
        let data = Self::segments(self.relation.operands.first()).ok_or("its axes are not known")?;
        let Some(segments) = data.into_iter().find(|segments| segments.len() > 1) else { return Ok(()) };
        let sizes: Option<Vec<i64>> = segments.iter().map(|segment| self.segment(segment)).collect();
        let Some(sizes) = sizes else { return Ok(()) };
        if self.cx.has(1) {
            self.set(1, sizes, changes);
            return Ok(());
        }
        match self.cx.attrs().get("split") {
            Some(AttrValue::Ints(before)) if *before == sizes => {}
            Some(_) => changes.push(Change::Attribute(self.cx.id, Attr::ints("split", sizes))),
            // Parts that were equal and still are need no word.
            None if sizes.windows(2).all(|pair| pair[0] == pair[1]) => {}
            None if self.cx.version < 13 => changes.push(Change::Attribute(self.cx.id, Attr::ints("split", sizes))),
            None => {
                changes.push(Change::WithoutAttribute(self.cx.id, "num_outputs"));
                changes.push(Change::Operand(self.cx.id, 1, Tensor::vector(sizes)));
            }
        }
        Ok(())
    }

    /// Which axes the entries of a list of pads or bounds belong to: those that an operand names, or all in order.
    fn named_axes(&self, operand: usize, rank: usize) -> Result<Vec<usize>, String> {
        let named = match (self.cx.has(operand), self.cx.attrs().get("axes")) {
            (true, _) => Some(self.cx.ints(operand).ok_or("which axes are meant is not constant")?),
            (false, Some(AttrValue::Ints(axes))) => Some(axes.clone()),
            _ => None,
        };
        let Some(named) = named else { return Ok((0..rank).collect()) };
        let axis = |axis| onnxpress_ir::shape::normalize_axis(axis, rank).ok_or("an axis is none of the operand's");
        named.into_iter().map(axis).collect::<Result<_, _>>().map_err(str::to_owned)
    }

    /// What a Pad puts before and behind.
    fn pads(&self, changes: &mut Vec<Change>) -> Result<(), String> {
        let rows = Self::segments(self.relation.operands.first()).zip(Self::segments(self.relation.outputs.first()));
        let (from, to) = rows.ok_or("its axes are not known")?;
        let axes = self.named_axes(3, from.len())?;
        let attribute = self.cx.attrs().get("pads").filter(|_| !self.cx.has(1));
        let before = match attribute {
            Some(AttrValue::Ints(pads)) => pads.clone(),
            _ => match self.cx.ints(1) {
                Some(pads) => pads,
                None => return Err("how much is padded is not constant".to_owned()),
            },
        };
        let mut now = before.clone();
        for (place, &axis) in axes.iter().enumerate() {
            let Some((front, back)) = self.around(from[axis], to[axis]) else { continue };
            if let Some(entry) = now.get_mut(place) {
                *entry = front;
            }
            if let Some(entry) = now.get_mut(place + axes.len()) {
                *entry = back;
            }
        }
        if now == before {
            return Ok(());
        }
        match attribute {
            Some(_) => changes.push(Change::Attribute(self.cx.id, Attr::ints("pads", now))),
            None => self.set(1, now, changes),
        }
        Ok(())
    }

    /// What stands before and behind the segment that both sides have: put in, or, negative, taken away.
    fn around(&self, from: &[Segment], to: &[Segment]) -> Option<(i64, i64)> {
        let shared = from.iter().position(|segment| to.iter().any(|other| same(segment, other)))?;
        let place = to.iter().position(|segment| same(segment, &from[shared]))?;
        let sum = |segments: &[Segment]| segments.iter().map(|segment| self.segment(segment)).sum::<Option<i64>>();
        Some((sum(&to[..place])? - sum(&from[..shared])?, sum(&to[place + 1..])? - sum(&from[shared + 1..])?))
    }

    /// Where a Slice begins and ends.
    fn bounds(&self, changes: &mut Vec<Change>) -> Result<(), String> {
        let rows = Self::segments(self.relation.operands.first()).zip(Self::segments(self.relation.outputs.first()));
        let (from, to) = rows.ok_or("its axes are not known")?;
        let cut: Vec<usize> = (0..from.len()).filter(|&axis| from[axis].len() > 1).collect();
        let data = self
            .coupling
            .read(self.cx.graph, onnxpress_ir::Use { node: self.cx.id, slot: onnxpress_ir::Slot::Operand(0) });
        let data = data.ok_or("its axes are not known")?;
        let touched = |axis: &usize| {
            let span = data[*axis];
            self.coupling.spans.extent(span).map(|extent| extent as i64) != self.count(span)
        };
        let cut: Vec<usize> = cut.into_iter().filter(touched).collect();
        if cut.is_empty() {
            return Ok(());
        }
        let attributes = (self.cx.attrs().get("starts"), self.cx.attrs().get("ends"));
        let (mut starts, mut ends) = match attributes {
            (Some(AttrValue::Ints(starts)), Some(AttrValue::Ints(ends))) => (starts.clone(), ends.clone()),
            _ => self.cx.ints(1).zip(self.cx.ints(2)).ok_or("where it begins and ends is not constant")?,
        };
        let axes = self.named_axes(3, from.len())?;
        let axes = if self.cx.has(3) || self.cx.attrs().has("axes") { axes } else { axes[..starts.len()].to_vec() };
        for axis in cut {
            let place = axes.iter().position(|&named| named == axis).ok_or("an axis is cut that it does not name")?;
            let (front, _) = self.around(from[axis], to[axis]).ok_or("where it begins is not constant")?;
            let count = to[axis].iter().map(|segment| self.segment(segment)).sum::<Option<i64>>();
            let count = count.ok_or("where it ends is not constant")?;
            let (Some(start), Some(end)) = (starts.get_mut(place), ends.get_mut(place)) else { continue };
            (*start, *end) = (-front, count - front);
        }
        if attributes.0.is_some() {
            changes.push(Change::Attribute(self.cx.id, Attr::ints("starts", starts)));
            changes.push(Change::Attribute(self.cx.id, Attr::ints("ends", ends)));
        } else {
            self.set(1, starts, changes);
            self.set(2, ends, changes);
        }
        Ok(())
    }

    /// Which indices a Gather takes: segments that stand somewhere else now.
    fn indices(&self, changes: &mut Vec<Change>) {
        let Some(from) = Self::segments(self.relation.operands.first()) else { return };
        let Some(to) = Self::segments(self.relation.outputs.first()) else { return };
        let axis = self.cx.attrs().int_or("axis", 0).ok();
        let axis = axis.and_then(|axis| onnxpress_ir::shape::normalize_axis(axis, from.len()));
        let Some(&whole) = axis.and_then(|axis| from.get(axis)) else { return };
        let starts = |place: usize| whole[..place].iter().map(|segment| self.segment(segment)).sum::<Option<i64>>();
        let taken: Vec<usize> = match (whole.iter().position(|segment| *segment == Segment::One), axis) {
            (Some(one), _) => vec![one],
            (None, Some(axis)) if to.len() == from.len() => {
                let place = |segment: &Segment| whole.iter().position(|other| same(segment, other));
                to[axis].iter().filter_map(place).collect()
            }
            _ => return,
        };
        let range = |&place: &usize| Some((starts(place)?, self.segment(&whole[place])?));
        let Some(ranges) = taken.iter().map(range).collect::<Option<Vec<_>>>() else { return };
        if !ranges.is_empty() {
            self.set(1, ranges.into_iter().flat_map(|(first, count)| first..first + count).collect(), changes);
        }
    }

    /// How often a Tile repeats.
    fn repeats(&self, changes: &mut Vec<Change>) -> Result<(), String> {
        let to = Self::segments(self.relation.outputs.first()).ok_or("its axes are not known")?;
        let from = Self::segments(self.relation.operands.first()).ok_or("its axes are not known")?;
        let Some(mut repeats) = self.cx.ints(1) else { return Ok(()) };
        for ((entry, to), from) in repeats.iter_mut().zip(to).zip(from) {
            if let ([Segment::Product(factors)], true) = (to, to != from)
                && let Some(count) =
                    self.coupling.letter(self.cx.id, &factors[0].letter).and_then(|span| self.count(span))
            {
                *entry = count;
            }
        }
        self.set(1, repeats, changes);
        Ok(())
    }
}

/// Follows an entry of a shape that is put together to the piece that it comes from, and gives that another value.
fn piece(graph: &Graph, value: ValueId, place: usize, now: i64, changes: &mut Vec<Change>) {
    let Some(cx) = NodeCx::new(graph, value.node).filter(|cx| cx.node.is("Concat")) else { return };
    let mut start = 0;
    for operand in 0..cx.operand_count() {
        let Some(count) = cx.elements(operand).map(<[Dim]>::len) else { return };
        if place < start + count {
            match cx.ints(operand) {
                Some(mut entries) => {
                    // Another entry of the same piece may have been changed before.
                    let earlier = changes.iter_mut().find_map(|change| match change {
                        Change::Operand(node, index, tensor) if *node == cx.id && *index == operand => Some(tensor),
                        _ => None,
                    });
                    if let Some(earlier) = &earlier {
                        entries = earlier.to_i64s().unwrap_or(entries);
                    }
                    entries[place - start] = now;
                    let tensor = Tensor::vector(entries);
                    match earlier {
                        Some(earlier) => *earlier = tensor,
                        None => changes.push(Change::Operand(cx.id, operand, tensor)),
                    }
                }
                None => {
                    if let Some(inner) = cx.operand(operand) {
                        piece(graph, inner, place - start, now, changes);
                    }
                }
            }
            return;
        }
        start += count;
    }
}

/// Whether two segments run over the same letters; their extents may be written at one place only.
fn same(a: &Segment, b: &Segment) -> bool {
    let letters = |segment: &Segment| match segment {
        Segment::Product(factors) => Some(factors.iter().map(|factor| factor.letter.clone()).collect::<Vec<_>>()),
        Segment::One | Segment::Opaque => None,
    };
    letters(a).is_some() && letters(a) == letters(b)
}

/// The entry with the new extent where it says the old one; 0 and -1 say what they said, and 1 that it broadcasts.
fn renewed(entry: i64, extents: &(Option<i64>, Option<i64>)) -> i64 {
    match extents {
        (Some(before), Some(now)) if *before == entry => *now,
        _ => entry,
    }
}
