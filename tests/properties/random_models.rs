//! Random models, as text: valid by construction, and full of what passes look for.
//!
//! All values are `float[2,3,4,4]`, so any can be an operand of any node and a model is a list of choices that proptest can
//! shorten. Each kind of line is something that a rule has an eye on, or that stands in its way: several readers, values given
//! out, shapes computed when the model runs, branches nobody reads, names in subgraphs.

use onnxpress::ir::Model;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::more_lines;

/// One choice: what to make, of which earlier values, with which numbers.
#[derive(Debug, Clone)]
struct Line {
    kind: usize,
    a: usize,
    b: usize,
    seed: u16,
}

/// How many kinds of lines there are here; [`more_lines`] has the others.
const KINDS: usize = 21;

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
        14 => {
            let (zero, first) = (weight("int64", "i", "{0}"), weight("int64[1]", "f", "{0}"));
            let rest = weight("int64[2]", "g", if seed % 2 == 0 { "{3, 16}" } else { "{12, 4}" });
            format!(
                "s{n} = Shape({a})\n  e{n} = Gather(s{n}, {zero})\n  u{n} = Unsqueeze(e{n}, {first})\n  t{n} = Concat<axis = \
                 0>(u{n}, {rest})\n  r{n} = Reshape({a}, t{n})\n  n{n} = Neg(r{n})\n  v{n} = Reshape(n{n}, s{n})"
            )
        }
        15 => {
            let mut list = |name: &str, value: i64| weight("int64[1]", name, &format!("{{{value}}}"));
            let (zero, axis, max) = (list("z", 0), list("h", 3), list("j", i64::MAX));
            let middle = list("k", i64::from(seed % 4));
            let (first, second) = if seed % 3 == 0 { ("q", "p") } else { ("p", "q") };
            format!(
                "p{n} = Slice({a}, {zero}, {middle}, {axis})\n  q{n} = Slice({a}, {middle}, {max}, {axis})\n  v{n} = \
                 Concat<axis = 3>({first}{n}, {second}{n})"
            )
        }
        16 => {
            let low = weight("float", "low", &format!("{{{}}}", f32::from(seed % 5) / 4.0 - 0.5));
            let high = weight("float", "high", "{1.5}");
            format!("p{n} = Relu({a})\n  q{n} = Clip(p{n}, {low}, {high})\n  v{n} = Relu(q{n})")
        }
        17 => {
            let pads = weight("int64[8]", "pads", &format!("{{0, 0, 0, {}, 0, 0, 1, 0}}", seed % 2));
            let (w, mut list) = (weight("float[3,3,2,1]", "w", &format!("normal(seed={seed})")), Vec::new());
            for (name, value) in [("from", 0), ("to", 4), ("over", 3)] {
                list.push(weight("int64[1]", name, &format!("{{{value}}}")));
            }
            let [from, to, over] = [&list[0], &list[1], &list[2]];
            format!("p{n} = Pad({a}, {pads})\n  q{n} = Conv(p{n}, {w})\n  v{n} = Slice(q{n}, {from}, {to}, {over})")
        }
        18 => {
            let middle = if seed % 2 == 0 { format!("Sigmoid(p{n})") } else { format!("Softmax<axis = 3>(p{n})") };
            format!(
                "p{n} = Transpose<perm = [0, 2, 3, 1]>({a})\n  q{n} = {middle}\n  v{n} = Transpose<perm = [0, 3, 1, 2]>(q{n})"
            )
        }
        19 => {
            let axis = weight("int64[1]", "axis", &format!("{{{}}}", 1 + seed % 3));
            format!(
                "p{n} = ReduceMean<keepdims = 0>({a}, {axis})\n  q{n} = Unsqueeze(p{n}, {axis})\n  v{n} = Sub({a}, q{n})"
            )
        }
        20 => {
            let (index, axis) = (weight("int64", "index", "{1}"), weight("int64[1]", "axis", "{2}"));
            format!(
                "p{n} = Gather<axis = 2>({a}, {index})\n  q{n} = Unsqueeze(p{n}, {axis})\n  s{n} = Shape({b})\n  r{n} = \
                 Expand(q{n}, s{n})\n  v{n} = Mul(r{n}, {b})"
            )
        }
        kind if *kind >= KINDS => more_lines::written(n, kind - KINDS, *seed, a, b, initializers),
        _ => format!("l{n}, d{n} = Split<axis = 3, num_outputs = 2>({a})\n  v{n} = Concat<axis = 3>(l{n}, d{n})"),
    }
}

/// A model of up to `size` of such lines. The last value is given out, and now and then one before it.
pub(crate) fn any_model(size: usize) -> impl Strategy<Value = String> {
    let line = (0..KINDS + more_lines::KINDS, any::<usize>(), any::<usize>(), 1..100_u16);
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

/// The same model for batches of any size.
pub(crate) fn with_open_batch(text: &str) -> String {
    text.replace("float[2,3,4,4]", "float[N,3,4,4]")
}

/// The same model with its nodes in another order.
pub(crate) fn reordered(text: &str, seed: usize) -> String {
    let (head, rest) = text.split_once("\n{\n").unwrap();
    let (body, tail) = rest.rsplit_once("\n}\n").unwrap();
    let mut lines: Vec<&str> = body.lines().collect();
    lines.reverse();
    let count = lines.len();
    lines.rotate_left(seed % count);
    format!("{head}\n{{\n{}\n}}\n{tail}", lines.join("\n"))
}

/// The model of a text that is right by construction.
pub(crate) fn read(text: &str) -> Model {
    Model::from_text(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}
