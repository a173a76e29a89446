//! The operator schemas: what the standard says of each operator's operands, results and attributes, at every version.
//!
//! The schemas are a table, made once from the standard's own definitions, because only so it covers every operator
//! of every version and cannot say something else than the standard. It lies in `ops/schema/`, one line a version of
//! an operator, and is compiled in as text:
//!
//! ```text
//! Clip 12 (input: T, min: T?, max: T?) -> (output: T) {} where T: floats ints uints
//! ```
//!
//! `ops/schema/generate.py` writes the files and says how to read them; `generate.py --check` exits 1 where a
//! committed file differs from what onnx 1.23.2 defines (with `--onnxruntime`, also from what onnxruntime 1.32.0
//! registers). Most programs ask for a few operators, so a line is parsed when its operator is first asked for; before
//! that there is only an index of where the lines of each operator begin.
//!
//! Beside the standard's domains the table has `com.microsoft`, the operators of onnxruntime, and [`extension`]: what
//! onnxruntime understands in the standard's own domain although the standard does not define it.

mod display;
mod operator;
mod parse;
mod table;
#[cfg(test)]
mod tests;
mod types;

pub use operator::{AttributeSchema, Default, Formal, FormalKind, OpSchema, TypeConstraint, TypeRef};
pub use types::{ElementSet, TypeSet};

/// The domain of the standard's main operators, as the table spells it. Files also spell it as the empty string, and so
/// may whoever asks here.
pub const STANDARD: &str = "ai.onnx";

/// The schema that holds for the operator `name` where version `opset` of `domain` is imported: the newest one that is
/// not above `opset`.
///
/// `None` when the domain or the operator is unknown or when `opset` is older than the operator. An operator that is
/// deprecated at `opset` has a schema, with [`OpSchema::deprecated`] set. An `opset` above [`newest_opset`] is answered
/// with the newest schema, which may no longer hold.
pub fn schema(domain: impl AsRef<[u8]>, name: impl AsRef<[u8]>, opset: i64) -> Option<&'static OpSchema> {
    not_above(versions(domain, name), opset)
}

/// Every version of an operator, oldest first; empty where the operator is unknown.
pub fn versions(domain: impl AsRef<[u8]>, name: impl AsRef<[u8]>) -> &'static [OpSchema] {
    table::domain(domain.as_ref()).map_or(&[], |domain| domain.versions(name.as_ref()))
}

/// The names of a domain's operators in order of bytes, those that are deprecated by now included; none for an unknown
/// domain.
pub fn operators(domain: impl AsRef<[u8]>) -> impl Iterator<Item = &'static str> {
    table::domain(domain.as_ref()).into_iter().flat_map(table::Domain::names)
}

/// The domains that the table speaks for, in order of bytes.
pub fn domains() -> impl Iterator<Item = &'static str> {
    table::tables().domains.iter().map(|domain| domain.name)
}

/// The newest version of a domain that the table knows; `None` for an unknown domain.
///
/// For [`STANDARD`] it can be above the newest `since_version`: not every version changes an operator.
pub fn newest_opset(domain: impl AsRef<[u8]>) -> Option<i64> {
    table::domain(domain.as_ref()).map(|domain| domain.newest)
}

/// An operator that onnxruntime understands in [`STANDARD`] at version `opset` although the standard does not define
/// it there, as `SimplifiedLayerNormalization`, or `LayerNormalization` before version 17. Files with them are common,
/// made by onnxruntime's own optimizer.
///
/// Only what [`schema`] does not answer should be looked for here.
pub fn extension(name: impl AsRef<[u8]>, opset: i64) -> Option<&'static OpSchema> {
    not_above(table::tables().extensions.versions(name.as_ref()), opset)
}

/// The newest of `versions` (ascending) that is not above `opset`.
fn not_above(versions: &'static [OpSchema], opset: i64) -> Option<&'static OpSchema> {
    let after = versions.partition_point(|schema| schema.since_version <= opset);
    versions[..after].last()
}
