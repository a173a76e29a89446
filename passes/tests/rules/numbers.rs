//! Whether two models compute the same, by the interpreter.

use std::collections::BTreeMap;

use onnxpress_ir::{DType, Dim, Model, Symbol, Tensor, Type};
use onnxpress_ops::evaluate::Value;
use onnxpress_ops::interpret::{self, Limits};

/// Largest difference allowed, of an output's peak.
const TOLERANCE: f64 = 1e-4;

/// What is taken off the error of 16-bit outputs, relative to the peak: a rounding of bfloat16, which nodes that became one
/// leave out.
const ROUNDING: f64 = 1.0 / 512.0;

/// Runs both on the same inputs, a few times, and fails where an output differs.
pub(crate) fn compare(before: &Model, after: &Model, site: &str) {
    compare_within(before, after, site, TOLERANCE);
}

/// The same within this share of the peak.
pub(crate) fn compare_within(before: &Model, after: &Model, site: &str, tolerance: f64) {
    for seed in 0..3 {
        let inputs = inputs(before, seed);
        let run = |model: &Model, which| {
            interpret::run(model, inputs.clone(), Limits::default())
                .unwrap_or_else(|error| panic!("{site}: {which} does not run: {error}\n{}", model.to_text()))
        };
        let (expected, found) = (run(before, "the graph"), run(after, "the result"));
        assert_eq!(expected.len(), found.len(), "{site}");
        for (number, (a, b)) in expected.iter().zip(&found).enumerate() {
            let distance = distance(a, b);
            assert!(distance <= tolerance, "{site}: output {number} differs by {distance}\n{}", after.to_text());
        }
    }
}

fn inputs(model: &Model, seed: u64) -> Vec<Option<Value>> {
    let mut symbols: BTreeMap<String, usize> = BTreeMap::new();
    let mut random = Random(seed + 1);
    let graph = &model.graph;
    let one = |id: &onnxpress_ir::NodeId| {
        let input = graph.input(*id);
        if input.default.is_some() && seed > 0 {
            return None;
        }
        let Type::Tensor(ty) = &input.declared else { panic!("{}: no tensor", graph.describe(*id)) };
        let dims: Vec<usize> =
            ty.shape.iter().flat_map(|shape| shape.iter()).map(|dim| extent(dim, &mut symbols)).collect();
        Some(Value::Tensor(tensor(ty.dtype.unwrap_or(DType::Float), &dims, &mut random)))
    };
    graph.inputs().iter().map(one).collect()
}

/// The extent of an input: a symbol's is the same wherever it stands.
fn extent(dim: &Dim, symbols: &mut BTreeMap<String, usize>) -> usize {
    match (dim.as_const(), dim.as_symbol()) {
        (Some(extent), _) => usize::try_from(extent).unwrap(),
        (None, Some(Symbol::Named(name))) => {
            let next = 2 + symbols.len();
            *symbols.entry(name.to_string()).or_insert(next)
        }
        _ => 2,
    }
}

fn tensor(dtype: DType, dims: &[usize], random: &mut Random) -> Tensor {
    let count: usize = dims.iter().product();
    match dtype {
        DType::String => Tensor::from_strings(dims, random.take(count, |bits| format!("{bits:x}").into())).unwrap(),
        DType::Bool => Tensor::from_i64s(dtype, dims, &random.take(count, |bits| (bits & 1) as i64)).unwrap(),
        dtype if dtype.is_integer() => {
            Tensor::from_i64s(dtype, dims, &random.take(count, |bits| (bits % 3) as i64)).unwrap()
        }
        dtype => {
            let unit = |bits: u64| (bits >> 11) as f64 / (1u64 << 53) as f64;
            Tensor::from_f64s(dtype, dims, &random.take(count, |bits| 2.0 * unit(bits) - 1.0)).unwrap()
        }
    }
}

/// A linear congruential generator; its high bits are good enough for inputs.
struct Random(u64);

impl Random {
    fn take<T>(&mut self, count: usize, f: impl Fn(u64) -> T) -> Vec<T> {
        let draw = |_| {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f((self.0 >> 33) << 31)
        };
        (0..count).map(draw).collect()
    }
}

/// The largest difference of the elements, in terms of the peak of `a`; infinite where type, extents, or anything that is no
/// number differs.
fn distance(a: &Value, b: &Value) -> f64 {
    let (Value::Tensor(a), Value::Tensor(b)) = (a, b) else { return if a == b { 0.0 } else { f64::INFINITY } };
    if a.dtype() != b.dtype() || a.dims() != b.dims() {
        return f64::INFINITY;
    }
    let (true, Ok(x), Ok(y)) = (a.dtype().is_float(), a.to_f64s(), b.to_f64s()) else {
        return if a.same_as(b) { 0.0 } else { f64::INFINITY };
    };
    let peak = x.iter().filter(|x| x.is_finite()).fold(1e-3f64, |peak, x| peak.max(x.abs()));
    let differ = |(x, y): (&f64, &f64)| match x == y || x.is_nan() && y.is_nan() {
        true => 0.0,
        false => (x - y).abs() / peak,
    };
    let rounding = if a.dtype().bits() == 16 { ROUNDING } else { 0.0 };
    let error = x.iter().zip(&y).map(differ).map(|d| if d.is_nan() { f64::INFINITY } else { d }).fold(0.0, f64::max);
    (error - rounding).max(0.0)
}
