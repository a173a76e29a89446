//! The ONNX schema as Rust types, and files of it: bytes to messages and messages to bytes.
//!
//! * [`schema`]: the messages, as the current release of onnx defines them.
//! * [`ModelFile`] opens a file (mapped) or a stream; [`ModelFile::decode`] checks its bytes with
//!   [`scan`] and decodes them without copying a weight.
//! * [`ExternalFiles`] reads weights that are kept beside the model, [`ExternalWriter`] lays them out.
//! * [`Encoded`] is a message ready to be written, of known length, of which parts may be made only then ([`Promises`]); [`FileSet`] writes files whole or
//!   not at all.
//!
//! This crate knows no graph: what a model *means* is decided elsewhere. It trusts no byte of a file:
//! any input gives a message or an error.
//!
//! Weights are read from the input until they are written, so whether it is still what it was is asked
//! between the two steps of writing:
//!
//! ```no_run
//! use onnxpress_proto::{Encoded, FileSet, ModelFile};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let input = ModelFile::open("model.onnx".as_ref())?;
//! let mut decoded = input.decode()?;
//! decoded.model.producer_name = Some("me".into());
//!
//! let mut output = FileSet::new();
//! output.stage("model.onnx".as_ref(), Encoded::of(&decoded.model))?;
//! input.check_unchanged()?;
//! output.commit()?;
//! # Ok(())
//! # }
//! ```

mod encode;
mod external;
mod lookalike;
mod map;
mod promise;
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
pub use promise::Promises;
pub use prost::Message;
pub use read::{Decoded, ModelFile, ReadError, STREAM_LIMIT};
pub use scan::{Fault, MAX_DEPTH, Root, Scan, ScanError, UnknownField, scan};
pub use tensors::try_for_each_tensor;
pub use wire::{WireFault, WireType};
pub use write::{FileSet, WriteError, write_atomically, write_stdout};
