//! Places and tables in the place of a weight.

use onnxpress_ir::{Attr, Carried, ConstantForm, DType, Edit, EditError, Graph, Node, NodeId, Tensor, Use, Vertex};
use onnxpress_ops::infer::Standard;

use super::palette::Parts;
use crate::rewrite::file_size;

/// Puts them there: `Cast`, `Add` where tables are many, `Gather`, and `Mul` where channels have scales.
///
/// # Errors
/// Where the graph does not take them: a defect.
pub(super) fn put(graph: &mut Graph, constant: NodeId, parts: &Parts, pass: &'static str) -> Result<(), EditError> {
    let value = constant.port(0);
    // The first of the readers in the file lends its place.
    let mut readers: Vec<Use> = graph.readers(value).collect();
    readers.sort_by_key(|reading| (graph.place(reading.node), *reading));
    let name = graph.port(value).name.clone();
    let as_nodes =
        matches!(graph.vertex(constant), Vertex::Constant(it) if matches!(it.form, ConstantForm::Node { .. }));
    let from: Vec<NodeId> = readers.first().map(|reading| reading.node).into_iter().collect();
    let mut edit = Edit::new(graph, &Standard, pass, &from);
    let add = |edit: &mut Edit<'_>, suffix: &str, tensor: &Tensor| {
        let value = edit.add_constant(name.as_ref().map(|name| name.suffixed(suffix)), tensor.clone());
        if as_nodes {
            edit.set_form(value.node, ConstantForm::Node { name: None, carried: Carried::none() });
        }
        value
    };
    let codes = add(&mut edit, "_codes", &parts.codes);
    let table = add(&mut edit, "_table", &parts.table);
    let mut places = edit.add(cast(), &[codes])?;
    if let Some(begins) = &parts.begins {
        let begins = add(&mut edit, "_begins", begins);
        places = edit.add(Node::new("Add", 1), &[places, begins])?;
    }
    let mut floats = edit.add(Node::new("Gather", 1), &[table, places])?;
    if let Some(scale) = &parts.scale {
        let scale = add(&mut edit, "_scale", scale);
        floats = edit.add(Node::new("Mul", 1), &[floats, scale])?;
    }
    edit.replace(value, floats)?;
    edit.remove(constant);
    edit.commit();
    Ok(())
}

fn cast() -> Node {
    Node::new("Cast", 1).with(Attr::int("to", DType::Int32.code()))
}

/// About how many bytes the parts take, the nodes among them: codes of a weight with these extents, `values` in all tables, and for each
/// of so many channels the begin of its table and its scale, where there are such.
pub(super) fn bytes(
    (codes, weight): (DType, DType),
    dims: &[usize],
    values: usize,
    begins: Option<usize>,
    scales: Option<usize>,
) -> usize {
    let constant = |dtype: DType, dims: &[usize]| {
        file_size::new_constant(dtype, dims, None, file_size::Written::Initializer) + "_codes".len()
    };
    let node = file_size::node_reading(&cast(), [file_size::NEW_NAME; 3].into_iter());
    let channels =
        |dtype: DType, count: Option<usize>| count.map_or(0, |count| constant(dtype, &[count, 1, 1, 1]) + node);
    constant(codes, dims)
        + constant(weight, &[values])
        + 2 * node
        + channels(DType::Int32, begins)
        + channels(weight, scales)
}
