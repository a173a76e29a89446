//! Types of values: what is known of a value before the model runs.

use std::fmt;

use crate::dtype::DType;
use crate::name::Name;
use crate::shape::{MergeError, Shape};

/// What is known of a dense or sparse tensor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// The element type, where known.
    pub dtype: Option<DType>,
    /// The extents, where the rank is known.
    pub shape: Option<Shape>,
}

/// The type of a value. Not to know is a state, never an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Type {
    /// Nothing is known.
    #[default]
    Unknown,
    /// A dense tensor.
    Tensor(TensorType),
    /// A sparse tensor.
    SparseTensor(TensorType),
    /// A sequence of values of one type.
    Sequence(Box<Type>),
    /// A value of a type, or none.
    Optional(Box<Type>),
    /// A map from keys of an integral or string type.
    Map(DType, Box<Type>),
    /// A type that only its domain can explain.
    Opaque {
        /// The domain.
        domain: Name,
        /// The name within the domain.
        name: Name,
    },
}

/// Two descriptions of one value that cannot both be true.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TypeConflict {
    /// Different constructors or element types.
    #[error("{0} is not {1}")]
    Kind(Box<Type>, Box<Type>),
    /// Shapes that cannot be the same.
    #[error("{0}")]
    Shape(Box<MergeError>),
}

impl From<MergeError> for TypeConflict {
    fn from(error: MergeError) -> Self {
        Self::Shape(Box::new(error))
    }
}

impl Type {
    /// A tensor of which all may be known.
    pub fn tensor(dtype: impl Into<Option<DType>>, shape: impl Into<Option<Shape>>) -> Self {
        Self::Tensor(TensorType { dtype: dtype.into(), shape: shape.into() })
    }

    /// The tensor type, if it is a dense tensor.
    pub fn as_tensor(&self) -> Option<&TensorType> {
        match self {
            Self::Tensor(tensor) => Some(tensor),
            _ => None,
        }
    }

    /// The element type, if it is a dense tensor whose element type is known.
    pub fn dtype(&self) -> Option<DType> {
        self.as_tensor()?.dtype
    }

    /// The shape, if it is a dense tensor whose rank is known.
    pub fn shape(&self) -> Option<&Shape> {
        self.as_tensor()?.shape.as_ref()
    }

    /// Whether nothing is known.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }

    /// What both descriptions of the same value say together.
    ///
    /// # Errors
    /// Where they cannot both be true.
    pub fn merge(&self, other: &Self) -> Result<Self, TypeConflict> {
        let conflict = || TypeConflict::Kind(Box::new(self.clone()), Box::new(other.clone()));
        let tensors = |a: &TensorType, b: &TensorType| -> Result<TensorType, TypeConflict> {
            let dtype = match (a.dtype, b.dtype) {
                (Some(a), Some(b)) if a != b => return Err(conflict()),
                (a, b) => a.or(b),
            };
            let shape = match (&a.shape, &b.shape) {
                (Some(a), Some(b)) => Some(a.merge(b)?),
                (a, b) => a.clone().or_else(|| b.clone()),
            };
            Ok(TensorType { dtype, shape })
        };
        Ok(match (self, other) {
            (Self::Unknown, known) | (known, Self::Unknown) => known.clone(),
            (Self::Tensor(a), Self::Tensor(b)) => Self::Tensor(tensors(a, b)?),
            (Self::SparseTensor(a), Self::SparseTensor(b)) => Self::SparseTensor(tensors(a, b)?),
            (Self::Sequence(a), Self::Sequence(b)) => Self::Sequence(Box::new(a.merge(b)?)),
            (Self::Optional(a), Self::Optional(b)) => Self::Optional(Box::new(a.merge(b)?)),
            (Self::Map(k, a), Self::Map(l, b)) if k == l => Self::Map(*k, Box::new(a.merge(b)?)),
            (Self::Opaque { .. }, Self::Opaque { .. }) if self == other => self.clone(),
            _ => return Err(conflict()),
        })
    }
}

/// ONNX's text syntax: `float[N,3]`, `float[]` for a scalar, `float` for an unknown rank, `seq(int64)`; `?` where nothing is known.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tensor = |f: &mut fmt::Formatter<'_>, t: &TensorType| {
            match t.dtype {
                Some(dtype) => write!(f, "{dtype}")?,
                None => f.write_str("?")?,
            }
            match &t.shape {
                Some(shape) => write!(f, "{shape}"),
                None => Ok(()),
            }
        };
        match self {
            Self::Unknown => f.write_str("?"),
            Self::Tensor(t) => tensor(f, t),
            Self::SparseTensor(t) => {
                f.write_str("sparse_tensor(")?;
                tensor(f, t)?;
                f.write_str(")")
            }
            Self::Sequence(element) => write!(f, "seq({element})"),
            Self::Optional(element) => write!(f, "optional({element})"),
            Self::Map(key, value) => write!(f, "map({key}, {value})"),
            Self::Opaque { domain, name } => write!(f, "opaque({domain}, {name})"),
        }
    }
}
