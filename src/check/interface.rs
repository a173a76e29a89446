//! What the outside sees of a model: names, order and types of inputs and outputs. No pass may change it, but for inputs that
//! it was asked to give a value, and element types that it was asked to change.

use onnxpress_ir::{DType, Graph, Model, NodeId, Type};
use onnxpress_passes::pass::Settled;

/// Where two interfaces differ; `None` where a reader of the one can read the other.
///
/// An output may be declared more precisely than before: a pass may have found out its shape.
pub(super) fn conflict(original: &Model, result: &Model, settled: &Settled) -> Option<String> {
    let (a, b) = (&original.graph, &result.graph);
    let inputs = |graph: &Graph| entries(graph, graph.inputs(), |graph, id| graph.input(id).declared.clone());
    let outputs = |graph: &Graph| entries(graph, graph.outputs(), |graph, id| graph.output(id).declared.clone());
    let (mut before, after) = (inputs(a), inputs(b));
    let is_there = |name: &String| after.iter().any(|(other, _)| other == name);
    before.retain(|(name, _)| is_there(name) || settled.inputs.iter().all(|(gone, _)| gone != name));
    differ("input", &before, &after, settled).or_else(|| differ("output", &outputs(a), &outputs(b), settled))
}

fn entries(graph: &Graph, ids: &[NodeId], declared: impl Fn(&Graph, NodeId) -> Type) -> Vec<(String, Type)> {
    let name = |id: NodeId| match graph.get(id) {
        Some(onnxpress_ir::Vertex::Output(output)) => output.name.to_string(),
        _ => graph.label(id.port(0)),
    };
    ids.iter().map(|&id| (name(id), declared(graph, id))).collect()
}

/// The type of a tensor, of other elements.
fn with_dtype(ty: &Type, dtype: DType) -> Option<Type> {
    ty.as_tensor().map(|tensor| Type::tensor(dtype, tensor.shape.clone()))
}

fn differ(what: &str, a: &[(String, Type)], b: &[(String, Type)], settled: &Settled) -> Option<String> {
    for (index, (name, ty)) in a.iter().enumerate() {
        match b.get(index) {
            None => return Some(format!("{what} `{name}` is gone")),
            Some((other, _)) if other != name => {
                return Some(format!("{what} {index} is `{other}` instead of `{name}`"));
            }
            Some((_, other)) => {
                let retyped = settled.types.iter().filter(|(known, _)| known == name);
                let allowed = retyped.filter_map(|&(_, dtype)| with_dtype(ty, dtype)).any(|ty| ty.merge(other).is_ok());
                if let Err(conflict) = ty.merge(other).map(drop)
                    && !allowed
                {
                    return Some(format!("{what} `{name}` is {other} instead of {ty}: {conflict}"));
                }
            }
        }
    }
    b.get(a.len()).map(|(name, _)| format!("{what} `{name}` was not there before"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn between(original: &str, result: &str) -> Option<String> {
        conflict(&Model::from_text(original).unwrap(), &Model::from_text(result).unwrap(), &Settled::default())
    }

    #[test]
    fn names_order_and_types_are_kept() {
        let model = "g (float[N] x, float[N] z) => (float[N] y) { y = Add(x, z) }";
        assert_eq!(between(model, model), None);
        let swapped = "g (float[N] z, float[N] x) => (float[N] y) { y = Add(x, z) }";
        assert_eq!(between(model, swapped).unwrap(), "input 0 is `z` instead of `x`");
        let fewer = "g (float[N] x) => (float[N] y) { y = Add(x, x) }";
        assert_eq!(between(model, fewer).unwrap(), "input `z` is gone");
        assert_eq!(between(fewer, model).unwrap(), "input `z` was not there before");
        let renamed = "g (float[N] x, float[N] z) => (float[N] w) { w = Add(x, z) }";
        assert_eq!(between(model, renamed).unwrap(), "output 0 is `w` instead of `y`");
        let double = "g (float[N] x, float[N] z) => (double[N] y) { y = Add(x, z) }";
        assert!(between(model, double).unwrap().starts_with("output `y` is double[N] instead of float[N]"));
    }

    #[test]
    fn an_input_may_go_that_was_given_a_value() {
        let before = Model::from_text("g (float[N] x, float[N] z) => (float[N] y) { y = Add(x, z) }").unwrap();
        let after = Model::from_text("g (float[N] x) => (float[N] y) { y = Neg(x) }").unwrap();
        let settled = |name: &str| Settled { inputs: vec![(name.to_owned(), None)], ..Settled::default() };
        assert_eq!(conflict(&before, &after, &settled("z")), None);
        assert_eq!(conflict(&before, &after, &settled("x")).unwrap(), "input `z` is gone");
        assert_eq!(conflict(&after, &before, &settled("z")).unwrap(), "input `z` was not there before");
    }

    #[test]
    fn element_types_may_change_that_were_asked_to() {
        let before = Model::from_text("g (float[N] x) => (float[N] y) { y = Neg(x) }").unwrap();
        let after = Model::from_text("g (float16[N] x) => (float16[N] y) { y = Neg(x) }").unwrap();
        let settled = |names: &[&str]| {
            let types = names.iter().map(|&name| (name.to_owned(), DType::Float16)).collect();
            Settled { types, ..Settled::default() }
        };
        assert_eq!(conflict(&before, &after, &settled(&["x", "y"])), None);
        assert_eq!(
            conflict(&before, &before, &settled(&["x", "y"])),
            None,
            "a model before the change is none the worse"
        );
        let only_input = conflict(&before, &after, &settled(&["x"])).unwrap();
        assert!(only_input.starts_with("output `y` is float16[N] instead of float[N]"), "{only_input}");
    }

    #[test]
    fn an_output_may_be_known_more_precisely() {
        let vague = "g (float[2] x) => (float[?] y) { y = Neg(x) }";
        let precise = "g (float[2] x) => (float[2] y) { y = Neg(x) }";
        assert_eq!(between(vague, precise), None);
    }
}
