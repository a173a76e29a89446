//! One walk over the bytes of a model before anything is decoded.
//!
//! prost allocates as it decodes, recurses as deep as the file nests, drops what it does not know and
//! names no offset in its errors. So a file is first walked on the wire: keys and lengths only, with a
//! stack of its own, along the table that `build.rs` makes of the schema. What passes can be decoded:
//! every length lies within its message, the nesting is bounded, and the decoded form is no larger
//! than the file warrants. A payload is stepped over whatever its size, so a file of gigabytes of
//! weights costs as many steps as it has fields.

mod fault;

use std::collections::BTreeMap;

pub use self::fault::{Fault, ScanError};
use crate::wire::{self, WireType};

mod table {
    //! The schema as the scan needs it; made by `build.rs`.
    use super::{FieldSpec, MessageSpec, Payload};
    include!(concat!(env!("OUT_DIR"), "/wire_table.rs"));
}

/// Deepest nesting of messages that is read.
///
/// A subgraph takes three (node, attribute, graph). 320 admit a hundred subgraphs within each other and,
/// in the innermost, the longest chain of other messages (a value's type, its shape, a dimension). Other
/// readers of protobuf stop at a hundred messages. The decoder recurses, so this also bounds its stack.
pub const MAX_DEPTH: usize = 320;

/// Most different unknown fields that are told apart. A newer release adds a handful; a file with more
/// than this is no model, and must not make the scan itself grow.
const MAX_UNKNOWN: usize = 256;

/// Memory that the decoded messages of any file may take, in bytes, in addition to [`DECODED_PER_BYTE`].
const DECODED_BASE: u64 = 1 << 30;

/// Memory that each byte of the file may take when decoded. Honest files stay below 10 (a varint of one
/// byte becomes an `i64`); an empty message of two bytes takes 350, so a small file could ask for all memory.
const DECODED_PER_BYTE: u64 = 16;

/// What a message may hold: its fields, at the index of their number.
struct MessageSpec {
    name: &'static str,
    size: usize,
    fields: &'static [Option<FieldSpec>],
}

/// A field's name and the payload it must have.
struct FieldSpec {
    name: &'static str,
    payload: Payload,
}

/// The payload of a field; a repeated number may be packed, whatever the schema says.
#[derive(Clone, Copy)]
enum Payload {
    Varint { repeated: bool },
    Fixed32 { repeated: bool },
    Fixed64 { repeated: bool },
    Bytes,
    Message(usize),
}

/// A kind of message that a file may consist of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// A model: what an `.onnx` file holds.
    Model,
    /// A graph without its model.
    Graph,
    /// A local function.
    Function,
    /// A single node.
    Node,
    /// A tensor: what the `.pb` files of ONNX's test data hold.
    Tensor,
    /// A sparse tensor.
    SparseTensor,
}

impl Root {
    const fn spec(self) -> &'static MessageSpec {
        &table::MESSAGES[match self {
            Root::Model => table::MODEL_PROTO,
            Root::Graph => table::GRAPH_PROTO,
            Root::Function => table::FUNCTION_PROTO,
            Root::Node => table::NODE_PROTO,
            Root::Tensor => table::TENSOR_PROTO,
            Root::SparseTensor => table::SPARSE_TENSOR_PROTO,
        }]
    }

    /// The message's name in the schema.
    pub const fn name(self) -> &'static str {
        self.spec().name
    }
}

/// A field that the schema does not know, summed over all its occurrences in one kind of message.
///
/// Decoding drops it: whoever writes the model again must say so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownField {
    /// The message that holds it, as in `TensorProto`.
    pub message: &'static str,
    /// Its number.
    pub number: u32,
    /// Bytes of all its occurrences, keys included.
    pub bytes: u64,
}

/// What the walk found in a file that may be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scan {
    /// Fields that the schema does not know, by message and number.
    pub unknown: Vec<UnknownField>,
    /// Fields read, at every level.
    pub fields: u64,
    /// Whether the root message holds the field `graph`.
    pub has_graph: bool,
}

/// Walks `bytes` as one message of the kind `root`.
///
/// Cost: one step a field, whatever its size; memory does not depend on the input.
///
/// # Errors
/// The first fault in the file, with its offset. No error means that decoding succeeds, unless a packed
/// list of varints is malformed inside, which only the decoder looks at.
pub fn scan(bytes: &[u8], root: Root) -> Result<Scan, ScanError> {
    let mut walk = Walk::new(bytes, root);
    match walk.run() {
        Ok(()) => Ok(walk.finish()),
        Err(fault) => Err(ScanError { offset: walk.at as u64, path: walk.path(), fault }),
    }
}

/// A message that the walk is within.
struct Frame {
    message: &'static MessageSpec,
    /// The field that the message is; empty for the root.
    field: &'static str,
    end: usize,
}

struct Walk<'a> {
    bytes: &'a [u8],
    /// Start of the field at hand: where an error is reported.
    at: usize,
    stack: Vec<Frame>,
    unknown: BTreeMap<(&'static str, u32), u64>,
    fields: u64,
    has_graph: bool,
    decoded: u64,
    limit: u64,
}

impl<'a> Walk<'a> {
    fn new(bytes: &'a [u8], root: Root) -> Self {
        let message = root.spec();
        Walk {
            bytes,
            at: 0,
            stack: vec![Frame { message, field: "", end: bytes.len() }],
            unknown: BTreeMap::new(),
            fields: 0,
            has_graph: false,
            decoded: message.size as u64,
            limit: (bytes.len() as u64).saturating_mul(DECODED_PER_BYTE).saturating_add(DECODED_BASE),
        }
    }

    fn finish(self) -> Scan {
        let field = |((message, number), bytes)| UnknownField { message, number, bytes };
        Scan { unknown: self.unknown.into_iter().map(field).collect(), fields: self.fields, has_graph: self.has_graph }
    }

    fn run(&mut self) -> Result<(), Fault> {
        while let Some(&Frame { message, end, .. }) = self.stack.last() {
            if self.at == end {
                self.stack.pop();
            } else {
                self.at = self.field(message, end)?;
            }
        }
        Ok(())
    }

    /// Reads one field of `message`; answers the place after it, or its payload's start if it is a message.
    fn field(&mut self, message: &'static MessageSpec, end: usize) -> Result<usize, Fault> {
        let (number, wire, at) = wire::key(self.bytes, self.at, end)?;
        self.fields += 1;
        let known = message.fields.get(number as usize).and_then(Option::as_ref);
        let label = || known.map_or_else(|| number.to_string(), |field| field.name.to_owned());
        let (start, length) = match wire {
            WireType::Varint => (at, wire::varint(self.bytes, at, end)?.1 - at),
            WireType::Fixed64 => (at, 8),
            WireType::Fixed32 => (at, 4),
            WireType::Length => {
                let (length, start) = wire::varint(self.bytes, at, end)?;
                let left = (end - start) as u64;
                let fits = usize::try_from(length).ok().filter(|_| length <= left);
                (start, fits.ok_or_else(|| Fault::Length { field: label(), claimed: length, left })?)
            }
            WireType::GroupStart | WireType::GroupEnd => {
                return Err(Fault::Group { number, found: wire });
            }
        };
        let left = end - start;
        if length > left {
            return Err(Fault::Length { field: label(), claimed: length as u64, left: left as u64 });
        }
        let Some(field) = known else {
            self.count_unknown(message.name, number, start + length - self.at)?;
            return Ok(start + length);
        };
        let payload = &self.bytes[start..start + length];
        self.charge(field.memory(wire, payload)?)?;
        self.has_graph |= self.stack.len() == 1 && field.name == "graph";
        match field.payload {
            Payload::Message(index) => {
                if self.stack.len() == MAX_DEPTH {
                    return Err(Fault::Depth);
                }
                let message = &table::MESSAGES[index];
                self.stack.push(Frame { message, field: field.name, end: start + length });
                Ok(start)
            }
            _ => Ok(start + length),
        }
    }

    fn count_unknown(&mut self, message: &'static str, number: u32, bytes: usize) -> Result<(), Fault> {
        *self.unknown.entry((message, number)).or_default() += bytes as u64;
        if self.unknown.len() > MAX_UNKNOWN { Err(Fault::Unknown) } else { Ok(()) }
    }

    fn charge(&mut self, bytes: u64) -> Result<(), Fault> {
        self.decoded = self.decoded.saturating_add(bytes);
        if self.decoded > self.limit { Err(Fault::Memory { limit: self.limit }) } else { Ok(()) }
    }

    /// The fields that lead to where the walk stands; of a long path the beginning and the end.
    fn path(&self) -> String {
        const SHOWN: usize = 6;
        let names: Vec<&str> = self.stack.iter().skip(1).map(|frame| frame.field).collect();
        if names.len() <= 2 * SHOWN {
            return names.join(".");
        }
        let (head, tail) = (&names[..SHOWN], &names[names.len() - SHOWN..]);
        format!("{}. ({} more) .{}", head.join("."), names.len() - 2 * SHOWN, tail.join("."))
    }
}

impl FieldSpec {
    /// Memory that the field takes when decoded, in bytes, growth of vectors aside; refuses the wrong wire type.
    fn memory(&self, wire: WireType, payload: &[u8]) -> Result<u64, Fault> {
        let bytes = payload.len() as u64;
        let (single, repeated, width) = match self.payload {
            Payload::Varint { repeated } => (WireType::Varint, repeated, 1),
            Payload::Fixed32 { repeated } => (WireType::Fixed32, repeated, 4),
            Payload::Fixed64 { repeated } => (WireType::Fixed64, repeated, 8),
            Payload::Bytes if wire == WireType::Length => {
                return Ok(size_of::<bytes::Bytes>() as u64);
            }
            Payload::Message(index) if wire == WireType::Length => {
                return Ok(table::MESSAGES[index].size as u64);
            }
            Payload::Bytes | Payload::Message(_) => (WireType::Length, false, 1),
        };
        if wire == single {
            return Ok(8);
        }
        if !(repeated && wire == WireType::Length) {
            return Err(Fault::WireType { field: self.name, found: wire, expected: single });
        }
        let ends_within = match single {
            WireType::Varint => payload.last().is_some_and(|&last| last >= 0x80),
            _ => !bytes.is_multiple_of(width),
        };
        if ends_within {
            return Err(Fault::Packed { field: self.name, bytes });
        }
        // Each byte may be a varint, and each varint an `i64`; fixed numbers keep their size.
        Ok(if single == WireType::Varint { bytes.saturating_mul(8) } else { bytes })
    }
}

#[cfg(test)]
mod tests;
