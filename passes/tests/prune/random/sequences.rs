//! Lines of sequences.

use super::Kind::{Row, Sequence};
use super::{Kind, Line, Writer};

impl Writer {
    pub(super) fn sequence(&mut self, line: &Line, a: &str, b: &str, c: usize) -> (String, Kind) {
        let to = [4, 8, 12][line.seed % 3];
        match line.what % 17 {
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
            6 => (self.attention(a, c), Sequence(c)),
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
            10 => (self.shared_keys(line, a, c), Sequence(c)),
            11 => {
                let (table, places) = (self.weight(&[3, c], ""), self.weight(&[5, c], ""));
                let looked_up = self.node("Gather", &[&table, "ids"]);
                let placed = self.node("Add", &[&looked_up, &places]);
                (self.node("Add", &[a, &placed]), Sequence(c))
            }
            12 => (self.stacked(a, c), Sequence(8)),
            13 => {
                let w = self.coded(&[c, to]);
                (self.node("MatMul", &[a, &w]), Sequence(to))
            }
            14 => {
                // Heads as axes of the weights.
                let [q, k, v] = [(); 3].map(|()| {
                    let w = self.weight(&[c, 4, 2], "");
                    self.node("Einsum<equation = \"bsc,chd->bshd\">", &[a, &w])
                });
                let scores = self.node("Einsum<equation = \"bshd,bthd->bhst\">", &[&q, &k]);
                let shares = self.node("Softmax", &[&scores]);
                let mixed = self.node("Einsum<equation = \"bhst,bthd->bshd\">", &[&shares, &v]);
                let w = self.weight(&[4, 2, c], "");
                (self.node("Einsum<equation = \"bshd,hdc->bsc\">", &[&mixed, &w]), Sequence(c))
            }
            15 => {
                let (w, gate) = (self.weight(&[c, 8], ""), self.weight(&[4, c], ""));
                let both = self.node("MatMul", &[a, &w]);
                let (one, other) = self.two("Split<axis = -1, num_outputs = 2>", &[&both]);
                let one = self.node("Sigmoid", &[&one]);
                let gated = self.node("Mul", &[&one, &other]);
                (self.node("MatMul", &[&gated, &gate]), Sequence(c))
            }
            _ => {
                let axes = self.ints(&[1]);
                (self.node("ReduceMean<keepdims = 0>", &[a, &axes]), Row(c))
            }
        }
    }

    /// Heads of queries, keys and values, each as many.
    fn attention(&mut self, a: &str, c: usize) -> String {
        let heads = self.ints(&[0, 0, 4, 2]);
        let [q, k, v] = [[0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]].map(|order| {
            let projected = self.layer(a, Sequence(c), 8);
            let apart = self.node("Reshape", &[&projected, &heads]);
            self.node(&format!("Transpose<perm = {order:?}>"), &[&apart])
        });
        self.mixed([&q, &k, &v], c)
    }

    /// Four heads of queries, two of which share the keys and values of one.
    fn shared_keys(&mut self, line: &Line, a: &str, c: usize) -> String {
        let (of_queries, of_keys) = (self.ints(&[0, 0, 4, 2]), self.ints(&[0, 0, 2, 2]));
        let queries = self.layer(a, Sequence(c), 8);
        let queries = self.node("Reshape", &[&queries, &of_queries]);
        let queries = self.node("Transpose<perm = [0, 2, 1, 3]>", &[&queries]);
        let [keys, values] = [(); 2].map(|()| {
            let projected = self.layer(a, Sequence(c), 4);
            let apart = self.node("Reshape", &[&projected, &of_keys]);
            let turned = self.node("Transpose<perm = [0, 2, 1, 3]>", &[&apart]);
            let (axes, all) = (self.ints(&[2]), self.ints(&[2, 4, 5, 2]));
            let each = self.node("Unsqueeze", &[&turned, &axes]);
            let repeated = if line.seed.is_multiple_of(2) {
                let shape = self.ints(&[2, 2, 2, 5, 2]);
                self.node("Expand", &[&each, &shape])
            } else {
                let times = self.ints(&[1, 1, 2, 1, 1]);
                self.node("Tile", &[&each, &times])
            };
            self.node("Reshape", &[&repeated, &all])
        });
        let keys = self.node("Transpose<perm = [0, 1, 3, 2]>", &[&keys]);
        self.mixed([&queries, &keys, &values], c)
    }

    /// What heads read, merged, through a last layer.
    fn mixed(&mut self, [queries, keys, values]: [&str; 3], c: usize) -> String {
        let scores = self.node("MatMul", &[queries, keys]);
        let shares = self.node("Softmax", &[&scores]);
        let mixed = self.node("MatMul", &[&shares, values]);
        let turned = self.node("Transpose<perm = [0, 2, 1, 3]>", &[&mixed]);
        let merged = self.ints(&[0, 0, 8]);
        let together = self.node("Reshape", &[&turned, &merged]);
        self.layer(&together, Sequence(8), c)
    }

    /// A GRU and an RNN on top of it, both in both directions.
    fn stacked(&mut self, a: &str, c: usize) -> String {
        let mut value = self.node("Transpose<perm = [1, 0, 2]>", &[a]);
        for (op, gates, width) in [("GRU", 3, c), ("RNN", 1, 8)] {
            let (w, r) = (self.weight(&[2, 4 * gates, width], ""), self.weight(&[2, 4 * gates, 4], ""));
            let b = self.weight(&[2, 8 * gates], "");
            let states =
                self.node(&format!("{op}<hidden_size = 4, direction = \"bidirectional\">"), &[&value, &w, &r, &b]);
            let beside = self.node("Transpose<perm = [0, 2, 1, 3]>", &[&states]);
            let merged = self.ints(&[0, 0, -1]);
            value = self.node("Reshape", &[&beside, &merged]);
        }
        self.node("Transpose<perm = [1, 0, 2]>", &[&value])
    }
}
