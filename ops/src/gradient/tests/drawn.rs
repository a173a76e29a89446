//! Cases drawn at random: nodes whose extents, attributes and broadcasting nobody chose, in the notation of `cases`.
//!
//! Of each family one function draws a node that makes sense. Extents are small, so that sums stay exact and a thousand nodes take
//! seconds; ones are drawn often, since broadcasting and empty kernels are where gradients go wrong.

use onnxpress_ir::random::SplitMix64;

/// What draws.
pub(super) struct Draw(SplitMix64);

/// One drawer for each family.
pub(super) const FAMILIES: &[fn(&mut Draw) -> String] = &[
    elementwise,
    unary,
    chosen,
    reduction,
    normalization,
    convolution,
    transposed,
    pooling,
    product,
    gemm,
    equation,
    regrouped,
    moved,
    sliced,
    padded,
    gathered,
    scattered,
    joined,
    resized,
    running,
];

fn list<T: std::fmt::Display>(values: &[T]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// A constant list of whole numbers, as the text has it.
fn constant(name: &str, values: &[i64]) -> String {
    format!("int64[{}] {name} = {{{}}}", values.len(), list(values))
}

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Self(SplitMix64::new(seed))
    }

    fn below(&mut self, end: usize) -> usize {
        (self.0.bits() % end.max(1) as u64) as usize
    }

    fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    fn extents(&mut self, low: usize, high: usize) -> Vec<usize> {
        let rank = self.between(low, high);
        (0..rank).map(|_| self.pick(&[1, 2, 2, 3, 4])).collect()
    }

    /// Extents that broadcast to these: leading axes missing, others of extent 1.
    fn narrower(&mut self, extents: &[usize]) -> Vec<usize> {
        let missing = if self.flag() { self.below(extents.len() + 1) } else { 0 };
        extents[missing..].iter().map(|&extent| if self.below(3) == 0 { 1 } else { extent }).collect()
    }

    /// Some axes, ascending, counted from either end.
    fn axes(&mut self, rank: usize) -> Vec<i64> {
        let chosen: Vec<usize> = (0..rank).filter(|_| self.flag()).collect();
        chosen.into_iter().map(|axis| self.signed(axis, rank)).collect()
    }

    fn signed(&mut self, axis: usize, rank: usize) -> i64 {
        axis as i64 - if self.flag() { rank as i64 } else { 0 }
    }
}

/// Two or three operands that broadcast to each other.
fn elementwise(draw: &mut Draw) -> String {
    let (name, range) = draw.pick(&[
        ("Add", ""),
        ("Sub", ""),
        ("Mul", ""),
        ("Div", "0.5..2: "),
        ("Pow", "0.5..2: "),
        ("Max", ""),
        ("Min", ""),
        ("Sum", ""),
        ("Mean", ""),
    ]);
    let whole = draw.extents(0, 4);
    let count = if ["Max", "Min", "Sum", "Mean"].contains(&name) { draw.between(1, 3) } else { 2 };
    let names = ["a", "b", "c"];
    let operands: Vec<String> =
        names[..count].iter().map(|name| format!("double[{}] {name}", list(&draw.narrower(&whole)))).collect();
    let operands = operands.join(", ").replace("[]", "");
    format!("{range}({operands}) => (y) {{ y = {name}({}) }}", names[..count].join(", "))
}

fn unary(draw: &mut Draw) -> String {
    let (range, body) = draw.pick(&[
        ("", "Abs(x)"),
        ("", "Exp(x)"),
        ("0.5..2: ", "Log(x)"),
        ("0.5..2: ", "Sqrt(x)"),
        ("0.5..2: ", "Reciprocal(x)"),
        ("", "Erf(x)"),
        ("", "Tanh(x)"),
        ("", "Sigmoid(x)"),
        ("", "Softplus(x)"),
        ("", "Mish(x)"),
        ("", "Gelu(x)"),
        ("", "Relu(x)"),
        ("", "Atan(x)"),
        ("-5..5: ", "HardSwish(x)"),
        ("-5..5: ", "HardSigmoid<alpha=0.3, beta=0.4>(x)"),
        ("-5..5: ", "Elu<alpha=0.7>(x)"),
        ("-5..5: ", "Celu<alpha=2.5>(x)"),
        ("-5..5: ", "Selu<alpha=1.2, gamma=0.8>(x)"),
        ("-5..5: ", "LeakyRelu<alpha=-0.3>(x)"),
        ("-5..5: ", "ThresholdedRelu<alpha=1.5>(x)"),
        ("-5..5: ", "Shrink<lambd=1.5, bias=-0.5>(x)"),
        ("-5..5: ", "Swish<alpha=0.5>(x)"),
    ]);
    format!("{range}(double[{}] x) => (y) {{ y = {body} }}", list(&draw.extents(1, 4)))
}

/// `Where` of three that broadcast, `Clip`, `PRelu` of a slope that does.
fn chosen(draw: &mut Draw) -> String {
    let whole = draw.extents(1, 4);
    match draw.below(3) {
        0 => {
            let condition = draw.narrower(&whole);
            let flags: Vec<usize> = (0..condition.iter().product()).map(|_| draw.below(2)).collect();
            let (a, b) = (list(&draw.narrower(&whole)), list(&draw.narrower(&whole)));
            let condition = format!("bool[{}] c = {{{}}}", list(&condition), list(&flags)).replace("[]", "");
            format!("(double[{a}] a, double[{b}] b) => (y) <{condition}> {{ y = Where(c, a, b) }}").replace("[]", "")
        }
        1 => format!(
            "(double[{}] x) => (y) <double l = {{-0.75}}, double h = {{0.5}}> {{ y = Clip(x, l, h) }}",
            list(&whole)
        ),
        _ => {
            let slope = list(&draw.narrower(&whole));
            format!("(double[{}] x, double[{slope}] s) => (y) {{ y = PRelu(x, s) }}", list(&whole)).replace("[]", "")
        }
    }
}

fn reduction(draw: &mut Draw) -> String {
    let (name, range) = draw.pick(&[
        ("ReduceSum", ""),
        ("ReduceMean", ""),
        ("ReduceMax", ""),
        ("ReduceMin", ""),
        ("ReduceL1", ""),
        ("ReduceL2", "0.5..2: "),
        ("ReduceSumSquare", ""),
        ("ReduceLogSum", "0.5..2: "),
        ("ReduceLogSumExp", ""),
    ]);
    let x = draw.extents(1, 4);
    let (keep, noop, axes) = (draw.below(2), draw.below(2), draw.axes(x.len()));
    let (extents, attrs) = (list(&x), format!("keepdims={keep}, noop_with_empty_axes={noop}"));
    match axes.is_empty() {
        true => format!("{range}(double[{extents}] x) => (y) {{ y = {name}<{attrs}>(x) }}"),
        false => {
            format!("{range}(double[{extents}] x) => (y) <{}> {{ y = {name}<{attrs}>(x, a) }}", constant("a", &axes))
        }
    }
}

fn normalization(draw: &mut Draw) -> String {
    let mut x = draw.extents(2, 4);
    let rank = x.len();
    let at = draw.below(rank);
    let axis = draw.signed(at, rank);
    let positive = "0.5..2: ";
    let of_x = |x: &[usize]| format!("double[{}] x", list(x));
    match draw.below(8) {
        0 => format!("({}) => (y) {{ y = Softmax<axis={axis}>(x) }}", of_x(&x)),
        1 => format!("({}) => (y) {{ y = LogSoftmax<axis={axis}>(x) }}", of_x(&x)),
        2 => {
            // A single number has no deviation to divide by.
            x[rank - 1] = 4;
            let scale = list(&x[at..]);
            let bias = if draw.flag() { (format!(", double[{scale}] b"), ", b") } else { (String::new(), "") };
            format!(
                "({}, double[{scale}] s{}) => (y) {{ y = LayerNormalization<axis={axis}, epsilon=0.1>(x, s{}) }}",
                of_x(&x),
                bias.0,
                bias.1
            )
        }
        3 => {
            let scale = draw.narrower(&x[at..]);
            format!(
                "{positive}({}, double[{}] s) => (y) {{ y = RMSNormalization<axis={axis}>(x, s) }}",
                of_x(&x),
                list(&scale)
            )
            .replace("[]", "[1]")
        }
        4 => {
            x.push(3);
            let c = x[1];
            format!(
                "({}, double[{c}] s, double[{c}] b) => (y) {{ y = InstanceNormalization<epsilon=0.1>(x, s, b) }}",
                of_x(&x)
            )
        }
        5 => {
            let groups = draw.between(1, 3);
            x[1] = groups * draw.between(1, 2);
            x.push(3);
            let c = x[1];
            format!(
                "({}, double[{c}] s, double[{c}] b) => (y) {{ y = GroupNormalization<num_groups={groups}, epsilon=0.1>(x, s, b) }}",
                of_x(&x)
            )
        }
        6 => format!(
            "{positive}({}) => (y) {{ y = LpNormalization<axis={axis}, p={}>(x) }}",
            of_x(&x),
            draw.between(1, 2)
        ),
        _ => {
            x.push(2);
            format!(
                "({}) => (y) {{ y = LRN<size={}, alpha=0.5, beta=0.6, bias=1.5>(x) }}",
                of_x(&x),
                draw.between(1, 5)
            )
        }
    }
}

/// Windows over so many axes: kernel, strides, dilations, pads, and extents that they fit into.
struct Windows {
    kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    pads: Vec<usize>,
    extents: Vec<usize>,
}

impl Windows {
    fn draw(draw: &mut Draw) -> Self {
        let rank = draw.pick(&[1, 2, 2, 3]);
        let mut each = |values: &[usize]| -> Vec<usize> { (0..rank).map(|_| draw.pick(values)).collect() };
        let (kernel, strides, dilations) = (each(&[1, 2, 3]), each(&[1, 1, 2, 3]), each(&[1, 1, 2]));
        let more = each(&[0, 1, 2]);
        // Less than a window, so that none lies in the padding alone.
        let pads: Vec<usize> = (0..2 * rank).map(|at| draw.below(kernel[at % rank].min(3))).collect();
        let span = |at: usize| (kernel[at] - 1) * dilations[at] + 1;
        let extents = (0..rank).map(|at| span(at) + more[at]).collect();
        Self { kernel, strides, dilations, pads, extents }
    }

    fn attrs(&self) -> String {
        let [strides, dilations, pads] = [&self.strides, &self.dilations, &self.pads].map(|values| list(values));
        format!("strides=[{strides}], dilations=[{dilations}], pads=[{pads}]")
    }
}

fn convolution(draw: &mut Draw) -> String {
    let windows = Windows::draw(draw);
    let (groups, inner, outer) = (draw.between(1, 3), draw.between(1, 2), draw.between(1, 2));
    let x = format!("{},{},{}", draw.between(1, 2), groups * inner, list(&windows.extents));
    let w = format!("{},{inner},{}", groups * outer, list(&windows.kernel));
    let bias = if draw.flag() { (format!(", double[{}] b", groups * outer), ", b") } else { (String::new(), "") };
    let attrs = windows.attrs();
    format!("(double[{x}] x, double[{w}] w{}) => (y) {{ y = Conv<group={groups}, {attrs}>(x, w{}) }}", bias.0, bias.1)
}

fn transposed(draw: &mut Draw) -> String {
    let mut windows = Windows::draw(draw);
    let rank = windows.kernel.len();
    windows.extents = (0..rank).map(|_| draw.between(2, 3)).collect();
    // What pads leave must not be nothing.
    windows.pads.iter_mut().for_each(|pad| *pad = (*pad).min(1));
    let output: Vec<usize> = windows.strides.iter().map(|&stride| draw.below(stride + 1)).collect();
    let (groups, inner, outer) = (draw.between(1, 2), draw.between(1, 2), draw.between(1, 2));
    let x = format!("{},{},{}", draw.between(1, 2), groups * inner, list(&windows.extents));
    let w = format!("{},{outer},{}", groups * inner, list(&windows.kernel));
    let bias = if draw.flag() { (format!(", double[{}] b", groups * outer), ", b") } else { (String::new(), "") };
    let attrs = format!("{}, output_padding=[{}]", windows.attrs(), list(&output));
    format!(
        "(double[{x}] x, double[{w}] w{}) => (y) {{ y = ConvTranspose<group={groups}, {attrs}>(x, w{}) }}",
        bias.0, bias.1
    )
}

fn pooling(draw: &mut Draw) -> String {
    let windows = Windows::draw(draw);
    let x = format!("double[{},{},{}] x", draw.between(1, 2), draw.between(1, 2), list(&windows.extents));
    let kernel = list(&windows.kernel);
    let ceil = draw.below(2);
    match draw.below(4) {
        0 => format!("({x}) => (y) {{ y = GlobalAveragePool(x) }}"),
        1 => format!("({x}) => (y) {{ y = GlobalMaxPool(x) }}"),
        2 => {
            format!("({x}) => (y) {{ y = MaxPool<kernel_shape=[{kernel}], ceil_mode={ceil}, {}>(x) }}", windows.attrs())
        }
        _ => {
            let count = draw.below(2);
            format!(
                "({x}) => (y) {{ y = AveragePool<kernel_shape=[{kernel}], ceil_mode={ceil}, count_include_pad={count}, {}>(x) }}",
                windows.attrs()
            )
        }
    }
}

fn product(draw: &mut Draw) -> String {
    let stack = draw.extents(0, 2);
    let (n, k, m) = (draw.between(1, 3), draw.between(1, 3), draw.between(1, 3));
    let operand = |draw: &mut Draw, matrix: [usize; 2], vector: usize| match draw.below(5) {
        0 => vec![vector],
        _ => draw.narrower(&stack).into_iter().chain(matrix).collect(),
    };
    let (a, b) = (operand(draw, [n, k], k), operand(draw, [k, m], k));
    format!("(double[{}] a, double[{}] b) => (y) {{ y = MatMul(a, b) }}", list(&a), list(&b))
}

fn gemm(draw: &mut Draw) -> String {
    let (n, k, m) = (draw.between(1, 3), draw.between(1, 3), draw.between(1, 3));
    let (ta, tb) = (draw.flag(), draw.flag());
    let order = |turned: bool, [a, b]: [usize; 2]| if turned { format!("{b},{a}") } else { format!("{a},{b}") };
    let (a, b, c) = (order(ta, [n, k]), order(tb, [k, m]), list(&draw.narrower(&[n, m])));
    let attrs = format!("transA={}, transB={}, alpha=0.5, beta=1.5", usize::from(ta), usize::from(tb));
    format!("(double[{a}] a, double[{b}] b, double[{c}] c) => (y) {{ y = Gemm<{attrs}>(a, b, c) }}").replace("[]", "")
}

/// `Einsum`: each letter in one operand, or both, and perhaps in the result.
fn equation(draw: &mut Draw) -> String {
    let letters = ["i", "j", "k", "l"];
    let extents: Vec<usize> = letters.iter().map(|_| draw.between(1, 3)).collect();
    let (mut a, mut b, mut y) = (Vec::new(), Vec::new(), Vec::new());
    for at in 0..letters.len() {
        let place = draw.below(4);
        (place < 3).then(|| a.push(at));
        (place > 0 && place != 2).then(|| b.push(at));
        draw.flag().then(|| y.push(at));
    }
    a.reverse();
    if b.is_empty() {
        b.push(0);
    }
    if a.is_empty() {
        a.push(1);
    }
    y.retain(|at| a.contains(at) || b.contains(at));
    let word = |places: &[usize]| places.iter().map(|&at| letters[at]).collect::<String>();
    let shape = |places: &[usize]| list(&places.iter().map(|&at| extents[at]).collect::<Vec<_>>());
    format!(
        "(double[{}] a, double[{}] b) => (y) {{ y = Einsum<equation=\"{},{}->{}\">(a, b) }}",
        shape(&a),
        shape(&b),
        word(&a),
        word(&b),
        word(&y)
    )
}

fn regrouped(draw: &mut Draw) -> String {
    let x = draw.extents(1, 4);
    let (rank, shape) = (x.len(), list(&x));
    match draw.below(4) {
        0 => {
            let (first, rest) = (x[0], x[1..].iter().product::<usize>());
            let target = draw.pick(&[[-1, first as i64], [0, -1], [rest as i64, -1]]);
            format!("(double[{shape}] x) => (y) <{}> {{ y = Reshape(x, s) }}", constant("s", &target))
        }
        1 => format!("(double[{shape}] x) => (y) {{ y = Flatten<axis={}>(x) }}", draw.below(rank + 1)),
        2 => {
            let at = draw.below(rank + 1);
            let axis = draw.signed(at, rank + 1);
            format!("(double[{shape}] x) => (y) <{}> {{ y = Unsqueeze(x, a) }}", constant("a", &[axis]))
        }
        _ => format!("(double[{shape},1] x) => (y) <{}> {{ y = Squeeze(x, a) }}", constant("a", &[-1])),
    }
}

fn moved(draw: &mut Draw) -> String {
    let x = draw.extents(1, 4);
    let rank = x.len();
    let shape = list(&x);
    match draw.below(5) {
        0 => {
            let mut order: Vec<usize> = (0..rank).collect();
            (1..rank).rev().for_each(|at| order.swap(at, draw.below(at + 1)));
            format!("(double[{shape}] x) => (y) {{ y = Transpose<perm=[{}]>(x) }}", list(&order))
        }
        1 => {
            let narrow: Vec<usize> = x.iter().map(|&extent| if draw.flag() { 1 } else { extent }).collect();
            let whole: Vec<i64> = std::iter::once(2).chain(x.iter().map(|&extent| extent as i64)).collect();
            format!("(double[{}] x) => (y) <{}> {{ y = Expand(x, s) }}", list(&narrow), constant("s", &whole))
        }
        2 => {
            let times: Vec<i64> = x.iter().map(|_| draw.between(1, 3) as i64).collect();
            format!("(double[{shape}] x) => (y) <{}> {{ y = Tile(x, r) }}", constant("r", &times))
        }
        3 => {
            let offset = draw.between(0, 4) as i64 - 2;
            format!(
                "(double[{shape},3] x) => (y) <int64 k = {{{offset}}}> {{ y = Trilu<upper={}>(x, k) }}",
                draw.below(2)
            )
        }
        _ => {
            let (block, mode) = (draw.between(1, 2), draw.pick(&["DCR", "CRD"]));
            let channels = block * block * draw.between(1, 2);
            format!("(double[2,{channels},2,3] x) => (y) {{ y = DepthToSpace<blocksize={block}, mode=\"{mode}\">(x) }}")
        }
    }
}

fn sliced(draw: &mut Draw) -> String {
    let x: Vec<usize> = draw.extents(1, 3).into_iter().map(|extent| extent + 2).collect();
    let axes = draw.axes(x.len());
    let axes = if axes.is_empty() { vec![0] } else { axes };
    let (mut starts, mut ends, mut steps) = (Vec::new(), Vec::new(), Vec::new());
    for &axis in &axes {
        let extent = x[axis.rem_euclid(x.len() as i64) as usize] as i64;
        let (from, to) = (draw.below(2) as i64, extent - draw.below(2) as i64);
        let step = draw.pick(&[1, 2, -1, -2]);
        let (start, end) = if step > 0 { (from, to) } else { (to - 1, from - 1 - extent) };
        starts.push(start);
        ends.push(end);
        steps.push(step);
    }
    let lists = [("s", starts), ("e", ends), ("a", axes), ("t", steps)].map(|(name, values)| constant(name, &values));
    format!("(double[{}] x) => (y) <{}> {{ y = Slice(x, s, e, a, t) }}", list(&x), lists.join(", "))
}

fn padded(draw: &mut Draw) -> String {
    let x: Vec<usize> = draw.extents(1, 3).into_iter().map(|extent| extent + 1).collect();
    let mode = draw.pick(&["constant", "reflect", "edge", "wrap"]);
    let pads: Vec<i64> = (0..2 * x.len())
        .map(|at| match mode {
            "constant" => draw.between(0, 3) as i64 - 1,
            _ => draw.below(x[at % x.len()]) as i64,
        })
        .collect();
    format!("(double[{}] x) => (y) <{}> {{ y = Pad<mode=\"{mode}\">(x, p) }}", list(&x), constant("p", &pads))
}

fn gathered(draw: &mut Draw) -> String {
    let x = draw.extents(1, 3);
    let at = draw.below(x.len());
    let extent = x[at];
    let axis = draw.signed(at, x.len());
    let mut index = |_| draw.below(2 * extent) as i64 - extent as i64;
    match index(0).rem_euclid(2) {
        0 => {
            let indices: Vec<i64> = (0..4).map(&mut index).collect();
            format!(
                "(double[{}] x) => (y) <int64[2,2] i = {{{}}}> {{ y = Gather<axis={axis}>(x, i) }}",
                list(&x),
                list(&indices)
            )
        }
        _ => {
            let indices: Vec<i64> = (0..x.iter().product()).map(&mut index).collect();
            let shape = list(&x);
            format!(
                "(double[{shape}] x) => (y) <int64[{shape}] i = {{{}}}> {{ y = GatherElements<axis={axis}>(x, i) }}",
                list(&indices)
            )
        }
    }
}

fn scattered(draw: &mut Draw) -> String {
    let (rows, columns) = (draw.between(2, 4), draw.between(1, 3));
    let reduction = draw.pick(&["none", "add"]);
    // Without a sum a place is written once.
    let mut places: Vec<usize> = (0..rows).collect();
    (1..rows).rev().for_each(|at| places.swap(at, draw.below(at + 1)));
    let count = draw.between(1, rows);
    let places: Vec<usize> =
        places.into_iter().take(count).map(|place| if reduction == "add" { draw.below(rows) } else { place }).collect();
    format!(
        "(double[{rows},{columns}] x, double[{count},{columns}] u) => (y) <int64[{count},1] i = {{{}}}> \
         {{ y = ScatterND<reduction=\"{reduction}\">(x, i, u) }}",
        list(&places)
    )
}

fn joined(draw: &mut Draw) -> String {
    let x = draw.extents(1, 3);
    let at = draw.below(x.len());
    let axis = draw.signed(at, x.len());
    let sizes: Vec<usize> = (0..draw.between(2, 3)).map(|_| draw.between(1, 3)).collect();
    let with = |extent: usize| {
        let mut x = x.clone();
        x[at] = extent;
        list(&x)
    };
    let names = ["a", "b", "c"];
    if draw.flag() {
        let operands: Vec<String> =
            sizes.iter().zip(names).map(|(&size, name)| format!("double[{}] {name}", with(size))).collect();
        let names = names[..sizes.len()].join(", ");
        return format!("({}) => (y) {{ y = Concat<axis={axis}>({names}) }}", operands.join(", "));
    }
    let parts: Vec<i64> = sizes.iter().map(|&size| size as i64).collect();
    let names = names[..sizes.len()].join(", ");
    let whole = with(sizes.iter().sum());
    format!("(double[{whole}] x) => ({names}) <{}> {{ {names} = Split<axis={axis}>(x, s) }}", constant("s", &parts))
}

fn resized(draw: &mut Draw) -> String {
    let (h, w) = (draw.between(2, 5), draw.between(2, 5));
    let mode = draw.pick(&["nearest", "linear", "cubic"]);
    let coordinates =
        draw.pick(&["half_pixel", "asymmetric", "pytorch_half_pixel", "align_corners", "half_pixel_symmetric"]);
    let rounding = draw.pick(&["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]);
    let (antialias, outside) = (usize::from(mode != "nearest" && draw.flag()), draw.below(2));
    let attrs = format!(
        "mode=\"{mode}\", coordinate_transformation_mode=\"{coordinates}\", nearest_mode=\"{rounding}\", antialias={antialias}, exclude_outside={outside}"
    );
    let x = format!("double[1,2,{h},{w}] x");
    match draw.flag() {
        true => {
            let scales = [draw.pick(&["0.5", "1", "1.5", "2"]), draw.pick(&["0.75", "1", "2", "3"])];
            format!(
                "({x}) => (y) <float[4] s = {{1, 1, {}, {}}}> {{ y = Resize<{attrs}>(x, , s) }}",
                scales[0], scales[1]
            )
        }
        false => {
            let sizes = constant("s", &[draw.between(1, 6) as i64, draw.between(1, 6) as i64]);
            format!("({x}) => (y) <{sizes}> {{ y = Resize<axes=[2,3], {attrs}>(x, , , s) }}")
        }
    }
}

/// What runs along an axis.
fn running(draw: &mut Draw) -> String {
    let x = draw.extents(1, 3);
    let at = draw.below(x.len());
    let (axis, extent) = (draw.signed(at, x.len()), x[at]);
    let shape = list(&x);
    match draw.below(2) {
        0 => {
            let (exclusive, reverse) = (draw.below(2), draw.below(2));
            format!(
                "(double[{shape}] x) => (y) <int64 a = {{{axis}}}> {{ y = CumSum<exclusive={exclusive}, reverse={reverse}>(x, a) }}"
            )
        }
        _ => {
            let count = constant("k", &[draw.between(1, extent) as i64]);
            format!(
                "(double[{shape}] x) => (v, i) <{count}> {{ v, i = TopK<axis={axis}, largest={}>(x, k) }}",
                draw.below(2)
            )
        }
    }
}
