//! A weight as the elements that are not zero, and a bit for each element that tells whether it is one of them.
//!
//! Operators of the standard put it together: a byte is shifted by nought to seven and taken modulo two for its bits; their running sum
//! numbers the elements that are not zero, and times the bit itself it is their place among the values, before which stands a zero.
//! All of it is constant, so runtimes do it once.

use onnxpress_ir::{Attr, DType, Edit, EditError, Graph, Name, Node, NodeId, Tensor, ValueId};
use onnxpress_ops::infer::Standard;

use crate::rewrite::file_size::{self, Written};

/// The oldest version of the standard that can decode it: `BitShift` and `CumSum` came with it.
pub(super) const OPSET: i64 = 11;

/// At most what the nodes and the small constants around them take in the file, names aside.
const AROUND: usize = 700;

/// What a weight is written as.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    /// A byte for eight elements, the first in the lowest bit: `[N, 1]`.
    bits: Tensor,
    /// A zero, and the elements that are not.
    values: Tensor,
    dims: Vec<usize>,
    elements: usize,
}

impl Parts {
    /// Of a weight; `None` where it holds no numbers.
    pub(super) fn of(tensor: &Tensor) -> Option<Self> {
        let flat = tensor.to_f64s().ok()?;
        let mut bits = vec![0u8; flat.len().div_ceil(8)];
        let mut values = vec![0.0];
        for (at, value) in flat.iter().enumerate().filter(|(_, value)| **value != 0.0) {
            bits[at / 8] |= 1 << (at % 8);
            values.push(*value);
        }
        Some(Self {
            bits: Tensor::from_values(&[bits.len(), 1], bits).ok()?,
            values: Tensor::from_f64s(tensor.dtype(), &[values.len()], &values).ok()?,
            dims: tensor.dims().to_vec(),
            elements: flat.len(),
        })
    }

    /// What it takes in the file, at most.
    pub(super) fn bytes(&self, name: Option<&Name>) -> usize {
        let name = name.map_or(file_size::NEW_NAME, |name| name.as_bytes().len()) + "_values".len();
        let tensor = |tensor| file_size::new_tensor(tensor, None, Written::Initializer);
        tensor(&self.bits) + tensor(&self.values) + AROUND + 6 * name
    }

    /// Puts it in the place of a constant.
    ///
    /// # Errors
    /// Where a node does not fit the graph: a defect.
    pub(super) fn put(self, graph: &mut Graph, constant: NodeId, pass: &'static str) -> Result<(), EditError> {
        let value = constant.port(0);
        let name = graph.port(value).name.clone();
        let from: Vec<NodeId> = graph.readers(value).map(|reading| reading.node).min().into_iter().collect();
        let mut edit = Edit::new(graph, &Standard, pass, &from);
        let named = |suffix: &str| name.as_ref().map(|name| name.suffixed(suffix));
        let bits = edit.add_constant(named("_bits"), self.bits);
        let values = edit.add_constant(named("_values"), self.values);
        let shifts = edit.add_constant(named("_shifts"), Tensor::vector((0u8..8).collect()));
        let two = edit.add_constant(named("_two"), Tensor::scalar(2u8));
        let flat = edit.add_constant(named("_flat"), Tensor::vector(vec![-1i64]));
        let axis = edit.add_constant(named("_axis"), Tensor::scalar(0i64));
        let shifted = edit.add(Node::new("BitShift", 1).with(Attr::string("direction", "RIGHT")), &[bits, shifts])?;
        let each = edit.add(Node::new("Mod", 1), &[shifted, two])?;
        let numbers = edit.add(Node::new("Cast", 1).with(Attr::int("to", DType::Int32.code())), &[each])?;
        let set = edit.add(Node::new("Reshape", 1), &[numbers, flat])?;
        let count = edit.add(Node::new("CumSum", 1), &[set, axis])?;
        let places = edit.add(Node::new("Mul", 1), &[count, set])?;
        let mut floats = edit.add(Node::new("Gather", 1), &[values, places])?;
        if !self.elements.is_multiple_of(8) {
            floats = first(&mut edit, floats, self.elements)?;
        }
        let shape =
            edit.add_constant(named("_shape"), Tensor::vector(self.dims.iter().map(|&dim| dim as i64).collect()));
        let whole = edit.add(Node::new("Reshape", 1), &[floats, shape])?;
        edit.replace(value, whole)?;
        edit.remove(constant);
        edit.commit();
        Ok(())
    }
}

/// So many elements from the beginning on.
fn first(edit: &mut Edit<'_>, of: ValueId, count: usize) -> Result<ValueId, EditError> {
    let start = edit.add_constant(None, Tensor::vector(vec![0i64]));
    let end = edit.add_constant(None, Tensor::vector(vec![count as i64]));
    edit.add(Node::new("Slice", 1), &[of, start, end])
}
