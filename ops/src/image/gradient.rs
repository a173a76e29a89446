//! Gradients of resampling: along each axis it is a product with a matrix, so its gradient is one with the matrix transposed.
//!
//! The matrix is what the operator itself makes of the identity, so every mode, rounding and coordinate there is has its
//! gradient without a word about it here.

use std::sync::Arc;

use onnxpress_ir::{Constant, ConstantForm, ConstantValue, Dim, Graph, Node, Order, Port, Tensor, ValueId};

use crate::evaluate::Value;
use crate::gradient::{GradientCx, GradientError};
use crate::interpret::{self, Limits};

type Done = Result<(), GradientError>;

/// The most elements that the matrix of one axis may have: a picture of 8192 to one of as many.
const LIMIT: usize = 1 << 26;

/// One axis of the operand.
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

/// The axes that are resampled, each with its number.
fn axes(cx: &GradientCx<'_, '_>) -> Result<Vec<(usize, Axis)>, GradientError> {
    let node = cx.node();
    let attrs = node.attrs();
    let word = |name: &str, otherwise: &'static str| attrs.string_or(name, otherwise.into());
    if word("coordinate_transformation_mode", "half_pixel")? == "tf_crop_and_resize" {
        return Err(GradientError::not_possible("a region that is cut out"));
    }
    if word("keep_aspect_ratio_policy", "stretch")? != "stretch" {
        return Err(GradientError::not_possible("proportions that are kept"));
    }
    let extents =
        |value: ValueId| node.graph.ty(value).shape()?.iter().map(Dim::as_const).collect::<Option<Vec<i64>>>();
    let (Some(from), Some(to)) = (extents(cx.operand(0)?), extents(cx.output(0))) else {
        return Err(GradientError::not_possible("extents that are not known"));
    };
    let scales = node.constant(2).map(Tensor::to_f32s).transpose().ok().flatten().filter(|scales| !scales.is_empty());
    let named = match attrs.ints("axes")? {
        None => (0..from.len()).collect(),
        Some(axes) => {
            axes.into_iter().map(|axis| crate::parameters::axis_of(axis, from.len())).collect::<Result<Vec<_>, _>>()?
        }
    };
    let scale = |axis: usize| Some(*scales.as_ref()?.get(named.iter().position(|&named| named == axis)?)?);
    let resampled = |axis: &usize| from[*axis] != to[*axis] || scale(*axis).is_some_and(|scale| scale != 1.0);
    let axes = (0..from.len()).filter(resampled);
    Ok(axes.map(|axis| (axis, Axis { input: from[axis], output: to[axis], scale: scale(axis) })).collect())
}

pub(super) fn resize(cx: &mut GradientCx<'_, '_>) -> Done {
    let mut back = cx.result()?;
    let (rank, dtype) = (cx.rank(back)?, cx.dtype()?);
    for (axis, plan) in axes(cx)? {
        let matrix = plan.matrix(cx)?;
        let dims = [plan.output, plan.input].map(|extent| usize::try_from(extent).unwrap_or(0));
        let matrix =
            Tensor::from_f64s(dtype, &dims, &matrix).map_err(|error| GradientError::not_possible(error.to_string()))?;
        let matrix = cx.constant(matrix);
        // The axis goes last, where a product sums it up, and back.
        let mut order: Vec<i64> = (0..rank as i64).collect();
        order.swap(axis, rank - 1);
        let turned = cx.transpose(back, order.clone())?;
        let product = cx.apply("MatMul", &[turned, matrix])?;
        back = cx.transpose(product, order)?;
    }
    cx.give(0, back)
}
