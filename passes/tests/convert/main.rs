//! `convert-float` on graphs made for it: what comes out is text, and must compute about what the witness computes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fmt::Write;

use onnxpress_ir::text::{Form, print_model};
use onnxpress_ir::{DType, Model, Tensor, Type};
use onnxpress_ops::evaluate::Value;
use onnxpress_ops::interpret::{self, Limits};
use onnxpress_passes::manager::{self, RunOptions};

/// The model afterwards, what stayed, and what the user is told.
fn converted(options: &str, graph: &str) -> String {
    let passes = onnxpress_passes::builtin().unwrap();
    let pipeline = passes.pipeline(&format!("convert-float{{{options}}}")).unwrap();
    let mut model = Model::from_text(graph).unwrap();
    let run = RunOptions { verify_each: true, ..RunOptions::default() };
    let report = match manager::run(&pipeline, &mut model, run) {
        Ok(report) => report,
        Err(error) => return error.to_string(),
    };
    for point in &report.checkpoints {
        compare(&point.expected, &point.actual, point.tolerance.unwrap_or(0.0));
    }
    let mut text = match report.changed {
        true => print_model(&model, &Form { types: false, declared: true, ..Form::brief() }),
        false => "unchanged\n".to_owned(),
    };
    for decline in report.passes.iter().flat_map(|pass| &pass.declined) {
        writeln!(text, "left: {}: {}", decline.site, decline.reason).unwrap();
    }
    report.notices.iter().for_each(|notice| writeln!(text, "notice: {notice}").unwrap());
    text
}

/// Both on inputs that are all in steps of a quarter, within the tolerance of the peak.
fn compare(expected: &Model, actual: &Model, tolerance: f64) {
    let given = |model: &Model| -> Vec<Option<Value>> {
        let graph = &model.graph;
        let one = |&id: &onnxpress_ir::NodeId| {
            let Type::Tensor(ty) = &graph.input(id).declared else { panic!("no tensor") };
            let extents: Vec<usize> = ty
                .shape
                .iter()
                .flat_map(|shape| shape.iter())
                .map(|dim| dim.as_const().unwrap_or(3) as usize)
                .collect();
            let count: usize = extents.iter().product();
            let values: Vec<f64> = (0..count).map(|index| (index * 7 % 11) as f64 / 4.0 - 1.0).collect();
            let dtype = ty.dtype.unwrap_or(DType::Float);
            let values: Vec<f64> =
                if dtype.is_float() { values } else { values.iter().map(|value| value.abs()).collect() };
            Some(Value::Tensor(Tensor::from_f64s(dtype, &extents, &values).unwrap()))
        };
        graph.inputs().iter().map(one).collect()
    };
    let run = |model: &Model| {
        interpret::run(model, given(model), Limits::default())
            .unwrap_or_else(|error| panic!("{error}\n{}", model.to_text()))
    };
    for (a, b) in run(expected).into_iter().zip(run(actual)) {
        let (Value::Tensor(a), Value::Tensor(b)) = (a, b) else { panic!("no tensors") };
        let (a, b) = (a.to_f64s().unwrap(), b.to_f64s().unwrap());
        let peak = a.iter().fold(1e-3f64, |peak, value| peak.max(value.abs()));
        let error = a.iter().zip(&b).map(|(a, b)| (a - b).abs() / peak).fold(0.0, f64::max);
        assert!(error <= tolerance, "off by {error}\n{}", actual.to_text());
    }
}

#[test]
fn casts_stand_at_the_borders_alone() {
    insta::assert_snapshot!(converted("", r#"
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[N,8] x) => (float[N,4] y, float[N,8] r)
        <float[8,8] w = normal(seed=1), float[8,4] v = normal(seed=2), float[N,8] h>
        {
          h = MatMul(x, w)
          r = Relu(h)
          y = MatMul(r, v)
        }"#), @r#"
    <ir_version: 8, opset_import: ["" : 17]>
    g (float[N,8] x) => (float[N,4] y, float[N,8] r)
    <
      float16[8,8] w = elided("sha256:ad35768a7ad7e2f0"),
      float16[8,4] v = elided("sha256:f8496961fdaac5b1"),
      float16[N,8] h
    >
    {
      x_float16 = Cast <to = 10> (x)
      h = MatMul(x_float16, w)
      r_float16 = Relu(h)
      r = Cast <to = 1> (r_float16)
      y_float16 = MatMul(r_float16, v)
      y = Cast <to = 1> (y_float16)
    }
    "#);
}

#[test]
fn the_interface_goes_along_where_that_is_asked() {
    insta::assert_snapshot!(converted("keep-io=false", r#"
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[N,8] x, int64[N] i) => (float[N,8] y)
        <float[8,8] w = normal(seed=1)>
        {
          h = MatMul(x, w)
          e = Gather(w, i)
          y = Add(h, e)
        }"#), @r#"
    <ir_version: 8, opset_import: ["" : 17]>
    g (float16[N,8] x, int64[N] i) => (float16[N,8] y)
    <float16[8,8] w = elided("sha256:ad35768a7ad7e2f0")>
    {
      h = MatMul(x, w)
      e = Gather(w, i)
      y = Add(h, e)
    }
    "#);
}

#[test]
fn what_may_leave_the_range_stays() {
    insta::assert_snapshot!(converted("", r#"
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[3,8] x, int64[3,8] n) => (float[3,8] y, float[3,8] s, float[3,8] z)
        <float two = splat(2), float eps = splat(1e-12), float[8] scale = normal(seed=1), float[8] big = splat(1e6), float mask = splat(-1e9)>
        {
          m = ReduceMean <axes = [-1]> (x)
          d = Sub(x, m)
          q = Pow(d, two)
          v = ReduceMean <axes = [-1]> (q)
          e = Add(v, eps)
          r = Sqrt(e)
          f = Div(d, r)
          y = Mul(f, scale)
          b = Mul(x, big)
          s = Softmax(b)
          c = Cast <to = 9> (n)
          z = Where(c, x, mask)
        }"#), @r#"
    <ir_version: 8, opset_import: ["" : 17]>
    g (float[3,8] x, int64[3,8] n) => (float[3,8] y, float[3,8] s, float[3,8] z)
    <
      float two = {2},
      float eps = {1e-12},
      float16[8] scale = {1.4248047, -0.6191406, -0.5908203, 1.4326172, 0.5839844, -1.3857422, 1.2792969, 0.32739258},
      float[8] big = {1000000, 1000000, 1000000, 1000000, 1000000, 1000000, 1000000, 1000000},
      float16 mask = {-65504.0}
    >
    {
      m = ReduceMean <axes = [-1]> (x)
      x_float16 = Cast <to = 10> (x)
      m_float16 = Cast <to = 10> (m)
      d = Sub(x_float16, m_float16)
      d_float = Cast <to = 1> (d)
      q = Pow(d_float, two)
      v = ReduceMean <axes = [-1]> (q)
      e = Add(v, eps)
      r = Sqrt(e)
      r_float16 = Cast <to = 10> (r)
      f = Div(d, r_float16)
      y_float16 = Mul(f, scale)
      y = Cast <to = 1> (y_float16)
      b = Mul(x, big)
      s = Softmax(b)
      c = Cast <to = 9> (n)
      z_float16 = Where(c, x_float16, mask)
      z = Cast <to = 1> (z_float16)
    }
    left: ReduceMean `m`: ReduceMean: many numbers are summed
    left: Pow `q`: Pow: squares leave its range
    left: ReduceMean `v`: ReduceMean: many numbers are summed
    left: Mul `b`: `big` holds 1e6, beyond 6.5504e4
    "#);
}

#[test]
fn branches_and_loops_are_of_one_type() {
    insta::assert_snapshot!(converted("", r#"
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[8,8] x, bool c) => (float[8,8] y, float[8,8] l)
        <float[8,8] w = normal(seed=1), int64 trips = splat(2), float[8,8] both = normal(seed=3)>
        {
          h = MatMul(x, w)
          y = If(c) <
            then_branch = a () => (float[8,8] t) <float[8,8] own = normal(seed=2)> { u = MatMul(h, own) t = MatMul(u, both) },
            else_branch = b () => (float[8,8] e) { e = Exp(h) }
          >
          l = Loop(trips, c, h) <body = body (int64 i, bool k, float[8,8] s) => (bool o, float[8,8] p) {
            o = Identity(k)
            p = MatMul(s, both)
          }>
        }"#), @r#"
    <ir_version: 8, opset_import: ["" : 17]>
    g (float[8,8] x, bool c) => (float[8,8] y, float[8,8] l)
    <
      float16[8,8] w = elided("sha256:ad35768a7ad7e2f0"),
      int64 trips = {2},
      float[8,8] both = elided("sha256:b1c46f629144558c")
    >
    {
      x_float16 = Cast <to = 10> (x)
      h = MatMul(x_float16, w)
      y = If(c) <
        then_branch = a () => (float[8,8] t)
        <float16[8,8] own = elided("sha256:ded8ee37f9a0c76e")>
        {
          u = MatMul(h, own)
          both_float16 = Cast <to = 10> (both)
          t_float16 = MatMul(u, both_float16)
          t = Cast <to = 1> (t_float16)
        },
        else_branch = b () => (float[8,8] e) {
          h_float = Cast <to = 1> (h)
          e = Exp(h_float)
        }
      >
      l_float16 = Loop(trips, c, h) <
        body = body (int64 i, bool k, float16[8,8] s) => (bool o, float16[8,8] p) {
          o = Identity(k)
          both_float16_1 = Cast <to = 10> (both)
          p = MatMul(s, both_float16_1)
        }
      >
      l = Cast <to = 1> (l_float16)
    }
    left: Exp `e`: Exp: exponentials leave its range
    "#);
}

#[test]
fn doubles_become_floats_and_filled_tensors_follow() {
    insta::assert_snapshot!(converted("to=float32", r#"
        <ir_version: 8, opset_import: ["" : 17]>
        g (double[N,8] x) => (double[N,8] y)
        <double[8,8] w = normal(seed=1), double huge = splat(1e300)>
        {
          h = MatMul(x, w)
          shape = Shape(x)
          f = ConstantOfShape <value = double[1] {2}> (shape)
          a = Add(h, f)
          b = Add(a, huge)
          y = Mul(a, b)
        }"#), @r#"
    <ir_version: 8, opset_import: ["" : 17]>
    g (double[N,8] x) => (double[N,8] y)
    <float[8,8] w = elided("sha256:addd26fa9ef2982b"), double huge = {1e300}>
    {
      x_float = Cast <to = 1> (x)
      h = MatMul(x_float, w)
      shape = Shape(x_float)
      f = ConstantOfShape <value = float[1] {2}> (shape)
      a = Add(h, f)
      a_double = Cast <to = 11> (a)
      b = Add(a_double, huge)
      y = Mul(a_double, b)
    }
    left: Add `b`: `huge` holds 1e300, beyond 3.4028234663852886e38
    "#);
}

#[test]
fn bfloat16_needs_a_newer_opset() {
    insta::assert_snapshot!(converted("to=bfloat16, keep=[z]", r#"
        <ir_version: 6, opset_import: ["" : 11]>
        g (float[N,8] x) => (float[N,8] y)
        <float[8,8] w = normal(seed=1)>
        {
          h = MatMul(x, w)
          z = Relu(h)
          y = Add(z, h)
        }"#), @r#"
    <ir_version: 7, opset_import: ["" : 13]>
    g (float[N,8] x) => (float[N,8] y)
    <bfloat16[8,8] w = elided("sha256:1277db019139007b")>
    {
      x_bfloat16 = Cast <to = 16> (x)
      h = MatMul(x_bfloat16, w)
      h_float = Cast <to = 1> (h)
      z = Relu(h_float)
      z_bfloat16 = Cast <to = 16> (z)
      y_bfloat16 = Add(z_bfloat16, h)
      y = Cast <to = 1> (y_bfloat16)
    }
    left: Relu `z`: `keep` names it
    notice: the model goes from opset 11 to 13, whose operators have bfloat16
    "#);
    insta::assert_snapshot!(converted("keep=[nobody]", "g (float[N] x) => (y) { y = Neg(x) }"), @"convert-float{to=float16, keep-io=true, data=true, keep=[nobody], upgrade=true}: the pattern `nobody` matches no node");
}

#[test]
fn what_holds_subgraphs_hands_on_only_types_that_it_has() {
    insta::assert_snapshot!(converted("to=bfloat16", r#"
        <ir_version: 7, opset_import: ["" : 13]>
        g (float[N,8] x, bool c) => (float[N,8] y)
        <float[8,8] w = normal(seed=1)>
        {
          y = If(c) <
            then_branch = yes () => (float[N,8] a) { a = MatMul(x, w) },
            else_branch = no () => (float[N,8] b) { b = Identity(x) }>
        }"#), @r#"
    <ir_version: 8, opset_import: ["" : 16]>
    g (float[N,8] x, bool c) => (float[N,8] y)
    <float[8,8] w = elided("sha256:addd26fa9ef2982b")>
    {
      y_bfloat16 = If(c) <
        then_branch = yes () => (bfloat16[N,8] a) {
          x_bfloat16 = Cast <to = 16> (x)
          w_bfloat16 = Cast <to = 16> (w)
          a = MatMul(x_bfloat16, w_bfloat16)
        },
        else_branch = no () => (bfloat16[N,8] b) {
          x_bfloat16_1 = Cast <to = 16> (x)
          b = Identity(x_bfloat16_1)
        }
      >
      y = Cast <to = 1> (y_bfloat16)
    }
    notice: the model goes from opset 13 to 16, whose operators have bfloat16
    "#);
}

#[test]
fn weights_that_callers_may_give_are_converted_too() {
    insta::assert_snapshot!(converted("", r#"
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[N,8] x, float[8,4] w = normal(seed=1)) => (float[N,4] y) { y = MatMul(x, w) }"#), @r#"
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[N,8] x, float16[8,4] w = elided("sha256:510a4dca86b3661c")) => (float[N,4] y) {
          x_float16 = Cast <to = 10> (x)
          y_float16 = MatMul(x_float16, w)
          y = Cast <to = 1> (y_float16)
        }
        "#);
}

/// The first stays for its bias, the second for elements that are too small, the third since `keep` names it.
#[test]
fn weights_of_layers_that_stay_are_stored_in_the_type_where_it_holds_them() {
    insta::assert_snapshot!(converted("keep=[z]", r#"
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[N,8] x) => (float[N,40] y, float[N,40] t, float[N,40] z)
        <float[8,40] w = normal(seed=1), float[40] b = splat(100000.0), float[8,40] small = splat(0.00001), float[8,40] v = normal(seed=2)> {
          y = Gemm(x, w, b)
          t = MatMul(x, small)
          z = MatMul(x, v)
        }"#), @r#"
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[N,8] x) => (float[N,40] y, float[N,40] t, float[N,40] z)
        <
          float16[8,40] w = elided("sha256:b569e5de4748fd50"),
          float[40] b = splat(100000),
          float[8,40] small = splat(1e-5),
          float[8,40] v = elided("sha256:01df63c03ab16049")
        >
        {
          w_float = Cast <to = 1> (w)
          y = Gemm(x, w_float, b)
          t = MatMul(x, small)
          z = MatMul(x, v)
        }
        left: Gemm `y`: `b` holds 1e5, beyond 6.5504e4
        left: MatMul `t`: the elements of `small` are too small for it
        left: MatMul `z`: `keep` names it
        "#);
}
