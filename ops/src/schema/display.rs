//! Prints schemas in the form of the table, so that a reader of messages and of the table reads one language.

use std::fmt;

use onnxpress_ir::DType;

use super::operator::{AttributeSchema, Default, Formal, FormalKind, OpSchema, TypeRef};
use super::types::{ElementSet, GROUPS, TypeSet};

/// The order in which element types are printed: what most sets have, then what newer versions added.
const ORDER: [DType; 28] = [
    DType::Bool,
    DType::String,
    DType::Float16,
    DType::Float,
    DType::Double,
    DType::Bfloat16,
    DType::Int8,
    DType::Int16,
    DType::Int32,
    DType::Int64,
    DType::Uint8,
    DType::Uint16,
    DType::Uint32,
    DType::Uint64,
    DType::Complex64,
    DType::Complex128,
    DType::Float8e4m3fn,
    DType::Float8e4m3fnuz,
    DType::Float8e5m2,
    DType::Float8e5m2fnuz,
    DType::Float8e8m0,
    DType::Float6e2m3,
    DType::Float6e3m2,
    DType::Float4e2m1,
    DType::Int4,
    DType::Uint4,
    DType::Int2,
    DType::Uint2,
];

impl fmt::Display for OpSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.name, self.since_version)?;
        f.write_str(if self.deprecated { "deprecated " } else { "" })?;
        f.write_str(if self.function_body { "function " } else { "" })?;
        f.write_str("(")?;
        self.formals(f, &self.inputs)?;
        f.write_str(") -> (")?;
        self.formals(f, &self.outputs)?;
        f.write_str(") {")?;
        separated(f, ", ", &self.attributes, |f, attribute| attribute.fmt(f))?;
        f.write_str("}")?;
        f.write_str(if self.constraints.is_empty() { "" } else { " where " })?;
        separated(f, "; ", &self.constraints, |f, c| write!(f, "{}: {}", c.parameter, c.types))
    }
}

impl OpSchema {
    fn formals(&self, f: &mut fmt::Formatter<'_>, formals: &[Formal]) -> fmt::Result {
        separated(f, ", ", formals, |f, formal| {
            write!(f, "{}: ", formal.name)?;
            match (formal.types, self.constraint(formal)) {
                (TypeRef::Tensor(dtype), _) => write!(f, "tensor({dtype})")?,
                (TypeRef::Parameter(_), Some(constraint)) => f.write_str(constraint.parameter)?,
                (TypeRef::Parameter(index), None) => write!(f, "?{index}")?,
            }
            match formal.kind {
                FormalKind::Single => Ok(()),
                FormalKind::Optional => f.write_str("?"),
                FormalKind::Variadic { min, homogeneous } => {
                    match min {
                        0 => f.write_str("*")?,
                        1 => f.write_str("+")?,
                        _ => write!(f, "+{min}")?,
                    }
                    f.write_str(if homogeneous { "" } else { " mixed" })
                }
            }
        })
    }
}

impl fmt::Display for AttributeSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}{}", self.name, self.kind, if self.required { "!" } else { "" })?;
        match &self.default {
            Some(default) => write!(f, " = {default}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Default {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::String(value) => write!(f, "\"{value}\""),
            Self::Floats(values) => write!(f, "{values:?}"),
            Self::Ints(values) => write!(f, "{values:?}"),
            Self::Strings(values) => write!(f, "{values:?}"),
        }
    }
}

impl fmt::Display for TypeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut terms = Vec::new();
        if !self.tensors.is_empty() {
            terms.push(self.tensors.to_string());
        }
        if !self.sparse_tensors.is_empty() {
            terms.push(format!("sparse_tensor({})", self.sparse_tensors));
        }
        terms.extend(self.sequences.iter().map(|elements| format!("seq({elements})")));
        terms.extend(self.optionals.iter().map(|elements| format!("optional({elements})")));
        terms.extend(self.maps.iter().map(|(key, values)| format!("map({key}, {values})")));
        separated(f, " ", &terms, |f, term| f.write_str(term))
    }
}

impl fmt::Display for ElementSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = *self;
        let mut words = Vec::new();
        for dtype in ORDER {
            if !left.contains(dtype) {
                continue;
            }
            let groups = GROUPS.iter().filter(|(_, members)| members.contains(&dtype));
            let mut groups = groups.map(|&(name, members)| (name, members.iter().copied().collect()));
            let whole = groups.find(|&(_, members)| left.is_superset(members));
            let (word, printed) = whole.unwrap_or_else(|| (dtype.name(), ElementSet::from_iter([dtype])));
            words.push(word);
            left = left.without(printed);
        }
        f.write_str(&words.join(" "))
    }
}

/// Prints `items` with `separator` between them.
fn separated<T>(
    f: &mut fmt::Formatter<'_>,
    separator: &str,
    items: &[T],
    print: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        f.write_str(if index > 0 { separator } else { "" })?;
        print(f, item)?;
    }
    Ok(())
}
