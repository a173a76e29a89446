//! The header's words between message and text: what the text form prints of a file, and what a file keeps of a text.

use onnxpress_ir::Model;
use onnxpress_ir::text::Preamble;
use onnxpress_proto::schema::{ModelProto, StringStringEntryProto};

/// What the text form says of a model that came from a file.
pub fn preamble(model: &Model) -> Option<Preamble> {
    let message = model.header.carried.get::<ModelProto>()?;
    Some(Preamble {
        producer_name: message.producer_name.clone(),
        producer_version: message.producer_version.clone(),
        domain: message.domain.clone(),
        model_version: message.model_version,
        doc_string: message.doc_string.clone(),
        metadata_props: message
            .metadata_props
            .iter()
            .map(|entry| (entry.key.clone().unwrap_or_default(), entry.value.clone().unwrap_or_default()))
            .collect(),
    })
}

/// The message of a model's header, without graph and functions: as the file had it, or made of what a text said.
pub(super) fn header(model: &Model) -> ModelProto {
    if let Some(message) = model.header.carried.get::<ModelProto>() {
        return message.clone();
    }
    let said = model.header.carried.get::<Preamble>().cloned().unwrap_or_default();
    ModelProto {
        producer_name: said.producer_name,
        producer_version: said.producer_version,
        domain: said.domain,
        model_version: said.model_version,
        doc_string: said.doc_string,
        metadata_props: said
            .metadata_props
            .into_iter()
            .map(|(key, value)| StringStringEntryProto { key: Some(key), value: Some(value) })
            .collect(),
        ..ModelProto::default()
    }
}
