//! The ONNX schema as Rust types, and files of it: bytes to messages and messages to bytes.
//!
//! * [`schema`]: the messages, as the current release of onnx defines them.
//! * [`ModelFile`] opens a file (mapped) or a stream; [`ModelFile::decode`] checks its bytes with
//!   [`scan`] and decodes them without copying a weight.
//! * [`ExternalFiles`] reads weights that are kept beside the model, [`ExternalWriter`] lays them out.
//! * [`Encoded`] is a message ready to be written, of known length; [`FileSet`] writes files whole or
//!   not at all.
//!
//! This crate knows no graph: what a model *means* is decided elsewhere. It trusts no byte of a file:
//! any input gives a message or an error.
//!
//! ```no_run
//! use onnxpress_proto::{ModelFile, write_atomically};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let file = ModelFile::open("model.onnx".as_ref())?;
//! let mut decoded = file.decode()?;
//! decoded.model.producer_name = Some("me".into());
//! file.check_unchanged()?;
//! write_atomically("model.onnx".as_ref(), &decoded.model)?;
//! # Ok(())
//! # }
//! ```

mod encode;
mod external;
mod lookalike;
mod map;
mod read;
mod scan;
pub mod schema;
mod tensors;
mod wire;
mod write;

#[cfg(test)]
mod samples;

pub use bytes::Bytes;
pub use encode::{Encoded, MESSAGE_LIMIT, encoded_len};
pub use external::{Alignment, ExternalError, ExternalFiles, ExternalWriter, Location, THRESHOLD, embed};
pub use lookalike::{Lookalike, lookalike};
pub use map::Change;
pub use prost::Message;
pub use read::{Decoded, ModelFile, ReadError, STREAM_LIMIT};
pub use scan::{Fault, MAX_DEPTH, Root, Scan, ScanError, UnknownField, scan};
pub use tensors::try_for_each_tensor;
pub use wire::{WireFault, WireType};
pub use write::{FileSet, WriteError, write_atomically, write_stdout};
