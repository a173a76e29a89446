//! Random models, as text: valid by construction, and full of what passes look for.
//!
//! All values are `float[2,3,4,4]`, so any can be an operand of any node and a model is a list of choices that proptest can
//! shorten. Each kind of line is something that a rule has an eye on, or that stands in its way: several readers, values given
//! out, shapes computed when the model runs, branches nobody reads, names in subgraphs.

use onnxpress::ir::Model;
use proptest::collection::vec;
use proptest::prelude::*;

/// One choice: what to make, of which earlier values, with which numbers.
#[derive(Debug, Clone)]
struct Line {
    kind: usize,
    a: usize,
    b: usize,
    seed: u16,
}

/// How many kinds of lines there are.
const KINDS: usize = 14;

/// The lines that make value `v{n}` of `a` and `b`, and the initializers that they need.
fn written(n: usize, line: &Line, a: &str, b: &str, initializers: &mut Vec<String>) -> String {
    let Line { kind, seed, .. } = line;
    let mut weight = |ty: &str, name: &str, value: &str| {
        initializers.push(format!("{ty} {name}{n} = {value}"));
        format!("{name}{n}")
    };
    let unary = ["Relu", "Abs", "Neg", "Tanh", "Identity", "Sigmoid"];
    let binary = ["Add", "Sub", "Mul", "Max", "Min"];
    match kind {
        0..=2 => format!("v{n} = {}({a})", unary[usize::from(*seed) % unary.len()]),
        3..=4 => format!("v{n} = {}({a}, {b})", binary[usize::from(*seed) % binary.len()]),
        5 => {
            let c = weight("float[3,1,1]", "c", &format!("uniform(seed={seed}, low=-1, high=1)"));
            format!("v{n} = {}({a}, {c})", binary[usize::from(*seed) % 3])
        }
        6..=7 => {
            let w = weight("float[3,3,1,1]", "w", &format!("normal(seed={seed}, std=0.5)"));
            let bias = if seed % 2 == 0 { format!(", {}", weight("float[3]", "bias", "iota")) } else { String::new() };
            let conv = format!("k{n} = Conv({a}, {w}{bias})");
            let mut parameter = |name: &str, value: &str| weight("float[3]", name, value);
            let (scale, shift) = (parameter("s", &format!("uniform(seed={seed})")), parameter("t", "splat(0.25)"));
            let (mean, variance) = (parameter("m", "splat(0.1)"), parameter("u", "splat(2)"));
            // What stands in the way of fusing now and then: another reader of the convolution.
            let read = if seed % 3 == 0 { format!("v{n} = Add(n{n}, k{n})") } else { format!("v{n} = Relu(n{n})") };
            format!("{conv}\n  n{n} = BatchNormalization(k{n}, {scale}, {shift}, {mean}, {variance})\n  {read}")
        }
        8 => {
            let half = weight("float", "half", "splat(0.5)");
            format!("v{n} = Dropout({a}, {half})")
        }
        9 => {
            format!("x{n} = Transpose<perm = [0, 1, 3, 2]>({a})\n  v{n} = Transpose<perm = [0, 1, 3, 2]>(x{n})")
        }
        10 => format!(
            "h{n} = Shape({a})\n  f{n} = Flatten({a})\n  r{n} = Cast<to = 7>(h{n})\n  v{n} = Reshape(f{n}, r{n})"
        ),
        11 => format!(
            "p{n} = Constant<value = float[3,1,1] {{1, {seed}, 3}}>()\n  q{n} = Sqrt(p{n})\n  v{n} = Div({a}, q{n})"
        ),
        12 => {
            let condition = weight("bool", "on", if seed % 2 == 0 { "{1}" } else { "{0}" });
            format!(
                "v{n} = If({condition}) <then_branch = yes{n} () => (float[2,3,4,4] o{n}) {{ i{n} = Identity({a}) o{n} = \
                 Neg(i{n}) }}, else_branch = no{n} () => (float[2,3,4,4] e{n}) {{ e{n} = Add({a}, {b}) }}>"
            )
        }
        _ => format!("l{n}, d{n} = Split<axis = 3, num_outputs = 2>({a})\n  v{n} = Concat<axis = 3>(l{n}, d{n})"),
    }
}

/// A model of up to `size` of such lines. The last value is given out, and now and then one before it.
pub(crate) fn any_model(size: usize) -> impl Strategy<Value = String> {
    let line = (0..KINDS, any::<usize>(), any::<usize>(), 1..100_u16);
    let line = line.prop_map(|(kind, a, b, seed)| Line { kind, a, b, seed });
    (vec(line, 1..size), any::<usize>()).prop_map(|(lines, tap)| {
        let (mut body, mut initializers) = (String::new(), Vec::new());
        for (n, line) in lines.iter().enumerate() {
            // Earlier values, the newest most often; 0 is the input.
            let operand = |choice: usize| match n - choice % (n + 1) % 4.min(n + 1) {
                0 => "x".to_owned(),
                value => format!("v{}", value - 1),
            };
            let line = written(n, line, &operand(line.a), &operand(line.b), &mut initializers);
            body.push_str(&format!("  {line}\n"));
        }
        let last = lines.len() - 1;
        let mut outputs = format!("float[2,3,4,4] v{last}");
        if tap % 3 == 0 && last > 0 {
            outputs.push_str(&format!(", float[2,3,4,4] v{}", tap / 3 % last));
        }
        format!(
            "<ir_version: 10, opset_import: [\"\" : 21]>\nany (float[2,3,4,4] x) => ({outputs})\n<{}>\n{{\n{body}}}\n",
            initializers.join(", ")
        )
    })
}

/// The model of a text that is right by construction.
pub(crate) fn read(text: &str) -> Model {
    Model::from_text(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}
