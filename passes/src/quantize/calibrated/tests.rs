#![allow(clippy::unwrap_used, clippy::panic)]

use onnxpress_ir::{Model, Tensor};
use onnxpress_ops::evaluate::Value;
use onnxpress_ops::interpret;

use crate::evidence::{EvidenceError, EvidenceSource, Execute, Feed};
use crate::manager::{self, Report, RunOptions};
use crate::pass::{Files, Request};

/// Eight samples for the first input, of these extents behind the first axis.
struct AtHand(Vec<usize>);

struct Interpreted<'m>(&'m Model);

impl Execute for Interpreted<'_> {
    fn run(&mut self, inputs: &[Option<Value>]) -> Result<Vec<Value>, EvidenceError> {
        let limits = interpret::Limits::default();
        interpret::run(self.0, inputs.to_vec(), limits).map_err(|error| EvidenceError::Run(error.to_string()))
    }
}

impl AtHand {
    fn batch(&self) -> Value {
        let dims: Vec<usize> = std::iter::once(8).chain(self.0.iter().copied()).collect();
        let count = dims.iter().product::<usize>();
        let values = (0..count).map(|index| ((index * 37 % 101) as f32 - 40.0) / 20.0).collect();
        Tensor::from_values(&dims, values).unwrap().into()
    }
}

impl EvidenceSource for AtHand {
    fn describe(&self) -> String {
        "8 samples at hand".to_owned()
    }
    fn samples(&self) -> usize {
        8
    }
    fn is_synthetic(&self) -> bool {
        false
    }
    fn feed(
        &self,
        _: &Model,
        _: usize,
        each: &mut dyn FnMut(Feed<'_>) -> Result<(), EvidenceError>,
    ) -> Result<(), EvidenceError> {
        each(Feed { inputs: &[Some(self.batch())], len: 8, size: 8, labels: None })
    }
    fn load<'m>(&self, model: &'m Model) -> Result<Box<dyn Execute + 'm>, EvidenceError> {
        Ok(Box::new(Interpreted(model)))
    }
}

fn peak(values: &[f32]) -> f32 {
    values.iter().fold(0f32, |peak, value| peak.max(value.abs()))
}

/// The outputs of a model on the samples.
pub(crate) fn samples_of(model: &Model) -> Vec<Vec<f32>> {
    let mut model = model.clone();
    onnxpress_ops::infer::model(&mut model);
    let outputs = Interpreted(&model).run(&[Some(at_hand(&model).batch())]).unwrap();
    let numbers = |value: Value| match value {
        Value::Tensor(tensor) => tensor.to_f32s().unwrap(),
        _ => Vec::new(),
    };
    outputs.into_iter().map(numbers).collect()
}

/// Samples for a model's first input.
fn at_hand(model: &Model) -> AtHand {
    let input = model.graph.inputs()[0].port(0);
    let shape = model.graph.ty(input).shape().unwrap().iter().skip(1);
    AtHand(shape.map(|dim| dim.as_const().unwrap() as usize).collect())
}

/// Runs a pipeline on samples at hand.
pub(crate) fn run_on_samples(pipeline: &str, graph: &str) -> (Model, Result<Report, String>) {
    request(pipeline, graph, "")
}

struct Plan(String);

impl Files for Plan {
    fn read(&self, _: &str) -> Result<String, String> {
        Ok(self.0.clone())
    }
}

fn request(pipeline: &str, graph: &str, plan: &str) -> (Model, Result<Report, String>) {
    let pipeline = crate::builtin().unwrap().pipeline(pipeline).unwrap();
    let mut model = Model::from_text(graph).unwrap();
    onnxpress_ops::infer::model(&mut model);
    let source = at_hand(&model);
    let files = Plan(plan.to_owned());
    let request = Request { evidence: Some(&source), files: Some(&files), ..Request::default() };
    let options = RunOptions { request, verify_each: true, ..RunOptions::default() };
    let report = manager::run(&pipeline, &mut model, options).map_err(|error| error.to_string());
    if let Ok(report) = &report {
        // The result is its witness to the last bit where the interpreter runs both.
        for point in &report.checkpoints {
            let run = |model: &Model| Interpreted(model).run(&[Some(source.batch())]).unwrap();
            for (expected, actual) in run(&point.expected).into_iter().zip(run(&point.actual)) {
                let (Value::Tensor(expected), Value::Tensor(actual)) = (expected, actual) else { unreachable!() };
                let (expected, actual) = (expected.to_f32s().unwrap(), actual.to_f32s().unwrap());
                // Where a pass says how far off it may be, it is somewhere near.
                let exact = if point.is_witness { 0.0 } else { 1e-4 };
                let allowed = point.tolerance.unwrap_or(exact) as f32 * peak(&expected);
                let off = expected.iter().zip(&actual).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
                assert!(off <= allowed, "{off} of {allowed}");
            }
        }
    }
    (model, report)
}

/// The nodes of the result: operator, operands that are no parameters, results. Conversions are `[Q]` and `[DQ]`.
fn quantized(options: &str, graph: &str) -> String {
    let (model, report) = request(&format!("quantize{{grow=true, {options}}}"), graph, "");
    let report = match report {
        Ok(report) => report,
        // Without the pass as text, which has all its options.
        Err(error) => return error.split_once("}: ").map_or(error.clone(), |(_, reason)| reason.to_owned()),
    };
    let graph = &model.graph;
    let mut lines = Vec::new();
    for id in graph.topological().unwrap() {
        let Some(node) = graph.node(id).filter(|node| !node.is("DequantizeLinear")) else { continue };
        let read = |value: Option<onnxpress_ir::ValueId>| {
            let value = value.unwrap();
            let from = graph.node(value.node).filter(|node| node.is("DequantizeLinear"));
            match from {
                Some(_) => format!("[{}]", graph.label(graph.operand(value.node, 0).unwrap())),
                None => graph.label(value),
            }
        };
        let operands: Vec<String> = graph.operands(id).map(read).collect();
        if node.is("QuantizeLinear") {
            let number = |operand| graph.constant(graph.operand(id, operand).unwrap()).unwrap().to_f64s().unwrap()[0];
            lines.push(format!("{} = {} / {:.4} + {}", graph.label(id.port(0)), operands[0], number(1), number(2)));
        } else {
            lines.push(format!("{} = {}({})", graph.label(id.port(0)), node.op_type, operands.join(", ")));
        }
    }
    lines.extend(report.passes.iter().flat_map(|pass| &pass.declined).map(|it| format!("{}: {}", it.site, it.reason)));
    lines.extend(report.notices);
    lines.join("\n")
}

const RESIDUAL: &str = "
    net (float[N,2,4,4] x) => (float[N,3] y)
    <float[4,2,3,3] w = normal(seed=1), float[4] b = normal(seed=2), float[4,4,1,1] v = normal(seed=3), float[3,4] u = normal(seed=4), float[3] c = normal(seed=5)> {
        a = Conv<pads = [1, 1, 1, 1]>(x, w, b)
        r = Relu(a)
        k = Conv(r, v)
        s = Add(k, r)
        t = Relu(s)
        m = MaxPool<kernel_shape = [2, 2]>(t)
        p = GlobalAveragePool(m)
        f = Flatten(p)
        y = Gemm<transB = 1>(f, u, c)
    }";

#[test]
fn codes_reach_from_the_first_layer_to_the_last() {
    insta::assert_snapshot!(quantized("calibration=minmax, rounding=nearest, correct-bias=false", RESIDUAL), @r"
    x_quantized = x / 0.0196 + 102
    a = Conv([x_quantized], [w_quantized], [b_quantized])
    r_quantized = a / 0.0513 + 0
    k = Conv([r_quantized], [v_quantized])
    k_quantized = k / 0.1062 + 183
    s = Add([k_quantized], [r_quantized])
    t_quantized = s / 0.0587 + 0
    m_quantized = MaxPool(t_quantized)
    p = GlobalAveragePool([m_quantized])
    p_quantized = p / 0.0351 + 0
    f_quantized = Flatten(p_quantized)
    y = Gemm([f_quantized], [u_quantized], [c_quantized])
    ");
}

#[test]
fn what_no_layer_wants_stays_in_float() {
    // The mask goes into float scores; products of computed values are layers, too, unless that is not wanted.
    let attention = "
        net (float[N,6,8] x) => (float[N,6,8] y)
        <float[8,8] wq = normal(seed=1), float[8,8] wk = normal(seed=2), float[8] b = normal(seed=3), float[6] mask = splat(-10000)> {
            q = MatMul(x, wq)
            qb = Add(q, b)
            k = MatMul(x, wk)
            kt = Transpose<perm = [0, 2, 1]>(k)
            s = MatMul(qb, kt)
            masked = Add(s, mask)
            p = Softmax(masked)
            y = MatMul(p, x)
        }";
    insta::assert_snapshot!(quantized("calibration=minmax", attention), @r"
    x_quantized = x / 0.0196 + 102
    q = MatMul([x_quantized], [wq_quantized])
    qb = Add(q, b)
    qb_quantized = qb / 0.0751 + 165
    k = MatMul([x_quantized], [wk_quantized])
    k_quantized = k / 0.0707 + 130
    kt_quantized = Transpose(k_quantized)
    s = MatMul([qb_quantized], [kt_quantized])
    masked = Add(s, mask)
    p = Softmax(masked)
    p_quantized = p / 0.0039 + 0
    y = MatMul([p_quantized], [x_quantized])
    ");
    insta::assert_snapshot!(quantized("calibration=minmax, products=false", attention), @r"
    x_quantized = x / 0.0196 + 102
    q = MatMul([x_quantized], [wq_quantized])
    qb = Add(q, b)
    k = MatMul([x_quantized], [wk_quantized])
    kt = Transpose(k)
    s = MatMul(qb, kt)
    masked = Add(s, mask)
    p = Softmax(masked)
    y = MatMul(p, x)
    MatMul `s`: products of computed values stay in float
    MatMul `y`: products of computed values stay in float
    ");
}

#[test]
fn parameters_are_shared_by_what_only_moves() {
    insta::assert_snapshot!(quantized("calibration=minmax, correct-bias=false", "
        net (float[N,2,4,4] x) => (float[N,3,4,4] y)
        <float[2,2,1,1] w = normal(seed=1), float[2,2,1,1] v = normal(seed=2), float[3,4,1,1] u = normal(seed=3)> {
            a = Conv(x, w)
            b = Conv(x, v)
            c = Concat<axis = 1>(a, b)
            d = Transpose<perm = [0, 1, 3, 2]>(c)
            y = Conv(d, u)
        }"), @r"
    x_quantized = x / 0.0196 + 102
    a = Conv([x_quantized], [w_quantized])
    a_quantized = a / 0.0407 + 130
    b = Conv([x_quantized], [v_quantized])
    b_quantized = b / 0.0407 + 130
    c_quantized = Concat(a_quantized, b_quantized)
    d_quantized = Transpose(c_quantized)
    y_float = Conv([d_quantized], [u_quantized])
    y_quantized = y_float / 0.0354 + 138
    ");
}

#[test]
fn floats_come_back_where_codes_were_handed_on() {
    let wide = "
        net (float[N,2,4,4] x) => (float[N,3,4,4] y)
        <float[40,2,1,1] w = normal(seed=1), float[40] b = normal(seed=2), float[40,2,1,1] v = normal(seed=3), float[3,80,1,1] u = normal(seed=4)> {
            a = Conv(x, w, b)
            k = Conv(x, v)
            c = Concat<axis = 1>(a, k)
            y = Conv(c, u)
        }";
    let (model, report) = request("quantize{grow=true, correct-bias=false},dequantize", wide, "");
    report.unwrap();
    let names: Vec<String> = model.graph.nodes().map(|(_, node)| node.op_type.to_string()).collect();
    assert_eq!(names.iter().filter(|name| ["Conv", "Concat"].contains(&name.as_str())).count(), 4);
    assert!(!names.iter().any(|name| name.ends_with("Linear")), "{names:?}");
}

#[test]
fn tables_are_looked_up_in_codes() {
    insta::assert_snapshot!(quantized("rounding=nearest", "
        net (float[N,4] x) => (float[N,2] y, float[N,4,4] e)
        <float[4,2] w = normal(seed=1), float[9,4] table = normal(seed=2)> {
            y = MatMul(x, w)
            at = Cast<to = 7>(x)
            e = Gather(table, at)
        }"), @r"
    x_quantized = x / 0.0196 + 102
    y = MatMul([x_quantized], [w_quantized])
    at = Cast(x)
    e_quantized = Gather(table_quantized, at)
    ");
}

#[test]
fn requests_that_make_no_sense() {
    let of = |options| quantized(options, RESIDUAL);
    insta::assert_snapshot!(of("keep=[nobody]"), @"the pattern `nobody` matches no node and no constant");
    insta::assert_snapshot!(of("percentile=20"), @"`percentile` is 20, expected more than 50 and at most 100");
    insta::assert_snapshot!(of("overrides=[k]"), @"override `k`: expected PATTERN=TYPE");
    insta::assert_snapshot!(of("overrides=[\"k=int9\"]"), @"override `k=int9`: `int9` is no type, expected float, uint8, int8, uint16, int16");
    insta::assert_snapshot!(of("keep=[\"*\"]"), @r"
    a = Conv(x, w, b)
    r = Relu(a)
    k = Conv(r, v)
    s = Add(k, r)
    t = Relu(s)
    m = MaxPool(t)
    p = GlobalAveragePool(m)
    f = Flatten(p)
    y = Gemm(f, u, c)
    Conv `a`: `keep` names it
    Conv `k`: `keep` names it
    Gemm `y`: `keep` names it
    ");
    let (_, report) = request("quantize{grow=true},quantize", RESIDUAL, "");
    assert!(report.unwrap().notices[0].contains("quantized already"));
}

#[test]
fn layers_are_exempt_or_of_other_types() {
    insta::assert_snapshot!(quantized("exempt=[first, last], calibration=minmax", RESIDUAL), @r"
    a = Conv(x, w, b)
    r = Relu(a)
    r_quantized = r / 0.0513 + 0
    k = Conv([r_quantized], [v_quantized], [v_bias_quantized])
    k_quantized = k / 0.1062 + 183
    s = Add([k_quantized], r)
    t = Relu(s)
    m = MaxPool(t)
    p = GlobalAveragePool(m)
    f = Flatten(p)
    y = Gemm(f, u, c)
    Conv `a`: the first layers are exempt
    Gemm `y`: the last layers are exempt
    ");
    insta::assert_snapshot!(quantized("overrides=[\"k=uint16\"], calibration=minmax, correct-bias=false", RESIDUAL), @r"
    x_quantized = x / 0.0196 + 102
    a = Conv([x_quantized], [w_quantized], [b_quantized])
    r = Relu(a)
    r_quantized = r / 0.0002 + 0
    k = Conv([r_quantized], [v_quantized])
    k_quantized = k / 0.1062 + 183
    s = Add([k_quantized], [r_quantized])
    t_quantized = s / 0.0587 + 0
    m_quantized = MaxPool(t_quantized)
    p = GlobalAveragePool([m_quantized])
    p_quantized = p / 0.0351 + 0
    f_quantized = Flatten(p_quantized)
    y = Gemm([f_quantized], [u_quantized], [c_quantized])
    ");
}

#[test]
fn a_budget_leaves_what_hurts_most_in_float() {
    let left = |budget: &&str| {
        let (_, report) = request(&format!("quantize{{grow=true, budget={budget}}}"), RESIDUAL, "");
        report.unwrap().passes[0].declined.len()
    };
    let numbers: Vec<usize> = ["100", "0.01", "0.003", "0.001", "0"].iter().map(left).collect();
    assert!(numbers.is_sorted() && numbers[0] == 0 && numbers[4] == 3, "{numbers:?}");
    insta::assert_snapshot!(quantized("budget=-1", RESIDUAL), @"`budget` is -1, expected a number of percent from 0 on");
}

/// What quantization makes of the outputs on the samples, as a share of their energy.
fn lost(options: &str) -> f64 {
    let (made, report) = request(&format!("quantize{{grow=true, {options}}}"), RESIDUAL, "");
    report.unwrap();
    let (exact, found) = (samples_of(&Model::from_text(RESIDUAL).unwrap()), samples_of(&made));
    let pairs = || exact[0].iter().zip(&found[0]);
    let energy: f64 = pairs().map(|(exact, _)| f64::from(*exact).powi(2)).sum();
    pairs().map(|(exact, found)| f64::from(exact - found).powi(2)).sum::<f64>() / energy
}

#[test]
fn weights_are_rounded_to_repair_what_was_lost_before() {
    // In a model whose weights lose most.
    let (mse, adaptive) = (
        lost("activations=uint16, reduce-range=true"),
        lost("activations=uint16, reduce-range=true, rounding=adaptive"),
    );
    assert!(adaptive < 0.5 * mse, "{adaptive} {mse}");
    let gradient = lost("activations=uint16, reduce-range=true, rounding=adaptive-gradient");
    assert!(gradient < 0.5 * mse, "{gradient} {mse}");
    let (made, report) = request("quantize{rounding=adaptive, grow=true}", RESIDUAL, "");
    let plan = serde_json::to_string(report.unwrap().passes[0].plan.as_ref().unwrap()).unwrap();
    let (again, report) = request("apply-plan{file=p}", RESIDUAL, &plan);
    report.unwrap();
    assert_eq!(made.to_text(), again.to_text());
    let other = plan.replace("8 samples at hand", "9 samples of another day");
    let (_, report) = request("apply-plan{file=p}", RESIDUAL, &other);
    insta::assert_snapshot!(report.unwrap_err(), @"apply-plan{file=p}: plan `p`: weights are rounded on the samples of the plan, 9 samples of another day; found 8 samples at hand");
}

#[test]
fn what_hurts_most_reads_sixteen_bits_before_it_stays_in_float() {
    let of = |budget: &&str| {
        let old = RESIDUAL.replacen("net (", "<ir_version: 8, opset_import: [\"\" : 17]> net (", 1);
        let options = format!("quantize{{grow=true, relief=16bit, budget={budget}}}");
        let (model, report) = request(&options, &old, "");
        let report = report.unwrap();
        let wide = report.notices.iter().filter(|notice| notice.contains("read 16 bits")).count();
        (model.graph.opsets.standard(), wide, report.passes[0].declined.len())
    };
    assert_eq!(of(&"100"), (17, 0, 0));
    // Somewhere in between 16 bits are enough; in the end nothing but floats is.
    let found: Vec<_> = ["0.03", "0.01", "0.003", "0.001"].iter().map(of).collect();
    assert!(found.contains(&(21, 1, 0)), "{found:?}");
    assert_eq!(of(&"0").2, 3);
}

#[test]
fn operators_on_codes_take_the_place_of_conversions() {
    insta::assert_snapshot!(quantized("form=qoperator, calibration=minmax, rounding=nearest, correct-bias=false", RESIDUAL), @r"
    x_quantized = x / 0.0196 + 102
    r_quantized = QLinearConv(x_quantized, scale_0, zero_point_102, w_quantized, w_scale, w_quantized_zero_point, scale_1, zero_point_0, b_quantized)
    k_quantized = QLinearConv(r_quantized, scale_1, zero_point_0, v_quantized, v_scale, v_quantized_zero_point, scale_2, zero_point_183)
    s = Add([k_quantized], [r_quantized])
    t_quantized = s / 0.0587 + 0
    m_quantized = MaxPool(t_quantized)
    p = GlobalAveragePool([m_quantized])
    p_quantized = p / 0.0351 + 0
    f_quantized = Flatten(p_quantized)
    y = Gemm([f_quantized], [u_quantized], [c_quantized])
    ");
    let products = "
        net (float[N,6,8] x) => (float[N,6,2] y)
        <float[8,8] w = normal(seed=1), float[8,2] v = normal(seed=2)> { h = MatMul(x, w) y = MatMul(h, v) }";
    let (model, report) = request("quantize{grow=true, form=qoperator}", products, "");
    let count = |name: &str| model.graph.nodes().filter(|(_, node)| node.is(name)).count();
    assert_eq!((count("QLinearMatMul"), count("MatMul"), count("QuantizeLinear")), (1, 1, 1));
    let declined = &report.unwrap().passes[0].declined;
    insta::assert_snapshot!(declined[0].reason, @"it stays between conversions: its results are given out as floats");
    let (model, report) = request("quantize{grow=true, form=qoperator},dequantize", RESIDUAL, "");
    // Operators on codes, the same between conversions, and these without the rounding: no one model is near all three.
    let points = report.unwrap().checkpoints;
    let links: Vec<_> = points.iter().map(|point| (point.passes.join(","), point.is_witness)).collect();
    let dequantize = |is_witness| ("dequantize".to_owned(), is_witness);
    assert_eq!(links, [("quantize".to_owned(), true), dequantize(false), dequantize(true)]);
    assert!(!model.graph.nodes().any(|(_, node)| node.op_type.to_string().contains("Linear")));
}

#[test]
fn a_plan_repeats_what_made_it() {
    let (made, report) = request("quantize{grow=true}", RESIDUAL, "");
    let plan = serde_json::to_string(report.unwrap().passes[0].plan.as_ref().unwrap()).unwrap();
    let (again, report) = request("apply-plan{file=p}", RESIDUAL, &plan);
    report.unwrap();
    assert_eq!(made.to_text(), again.to_text());
    let (_, report) = request("apply-plan{file=p}", &RESIDUAL.replace("seed=5", "seed=6"), &plan);
    insta::assert_snapshot!(report.unwrap_err().split('(').next().unwrap(), @"apply-plan{file=p}: plan `p`: it was made for another model");
    let (_, report) =
        request("apply-plan{file=p}", RESIDUAL, &plan.replacen("\"zero_point\":", "\"zero_point\":7000", 1));
    insta::assert_snapshot!(report.unwrap_err(), @"apply-plan{file=p}: plan `p`: x: a zero point of 7000102, expected one of 0 to 255");
}
