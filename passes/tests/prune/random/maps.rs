//! Lines of feature maps.

use super::Kind::{Map, Row, Sequence};
use super::{Kind, Line, Writer};

impl Writer {
    pub(super) fn map(&mut self, line: &Line, a: &str, b: &str, c: usize) -> (String, Kind) {
        let to = [4, 6, 8, 12][line.seed % 4];
        match line.what % 30 {
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
                // Some; all in another order; some twice and counted from the end.
                let all = 0..c as i64;
                let indices: Vec<i64> = match line.seed % 3 {
                    0 => all.filter(|index| index % 3 != 1).collect(),
                    1 => all.map(|index| index * (c as i64 - 1) % c as i64).collect(),
                    _ => [-1, 0, 0, 2, -2, 1].into_iter().cycle().take(c).collect(),
                };
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
                let (w, bias) = (self.coded(&[to, c, 1, 1]), self.weight(&[to], ""));
                (self.node("Conv", &[a, &w, &bias]), Map(to))
            }
            21 if c.is_multiple_of(2) => {
                let w = self.weight(&[c, to / 2, 1, 1], "");
                (self.node("ConvTranspose<group = 2>", &[a, &w]), Map(to))
            }
            22 if c.is_multiple_of(4) => {
                let mode = ["DCR", "CRD"][line.seed % 2];
                let large = self.node(&format!("DepthToSpace<blocksize = 2, mode = \"{mode}\">"), &[a]);
                let small = self.node("MaxPool<kernel_shape = [2, 2], strides = [2, 2]>", &[&large]);
                (small, Map(c / 4))
            }
            23 if c <= 12 => {
                let small = self.node("SpaceToDepth<blocksize = 2>", &[a]);
                let mixed = self.layer(&small, Map(4 * c), 16);
                (self.node("DepthToSpace<blocksize = 2>", &[&mixed]), Map(4))
            }
            24 if c <= 12 => {
                let times = self.ints(&[1, 2, 1, 1]);
                (self.node("Tile", &[a, &times]), Map(2 * c))
            }
            25 => {
                let pooled = self.node("GlobalAveragePool", &[a]);
                let shape = self.ints(&[2, c as i64, 4, 4]);
                (self.node("Expand", &[&pooled, &shape]), Map(c))
            }
            26 if c > 3 => {
                // Parts that are cut, turned about, and put together in another order.
                let sizes = self.ints(&[1, (c - 1) as i64]);
                let (first, rest) = self.two("Split<axis = 1>", &[a, &sizes]);
                let parts = [[-1], [-100], [1], [-1]].map(|list| self.ints(&list));
                let turned = self.node("Slice", &[&rest, &parts[0], &parts[1], &parts[2], &parts[3]]);
                (self.node("Concat<axis = 1>", &[&turned, b, &first]), Map(2 * c))
            }
            27 => {
                let (scales, points) = (self.weight(&[c], "splat(0.05)"), format!("z{}", self.initializers.len()));
                let zeros = vec!["128"; c].join(", ");
                self.initializers.push(format!("uint8[{c}] {points} = {{{zeros}}}"));
                let codes = self.node("QuantizeLinear<axis = 1>", &[a, &scales, &points]);
                (self.node("DequantizeLinear<axis = 1>", &[&codes, &scales, &points]), Map(c))
            }
            28 => {
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
}
