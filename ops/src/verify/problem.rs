//! What the verifier finds.

use std::fmt;

use onnxpress_ir::AttrKind;
pub use onnxpress_ir::verify::Severity;

/// One thing that is not as the operator's schema has it. Printed without its severity: ``Conv `c`: operand …``.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it weighs.
    pub severity: Severity,
    /// The node, and the subgraphs or the function that it is in.
    pub site: String,
    /// What was found and what was expected.
    pub problem: Problem,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.site, self.problem)
    }
}

/// How many values a schema takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// At least.
    pub min: usize,
    /// At most; `None` where there is no limit.
    pub max: Option<usize>,
}

impl Count {
    pub(super) fn allows(self, count: usize) -> bool {
        self.min <= count && self.max.is_none_or(|max| count <= max)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.min, self.max) {
            (min, Some(max)) if min == max => write!(f, "{min}"),
            (min, Some(max)) => write!(f, "{min} to {max}"),
            (min, None) => write!(f, "{min} or more"),
        }
    }
}

/// What is not as the operator's schema has it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum Problem {
    /// Nodes use a domain that the model or function does not import.
    #[error("domain {domain} is used, but not imported; version 1 is taken")]
    NotImported { domain: String },
    /// The import is beyond what the table knows, so an operator may have changed since.
    #[error("version {found} of {domain} is imported, the newest known is {newest}")]
    TooNew { domain: String, found: i64, newest: i64 },
    /// No version of the domain has the operator.
    #[error("{domain} has no such operator")]
    UnknownOperator { domain: String },
    /// A later version of the domain brought the operator.
    #[error("the operator came with version {since} of {domain}, but the version here is {found}")]
    NotYet { domain: String, found: i64, since: i64 },
    /// The standard's domain does not have the operator, but onnxruntime accepts it there.
    #[error("ai.onnx has no such operator at version {version}; it is an extension of onnxruntime's")]
    Extension { version: i64 },
    /// The operator was taken out of the standard.
    #[error("the operator is deprecated since version {since} of {domain}, and the version here is {found}")]
    Deprecated { domain: String, since: i64, found: i64 },
    /// Too many operands or too few.
    #[error("operands: found {found}, expected {expected}")]
    OperandCount { found: usize, expected: Count },
    /// Too many results or too few.
    #[error("results: found {found}, expected {expected}")]
    ResultCount { found: usize, expected: Count },
    /// A required operand is left out.
    #[error("operand {slot} (`{name}`) is left out, but required")]
    OperandOmitted { slot: usize, name: &'static str },
    /// A required result is left out.
    #[error("result {port} (`{name}`) is left out, but required")]
    ResultOmitted { port: usize, name: &'static str },
    /// No version of the operator has the attribute.
    #[error("the operator has no attribute `{name}`")]
    UnknownAttribute { name: String },
    /// Other versions of the operator have the attribute.
    #[error("the operator has no attribute `{name}` at version {version}, as it has at others")]
    AttributeOfOtherVersion { name: String, version: i64 },
    /// An attribute has two values.
    #[error("attribute `{name}` is given twice")]
    AttributeTwice { name: String },
    /// A required attribute is not given.
    #[error("attribute `{name}` is not given, but required")]
    AttributeMissing { name: String },
    /// An attribute has a value of the wrong kind.
    #[error("attribute `{name}` is of kind {found}, expected {expected}")]
    AttributeKind { name: String, found: AttrKind, expected: AttrKind },
    /// An operand or result has a type that its parameter does not stand for.
    #[error("{value} has type {found}, expected one of: {expected}")]
    Type { value: String, found: String, expected: String },
    /// A type parameter would have to stand for two types at once.
    #[error("{second} has type {second_type}, but {first} has {first_type}, and both are `{parameter}`")]
    Binding { parameter: &'static str, first: String, first_type: String, second: String, second_type: String },
    /// Of one node only the first findings are told.
    #[error("{count} more findings of this node")]
    More { count: usize },
}

/// A domain for messages: the standard's has a name there.
pub(super) fn domain_name(domain: &[u8]) -> String {
    if domain.is_empty() { crate::schema::STANDARD.to_owned() } else { String::from_utf8_lossy(domain).into_owned() }
}
