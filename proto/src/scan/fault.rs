//! What the scan refuses, and how it says where.

use std::fmt;

use super::{MAX_DEPTH, MAX_UNKNOWN};
use crate::wire::{WireFault, WireType};

/// Why bytes cannot be decoded: where, in which field, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanError {
    /// Offset of the key or length at fault, in bytes from the start of the file.
    pub offset: u64,
    /// Names of the fields that lead there, as in `graph.node.attribute`; empty at the top.
    pub path: String,
    /// What is wrong there.
    pub fault: Fault,
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}", self.offset)?;
        if !self.path.is_empty() {
            write!(f, ", in {}", self.path)?;
        }
        write!(f, ": {}", self.fault)
    }
}

impl std::error::Error for ScanError {}

/// What the scan refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A key or a number is malformed.
    #[error(transparent)]
    Wire(#[from] WireFault),
    /// A payload reaches past the end of the message that holds it.
    #[error("field `{field}` claims {claimed} bytes, but {left} are left")]
    Length {
        /// The field's name, or its number if the schema does not know it.
        field: String,
        /// Bytes that it claims.
        claimed: u64,
        /// Bytes that are left of the message that holds it.
        left: u64,
    },
    /// A field has a payload of the wrong form.
    #[error("field `{field}` is {found}, expected {expected}")]
    WireType {
        /// The field's name.
        field: &'static str,
        /// The form that stands there.
        found: WireType,
        /// The form that the schema asks for.
        expected: WireType,
    },
    /// A group, a form of protobuf that ONNX never had.
    #[error("found {found} (field {number}), which ONNX does not have")]
    Group {
        /// The group's field number.
        number: u32,
        /// Whether it starts or ends here.
        found: WireType,
    },
    /// A packed list ends within an element.
    #[error("the packed numbers of `{field}` end within a number ({bytes} bytes)")]
    Packed {
        /// The field's name.
        field: &'static str,
        /// The list's length in bytes.
        bytes: u64,
    },
    /// Messages nest deeper than [`MAX_DEPTH`].
    #[error("messages nest more than {MAX_DEPTH} deep (about 100 subgraphs within each other)")]
    Depth,
    /// More than 256 different fields are unknown.
    #[error("found more than {MAX_UNKNOWN} different fields that the schema does not know")]
    Unknown,
    /// The decoded messages would take out of proportion more memory than the file.
    #[error("so many nearly empty messages that decoding them takes more than {limit} bytes of memory")]
    Memory {
        /// The most memory that a file of this size may take.
        limit: u64,
    },
}
