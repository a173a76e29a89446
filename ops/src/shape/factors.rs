//! Which axes before a regrouping are which afterwards.
//!
//! Both lists of extents describe the same elements in the same order. Read from either end they are cut where both have a
//! boundary; between two cuts an axis of one side is peeled off an axis of the other as long as it divides it, which gives
//! the letters that the axes are products of. `[n, s, 768]` and `[n, s, 12, 64]` are `n s (h d)` and `n s h d`; of `[4, 6]`
//! and `[6, 4]` nothing can be said.

use std::collections::BTreeMap;

use onnxpress_ir::Dim;

use crate::letters::{Letters, product};

/// What an axis runs over.
#[derive(Clone)]
enum Axis {
    /// Factors by number, with their extents, the slowest first; none: a single index.
    Factors(Vec<(usize, Dim)>),
    /// Nothing is known of it.
    Opaque,
}

/// The axes of both sides in letters: equal letters are the same indices.
pub(super) fn regrouped(from: &[Dim], to: &[Dim]) -> (Vec<String>, Vec<String>) {
    let (from, to) = matched(from, to);
    let mut letters = Letters::default();
    let mut names: BTreeMap<usize, String> = BTreeMap::new();
    let mut text = |axes: Vec<Axis>| -> Vec<String> {
        let mut name =
            |(number, extent): (usize, Dim)| (names.entry(number).or_insert_with(|| letters.fresh()).clone(), extent);
        axes.into_iter()
            .map(|axis| match axis {
                Axis::Factors(factors) => product(&factors.into_iter().map(&mut name).collect::<Vec<_>>()),
                Axis::Opaque => "_".to_owned(),
            })
            .collect()
    };
    (text(from), text(to))
}

fn matched(from: &[Dim], to: &[Dim]) -> (Vec<Axis>, Vec<Axis>) {
    let opaque = |dims: &[Dim]| dims.iter().map(|_| Axis::Opaque).collect();
    if from.iter().chain(to).any(|dim| dim.as_const() == Some(0)) {
        // Without elements, extents need not fit each other.
        return (opaque(from), opaque(to));
    }
    let mut next = 0;
    let (mut head, mut tail) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    let (mut a, mut b) = (from, to);
    while let Some((one, other)) = group(a, b, &mut next) {
        (a, b) = (&a[one.len()..], &b[other.len()..]);
        head.0.extend(one);
        head.1.extend(other);
    }
    let reversed = |dims: &[Dim]| dims.iter().rev().cloned().collect::<Vec<_>>();
    while let Some((one, other)) = group(&reversed(a), &reversed(b), &mut next) {
        (a, b) = (&a[..a.len() - one.len()], &b[..b.len() - other.len()]);
        tail.0.extend(one);
        tail.1.extend(other);
    }
    let (one, other) = between(a, b, &mut next);
    let join = |head: Vec<Axis>, middle: Vec<Axis>, tail: Vec<Axis>| {
        // The tail was read backwards, axis by axis and factor by factor.
        let tail = tail.into_iter().rev().map(|axis| match axis {
            Axis::Factors(factors) => Axis::Factors(factors.into_iter().rev().collect()),
            Axis::Opaque => Axis::Opaque,
        });
        head.into_iter().chain(middle).chain(tail).collect()
    };
    (join(head.0, one, tail.0), join(head.1, other, tail.1))
}

fn is_one(dim: &Dim) -> bool {
    dim.equals(&Dim::from(1)) == Some(true)
}

/// One side of a group while it is taken apart.
struct Side<'a> {
    dims: &'a [Dim],
    /// Axes that are part of the group so far.
    axes: Vec<Vec<(usize, Dim)>>,
    /// What of the last one is not accounted for.
    rest: Dim,
}

impl<'a> Side<'a> {
    /// The side at its first axis that has more than one index. `None` where there is none.
    fn new(dims: &'a [Dim]) -> Option<Self> {
        let mut side = Self { dims, axes: Vec::new(), rest: Dim::from(1) };
        side.advance()?;
        Some(side)
    }

    fn advance(&mut self) -> Option<()> {
        loop {
            let dim = self.dims.get(self.axes.len())?;
            self.axes.push(Vec::new());
            if !is_one(dim) {
                self.rest = dim.clone();
                return Some(());
            }
        }
    }

    fn push(&mut self, letter: usize, extent: &Dim) {
        if let Some(axis) = self.axes.last_mut() {
            axis.push((letter, extent.clone()));
        }
    }

    /// Accounts for as much of this side's axis as the other's has left; the other goes on to its next axis.
    fn peel(&mut self, other: &mut Self, letter: usize, rest: Dim) -> Option<()> {
        let extent = other.rest.clone();
        self.push(letter, &extent);
        other.push(letter, &extent);
        self.rest = rest;
        other.advance()
    }

    fn into_axes(self) -> Vec<Axis> {
        self.axes.into_iter().map(Axis::Factors).collect()
    }
}

/// `whole / part`, where it is certain that `part` divides it.
fn quotient(whole: &Dim, part: &Dim) -> Option<Dim> {
    let quotient = whole.floor_div(part);
    ((&quotient * part).equals(whole) == Some(true)).then_some(quotient)
}

/// Takes one group off the front of both lists: the shortest runs of axes that hold the same indices. `None` where that
/// cannot be found out.
fn group(from: &[Dim], to: &[Dim], next: &mut usize) -> Option<(Vec<Axis>, Vec<Axis>)> {
    let (mut a, mut b) = (Side::new(from)?, Side::new(to)?);
    loop {
        let letter = *next;
        *next += 1;
        if a.rest.equals(&b.rest) == Some(true) {
            let extent = a.rest.clone();
            a.push(letter, &extent);
            b.push(letter, &extent);
            return Some((a.into_axes(), b.into_axes()));
        }
        if let Some(rest) = quotient(&a.rest, &b.rest) {
            a.peel(&mut b, letter, rest)?;
        } else {
            let rest = quotient(&b.rest, &a.rest)?;
            b.peel(&mut a, letter, rest)?;
        }
    }
}

/// What is left between the groups of either end: a single axis holds all that the other side's axes hold.
fn between(from: &[Dim], to: &[Dim], next: &mut usize) -> (Vec<Axis>, Vec<Axis>) {
    let real = |dims: &[Dim]| dims.iter().filter(|dim| !is_one(dim)).count();
    let each = |dims: &[Dim], mut axis: Box<dyn FnMut(&Dim) -> Axis + '_>| -> Vec<Axis> {
        dims.iter().map(|dim| if is_one(dim) { Axis::Factors(Vec::new()) } else { axis(dim) }).collect()
    };
    let mut apart = |one: &[Dim], many: &[Dim]| {
        let mut all = Vec::new();
        let parts = each(
            many,
            Box::new(|dim| {
                *next += 1;
                all.push((*next, dim.clone()));
                Axis::Factors(vec![(*next, dim.clone())])
            }),
        );
        (each(one, Box::new(|_| Axis::Factors(all.clone()))), parts)
    };
    match (real(from), real(to)) {
        (1, many) if many > 0 => apart(from, to),
        (many, 1) if many > 0 => {
            let (to, from) = apart(to, from);
            (from, to)
        }
        _ => (each(from, Box::new(|_| Axis::Opaque)), each(to, Box::new(|_| Axis::Opaque))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn letters(from: &str, to: &str) -> String {
        let dims = |text: &str| text.split_whitespace().map(|dim| dim.parse().unwrap()).collect::<Vec<Dim>>();
        let (from, to) = regrouped(&dims(from), &dims(to));
        format!("{} -> {}", from.join(" "), to.join(" "))
    }

    #[test]
    fn axes_are_split_and_joined() {
        assert_eq!(letters("N s 768", "N s 12 64"), "a b (c:12 d:64) -> a b c d");
        assert_eq!(letters("N s 12 64", "N s 768"), "a b c d -> a b (c:12 d:64)");
        assert_eq!(letters("N 3 h w", "N 3*h*w"), "a b c d -> a (b:3 c d)");
        assert_eq!(letters("N 64 h w", "N 2 32 h*w"), "a (b:2 c:32) d e -> a b c (d e)");
    }

    #[test]
    fn boundaries_inside_axes_are_found() {
        assert_eq!(letters("6 4", "3 8"), "(a:3 b:2) c -> a (b:2 c:4)");
        assert_eq!(letters("2 6 5", "4 3 5"), "a (b:2 c:3) d -> (a:2 b:2) c d");
        assert_eq!(letters("4 6", "6 4"), "_ _ -> _ _");
        assert_eq!(letters("N 4 6 w", "N 6 4 w"), "a _ _ b -> a _ _ b", "the ends are clear");
    }

    #[test]
    fn axes_of_one_index_may_stand_anywhere() {
        assert_eq!(letters("1 N 1 4", "N 2 1 2 1"), "1 a 1 (b:2 c:2) -> a b 1 c 1");
        assert_eq!(letters("1", ""), "1 -> ");
        assert_eq!(letters("1 1", "1"), "1 1 -> 1");
    }

    #[test]
    fn a_single_axis_in_the_middle_holds_what_the_others_hold() {
        assert_eq!(letters("N 8", "floor(N/4) 4 8"), "(a b:4) c -> a b c");
        assert_eq!(letters("a b c", "a q c"), "a b c -> a b c", "equal because all else is");
        assert_eq!(letters("N s", "M r"), "_ _ -> _ _");
    }

    #[test]
    fn nothing_is_said_of_empty_tensors() {
        assert_eq!(letters("0 3", "3 0"), "_ _ -> _ _");
    }
}
