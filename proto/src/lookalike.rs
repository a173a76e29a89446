//! What a file is that is not an ONNX model: asked only after reading has failed.
//!
//! Most "corrupt models" are something else: a pointer that Git LFS left, a web page instead of a
//! download, a checkpoint of another framework. Saying which saves the reader of the error an hour.

use crate::scan::{Root, scan};

/// What a file looks like, and what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lookalike {
    /// What the file seems to be, with its article.
    pub what: &'static str,
    /// What helps.
    pub advice: &'static str,
}

const EXPORT: &str = "export the model to ONNX with the framework that made it";
const UNPACK: &str = "unpack it first";
const NAME: &str = "name the .onnx file";

/// Formats by the bytes that they have at an offset.
const SIGNATURES: &[(usize, &[u8], &str, &str)] = &[
    (0, b"PK\x03\x04", "a zip archive (PyTorch's checkpoints are such)", EXPORT),
    (0, b"PK\x05\x06", "an empty zip archive", NAME),
    (0, b"\x80\x02", "a Python pickle (an old PyTorch checkpoint?)", EXPORT),
    (0, b"\x80\x04\x95", "a Python pickle", EXPORT),
    (0, b"\x1f\x8b", "a gzip archive", UNPACK),
    (0, b"\xfd7zXZ\0", "an xz archive", UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "a zstd archive", UNPACK),
    (0, b"BZh", "a bzip2 archive", UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (257, b"ustar", "a tar archive", UNPACK),
    (0, b"\x89HDF\r\n", "an HDF5 file (Keras' models are such)", EXPORT),
    (4, b"TFL3", "a TensorFlow Lite model", EXPORT),
    (4, b"ORTM", "a model in onnxruntime's own format", "take the .onnx file that it was made from"),
    (0, b"GGUF", "a GGUF file", EXPORT),
    (8, b"{\"", "a safetensors file: weights without a graph", EXPORT),
    (0, b"\x93NUMPY", "a numpy array", NAME),
    (0, b"\x89PNG", "a PNG picture", NAME),
    (0, b"\xff\xd8\xff", "a JPEG picture", NAME),
    (0, b"%PDF", "a PDF document", NAME),
    (0, b"\x7fELF", "an executable or a library", NAME),
    (0, b"MZ\x90\0", "a Windows executable or library", NAME),
];

/// Kinds of text by their first characters.
const TEXTS: &[(&str, &str, &str)] = &[
    ("version https://git-lfs", "a Git LFS pointer, not the file itself", "fetch the file with `git lfs pull`"),
    ("<!doctype html", "a web page", "the link leads to a page; download the file that the page offers"),
    ("<html", "a web page", "the link leads to a page; download the file that the page offers"),
    ("<?xml", "an XML document", NAME),
    ("{", "a JSON document", NAME),
];

/// Says what `bytes` are, if they are something known other than an ONNX model.
pub fn lookalike(bytes: &[u8]) -> Option<Lookalike> {
    if !bytes.is_empty() && bytes.iter().take(1 << 16).all(|&byte| byte == 0) {
        let advice = "the download or copy was not finished; fetch the file again";
        return Some(Lookalike { what: "a file of zeros", advice });
    }
    let signed = SIGNATURES.iter().find(|(at, magic, ..)| bytes.get(*at..).is_some_and(|rest| rest.starts_with(magic)));
    if let Some(&(_, _, what, advice)) = signed {
        return Some(Lookalike { what, advice });
    }
    text(bytes).or_else(|| other_message(bytes))
}

fn text(bytes: &[u8]) -> Option<Lookalike> {
    let head = &bytes[..bytes.len().min(512)];
    let head = match std::str::from_utf8(head) {
        Ok(head) => head,
        // A character cut by the 512 is still text.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&head[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    if head.len() < 4 || head.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r')) {
        return None;
    }
    if head.contains("ir_version") && head.contains("opset_import") {
        let advice = "parse it to a binary model first";
        return Some(Lookalike { what: "a model in text form", advice });
    }
    let start = head.trim_start().to_ascii_lowercase();
    let known = TEXTS.iter().find(|(prefix, ..)| start.starts_with(prefix));
    let (_, what, advice) = known.copied().unwrap_or(("", "a text file", NAME));
    Some(Lookalike { what, advice })
}

/// A message of ONNX, but not a model: it must read as such to the end, with no unknown field.
fn other_message(bytes: &[u8]) -> Option<Lookalike> {
    const OTHERS: [(Root, &str, &str); 5] = [
        (Root::Tensor, "a single tensor (TensorProto)", "tensors are inputs or test data; name the model"),
        (Root::Graph, "a graph without its model (GraphProto)", "wrap it in a ModelProto with the opsets that it uses"),
        (Root::Function, "a single function (FunctionProto)", NAME),
        (Root::Node, "a single node (NodeProto)", NAME),
        (Root::SparseTensor, "a sparse tensor (SparseTensorProto)", NAME),
    ];
    let reads = |root| scan(bytes, root).is_ok_and(|found| found.fields > 0 && found.unknown.is_empty());
    let (_, what, advice) = OTHERS.into_iter().find(|(root, ..)| reads(*root))?;
    Some(Lookalike { what, advice })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::schema::{GraphProto, NodeProto, TensorProto};
    use prost::Message;

    fn what(bytes: &[u8]) -> &'static str {
        lookalike(bytes).map_or("nothing known", |it| it.what)
    }

    #[test]
    fn knows_what_people_pass_by_mistake() {
        assert_eq!(what(b"PK\x03\x04rest"), "a zip archive (PyTorch's checkpoints are such)");
        assert_eq!(what(b"\x89PNG\r\n\x1a\n"), "a PNG picture");
        assert_eq!(what(&[0; 100]), "a file of zeros");
        assert_eq!(
            what(b"version https://git-lfs.github.com/spec/v1\noid sha256:00"),
            "a Git LFS pointer, not the file itself"
        );
        assert_eq!(what(b"\n<!DOCTYPE html><html>"), "a web page");
        assert_eq!(what(b"< ir_version: 8, opset_import: [\"\" : 17] >"), "a model in text form");
        assert_eq!(what("no model, but prose \u{e9}".as_bytes()), "a text file");
        assert_eq!(what(b"\x1c\0\0\0TFL3"), "a TensorFlow Lite model");
    }

    #[test]
    fn text_cut_within_a_character_is_text() {
        let mut long = vec![b'a'; 511];
        long.extend("\u{e9}".bytes());
        assert_eq!(what(&long), "a text file");
    }

    #[test]
    fn knows_the_other_messages_of_onnx() {
        let tensor =
            TensorProto { dims: vec![2], data_type: Some(1), raw_data: Some(vec![0; 8].into()), ..Default::default() };
        assert_eq!(what(&tensor.encode_to_vec()), "a single tensor (TensorProto)");
        let node = NodeProto { op_type: Some("Relu".into()), ..Default::default() };
        let graph = GraphProto { node: vec![node], name: Some("g".into()), ..Default::default() };
        assert_eq!(what(&graph.encode_to_vec()), "a graph without its model (GraphProto)");
    }

    #[test]
    fn says_nothing_about_noise() {
        assert_eq!(lookalike(&[]), None);
        assert_eq!(lookalike(&[0xff, 0xfe, 0x00, 0x81, 0x9c]), None);
    }
}
