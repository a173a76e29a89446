#![allow(clippy::unwrap_used)]

use onnxpress_ir::Tensor;

use super::*;
use crate::runner::RunnerKind;

fn model(text: &str) -> Model {
    Model::from_text(text).unwrap()
}

fn check(original: &str, result: &str) -> Result<CheckReport, CheckError> {
    check_models(&model(original), &model(result), None, &CheckRequest::default())
}

const LINEAR: &str =
    "g (float[N,2] x) => (float[N,2] y) <float[2] w = {1, 2}, float[2] b = {3, 4}> { t = Mul(x, w)  y = Add(t, b) }";

#[test]
fn another_way_to_the_same_numbers_is_proven() {
    let report = check(
        LINEAR,
        "g (float[N,2] x) => (float[N,2] y) <float[2] w = {-1, -2}, float[2] b = {3, 4}> { t = Mul(x, w)  y = Sub(b, t) }",
    );
    let report = report.unwrap();
    assert_eq!((report.done, report.inputs, report.witness_error), (Done::Numeric, 2, None));
    assert!(report.max_error.unwrap() < 1e-6 && report.snr_db.unwrap() > 100.0);
    assert!(report.notices.is_empty(), "{:?}", report.notices);
}

#[test]
fn another_number_is_found_and_named() {
    let error = check(LINEAR, &LINEAR.replace("{3, 4}", "{3, 4.5}")).unwrap_err();
    assert!(error.is_defect());
    let message = error.to_string();
    assert!(message.starts_with("output `y`: largest error ") && message.contains("0.0001 allowed"), "{message}");
}

#[test]
fn another_shape_or_type_inside_the_same_interface_is_found() {
    let loose = "g (float[2] x) => (y) { y = Neg(x) }";
    let shape = "g (float[2] x) => (y) <int64[1] a = {0}> { t = Neg(x)  y = Unsqueeze(t, a) }";
    assert!(check(loose, shape).unwrap_err().to_string().starts_with("output `y`: float[1,2] instead of float[2]"));
    let ty = "g (float[2] x) => (y) { t = Neg(x)  y = Cast <to = 11> (t) }";
    assert!(check(loose, ty).unwrap_err().to_string().starts_with("output `y`: double[2] instead of float[2]"));
}

#[test]
fn what_has_no_number_must_have_none_in_the_same_places() {
    // Of a normal number or its negative, one logarithm is none.
    let log = "g (float[8] x) => (y) { y = Log(x) }";
    assert_eq!(check(log, log).unwrap().max_error, Some(0.0));
    let error = check(log, "g (float[8] x) => (y) { n = Neg(x)  y = Log(n) }").unwrap_err();
    assert!(matches!(error, CheckError::Different { ref difference, .. } if difference.mismatch.is_some()), "{error}");
}

#[test]
fn a_lossy_result_is_held_to_its_witness_and_its_loss_is_told() {
    let original = model("g (float[4] x) => (float[4] y) <float[4] w = {1, 2, 3, 4}> { y = Mul(x, w) }");
    let witness = model("g (float[4] x) => (float[4] y) <float[4] w = {0, 2, 3, 4}> { y = Mul(x, w) }");
    let result = "g (float[4] x) => (float[4] y) <int64[1] one = {1}, int64[1] four = {4}, float[3] w = {2, 3, 4}, float[1] zero = {0}> {
        t = Slice(x, one, four)  m = Mul(t, w)  y = Concat <axis = 0> (zero, m)
    }";
    let request = CheckRequest::default();
    let report = check_models(&original, &model(result), Some(&witness), &request).unwrap();
    assert!(report.witness_error.unwrap() < 1e-6);
    assert!(report.max_error.unwrap() > 0.01 && report.snr_db.unwrap() < 60.0);
    let wrong = model(&result.replace("float[3] w = {2, 3, 4}", "float[3] w = {2, 3, 5}"));
    let error = check_models(&original, &wrong, Some(&witness), &request).unwrap_err();
    assert!(error.to_string().starts_with("to the witness, output `y`: largest error"), "{error}");
}

#[test]
fn outputs_of_chance_are_compared_by_shape_only() {
    let noise = "g (float[2] x) => (y, z) { n = RandomNormalLike(x)  y = Add(x, n)  z = Neg(x) }";
    let report = check(noise, noise).unwrap();
    assert_eq!(report.outputs.iter().map(|output| output.random).collect::<Vec<_>>(), [true, false]);
    let notice = "outputs that depend on chance were compared by type and shape only: `y`";
    assert_eq!(report.notices, [notice]);
    let other = noise.replace("Neg(x)", "Abs(x)");
    assert!(check(noise, &other).unwrap_err().to_string().starts_with("output `z`"));
}

#[test]
fn what_nobody_can_run_is_checked_by_structure_unless_the_request_is_strict() {
    let magic =
        "<ir_version: 8, opset_import: [\"\" : 17, \"mine\" : 1]> g (float[1] x) => (float[1] y) { y = mine.Magic(x) }";
    let report = check(magic, magic).unwrap();
    assert_eq!((report.done, report.runner), (Done::Structure, None));
    assert!(report.notices[0].starts_with("only the structure was checked: "), "{:?}", report.notices);
    let strict = CheckRequest { mode: Mode::Strict, ..CheckRequest::default() };
    let error = check_models(&model(magic), &model(magic), None, &strict).unwrap_err();
    assert!(matches!(error, CheckError::CannotRun(_)) && !error.is_defect());
}

#[test]
fn a_result_that_does_not_run_where_the_original_does_is_a_defect() {
    let original = "g (float[2] x) => (y) { y = Neg(x) }";
    let broken = "g (float[2] x) => (y) <int64[1] s = {3}> { y = Reshape(x, s) }";
    let error = check(original, broken).unwrap_err();
    assert!(matches!(error, CheckError::Result(_)) && error.is_defect(), "{error}");
}

#[test]
fn less_can_be_asked_for() {
    let other = LINEAR.replace("{3, 4}", "{3, 5}");
    let with =
        |mode| check_models(&model(LINEAR), &model(&other), None, &CheckRequest { mode, ..CheckRequest::default() });
    assert_eq!(with(Mode::Off).unwrap().done, Done::Nothing);
    assert_eq!(with(Mode::Structure).unwrap().done, Done::Structure);
    let renamed = model(&LINEAR.replace("float[N,2] x", "float[N,2] input").replace("(x, w)", "(input, w)"));
    let error = check_models(&model(LINEAR), &renamed, None, &CheckRequest::default()).unwrap_err();
    assert_eq!(error.to_string(), "the result has another interface: input 0 is `input` instead of `x`");
}

#[test]
fn inputs_of_the_user_are_used_as_they_are() {
    // The two differ only below zero.
    let (original, result) = ("g (float[2] x) => (y) { y = Abs(x) }", "g (float[2] x) => (y) { y = Relu(x) }");
    let given = |values: Vec<f32>| CheckRequest {
        inputs: vec![vec![Some(Value::Tensor(Tensor::vector(values)))]],
        ..CheckRequest::default()
    };
    let above = check_models(&model(original), &model(result), None, &given(vec![1.0, 2.0])).unwrap();
    assert_eq!((above.inputs, above.max_error), (1, Some(0.0)));
    assert!(check_models(&model(original), &model(result), None, &given(vec![-1.0, 2.0])).is_err());
}

#[test]
fn other_sizes_are_tried_where_the_first_do_not_run() {
    // A row of one element has no second one, which only the run can tell.
    let text = "g (float[N,T] x) => (y) <int64[1] second = {1}> { y = Gather <axis = 1> (x, second) }";
    assert_eq!(check(text, text).unwrap().done, Done::Numeric);
}

#[test]
fn who_is_asked_for_is_the_one_who_runs() {
    for kind in [
        RunnerKind::Interpreter,
        #[cfg(feature = "tract")]
        RunnerKind::Tract,
    ] {
        let runner = RunnerChoice { kind, ..RunnerChoice::default() };
        let request = CheckRequest { runner, ..CheckRequest::default() };
        let report = check_models(&model(LINEAR), &model(LINEAR), None, &request).unwrap();
        assert_eq!(report.runner, Some(kind.name()));
    }
}

#[test]
fn rounding_is_no_error_where_the_model_makes_much_of_it() {
    let text = "g (float[64] x) => (float[64] y) <float[64] a = normal(seed=1), float up = {10000.3}, float down = {10000.3}> {
        p = Mul(x, a)
        t = Add(p, up)
        y = Sub(t, down)
    }";
    let direct = "g (float[64] x) => (float[64] y) <float[64] a = normal(seed=1)> { y = Mul(x, a) }";
    let report = check(text, direct).unwrap();
    assert!(report.max_error.unwrap() > 1e-4, "{report:?}");
    assert!(report.notices.iter().any(|notice| notice.contains("which is rounding")), "{:?}", report.notices);
    // The same distance is an error where nothing loses so many places, or where it is more than rounding does.
    let shifted = "g (float[64] x) => (float[64] y) <float[64] a = normal(seed=1), float off = {0.001}> { p = Mul(x, a)  y = Add(p, off) }";
    assert!(check(direct, shifted).unwrap_err().is_defect());
    let far = shifted.replace("0.001", "0.1");
    assert!(check(text, &far).unwrap_err().is_defect());
}
