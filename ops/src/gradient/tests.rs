#![allow(clippy::unwrap_used, clippy::panic)]

mod cases;
mod differences;
mod drawn;

use onnxpress_ir::{Carried, DType, Edit, Input, Model, Name, Port, Tensor};
use proptest::prelude::*;

use super::of_node;
use crate::evaluate::Value;
use crate::infer::{self, Standard};
use crate::interpret::{self, Limits};
use cases::CASES;
use differences::{Checked, Extents};
use drawn::{Draw, FAMILIES};

proptest! {
    #![proptest_config(ProptestConfig { cases: 2, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every gradient is what central differences say, whether extents are known beforehand or not.
    #[test]
    fn gradients_are_what_central_differences_say(seed: u64) {
        let mut wrong = Vec::new();
        for case in CASES {
            for extents in [Extents::Known, Extents::AsWritten] {
                let checked = Checked::of(case, seed, extents);
                if let Err(reason) = checked.and_then(|checked| checked.compare()) {
                    wrong.push(format!("{case}\n    {reason} (extents {extents:?}, seed {seed})"));
                }
            }
        }
        prop_assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

/// Nodes drawn of each family.
const DRAWN: u64 = 40;

/// The same of nodes that are drawn. Where no extent is known, some have no gradient; where one is written, it is right.
#[test]
fn gradients_of_drawn_nodes_are_what_central_differences_say() {
    let mut wrong = Vec::new();
    for (family, draw) in (1u64..).zip(FAMILIES) {
        for seed in (0..DRAWN).map(|number| number * 1000 + family) {
            let case = draw(&mut Draw::new(seed));
            let known = Checked::of(&case, seed, Extents::Known).and_then(|checked| checked.compare());
            let hidden = Checked::of(&case, seed, Extents::Hidden).map_or(Ok(()), |checked| checked.compare());
            if let Err(reason) = known.and(hidden) {
                wrong.push(format!("{case}\n    {reason} (seed {seed})"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

/// Why the only node of a text has no gradient of its first operand.
fn refusal(text: &str) -> String {
    let mut model = Model::from_text(text).unwrap();
    infer::model(&mut model);
    let node = model.graph.nodes().next().unwrap().0;
    let mut edit = Edit::new(&mut model.graph, &Standard, "test", &[node]);
    let result = node.port(0);
    of_node(&mut edit, node, &[Some(result)], &[true, true]).unwrap_err().to_string()
}

/// The gradients of the first two operands of the only node, where that of its result is all ones.
fn of_ones(text: &str, x: &[f64]) -> [Vec<f64>; 2] {
    let mut model = Model::from_text(text).unwrap();
    infer::model(&mut model);
    let node = model.graph.nodes().next().unwrap().0;
    let ty = onnxpress_ir::Type::tensor(DType::Double, model.graph.ty(node.port(0)).shape().cloned());
    let port = Port { ty: ty.clone(), ..Port::default() };
    let ones = model.graph.add_input(Input { port, default: None, declared: ty, carried: Carried::none() });
    let mut edit = Edit::new(&mut model.graph, &Standard, "test", &[node]);
    let gradients = of_node(&mut edit, node, &[Some(ones)], &[true, true]).unwrap();
    edit.commit();
    for (name, gradient) in ["dx", "ds"].into_iter().zip(gradients) {
        let gradient = gradient.unwrap();
        let ty = model.graph.ty(gradient).clone();
        model.graph.add_output(Name::from(name), ty, Carried::none(), gradient);
    }
    let dtype = model.graph.input(model.graph.inputs()[0]).declared.dtype().unwrap();
    let x = Tensor::from_f64s(dtype, &[x.len()], x).unwrap();
    let ones = Tensor::vector(vec![1f64; x.len()]);
    let given = vec![Some(Value::Tensor(x)), Some(Value::Tensor(ones))];
    let outputs = interpret::run(&model, given, Limits::default()).unwrap();
    [1, 2].map(|output| outputs[output].as_tensor().unwrap().to_f64s().unwrap())
}

#[test]
fn rounding_counts_as_nothing_and_clipping_as_clipping() {
    let quantize = "<ir_version: 10, opset_import: [\"\" : 21]> \
        g (double[4] x) => (y) <double s = {0.5}, uint8 z = {3}> { y = QuantizeLinear(x, s, z) }";
    let [dx, ds] = of_ones(quantize, &[-2.0, 0.25, 1.0, 200.0]);
    assert_eq!(dx, [0.0, 2.0, 2.0, 0.0], "-4 + 3 and 400 + 3 are cut off");
    assert_eq!(ds, [-5.0], "-x / s^2 of what is inside");
    let dequantize = "<ir_version: 10, opset_import: [\"\" : 21]> \
        g (uint8[4] x) => (y) <double[4] s = {1, 2, 3, 4}, uint8[4] z = {1, 1, 1, 1}> { y = DequantizeLinear<axis=0>(x, s, z) }";
    let [dx, ds] = of_ones(dequantize, &[0.0, 1.0, 2.0, 5.0]);
    assert_eq!((dx, ds), (vec![1.0, 2.0, 3.0, 4.0], vec![-1.0, 0.0, 1.0, 4.0]));
}

#[test]
fn what_has_no_gradient_says_why() {
    let said = |body: &str| refusal(&format!("g (float[N,4] x, float[N,4] z) => (y) {{ y = {body} }}"));
    assert_eq!(said("ReduceProd(x)"), "its quotient by an element that is 0 is not defined");
    assert_eq!(said("Mod<fmod=1>(x, z)"), "operand 1 has no gradient");
    assert_eq!(said("my.Own(x)"), "nothing is known of Own");
    let old = "<ir_version: 8, opset_import: [\"\" : 13]> g (float[N] x) => (y) { y = Relu(x) }";
    assert_eq!(refusal(old), "gradients are written in version 16, not 13");
}

#[test]
fn every_operator_that_others_are_trained_through_has_one() {
    let without = |name: &str| {
        !matches!(crate::table::operator(b"", name.as_bytes()).unwrap().gradient, super::Gradient::With(_))
    };
    let trained =
        ["Conv", "ConvTranspose", "MatMul", "Gemm", "Einsum", "LayerNormalization", "Softmax", "Gather", "Resize"];
    assert!(!trained.into_iter().any(without));
    assert!(["Shape", "ArgMax", "Floor", "Loop"].into_iter().all(without));
}
