//! The version of the file format that an operator set came with.

use onnxpress_ir::{Attr, AttrValue, ConstantForm, Graph, Model};

/// The oldest version of the format (`ir_version`) that files of this operator set have, by the standard's table of releases.
pub(super) fn of_opset(version: i64) -> i64 {
    match version {
        ..=8 => 3,
        9 => 4,
        10 => 5,
        11 => 6,
        12..=14 => 7,
        15..=18 => 8,
        19..=20 => 9,
        21..=22 => 10,
        23 => 11,
        24 => 12,
        25..=27 => 13,
        _ => 14,
    }
}

/// Raises the model's format at least to this version.
///
/// Before version 4 every initializer had to be listed among the inputs, and was a constant all the same. From then on such
/// a list means that callers may give another value, so constants leave the list.
pub(super) fn raise(model: &mut Model, version: i64) {
    let before = model.header.ir_version;
    model.header.ir_version = before.max(version);
    if before < 4 && version >= 4 {
        delist(&mut model.graph);
    }
}

fn delist(graph: &mut Graph) {
    let is_listed = |form: &ConstantForm| matches!(form, ConstantForm::ListedAsInput { .. });
    let listed: Vec<_> =
        graph.constants().filter(|(_, constant)| is_listed(&constant.form)).map(|(id, _)| id).collect();
    for id in listed {
        graph.constant_mut(id).form = ConstantForm::Initializer;
    }
    let holders: Vec<_> = graph.nodes().filter(|(_, node)| node.has_subgraphs()).map(|(id, _)| id).collect();
    for id in holders {
        graph.subgraphs_mut(id).for_each(delist);
    }
}

/// What a constant of an attribute's value is written as in a node `Constant`: inside of a function the attribute may stand
/// for one of the function's, which only a node can read.
pub(super) fn constant_attribute(value: AttrValue) -> Option<Attr> {
    let name = match value.kind() {
        onnxpress_ir::AttrKind::Int => "value_int",
        onnxpress_ir::AttrKind::Ints => "value_ints",
        onnxpress_ir::AttrKind::Float => "value_float",
        onnxpress_ir::AttrKind::Floats => "value_floats",
        _ => return None,
    };
    Some(Attr::new(name, value))
}
