//! ONNX files: messages become a graph, and a graph becomes messages.
//!
//! What no pass touched is written as it came: the reader hangs on each entity what the graph does not model (see
//! `extras`), and weights are slices of the mapped file from the reading to the writing.

mod attribute;
mod export;
mod extras;
mod import;
mod open;
mod preamble;
mod save;
mod tensor;
mod types;

pub use export::{ExportError, Outgoing, to_message};
pub use import::{ImportError, from_message};
pub use open::{Notice, OnnxFile, OpenError, OpenOptions, open, open_stdin};
pub use preamble::preamble;
#[cfg(feature = "ort")]
pub(crate) use save::embed_all;
pub use save::{DataPlacement, SaveError, Saved, save, save_stdout};
pub use tensor::TensorFault;
