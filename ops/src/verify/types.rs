//! Types of operands and results against the type parameters of a schema.
//!
//! What is not known contradicts nothing. Shapes are no part of what a type parameter stands for.

use onnxpress_ir::{Graph, Node, NodeId, Type};
use smallvec::{SmallVec, smallvec};

use super::node::Found;
use super::problem::Problem;
use crate::schema::{Formal, FormalKind, OpSchema, TypeConstraint, TypeRef, TypeSet};

/// Checks the types of a node's operands and results.
pub(super) fn check(graph: &Graph, id: NodeId, node: &Node, schema: &'static OpSchema, found: &mut Found) {
    let mut check = Check { schema, bound: smallvec![None; schema.constraints.len()], found };
    for (slot, operand) in graph.operands(id).enumerate() {
        if let (Some(formal), Some(value)) = (schema.input(slot), operand) {
            check.value("operand", slot, formal, graph.ty(value));
        }
    }
    for (port, result) in node.ports().iter().enumerate().filter(|(_, result)| !result.omitted) {
        if let Some(formal) = schema.output(port) {
            check.value("result", port, formal, &result.ty);
        }
    }
}

struct Check<'a> {
    schema: &'static OpSchema,
    /// By type parameter: the first value that tells what it stands for.
    bound: SmallVec<[Option<Bound<'a>>; 4]>,
    found: &'a mut Found,
}

#[derive(Clone, Copy)]
struct Bound<'a> {
    role: &'static str,
    index: usize,
    formal: &'static Formal,
    ty: &'a Type,
}

impl Bound<'_> {
    fn name(&self) -> String {
        format!("{} {} (`{}`)", self.role, self.index, self.formal.name)
    }
}

impl<'a> Check<'a> {
    fn value(&mut self, role: &'static str, index: usize, formal: &'static Formal, ty: &'a Type) {
        let value = Bound { role, index, formal, ty };
        let constraint = match (formal.types, self.schema.constraint(formal)) {
            (TypeRef::Tensor(dtype), _) => {
                if !matches!(ty, Type::Unknown | Type::Tensor(_)) || ty.dtype().is_some_and(|found| found != dtype) {
                    self.wrong_type(&value, || dtype.to_string());
                }
                return;
            }
            (_, Some(constraint)) => constraint,
            (_, None) => return,
        };
        if !admits(&constraint.types, ty) {
            self.wrong_type(&value, || constraint.types.to_string());
        } else if !matches!(formal.kind, FormalKind::Variadic { homogeneous: false, .. }) {
            self.bind(constraint, value);
        }
    }

    fn wrong_type(&mut self, value: &Bound<'_>, expected: impl FnOnce() -> String) {
        self.found.error(|| Problem::Type { value: value.name(), found: unshaped(value.ty), expected: expected() });
    }

    fn bind(&mut self, constraint: &'static TypeConstraint, value: Bound<'a>) {
        let TypeRef::Parameter(parameter) = value.formal.types else { return };
        match &self.bound[parameter] {
            None if is_known(value.ty) => self.bound[parameter] = Some(value),
            None => {}
            Some(first) if agree(first.ty, value.ty) => {}
            Some(first) => self.found.error(|| Problem::Binding {
                parameter: constraint.parameter,
                first: first.name(),
                first_type: unshaped(first.ty),
                second: value.name(),
                second_type: unshaped(value.ty),
            }),
        }
    }
}

/// Whether the type can be one of the set.
fn admits(set: &TypeSet, ty: &Type) -> bool {
    let inner = |set: &Option<Box<TypeSet>>, ty| set.as_ref().is_some_and(|set| admits(set, ty));
    match ty {
        Type::Unknown => true,
        Type::Tensor(tensor) => match tensor.dtype {
            Some(dtype) => set.tensors.contains(dtype),
            None => !set.tensors.is_empty(),
        },
        Type::SparseTensor(tensor) => match tensor.dtype {
            Some(dtype) => set.sparse_tensors.contains(dtype),
            None => !set.sparse_tensors.is_empty(),
        },
        Type::Sequence(element) => inner(&set.sequences, element),
        Type::Optional(element) => inner(&set.optionals, element),
        Type::Map(key, value) => set.maps.iter().any(|(k, values)| {
            let tensors = TypeSet { tensors: *values, ..TypeSet::default() };
            k == key && admits(&tensors, value)
        }),
        Type::Opaque { .. } => false,
    }
}

/// Whether a type parameter can stand for both.
fn agree(a: &Type, b: &Type) -> bool {
    match (a, b) {
        (Type::Unknown, _) | (_, Type::Unknown) => true,
        (Type::Tensor(a), Type::Tensor(b)) | (Type::SparseTensor(a), Type::SparseTensor(b)) => {
            a.dtype.is_none() || b.dtype.is_none() || a.dtype == b.dtype
        }
        (Type::Sequence(a), Type::Sequence(b)) | (Type::Optional(a), Type::Optional(b)) => agree(a, b),
        (Type::Map(k, a), Type::Map(l, b)) => k == l && agree(a, b),
        _ => a == b,
    }
}

/// Whether the type is known down to the elements.
fn is_known(ty: &Type) -> bool {
    match ty {
        Type::Unknown => false,
        Type::Tensor(tensor) | Type::SparseTensor(tensor) => tensor.dtype.is_some(),
        Type::Sequence(inner) | Type::Optional(inner) | Type::Map(_, inner) => is_known(inner),
        Type::Opaque { .. } => true,
    }
}

/// The type without its shapes, which do not matter here and would only distract.
fn unshaped(ty: &Type) -> String {
    fn strip(ty: &mut Type) {
        match ty {
            Type::Tensor(tensor) | Type::SparseTensor(tensor) => tensor.shape = None,
            Type::Sequence(inner) | Type::Optional(inner) | Type::Map(_, inner) => strip(inner),
            Type::Unknown | Type::Opaque { .. } => {}
        }
    }
    let mut ty = ty.clone();
    strip(&mut ty);
    ty.to_string()
}
