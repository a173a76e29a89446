//! Axes as letters: which indices of operands and outputs are the same.
//!
//! `"n (g i) s.., (g o) i k.., (g o) -> n (g o) t.."` says all that pruning, per-channel scales and cost need of a grouped
//! convolution. Equal letters are one set of indices; to remove one of them is to remove it wherever the letter stands.
//! The notation, a small extension of Einstein's:
//!
//! | written | means |
//! |---|---|
//! | `n` | an axis; a letter may be a word, as in `head` |
//! | `s..` | any number of axes, aligned from the right as broadcasting does |
//! | `(g i)` | one axis that runs over several letters, the first slowest; `(g:4 i)` where an extent is known |
//! | `a+b` | one axis made of segments, one after the other (Concat, Split, Pad) |
//! | `1` | an axis of extent one, or one that broadcasts |
//! | `_` | an axis, or after `->` any number of them, about which nothing is said: nothing may be removed along it |
//! | `*` | an operand whose every axis is like that |
//!
//! A letter that only operands have is summed over, so an index whose elements are all zero can be removed; one under `..` that
//! only one side has is a window's, where places matter. After `;` stands what holds otherwise: `normalized c` (statistics are
//! taken along it), `chosen s` (a maximum or an order is), `carried t` (a state goes from step to step along it), `fixed g`
//! (the operator itself says how many there are), `asked r` (no element is read, at most how many there are).
//!
//! Behind these stands where else the node says how many indices there are, since who removes one has to say so there too:
//! `group=g` (an attribute holds the extent of a letter, or of a product, `g*r`), `extents 1` (operand 1 holds the extents of the
//! output), `parts`, `pads`, `bounds`, `indices`, `repeats` (operands or attributes hold those of segments, as the operator's
//! versions have it), and `follows` where extents are written above but follow from those of operands.

use std::fmt;

use crate::node::NodeCx;

/// The facet that relates axes.
#[derive(Debug, Clone, Copy)]
pub enum Axes {
    /// The same for every node.
    Spec(&'static str),
    /// Depends on attributes, ranks or constant operands; the text is in the same notation, or says why there is none.
    With(fn(&NodeCx<'_>) -> Result<String, String>),
    /// Nothing can be said, because.
    Opaque(&'static str),
}

impl Axes {
    /// The relation for a node.
    ///
    /// # Errors
    /// Why there is none.
    pub fn relation(&self, cx: &NodeCx<'_>) -> Result<Relation, String> {
        match self {
            Self::Spec(text) => text.parse().map_err(|error: SyntaxError| error.to_string()),
            Self::With(spec) => spec(cx)?.parse().map_err(|error: SyntaxError| error.to_string()),
            Self::Opaque(reason) => Err((*reason).to_owned()),
        }
    }
}

/// A letter inside an axis, with its extent where the text gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Factor {
    /// The letter.
    pub letter: String,
    /// The extent.
    pub extent: Option<u64>,
}

/// A stretch of an axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Runs over these letters, the first slowest.
    Product(Vec<Factor>),
    /// Extent one.
    One,
    /// Nothing is said.
    Opaque,
}

/// One axis, or any number of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Axis {
    /// Segments one after the other; usually a single one.
    Segments(Vec<Segment>),
    /// Any number of axes under one letter.
    Many(String),
}

/// The axes of one operand or output; `None` where nothing is said of any.
pub type Axed = Option<Vec<Axis>>;

/// What an index that only operands have is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Statistics are taken along it, so a missing index changes the others.
    Normalized,
    /// A maximum, an order or a position is found along it.
    Chosen,
    /// A state goes from step to step along it.
    Carried,
    /// The operator itself says how many there are.
    Fixed,
    /// No element is read along it; if anything is asked, how many indices there are.
    Asked,
}

impl Role {
    /// Every role with its word.
    const ALL: [(Self, &'static str); 5] = [
        (Self::Normalized, "normalized"),
        (Self::Chosen, "chosen"),
        (Self::Carried, "carried"),
        (Self::Fixed, "fixed"),
        (Self::Asked, "asked"),
    ];
}

/// Where a node says how many indices there are, beside its operands' shapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stated {
    /// An attribute holds the product of the extents of these letters.
    Attribute(String, Vec<String>),
    /// The operand of this number holds the extents of the output.
    Extents(usize),
    /// The extents of segments along one axis (Split).
    Parts,
    /// How much is put before and behind each axis (Pad).
    Pads,
    /// Where segments begin and end (Slice).
    Bounds,
    /// Which indices are taken along an axis (Gather).
    Indices,
    /// How often each axis is repeated (Tile).
    Repeats,
    /// Nowhere: they follow from the operands.
    Follows,
}

impl Stated {
    fn parse(text: &str) -> Option<Self> {
        if let Some((name, letters)) = text.split_once('=') {
            return Some(Self::Attribute(name.to_owned(), letters.split('*').map(str::to_owned).collect()));
        }
        Some(match text.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["extents", operand] => Self::Extents(operand.parse().ok()?),
            ["parts"] => Self::Parts,
            ["pads"] => Self::Pads,
            ["bounds"] => Self::Bounds,
            ["indices"] => Self::Indices,
            ["repeats"] => Self::Repeats,
            ["follows"] => Self::Follows,
            _ => return None,
        })
    }
}

impl fmt::Display for Stated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attribute(name, letters) => write!(f, "{name}={}", letters.join("*")),
            Self::Extents(operand) => write!(f, "extents {operand}"),
            Self::Parts => f.write_str("parts"),
            Self::Pads => f.write_str("pads"),
            Self::Bounds => f.write_str("bounds"),
            Self::Indices => f.write_str("indices"),
            Self::Repeats => f.write_str("repeats"),
            Self::Follows => f.write_str("follows"),
        }
    }
}

/// How the axes of a node's operands and outputs are related.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// By operand.
    pub operands: Vec<Axed>,
    /// By output.
    pub outputs: Vec<Axed>,
    /// Letters with a role of their own.
    pub roles: Vec<(Role, Vec<String>)>,
    /// Where else extents stand.
    pub stated: Vec<Stated>,
}

/// Text that is not in the notation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no relation of axes: {reason}")]
pub struct SyntaxError {
    text: String,
    reason: &'static str,
}

impl std::str::FromStr for Relation {
    type Err = SyntaxError;

    fn from_str(text: &str) -> Result<Self, SyntaxError> {
        let fail = |reason| SyntaxError { text: text.to_owned(), reason };
        let (body, marks) = text.split_once(';').unwrap_or((text, ""));
        let (operands, outputs) = body.split_once("->").ok_or_else(|| fail("`->` is missing"))?;
        let side = |side: &str| side.split(',').map(|one| axed(one).map_err(fail)).collect::<Result<Vec<_>, _>>();
        let (mut roles, mut stated) = (Vec::new(), Vec::new());
        for mark in marks.split(',').map(str::trim).filter(|mark| !mark.is_empty()) {
            let (word, letters) = mark.split_once(' ').unwrap_or((mark, ""));
            match Role::ALL.iter().find(|(_, name)| *name == word) {
                Some((role, _)) => roles.push((*role, letters.split_whitespace().map(str::to_owned).collect())),
                None => {
                    stated.push(Stated::parse(mark).ok_or_else(|| fail("that is no role and no place of extents"))?)
                }
            }
        }
        Ok(Self { operands: side(operands)?, outputs: side(outputs)?, roles, stated })
    }
}

fn axed(text: &str) -> Result<Axed, &'static str> {
    if text.trim() == "*" {
        return Ok(None);
    }
    let mut axes = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let mut depth = 0usize;
        let mut end = rest.len();
        for (at, c) in rest.char_indices() {
            match c {
                '(' => depth += 1,
                ')' => depth = depth.checked_sub(1).ok_or("a `)` has no `(`")?,
                c if c.is_whitespace() && depth == 0 => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        if depth > 0 {
            return Err("a `(` is not closed");
        }
        axes.push(axis(&rest[..end])?);
        rest = rest[end..].trim_start();
    }
    Ok(Some(axes))
}

fn axis(text: &str) -> Result<Axis, &'static str> {
    if let Some(letter) = text.strip_suffix("..") {
        return Ok(Axis::Many(factor(letter)?.letter));
    }
    text.split('+').map(segment).collect::<Result<_, _>>().map(Axis::Segments)
}

fn segment(text: &str) -> Result<Segment, &'static str> {
    match text {
        "1" => Ok(Segment::One),
        "_" => Ok(Segment::Opaque),
        _ => match text.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
            Some(inner) => inner.split_whitespace().map(factor).collect::<Result<_, _>>().map(Segment::Product),
            None => Ok(Segment::Product(vec![factor(text)?])),
        },
    }
}

fn factor(text: &str) -> Result<Factor, &'static str> {
    let (letter, extent) = match text.split_once(':') {
        Some((letter, extent)) => (letter, Some(extent.parse().map_err(|_| "an extent is a whole number")?)),
        None => (text, None),
    };
    let valid =
        letter.starts_with(|c: char| c.is_ascii_lowercase()) && letter.chars().all(|c| c.is_ascii_alphanumeric());
    if !valid {
        return Err("a letter is a word of lower-case letters and digits");
    }
    Ok(Factor { letter: letter.to_owned(), extent })
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |side: &[Axed]| side.iter().map(axed_text).collect::<Vec<_>>().join(", ");
        write!(f, "{} -> {}", side(&self.operands), side(&self.outputs))?;
        let roles = self.roles.iter().map(|(role, letters)| {
            let name = Role::ALL.iter().find(|(other, _)| other == role).map_or("", |(_, name)| name);
            format!("{name} {}", letters.join(" "))
        });
        for (index, mark) in roles.chain(self.stated.iter().map(Stated::to_string)).enumerate() {
            write!(f, "{} {mark}", if index == 0 { ";" } else { "," })?;
        }
        Ok(())
    }
}

fn axed_text(axed: &Axed) -> String {
    let Some(axes) = axed else { return "*".to_owned() };
    let factor = |factor: &Factor| match factor.extent {
        Some(extent) => format!("{}:{extent}", factor.letter),
        None => factor.letter.clone(),
    };
    let segment = |segment: &Segment| match segment {
        Segment::One => "1".to_owned(),
        Segment::Opaque => "_".to_owned(),
        Segment::Product(factors) => match factors.as_slice() {
            [one] => factor(one),
            many => format!("({})", many.iter().map(factor).collect::<Vec<_>>().join(" ")),
        },
    };
    let axis = |axis: &Axis| match axis {
        Axis::Many(letter) => format!("{letter}.."),
        Axis::Segments(segments) => segments.iter().map(segment).collect::<Vec<_>>().join("+"),
    };
    axes.iter().map(axis).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_notation_prints_back() {
        for text in [
            "n (g i) s.., (g o) i k.., (g o) -> n (g o) t..",
            "a+b, c -> a, b+c; chosen c",
            "n (h:12 d), * -> n h _ 1",
            "s.. c -> s.. c; normalized c, carried s",
            "n (g i), (g o) i -> n (g o); fixed g, group=g, heads=g*i, extents 1, follows",
            " -> ",
        ] {
            assert_eq!(text.parse::<Relation>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_not_in_the_notation_is_refused() {
        for text in ["a", "(a -> b", "a) -> b", "A -> a", "a -> a; sorted a", "a:x -> a"] {
            assert!(text.parse::<Relation>().is_err(), "{text}");
        }
    }
}
