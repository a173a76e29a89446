//! Attributes: messages to [`AttrValue`] and back.

use onnxpress_ir::{Attr, AttrKind, AttrValue, Carried, Name};
use onnxpress_proto::schema::AttributeProto;

use super::extras::AttributeExtras;
use super::tensor;
use super::types;
use onnxpress_proto::ExternalFiles;

/// The kind that a message claims, or, where an old exporter claims none, the one whose field is filled.
pub(super) fn kind(message: &AttributeProto) -> Option<AttrKind> {
    if let Some(kind) = AttrKind::from_code(message.r#type.unwrap_or_default().into()) {
        return Some(kind);
    }
    let filled = [
        (message.f.is_some(), AttrKind::Float),
        (message.i.is_some(), AttrKind::Int),
        (message.s.is_some(), AttrKind::String),
        (message.t.is_some(), AttrKind::Tensor),
        (message.g.is_some(), AttrKind::Graph),
        (!message.floats.is_empty(), AttrKind::Floats),
        (!message.ints.is_empty(), AttrKind::Ints),
        (!message.strings.is_empty(), AttrKind::Strings),
        (!message.tensors.is_empty(), AttrKind::Tensors),
        (!message.graphs.is_empty(), AttrKind::Graphs),
        (message.sparse_tensor.is_some(), AttrKind::SparseTensor),
        (!message.sparse_tensors.is_empty(), AttrKind::SparseTensors),
        (message.tp.is_some(), AttrKind::Type),
        (!message.type_protos.is_empty(), AttrKind::Types),
    ];
    filled.into_iter().find(|(filled, _)| *filled).map(|(_, kind)| kind)
}

/// Reads an attribute that holds no graph. `Err(None)`: it has no kind, or the payload that its kind needs is missing.
pub(super) fn from_message(
    mut message: AttributeProto,
    external: &mut ExternalFiles,
) -> Result<Attr, Option<tensor::TensorFault>> {
    let kind = kind(&message).ok_or(None)?;
    let name = message.name.clone().map(Name::from_bytes).unwrap_or_default();
    if let Some(reference) = message.ref_attr_name.clone().filter(|reference| !reference.is_empty()) {
        let value = AttrValue::Reference { name: Name::from_bytes(reference), kind };
        return Ok(Attr { name, value, carried: extras(message, false) });
    }
    let mut absent = false;
    let mut given = |is_some: bool| absent |= !is_some;
    let value = match kind {
        AttrKind::Float => {
            given(message.f.is_some());
            AttrValue::Float(message.f.take().unwrap_or_default())
        }
        AttrKind::Int => {
            given(message.i.is_some());
            AttrValue::Int(message.i.take().unwrap_or_default())
        }
        AttrKind::String => {
            given(message.s.is_some());
            AttrValue::String(message.s.take().unwrap_or_default())
        }
        AttrKind::Tensor => AttrValue::Tensor(tensor::from_message(*message.t.take().ok_or(None)?, false, external)?),
        AttrKind::SparseTensor => AttrValue::SparseTensor(tensor::sparse_from_message(
            *message.sparse_tensor.take().ok_or(None)?,
            false,
            external,
        )?),
        AttrKind::Type => AttrValue::Type(types::from_message(message.tp.as_deref())),
        AttrKind::Floats => AttrValue::Floats(std::mem::take(&mut message.floats)),
        AttrKind::Ints => AttrValue::Ints(std::mem::take(&mut message.ints)),
        AttrKind::Strings => AttrValue::Strings(std::mem::take(&mut message.strings)),
        AttrKind::Tensors => AttrValue::Tensors(
            std::mem::take(&mut message.tensors)
                .into_iter()
                .map(|one| tensor::from_message(one, false, external))
                .collect::<Result<_, _>>()?,
        ),
        AttrKind::SparseTensors => AttrValue::SparseTensors(
            std::mem::take(&mut message.sparse_tensors)
                .into_iter()
                .map(|one| tensor::sparse_from_message(one, false, external))
                .collect::<Result<_, _>>()?,
        ),
        AttrKind::Types => {
            AttrValue::Types(message.type_protos.iter().map(|one| types::from_message(Some(one))).collect())
        }
        AttrKind::Graph | AttrKind::Graphs => return Err(None),
    };
    Ok(Attr { name, value, carried: extras(message, absent) })
}

/// Keeps what is left of a message, unless that is only the name and the kind.
pub(super) fn extras(message: AttributeProto, payload_absent: bool) -> Carried {
    let plain = AttributeProto { name: message.name.clone(), r#type: message.r#type, ..AttributeProto::default() };
    if message == plain && message.r#type.is_some() && message.name.is_some() && !payload_absent {
        return Carried::none();
    }
    Carried::new(AttributeExtras { message, payload_absent })
}
