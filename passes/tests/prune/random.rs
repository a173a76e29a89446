//! Random graphs of what channels run through, pruned at random: the result must compute what the witness computes.
//!
//! A graph is a list of choices that proptest can shorten. Values are feature maps `[2, c, 4, 4]`, sequences `[2, 5, c]` or
//! rows `[2, c]`; every line takes earlier values and makes one of them, and the last is read by a layer of fixed width.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::RngSeed;

use super::{numbers, run};

/// What a value looks like, and how many channels it has.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Map(usize),
    Sequence(usize),
    Row(usize),
}

use Kind::{Map, Row, Sequence};

#[derive(Debug, Clone)]
struct Line {
    what: usize,
    a: usize,
    b: usize,
    seed: usize,
}

struct Writer {
    values: Vec<(String, Kind)>,
    initializers: Vec<String>,
    nodes: Vec<String>,
}

impl Writer {
    fn weight(&mut self, dims: &[usize], recipe: &str) -> String {
        let name = format!("w{}", self.initializers.len());
        let dims: Vec<String> = dims.iter().map(ToString::to_string).collect();
        let seed = self.initializers.len();
        let value = if recipe.is_empty() { format!("normal(seed={seed}, std=0.5)") } else { recipe.to_owned() };
        self.initializers.push(format!("float[{}] {name} = {value}", dims.join(",")));
        name
    }

    fn ints(&mut self, values: &[i64]) -> String {
        let name = format!("i{}", self.initializers.len());
        let values: Vec<String> = values.iter().map(ToString::to_string).collect();
        self.initializers.push(format!("int64[{}] {name} = {{{}}}", values.len(), values.join(", ")));
        name
    }

    fn node(&mut self, op: &str, operands: &[&str]) -> String {
        let name = format!("v{}", self.nodes.len());
        self.nodes.push(format!("{name} = {op}({})", operands.join(", ")));
        name
    }

    fn two(&mut self, op: &str, operands: &[&str]) -> (String, String) {
        let name = format!("v{}", self.nodes.len());
        self.nodes.push(format!("{name}, {name}b = {op}({})", operands.join(", ")));
        (name.clone(), format!("{name}b"))
    }

    /// A value of the same kind as another, with so many channels, made of the last such one or by a layer.
    fn layer(&mut self, of: &str, kind: Kind, to: usize) -> String {
        match kind {
            Map(c) => {
                let w = self.weight(&[to, c, 1, 1], "");
                self.node("Conv", &[of, &w])
            }
            Sequence(c) => {
                let w = self.weight(&[c, to], "");
                self.node("MatMul", &[of, &w])
            }
            Row(c) => {
                let (w, b) = (self.weight(&[to, c], ""), self.weight(&[to], ""));
                self.node("Gemm<transB = 1>", &[of, &w, &b])
            }
        }
    }

    fn line(&mut self, line: &Line) {
        // Mostly one of the latest, so that graphs are deep.
        let latest = self.values.len() - 1 - line.a % self.values.len().min(2);
        let (a, kind) = self.values[latest].clone();
        let other = self.values[line.b % self.values.len()].clone();
        // Values of the same kind and width can meet; of others, a layer makes one.
        let c = width(kind);
        let same = std::mem::discriminant(&kind) == std::mem::discriminant(&other.1);
        let b = match same {
            true if width(other.1) == c => other.0,
            true => self.layer(&other.0, other.1, c),
            false => self.layer(&a, kind, c),
        };
        let made = match kind {
            Map(c) => self.map(line, &a, &b, c),
            Sequence(c) => self.sequence(line, &a, &b, c),
            Row(c) => self.row(line, &a, &b, c),
        };
        self.values.push(made);
    }

    fn map(&mut self, line: &Line, a: &str, b: &str, c: usize) -> (String, Kind) {
        let to = [4, 6, 8, 12][line.seed % 4];
        match line.what % 22 {
            0 | 1 => (self.layer(a, Map(c), to), Map(to)),
            2 => {
                let (w, bias) = (self.weight(&[to, c, 3, 3], ""), self.weight(&[to], ""));
                (self.node("Conv<pads = [1, 1, 1, 1]>", &[a, &w, &bias]), Map(to))
            }
            3 => {
                let w = self.weight(&[c, 1, 3, 3], "");
                (self.node(&format!("Conv<group = {c}, pads = [1, 1, 1, 1]>"), &[a, &w]), Map(c))
            }
            4 if c.is_multiple_of(2) => {
                let w = self.weight(&[to, c / 2, 1, 1], "");
                (self.node("Conv<group = 2>", &[a, &w]), Map(to))
            }
            5 => {
                let w = self.weight(&[c, to, 1, 1], "");
                (self.node("ConvTranspose", &[a, &w]), Map(to))
            }
            6 | 7 => {
                let [s, t, m] = [(); 3].map(|()| self.weight(&[c], ""));
                let u = self.weight(&[c], "splat(0.5)");
                (self.node("BatchNormalization", &[a, &s, &t, &m, &u]), Map(c))
            }
            8 => (self.node(["Relu", "Sigmoid", "Tanh", "HardSwish"][line.seed % 4], &[a]), Map(c)),
            9 => (self.node(["Add", "Mul", "Max", "Sub"][line.seed % 4], &[a, b]), Map(c)),
            10 => {
                let w = self.weight(&[c, 1, 1], "");
                (self.node(["Add", "Mul", "PRelu"][line.seed % 3], &[a, &w]), Map(c))
            }
            11 => (self.node("Concat<axis = 1>", &[a, b]), Map(2 * c)),
            12 if c > 2 => {
                let sizes = self.ints(&[(c - 2) as i64, 2]);
                let (first, second) = self.two("Split<axis = 1>", &[a, &sizes]);
                if line.seed.is_multiple_of(2) { (first, Map(c - 2)) } else { (second, Map(2)) }
            }
            13 if c > 3 => {
                let step = 1 + line.seed % 2;
                let parts = [[1], [c as i64], [1], [step as i64]].map(|list| self.ints(&list));
                (self.node("Slice", &[a, &parts[0], &parts[1], &parts[2], &parts[3]]), Map((c - 1).div_ceil(step)))
            }
            14 => {
                let pads = self.ints(&[0, 1, 0, 0, 0, 1, 0, 0]);
                (self.node("Pad", &[a, &pads]), Map(c + 2))
            }
            15 if c.is_multiple_of(2) => {
                let half = (c / 2) as i64;
                let (apart, together) = (self.ints(&[2, 2, half, 4, 4]), self.ints(&[2, c as i64, 4, 4]));
                let split = self.node("Reshape", &[a, &apart]);
                let turned = self.node("Transpose<perm = [0, 2, 1, 3, 4]>", &[&split]);
                (self.node("Reshape", &[&turned, &together]), Map(c))
            }
            16 => {
                let pool = ["MaxPool", "AveragePool"][line.seed % 2];
                (self.node(&format!("{pool}<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>"), &[a]), Map(c))
            }
            17 => {
                let pooled = self.node("GlobalAveragePool", &[a]);
                let gate = self.layer(&pooled, Map(c), c);
                let gate = self.node("Sigmoid", &[&gate]);
                (self.node("Mul", &[a, &gate]), Map(c))
            }
            18 if c > 2 => {
                let indices: Vec<i64> = (0..c as i64).filter(|index| index % 3 != 1).collect();
                let list = self.ints(&indices);
                (self.node("Gather<axis = 1>", &[a, &list]), Map(indices.len()))
            }
            19 => {
                let (s, t) = (self.weight(&[c], ""), self.weight(&[c], ""));
                let op = if line.seed.is_multiple_of(2) || !c.is_multiple_of(2) {
                    "InstanceNormalization"
                } else {
                    "GroupNormalization<num_groups = 2>"
                };
                (self.node(op, &[a, &s, &t]), Map(c))
            }
            20 => {
                let flat = self.node("Flatten", &[a]);
                (self.layer(&flat, Row(16 * c), to), Row(to))
            }
            _ => {
                let shape = self.ints(&[2, c as i64, 16]);
                let flat = self.node("Reshape", &[a, &shape]);
                let turned = self.node("Transpose<perm = [0, 2, 1]>", &[&flat]);
                let parts = [[0], [5], [1]].map(|list| self.ints(&list));
                (self.node("Slice", &[&turned, &parts[0], &parts[1], &parts[2]]), Sequence(c))
            }
        }
    }

    fn sequence(&mut self, line: &Line, a: &str, b: &str, c: usize) -> (String, Kind) {
        let to = [4, 8, 12][line.seed % 3];
        match line.what % 11 {
            0 | 1 => (self.layer(a, Sequence(c), to), Sequence(to)),
            2 => {
                let w = self.weight(&[c], "");
                (self.node("Add", &[a, &w]), Sequence(c))
            }
            3 => (self.node(["Add", "Mul"][line.seed % 2], &[a, b]), Sequence(c)),
            4 => (self.node(["Gelu", "Relu", "Erf"][line.seed % 3], &[a]), Sequence(c)),
            5 => {
                let (s, t) = (self.weight(&[c], ""), self.weight(&[c], ""));
                (self.node("LayerNormalization", &[a, &s, &t]), Sequence(c))
            }
            6 => {
                let (heads, merged) = (self.ints(&[0, 0, 4, 2]), self.ints(&[0, 0, 8]));
                let [q, k, v] = [[0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]].map(|order| {
                    let projected = self.layer(a, Sequence(c), 8);
                    let apart = self.node("Reshape", &[&projected, &heads]);
                    self.node(&format!("Transpose<perm = {order:?}>"), &[&apart])
                });
                let scores = self.node("MatMul", &[&q, &k]);
                let shares = self.node("Softmax", &[&scores]);
                let mixed = self.node("MatMul", &[&shares, &v]);
                let turned = self.node("Transpose<perm = [0, 2, 1, 3]>", &[&mixed]);
                let together = self.node("Reshape", &[&turned, &merged]);
                (self.layer(&together, Sequence(8), c), Sequence(c))
            }
            7 => {
                let turned = self.node("Transpose<perm = [1, 0, 2]>", &[a]);
                let (w, r, b) = (self.weight(&[2, 16, c], ""), self.weight(&[2, 16, 4], ""), self.weight(&[2, 32], ""));
                let states = self.node("LSTM<hidden_size = 4, direction = \"bidirectional\">", &[&turned, &w, &r, &b]);
                let both = self.node("Transpose<perm = [2, 0, 1, 3]>", &[&states]);
                let merged = self.ints(&[0, 0, -1]);
                (self.node("Reshape", &[&both, &merged]), Sequence(8))
            }
            8 => {
                let turned = self.node("Transpose<perm = [1, 0, 2]>", &[a]);
                let (w, r) = (self.weight(&[1, 12, c], ""), self.weight(&[1, 12, 4], ""));
                let states = self.node("GRU<hidden_size = 4>", &[&turned, &w, &r]);
                let axis = self.ints(&[1]);
                let states = self.node("Squeeze", &[&states, &axis]);
                (self.node("Transpose<perm = [1, 0, 2]>", &[&states]), Sequence(4))
            }
            9 => {
                let w = self.weight(&[c, to], "");
                (self.node("Einsum<equation = \"bsc,cd->bsd\">", &[a, &w]), Sequence(to))
            }
            _ => {
                let axes = self.ints(&[1]);
                (self.node("ReduceMean<keepdims = 0>", &[a, &axes]), Row(c))
            }
        }
    }

    fn row(&mut self, line: &Line, a: &str, b: &str, c: usize) -> (String, Kind) {
        let to = [4, 6, 12][line.seed % 3];
        match line.what % 6 {
            0 | 1 => (self.layer(a, Row(c), to), Row(to)),
            2 => (self.node(["Relu", "Sigmoid"][line.seed % 2], &[a]), Row(c)),
            3 => (self.node("Concat<axis = -1>", &[a, b]), Row(2 * c)),
            4 => (self.node(["Add", "Sub", "Min"][line.seed % 3], &[a, b]), Row(c)),
            _ => {
                let (w, t) = (self.weight(&[c, to], ""), self.weight(&[to], ""));
                let product = self.node("MatMul", &[a, &w]);
                (self.node("Add", &[&product, &t]), Row(to))
            }
        }
    }
}

fn width(kind: Kind) -> usize {
    match kind {
        Map(c) | Sequence(c) | Row(c) => c,
    }
}

fn written(lines: &[Line]) -> String {
    let mut writer = Writer { values: Vec::new(), initializers: Vec::new(), nodes: Vec::new() };
    let first = writer.layer("x", Map(3), 8);
    writer.values.push((first, Map(8)));
    lines.iter().for_each(|line| writer.line(line));
    let (last, kind) = writer.values.pop().unwrap();
    let (result, ty) = match kind {
        Map(c) => (writer.layer(&last, Map(c), 2), "float[2,2,4,4]"),
        Sequence(c) => (writer.layer(&last, Sequence(c), 2), "float[2,5,2]"),
        Row(c) => (writer.layer(&last, Row(c), 2), "float[2,2]"),
    };
    format!(
        "<ir_version: 10, opset_import: [\"\" : 21]>\ng (float[2,3,4,4] x) => ({ty} y)\n<{}>\n{{\n  {}\n  y = \
         Identity({result})\n}}",
        writer.initializers.join(", "),
        writer.nodes.join("\n  "),
    )
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let line = (0..66usize, any::<u8>(), any::<u8>(), 0..12usize).prop_map(|(what, a, b, seed)| Line {
        what,
        a: usize::from(a),
        b: usize::from(b),
        seed,
    });
    vec(line, 1..14)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 192,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_pruned_graph_computes_what_the_masked_one_computes(
        lines in lines(),
        seed in 0..1000u32,
        ratio in prop::sample::select(vec!["0.25", "0.5", "0.75"]),
        compensate in prop::sample::select(vec!["mean", "false"]),
        through in any::<bool>(),
    ) {
        let graph = written(&lines);
        let options = format!(
            "prune-channels{{criterion=random, seed={seed}, ratio={ratio}, compensate={compensate}, through-norm={through}}}"
        );
        let (_, report) = run(&options, &graph);
        let report = report.unwrap_or_else(|error| panic!("{options}: {error}\n{graph}"));
        for point in &report.checkpoints {
            numbers::compare(&point.expected, &point.actual, &format!("{options}\n{graph}"));
        }
    }
}

/// Most random graphs have something to prune, so the property says something.
#[test]
fn most_random_graphs_are_pruned() {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    });
    let pruned = (0..50).filter(|_| {
        let graph = written(&lines().new_tree(&mut runner).unwrap().current());
        run("prune-channels{ratio=0.5}", &graph).1.is_ok_and(|report| report.changed)
    });
    assert!(pruned.count() >= 30);
}
