//! Steps that compute activations anew.

use onnxpress_ir::Tensor;
use onnxpress_ops::evaluate::Value;

use super::{check, numbers, run};
use crate::differentiate::{Differentiate, Loss, Step, step};
use crate::evidence::testing::typed;
use crate::options::Share;

/// Layers one behind the other, with a way past every two of them and one past all, a mask that is drawn of the samples, and a tied weight.
fn net(layers: usize) -> String {
    let weights: Vec<String> =
        (0..layers).map(|at| format!("double[4,4] w{at} = normal(seed={}, std=0.6)", at + 1)).collect();
    let mut nodes = vec!["h0 = MatMul(x, w0)".to_owned()];
    for at in 1..layers {
        let weight = if at == 3 { 1 } else { at };
        nodes.push(format!("m{at} = MatMul(h{}, w{weight})  t{at} = Tanh(m{at})", at - 1));
        nodes.push(match at % 2 {
            0 => format!("h{at} = Add(t{at}, h{})", at - 2),
            _ => format!("g{at} = Mul(t{at}, t{at})  h{at} = Sigmoid(g{at})"),
        });
    }
    let last = layers - 1;
    format!(
        "<ir_version: 8, opset_import: [\"\" : 17]> net (double[N,32,4] x) => (double[N,32,4] y) <{}> {{ {}  y = Add(h{last}, h0) }}",
        weights.join(", "),
        nodes.join("  ")
    )
}

fn with(text: &str, memory: Option<f64>) -> Step {
    let memory = memory.map_or(Share::ALL, |share| Share::new(share).unwrap());
    step(&typed(text), &Differentiate { loss: Loss::Mse, memory, ..Differentiate::default() }).unwrap()
}

#[test]
fn what_is_computed_anew_gives_the_same_to_the_bit() {
    let text = net(16);
    let given = |step: &Step| {
        let samples = [numbers(&[2, 32, 4], 1), numbers(&[2, 32, 4], 2)];
        samples.into_iter().chain(step.start.iter().cloned()).map(Some).collect::<Vec<Option<Tensor>>>()
    };
    let plain = with(&text, None);
    assert!(plain.saving.is_none());
    let expected = run(&plain.model, &given(&plain));
    let mut shares = Vec::new();
    for share in [0.8, 0.6, 0.01] {
        let less = with(&text, Some(share));
        assert_eq!(less.parameters, plain.parameters);
        let found = run(&less.model, &given(&less));
        assert_eq!(found, expected, "{share}");
        assert_eq!(less.forward.to_text(), plain.forward.to_text());
        shares.push(less.saving.unwrap().share());
    }
    assert!(shares[0] <= 0.8 && shares[1] <= 0.6 && shares[2] < shares[1] && shares[2] > 0.01, "{shares:?}");
}

#[test]
fn a_step_that_computes_anew_has_the_gradients_of_its_loss() {
    let options = Differentiate { loss: Loss::Mse, memory: Share::new(0.5).unwrap(), ..Differentiate::default() };
    check(&net(7), &options, &[numbers(&[1, 32, 4], 1), numbers(&[1, 32, 4], 2)]);
}

#[test]
fn numbers_that_are_none_pass_the_gate_too() {
    let step = with(&net(16), Some(0.6));
    let samples = Tensor::from_values(&[1, 32, 4], vec![f64::INFINITY; 128]).unwrap();
    let given = [samples, numbers(&[1, 32, 4], 2)].into_iter().chain(step.start.iter().cloned());
    let given = given.map(|tensor| Some(Value::Tensor(tensor))).collect();
    let outputs = onnxpress_ops::interpret::run(&step.model, given, Default::default()).unwrap();
    assert!(outputs[0].as_tensor().unwrap().to_f64s().unwrap()[0].is_nan());
}
