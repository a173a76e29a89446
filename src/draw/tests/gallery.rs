//! Graphs as they occur, for tests to draw.

use crate::draw::{Cluster, Drawing, Edge, Family, Kind, Line, Node};

/// A drawing under construction. A value is its producer and its type.
#[derive(Default)]
pub(crate) struct Sketch {
    pub(crate) drawing: Drawing,
    cluster: Option<usize>,
}

pub(crate) type Value = (usize, usize, String);

impl Sketch {
    pub(crate) fn new(title: &str) -> Sketch {
        Sketch { drawing: Drawing { title: title.into(), ..Drawing::default() }, cluster: None }
    }

    pub(crate) fn input(&mut self, name: &str, ty: &str) -> Value {
        self.node(name, &[], Kind::Input, Family::Interface, ty)
    }

    pub(crate) fn output(&mut self, name: &str, value: &Value) -> usize {
        let (node, ..) = self.node(name, &[], Kind::Output, Family::Interface, "");
        self.read(value, node);
        node
    }

    fn node(&mut self, label: &str, detail: &[&str], kind: Kind, family: Family, ty: &str) -> Value {
        self.drawing.nodes.push(Node {
            label: label.into(),
            detail: detail.iter().map(|line| (*line).into()).collect(),
            kind,
            family,
            cluster: self.cluster,
        });
        (self.drawing.nodes.len() - 1, 0, ty.into())
    }

    pub(crate) fn read(&mut self, (from, port, label): &Value, to: usize) {
        self.drawing.edges.push(Edge { from: *from, port: *port, to, label: label.clone(), line: Line::Solid });
    }

    pub(crate) fn op(&mut self, op_type: &str, detail: &[&str], operands: &[&Value], ty: &str) -> Value {
        let value = self.node(op_type, detail, Kind::Operator, Family::of_operator(op_type), ty);
        operands.iter().for_each(|operand| self.read(operand, value.0));
        value
    }

    /// Draws what `inside` draws in a frame of its own.
    pub(crate) fn cluster<T>(&mut self, label: &str, inside: impl FnOnce(&mut Sketch) -> T) -> T {
        self.drawing.clusters.push(Cluster { label: label.into(), parent: self.cluster });
        let around = self.cluster.replace(self.drawing.clusters.len() - 1);
        let made = inside(self);
        self.cluster = around;
        made
    }

    /// A dashed line from an output of a body to the node that runs it.
    pub(crate) fn body(&mut self, from: usize, to: usize) {
        self.drawing.edges.push(Edge { from, to, line: Line::Dashed, ..Edge::default() });
    }
}

fn port(value: &Value, port: usize) -> Value {
    (value.0, port, value.2.clone())
}

/// Blocks of three convolutions with a way around them, some 200 boxes for `blocks` = 22.
pub(crate) fn residual(blocks: usize) -> Drawing {
    let mut s = Sketch::new("resnet, drawn by onnxpress");
    let x = s.input("pixel_values", "float[1,3,224,224]");
    let conv = |s: &mut Sketch, x: &Value, name: &str, ci: usize, co: usize, k: usize, hw: usize| {
        let weight = format!("W float[{co},{ci},{k},{k}]");
        let bias = format!("B float[{co}]");
        let kernel = format!("kernel {k}x{k}, stride 1, pads 1");
        s.op("Conv", &[name, &kernel, &weight, &bias], &[x], &format!("float[1,{co},{hw},{hw}]"))
    };
    let stem = conv(&mut s, &x, "/stem/conv", 3, 64, 7, 112);
    let stem = s.op("Relu", &["/stem/relu"], &[&stem], "float[1,64,112,112]");
    let mut x = s.op("MaxPool", &["/stem/pool", "kernel 3x3, stride 2"], &[&stem], "float[1,64,56,56]");
    for block in 0..blocks {
        let (c, hw) = (64 << (block / 6).min(3), 56 >> (block / 6).min(3));
        let name = |part: &str| format!("/layer{}/layer{}.{}/{part}", block / 6 + 1, block / 6 + 1, block % 6);
        let ty = format!("float[1,{c},{hw},{hw}]");
        let mut y = x.clone();
        for (i, k) in [(1, 1), (2, 3), (3, 1)] {
            y = conv(&mut s, &y, &name(&format!("conv{i}/Conv")), c, c, k, hw);
            if i < 3 {
                y = s.op("BatchNormalization", &[&name(&format!("bn{i}"))], &[&y], &ty);
                y = s.op("Relu", &[&name(&format!("relu{i}"))], &[&y], &ty);
            }
        }
        let way = if block % 6 == 0 {
            let way = conv(&mut s, &x, &name("downsample/downsample.0/Conv"), c, c, 1, hw);
            s.op("BatchNormalization", &[&name("downsample/downsample.1")], &[&way], &ty)
        } else {
            x
        };
        let sum = s.op("Add", &[&name("Add")], &[&y, &way], &ty);
        x = s.op("Relu", &[&name("relu")], &[&sum], &ty);
    }
    let x = s.op("GlobalAveragePool", &["/avgpool/GlobalAveragePool"], &[&x], "float[1,512,1,1]");
    let x = s.op("Flatten", &["/Flatten", "axis 1"], &[&x], "float[1,512]");
    let x = s.op("Gemm", &["/fc/Gemm", "transB 1", "B float[1000,512]", "C float[1000]"], &[&x], "float[1,1000]");
    s.output("logits", &x);
    s.drawing
}

/// Blocks of four branches that are concatenated.
pub(crate) fn inception(blocks: usize) -> Drawing {
    let mut s = Sketch::new("inception");
    let mut x = s.input("input", "float[1,192,28,28]");
    let t = "float[1,64,28,28]";
    for block in 0..blocks {
        let conv = |s: &mut Sketch, x: &Value, k: &str| {
            let c =
                s.op("Conv", &[&format!("inception_{block}/{k}"), &format!("kernel {k}"), "W float[64,192]"], &[x], t);
            s.op("Relu", &[], &[&c], t)
        };
        let a = conv(&mut s, &x, "1x1");
        let b = conv(&mut s, &x, "3x3_reduce");
        let b = conv(&mut s, &b, "3x3");
        let c = conv(&mut s, &x, "5x5_reduce");
        let c = conv(&mut s, &c, "5x5");
        let c = conv(&mut s, &c, "5x5_b");
        let d = s.op("MaxPool", &["kernel 3x3"], &[&x], t);
        let d = conv(&mut s, &d, "pool_proj");
        x = s.op("Concat", &["axis 1"], &[&a, &b, &c, &d], "float[1,256,28,28]");
    }
    s.output("output", &x);
    s.drawing
}

/// Encoder blocks as exporters write them, with the arithmetic of shapes, and a mask that every block reads.
pub(crate) fn attention(blocks: usize) -> Drawing {
    let mut s = Sketch::new("transformer encoder");
    let ids = s.input("input_ids", "int64[batch,sequence]");
    let mask = s.input("attention_mask", "int64[batch,sequence]");
    let h = "float[batch,sequence,384]";
    let mut x = s.op("Gather", &["/embeddings/word_embeddings/Gather", "data float[30522,384]"], &[&ids], h);
    let m = s.op("Unsqueeze", &["axes [1,2]"], &[&mask], "int64[batch,1,1,sequence]");
    let m = s.op("Cast", &["to float"], &[&m], "float[batch,1,1,sequence]");
    let m = s.op("Sub", &["A 1.0"], &[&m], "float[batch,1,1,sequence]");
    let mask = s.op("Mul", &["B -3.4e38"], &[&m], "float[batch,1,1,sequence]");
    for block in 0..blocks {
        let name = |part: &str| format!("/encoder/layer.{block}/attention/self/{part}");
        let shape = s.op("Shape", &[&name("Shape")], &[&x], "int64[3]");
        let dim = s.op("Gather", &[&name("Gather"), "indices 0"], &[&shape], "int64");
        let dim = s.op("Unsqueeze", &[&name("Unsqueeze")], &[&dim], "int64[1]");
        let target = s.op("Concat", &[&name("Concat"), "with [-1, 12, 32]"], &[&dim], "int64[4]");
        let head = |s: &mut Sketch, which: &str| {
            let y = s.op("MatMul", &[&name(&format!("{which}/MatMul")), "B float[384,384]"], &[&x], h);
            let y = s.op("Add", &[&name(&format!("{which}/Add")), "A float[384]"], &[&y], h);
            let y =
                s.op("Reshape", &[&name(&format!("{which}/Reshape"))], &[&y, &target], "float[batch,sequence,12,32]");
            s.op("Transpose", &["perm [0,2,1,3]"], &[&y], "float[batch,12,sequence,32]")
        };
        let (q, k, v) = (head(&mut s, "query"), head(&mut s, "key"), head(&mut s, "value"));
        let k = s.op("Transpose", &["perm [0,1,3,2]"], &[&k], "float[batch,12,32,sequence]");
        let a = "float[batch,12,sequence,sequence]";
        let p = s.op("MatMul", &[&name("MatMul")], &[&q, &k], a);
        let p = s.op("Div", &["B 5.657"], &[&p], a);
        let p = s.op("Add", &[&name("Add")], &[&p, &mask], a);
        let p = s.op("Softmax", &["axis -1"], &[&p], a);
        let y = s.op("MatMul", &[&name("MatMul_1")], &[&p, &v], "float[batch,12,sequence,32]");
        let y = s.op("Transpose", &["perm [0,2,1,3]"], &[&y], "float[batch,sequence,12,32]");
        let y = s.op("Reshape", &["shape [0,0,384]"], &[&y], h);
        let y = s.op("MatMul", &[&name("output/MatMul"), "B float[384,384]"], &[&y], h);
        let y = s.op("Add", &["residual"], &[&y, &x], h);
        let n = s.op("LayerNormalization", &["epsilon 1e-12", "Scale float[384]", "B float[384]"], &[&y], h);
        let f = s.op("MatMul", &["/intermediate/MatMul", "B float[384,1536]"], &[&n], "float[batch,sequence,1536]");
        let f = s.op("Gelu", &[], &[&f], "float[batch,sequence,1536]");
        let f = s.op("MatMul", &["/output/MatMul", "B float[1536,384]"], &[&f], h);
        let f = s.op("Add", &[], &[&f, &n], h);
        x = s.op("LayerNormalization", &["epsilon 1e-12"], &[&f], h);
    }
    s.output("last_hidden_state", &x);
    s.drawing
}

/// One after the other.
pub(crate) fn chain(length: usize) -> Drawing {
    let mut s = Sketch::new("chain");
    let mut x = s.input("x", "float[N]");
    for _ in 0..length {
        x = s.op("Relu", &[], &[&x], "float[N]");
    }
    s.output("y", &x);
    s.drawing
}

/// An If whose branches read values from around it, one with a Loop in it.
pub(crate) fn branches() -> Drawing {
    let mut s = Sketch::new("branches");
    let x = s.input("x", "float[N,16]");
    let flag = s.input("training", "bool");
    let wide = s.op("Gemm", &["/fc1", "B float[16,16]"], &[&x], "float[N,16]");
    let narrow = s.op("ReduceMean", &["/pool", "axes [1]"], &[&wide], "float[N,1]");
    let (then, _) = s.cluster("then_branch", |s| {
        let y = s.op("Mul", &["/then/Mul"], &[&wide, &narrow], "float[N,16]");
        let y = s.op("Dropout", &["/then/Dropout", "ratio 0.1"], &[&y], "float[N,16]");
        (s.output("then_out", &y), ())
    });
    let otherwise = s.cluster("else_branch", |s| {
        let n = s.op("Constant", &["value 4"], &[], "int64");
        let inner = s.cluster("Loop /refine, body", |s| {
            let i = s.input("iteration", "int64");
            let state = s.input("state", "float[N,16]");
            let f = s.op("Cast", &["to float"], &[&i], "float");
            let y = s.op("Add", &[], &[&state, &f], "float[N,16]");
            let y = s.op("Mul", &[], &[&y, &narrow], "float[N,16]");
            s.output("state_out", &y)
        });
        let y = s.op("Loop", &["/refine"], &[&n, &wide], "float[N,16]");
        s.body(inner, y.0);
        s.output("else_out", &y)
    });
    let y = s.op("If", &["/choose"], &[&flag], "float[N,16]");
    s.body(then, y.0);
    s.body(otherwise, y.0);
    let y = s.op("Softmax", &["axis 1"], &[&y], "float[N,16]");
    s.output("y", &y);
    s.drawing
}

/// Several outputs of one node, with equal and with different types.
pub(crate) fn ports() -> Drawing {
    let mut s = Sketch::new("ports");
    let x = s.input("x", "float[N,48]");
    let split = s.op("Split", &["axis 1"], &[&x], "float[N,16]");
    let parts: Vec<Value> = (0..3).map(|i| port(&split, i)).collect();
    let acts: Vec<Value> =
        ["Sigmoid", "Tanh", "Relu"].iter().zip(&parts).map(|(op, v)| s.op(op, &[], &[v], "float[N,16]")).collect();
    let y = s.op("Mul", &[], &[&acts[0], &acts[1]], "float[N,16]");
    let y = s.op("Add", &[], &[&y, &acts[2]], "float[N,16]");
    let top = s.op("TopK", &["k 5"], &[&y], "float[N,5]");
    s.output("values", &top);
    s.output("indices", &(top.0, 1, "int64[N,5]".into()));
    let square = s.op("Mul", &[], &[&y, &y], "float[N,16]");
    s.output("square", &square);
    s.drawing
}

/// A cycle, a read of oneself, and parts that nothing joins.
pub(crate) fn odd() -> Drawing {
    let mut s = Sketch::new("cycle & islands");
    let a = s.op("Add", &["a"], &[], "float[N]");
    let b = s.op("Relu", &["b"], &[&a], "float[N]");
    let c = s.op("Neg", &["c"], &[&b], "float[N]");
    s.read(&c, a.0);
    s.read(&b, b.0);
    for i in 0..5 {
        let x = s.input(&format!("unused_{i}"), "float[N]");
        if i == 2 {
            s.output("y", &x);
        }
    }
    s.drawing
}
