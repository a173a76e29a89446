//! Whether the letters of a data sheet tell the truth: when two indices of a letter change places in all operands that have it,
//! they change places in the outputs, and nothing else changes.

use std::collections::BTreeMap;

use onnxpress_ir::{Shape, Tensor, Type};

use super::{OneNode, Operand};
use crate::axes::{Axed, Axis, Factor, Role, Segment};
use crate::evaluate::Value;
use crate::evaluate::pick::pick;
use crate::evaluate::walk::{Walk, strides};
use crate::interpret::{self, Limits};
use crate::node::NodeCx;
use crate::table;

/// The segments of each axis of a tensor; `None` where nothing is said of it.
type Laid = Option<Vec<Vec<Segment>>>;

/// The axes of a tensor of these extents, with those that stand for any number of them written out.
fn lay_out(axed: &Axed, dims: &[usize]) -> Laid {
    let axed = axed.as_ref()?;
    let many = axed.iter().filter(|axis| matches!(axis, Axis::Many(_))).count();
    let spread = (dims.len() + many).checked_sub(axed.len())?;
    let mut laid = Vec::new();
    for axis in axed {
        match axis {
            Axis::Segments(segments) => laid.push(segments.clone()),
            Axis::Many(letter) => laid.extend(
                (0..spread)
                    .map(|at| {
                        let letter = format!("{letter}{}", spread - at);
                        let broadcast = dims[laid.len() + at] == 1;
                        let segment = Segment::Product(vec![Factor { letter, extent: None }]);
                        vec![if broadcast { Segment::One } else { segment }]
                    })
                    .collect::<Vec<_>>(),
            ),
        }
    }
    (laid.len() == dims.len()).then_some(laid)
}

/// The extent of every letter, as far as it follows from what is written and from the extents of axes.
struct Extents(BTreeMap<String, usize>);

impl Extents {
    fn of(tensors: &[(Laid, Vec<usize>)]) -> Self {
        let mut extents = Self(BTreeMap::new());
        let axes = || {
            tensors.iter().flat_map(|(laid, dims)| laid.iter().flat_map(|laid| laid.iter().zip(dims.iter().copied())))
        };
        for (segments, _) in axes() {
            for factor in segments.iter().flat_map(factors) {
                if let Some(extent) = factor.extent {
                    extents.0.insert(factor.letter.clone(), extent as usize);
                }
            }
        }
        loop {
            let before = extents.0.len();
            axes().for_each(|(segments, extent)| extents.solve(segments, extent));
            if extents.0.len() == before {
                return extents;
            }
        }
    }

    fn length(&self, segment: &Segment) -> Option<usize> {
        match segment {
            Segment::One => Some(1),
            Segment::Opaque => None,
            Segment::Product(factors) => {
                factors.iter().map(|factor| self.0.get(&factor.letter)).product::<Option<usize>>()
            }
        }
    }

    /// A single segment that is not known is what the others leave; a single factor likewise.
    fn solve(&mut self, segments: &[Segment], extent: usize) {
        let mut open = segments.iter().filter(|segment| self.length(segment).is_none());
        let (Some(Segment::Product(factors)), None) = (open.next(), open.next()) else { return };
        let others: usize = segments.iter().filter_map(|segment| self.length(segment)).sum();
        let mut unknown = factors.iter().filter(|factor| !self.0.contains_key(&factor.letter));
        let (Some(factor), None) = (unknown.next(), unknown.next()) else { return };
        let known: usize = factors.iter().filter_map(|factor| self.0.get(&factor.letter)).product();
        self.0.insert(factor.letter.clone(), (extent - others) / known);
    }

    /// Where each index of an axis comes from when two indices of a letter change places.
    fn swapped(&self, segments: &[Segment], extent: usize, letter: &str, swap: (usize, usize)) -> Vec<usize> {
        let mut from: Vec<usize> = (0..extent).collect();
        let lengths: Vec<_> = segments.iter().map(|segment| self.length(segment)).collect();
        let known: usize = lengths.iter().flatten().sum();
        let mut start = 0;
        for (segment, length) in segments.iter().zip(lengths) {
            let length = length.unwrap_or(extent - known);
            if let Segment::Product(factors) = segment {
                let mut inner = length;
                for factor in factors {
                    let size = self.0[&factor.letter];
                    inner /= size;
                    if factor.letter == letter {
                        for (index, place) in from[start..start + length].iter_mut().enumerate() {
                            let digit = index / inner % size;
                            let other = if digit == swap.0 {
                                swap.1
                            } else if digit == swap.1 {
                                swap.0
                            } else {
                                digit
                            };
                            *place = start + index - digit * inner + other * inner;
                        }
                    }
                }
            }
            start += length;
        }
        from
    }

    fn permute(&self, tensor: &Tensor, laid: &Laid, letter: &str, swap: (usize, usize)) -> Tensor {
        let Some(laid) = laid else { return tensor.clone() };
        let (dims, strides) = (tensor.dims(), strides(tensor.dims()));
        let ways: Vec<_> =
            laid.iter().zip(dims).map(|(segments, &extent)| self.swapped(segments, extent, letter, swap)).collect();
        pick(tensor, dims, Walk::new(dims, |axis, index| Some(ways[axis][index] * strides[axis])).flatten()).unwrap()
    }
}

fn factors(segment: &Segment) -> &[Factor] {
    match segment {
        Segment::Product(factors) => factors,
        Segment::One | Segment::Opaque => &[],
    }
}

fn close(a: &Tensor, b: &Tensor) -> bool {
    if !a.dtype().is_float() {
        return a == b;
    }
    let (x, y) = (a.to_f64s().unwrap(), b.to_f64s().unwrap());
    a.dims() == b.dims() && x.iter().zip(&y).all(|(x, y)| x == y || (x - y).abs() <= 1e-5 * x.abs().max(1.0))
}

impl OneNode {
    /// Fails unless every letter tells the truth about this node, whose operands are all constant. Answers the letters that
    /// were tried: those with at least two indices, along which nothing is chosen and no state is carried.
    pub(crate) fn letters_that_hold(&self) -> String {
        let base = tensors(&self.evaluate().unwrap());
        let (mut graph, id) = self.build();
        for (port, tensor) in (0u32..).zip(&base) {
            graph.set_fact(id.port(port), Type::tensor(tensor.dtype(), Shape::from_extents(tensor.dims())), None);
        }
        let cx = NodeCx::new(&graph, id).unwrap();
        let relation = table::of(cx.node).unwrap().axes.relation(&cx).unwrap();
        let operands: Vec<Option<Tensor>> = self.operands.iter().map(constant).collect();
        let lay = |axed: &Axed, tensor: &Tensor| (lay_out(axed, tensor.dims()), tensor.dims().to_vec());
        let from: Vec<_> = operands
            .iter()
            .enumerate()
            .map(|(index, tensor)| match (relation.operands.get(index), tensor) {
                (Some(axed), Some(tensor)) => lay(axed, tensor),
                _ => (None, Vec::new()),
            })
            .collect();
        let to: Vec<_> = relation.outputs.iter().zip(&base).map(|(axed, tensor)| lay(axed, tensor)).collect();
        let extents = Extents::of(&[from.as_slice(), &to].concat());
        let apart = |letter: &String| {
            let roles = relation.roles.iter().filter(|(role, _)| *role != Role::Normalized);
            roles.flat_map(|(_, letters)| letters).any(|other| other == letter)
        };
        let tried: Vec<&String> = extents
            .0
            .iter()
            .filter(|(letter, extent)| **extent > 1 && !apart(letter))
            .map(|(letter, _)| letter)
            .collect();
        for letter in &tried {
            for swap in [(0, 1), (0, extents.0[*letter] - 1)] {
                let inputs: Vec<Option<Value>> = operands
                    .iter()
                    .zip(&from)
                    .map(|(tensor, (laid, _))| {
                        tensor.as_ref().map(|tensor| extents.permute(tensor, laid, letter, swap).into())
                    })
                    .collect();
                let outputs = tensors(&interpret::node(&graph, id, &inputs, Limits::default()).unwrap());
                for ((laid, _), (before, after)) in to.iter().zip(base.iter().zip(&outputs)) {
                    let expected = extents.permute(before, laid, letter, swap);
                    assert!(laid.is_none() || close(&expected, after), "`{letter}` of `{relation}`");
                }
            }
        }
        tried.into_iter().map(String::as_str).collect::<Vec<_>>().join(" ")
    }
}

fn constant(operand: &Operand) -> Option<Tensor> {
    match operand {
        Operand::Constant(tensor) => Some(tensor.clone()),
        Operand::Omitted | Operand::Known(_) => None,
    }
}

fn tensors(values: &[Value]) -> Vec<Tensor> {
    values.iter().map(|value| value.as_tensor().unwrap().clone()).collect()
}
