//! What is known of a value that is one of two: the branches of a condition, a loop's first turn and its later ones.

use onnxpress_ir::{Dim, Fact, Shape, TensorType, Type};

/// What holds whichever of the two it is.
pub fn either(a: &Fact, b: &Fact) -> Fact {
    let elements = match (&a.elements, &b.elements) {
        (Some(a), Some(b)) if a.len() == b.len() => {
            let both = a.iter().zip(b.iter()).map(|(a, b)| either_dim(a, b)).collect::<Vec<_>>();
            both.iter().any(|dim| !dim.is_unknown()).then(|| both.into())
        }
        _ => None,
    };
    Fact { ty: either_type(&a.ty, &b.ty), elements }
}

/// The type that holds whichever of the two it is.
pub fn either_type(a: &Type, b: &Type) -> Type {
    match (a, b) {
        (Type::Tensor(a), Type::Tensor(b)) => Type::Tensor(either_tensor(a, b)),
        (Type::SparseTensor(a), Type::SparseTensor(b)) => Type::SparseTensor(either_tensor(a, b)),
        (Type::Sequence(a), Type::Sequence(b)) => Type::Sequence(Box::new(either_type(a, b))),
        (Type::Optional(a), Type::Optional(b)) => Type::Optional(Box::new(either_type(a, b))),
        (Type::Map(k, a), Type::Map(l, b)) if k == l => Type::Map(*k, Box::new(either_type(a, b))),
        _ if a == b => a.clone(),
        _ => Type::Unknown,
    }
}

fn either_tensor(a: &TensorType, b: &TensorType) -> TensorType {
    let shape = match (&a.shape, &b.shape) {
        (Some(a), Some(b)) if a.len() == b.len() => {
            Some(a.iter().zip(b.iter()).map(|(a, b)| either_dim(a, b)).collect::<Shape>())
        }
        _ => None,
    };
    TensorType { dtype: a.dtype.filter(|&dtype| b.dtype == Some(dtype)), shape }
}

fn either_dim(a: &Dim, b: &Dim) -> Dim {
    if a == b { a.clone() } else { Dim::unknown() }
}
