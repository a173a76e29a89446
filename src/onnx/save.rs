//! Saving: a model to one file, or to a file and its data file, whole or not at all.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::path::Path;

use onnxpress_proto::schema::ModelProto;
use onnxpress_proto::schema::tensor_proto::DataLocation;
use onnxpress_proto::{
    Alignment, Bytes, Encoded, ExternalError, ExternalWriter, FileSet, MESSAGE_LIMIT, WriteError, embed, encoded_len,
    try_for_each_tensor, write_stdout,
};

use super::export::Outgoing;
use super::open::{Notice, OpenError};

/// Where weights go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DataPlacement {
    /// As the model had them: those that were in a data file go into one of the output's own.
    #[default]
    AsBefore,
    /// Into the model.
    Embed,
    /// Into a data file of this name beside the model, small ones aside.
    External(String),
}

/// Why a model could not be saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The file system refused.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The data file cannot be named so.
    #[error(transparent)]
    External(#[from] ExternalError),
    /// What the weights are read from has changed since it was opened.
    #[error(transparent)]
    Input(#[from] OpenError),
    /// A message beyond 2 GiB that may not use a data file.
    #[error(
        "the model takes {0} bytes, and a file of more than 2 GiB cannot be read by others: use --external-data NAME"
    )]
    TooLarge(u64),
}

impl SaveError {
    /// Whether who was to read it has gone: no error where the reader chooses how much it reads.
    pub fn is_hang_up(&self) -> bool {
        matches!(self, Self::Write(WriteError::Io { source, .. }) if source.kind() == ErrorKind::BrokenPipe)
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Saved {
    /// Bytes of the model file.
    pub bytes: u64,
    /// Bytes of the data file.
    pub external_bytes: u64,
    /// What the user should know.
    pub notices: Vec<Notice>,
}

/// A message and its data file, laid out and of known length, but not written.
struct Layout {
    model: Encoded,
    data: Option<(String, Encoded)>,
    notices: Vec<Notice>,
}

/// Writes a model to `path`, and its data file, where it has one, beside it. Both appear whole or not at all, and only if
/// `input`, asked once all is written, still says that what the weights were read from is what it was.
///
/// # Errors
/// Where the file system refuses, the data file cannot be named so, or `input` fails.
pub fn save(
    path: &Path,
    message: impl Into<Outgoing>,
    placement: &DataPlacement,
    input: &dyn Fn() -> Result<(), OpenError>,
) -> Result<Saved, SaveError> {
    // A data file stands beside the model itself, not beside a link to it; a device or pipe has no place beside it.
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let is_file = std::fs::metadata(&target).map_or(true, |known| known.is_file());
    let own = target.file_name().filter(|_| is_file).map(|name| format!("{}.data", name.to_string_lossy()));
    let placement = if is_file { placement } else { &DataPlacement::Embed };
    let layout = lay_out(message.into(), placement, own)?;
    let mut set = FileSet::new();
    let mut saved = Saved { bytes: layout.model.len(), external_bytes: 0, notices: layout.notices };
    if let Some((name, data)) = layout.data {
        saved.external_bytes = data.len();
        set.stage(&target.with_file_name(name), data)?;
    }
    set.stage(path, layout.model)?;
    input()?;
    set.commit()?;
    Ok(saved)
}

/// Writes a model to standard output, weights inside.
///
/// # Errors
/// Where the output is closed, or the model is too large for one message.
pub fn save_stdout(message: impl Into<Outgoing>) -> Result<Saved, SaveError> {
    let layout = lay_out(message.into(), &DataPlacement::Embed, None)?;
    write_stdout(&layout.model)?;
    Ok(Saved { bytes: layout.model.len(), external_bytes: 0, notices: layout.notices })
}

fn lay_out(mut outgoing: Outgoing, placement: &DataPlacement, own: Option<String>) -> Result<Layout, SaveError> {
    let message = &mut outgoing.message;
    let mut notices = Vec::new();
    let mut location = None;
    let mut all = false;
    match placement {
        DataPlacement::External(name) => {
            location = Some(name.clone());
            all = true;
        }
        DataPlacement::AsBefore => location = own.clone(),
        DataPlacement::Embed => {}
    }
    // What was external has its data at hand and is marked; its length does not count yet.
    let whole = encoded_len(message);
    if whole > MESSAGE_LIMIT && !all && *placement != DataPlacement::Embed {
        let name = own.ok_or(SaveError::TooLarge(whole))?;
        notices
            .push(Notice(format!("the model takes more than 2 GiB, so its weights are written to `{name}` beside it")));
        location = Some(name);
        all = true;
    } else if whole > MESSAGE_LIMIT && *placement == DataPlacement::Embed {
        return Err(SaveError::TooLarge(whole));
    }
    let Some(location) = location else {
        embed_all(message);
        return Ok(Layout { model: outgoing.encode(), data: None, notices });
    };
    let mut small = ExternalWriter::new(&location)?;
    if !all {
        // What was external stays so, and takes no byte more than it did.
        small = small.with_threshold(0).with_alignment(Alignment::PACKED);
    }
    let placed: Result<(), Infallible> = try_for_each_tensor(message, |tensor| {
        let external = tensor.data_location == Some(DataLocation::External as i32);
        if (all || external)
            && let Some(data) = tensor.raw_data.take()
        {
            small.place(tensor, data);
        }
        Ok(())
    });
    let Ok(()) = placed;
    let data = small.finish().with_promises(&outgoing.promises);
    let data = (!data.is_empty()).then_some((location, data));
    Ok(Layout { model: outgoing.encode(), data, notices })
}

/// Puts the data of tensors that came from a data file into the message.
pub(crate) fn embed_all(message: &mut ModelProto) {
    for_each_external(message, embed);
}

fn for_each_external(message: &mut ModelProto, mut f: impl FnMut(&mut onnxpress_proto::schema::TensorProto, Bytes)) {
    let visited: Result<(), Infallible> = try_for_each_tensor(message, |tensor| {
        if tensor.data_location == Some(DataLocation::External as i32)
            && let Some(data) = tensor.raw_data.take()
        {
            f(tensor, data);
        }
        Ok(())
    });
    let Ok(()) = visited;
}
