//! `GroupNormalization`: each group of channels of each sample moved and scaled by its own mean and variance, then by
//! parameters.
//!
//! Operands X `[n, g·c, s..]`, scale, bias `[g·c]` (in opset 18, since deprecated, `[g]`); output of the type and shape of X.
//!
//! Source: ONNX operator specification, `GroupNormalization`, opsets 18 to 21; Y. Wu, K. He, "Group Normalization" (2018).

use onnxpress_ir::{Dim, Tensor};

use super::moments::{expect_list, list, moments, sheet};
use crate::axes::Axes;
use crate::evaluate::lanes::{Lanes, volume};
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{self, InferCx, Undecided};
use crate::node::{Attrs, NodeCx};
use crate::operator::Operator;

pub(crate) static GROUP_NORMALIZATION: Operator =
    sheet("GroupNormalization", infer, Axes::With(axes), Gradient::With(super::gradient::group), evaluate);

fn groups(attrs: &Attrs<'_>) -> Result<i64, Undecided> {
    match attrs.int("num_groups")? {
        Some(groups) if groups > 0 => Ok(groups),
        Some(groups) => Err(Undecided::invalid(format!("`num_groups` is {groups}"))),
        None => Err(Undecided::invalid("no `num_groups`")),
    }
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    infer::same_as_first(cx)?;
    let groups = groups(&cx.attrs())?;
    let Some(x) = cx.shape(0) else { return Ok(()) };
    let Some(channels) = x.get(1) else { return Err(Undecided::invalid(format!("X{x} has no channels"))) };
    if channels.divisible_by(groups) == Some(false) {
        return Err(Undecided::invalid(format!("{channels} channels do not fall into {groups} groups")));
    }
    let parameters = if cx.version < 21 { Dim::from(groups) } else { channels.clone() };
    (1..3).try_for_each(|index| expect_list(cx, index, &parameters))
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let groups = groups(&cx.attrs()).map_err(|_| "`num_groups` is not known")?;
    let channels = format!("(g:{groups} c)");
    let parameters = if cx.version < 21 { "g" } else { &channels };
    Ok(format!("n {channels} s.., {parameters}, {parameters} -> n {channels} s..; normalized c s, num_groups=g"))
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let groups = usize::try_from(groups(&cx.attrs())?).unwrap_or(usize::MAX);
    let &[samples, channels, ref spatial @ ..] = x.dims() else {
        return Err(EvalError::invalid(format!("X{:?} has no channels", x.dims())));
    };
    if !channels.is_multiple_of(groups) {
        return Err(EvalError::invalid(format!("{channels} channels do not fall into {groups} groups")));
    }
    let parameters = if cx.version < 21 { groups } else { channels };
    let (scale, bias) = (list(cx.tensor(1)?, parameters)?, list(cx.tensor(2)?, parameters)?);
    let epsilon = f64::from(cx.attrs().float_or("epsilon", 1e-5)?);
    let mut values = x.to_f64s()?;
    let plane = volume(spatial);
    let of_group = channels / groups;
    let mut numbers = (0..groups).cycle();
    Lanes::along(&[samples, groups, of_group.saturating_mul(plane)], 2, 3).rewrite(&mut values, |lane| {
        let group = numbers.next().unwrap_or(0);
        let (mean, var) = moments(lane);
        for (index, x) in lane.iter_mut().enumerate() {
            let at = if parameters == groups { group } else { group * of_group + index / plane };
            *x = (*x - mean) / (var + epsilon).sqrt() * scale[at] + bias[at];
        }
    });
    Ok(vec![Tensor::from_f64s(x.dtype(), x.dims(), &values)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn parameters_are_for_channels_since_opset_21() {
        let node = |version| op("GroupNormalization").version(version).int("num_groups", 1).float("epsilon", 0.0);
        let x = |version| node(version).floats(&[1, 2, 1], &[1.0, 3.0]);
        assert_eq!(x(21).floats(&[2], &[1.0, 2.0]).floats(&[2], &[0.0, 5.0]).f32s(), [-1.0, 7.0]);
        assert_eq!(x(18).floats(&[1], &[2.0]).floats(&[1], &[5.0]).f32s(), [3.0, 7.0]);
        assert_eq!(node(21).axes(), "n (g:1 c) s.., (g:1 c), (g:1 c) -> n (g:1 c) s..; normalized c s, num_groups=g");
    }

    #[test]
    fn channels_fall_into_groups() {
        let node = op("GroupNormalization").int("num_groups", 4).input("float[N,6,h]");
        assert_eq!(node.infer(), "invalid: 6 channels do not fall into 4 groups");
        assert_eq!(op("GroupNormalization").input("float[N,6,h]").infer(), "invalid: no `num_groups`");
    }
}
