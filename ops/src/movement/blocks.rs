//! `DepthToSpace` and `SpaceToDepth`: channels to blocks of pixels, and back.
//!
//! A channel axis of `b * b * c` entries and pixels `[h, w]` become `c` channels and pixels `[h * b, w * b]`. In mode `DCR` the
//! place inside the block is slowest in the channel axis, in mode `CRD` the channel.
//!
//! Source: ONNX operator specification, `DepthToSpace`, opsets 1 to 28 (modes from 11 on), `SpaceToDepth`, opsets 1 to 28 (modes
//! from 28 on).

use onnxpress_ir::{Dim, Shape};

use super::Moves;
use crate::axes::Axes;
use crate::evaluate::walk::Walk;
use crate::gradient::Gradient;
use crate::infer::Undecided;
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::Parameters;

const TO_SPACE: Moves = Moves { shape: shape_in_space, walk: walk_to_space };
const TO_DEPTH: Moves = Moves { shape: shape_in_depth, walk: walk_to_depth };

pub(crate) static DEPTH_TO_SPACE: Operator = Operator {
    domain: "",
    name: "DepthToSpace",
    infer: Infer::With(|cx| TO_SPACE.infer(cx)),
    axes: Axes::With(|cx| {
        let (depth, space) = axes(cx)?;
        Ok(format!("{depth} -> {space}"))
    }),
    evaluate: Evaluate::With(|cx| TO_SPACE.evaluate(cx)),
    linear: Linear::None("only moves elements"),
    quantize: Quantize::Moves,
    cost: Cost::None("only moves elements"),
    effects: Effects::Pure,
    gradient: Gradient::With(super::gradient::depth_to_space),
};

pub(crate) static SPACE_TO_DEPTH: Operator = Operator {
    domain: "",
    name: "SpaceToDepth",
    infer: Infer::With(|cx| TO_DEPTH.infer(cx)),
    axes: Axes::With(|cx| {
        let (depth, space) = axes(cx)?;
        Ok(format!("{space} -> {depth}"))
    }),
    evaluate: Evaluate::With(|cx| TO_DEPTH.evaluate(cx)),
    linear: Linear::None("only moves elements"),
    quantize: Quantize::Moves,
    cost: Cost::None("only moves elements"),
    effects: Effects::Pure,
    gradient: Gradient::With(super::gradient::space_to_depth),
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Depth, column, row: the place in the block is slowest.
    Dcr,
    /// Column, row, depth: the channel is slowest.
    Crd,
}

/// The extent of a block and the mode.
fn block(p: &dyn Parameters) -> Result<(i64, Mode), Undecided> {
    let size = p.attrs().int("blocksize")?.ok_or_else(|| Undecided::invalid("`blocksize` is missing"))?;
    if size < 1 {
        return Err(Undecided::invalid(format!("`blocksize` is {size}")));
    }
    match p.attrs().string_or("mode", "DCR".into())?.as_ref() {
        "DCR" => Ok((size, Mode::Dcr)),
        "CRD" => Ok((size, Mode::Crd)),
        other => Err(Undecided::invalid(format!("`mode` is `{other}`"))),
    }
}

fn exact(extent: &Dim, divisor: &Dim) -> Result<Dim, Undecided> {
    let quotient = extent.floor_div(divisor);
    if (&quotient * divisor).equals(extent) == Some(false) {
        return Err(Undecided::invalid(format!("an axis of extent {extent} in blocks of {divisor}")));
    }
    Ok(quotient)
}

fn image(p: &dyn Parameters) -> Result<Shape, Undecided> {
    let x = p.extents(0)?;
    if x.rank() == 4 { Ok(x) } else { Err(Undecided::invalid(format!("an image of shape {x}, not of rank 4"))) }
}

fn shape_in_space(p: &dyn Parameters) -> Result<Shape, Undecided> {
    let size = Dim::from(block(p)?.0);
    let Ok(x) = image(p) else { return image(p).or_else(unknown_image) };
    Ok(Shape::from(vec![x[0].clone(), exact(&x[1], &(&size * &size))?, &x[2] * &size, &x[3] * &size]))
}

fn shape_in_depth(p: &dyn Parameters) -> Result<Shape, Undecided> {
    let size = Dim::from(block(p)?.0);
    let Ok(x) = image(p) else { return image(p).or_else(unknown_image) };
    Ok(Shape::from(vec![x[0].clone(), &x[1] * &size * &size, exact(&x[2], &size)?, exact(&x[3], &size)?]))
}

/// Even of an operand of which nothing is known, the rank is.
fn unknown_image(undecided: Undecided) -> Result<Shape, Undecided> {
    match undecided {
        Undecided::Unknown => Ok(Shape::of_unknown_extents(4)),
        invalid => Err(invalid),
    }
}

fn walk_to_space(p: &dyn Parameters, from: &[usize], to: &[usize]) -> Result<Walk, Undecided> {
    let (size, mode) = block(p)?;
    let (size, c) = (usize::try_from(size).map_err(|_| Undecided::Unknown)?, to[1]);
    Ok(match mode {
        Mode::Dcr => Walk::transposed(&[from[0], size, size, c, from[2], from[3]], &[0, 3, 4, 1, 5, 2]),
        Mode::Crd => Walk::transposed(&[from[0], c, size, size, from[2], from[3]], &[0, 1, 4, 2, 5, 3]),
    })
}

fn walk_to_depth(p: &dyn Parameters, from: &[usize], to: &[usize]) -> Result<Walk, Undecided> {
    let (size, mode) = block(p)?;
    let size = usize::try_from(size).map_err(|_| Undecided::Unknown)?;
    let dims = [from[0], from[1], to[2], size, to[3], size];
    Ok(match mode {
        Mode::Dcr => Walk::transposed(&dims, &[0, 3, 5, 1, 2, 4]),
        Mode::Crd => Walk::transposed(&dims, &[0, 1, 3, 5, 2, 4]),
    })
}

/// The axes with all in depth, and with the blocks in space.
fn axes(cx: &NodeCx<'_>) -> Result<(String, String), String> {
    let (size, mode) = block(cx).map_err(|_| "the blocks are not known")?;
    let channels = match mode {
        Mode::Dcr => format!("(p:{size} q:{size} c)"),
        Mode::Crd => format!("(c p:{size} q:{size})"),
    };
    Ok((format!("n {channels} h w"), format!("n c (h p:{size}) (w q:{size})")))
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn channels_become_pixels_and_back() {
        assert_eq!(op("DepthToSpace").input("float[N,8,h,w]").int("blocksize", 2).infer(), "float[N,2,2*h,2*w]");
        assert_eq!(op("SpaceToDepth").input("float[N,3,4,2*w]").int("blocksize", 2).infer(), "float[N,12,2,w]");
        assert_eq!(op("DepthToSpace").input("float").int("blocksize", 2).infer(), "float[?,?,?,?]");
        let node = op("DepthToSpace").input("float[N,6,h,w]").int("blocksize", 2);
        assert_eq!(node.infer(), "invalid: an axis of extent 6 in blocks of 4");
        assert!(op("SpaceToDepth").input("float[N,3]").int("blocksize", 2).infer().starts_with("invalid"));
        assert!(op("DepthToSpace").input("float[N,6,h,w]").int("blocksize", 0).infer().starts_with("invalid"));
        assert_eq!(
            op("SpaceToDepth").input("float[1,2,4,4]").int("blocksize", i64::MAX).infer(),
            "invalid: an axis of extent 4 in blocks of 9223372036854775807"
        );
    }

    #[test]
    fn the_mode_says_what_is_slowest_among_the_channels() {
        let values: Vec<i64> = (0..8).collect();
        let deep = |mode: &'static str| {
            op("DepthToSpace").int64s(&[1, 8, 1, 1], &values).int("blocksize", 2).string("mode", mode)
        };
        assert_eq!(deep("DCR").i64s(), [0, 2, 4, 6, 1, 3, 5, 7]);
        assert_eq!(deep("CRD").i64s(), [0, 1, 2, 3, 4, 5, 6, 7]);
        let wide = op("SpaceToDepth").int64s(&[1, 2, 2, 2], &[0, 2, 4, 6, 1, 3, 5, 7]).int("blocksize", 2);
        assert_eq!(wide.i64s(), values, "the way back");
        assert_eq!(deep("CRD").axes(), "n (c p:2 q:2) h w -> n c (h p:2) (w q:2)");
        assert_eq!(wide.axes(), "n c (h p:2) (w q:2) -> n (p:2 q:2 c) h w");
    }
}
