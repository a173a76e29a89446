//! What all `Reduce` operators share: which axes go, what becomes of shape, letters and tracked elements, and how the elements
//! that become one are brought together.
//!
//! The axes are an attribute before version 18 (of `ReduceSum`: 13), then an operand. Without them all axes are reduced, unless
//! `noop_with_empty_axes` says none; the operator then still does to each element what it does to the sum of one.

use std::cmp::Ordering;

use onnxpress_ir::{DType, Dim, Shape, Tensor};

use crate::evaluate::lanes::volume;
use crate::evaluate::order::Ordered;
use crate::evaluate::pick::pick;
use crate::evaluate::walk::Walk;
use crate::evaluate::whole::{from_wholes, to_wholes};
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::infer::{InferCx, MAX_ELEMENTS, Undecided, keep_elements, tracked};
use crate::letters::{Letters, and_parameters, relation};
use crate::movement::{extents_of_result, tracked_extents};
use crate::node::NodeCx;
use crate::parameters::{Parameters, axis_set};

/// How the elements along the reduced axes become one.
pub(super) enum Kernel {
    /// By arithmetic. On whole numbers `None` where no result is defined.
    Numbers { whole: fn(&[i128]) -> Option<i128>, float: fn(&[f64]) -> f64 },
    /// One of them is chosen: `Greater` the largest, `Less` the smallest.
    Extremum(Ordering),
}

/// What an index along a reduced axis is used for.
pub(super) enum Role {
    /// It is added, so without it nothing changes where its elements are 0.
    Summed,
    /// An average is taken.
    Normalized,
    /// An extreme is found.
    Chosen,
    /// None of these: a 0 changes the result, too.
    Opaque,
}

/// One reduction.
pub(super) struct Reduction {
    /// The version from which on the axes are an operand.
    pub operand_since: i64,
    pub kernel: Kernel,
    pub role: Role,
    /// The same on tracked elements, where that can be said of sizes.
    pub symbolic: Option<fn(&[Dim]) -> Dim>,
}

/// What is known of the axes.
enum Reduced {
    /// Of each axis whether it goes.
    Axes(Vec<bool>),
    /// One goes, whichever it is.
    One,
    /// Nothing is known of them. Where several are named, they may be the same.
    Unknown,
}

impl Reduction {
    /// Whether all axes are reduced, whatever their number.
    fn all(&self, p: &dyn Parameters) -> Result<bool, Undecided> {
        let none_named = p.named_axes(self.operand_since)?.is_none_or(|axes| axes.is_empty());
        Ok(none_named && !p.attrs().flag("noop_with_empty_axes")?)
    }

    fn reduced(&self, p: &dyn Parameters, rank: usize) -> Result<Reduced, Undecided> {
        let named = match p.named_axes(self.operand_since) {
            Err(Undecided::Unknown) => return Ok(Reduced::Unknown),
            named => named?.filter(|axes| !axes.is_empty()),
        };
        let Some(named) = named else {
            let all = self.all(p)?;
            return Ok(Reduced::Axes(vec![all; rank]));
        };
        match axis_set(&named, rank) {
            Err(Undecided::Unknown) => Ok(if named.len() == 1 { Reduced::One } else { Reduced::Unknown }),
            known => Ok(Reduced::Axes(known?)),
        }
    }

    fn shape(&self, p: &dyn Parameters) -> Result<Shape, Undecided> {
        let keep = p.attrs().int_or("keepdims", 1)? != 0;
        let Ok(data) = p.extents(0) else {
            return if !keep && self.all(p)? { Ok(Shape::scalar()) } else { Err(Undecided::Unknown) };
        };
        match self.reduced(p, data.rank())? {
            Reduced::Axes(gone) => {
                let one = Dim::from(1);
                let kept = data.iter().zip(gone).filter_map(|(extent, gone)| match (gone, keep) {
                    (false, _) => Some(extent),
                    (true, true) => Some(&one),
                    (true, false) => None,
                });
                Ok(kept.collect())
            }
            _ if keep => Ok(Shape::of_unknown_extents(data.rank())),
            Reduced::One if data.rank() > 0 => Ok(Shape::of_unknown_extents(data.rank() - 1)),
            Reduced::One | Reduced::Unknown => Err(Undecided::Unknown),
        }
    }

    /// The facet `infer`.
    pub(super) fn infer(&self, cx: &mut InferCx<'_>) -> Result<(), Undecided> {
        let dtype = cx.dtype(0);
        cx.set_tensor(0, dtype, None);
        let shape = self.shape(&**cx)?;
        cx.set_tensor(0, dtype, shape);
        if let Some(elements) = self.elements(cx) {
            keep_elements(cx, dtype, elements);
        }
        Ok(())
    }

    fn elements(&self, cx: &InferCx<'_>) -> Option<Vec<Dim>> {
        let (symbolic, elements) = (self.symbolic?, tracked(cx, 0)?);
        let dims = tracked_extents(cx.shape(0)?)?;
        let lanes = self.lanes(&**cx, &dims).ok()?;
        // Lanes without elements can be any number.
        if lanes.size_hint().0 > MAX_ELEMENTS {
            return None;
        }
        lanes
            .map(|lane| {
                let lane = lane.into_iter().map(|place| elements.get(place).cloned()).collect::<Option<Vec<_>>>()?;
                Some(symbolic(&lane))
            })
            .collect()
    }

    /// The places of the elements that become one, for each element of the result in order.
    ///
    /// # Errors
    /// Where the axes are not known or there are none such.
    fn lanes(&self, p: &dyn Parameters, dims: &[usize]) -> Result<impl Iterator<Item = Vec<usize>> + use<>, Undecided> {
        let Reduced::Axes(gone) = self.reduced(p, dims.len())? else { return Err(Undecided::Unknown) };
        let (reduced, kept): (Vec<usize>, Vec<usize>) = (0..dims.len()).partition(|&axis| gone[axis]);
        let product = |axes: &[usize]| axes.iter().fold(1usize, |product, &axis| product.saturating_mul(dims[axis]));
        let kept_is_empty = kept.iter().any(|&axis| dims[axis] == 0);
        let lanes = if kept_is_empty { 0 } else { product(&kept) };
        let length = if dims.contains(&0) { 0 } else { product(&reduced) };
        let mut walk = Walk::transposed(dims, &[kept, reduced].concat());
        Ok((0..lanes).map(move |_| walk.by_ref().take(length).flatten().collect()))
    }

    /// The facet `evaluate`.
    pub(super) fn evaluate(&self, cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
        let data = cx.tensor(0)?;
        let dims = extents_of_result(cx, &self.shape(cx)?)?;
        cx.spend(data.len() as u64)?;
        let lanes = self.lanes(cx, data.dims())?;
        Ok(vec![match self.kernel {
            Kernel::Extremum(wanted) => extrema(data, &dims, lanes, wanted)?.into(),
            Kernel::Numbers { float, .. } if data.dtype().is_float() => {
                let values = data.to_f64s()?;
                let reduce = |lane: Vec<usize>| float(&lane.into_iter().map(|place| values[place]).collect::<Vec<_>>());
                Tensor::from_f64s(data.dtype(), &dims, &lanes.map(reduce).collect::<Vec<_>>())?.into()
            }
            Kernel::Numbers { whole, .. } => {
                let values = to_wholes(data)?;
                let reduce = |lane: Vec<usize>| whole(&lane.into_iter().map(|place| values[place]).collect::<Vec<_>>());
                let results = lanes.map(reduce).collect::<Option<Vec<_>>>();
                let results = results.ok_or_else(|| EvalError::invalid("a result that is no whole number"))?;
                from_wholes(data.dtype(), &dims, &results)?.into()
            }
        }])
    }

    /// The facet `axes`.
    pub(super) fn axes(&self, cx: &NodeCx<'_>) -> Result<String, String> {
        let rank = cx.rank(0).ok_or("the rank is not known")?;
        let keep = cx.attrs().int_or("keepdims", 1).map_err(|_| "`keepdims` is not known")? != 0;
        let Ok(Reduced::Axes(gone)) = self.reduced(cx, rank) else { return Err("the axes are not known".to_owned()) };
        let row = Letters::default().row(rank);
        let (mut from, mut to, mut without) = (Vec::new(), Vec::new(), Vec::new());
        for (letter, gone) in row.into_iter().zip(gone) {
            if !gone {
                from.push(letter.clone());
                to.push(letter);
                continue;
            }
            if matches!(self.role, Role::Opaque) {
                from.push("_".to_owned());
            } else {
                from.push(letter.clone());
                without.push(letter);
            }
            if keep {
                to.push("1".to_owned());
            }
        }
        let role = match self.role {
            Role::Normalized if !without.is_empty() => format!("normalized {}", without.join(" ")),
            Role::Chosen if !without.is_empty() => format!("chosen {}", without.join(" ")),
            _ => String::new(),
        };
        Ok(relation(&and_parameters(from, cx.operand_count()), &[Some(to)], &role))
    }
}

/// The extreme of each lane; of none the least number that the type has (or the largest, where the smallest is wanted).
fn extrema(
    data: &Tensor,
    dims: &[usize],
    lanes: impl Iterator<Item = Vec<usize>>,
    wanted: Ordering,
) -> Result<Tensor, EvalError> {
    let ordered = Ordered::of(data)?;
    let best = |lane: Vec<usize>| ordered.extremum(lane.into_iter(), wanted, false);
    match lanes.map(best).collect::<Option<Vec<_>>>() {
        Some(places) => pick(data, dims, places.into_iter()),
        // Lanes are equally long, so if one is empty all are.
        None => {
            let count = volume(dims);
            let largest = wanted == Ordering::Less;
            if data.dtype().is_float() {
                let limit = if largest { f64::INFINITY } else { f64::NEG_INFINITY };
                return Ok(Tensor::from_f64s(data.dtype(), dims, &vec![limit; count])?);
            }
            Ok(from_wholes(data.dtype(), dims, &vec![limit(data.dtype(), largest); count])?)
        }
    }
}

/// The largest or the smallest whole number (or truth value) of the type.
fn limit(dtype: DType, largest: bool) -> i128 {
    let (low, high) = match dtype {
        DType::Bool => (0, 1),
        DType::Uint64 => (0, i128::from(u64::MAX)),
        _ => {
            let (low, high) = onnxpress_ir::tensor::range(dtype);
            (i128::from(low), i128::from(high))
        }
    };
    if largest { high } else { low }
}
