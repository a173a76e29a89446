//! What files say and the graph does not model: the reader's companions.
//!
//! Each is hung on its entity only where the file says something that the writer would not say by itself, so that a plain
//! model of a hundred thousand nodes carries nothing.

use onnxpress_proto::Bytes;
use onnxpress_proto::schema::{
    AttributeProto, NodeDeviceConfigurationProto, StringStringEntryProto, TensorAnnotation, TensorProto,
};

/// Of a node: fields beyond operator, name, operands, outputs and attributes, and whether empty ones are present.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct NodeExtras {
    pub(super) domain_present: bool,
    pub(super) overload_present: bool,
    pub(super) doc_string: Option<Bytes>,
    pub(super) metadata_props: Vec<StringStringEntryProto>,
    pub(super) device_configurations: Vec<NodeDeviceConfigurationProto>,
}

/// Of a constant that is a node: the node's own, and the attribute that holds the value, without the value.
#[derive(Clone, Debug, Default)]
pub(super) struct ConstantNodeExtras {
    pub(super) node: NodeExtras,
    pub(super) domain: Bytes,
    pub(super) attribute: AttributeProto,
    pub(super) payload_absent: bool,
}

/// Of an attribute: the message without its payload.
#[derive(Clone, Debug)]
pub(super) struct AttributeExtras {
    pub(super) message: AttributeProto,
    /// The payload is the type's zero and the file leaves it out.
    pub(super) payload_absent: bool,
}

/// In which field a tensor's data stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DataField {
    Raw,
    Typed,
    External,
}

/// Of a tensor: the message without its data.
#[derive(Clone, Debug)]
pub(super) struct TensorExtras {
    pub(super) message: TensorProto,
    pub(super) field: DataField,
}

/// Of a graph: fields beyond nodes, interface, initializers and declared types.
#[derive(Clone, Debug, Default)]
pub(super) struct GraphExtras {
    pub(super) doc_string: Option<Bytes>,
    pub(super) metadata_props: Vec<StringStringEntryProto>,
    pub(super) annotations: Vec<TensorAnnotation>,
}

/// Of an input that has a default: where that stands among the initializers.
#[derive(Clone, Debug)]
pub(super) struct InputExtras {
    pub(super) message: onnxpress_proto::schema::ValueInfoProto,
    pub(super) default_place: u32,
}
