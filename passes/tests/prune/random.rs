//! Random graphs of what channels run through, pruned at random: the result must compute what the witness computes.
//!
//! A graph is a list of choices that proptest can shorten. Values are feature maps `[2, c, 4, 4]`, sequences `[2, 5, c]` or
//! rows `[2, c]`; every line takes earlier values and makes one of them, and the last is read by a layer of fixed width.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::RngSeed;

use super::{numbers, run};

mod maps;
mod sequences;

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

    /// Codes of eight bits and a scale for each index of the first axis, taken for numbers.
    fn coded(&mut self, dims: &[usize]) -> String {
        let count: usize = dims.iter().product();
        let (codes, scales) = (format!("c{}", self.initializers.len()), format!("s{}", self.initializers.len()));
        let values: Vec<String> = (0..count).map(|at| ((at * 37 + count) % 19).to_string()).collect();
        let extents: Vec<String> = dims.iter().map(ToString::to_string).collect();
        self.initializers.push(format!("uint8[{}] {codes} = {{{}}}", extents.join(","), values.join(", ")));
        let of_index: Vec<String> = (0..dims[0]).map(|index| format!("0.{}", 1 + index % 5)).collect();
        let points: Vec<String> = (0..dims[0]).map(|index| (7 + index % 4).to_string()).collect();
        self.initializers.push(format!("float[{}] {scales} = {{{}}}", dims[0], of_index.join(", ")));
        self.initializers.push(format!("uint8[{}] {scales}z = {{{}}}", dims[0], points.join(", ")));
        self.node("DequantizeLinear<axis = 0>", &[&codes, &scales, &format!("{scales}z")])
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

    fn row(&mut self, line: &Line, a: &str, b: &str, c: usize) -> (String, Kind) {
        let to = [4, 6, 12][line.seed % 3];
        match line.what % 8 {
            0 | 1 => (self.layer(a, Row(c), to), Row(to)),
            2 => (self.node(["Relu", "Sigmoid"][line.seed % 2], &[a]), Row(c)),
            3 => (self.node("Concat<axis = -1>", &[a, b]), Row(2 * c)),
            4 => (self.node(["Add", "Sub", "Min"][line.seed % 3], &[a, b]), Row(c)),
            5 => {
                let w = self.weight(&[to, c], "");
                (self.node("Einsum<equation = \"bc,dc->bd\">", &[a, &w]), Row(to))
            }
            6 => {
                let w = self.coded(&[to, c]);
                (self.node("Gemm<transB = 1>", &[a, &w]), Row(to))
            }
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
        "<ir_version: 10, opset_import: [\"\" : 21]>\ng (float[2,3,4,4] x, int64[2,5] ids) => ({ty} y)\n<{}>\n{{\n  {}\n  y = \
         Identity({result})\n}}",
        writer.initializers.join(", "),
        writer.nodes.join("\n  "),
    )
}

/// A multiple of the choices of each kind, so that all are as likely.
const LINES: usize = 30 * 17 * 8;

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let line = (0..LINES, any::<u8>(), any::<u8>(), 0..12usize).prop_map(|(what, a, b, seed)| Line {
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
        factors in prop::sample::select(vec!["best", "outer", "inner", "all"]),
    ) {
        let graph = written(&lines);
        let options = format!(
            "prune-channels{{criterion=random, seed={seed}, ratio={ratio}, compensate={compensate}, through-norm={through}, factors={factors}}}"
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
