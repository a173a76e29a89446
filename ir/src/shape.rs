//! Shapes: the extents of a tensor along its axes, as far as they are known.
//!
//! A [`Shape`] has a known rank; that even the rank may be unknown is the business of whoever holds an
//! `Option<Shape>`. Rules that combine shapes answer with the most that follows, and fail only where no sizes of the
//! symbols could make them work.

use std::fmt;
use std::ops::{Deref, DerefMut};

use smallvec::SmallVec;

use crate::dim::{Dim, Symbol};

/// The extents of a tensor, outermost axis first. A scalar has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shape(SmallVec<[Dim; 4]>);

impl Shape {
    /// The shape of a scalar.
    pub fn scalar() -> Self {
        Self::default()
    }

    /// The shape of a tensor that is there.
    pub fn from_extents(extents: &[usize]) -> Self {
        extents.iter().map(|extent| Dim::from_extent(*extent)).collect()
    }

    /// Axes about whose extents nothing is known.
    pub fn of_unknown_extents(rank: usize) -> Self {
        std::iter::repeat_n(Dim::unknown(), rank).collect()
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.len()
    }

    /// The extents, where all are constant and none is negative. Their product may exceed any integer; see
    /// [`Shape::size`].
    pub fn as_consts(&self) -> Option<Vec<usize>> {
        let extents = self.iter().map(|dim| usize::try_from(dim.as_const()?).ok());
        extents.collect()
    }

    /// The number of elements: the product of the extents, 1 for a scalar, 0 as soon as one extent is 0. Unknown where
    /// it does not fit in 64 bits with a sign.
    pub fn size(&self) -> Dim {
        let zero = Dim::from(0);
        if self.contains(&zero) { zero } else { Dim::product(self.iter()) }
    }

    /// The common shape of two operands of an elementwise operator.
    ///
    /// Shapes are aligned at the last axis. Extents along an axis must be equal or 1. Which of the two it is may be open
    /// for symbols: `N` and 3 give 3, since `N` is 1 or 3; `N` and `M` give an unknown extent, unless one of them cannot
    /// be 1. Source: ONNX, "Broadcasting in ONNX", multidirectional.
    ///
    /// # Errors
    /// Where two extents along an axis can be neither equal nor 1.
    pub fn broadcast(&self, other: &Self) -> Result<Self, BroadcastError> {
        Self::broadcast_all([self, other])
    }

    /// The common shape of any number of operands; a scalar for none. See [`Shape::broadcast`].
    ///
    /// It can say more than broadcasting one after the other, since it sees all extents along an axis at once.
    ///
    /// # Errors
    /// Where two extents along an axis can be neither equal nor 1.
    pub fn broadcast_all<'a>(shapes: impl IntoIterator<Item = &'a Self>) -> Result<Self, BroadcastError> {
        let shapes: Vec<&Self> = shapes.into_iter().collect();
        let rank = shapes.iter().map(|shape| shape.rank()).max().unwrap_or(0);
        let along = |axis: usize| {
            let of_shape = move |shape: &&'a Self| shape.get((axis + shape.rank()).checked_sub(rank)?);
            shapes.iter().filter_map(of_shape).collect::<Vec<&Dim>>()
        };
        (0..rank).map(|axis| broadcast_extents(axis, along(axis))).collect()
    }

    /// What two descriptions of one shape say together: along every axis the more precise extent.
    ///
    /// A constant is the most precise, then what has names only, then what has unnamed symbols, then a single unnamed
    /// symbol; of two as precise, that of `self` is kept.
    ///
    /// # Errors
    /// Where the ranks differ or two extents along an axis can never be equal.
    pub fn merge(&self, other: &Self) -> Result<Self, MergeError> {
        if self.rank() != other.rank() {
            return Err(MergeError::Rank { left: self.rank(), right: other.rank() });
        }
        let merged = self.iter().zip(other.iter()).enumerate().map(|(axis, (left, right))| {
            if left.equals(right) == Some(false) {
                return Err(MergeError::Extent { axis, left: left.clone(), right: right.clone() });
            }
            Ok(if precision(left) >= precision(right) { left.clone() } else { right.clone() })
        });
        merged.collect()
    }
}

/// The common extent along one axis of the result.
fn broadcast_extents(axis: usize, mut extents: Vec<&Dim>) -> Result<Dim, BroadcastError> {
    let one = Dim::from(1);
    let is_never_one = |dim: &Dim| dim.equals(&one) == Some(false);
    extents.retain(|dim| dim.equals(&one) != Some(true));
    // Constants sort first and the unknown last; the result does not depend on the order of operands.
    extents.sort_by(|left, right| left.structural_cmp(right));
    extents.dedup();
    let Some(first) = extents.first() else {
        return Ok(one);
    };
    let Some(decisive) = extents.iter().find(|dim| is_never_one(dim)) else {
        let all_equal = extents.iter().all(|dim| dim.equals(first) == Some(true));
        let outcome = if all_equal { Some(first) } else { extents.iter().find(|dim| outlasts(dim, &extents)) };
        return Ok(outcome.map_or_else(Dim::unknown, |dim| (*dim).clone()));
    };
    let differs = |dim: &&&Dim| is_never_one(dim) && dim.equals(decisive) == Some(false);
    match extents.iter().find(differs) {
        Some(other) => Err(BroadcastError { axis, left: (*decisive).clone(), right: (*other).clone() }),
        None => Ok((*decisive).clone()),
    }
}

/// Whether the extent is no less than any of the others, and none of them is 0 unless it is too: whichever are 1 then, it is
/// the result. So `min(N, 8)` and `N` give `N`.
fn outlasts(largest: &Dim, extents: &[&Dim]) -> bool {
    let at_least = |left: &Dim, right: &Dim| (left - right).is_non_negative() == Some(true);
    extents.iter().all(|other| at_least(largest, other) && at_least(other, &largest.min(1)))
}

/// How much an extent tells, as a rank: see [`Shape::merge`].
fn precision(dim: &Dim) -> u8 {
    let has_unnamed = || dim.symbols().iter().any(|symbol| matches!(symbol, Symbol::Anonymous(_)));
    match dim.as_symbol() {
        _ if dim.is_unknown() => 0,
        _ if dim.as_const().is_some() => 4,
        Some(Symbol::Anonymous(_)) => 1,
        _ if has_unnamed() => 2,
        _ => 3,
    }
}

/// The axis that a possibly negative axis attribute means, counted from the first; `None` outside of `-rank..rank`.
pub fn normalize_axis(axis: i64, rank: usize) -> Option<usize> {
    let rank_as_offset = i64::try_from(rank).ok()?;
    let from_first = if axis < 0 { axis.checked_add(rank_as_offset)? } else { axis };
    usize::try_from(from_first).ok().filter(|axis| *axis < rank)
}

/// Extents that no elementwise operator can bring together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("axis {axis} of the result: found extents {left} and {right}, expected equal ones or 1")]
pub struct BroadcastError {
    /// The axis of the result.
    pub axis: usize,
    /// An extent along it.
    pub left: Dim,
    /// Another, which is neither equal nor 1.
    pub right: Dim,
}

/// Two descriptions that cannot be of one shape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// They have different ranks.
    #[error("found rank {right}, expected {left}")]
    Rank {
        /// The rank of the one description.
        left: usize,
        /// The rank of the other.
        right: usize,
    },
    /// They differ along an axis.
    #[error("axis {axis}: found extent {right}, expected {left}")]
    Extent {
        /// Where.
        axis: usize,
        /// The extent that the one description gives.
        left: Dim,
        /// The extent that the other gives.
        right: Dim,
    },
}

/// `[N,3,224,224]`
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (axis, dim) in self.iter().enumerate() {
            let separator = if axis == 0 { "" } else { "," };
            write!(f, "{separator}{dim}")?;
        }
        f.write_str("]")
    }
}

impl Deref for Shape {
    type Target = [Dim];
    fn deref(&self) -> &[Dim] {
        &self.0
    }
}

impl DerefMut for Shape {
    fn deref_mut(&mut self) -> &mut [Dim] {
        &mut self.0
    }
}

impl From<Vec<Dim>> for Shape {
    fn from(dims: Vec<Dim>) -> Self {
        Self(dims.into())
    }
}

impl From<&[Dim]> for Shape {
    fn from(dims: &[Dim]) -> Self {
        Self(dims.into())
    }
}

impl<D: Into<Dim>> FromIterator<D> for Shape {
    fn from_iter<I: IntoIterator<Item = D>>(dims: I) -> Self {
        Self(dims.into_iter().map(Into::into).collect())
    }
}

impl<D: Into<Dim>> Extend<D> for Shape {
    fn extend<I: IntoIterator<Item = D>>(&mut self, dims: I) {
        self.0.extend(dims.into_iter().map(Into::into));
    }
}

impl IntoIterator for Shape {
    type Item = Dim;
    type IntoIter = smallvec::IntoIter<[Dim; 4]>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Shape {
    type Item = &'a Dim;
    type IntoIter = std::slice::Iter<'a, Dim>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    /// A shape from words: `N 3 2*h`.
    fn shape(text: &str) -> Shape {
        text.split_whitespace().map(|dim| dim.parse::<Dim>().unwrap()).collect()
    }

    fn broadcast(left: &str, right: &str) -> String {
        let (left, right) = (shape(left), shape(right));
        let result = left.broadcast(&right);
        assert_eq!(result.is_ok(), right.broadcast(&left).is_ok());
        if let Ok(result) = &result {
            assert_eq!(right.broadcast(&left).as_ref(), Ok(result), "broadcasting commutes");
        }
        result.map_or_else(|error| error.to_string(), |shape| shape.to_string())
    }

    fn merge(left: &str, right: &str) -> String {
        shape(left).merge(&shape(right)).map_or_else(|error| error.to_string(), |shape| shape.to_string())
    }

    #[test]
    fn broadcasting_aligns_the_last_axes() {
        assert_eq!(broadcast("2 3 4 5", ""), "[2,3,4,5]");
        assert_eq!(broadcast("2 3 4 5", "5"), "[2,3,4,5]");
        assert_eq!(broadcast("4 5", "2 3 1 1"), "[2,3,4,5]");
        assert_eq!(broadcast("3 4", "0 1 1"), "[0,3,4]");
        insta::assert_snapshot!(broadcast("2 3", "7 2 4"), @"axis 2 of the result: found extents 3 and 4, expected equal ones or 1");
        insta::assert_snapshot!(broadcast("0", "2"), @"axis 0 of the result: found extents 0 and 2, expected equal ones or 1");
    }

    #[test]
    fn broadcasting_symbols_says_what_follows_and_no_more() {
        assert_eq!(broadcast("N", "1"), "[N]");
        assert_eq!(broadcast("N", "3"), "[3]", "N is 1 or 3");
        assert_eq!(broadcast("N", "0"), "[0]", "N is 1 or 0");
        assert_eq!(broadcast("N", "N"), "[N]");
        assert_eq!(broadcast("N", "M"), "[?]");
        assert_eq!(broadcast("N", "M+2"), "[M + 2]", "which is not 1");
        assert_eq!(broadcast("N", "?"), "[?]");
        assert_eq!(broadcast("3", "?"), "[3]");
        assert_eq!(broadcast("?", "1"), "[?]");
        assert_eq!(broadcast("2*N", "N+N"), "[2*N]");
        assert_eq!(broadcast("min(N,8)", "N"), "[N]", "the larger, as neither is 0 alone");
        assert_eq!(broadcast("max(N,M)", "N"), "[?]", "N is 0 and M is 1: the result is 0");
        insta::assert_snapshot!(broadcast("2", "N+3"), @"axis 0 of the result: found extents 2 and N + 3, expected equal ones or 1");
        insta::assert_snapshot!(broadcast("3", "2*N"), @"axis 0 of the result: found extents 3 and 2*N, expected equal ones or 1");
    }

    #[test]
    fn broadcasting_many_sees_them_all() {
        let all = |shapes: &[&str]| {
            let shapes: Vec<Shape> = shapes.iter().map(|text| shape(text)).collect();
            Shape::broadcast_all(&shapes).map(|shape| shape.to_string())
        };
        assert_eq!(all(&[]), Ok("[]".into()));
        assert_eq!(all(&["N", "M", "5"]), Ok("[5]".into()));
        assert_eq!(all(&["N", "M", "N"]), Ok("[?]".into()));
        assert_eq!(all(&["N 1", "1 h", "N h"]), Ok("[N,h]".into()));
        assert!(all(&["2", "N", "3"]).is_err());
    }

    #[test]
    fn merging_keeps_the_more_precise_extent() {
        assert_eq!(merge("? N ?1 2*?1", "3 4 N h"), "[3,4,N,h]");
        assert_eq!(merge("3 4 N h", "? N ?1 2*?1"), "[3,4,N,h]");
        assert_eq!(merge("N ?1 ?", "M 2*?2 ?"), "[N,2*?2,?]");
        insta::assert_snapshot!(merge("N 3", "N 4"), @"axis 1: found extent 4, expected 3");
        insta::assert_snapshot!(merge("N", "N+1"), @"axis 0: found extent N + 1, expected N");
        insta::assert_snapshot!(merge("N 3", "N"), @"found rank 1, expected 2");
    }

    #[test]
    fn sizes_are_products() {
        assert_eq!(shape("N 3 h").size(), "3*N*h".parse().unwrap());
        assert_eq!(Shape::scalar().size(), Dim::from(1));
        assert_eq!(shape("? 0").size(), Dim::from(0), "empty whatever the other extent is");
        assert!(shape("9223372036854775807 2").size().is_unknown());
        assert_eq!(shape("2 3").as_consts(), Some(vec![2, 3]));
        assert_eq!(shape("2 N").as_consts(), None);
        assert_eq!(shape("2 -3").as_consts(), None);
        assert_eq!(Shape::from_extents(&[2, 3]), shape("2 3"));
    }

    #[test]
    fn axes_count_from_either_end() {
        assert_eq!(normalize_axis(1, 3), Some(1));
        assert_eq!(normalize_axis(-1, 3), Some(2));
        assert_eq!(normalize_axis(-3, 3), Some(0));
        assert_eq!(normalize_axis(3, 3), None);
        assert_eq!(normalize_axis(-4, 3), None);
        assert_eq!(normalize_axis(0, 0), None);
        assert_eq!(normalize_axis(i64::MIN, 3), None);
    }

    fn any_shape() -> impl Strategy<Value = Shape> {
        let dims = ["1", "1", "2", "3", "0", "N", "M", "N+2", "2*M", "?"];
        let dim = prop::sample::select(dims.to_vec()).prop_map(|text| text.parse::<Dim>().unwrap());
        prop::collection::vec(dim, 0..4).prop_map(Shape::from)
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 500,
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// Sizes chosen first or symbols broadcast first: no contradiction.
        #[test]
        fn broadcasting_agrees_with_sizes(shapes in prop::collection::vec(any_shape(), 0..4), n in 0..4i64, m in 0..4i64) {
            let choose = |dim: &Dim| {
                let size = |symbol: &Symbol| if *symbol == Symbol::named("N") { n } else { m };
                dim.substitute(|symbol| Some(Dim::from(size(symbol))))
            };
            let chosen: Vec<Shape> = shapes.iter().map(|shape| shape.iter().map(choose).collect()).collect();
            let (Ok(expected), result) = (Shape::broadcast_all(&chosen), Shape::broadcast_all(&shapes)) else {
                return Ok(());
            };
            let result: Shape = result.unwrap().iter().map(choose).collect();
            prop_assert_eq!(result.rank(), expected.rank());
            for (dim, expected) in result.iter().zip(&expected) {
                prop_assert_ne!(dim.equals(expected), Some(false), "{} {}", result, dim);
            }
        }
    }
}
