//! The data sheet: everything the compiler knows of an operator, in one static value.
//!
//! All facets are required. What an operator cannot offer is written down with its reason, never left to a default, so a
//! forgotten facet cannot look like a decided one, and the reason reaches the tables and the reports.

use onnxpress_ir::{Dim, Fact, Graph};

use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{BodyInference, InferCx, Undecided};
use crate::node::NodeCx;

/// What the compiler knows of an operator. The schema (operands, attributes, versions) is in [`crate::schema`].
#[derive(Debug)]
pub struct Operator {
    /// The domain; empty for `ai.onnx`.
    pub domain: &'static str,
    /// The operator's name (`op_type`).
    pub name: &'static str,
    /// Types, symbolic shapes and symbolic values of the outputs.
    pub infer: Infer,
    /// Which axes of operands and outputs are one set of indices.
    pub axes: Axes,
    /// The outputs of constant operands, by the standard's semantics.
    pub evaluate: Evaluate,
    /// Which operands are weights of a linear map.
    pub linear: Linear,
    /// What quantization may do with it.
    pub quantize: Quantize,
    /// Multiply-accumulates.
    pub cost: Cost,
    /// Whether the outputs depend on anything but the operands.
    pub effects: Effects,
    /// The nodes that compute the operands' gradients from those of the results.
    pub gradient: Gradient,
}

/// Infers a node with subgraphs: its operands, its bodies to be annotated, and what annotates them; one fact an output.
pub type InferBodies = fn(&NodeCx<'_>, &mut [&mut Graph], &mut BodyInference<'_, '_>) -> Result<Vec<Fact>, Undecided>;

/// The facet that infers types, symbolic shapes and symbolic values of small tensors of whole numbers.
#[derive(Debug, Clone, Copy)]
pub enum Infer {
    /// From what is known of the operands.
    With(fn(&mut InferCx<'_>) -> Result<(), Undecided>),
    /// By inferring the subgraphs too, which are handed over to be annotated.
    Bodies(InferBodies),
    /// Not possible, because.
    NotPossible(&'static str),
}

/// The facet that computes.
#[derive(Debug, Clone, Copy)]
pub enum Evaluate {
    /// Plain and right. Answers the outputs in order; trailing ones that the node does not ask for may be left out.
    With(fn(&EvalCx<'_>) -> Result<Vec<Value>, EvalError>),
    /// Not possible, because.
    NotPossible(&'static str),
}

/// A linear map inside an operator: `output = weight · input (+ bias)`, contracted over the input axes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinearLayer {
    /// Which operand is the input.
    pub input: usize,
    /// Which operand is the weight.
    pub weight: usize,
    /// Which operand is the bias, if the operator has a place for one (whether or not the node uses it).
    pub bias: Option<usize>,
    /// Axes of the weight that index outputs, outermost first.
    pub output_axes: Vec<usize>,
    /// Axes of the weight that are summed over, outermost first (for a convolution: channels of one group, then the kernel's).
    pub input_axes: Vec<usize>,
    /// Axes of the weight that run in step with the input's (batched MatMul).
    pub batch_axes: Vec<usize>,
    /// Into how many groups outputs and inputs fall. Where there are several, axis 0 of the weight runs over all of them,
    /// whether it indexes outputs (`Conv`) or inputs (`ConvTranspose`).
    pub groups: i64,
    /// Where the rows stand that the weight is multiplied with.
    pub rows: Rows,
}

/// Where the rows stand that a weight is multiplied with, and the results: what statistics of a layer's input are taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// The input has an axis that runs over the weight's input axes, the output one that runs over its output axes; the other
    /// axes of the two, in their order, are the same rows.
    Along {
        /// The axis of the input.
        input: usize,
        /// The axis of the output; `None` where the operator goes on computing with the results.
        output: Option<usize>,
    },
    /// Windows slide over the input `[n, g·i, s..]`, as the attributes of a convolution say; the output is `[n, g·o, t..]`.
    Windows,
    /// Not to be had from input and output, because.
    Hidden(&'static str),
}

/// The facet that tells weights.
#[derive(Debug, Clone, Copy)]
pub enum Linear {
    /// The linear maps of this node; empty where none of its operands can be a weight.
    Layers(fn(&NodeCx<'_>) -> Vec<LinearLayer>),
    /// No operand is the weight of a linear map, because.
    None(&'static str),
}

/// The facet that tells what quantization may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantize {
    /// Multiplies and sums: worth computing on integers, operands and output each with their own parameters.
    Computes,
    /// Elementwise arithmetic of operands that may have parameters of their own each.
    Elementwise,
    /// Hands elements on unchanged, so operand and output share their parameters.
    Moves,
    /// Already about quantized values.
    Quantized,
    /// Stays in float (or never was), because.
    KeepsFloat(&'static str),
}

/// The facet that counts work.
#[derive(Debug, Clone, Copy)]
pub enum Cost {
    /// Multiply-accumulates: one for each use of a weight. [`Dim::unknown`] where a shape is not known.
    Macs(fn(&NodeCx<'_>) -> Dim),
    /// No multiply-accumulates, because.
    None(&'static str),
}

/// The facet that tells what else outputs depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effects {
    /// On nothing but operands and attributes: equal nodes can be one, constant ones can be folded.
    Pure,
    /// On chance: never shared, never folded, removed only when nothing reads it.
    Random,
    /// On its subgraphs: pure where they are.
    OfBodies,
}
