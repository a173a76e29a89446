//! What graphs and models look like in print.

use insta::assert_snapshot;

use super::*;
use crate::dim::Dim;
use crate::shape::Shape;
use crate::types::Type;

#[test]
fn a_graph_prints_in_one_way_however_it_was_written() {
    assert_snapshot!(reprint("g(float[ N ,3] x , w)=>(float[N] z,s)<float[2,2] k={1,-0,3.25,1e-7}, float[?] t>{[n1]t=MatMul(x,k)
        z = com.acme.Sum:fast(t, ,w)<alpha:float=2,axes=[1,2],mode=\"a \\\"b\\\"\",to:int=3> s=Relu(t)}"), @r#"
    g (float[N,3] x, w) => (float[N] z, s)
    <float[2,2] k = {1, -0, 3.25, 1e-7}, float[?] t>
    {
      [n1] t = MatMul(x, k)
      z = com.acme.Sum:fast <alpha = 2.0, axes = [1, 2], mode = "a \"b\"", to = 3> (t, "", w)
      s = Relu(t)
    }
    "#);
}

#[test]
fn every_kind_of_attribute() {
    assert_snapshot!(reprint("g () => () { = A <
        a = 1.5, b = -3, c = \"s\", d = float[2] w {1, 2}, e: floats = [1, 2.5, inf, -nan], f = [1, -2], g = [\"p\", \"q\"],
        h: ints = [], i: tensors = [int64 {1}, bool[2] {1, 0}], j = float[N], k: type_protos = [float[], seq(map(int64, string))],
        l: type_proto = unknown, m: float = @alpha, n = sparse_tensor(float[9]) = float[2] {1, 2} at int64[2] {0, 5}> () }"), @r#"
    g () => () {
      = A <a = 1.5, b = -3, c = "s", d = float[2] {1, 2}, e = [1.0, 2.5, inf, -nan], f = [1, -2], g = ["p", "q"], h: ints = [], i: tensors = [int64 {1}, bool[2] {1, 0}], j = float[N], k: type_protos = [float[], seq(map(int64, string))], l: type_proto = unknown, m: float = @alpha, n = sparse_tensor(float[9]) = float[2] {1, 2} at int64[2] {0, 5}> ()
    }
    "#);
}

#[test]
fn subgraphs_are_indented_and_see_the_values_around_them() {
    assert_snapshot!(reprint("main (bool c, float[2] x) => (y)
        <float[2] w = {1, 2}>
        { y = If (c) <
            then_branch = t () => (a) <float[2] v = {3, 4}> { s = Add(x, v) a = Add(s, w) },
            else_branch = e () => (b) { b = If (c) <then_branch = _ () => (p) { p = Neg(x) }, else_branch = q () => (x) {}> }> }"), @"
    main (bool c, float[2] x) => (y)
    <float[2] w = {1, 2}>
    {
      y = If(c) <
        then_branch = t () => (a)
        <float[2] v = {3, 4}>
        {
          s = Add(x, v)
          a = Add(s, w)
        },
        else_branch = e () => (b) {
          b = If(c) <
            then_branch = _ () => (p) {
              p = Neg(x)
            },
            else_branch = q () => (x) {}
          >
        }
      >
    }
    ");
}

#[test]
fn constants_print_where_the_file_has_them() {
    assert_snapshot!(reprint("g (float[2] x, float[2] d = {1, 2}, float[N] e) => (y)
        <float[2] e = {5, 6}, float[1] w = {0.5}>
        { k = Constant <value = int64[2] {3, 4}> () [c] f = Constant <value_float = 2.5> () y = Op(x, d, e, w, k, f) }"), @"
    g (float[2] x, float[2] d = {1, 2}, float[N] e) => (y)
    <float[2] e = {5, 6}, float[1] w = {0.5}>
    {
      k = Constant <value = int64[2] {3, 4}> ()
      [c] f = Constant <value = float {2.5}> ()
      y = Op(x, d, e, w, k, f)
    }
    ");
    let old = "<ir_version: 3, opset_import: [\"\" : 7]> g (float[2] w = {1, 2}, float[2] x) => (y) { y = Add(x, w) }";
    let model = Model::from_text(old).unwrap();
    assert!(
        model.graph.inputs().len() == 1 && model.graph.constants().count() == 1,
        "nobody can override it in this version"
    );
    assert_snapshot!(model.to_text(), @r#"
    <ir_version: 3, opset_import: ["" : 7]>
    g (float[2] w = {1, 2}, float[2] x) => (y) {
      y = Add(x, w)
    }
    "#);
}

#[test]
fn a_model_has_a_header_and_functions() {
    let model = Model::from_text("<ir_version: 9, opset_import: [\"\" : 18, \"local\" : 1], producer_name: \"tool\",
        producer_version: \"2\", domain: \"org\", model_version: 7, doc_string: \"two\nlines\", metadata_props: [\"k\": \"v\", \"\": \"\"]>
        g (float[N] x) => (float[N] y) { y = local.f <a = 2, b = 0.5> (x) }
        <domain: \"local\", overload: \"\", opset_import: [\"\" : 18], doc_string: \"doubles\"> f <a, b: float = 1, c: ints = [1]> (x) => (float[N] y)
        <float[N] t> { t = Op <axis: int = @a> (x) k = Constant <value: tensor = @v> () y = Relu(t) }").unwrap();
    assert_snapshot!(model.to_text(), @r#"
    <
      ir_version: 9,
      opset_import: ["" : 18, "local" : 1],
      producer_name: "tool",
      producer_version: "2",
      domain: "org",
      model_version: 7,
      doc_string: "two
    lines",
      metadata_props: ["k": "v", "": ""]
    >
    g (float[N] x) => (float[N] y) {
      y = local.f <a = 2, b = 0.5> (x)
    }

    <domain: "local", opset_import: ["" : 18], doc_string: "doubles">
    f <a, b: float = 1.0, c: ints = [1]> (x) => (y)
    <float[N] y, float[N] t>
    {
      t = Op <axis: int = @a> (x)
      k = Constant <value: tensor = @v> ()
      y = Relu(t)
    }
    "#);
    assert_eq!(Model::from_text(&model.to_text()).unwrap().to_text(), model.to_text());
}

#[test]
fn names_that_are_no_identifiers_are_quoted() {
    assert_snapshot!(reprint("\"main graph\" (float[\"batch size\",\"a.b\"] \"x:0\", \"float\") => (\"/y\") {
        [\"/layer/Add\"] \"/y\" = Add(\"x:0\", \"float\") <body = \"inf_graph\" () => (b\"\\xff\") { b\"\\xff\" = Neg(\"x:0\") }> }"), @r#"
    "main graph" (float["batch size","a.b"] "x:0", "float") => ("/y") {
      ["/layer/Add"] "/y" = Add("x:0", "float") <
        body = "inf_graph" () => (b"\xff") {
          b"\xff" = Neg("x:0")
        }
      >
    }
    "#);
}

#[test]
fn outputs_and_operands_that_are_left_out_are_empty_names() {
    assert_snapshot!(reprint("g (x) => (i) { , i, = TopK(x, , x) = Sink(i) = Sink() }"), @r#"
    g (x) => (i) {
      "", i = TopK(x, "", x)
      = Sink(i)
      = Sink()
    }
    "#);
}

#[test]
fn every_element_type_has_its_literals() {
    let samples = [
        "float[3] {1e-45, 3.4028235e38, -inf}",
        "double[2] {5e-324, 1.7976931348623157e308}",
        "float16[2] {15360, 64512}",
        "bfloat16[1] {16256}",
        "float8e4m3fn[1] {56}",
        "float8e8m0[2] {127, 255}",
        "float6e2m3[2] {8, 63}",
        "float4e2m1[3] {34, 2}",
        "int64[1] {-9223372036854775808}",
        "uint64[1] {18446744073709551615}",
        "int8[2] {-128, 127}",
        "uint32[1] {4294967295}",
        "int4[3] {33, 3}",
        "uint2[5] {228, 1}",
        "bool[2] {1, 0}",
        "complex64[1] {1, -2.5}",
        "complex128[1] {nan, 0}",
        "string[2] {\"a \\\"b\\\"\", b\"\\xff\"}",
        "float {7}",
        "float[0] {}",
        "float[2,0,3] {}",
        "int4[1] {255}",
    ];
    for sample in samples {
        let text = reprint(&format!("g () => () {{ = Op <t = {sample}> () }}"));
        assert!(text.contains(&format!("<t = {sample}>")), "{sample}: {text}");
    }
}

#[test]
fn the_brief_form_leaves_large_tensors_out_and_shows_types() {
    let mut graph = Graph::from_text("g (float[N,3] x) => (y, z)
        <float[100] w = iota, float[64,64] ones = splat(1), float16[2] h = splat(0.5), int4[3] q = {1, -2, 3}>
        { t = MatMul(x, w) y, k = Op <axes = [1]> (t, ones, h, q) z = AnOperatorWithQuiteALongNameThatDoesNotFitTheColumn (x, w, ones, h, t) }").unwrap();
    let values: Vec<_> =
        graph.nodes().flat_map(|(id, node)| (0..node.port_count() as u32).map(move |port| id.port(port))).collect();
    let known =
        Type::tensor(crate::dtype::DType::Float, Shape::from(vec![Dim::named("N") * Dim::from(2), Dim::from(3)]));
    values.iter().skip(1).for_each(|&value| graph.set_fact(value, known.clone(), None));
    assert_snapshot!(graph.to_brief_text(), @r#"
    g (float[N,3] x) => (float[2*N,3] y, float[2*N,3] z)
    <
      float[100] w = elided("sha256:58306883400c34b0"),
      float[64,64] ones = splat(1),
      float16[2] h = {0.5, 0.5},
      int4[3] q = {1, -2, 3}
    >
    {
      t = MatMul(x, w)
      y, k = Op <axes = [1]> (t, ones, h, q)  # float[2*N,3], float[2*N,3]
      z = AnOperatorWithQuiteALongNameThatDoesNotFitTheColumn(x, w, ones, h, t)  # float[2*N,3]
    }
    "#);
    let error = Graph::from_text(&graph.to_brief_text()).unwrap_err().to_string();
    assert_eq!(
        error,
        "line 3, column 18: elements were left out when this text was printed; only the exact form can be read back"
    );
}

#[test]
fn nodes_that_are_not_sorted_are_read_and_printed_sorted() {
    let text = "g (x) => (y) { y = Relu(t) t = Neg(x) }";
    assert_snapshot!(reprint(text), @"
    g (x) => (y) {
      t = Neg(x)
      y = Relu(t)
    }
    ");
    let kept = Form { keep_order: true, ..Form::exact() };
    assert_snapshot!(print_graph(&Graph::from_text(text).unwrap(), &kept), @"
    g (x) => (y) {
      y = Relu(t)
      t = Neg(x)
    }
    ");
    assert_snapshot!(reprint("g () => (y) { y = Relu(t) t = Neg(y) }"), @"
    g () => (y) {
      y = Relu(t)
      t = Neg(y)
    }
    ");
}

#[test]
fn a_line_for_messages_has_no_subgraphs_and_no_line_breaks() {
    let graph = Graph::from_text("g (c) => (y) { y = If (c) <a = \"two\nlines\", body = b () => (c) {}> }").unwrap();
    let (id, _) = graph.nodes().next().unwrap();
    assert_snapshot!(node_line(&graph, id), @r#"y = If(c) <a = "two\nlines", body = {…}>"#);
}
