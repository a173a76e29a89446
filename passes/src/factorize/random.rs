//! Layers of every kind, drawn at random: at the full rank a product is the layer, and at any rank it is what the witness says.

#![allow(clippy::unwrap_used, clippy::panic)]

use onnxpress_ir::{Model, Tensor};
use onnxpress_ops::evaluate::Value;
use onnxpress_ops::interpret::{self, Limits};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::evidence::testing::typed;
use crate::manager::{self, Report, RunOptions};

/// A model of one layer, and the extents of its input.
#[derive(Debug, Clone)]
struct Drawn {
    text: String,
    input: Vec<usize>,
}

fn of(input: &[usize], initializers: &str, node: &str) -> Drawn {
    let dims: Vec<String> = input.iter().map(ToString::to_string).collect();
    let text = format!(
        "<ir_version: 8, opset_import: [\"\" : 17]> net (float[{}] x) => (y) <{initializers}> {{ y = {node} }}",
        dims.join(",")
    );
    Drawn { text, input: input.to_vec() }
}

prop_compose! {
    fn convolution()(
        (groups, out, of_group) in (1usize..4, 2usize..6, 2usize..5),
        kernel in prop::array::uniform2(1usize..4),
        strides in prop::array::uniform2(1usize..3),
        dilations in prop::array::uniform2(1usize..3),
        pads in prop::array::uniform4(0usize..3),
        (automatic, bias, seed) in (any::<bool>(), any::<bool>(), 0u32..1000),
    ) -> Drawn {
        let joined = |numbers: &[usize]| numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let place = if automatic { "auto_pad = \"SAME_UPPER\"".to_owned() } else { format!("pads = [{}]", joined(&pads)) };
        let node = format!(
            "Conv<group = {groups}, strides = [{}], dilations = [{}], {place}>(x, w{})",
            joined(&strides), joined(&dilations), if bias { ", b" } else { "" },
        );
        let (outputs, [height, width]) = (groups * out, kernel);
        let weights = format!(
            "float[{outputs},{of_group},{height},{width}] w = normal(seed={seed}, std=1.0), float[{outputs}] b = normal(seed=7, std=1.0)"
        );
        of(&[2, groups * of_group, 7, 6], &weights, &node)
    }
}

prop_compose! {
    fn gemm()(
        (m, k, n) in (2usize..6, 2usize..8, 2usize..8),
        (across, transposed, bias, seed) in (any::<bool>(), any::<bool>(), any::<bool>(), 0u32..1000),
    ) -> Drawn {
        let (rows, columns) = if transposed { (n, k) } else { (k, n) };
        let weights = format!("float[{rows},{columns}] w = normal(seed={seed}, std=1.0), float[{n}] b = normal(seed=7, std=1.0)");
        let node = format!(
            "Gemm<transA = {}, transB = {}>(x, w{})",
            u8::from(across), u8::from(transposed), if bias { ", b" } else { "" },
        );
        of(&if across { [k, m] } else { [m, k] }, &weights, &node)
    }
}

prop_compose! {
    fn product()(
        (batch, m, k, n) in (1usize..4, 2usize..6, 2usize..8, 2usize..8),
        (left, seed) in (any::<bool>(), 0u32..1000),
    ) -> Drawn {
        let dims = if left { [n, k] } else { [k, n] };
        let weights = format!("float[{},{}] w = normal(seed={seed}, std=1.0)", dims[0], dims[1]);
        let node = if left { "MatMul(w, x)" } else { "MatMul(x, w)" };
        of(&if left { vec![batch, k, m] } else { vec![batch, m, k] }, &weights, node)
    }
}

prop_compose! {
    fn recurrent()(
        (op, gates) in prop::sample::select(vec![("LSTM", 4usize), ("GRU", 3), ("RNN", 1)]),
        (steps, inputs, hidden) in (1usize..4, 2usize..7, 1usize..5),
        (both, bias, batch_first, seed) in (any::<bool>(), any::<bool>(), any::<bool>(), 0u32..1000),
    ) -> Drawn {
        let (directions, rows) = (1 + usize::from(both), gates * hidden);
        let weights = format!(
            "float[{directions},{rows},{inputs}] w = normal(seed={seed}, std=0.5), \
             float[{directions},{rows},{hidden}] r = normal(seed=8, std=0.5), float[{directions},{}] b = normal(seed=7, std=1.0)",
            2 * rows
        );
        let direction = if both { "bidirectional" } else { "reverse" };
        let node = format!(
            "{op}<hidden_size = {hidden}, direction = \"{direction}\", layout = {}>(x, w, r{})",
            u8::from(batch_first), if bias { ", b" } else { "" },
        );
        of(&[steps, 2, inputs], &weights, &node)
    }
}

fn outputs(model: &Model, input: &[usize]) -> Vec<f64> {
    let count: usize = input.iter().product();
    let values: Vec<f32> = (0..count).map(|at| ((at * 37 + 11) % 101) as f32 / 50.0 - 1.0).collect();
    let input = Tensor::from_values(input, values).unwrap();
    let found = interpret::run(model, vec![Some(Value::Tensor(input))], Limits::default()).unwrap();
    let Value::Tensor(y) = &found[0] else { panic!("no tensor") };
    y.to_f64s().unwrap()
}

/// The largest difference, as a share of the peak.
fn error(a: &Model, b: &Model, input: &[usize]) -> f64 {
    let (a, b) = (outputs(a, input), outputs(b, input));
    let peak = a.iter().fold(1e-6f64, |peak, value| peak.max(value.abs()));
    a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / peak
}

fn run(model: &mut Model, pipeline: &str) -> Report {
    let pipeline = crate::builtin().unwrap().pipeline(pipeline).unwrap();
    manager::run(&pipeline, model, RunOptions { verify_each: true, ..RunOptions::default() }).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn products_are_what_they_say(
        drawn in prop_oneof![4 => convolution(), 1 => gemm(), 1 => product(), 1 => recurrent()],
        form in prop::sample::select(vec!["auto", "channel", "spatial", "tucker", "cp"]),
        rank in 1usize..5,
    ) {
        let original = typed(&drawn.text);
        for how in ["energy=1".to_owned(), format!("rank={rank}")] {
            let options = format!("{how}, form={form}, save=none");
            let mut model = original.clone();
            let report = run(&mut model, &format!("factorize{{{options}}}"));
            // A vector has no smaller rank, nor has what no window fits.
            let Some(point) = report.checkpoints.first() else { continue };
            let witnessed = error(&point.expected, &model, &drawn.input);
            prop_assert!(witnessed < 1e-5, "{options}: {witnessed} off the witness\n{}", drawn.text);
            if how == "energy=1" {
                let exact = error(&original, &model, &drawn.input);
                prop_assert!(exact < 1e-4, "{options}: {exact} at the full rank\n{}", drawn.text);
            }
            let factorized = model.clone();
            run(&mut model, "merge-factors");
            let nodes = |model: &Model| model.graph.nodes().count();
            prop_assert_eq!(nodes(&model), nodes(&original), "{}: not all are merged\n{}", options, &drawn.text);
            let merged = error(&factorized, &model, &drawn.input);
            prop_assert!(merged < 1e-5, "{options}: {merged} off when merged\n{}", drawn.text);
        }
    }
}
