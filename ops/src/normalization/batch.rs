//! `BatchNormalization`: each channel moved and scaled by its mean and variance, then by parameters.
//!
//! Operands X `[n, c, s..]`, scale, B, mean, var `[c]`; output Y of the type and shape of X. In training (`training_mode` from
//! opset 14 on, before: when the node has more outputs) the statistics are those of X along all axes but c, and outputs 1 and
//! 2 are the running ones, moved toward them by `momentum`. In opsets 7 and 8 `spatial = 0` asks for parameters `[c, s..]`.
//!
//! Source: ONNX operator specification, `BatchNormalization`, opsets 1 to 15.

use onnxpress_ir::{Dim, Shape, Tensor};

use super::moments::{expect_list, list, moments, sheet};
use crate::axes::Axes;
use crate::evaluate::lanes::volume;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{self, InferCx, Undecided};
use crate::node::{Attrs, NodeCx};
use crate::operator::Operator;

pub(crate) static BATCH_NORMALIZATION: Operator =
    sheet("BatchNormalization", infer, Axes::With(axes), Gradient::With(super::gradient::batch), evaluate);

/// Whether parameters are for each element of a sample, not for each channel.
fn by_element(attrs: &Attrs<'_>, version: i64) -> Result<bool, Undecided> {
    Ok(version < 9 && attrs.int_or("spatial", 1)? == 0)
}

/// What a `BatchNormalization` normalizes by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NormalizedBy {
    /// Mean and variance of each channel, which are operands.
    Operands {
        /// What is added to the variance.
        epsilon: f64,
    },
    /// Mean and variance of each element of a sample, which are operands.
    Elements,
    /// The statistics of its batch: it trains.
    Batch,
}

impl NormalizedBy {
    /// Of a node of any version. Before opset 7 `is_test` says whether it trains, up to 13 the outputs that it has.
    ///
    /// # Errors
    /// Where an attribute is not known or of the wrong kind.
    pub fn of(cx: &NodeCx<'_>) -> Result<Self, Undecided> {
        let attrs = cx.attrs();
        let trains = match cx.version {
            ..7 => !attrs.flag("is_test")?,
            7..14 => cx.node.ports().iter().skip(1).any(|port| !port.omitted),
            14.. => attrs.flag("training_mode")?,
        };
        if trains {
            return Ok(Self::Batch);
        }
        match by_element(&attrs, cx.version)? {
            true => Ok(Self::Elements),
            false => Ok(Self::Operands { epsilon: epsilon(&attrs)? }),
        }
    }
}

fn epsilon(attrs: &Attrs<'_>) -> Result<f64, Undecided> {
    Ok(f64::from(attrs.float_or("epsilon", 1e-5)?))
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    infer::same_as_first(cx)?;
    let channels = match cx.shape(0) {
        Some(x) => x.get(1).cloned().unwrap_or_else(|| Dim::from(1)),
        None => cx.shape(1).and_then(|scale| scale.first()).cloned().unwrap_or_default(),
    };
    let by_element = by_element(&cx.attrs(), cx.version)?;
    if !by_element {
        (1..5).try_for_each(|index| expect_list(cx, index, &channels))?;
    }
    for output in 1..5 {
        let like = if cx.version >= 14 { output + 2 } else { 0 };
        let shape = if by_element { cx.shape(1).cloned() } else { Some(Shape::from(vec![channels.clone()])) };
        cx.set_tensor(output, cx.dtype(like), shape);
    }
    Ok(())
}

fn trains(attrs: &Attrs<'_>, version: i64, outputs: usize) -> Result<bool, Undecided> {
    if version >= 14 { attrs.flag("training_mode") } else { Ok(outputs > 1) }
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let unknown = |_| "an attribute is not known".to_owned();
    if by_element(&cx.attrs(), cx.version).map_err(unknown)? {
        return Ok("n s.., s.., s.., s.., s.. -> n s..".to_owned());
    }
    let trains = trains(&cx.attrs(), cx.version, cx.node.port_count()).map_err(unknown)?;
    let role = if trains { "; normalized n s" } else { "" };
    Ok(format!("n c s.., c, c, c, c -> n c s.., c, c, c, c{role}"))
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let dims = x.dims();
    let channels = dims.get(1).copied().unwrap_or(1);
    let inner = volume(dims.get(2..).unwrap_or_default());
    let trains = trains(&cx.attrs(), cx.version, cx.node.port_count())?;
    if trains && cx.version < 14 {
        return Err(EvalError::unsupported("training before opset 14"));
    }
    // How many parameters there are, and how many neighbours share one.
    let by_element = by_element(&cx.attrs(), cx.version)?;
    let (count, shared) = if by_element { (channels.saturating_mul(inner), 1) } else { (channels, inner) };
    let parameter = |index: usize| {
        let parameter = cx.tensor(index)?;
        match by_element {
            true if parameter.len() == count => Ok(parameter.to_f64s()?),
            true => Err(EvalError::invalid(format!("operand {index} has {} entries, not {count}", parameter.len()))),
            false => list(parameter, count),
        }
    };
    let (scale, bias, mean, var) = (parameter(1)?, parameter(2)?, parameter(3)?, parameter(4)?);
    let epsilon = epsilon(&cx.attrs())?;
    let values = x.to_f64s()?;
    let normalized = |mean: &[f64], var: &[f64]| -> Vec<f64> {
        let of = |(index, &x): (usize, &f64)| {
            let at = index / shared % count;
            scale[at] * (x - mean[at]) / (var[at] + epsilon).sqrt() + bias[at]
        };
        values.iter().enumerate().map(of).collect()
    };
    if !trains {
        return Ok(vec![Tensor::from_f64s(x.dtype(), dims, &normalized(&mean, &var))?.into()]);
    }
    let momentum = f64::from(cx.attrs().float_or("momentum", 0.9)?);
    let mut of_channels = vec![Vec::new(); count];
    values.iter().enumerate().for_each(|(index, &x)| of_channels[index / shared % count].push(x));
    let (own_mean, own_var): (Vec<f64>, Vec<f64>) = of_channels.iter().map(|values| moments(values)).unzip();
    let moved = |index: usize, running: &[f64], own: &[f64]| -> Result<Value, EvalError> {
        let moved: Vec<f64> =
            running.iter().zip(own).map(|(running, own)| running * momentum + own * (1.0 - momentum)).collect();
        Ok(Tensor::from_f64s(cx.tensor(index)?.dtype(), &[count], &moved)?.into())
    };
    Ok(vec![
        Tensor::from_f64s(x.dtype(), dims, &normalized(&own_mean, &own_var))?.into(),
        moved(3, &mean, &own_mean)?,
        moved(4, &var, &own_var)?,
    ])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::{OneNode, op};

    fn with_parameters(node: OneNode) -> OneNode {
        node.floats(&[2], &[2.0, 1.0]).floats(&[2], &[0.0, 10.0]).floats(&[2], &[1.0, 0.0]).floats(&[2], &[4.0, 1.0])
    }

    #[test]
    fn channels_have_parameters_of_their_own() {
        let node = op("BatchNormalization").float("epsilon", 0.0).floats(&[1, 2, 2], &[1.0, 3.0, 1.0, 2.0]);
        assert_eq!(with_parameters(node).f32s(), [0.0, 2.0, 11.0, 12.0]);
        let node = op("BatchNormalization").input("float[N,3,h]").input("float[4]");
        assert_eq!(node.infer(), "invalid: operand 1 has the shape [4], not [3]");
        let elements = op("BatchNormalization").version(7).int("spatial", 0).input("float[N,3,4]").input("float[3,4]");
        assert_eq!(elements.infer(), "float[N,3,4]");
    }

    #[test]
    fn training_takes_statistics_and_moves_the_running_ones() {
        let node =
            op("BatchNormalization").outputs(3).int("training_mode", 1).float("momentum", 0.5).float("epsilon", 0.0);
        let node = with_parameters(node.floats(&[2, 2], &[1.0, 4.0, 3.0, 4.0]));
        let outputs = node.evaluate().unwrap();
        let of = |index: usize| outputs[index].as_tensor().unwrap().to_f32s().unwrap();
        assert_eq!(of(0)[..1], [-2.0]);
        assert_eq!(of(1), [1.5, 2.0]);
        assert_eq!(of(2), [2.5, 0.5]);
        assert_eq!(node.axes(), "n c s.., c, c, c, c -> n c s.., c, c, c, c; normalized n s");
    }

    #[test]
    fn each_version_says_in_its_own_way_what_it_normalizes_by() {
        let by = |opset: i64, ports: &str, attrs: &str| {
            let text = format!(
                "<ir_version: 8, opset_import: [\"\" : {opset}]> g (float[N,2] x) => (float[N,2] y) \
                <float[2] s = splat(1), float[2] b = splat(0)> {{ {ports} = BatchNormalization{attrs}(x, s, b, b, s) }}"
            );
            let graph = onnxpress_ir::Model::from_text(&text).unwrap().graph;
            let (id, _) = graph.nodes().next().unwrap();
            NormalizedBy::of(&NodeCx::new(&graph, id).unwrap()).unwrap()
        };
        let given = |epsilon: f32| NormalizedBy::Operands { epsilon: epsilon.into() };
        assert_eq!(by(6, "y", ""), NormalizedBy::Batch);
        assert_eq!(by(6, "y", "<is_test = 1>"), given(1e-5));
        assert_eq!(by(7, "y", "<spatial = 0>"), NormalizedBy::Elements);
        assert_eq!(by(12, "y", "<epsilon = 0.5>"), given(0.5));
        assert_eq!(by(12, "y, m, v", ""), NormalizedBy::Batch);
        assert_eq!(by(15, "y", "<training_mode = 1>"), NormalizedBy::Batch);
        assert_eq!(by(15, "y", ""), given(1e-5));
    }
}
