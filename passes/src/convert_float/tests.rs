#![allow(clippy::unwrap_used)]

use crate::evidence::EvidenceSource;
use crate::evidence::testing::{AtHand, typed};
use crate::manager::{self, RunOptions};
use crate::pass::Request;

/// Squares and exponentials of moderate numbers, a product that leaves the range and one that is tiny, each brought back.
const NET: &str = r#"
    <ir_version: 10, opset_import: ["" : 17]>
    net (float[N,8] x) => (float[N,8] y)
    <float up = {9000.0}, float down = {0.0001}, float small = {0.00001}> {
        square = Mul(x, x)
        e = Exp(x)
        large = Mul(square, up)
        back = Mul(large, down)
        tiny = Mul(e, small)
        root = Sqrt(tiny)
        some = Add(back, root)
        y = Add(some, e)
    }"#;

/// Why nodes stay, with samples or without.
fn reasons(net: &str, options: &str, data: bool) -> String {
    reasons_by(net, options, data.then(|| AtHand::new(4, &[8])))
}

fn reasons_by(net: &str, options: &str, source: Option<AtHand>) -> String {
    let passes = crate::builtin().unwrap();
    let pipeline = passes.pipeline(&format!("convert-float{{{options}}}")).unwrap();
    let mut model = typed(net);
    let evidence = source.as_ref().map(|source| source as &dyn EvidenceSource);
    let request = Request { evidence, ..Request::default() };
    let options = RunOptions { verify_each: true, request, ..RunOptions::default() };
    let report = manager::run(&pipeline, &mut model, options).unwrap();
    let declined = report.passes[0].declined.iter();
    let lines: Vec<String> = declined.map(|one| format!("{}: {}", one.site, one.reason)).collect();
    lines.join("\n")
}

#[test]
fn samples_say_what_stays() {
    insta::assert_snapshot!(reasons(NET, "", true), @r"
    Mul `large`: `large` reaches 3.515e4 on samples, the largest number is 6.550e4
    Mul `tiny`: `small` is 9.999999747378752e-6, too small for it
    ");
    let by_rule = reasons(NET, "", false);
    assert!(
        by_rule.contains("squares leave its range") && by_rule.contains("exponentials leave its range"),
        "{by_rule}"
    );
    assert_eq!(reasons(NET, "data=false", true), by_rule);
}

#[test]
fn what_is_large_on_the_way_stays_though_its_results_fit() {
    let net = r#"
    <ir_version: 10, opset_import: ["" : 17]>
    net (float[N,8] x) => (float[N,1] y, float[N,1] z) {
        y = ReduceL2<axes = [1]>(x)
        z = ReduceL1<axes = [1]>(x)
    }"#;
    insta::assert_snapshot!(reasons(net, "", true), @"ReduceL2 `y`: ReduceL2: squares leave its range");
}

/// A layer whose results leave the range, which no rule foresees, and what reads them; those of another are small.
#[test]
fn a_random_input_shows_what_is_too_large_and_nothing_else() {
    let net = r#"
    <ir_version: 10, opset_import: ["" : 17]>
    net (float[N,8] x) => (float[N,8] y, float[N,8] z)
    <float[8,8] w = splat(20000.0), float[8,8] v = splat(0.0002), float[8,8] u = splat(0.0001)> {
        large = MatMul(x, w)
        y = MatMul(large, v)
        z = MatMul(x, u)
    }"#;
    let made_up = AtHand { synthetic: true, ..AtHand::new(4, &[8]) };
    insta::assert_snapshot!(reasons_by(net, "", Some(made_up)), @"MatMul `large`: `large` reaches 9.849e4 on a random input, the largest number is 6.550e4");
    let made_up = AtHand { synthetic: true, ..AtHand::new(4, &[8]) };
    assert_eq!(reasons_by(net, "data=false", Some(made_up)), "");
    let unsuited = AtHand { synthetic: true, ..AtHand::new(4, &[9]) };
    assert_eq!(reasons_by(net, "", Some(unsuited)), "");
}
