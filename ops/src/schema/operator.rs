//! What a schema says of an operator.

use onnxpress_ir::{AttrKind, DType};

use super::types::TypeSet;

/// One version of an operator: it holds from `since_version` of its domain until the operator's next version.
///
/// Printed, it is its line in the table.
#[derive(Clone, Debug, PartialEq)]
pub struct OpSchema {
    /// The domain, the standard's spelled [`super::STANDARD`].
    pub domain: &'static str,
    /// The operator's name.
    pub name: &'static str,
    /// The version of the domain that brought this version of the operator.
    pub since_version: i64,
    /// Whether this version takes the operator out of the standard: from here on no model may use it.
    pub deprecated: bool,
    /// Whether the standard defines the operator by a function body, so that other operators can stand for it.
    pub function_body: bool,
    /// The operands, in order; only the last can be variadic.
    pub inputs: Vec<Formal>,
    /// The results, in order; only the last can be variadic.
    pub outputs: Vec<Formal>,
    /// The attributes, in order of name.
    pub attributes: Vec<AttributeSchema>,
    /// What the type parameters may stand for.
    pub constraints: Vec<TypeConstraint>,
}

/// A formal operand or result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Formal {
    /// The standard's name for it. Unique among the operands, and among the results, of all but a few first versions.
    pub name: &'static str,
    /// How many values it takes.
    pub kind: FormalKind,
    /// What types they may have.
    pub types: TypeRef,
}

/// How many values a formal operand or result takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormalKind {
    /// One.
    Single,
    /// One or none; one that is left out in the middle of a list keeps its place.
    Optional,
    /// All that follow.
    Variadic {
        /// The least number of values.
        min: usize,
        /// Whether a type parameter stands for one type, the same for all the values.
        homogeneous: bool,
    },
}

/// The type of a formal operand or result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeRef {
    /// A type parameter: the index in [`OpSchema::constraints`].
    Parameter(usize),
    /// A dense tensor of this element type.
    Tensor(DType),
}

/// What a type parameter may stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeConstraint {
    /// The parameter: `T`, `T1`, ….
    pub parameter: &'static str,
    /// The types.
    pub types: TypeSet,
}

/// What an operator says of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub struct AttributeSchema {
    /// The attribute's name.
    pub name: &'static str,
    /// What kind of value it has.
    pub kind: AttrKind,
    /// Whether it must be given.
    pub required: bool,
    /// What it is when not given. `None` where it must be given, and where to leave it out has a meaning of its own.
    pub default: Option<Default>,
}

/// The value of an attribute that is not given.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names are those of the kinds")]
pub enum Default {
    Float(f32),
    Int(i64),
    String(&'static str),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    Strings(Vec<&'static str>),
}

impl OpSchema {
    /// The least number of operands. Ones that are left out in the middle count: they have a place.
    pub fn min_inputs(&self) -> usize {
        least(&self.inputs)
    }

    /// The greatest number of operands; `None` where there is no limit.
    pub fn max_inputs(&self) -> Option<usize> {
        greatest(&self.inputs)
    }

    /// The least number of results. Ones that are left out in the middle count: they have a place.
    pub fn min_outputs(&self) -> usize {
        least(&self.outputs)
    }

    /// The greatest number of results; `None` where there is no limit.
    pub fn max_outputs(&self) -> Option<usize> {
        greatest(&self.outputs)
    }

    /// What stands at operand `slot`: beyond the end, the variadic operand if there is one.
    pub fn input(&self, slot: usize) -> Option<&Formal> {
        at(&self.inputs, slot)
    }

    /// What stands at result `port`: beyond the end, the variadic result if there is one.
    pub fn output(&self, port: usize) -> Option<&Formal> {
        at(&self.outputs, port)
    }

    /// The slot of the operand with this name; of a variadic one the first.
    pub fn input_slot(&self, name: &str) -> Option<usize> {
        self.inputs.iter().position(|formal| formal.name == name)
    }

    /// The port of the result with this name; of a variadic one the first.
    pub fn output_port(&self, name: &str) -> Option<usize> {
        self.outputs.iter().position(|formal| formal.name == name)
    }

    /// The attribute with this name.
    pub fn attribute(&self, name: impl AsRef<[u8]>) -> Option<&AttributeSchema> {
        let index = self.attributes.binary_search_by(|attribute| attribute.name.as_bytes().cmp(name.as_ref())).ok()?;
        self.attributes.get(index)
    }

    /// The constraint of the formal's type parameter; `None` where its type is fixed. `formal` must be of this schema.
    pub fn constraint(&self, formal: &Formal) -> Option<&TypeConstraint> {
        match formal.types {
            TypeRef::Parameter(index) => self.constraints.get(index),
            TypeRef::Tensor(_) => None,
        }
    }
}

impl Formal {
    /// Whether it is variadic.
    pub fn is_variadic(&self) -> bool {
        matches!(self.kind, FormalKind::Variadic { .. })
    }
}

fn least(formals: &[Formal]) -> usize {
    formals.iter().enumerate().fold(0, |least, (index, formal)| match formal.kind {
        FormalKind::Single => index + 1,
        FormalKind::Optional => least,
        // Those before it must have their places, or its values would stand there.
        FormalKind::Variadic { min, .. } => index + min,
    })
}

fn greatest(formals: &[Formal]) -> Option<usize> {
    match formals.last() {
        Some(last) if last.is_variadic() => None,
        _ => Some(formals.len()),
    }
}

fn at(formals: &[Formal], index: usize) -> Option<&Formal> {
    formals.get(index).or_else(|| formals.last().filter(|last| last.is_variadic()))
}
