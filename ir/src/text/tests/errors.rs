//! What is said of a text that is no model.

use insta::assert_snapshot;

use super::*;

fn error(text: &str) -> String {
    match Model::from_text(text) {
        Ok(model) => panic!("{text} was read as\n{}", model.to_text()),
        Err(error) => error.to_string(),
    }
}

/// Initializers, each of them the only one of a graph, with the column and the words of the error.
fn of_initializers(texts: &[&str]) -> String {
    let before = "g()=>()<";
    let line = |text: &&str| match Graph::from_text(&format!("{before}{text}>{{}}")) {
        Err(TextError::At { column, fault, .. }) => format!("{text}\n  {}: {fault}\n", column - before.len()),
        other => panic!("{text}: {other:?}"),
    };
    texts.iter().map(line).collect()
}

#[test]
fn errors_point_at_the_place() {
    assert_eq!(error(""), "line 1, column 1: found the end, expected the name of a graph");
    assert_eq!(error("g (x) =>\n  (y) {\n  y = Relu x"), "line 3, column 12: found `x`, expected `(`");
    assert_eq!(error("g () => () { y"), "line 1, column 15: found the end, expected `=`");
    assert_eq!(error("g () => () {"), "line 1, column 13: found the end, expected a node or `}`");
    assert_eq!(error("g (\"é\" ü) => () {}"), "line 1, column 8: found `ü`, expected `)`");
    assert_eq!(error("<ir_version: 8, ir_version: 9> g () => () {}"), "line 1, column 17: `ir_version` is given twice");
    assert_eq!(
        error("<license: \"x\"> g () => () {}"),
        "line 1, column 2: found `license`, expected `ir_version`, `opset_import`, `producer_name`, `producer_version`, `domain`, \
         `model_version`, `doc_string` or `metadata_props`"
    );
    assert_eq!(error("g (\"x) => () {}"), "line 1, column 4: found the end, expected a string with an end");
    assert_eq!(error("g (b\"\\x4\") => () {}"), "line 1, column 6: found `\\x`, expected two hexadecimal digits");
    assert_eq!(
        error("g () => () { = Op <a = [1, \"s\"]> () }"),
        "line 1, column 32: found string in the list, expected int"
    );
    assert_eq!(error("g () => () { = Op <a: int = 1.5> () }"), "line 1, column 29: found float, expected int");
    assert_eq!(
        error("g () => () { = Op <a = []> () }"),
        "line 1, column 26: found `>`, expected the kind of the attribute before `=`, as in `axes: ints = []`"
    );
    assert_eq!(
        error("g () => () { = Op <a: integer = 1> () }"),
        "line 1, column 23: found `integer`, expected a kind of attribute, as `int` or `floats`"
    );
    assert_eq!(
        error("g () => () { = Op <a = 99999999999999999999> () }"),
        "line 1, column 24: 99999999999999999999 is no int64"
    );
}

#[test]
fn types_and_tensors_are_checked() {
    assert_snapshot!(of_initializers(&[
        "float[2] w = {1}",
        "complex64[1] w = {1, 2, 3}",
        "float[N] w = {1}",
        "seq(float) w = {1}",
        "float[1] w = {1e39}",
        "uint8[1] w = {256}",
        "int4[3] w = {1, 8, 1}",
        "int4[4] w = {256, 1}",
        "float16[1] w = {65536}",
        "int8[1] w = {1.5}",
        "float[1] w = {1e}",
        "float[1] w = {\"a\"}",
        "float[1] w = zeros",
        "float[1] w = normal(sigma=1)",
        "float[1] w = normal(seed=1, seed=2)",
        "string[1] w = iota",
        "float[1] w = hex(\"00\")",
        "float[1] w = hex(\"0g000000\")",
        "float[1] w = [\"location\": \"f\"]",
        "float[2*] w = {1}",
        "float[1 w = {1}",
        "sparse_tensor(float[9]) w = int8[1] {1} at int64[1] {0}",
        "float[1000000000000] w = splat(0)",
        "float[9223372036854775807,9] w = iota",
        "float[9223372036854775807,9] w = {1}",
        "float[10000000] a = splat(0), float[10000000] b = splat(0)",
    ]), @r#"
    float[2] w = {1}
      14: elements: found 1, expected 2
    complex64[1] w = {1, 2, 3}
      18: elements: found 3, expected 2
    float[N] w = {1}
      1: found `float[N]`, expected a tensor type whose extents are numbers
    seq(float) w = {1}
      1: found `seq(float)`, expected a tensor type whose extents are numbers
    float[1] w = {1e39}
      15: 1e39 is no float
    uint8[1] w = {256}
      15: 256 is no uint8
    int4[3] w = {1, 8, 1}
      17: 8 is no int4
    int4[4] w = {256, 1}
      14: 256 is no int4
    float16[1] w = {65536}
      17: 65536 is no float16
    int8[1] w = {1.5}
      14: 1.5 is no int8
    float[1] w = {1e}
      17: found `}`, expected an exponent
    float[1] w = {"a"}
      15: found `"a"`, expected a number
    float[1] w = zeros
      14: found `zeros`, expected `{`, `splat`, `iota`, `uniform`, `normal` or `hex`
    float[1] w = normal(sigma=1)
      21: found `sigma`, expected `seed`, `mean`, `std`
    float[1] w = normal(seed=1, seed=2)
      29: `seed` is given twice
    string[1] w = iota
      15: `iota` makes no elements of string
    float[1] w = hex("00")
      14: 1 bytes of data, but float[1] takes 4
    float[1] w = hex("0g000000")
      18: found other characters, expected two hexadecimal digits a byte
    float[1] w = ["location": "f"]
      14: the data is in another file; a text can hold only what is written in it
    float[2*] w = {1}
      9: found `]`, expected a number, a symbol, `?` or `(`
    float[1 w = {1}
      9: found `w`, expected an operator or the end
    sparse_tensor(float[9]) w = int8[1] {1} at int64[1] {0}
      29: the tensor is of int8, not of float
    float[1000000000000] w = splat(0)
      26: the text's recipes make more than 16777216 elements
    float[9223372036854775807,9] w = iota
      34: the text's recipes make more than 16777216 elements
    float[9223372036854775807,9] w = {1}
      34: extents [9223372036854775807, 9] have more elements than memory can hold
    float[10000000] a = splat(0), float[10000000] b = splat(0)
      51: the text's recipes make more than 16777216 elements
    "#);
}

#[test]
fn names_that_make_no_graph_are_reported() {
    assert_eq!(error("g (x) => (y) { y = Relu(z) }"), "graph `g`: Relu `y`: input 0 `z` is never defined");
    assert_eq!(error("g (x, x) => (x) {}"), "graph `g`: `x` is defined twice, as input `x` and as input `x`");
}

#[test]
fn hostile_texts_are_refused_without_effort() {
    let deep = |open: &str, count: usize| format!("g () => () {{ = Op <a = {}", open.repeat(count));
    assert!(error(&deep("g () => () { = Op <a = ", 10_000)).ends_with("more than 128 levels of nesting"));
    assert!(error(&deep("seq(", 10_000)).ends_with("more than 128 levels of nesting"));
    let allowed = format!(
        "g (x) => () {{ = Op <a = {}_ () => (x) {{}}{}",
        "_ () => () { = Op <a = ".repeat(125),
        "> ()} ".repeat(125)
    );
    assert_eq!(Graph::from_text(&(allowed + "> () }")).unwrap().node_count(), 126);
    assert!(error(&deep("[", 10_000)).contains("expected the value of an attribute"));
    assert!(error(&format!("g (float[{}1] x) => () {{}}", "(".repeat(10_000))).contains("less nesting"));
    for text in [
        "\\",
        "b\"",
        "b\"\\",
        "\"\\",
        "g (float[",
        "g (float[\"",
        "-",
        "<",
        "g () => () { = Op <a = -> () }",
        "#",
        "\u{0}",
        "g(?",
    ] {
        error(text);
    }
}
