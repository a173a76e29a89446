//! What a training step minimizes, written as nodes.
//!
//! `kl` is knowledge distillation: `T² KL(softmax(t / T) ‖ softmax(s / T))`, the mean over all rows (G. Hinton et al., "Distilling
//! the Knowledge in a Neural Network", 2015; the square keeps the size of gradients when the temperature changes). Where an output
//! is a softmax, its operand is compared, and the teacher's scores are the logarithms of its probabilities: that is the same up to
//! a number a row, which the softmax does not see.

use onnxpress_ir::{Attr, DType, Edit, EditError, Graph, Node, Tensor, ValueId};

use super::Loss;

/// The smallest probability whose logarithm is taken: below, binary32 has no normal numbers.
const LEAST: f64 = 1e-30;

/// Writes nodes of one element type.
struct Writer<'e, 'g> {
    edit: &'e mut Edit<'g>,
    dtype: DType,
}

impl Writer<'_, '_> {
    fn apply(&mut self, op_type: &'static str, operands: &[ValueId]) -> Result<ValueId, EditError> {
        self.edit.add(Node::new(op_type, 1), operands)
    }

    fn number(&mut self, value: f64) -> ValueId {
        let tensor = Tensor::from_f64s(self.dtype, &[], &[value]).expect("a loss is of a type of floats");
        self.edit.add_constant(None, tensor)
    }

    fn times(&mut self, value: ValueId, factor: f64) -> Result<ValueId, EditError> {
        if factor == 1.0 {
            return Ok(value);
        }
        let factor = self.number(factor);
        self.apply("Mul", &[value, factor])
    }

    fn mean(&mut self, value: ValueId) -> Result<ValueId, EditError> {
        self.edit.add(Node::new("ReduceMean", 1).with(Attr::int("keepdims", 0)), &[value])
    }

    /// The sum along an axis, which goes.
    fn sum(&mut self, value: ValueId, axis: i64) -> Result<ValueId, EditError> {
        let axes = self.edit.add_constant(None, Tensor::vector(vec![axis]));
        self.edit.add(Node::new("ReduceSum", 1).with(Attr::int("keepdims", 0)), &[value, axes])
    }

    fn log_softmax(&mut self, value: ValueId, axis: i64) -> Result<ValueId, EditError> {
        self.edit.add(Node::new("LogSoftmax", 1).with(Attr::int("axis", axis)), &[value])
    }
}

/// An output as the loss looks at it.
pub(super) struct Compared {
    /// Scores, not probabilities.
    pub scores: ValueId,
    /// The axis of classes.
    pub axis: i64,
    /// Whether what others give for this output are probabilities.
    pub probabilities: bool,
}

impl Compared {
    /// What stands behind an output: of a softmax, what it takes.
    pub(super) fn of(graph: &Graph, output: ValueId) -> Self {
        let rank = graph.ty(output).shape().map_or(2, |shape| shape.len());
        // Pictures of classes have them where pictures have channels.
        let axis = if rank > 3 { 1 } else { -1 };
        if let (Some(node), Some(scores)) = (graph.node(output.node), graph.operand(output.node, 0))
            && node.is("Softmax")
        {
            let along = match node.attr("axis") {
                Some(onnxpress_ir::AttrValue::Int(axis)) => *axis,
                _ => -1,
            };
            return Self { scores, axis: along, probabilities: true };
        }
        Self { scores: output, axis, probabilities: false }
    }
}

/// Writes the loss of one output, of what is wanted of it.
///
/// # Errors
/// Where a node makes no sense.
pub(super) fn write(
    edit: &mut Edit<'_>,
    loss: Loss,
    temperature: f64,
    output: ValueId,
    wanted: ValueId,
    dtype: DType,
) -> Result<ValueId, EditError> {
    let compared = Compared::of(edit.graph(), output);
    let mut writer = Writer { edit, dtype };
    match loss {
        Loss::Mse => {
            let difference = writer.apply("Sub", &[output, wanted])?;
            let square = writer.apply("Mul", &[difference, difference])?;
            writer.mean(square)
        }
        Loss::Kl => writer.kl(&compared, wanted, temperature),
        Loss::CrossEntropy => writer.cross_entropy(&compared, wanted),
    }
}

/// A loss that counts as much.
///
/// # Errors
/// Where a node makes no sense.
pub(super) fn times(edit: &mut Edit<'_>, loss: ValueId, factor: f64, dtype: DType) -> Result<ValueId, EditError> {
    Writer { edit, dtype }.times(loss, factor)
}

impl Writer<'_, '_> {
    fn kl(&mut self, compared: &Compared, teacher: ValueId, temperature: f64) -> Result<ValueId, EditError> {
        let teacher = if compared.probabilities {
            let least = self.number(LEAST);
            let positive = self.apply("Max", &[teacher, least])?;
            self.apply("Log", &[positive])?
        } else {
            teacher
        };
        let cooled = self.times(compared.scores, 1.0 / temperature)?;
        let student = self.log_softmax(cooled, compared.axis)?;
        let cooled = self.times(teacher, 1.0 / temperature)?;
        let teacher = self.log_softmax(cooled, compared.axis)?;
        let probabilities = self.apply("Exp", &[teacher])?;
        let difference = self.apply("Sub", &[teacher, student])?;
        let weighted = self.apply("Mul", &[probabilities, difference])?;
        let rows = self.sum(weighted, compared.axis)?;
        let mean = self.mean(rows)?;
        self.times(mean, temperature * temperature)
    }

    /// Classes are told apart by comparing their numbers with the label.
    fn cross_entropy(&mut self, compared: &Compared, labels: ValueId) -> Result<ValueId, EditError> {
        let logs = self.log_softmax(compared.scores, compared.axis)?;
        let shape = self.apply("Shape", &[compared.scores])?;
        let axis = self.edit.add_constant(None, Tensor::scalar(compared.axis));
        let classes = self.apply("Gather", &[shape, axis])?;
        let (zero, one) = (Tensor::scalar(0i64), Tensor::scalar(1i64));
        let (zero, one) = (self.edit.add_constant(None, zero), self.edit.add_constant(None, one));
        let numbers = self.apply("Range", &[zero, classes, one])?;
        let rank = self.edit.graph().ty(compared.scores).shape().map_or(2, |shape| shape.len()) as i64;
        // Along the axis of classes, whatever comes behind it.
        let behind = if compared.axis < 0 { -compared.axis - 1 } else { rank - 1 - compared.axis };
        let extents: Vec<i64> = std::iter::once(-1).chain((0..behind).map(|_| 1)).collect();
        let extents = self.edit.add_constant(None, Tensor::vector(extents));
        let numbers = self.apply("Reshape", &[numbers, extents])?;
        let place = self.edit.add_constant(None, Tensor::vector(vec![compared.axis]));
        let labels = self.apply("Unsqueeze", &[labels, place])?;
        let right = self.apply("Equal", &[labels, numbers])?;
        let right = self.edit.add(Node::new("Cast", 1).with(Attr::int("to", self.dtype.code())), &[right])?;
        let chosen = self.apply("Mul", &[right, logs])?;
        let rows = self.sum(chosen, compared.axis)?;
        let mean = self.mean(rows)?;
        self.apply("Neg", &[mean])
    }
}
