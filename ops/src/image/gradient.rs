//! Gradients of resampling: along each axis it is a product with a matrix, so its gradient is one with the matrix transposed.
//!
//! The matrix is what the operator itself makes of the identity, so every mode, rounding and coordinate there is has its
//! gradient without a word about it here. Where extents are known it is a constant; where not, the step makes it when it runs.

use std::sync::Arc;

use onnxpress_ir::{Attr, Constant, ConstantForm, ConstantValue, Graph, Node, Order, Port, Tensor, ValueId};

use crate::evaluate::Value;
use crate::gradient::{GradientCx, GradientError};
use crate::interpret::{self, Limits};

type Done = Result<(), GradientError>;

/// The most elements that the matrix of one axis may have: a picture of 8192 to one of as many.
const LIMIT: usize = 1 << 26;

/// How an axis is resampled that may have any extent.
enum Target {
    /// By the factor at this place of the node's scales.
    Scale(usize),
    /// To the extent that the result has.
    Extent,
}

/// One axis of the operand, whose extent is known.
struct Axis {
    input: i64,
    output: i64,
    /// `None` where the node gives sizes.
    scale: Option<f32>,
}

impl Axis {
    /// `[output, input]`.
    fn matrix(&self, cx: &GradientCx<'_, '_>) -> Result<Vec<f64>, GradientError> {
        let node = cx.node();
        let said = |error: &dyn std::fmt::Display| GradientError::not_possible(error.to_string());
        let input = usize::try_from(self.input).map_err(|error| said(&error))?;
        let mut identity = vec![0.0; input.checked_mul(input).filter(|&size| size <= LIMIT).unwrap_or(0)];
        identity.iter_mut().step_by(input + 1).for_each(|entry| *entry = 1.0);
        let identity = Tensor::from_values(&[input, input], identity).map_err(|error| said(&error))?;
        let targets = match self.scale {
            Some(scale) => [None, Some(Tensor::vector(vec![scale, 1.0])), None],
            None => [None, None, Some(Tensor::vector(vec![self.output, self.input]))],
        };
        let mut graph = Graph::new(Arc::clone(&node.graph.opsets));
        let tensors: Vec<Option<Tensor>> = std::iter::once(Some(identity)).chain(targets).collect();
        let mut add = |tensor: &Tensor| {
            graph.add_constant(Constant {
                value: ConstantValue::Dense(tensor.clone()),
                port: Port::default(),
                form: ConstantForm::Initializer,
                order: Order::default(),
            })
        };
        let operands: Vec<Option<ValueId>> = tensors.iter().map(|tensor| tensor.as_ref().map(&mut add)).collect();
        let attrs = node.node.attrs.iter().filter(|attr| attr.name != "axes").cloned();
        let id = graph.add_node(attrs.fold(Node::new("Resize", 1), Node::with), &operands);
        let inputs: Vec<Option<Value>> = tensors.into_iter().map(|tensor| tensor.map(Value::Tensor)).collect();
        let limits = Limits { elements: LIMIT, ..Limits::default() };
        let made = interpret::node(&graph, id, &inputs, limits).map_err(|error| said(&error))?;
        let matrix = made.first().and_then(|value| value.as_tensor().ok());
        let matrix = matrix.ok_or_else(|| GradientError::not_possible("it answers no tensor"))?;
        matrix.to_f64s().map_err(|error| said(&error))
    }
}

/// What the matrix of an axis is, `[output, input]`, found out when it runs.
fn matrix_of_any(cx: &mut GradientCx<'_, '_>, axis: usize, target: &Target) -> Result<ValueId, GradientError> {
    let (x, y, dtype) = (cx.operand(0)?, cx.output(0), cx.dtype()?);
    let across = cx.indices_along(x, axis)?;
    let down = cx.reshape(across, &[-1, 1])?;
    let identity = cx.apply("Equal", &[across, down])?;
    let identity = cx.add(Node::new("Cast", 1).with(Attr::int("to", dtype.code())), &[identity])?;
    let targets = match target {
        Target::Scale(place) => {
            let (scales, place) = (cx.operand(2)?, cx.ints([*place as i64]));
            let scale = cx.apply("Gather", &[scales, place])?;
            let one = cx.constant(Tensor::vector(vec![1f32]));
            [None, Some(cx.concat(&[scale, one])?), None]
        }
        Target::Extent => {
            let (output, input) = (cx.extents_along(y, &[axis])?, cx.extents_along(x, &[axis])?);
            [None, None, Some(cx.concat(&[output, input])?)]
        }
    };
    let attrs = cx.node().node.attrs.iter().filter(|attr| attr.name != "axes").cloned();
    let resize = attrs.fold(Node::new("Resize", 1), Node::with);
    let operands: Vec<Option<ValueId>> = std::iter::once(Some(identity)).chain(targets).collect();
    Ok(cx.add_node(resize, &operands)?.port(0))
}

/// The matrices of the axes that are resampled, each with the number of the axis.
fn matrices(cx: &mut GradientCx<'_, '_>) -> Result<Vec<(usize, ValueId)>, GradientError> {
    let node = cx.node();
    let attrs = node.attrs();
    let word = |name: &str, otherwise: &'static str| attrs.string_or(name, otherwise.into());
    if word("coordinate_transformation_mode", "half_pixel")? == "tf_crop_and_resize" {
        return Err(GradientError::not_possible("a region that is cut out"));
    }
    if word("keep_aspect_ratio_policy", "stretch")? != "stretch" {
        return Err(GradientError::not_possible("proportions that are kept"));
    }
    let (from, to) = (cx.shape(cx.operand(0)?)?, cx.shape(cx.output(0))?);
    let named = match attrs.ints("axes")? {
        None => (0..from.len()).collect(),
        Some(axes) => {
            axes.into_iter().map(|axis| crate::parameters::axis_of(axis, from.len())).collect::<Result<Vec<_>, _>>()?
        }
    };
    // An empty list is as good as none.
    let scaled = node.shape(2).is_some_and(|scales| scales.first().is_some_and(|count| count.as_const() != Some(0)));
    let scales = node.constant(2).map(Tensor::to_f32s).transpose().ok().flatten().filter(|_| scaled);
    let (mut known, mut open) = (Vec::new(), Vec::new());
    for axis in 0..from.len().min(to.len()) {
        let place = named.iter().position(|&named| named == axis);
        let scale = place.and_then(|place| scales.as_ref()?.get(place).copied());
        match (from[axis].as_const(), to[axis].as_const()) {
            _ if place.is_none() => {}
            _ if scale == Some(1.0) || !scaled && from[axis].equals(&to[axis]) == Some(true) => {}
            (Some(input), Some(output)) if scale.is_some() || !scaled => {
                if input != output || scale.is_some() {
                    known.push((axis, Axis { input, output, scale }));
                }
            }
            _ => open.push((axis, place.filter(|_| scaled).map_or(Target::Extent, Target::Scale))),
        }
    }
    let mut matrices = Vec::new();
    let dtype = cx.dtype()?;
    for (axis, plan) in known {
        let matrix = plan.matrix(cx)?;
        let dims = [plan.output, plan.input].map(|extent| usize::try_from(extent).unwrap_or(0));
        let matrix =
            Tensor::from_f64s(dtype, &dims, &matrix).map_err(|error| GradientError::not_possible(error.to_string()))?;
        matrices.push((axis, cx.constant(matrix)));
    }
    for (axis, target) in open {
        matrices.push((axis, matrix_of_any(cx, axis, &target)?));
    }
    Ok(matrices)
}

pub(super) fn resize(cx: &mut GradientCx<'_, '_>) -> Done {
    let mut back = cx.result()?;
    let rank = cx.rank(back)?;
    for (axis, matrix) in matrices(cx)? {
        // The axis goes last, where a product sums it up, and back.
        let mut order: Vec<i64> = (0..rank as i64).collect();
        order.swap(axis, rank - 1);
        let turned = cx.transpose(back, order.clone())?;
        let product = cx.apply("MatMul", &[turned, matrix])?;
        back = cx.transpose(product, order)?;
    }
    cx.give(0, back)
}
