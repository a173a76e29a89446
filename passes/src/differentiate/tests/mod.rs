//! Training steps held against central differences of their own loss.

#![allow(clippy::unwrap_used, clippy::panic)]

mod recompute;
mod spelled;

use onnxpress_ir::{Model, Tensor};
use onnxpress_ops::evaluate::Value;
use onnxpress_ops::interpret::{self, Limits};

use super::{Differentiate, Loss, step};
use crate::evidence::testing::typed;

const NET: &str = r#"
    <ir_version: 8, opset_import: ["" : 12]>
    net (double[N,1,6,6] x) => (double[N,3] y)
    <double[2,1,3,3] a = normal(seed=1, std=0.5), double[2] b = normal(seed=2, std=0.5),
     double[2] s = normal(seed=3, std=0.5), double[2] m = normal(seed=4, std=0.5), double[2] v = splat(1),
     double[8,3] c = normal(seed=5, std=0.5), double[3] d = normal(seed=6, std=0.5)> {
        one = Conv(x, a, b)
        two = BatchNormalization(one, s, b, m, v)
        three = Relu(two)
        four = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(three)
        five = Flatten(four)
        y = Gemm(five, c, d)
    }"#;

fn run(model: &Model, inputs: &[Option<Tensor>]) -> Vec<Tensor> {
    let given = inputs.iter().map(|tensor| tensor.clone().map(Value::Tensor)).collect();
    let outputs = interpret::run(model, given, Limits::default()).unwrap();
    outputs.into_iter().map(|value| value.as_tensor().unwrap().clone()).collect()
}

fn numbers(dims: &[usize], seed: usize) -> Tensor {
    let number = |at: usize| ((at * 7919 + seed * 104_729 + 12_345) % 1009) as f64 / 252.0 - 2.0;
    Tensor::from_values(dims, (0..dims.iter().product()).map(number).collect::<Vec<f64>>()).unwrap()
}

/// Holds every gradient of the step against central differences of its own loss.
fn check(text: &str, options: &Differentiate, given: &[Tensor]) {
    let step = step(&typed(text), options).unwrap();
    let model = &step.model;
    let defaults = model
        .graph
        .inputs()
        .iter()
        .skip(given.len())
        .map(|&id| model.graph.input(id).default.as_ref().and_then(|value| value.dense()).unwrap().clone());
    let inputs: Vec<Option<Tensor>> = given.iter().cloned().chain(defaults).map(Some).collect();
    let outputs = run(model, &inputs);
    assert_eq!(outputs.len(), step.parameters.len() + 1);
    for (place, parameter) in step.parameters.iter().enumerate() {
        let at = given.len() + place;
        let values = inputs[at].as_ref().unwrap().to_f64s().unwrap();
        let gradients = outputs[place + 1].to_f64s().unwrap();
        assert_eq!(values.len(), gradients.len());
        for (element, gradient) in gradients.iter().enumerate().step_by(5) {
            let loss = |by: f64| {
                let mut moved = values.clone();
                moved[element] += by;
                let mut inputs = inputs.clone();
                let dims = inputs[at].as_ref().unwrap().dims().to_vec();
                inputs[at] = Some(Tensor::from_values(&dims, moved).unwrap());
                run(model, &inputs)[0].to_f64s().unwrap()[0]
            };
            let quotient = (loss(1e-5) - loss(-1e-5)) / 2e-5;
            assert!((gradient - quotient).abs() < 1e-6, "{} {element}: {gradient}, not {quotient}", parameter.name);
        }
    }
}

#[test]
fn steps_compute_the_gradients_of_their_loss() {
    let samples = numbers(&[3, 1, 6, 6], 1);
    for loss in [Loss::Kl, Loss::Mse] {
        check(NET, &Differentiate { loss, ..Differentiate::default() }, &[samples.clone(), numbers(&[3, 3], 2)]);
    }
    let labels = Tensor::vector(vec![2i64, 0, 1]);
    check(NET, &Differentiate { loss: Loss::CrossEntropy, ..Differentiate::default() }, &[samples, labels]);
}

#[test]
fn of_probabilities_the_scores_are_compared() {
    let text = "<ir_version: 8, opset_import: [\"\" : 17]> net (double[N,4] x) => (double[N,3] p) \
        <double[4,3] w = normal(seed=1, std=1.0)> { y = MatMul(x, w)  p = Softmax(y) }";
    let model = typed(text);
    let x = numbers(&[2, 4], 1);
    let own = run(&model, &[Some(x.clone())]).remove(0);
    let step = step(&model, &Differentiate::default()).unwrap();
    let outputs = run(&step.model, &[Some(x.clone()), Some(own), None]);
    assert!(outputs[0].to_f64s().unwrap()[0].abs() < 1e-12, "a teacher of the same mind has nothing to say");
    assert!(outputs[1].to_f64s().unwrap().iter().all(|gradient| gradient.abs() < 1e-12));
    let other = Tensor::from_values(&[2, 3], vec![0.2, 0.3, 0.5, 0.0, 0.0, 1.0]).unwrap();
    check(text, &Differentiate::default(), &[x, other]);
}

#[test]
fn names_choose_parameters_and_statistics_are_none() {
    let names = |options: &Differentiate| {
        let step = step(&typed(NET), options).unwrap();
        step.parameters.into_iter().map(|parameter| parameter.name).collect::<Vec<_>>().join(" ")
    };
    use crate::options::Pattern;
    assert_eq!(names(&Differentiate::default()), "a b s c d");
    assert_eq!(
        names(&Differentiate { frozen: vec![Pattern::new("a"), Pattern::new("s")], ..Differentiate::default() }),
        "b c d"
    );
    assert_eq!(
        names(&Differentiate {
            parameters: vec![Pattern::new("?")],
            frozen: vec![Pattern::new("[abc]"), Pattern::new("b")],
            ..Differentiate::default()
        }),
        "a s c d"
    );
    let interface: Vec<String> = {
        let step = step(&typed(NET), &Differentiate::default()).unwrap();
        let graph = &step.model.graph;
        let inputs = graph.inputs().iter().map(|id| graph.label(id.port(0)));
        inputs.chain(graph.outputs().iter().map(|&id| graph.output(id).name.to_string())).collect()
    };
    assert_eq!(interface.join(" "), "x teacher a b s c d loss gradient/a gradient/b gradient/s gradient/c gradient/d");
}

#[test]
fn what_lies_behind_an_operator_without_a_gradient_is_frozen() {
    let text = "<ir_version: 8, opset_import: [\"\" : 17]> net (double[N,4] x) => (double[N,2] y) \
        <double[4,3] u = normal(seed=1, std=1.0), double[1,3] w = normal(seed=2, std=1.0), double[3,2] z = normal(seed=3, std=1.0), int64[1] l = {1}> \
        { a = MatMul(x, u)  b = ReduceProd<axes = [1]>(a)  c = MatMul(b, w)  d = Add(c, a)  y = MatMul(d, z) }";
    let made = step(&typed(text), &Differentiate::default()).unwrap();
    assert_eq!(made.parameters.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["w", "z"]);
    let reason = "ReduceProd `b` has no gradient: its quotient by an element that is 0 is not defined";
    assert_eq!(made.frozen, [("u".to_owned(), reason.to_owned())]);
}

#[test]
fn outputs_may_be_of_several_types_or_parameters_themselves() {
    let text = "<ir_version: 8, opset_import: [\"\" : 17]> net (double[N,4] x) => (double[N,2] y, float[N,2] z, double[4,2] w) \
        <double[4,2] w = normal(seed=1, std=1.0)> { y = MatMul(x, w)  z = Cast<to = 1>(y) }";
    let made = step(&typed(text), &Differentiate { loss: Loss::Mse, ..Differentiate::default() }).unwrap();
    let x = numbers(&[2, 4], 1);
    let own = run(&typed(text), &[Some(x.clone())]);
    let inputs: Vec<Option<Tensor>> = std::iter::once(x).chain(own).map(Some).chain([None]).collect();
    let outputs = run(&made.model, &inputs);
    assert_eq!(outputs.len(), 2);
    assert!(outputs.iter().all(|output| output.to_f64s().unwrap().iter().all(|number| number.abs() < 1e-12)));
    assert_eq!(run(&made.forward, &inputs).len(), 4);
}

#[test]
fn requests_that_cannot_be_met_say_why() {
    let refused = |text: &str, options: &Differentiate| step(&typed(text), options).unwrap_err().to_string();
    let none = "<ir_version: 8, opset_import: [\"\" : 17]> net (float[N] x) => (float[N] y) { y = Relu(x) }";
    assert_eq!(refused(none, &Differentiate::default()), "the model has nothing to train");
    let given = "<ir_version: 8, opset_import: [\"\" : 17]> net (float[2] x, float[2] w = {1, 2}) => (float[2] y) { y = Mul(x, w) }";
    assert_eq!(
        refused(given, &Differentiate::default()),
        "the model has nothing to train (`w` is an input with a default: `initializers-as-constants` makes constants of such)"
    );
    let cold = Differentiate { temperature: 0.0, ..Differentiate::default() };
    assert_eq!(refused(NET, &cold), "`temperature` is 0, expected a number above 0");
    let nameless = Differentiate { outputs: vec![crate::options::Pattern::new("z")], ..Differentiate::default() };
    assert_eq!(refused(NET, &nameless), "no output of floats is named, so there is nothing to compare");
}
