//! `Slice`: along some axes only the indices from `starts` to before `ends`, every `steps`-th.
//!
//! Ends are clamped to the extent and count from the back where negative, so the extents of the result are minima and maxima
//! of sizes: `x[:512]` of an axis of extent `N` has `min(N, 512)` indices. What is beyond any extent (exporters write the
//! largest whole number of 32 or 64 bits) means the end itself.
//!
//! Source: ONNX operator specification, `Slice`, opsets 1 to 13 (before 10 all but the steps were attributes, and there were
//! no steps).

use std::cmp::Ordering;

use onnxpress_ir::{Dim, Shape};

use super::Moves;
use crate::axes::Axes;
use crate::evaluate::walk::{Walk, strides};
use crate::gradient::Gradient;
use crate::infer::Undecided;
use crate::letters::{Letters, and_parameters, relation, sized};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::{Parameters, distinct_axes};

const MOVES: Moves = Moves { shape, walk };

pub(crate) static SLICE: Operator = Operator {
    domain: "",
    name: "Slice",
    infer: Infer::With(|cx| MOVES.infer(cx)),
    axes: Axes::With(axes),
    evaluate: Evaluate::With(|cx| MOVES.evaluate(cx)),
    linear: Linear::None("only takes a part out"),
    quantize: Quantize::Moves,
    cost: Cost::None("only takes a part out"),
    effects: Effects::Pure,
    gradient: Gradient::With(super::gradient::slice),
};

/// From here on an index stands for the end of whatever extent: exporters write the largest number of 32 bits for it.
const BEYOND: i64 = i32::MAX as i64;

/// What is taken along one axis.
struct Cut {
    start: Dim,
    end: Dim,
    /// `None` where it is not known.
    step: Option<i64>,
}

/// Where a cut begins, how many indices it takes and how far they are apart.
struct Taken {
    first: Dim,
    count: Dim,
    step: i64,
}

/// A list that steers the cuts.
enum List {
    Omitted,
    /// Not even the number of entries is known.
    Unknown,
    Entries(Vec<Dim>),
}

impl List {
    fn operand(p: &dyn Parameters, index: usize) -> Result<Self, Undecided> {
        match p.entries(index) {
            Err(Undecided::Unknown) => Ok(Self::Unknown),
            entries => Ok(entries?.map_or(Self::Omitted, Self::Entries)),
        }
    }

    fn attribute(p: &dyn Parameters, name: &str) -> Result<Self, Undecided> {
        let list = p.attrs().ints(name)?;
        Ok(list.map_or(Self::Omitted, |list| Self::Entries(list.into_iter().map(Dim::from).collect())))
    }

    fn count(&self) -> Option<usize> {
        match self {
            Self::Entries(entries) => Some(entries.len()),
            Self::Omitted | Self::Unknown => None,
        }
    }

    fn entry(&self, index: usize) -> Dim {
        match self {
            Self::Entries(entries) => entries.get(index).cloned().unwrap_or_default(),
            Self::Omitted | Self::Unknown => Dim::unknown(),
        }
    }
}

/// The cut along each axis; `None` where all is taken.
fn cuts(p: &dyn Parameters, rank: usize) -> Result<Vec<Option<Cut>>, Undecided> {
    let [starts, ends, axes, steps] = if p.version() < 10 {
        let attribute = |name| List::attribute(p, name);
        [attribute("starts")?, attribute("ends")?, attribute("axes")?, List::Omitted]
    } else {
        let operand = |index| List::operand(p, index);
        [operand(1)?, operand(2)?, operand(3)?, operand(4)?]
    };
    if matches!(starts, List::Omitted) || matches!(ends, List::Omitted) {
        return Err(Undecided::invalid("starts or ends are missing"));
    }
    let lists = [&axes, &starts, &ends, &steps];
    let count = lists.into_iter().find_map(List::count).ok_or(Undecided::Unknown)?;
    if lists.into_iter().filter_map(List::count).any(|other| other != count) {
        return Err(Undecided::invalid("starts, ends, axes and steps are not equally many"));
    }
    let named = match &axes {
        List::Entries(axes) => distinct_axes(axes, rank)?,
        List::Unknown => return Err(Undecided::Unknown),
        List::Omitted if count > rank => {
            return Err(Undecided::invalid(format!("{count} starts for a tensor of rank {rank}")));
        }
        List::Omitted => (0..count).collect(),
    };
    let mut cuts: Vec<Option<Cut>> = (0..rank).map(|_| None).collect();
    for (index, axis) in named.into_iter().enumerate() {
        let step = if matches!(steps, List::Omitted) { Some(1) } else { steps.entry(index).as_const() };
        if step == Some(0) {
            return Err(Undecided::invalid(format!("a step of 0 along axis {axis}")));
        }
        cuts[axis] = Some(Cut { start: starts.entry(index), end: ends.entry(index), step });
    }
    Ok(cuts)
}

impl Cut {
    /// What is taken of an axis of this extent; `None` where the direction, or from which end an index counts, is not known.
    fn of(&self, extent: &Dim) -> Option<Taken> {
        let step = self.step?;
        let stride = Dim::from(step.checked_abs().unwrap_or(i64::MAX));
        let zero = Dim::from(0);
        if step > 0 {
            let first = placed(&self.start, extent, &zero, extent)?;
            let end = placed(&self.end, extent, &zero, extent)?;
            // An extent is no less than 0, though its polynomial may be.
            let gap = &end - &first;
            let count = if first.as_const() == Some(0) { gap } else { gap.max(0) };
            Some(Taken { first, count: count.ceil_div(stride), step })
        } else {
            let last = extent - 1;
            let first = placed(&self.start, extent, &zero, &last)?;
            let end = placed(&self.end, extent, &Dim::from(-1), &last)?;
            let gap = &first - &end;
            let whole = gap.equals(extent) == Some(true);
            let count = if whole { gap } else { gap.max(0) };
            Some(Taken { first, count: count.ceil_div(stride), step })
        }
    }
}

/// The index that a start or an end means, clamped to `low..=high`.
fn placed(index: &Dim, extent: &Dim, low: &Dim, high: &Dim) -> Option<Dim> {
    if extent.as_const().is_none() {
        match index.as_const() {
            Some(index) if index >= BEYOND => return Some(high.clone()),
            Some(index) if index <= -BEYOND => return Some(low.clone()),
            // Clamping would say no more, since the extent is no less than 0, though its polynomial may be.
            Some(0) if high == extent => return Some(low.clone()),
            Some(-1) if high != extent => return Some(high.clone()),
            _ => {}
        }
    }
    if index == extent && high == extent {
        return Some(extent.clone());
    }
    let from_front = match index.is_non_negative()? {
        true => index.clone(),
        false => index + extent,
    };
    Some(from_front.max(low.clone()).min(high.clone()))
}

fn shape(p: &dyn Parameters) -> Result<Shape, Undecided> {
    let data = p.extents(0)?;
    let cuts = match cuts(p, data.rank()) {
        Err(Undecided::Unknown) => return Ok(Shape::of_unknown_extents(data.rank())),
        cuts => cuts?,
    };
    let extent = |(extent, cut): (&Dim, Option<Cut>)| match cut {
        None => extent.clone(),
        Some(cut) => cut.of(extent).map_or_else(Dim::unknown, |taken| taken.count),
    };
    Ok(data.iter().zip(cuts).map(extent).collect())
}

fn walk(p: &dyn Parameters, from: &[usize], to: &[usize]) -> Result<Walk, Undecided> {
    let strides = strides(from);
    let mut ways = Vec::with_capacity(from.len());
    for (&extent, cut) in from.iter().zip(cuts(p, from.len())?) {
        ways.push(match cut {
            None => (0, 1),
            Some(cut) => {
                let taken = cut.of(&Dim::from_extent(extent)).ok_or(Undecided::Unknown)?;
                (taken.first.as_const().ok_or(Undecided::Unknown)?, taken.step)
            }
        });
    }
    Ok(Walk::new(to, |axis, index| {
        let (first, step) = ways[axis];
        let place = i64::try_from(index).ok()?.checked_mul(step)?.checked_add(first)?;
        usize::try_from(place).ok()?.checked_mul(strides[axis])
    }))
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let data = cx.shape(0).ok_or("the rank is not known")?;
    let cuts = cuts(cx, data.rank()).map_err(|_| "what is cut is not known")?;
    let mut letters = Letters::default();
    let (mut from, mut to, mut fixed) = (Vec::new(), Vec::new(), Vec::new());
    for (extent, cut) in data.iter().zip(cuts) {
        let (whole, kept) = match cut.map(|cut| cut.of(extent)) {
            None => {
                let letter = letters.fresh();
                (letter.clone(), letter)
            }
            Some(Some(taken)) if taken.step == 1 => segments(extent, &taken, &mut letters),
            Some(Some(taken)) if is_phase(extent, &taken) => {
                // Of every so many indices one is taken: those that lie together can only go together.
                let (kept, phases) = (letters.fresh(), letters.fresh());
                let phases = sized(&phases, &Dim::from(taken.step));
                fixed.push(phases.split(':').next().unwrap_or_default().to_owned());
                (format!("({} {phases})", sized(&kept, &taken.count)), kept)
            }
            Some(_) => ("_".to_owned(), "_".to_owned()),
        };
        from.push(whole);
        to.push(kept);
    }
    let marks = if fixed.is_empty() { "bounds".to_owned() } else { format!("fixed {}, bounds", fixed.join(" ")) };
    Ok(relation(&and_parameters(from, cx.operand_count()), &[Some(to)], &marks))
}

/// Whether one index of each run of as many as the step is taken, from the first run to the last.
fn is_phase(extent: &Dim, taken: &Taken) -> bool {
    let (Some(extent), Some(first), Some(count)) = (extent.as_const(), taken.first.as_const(), taken.count.as_const())
    else {
        return false;
    };
    taken.step > 1 && (0..taken.step).contains(&first) && taken.step.checked_mul(count) == Some(extent)
}

/// An axis in segments, of which one is kept: before, kept, behind. Without letters where two ends are not constant, for then
/// nobody could tell where the segments meet.
fn segments(extent: &Dim, taken: &Taken, letters: &mut Letters) -> (String, String) {
    let zero = Dim::from(0);
    let before = taken.first.clone();
    let behind = extent - &before - &taken.count;
    let empty = taken.count.equals(&zero) == Some(true) || taken.count.compare(&zero) == Some(Ordering::Less);
    if empty || (before.as_const().is_none() && behind.as_const().is_none()) {
        return ("_".to_owned(), "_".to_owned());
    }
    let mut axis = Vec::new();
    if before.as_const() != Some(0) {
        axis.push(sized(&letters.fresh(), &before));
    }
    let kept = letters.fresh();
    axis.push(sized(&kept, &taken.count));
    if behind.as_const() != Some(0) {
        axis.push(sized(&letters.fresh(), &behind));
    }
    if let [whole] = axis.as_mut_slice() {
        whole.clone_from(&kept);
    }
    (axis.join("+"), kept)
}

#[cfg(test)]
mod tests {
    use crate::testing::{OneNode, op};

    /// `data[start:end:step]` along axis 0.
    fn cut(data: &str, start: i64, end: i64, step: i64) -> OneNode {
        let node = op("Slice").input(data).int64s(&[1], &[start]).int64s(&[1], &[end]);
        node.int64s(&[1], &[0]).int64s(&[1], &[step])
    }

    #[test]
    fn ends_are_clamped_and_count_from_the_back() {
        assert_eq!(cut("float[10,2]", 2, i64::MAX, 3).infer(), "float[3,2]");
        assert_eq!(cut("float[10]", -3, -1, 1).infer(), "float[2]");
        assert_eq!(cut("float[10]", 5, 2, 1).infer(), "float[0]");
        assert_eq!(cut("float[10]", i64::MAX, i64::MIN, -1).infer(), "float[10]");
        assert_eq!(cut("float[10]", 7, 0, -2).infer(), "float[4]");
        assert_eq!(cut("float[0]", -1, i64::MIN, -1).infer(), "float[0]");
        assert_eq!(cut("float[10]", 0, 1, i64::MIN).infer(), "float[0]");
    }

    #[test]
    fn symbolic_extents_are_cut_exactly() {
        assert_eq!(cut("float[N]", 0, 512, 1).infer(), "float[min(N, 512)]");
        assert_eq!(cut("float[N]", 0, 2147483647, 1).infer(), "float[N]");
        assert_eq!(cut("float[h-2]", 0, i64::MAX, 1).infer(), "float[h - 2]");
        assert_eq!(cut("float[N]", 0, i64::MAX, 2).infer(), "float[floor((N + 1)/2)]");
        assert_eq!(cut("float[N]", -1, i64::MIN, -1).infer(), "float[N]");
        assert_eq!(cut("float[N]", 0, -1, 1).infer(), "float[max(N, 1) - 1]");
        assert_eq!(cut("float[N+3]", 1, -1, 1).infer(), "float[N + 1]");
    }

    #[test]
    fn symbolic_ends_cut_too() {
        let to =
            |end: &str| op("Slice").input("float[N,s]").int64s(&[1], &[0]).elements("int64[1]", end).int64s(&[1], &[1]);
        assert_eq!(to("s").infer(), "float[N,s]");
        assert_eq!(to("h").infer(), "float[N,min(h, s)]");
        assert_eq!(to("s-h").infer(), "float[N,?]", "from which end it counts is not known");
        assert_eq!(to("?").infer(), "float[N,?]");
    }

    #[test]
    fn what_is_not_named_is_not_cut() {
        let ends = op("Slice").input("float[N,3]").input("int64[1]").input("int64[1]").int64s(&[1], &[1]);
        assert_eq!(ends.infer(), "float[N,?]");
        assert_eq!(op("Slice").input("float[N,3]").input("int64[1]").input("int64[1]").infer(), "float[?,3]");
        assert_eq!(op("Slice").input("float[N,3]").input("int64").input("int64").infer(), "float[?,?]");
        let old = op("Slice").version(9).input("float[N,3]").ints("axes", &[1]).ints("starts", &[1]).ints("ends", &[9]);
        assert_eq!(old.infer(), "float[N,2]");
    }

    #[test]
    fn what_makes_no_cut_is_refused() {
        assert_eq!(cut("float[3]", 0, 1, 0).infer(), "invalid: a step of 0 along axis 0");
        let uneven = op("Slice").input("float[3]").int64s(&[1], &[0]).int64s(&[2], &[1, 1]).int64s(&[1], &[0]);
        assert_eq!(uneven.infer(), "invalid: starts, ends, axes and steps are not equally many");
        assert_eq!(cut("float", 0, 1, 1).infer(), "float");
    }

    #[test]
    fn elements_are_cut_too() {
        let shape = op("Slice").elements("int64[3]", "N 3 h").int64s(&[1], &[-2]).int64s(&[1], &[i64::MAX]);
        assert_eq!(shape.infer(), "int64[2] = {3, h}");
        let back = op("Slice").int64s(&[3], &[1, 2, 3]).int64s(&[1], &[-1]).int64s(&[1], &[i64::MIN]);
        assert_eq!(back.int64s(&[1], &[0]).int64s(&[1], &[-1]).i64s(), [3, 2, 1]);
    }

    #[test]
    fn an_axis_is_cut_into_segments() {
        assert_eq!(cut("float[8,c]", 2, 5, 1).axes(), "a:2+b:3+c:3 d, *, *, *, * -> b d; bounds");
        assert_eq!(cut("float[N,c]", 1, i64::MAX, 1).axes(), "_ a, *, *, *, * -> _ a; bounds");
        assert_eq!(cut("float[N+1,c]", 1, i64::MAX, 1).axes(), "a:1+b c, *, *, *, * -> b c; bounds");
        assert_eq!(cut("float[8]", 0, i64::MAX, 1).axes(), "a, *, *, *, * -> a; bounds");
        assert_eq!(cut("float[8]", 1, 8, 2).axes(), "(a:4 b:2), *, *, *, * -> a; fixed b, bounds");
        assert_eq!(cut("float[8]", 0, 7, 3).axes(), "_, *, *, *, * -> _; bounds");
    }
}
