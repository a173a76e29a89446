//! What only our own parser reads.

use super::*;
use crate::dtype::DType;
use crate::tensor::Tensor;

/// The tensor of `dtype[dims] = recipe`.
fn tensor(text: &str) -> Tensor {
    let (ty, data) = text.split_once(' ').unwrap();
    let graph = Graph::from_text(&format!("g () => () <{ty} w = {data}> {{}}"))
        .unwrap_or_else(|error| panic!("{text}: {error}"));
    graph.constant(graph.constants().next().unwrap().0.port(0)).unwrap().clone()
}

#[test]
fn recipes_make_elements_of_any_type() {
    assert_eq!(tensor("float[2,3] iota").to_f64s().unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(tensor("int64[3] iota(start=-1, step=2)").to_i64s().unwrap(), [-1, 1, 3]);
    assert_eq!(tensor("float16[2] splat(1.5)").to_f64s().unwrap(), [1.5, 1.5]);
    assert_eq!(tensor("uint64[2] splat(18446744073709551615)").values::<u64>().unwrap()[1], u64::MAX);
    assert_eq!(tensor("string[2] splat(\"a\")").strings().unwrap()[1], "a");
    assert_eq!(tensor("int4[3] splat(-3)").to_i64s().unwrap(), [-3; 3]);
    assert_eq!(tensor("bool[2] splat(1)").to_i64s().unwrap(), [1, 1]);
    assert_eq!(tensor("float splat(2)").dims(), [0usize; 0]);
    let uniform = tensor("double[1000] uniform(seed=3, low=-2, high=2)").to_f64s().unwrap();
    assert!(
        uniform.iter().all(|v| (-2.0..2.0).contains(v))
            && uniform.iter().any(|&v| v < -1.5)
            && uniform.iter().any(|&v| v > 1.5)
    );
    assert_eq!(tensor("float[9] normal(seed=1)"), tensor("float[9] normal(seed=1, mean=0, std=1)"));
    assert_ne!(tensor("float[9] normal(seed=1)"), tensor("float[9] normal(seed=2)"));
    assert_eq!(tensor("float[1] hex(\"0100c07f\")").bytes().unwrap().as_ref(), [1, 0, 0xc0, 0x7f]);
}

#[test]
fn recipes_stand_in_attributes_too() {
    let graph = Graph::from_text("g () => (y) { y = Constant <value = float[2] = splat(3)> () }").unwrap();
    assert!(graph.to_text().contains("value = float[2] {3, 3}"));
}

#[test]
fn small_floats_may_be_values_and_sub_byte_elements_one_by_one() {
    for dtype in DType::ALL.iter().filter(|dtype| dtype.is_float()) {
        assert_eq!(tensor(&format!("{dtype}[2] {{1.0, 2}}")).to_f64s().unwrap(), [1.0, 2.0], "{dtype}");
    }
    assert_eq!(tensor("int4[3] {1, -2, 3}").to_i64s().unwrap(), tensor("int4[3] {225, 3}").to_i64s().unwrap());
    assert_eq!(tensor("int2[1] {-1}").to_i64s().unwrap(), [-1]);
    assert_eq!(tensor("uint4[1] {15}").to_i64s().unwrap(), [15]);
    assert!(tensor("float16[2] {nan, -inf}").to_f64s().unwrap()[0].is_nan());
}

#[test]
fn extents_may_be_expressions() {
    let text = "g (float[N,2*N,floor((N + 1)/2),?3,?,-1] x, ?[N] u, seq(unknown) v, ?[] w, ? z) => (x) {}\n";
    assert_eq!(reprint(text), text.replace("-1", "?"), "a negative extent is one that is not known");
}

#[test]
fn a_nan_with_a_payload_keeps_it() {
    let text = "g () => () { = Op <t = float[1] = hex(\"0100c07f\"), u = float6e2m3[1] = hex(\"c1\")> () }";
    let printed = reprint(text);
    assert!(printed.contains("t = float[1] = hex(\"0100c07f\"), u = float6e2m3[1] = hex(\"c1\")"), "{printed}");
}
