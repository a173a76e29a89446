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
    let passes = crate::builtin().unwrap();
    let pipeline = passes.pipeline(&format!("convert-float{{{options}}}")).unwrap();
    let mut model = typed(net);
    let source = data.then(|| AtHand::new(4, &[8]));
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
