//! Compiles the vendored schema to Rust types, and to a table of its messages for the scan.
//!
//! protox compiles `schema/onnx-ml.proto` in-process, so no machine needs protoc. Two changes are made
//! to the descriptors (the schema file itself stays as onnx publishes it):
//!
//! * **Every `string` becomes `bytes`.** Exporters do write names and documentation that are not UTF-8;
//!   prost refuses a whole model for one such byte, while protobuf's C++ and onnxruntime read it. As
//!   bytes they are read, kept and written as they came. The wire format of the two is the same.
//! * All `bytes` are [`bytes::Bytes`], so a decoded field is a slice of the (mapped) input, not a copy.
//!
//! From the same descriptors comes `wire_table.rs`: for every message its fields by number, with the
//! wire type that each must have. The scan follows it through a file before anything is decoded, and
//! cannot disagree with the decoder about the schema.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, error::Error, fs};

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};

const SCHEMA: &str = "schema/onnx-ml.proto";

/// An `AttributeProto` holds one of these and is by far the most common message; inline they make it 1.7 kB.
const BOXED: [&str; 4] = ["t", "g", "tp", "sparse_tensor"];

/// Messages that are found as files of their own, so a scan may start at them.
const ROOTS: [&str; 6] = ["ModelProto", "GraphProto", "FunctionProto", "NodeProto", "TensorProto", "SparseTensorProto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={SCHEMA}");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut descriptors = protox::compile([SCHEMA], ["schema"])?;
    for message in messages_mut(&mut descriptors) {
        strings_to_bytes(message);
    }
    fs::write(out.join("wire_table.rs"), wire_table(&descriptors)?)?;

    let mut config = prost_build::Config::new();
    config.bytes(["."]);
    for field in BOXED {
        config.boxed(format!(".onnx.AttributeProto.{field}"));
    }
    config.compile_fds(descriptors)?;
    Ok(())
}

fn messages_mut(set: &mut FileDescriptorSet) -> impl Iterator<Item = &mut DescriptorProto> {
    set.file.iter_mut().flat_map(|file| &mut file.message_type)
}

fn strings_to_bytes(message: &mut DescriptorProto) {
    for field in &mut message.field {
        if field.r#type() == Type::String {
            field.set_type(Type::Bytes);
        }
    }
    message.nested_type.iter_mut().for_each(strings_to_bytes);
}

/// A message with its full schema name (`onnx.TypeProto.Tensor`) and the Rust path of its generated type.
struct Named<'a> {
    message: &'a DescriptorProto,
    proto: String,
    rust: String,
}

fn collect<'a>(scope: &str, module: &str, messages: &'a [DescriptorProto], into: &mut Vec<Named<'a>>) {
    for message in messages {
        let (proto, rust) = (format!("{scope}.{}", message.name()), format!("{module}::{}", message.name()));
        let inner = format!("{module}::{}", snake_case(message.name()));
        collect(&proto, &inner, &message.nested_type, into);
        into.push(Named { message, proto, rust });
    }
}

/// prost's module for the types nested in a message: `TypeProto` becomes `type_proto`.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (i, c) in name.chars().enumerate() {
        if c.is_ascii_uppercase() && i > 0 {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

/// The source of `static MESSAGES`: messages sorted by name, each with its fields at the index of their number.
fn wire_table(set: &FileDescriptorSet) -> Result<String, Box<dyn Error>> {
    let mut all = Vec::new();
    for file in &set.file {
        collect(&format!(".{}", file.package()), "crate::schema", &file.message_type, &mut all);
    }
    all.sort_by(|a, b| a.proto.cmp(&b.proto));

    let mut out = String::new();
    for root in ROOTS {
        let index = all.iter().position(|named| named.proto == format!(".onnx.{root}")).ok_or("a root is missing")?;
        writeln!(out, "/// Place of `{root}` in [`MESSAGES`].")?;
        writeln!(out, "pub(super) const {}: usize = {index};", snake_case(root).to_uppercase())?;
    }
    writeln!(out, "/// Every message of the schema; its fields stand at the index of their number.")?;
    writeln!(out, "pub(super) static MESSAGES: [MessageSpec; {}] = [", all.len())?;
    for named in &all {
        let short = named.proto.trim_start_matches(".onnx.");
        writeln!(out, "    MessageSpec {{ name: {short:?}, size: size_of::<{}>(), fields: &[", named.rust)?;
        let last = named.message.field.iter().map(FieldDescriptorProto::number).max().unwrap_or(0);
        for number in 0..=last {
            match named.message.field.iter().find(|field| field.number() == number) {
                None => writeln!(out, "        None,")?,
                Some(field) => {
                    let payload = payload(field, &all)?;
                    writeln!(out, "        Some(FieldSpec {{ name: {:?}, payload: {payload} }}),", field.name())?;
                }
            }
        }
        writeln!(out, "    ] }},")?;
    }
    writeln!(out, "];")?;
    Ok(out)
}

/// What the scan must find on the wire for a field.
fn payload(field: &FieldDescriptorProto, all: &[Named<'_>]) -> Result<String, Box<dyn Error>> {
    let repeated = field.label() == Label::Repeated;
    Ok(match field.r#type() {
        Type::Message => {
            let index = all.iter().position(|named| named.proto == field.type_name());
            format!("Payload::Message({})", index.ok_or("field of an unknown message")?)
        }
        Type::Bytes => "Payload::Bytes".into(),
        Type::Float => format!("Payload::Fixed32 {{ repeated: {repeated} }}"),
        Type::Double => format!("Payload::Fixed64 {{ repeated: {repeated} }}"),
        Type::Int32 | Type::Int64 | Type::Uint64 | Type::Enum => {
            format!("Payload::Varint {{ repeated: {repeated} }}")
        }
        other => return Err(format!("{}: the scan knows no type {other:?}", field.name()).into()),
    })
}
