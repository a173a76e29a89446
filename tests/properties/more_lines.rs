//! Lines of further families of operators: what exporters write around shapes, normalization, pooling, padding, loops.
//!
//! Nothing here turns a rounding into a jump (no quantization, no choice of the largest, no mean of what has none), since what is
//! exact in real arithmetic may round differently.

/// How many kinds there are.
pub(crate) const KINDS: usize = 22;

/// The lines that make value `v{n}` of `a` and `b`, all of them `float[2,3,4,4]`, and the initializers that they need. Some of
/// these are shared by all lines that need them.
pub(crate) fn written(n: usize, kind: usize, seed: u16, a: &str, b: &str, initializers: &mut Vec<String>) -> String {
    let mut shared = |declaration: &str| {
        if !initializers.iter().any(|known| known == declaration) {
            initializers.push(declaration.to_owned());
        }
    };
    match kind {
        0 => {
            shared("int64[8] pads = {0, 0, 0, 1, 0, 0, 0, 1}");
            shared("int64[1] at1 = {1}");
            shared("int64[1] at3 = {3}");
            shared("int64[1] at5 = {5}");
            format!("p{n} = Pad({a}, pads)\n  v{n} = Slice(p{n}, at1, at5, at3)")
        }
        1 => {
            shared("int64[1] at1 = {1}");
            format!("v{n} = Expand({a}, at1)")
        }
        2 => format!("v{n} = {} <axis = {}> ({a})", ["Softmax", "LogSoftmax"][usize::from(seed) % 2], seed % 4),
        3 => {
            shared("int64[2] places = {2, 3}");
            format!("m{n} = ReduceMean <keepdims = 1> ({a}, places)\n  v{n} = Sub({a}, m{n})")
        }
        4 => {
            shared("int64[1] last = {-1}");
            shared("float two = {2.0}");
            shared("float small = {0.1}");
            format!(
                "m{n} = ReduceMean({a}, last)\n  d{n} = Sub({a}, m{n})\n  q{n} = Pow(d{n}, two)\n  s{n} = ReduceMean(q{n}, last)\n  \
                 e{n} = Add(s{n}, small)\n  r{n} = Sqrt(e{n})\n  v{n} = Div(d{n}, r{n})"
            )
        }
        5 => {
            shared(&format!("float[4,4] square{} = normal(seed={}, std=0.5)", seed % 2, seed % 2));
            format!("v{n} = MatMul({a}, square{})", seed % 2)
        }
        6 => {
            shared("float low = {-0.5}");
            shared("float high = {0.75}");
            shared("float small = {0.1}");
            format!("c{n} = Clip({a}, low, high)\n  r{n} = Relu(c{n})\n  v{n} = Clip(r{n}, small)")
        }
        7 => format!("g{n} = Greater({a}, {b})\n  v{n} = Where(g{n}, {a}, {b})"),
        8 => {
            let order = ["{0, 1, 2, 3}", "{3, 2, 1, 0}"][usize::from(seed) % 2];
            initializers.push(format!("int64[4] order{n} = {order}"));
            format!("v{n} = Gather <axis = 3> ({a}, order{n})")
        }
        9 => format!("w{n} = Cast <to = 11> ({a})\n  v{n} = Cast <to = 1> (w{n})"),
        10 => match seed % 2 {
            0 => format!("v{n} = MaxPool <kernel_shape = [1, 1]> ({a})"),
            _ => {
                format!("v{n} = AveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1], count_include_pad = 1> ({a})")
            }
        },
        11 => format!("p{n} = GlobalMaxPool({a})\n  v{n} = Mul({b}, p{n})"),
        12 => {
            shared("int64[1] at1 = {1}");
            format!("u{n} = Unsqueeze({a}, at1)\n  v{n} = Squeeze(u{n}, at1)")
        }
        13 => {
            shared("int64[4] once = {1, 1, 1, 1}");
            format!("v{n} = Tile({a}, once)")
        }
        14 => {
            shared("float root = {1.4142135}");
            shared("float unit = {1.0}");
            shared("float half = {0.5}");
            format!(
                "d{n} = Div({a}, root)\n  e{n} = Erf(d{n})\n  o{n} = Add(e{n}, unit)\n  x{n} = Mul({a}, o{n})\n  \
                 v{n} = Mul(x{n}, half)"
            )
        }
        15 => {
            shared(&format!("int64 count{} = {{{}}}", seed % 3, seed % 3));
            format!(
                "v{n} = Loop(count{}, \"\", {a}) <body = step{n} (int64 i{n}, bool c{n}, float[2,3,4,4] s{n}) => \
                 (bool d{n}, float[2,3,4,4] t{n}) {{ d{n} = Identity(c{n}) t{n} = Add(s{n}, {b}) }}>",
                seed % 3
            )
        }
        16 => {
            shared("int64[3] rows = {0, 3, 16}");
            shared("int64[4] image = {0, 3, 4, 4}");
            format!("f{n} = Reshape({a}, rows)\n  v{n} = Reshape(f{n}, image)")
        }
        17 => {
            shared("int64 first = {0}");
            shared("int64[1] at0 = {0}");
            shared("int64[3] inner = {3, 4, 4}");
            format!(
                "h{n} = Shape({a})\n  g{n} = Gather(h{n}, first)\n  u{n} = Unsqueeze(g{n}, at0)\n  \
                 t{n} = Concat <axis = 0> (u{n}, inner)\n  f{n} = Flatten({a})\n  v{n} = Reshape(f{n}, t{n})"
            )
        }
        18 => {
            shared("float[3] channels = {1.0, -0.5, 0.25}");
            let between =
                ["Add(t{n}, channels)", "Mul(channels, t{n})", "Softmax <axis = 3> (t{n})"][usize::from(seed) % 3];
            format!(
                "t{n} = Transpose <perm = [0, 3, 2, 1]> ({a})\n  r{n} = {}\n  u{n} = Tanh(r{n})\n  \
                 v{n} = Transpose <perm = [0, 3, 2, 1]> (u{n})",
                between.replace("{n}", &n.to_string())
            )
        }
        19 => {
            shared("float[3,1,1] parts = {1.0, -0.5, 0.25}");
            shared("float[3,1,1] others = {0.5, 2.0, -1.5}");
            let (first, second) = [("Add", "Sub"), ("Mul", "Div"), ("Add", "Mul")][usize::from(seed) % 3];
            format!("c{n} = {first}({a}, parts)\n  v{n} = {second}(c{n}, others)")
        }
        20 => {
            shared("int64[1] at0 = {0}");
            shared("int64[1] at1 = {1}");
            shared("int64[1] at3 = {3}");
            shared("int64[1] at4 = {4}");
            format!(
                "f{n} = Slice({a}, at0, at1, at3)\n  g{n} = Slice({a}, at1, at3, at3)\n  h{n} = Slice({b}, at3, at4, at3)\n  \
                 v{n} = Concat <axis = 3> (f{n}, g{n}, h{n})"
            )
        }
        _ => format!(
            "j{n} = Concat <axis = 1> ({a}, {b})\n  l{n}, r{n} = Split <axis = 1, num_outputs = 2> (j{n})\n  v{n} = Add(l{n}, r{n})"
        ),
    }
}
