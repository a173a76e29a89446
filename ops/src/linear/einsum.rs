//! `Einsum`: sums of products by an equation, in Einstein's notation.
//!
//! Operands and output as the attribute `equation` says; letters that the output lacks are summed over. Axes of extent one are
//! broadcast.
//!
//! Source: ONNX operator specification, `Einsum`, opsets 12 to 28.

use std::collections::BTreeMap;
use std::num::Wrapping;

use onnxpress_ir::{Dim, Shape, Tensor};

use super::equation::{Equation, Label};
use super::matrix::Number;
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::node::{Attrs, NodeCx};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, LinearLayer, Operator, Quantize, Rows};

pub(crate) static EINSUM: Operator = Operator {
    domain: "",
    name: "Einsum",
    infer: Infer::With(infer),
    axes: Axes::With(|cx| match equation(&cx.attrs(), cx.operand_count()) {
        Ok(equation) => Ok(equation.axes()),
        Err(Undecided::Invalid(reason)) => Err(reason),
        Err(Undecided::Unknown) => Err("the equation is not known".to_owned()),
    }),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::Layers(layers),
    quantize: Quantize::Computes,
    cost: Cost::Macs(macs),
    effects: Effects::Pure,
    gradient: Gradient::With(super::gradient::einsum),
};

fn equation(attrs: &Attrs<'_>, operands: usize) -> Result<Equation, Undecided> {
    let text = attrs.string("equation")?.ok_or_else(|| Undecided::invalid("no attribute `equation`"))?;
    Equation::parse(&text, operands)
}

/// The labels of operands and output, and the extent of each label; `None` where a rank is not known.
type Labelled = (Vec<Vec<Label>>, Vec<Label>, BTreeMap<Label, Dim>);

fn labelled(cx: &NodeCx<'_>, equation: &Equation) -> Result<Option<Labelled>, Undecided> {
    let shapes: Option<Vec<&Shape>> = (0..cx.operand_count()).map(|index| cx.shape(index)).collect();
    let Some(shapes) = shapes else { return Ok(None) };
    let ranks: Vec<usize> = shapes.iter().map(|shape| shape.len()).collect();
    let (operands, output) = equation.labels(&ranks)?;
    let mut extents: BTreeMap<Label, Shape> = BTreeMap::new();
    for (&label, extent) in operands.iter().flatten().zip(shapes.iter().flat_map(|shape| shape.iter())) {
        let own = Shape::from(vec![extent.clone()]);
        let joined = match extents.get(&label) {
            Some(other) => other.broadcast(&own)?,
            None => own,
        };
        extents.insert(label, joined);
    }
    let extents = extents.into_iter().map(|(label, shape)| (label, shape[0].clone())).collect();
    Ok(Some((operands, output, extents)))
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let dtype = (0..cx.operand_count()).find_map(|index| cx.dtype(index));
    let equation = equation(&cx.attrs(), cx.operand_count())?;
    let shape = match labelled(cx, &equation)? {
        Some((_, output, extents)) => {
            Some(output.iter().map(|label| extents.get(label).cloned().unwrap_or_default()).collect::<Shape>())
        }
        None => equation.output_rank().map(Shape::of_unknown_extents),
    };
    cx.set_tensor(0, dtype, shape);
    Ok(())
}

/// Of two operands either can be the weight, a constant one if there is one; of others none is.
fn layers(cx: &NodeCx<'_>) -> Vec<LinearLayer> {
    let Ok(Some((operands, output, _))) =
        equation(&cx.attrs(), cx.operand_count()).and_then(|equation| labelled(cx, &equation))
    else {
        return Vec::new();
    };
    let [a, b] = operands.as_slice() else { return Vec::new() };
    let layer = |input: usize, weight: usize| {
        let (own, other) = if weight == 1 { (b, a) } else { (a, b) };
        let repeated = |labels: &[Label]| (1..labels.len()).any(|place| labels[..place].contains(&labels[place]));
        let axes = |of_input: bool, of_output: bool| -> Vec<usize> {
            let is = |label: &Label| other.contains(label) == of_input && output.contains(label) == of_output;
            (0..own.len()).filter(|&axis| is(&own[axis])).collect()
        };
        // A letter that only the weight has is summed before the product, which is another layer.
        if repeated(own) || repeated(other) || !axes(false, false).is_empty() {
            return None;
        }
        let (output_axes, input_axes, batch_axes) = (axes(false, true), axes(true, false), axes(true, true));
        let rows = match (output_axes.as_slice(), input_axes.as_slice(), batch_axes.as_slice()) {
            ([o], [i], []) => rows_along(other, &own[*i], &output, &own[*o]),
            _ => None,
        };
        Some(LinearLayer {
            input,
            weight,
            bias: None,
            output_axes,
            input_axes,
            batch_axes,
            groups: 1,
            rows: rows.unwrap_or(Rows::Hidden("the rows do not stand along one axis in one order")),
        })
    };
    let candidates = match (cx.constant(0).is_some(), cx.constant(1).is_some()) {
        (true, false) => vec![layer(1, 0)],
        (false, true) => vec![layer(0, 1)],
        _ => vec![layer(0, 1), layer(1, 0)],
    };
    candidates.into_iter().flatten().collect()
}

/// Where the rows of an input stand of which one label is summed over, and one of the weight's comes in its stead.
fn rows_along(input: &[Label], summed: &Label, output: &[Label], made: &Label) -> Option<Rows> {
    let others = |labels: &[Label], without: &Label| -> Vec<Label> {
        labels.iter().filter(|label| *label != without).cloned().collect()
    };
    let place = |labels: &[Label], label: &Label| labels.iter().position(|other| other == label);
    if others(input, summed) != others(output, made) {
        return None;
    }
    Some(Rows::Along { input: place(input, summed)?, output: Some(place(output, made)?) })
}

/// The labels of products of the operands, taken in from the left.
struct Step {
    /// What the product of all so far has.
    kept: Vec<Label>,
    /// What is summed over on the way to it.
    summed: Vec<Label>,
}

/// The products that give the output: operand 0 alone, then with operand 1, and so on. A label is summed over as soon as
/// nothing later has it.
fn steps(operands: &[Vec<Label>], output: &[Label]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for index in 0..operands.len() {
        let is_last = index + 1 == operands.len();
        let later =
            |label: &Label| output.contains(label) || operands[index + 1..].iter().any(|term| term.contains(label));
        let before = steps.last().map_or(&[][..], |step| &step.kept);
        let mut step = Step { kept: if is_last { output.to_vec() } else { Vec::new() }, summed: Vec::new() };
        for label in before.iter().chain(&operands[index]) {
            let list = if later(label) { &mut step.kept } else { &mut step.summed };
            if !list.contains(label) {
                list.push(*label);
            }
        }
        steps.push(step);
    }
    steps
}

/// One for each product of two operands and combination of their indices, products taken from the left.
fn macs(cx: &NodeCx<'_>) -> Dim {
    let labelled = equation(&cx.attrs(), cx.operand_count()).and_then(|equation| labelled(cx, &equation));
    let Ok(Some((operands, output, extents))) = labelled else { return Dim::unknown() };
    let extent = |label: &Label| extents.get(label).cloned().unwrap_or_else(|| Dim::from(1));
    let products = steps(&operands, &output);
    Dim::sum(products.iter().skip(1).map(|step| Dim::product(step.kept.iter().chain(&step.summed).map(extent))))
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let tensors = (0..cx.inputs.len()).map(|index| cx.tensor(index)).collect::<Result<Vec<&Tensor>, _>>()?;
    let dtype = tensors.first().ok_or_else(|| EvalError::invalid("no operand"))?.dtype();
    if let Some(other) = tensors.iter().find(|tensor| tensor.dtype() != dtype) {
        return Err(EvalError::invalid(format!("operands of {dtype} and {}", other.dtype())));
    }
    let equation = equation(&cx.attrs(), tensors.len())?;
    let ranks: Vec<usize> = tensors.iter().map(|tensor| tensor.rank()).collect();
    let (operands, output) = equation.labels(&ranks)?;
    let mut extents: BTreeMap<Label, usize> = BTreeMap::new();
    for (&label, &extent) in operands.iter().flatten().zip(tensors.iter().flat_map(|tensor| tensor.dims())) {
        let joined = match (extents.get(&label), extent) {
            (None | Some(1), extent) => extent,
            (Some(&so_far), extent) if so_far == extent || extent == 1 => so_far,
            (Some(&so_far), extent) => {
                return Err(EvalError::invalid(format!("extents {so_far} and {extent} along one letter")));
            }
        };
        extents.insert(label, joined);
    }
    let dims: Vec<usize> = output.iter().map(|label| extents.get(label).copied().unwrap_or(1)).collect();
    let plan = Plan { cx, operands: &operands, steps: steps(&operands, &output), extents: &extents, tensors: &tensors };
    if dtype.is_float() {
        let y = plan.run(|tensor| Ok(tensor.to_f64s()?), 1.0)?;
        return Ok(vec![Tensor::from_f64s(dtype, &dims, &y)?.into()]);
    }
    let y = plan.run(|tensor| Ok(tensor.to_i64s()?.into_iter().map(Wrapping).collect()), Wrapping(1i64))?;
    let y: Vec<i64> = y.into_iter().map(|Wrapping(value)| value).collect();
    Ok(vec![Tensor::from_i64s(dtype, &dims, &y)?.into()])
}

struct Plan<'a> {
    cx: &'a EvalCx<'a>,
    operands: &'a [Vec<Label>],
    steps: Vec<Step>,
    extents: &'a BTreeMap<Label, usize>,
    tensors: &'a [&'a Tensor],
}

impl Plan<'_> {
    fn run<T: Number>(&self, read: impl Fn(&Tensor) -> Result<Vec<T>, EvalError>, one: T) -> Result<Vec<T>, EvalError> {
        let (mut product, mut labels, mut dims): (_, &[Label], _) = (vec![one], &[], Vec::new());
        for ((step, term), tensor) in self.steps.iter().zip(self.operands).zip(self.tensors) {
            let extent = |label: &Label| self.extents.get(label).copied().unwrap_or(1);
            let kept: Vec<usize> = step.kept.iter().map(extent).collect();
            let count = self.cx.room_for(&kept)?;
            let loops: Vec<Loop> = step
                .kept
                .iter()
                .chain(&step.summed)
                .map(|label| Loop {
                    extent: extent(label),
                    left: stride_of(*label, labels, &dims),
                    right: stride_of(*label, term, tensor.dims()),
                    result: stride_of(*label, &step.kept, &kept),
                })
                .collect();
            let combinations = loops.iter().fold(1u64, |all, it| all.saturating_mul(it.extent as u64));
            self.cx.spend(combinations)?;
            let mut sums = vec![T::zero(); count];
            if combinations > 0 {
                accumulate(&loops, (&product, 0), (&read(tensor)?, 0), (&mut sums, 0));
            }
            (product, labels, dims) = (sums, &step.kept, kept);
        }
        Ok(product)
    }
}

/// One nested loop: how far the two factors and the result move with each turn.
struct Loop {
    extent: usize,
    left: usize,
    right: usize,
    result: usize,
}

/// How far apart elements lie along all axes with the label (a label that stands twice runs along a diagonal); 0 along axes of
/// extent one, which are broadcast.
fn stride_of(label: Label, labels: &[Label], dims: &[usize]) -> usize {
    let mut step = 1usize;
    let mut stride = 0;
    for (other, &extent) in labels.iter().zip(dims).rev() {
        if *other == label && extent != 1 {
            stride += step;
        }
        step = step.saturating_mul(extent);
    }
    stride
}

fn accumulate<T: Number>(loops: &[Loop], left: (&[T], usize), right: (&[T], usize), result: (&mut [T], usize)) {
    let Some((it, inner)) = loops.split_first() else {
        result.0[result.1] = result.0[result.1] + left.0[left.1] * right.0[right.1];
        return;
    };
    for turn in 0..it.extent {
        accumulate(
            inner,
            (left.0, left.1 + turn * it.left),
            (right.0, right.1 + turn * it.right),
            (&mut *result.0, result.1 + turn * it.result),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::op;

    fn einsum(equation: &'static str) -> crate::testing::OneNode {
        op("Einsum").string("equation", equation)
    }

    #[test]
    fn extents_follow_their_letters() {
        assert_eq!(
            einsum("bhid,bhjd->bhij").input("float[N,8,s,64]").input("float[N,8,t,64]").infer(),
            "float[N,8,s,t]"
        );
        assert_eq!(einsum("...i,i->...").input("float[N,h,4]").input("float[4]").infer(), "float[N,h]");
        assert_eq!(einsum("...i,i->...i").input("float").input("float[4]").infer(), "float");
        assert_eq!(einsum("ij,jk->ik").input("float").input("float[4,5]").infer(), "float[?,?]");
        let rank = einsum("ij,jk->ik").input("float[2]").input("float[4,5]");
        assert_eq!(rank.infer(), "invalid: operand 0 has rank 1, its term 2 letters");
    }

    #[test]
    fn sums_diagonals_and_orders() {
        let square = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(einsum("ij->ji").floats(&[2, 2], &square).f32s(), [1.0, 3.0, 2.0, 4.0]);
        assert_eq!(einsum("ii->i").floats(&[2, 2], &square).f32s(), [1.0, 4.0]);
        assert_eq!(einsum("ii").floats(&[2, 2], &square).f32s(), [5.0]);
        assert_eq!(einsum("ij->").floats(&[2, 2], &square).f32s(), [10.0]);
        assert_eq!(einsum("i,j").floats(&[2], &[1.0, 2.0]).floats(&[2], &[3.0, 4.0]).f32s(), [3.0, 4.0, 6.0, 8.0]);
    }

    #[test]
    fn several_operands_are_taken_in_from_the_left() {
        let bilinear = einsum("i,ij,j->").int64s(&[2], &[1, 2]).int64s(&[2, 2], &[1, 2, 3, 4]).int64s(&[2], &[10, 100]);
        assert_eq!(bilinear.i64s(), [70 + 1000]);
        let broadcast =
            einsum("...i,...i->...").floats(&[2, 1, 2], &[1.0, 2.0, 3.0, 4.0]).floats(&[2, 2], &[1.0, 0.0, 0.0, 1.0]);
        assert_eq!(broadcast.f32s(), [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn the_weight_of_a_projection() {
        let (graph, id) = einsum("bsd,dhe->bshe").input("float[N,s,64]").floats(&[64, 2, 1], &[0.0; 128]).build();
        let found = NodeCx::new(&graph, id).map(|cx| (layers(&cx), macs(&cx).to_string()));
        let Some((found, macs)) = found else { return };
        assert_eq!((found[0].output_axes.clone(), found[0].input_axes.clone()), (vec![1, 2], vec![0]));
        assert_eq!(macs, "128*N*s");
    }
}
