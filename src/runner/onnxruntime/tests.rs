//! Against the library that `ORT_DYLIB_PATH` names; without one there is nothing to test but the message.
#![allow(clippy::unwrap_used)]

use half::{bf16, f16};
use onnxpress_ir::Tensor;
use onnxpress_proto::Bytes;

use super::*;

/// `None` where no library is named.
fn runner() -> Option<Ort> {
    std::env::var_os(LIBRARY)?;
    Some(Ort::new(None).unwrap())
}

fn run(text: &str, inputs: &[Option<Value>]) -> Option<Result<Vec<Value>, RunnerError>> {
    let model = Model::from_text(text).unwrap();
    let runner = runner()?;
    Some(runner.load(&model).and_then(|mut session| session.run(inputs)))
}

fn tensor(tensor: Tensor) -> Option<Value> {
    Some(Value::Tensor(tensor))
}

#[test]
fn a_library_that_is_not_there_is_named() {
    let error = Ort::new(Some(Path::new("/nowhere/libonnxruntime.so"))).unwrap_err();
    assert!(matches!(error, RunnerError::Missing { .. }));
    assert!(error.to_string().starts_with("ort is not to be had: /nowhere/libonnxruntime.so: "), "{error}");
}

#[test]
fn tensors_of_every_kind_go_in_and_come_out() {
    let strings =
        Tensor::from_strings(&[2], vec![Bytes::from_static(b"a"), Bytes::from_static("ü".as_bytes())]).unwrap();
    for (ty, value) in [
        ("float", Tensor::vector(vec![1.5f32, -2.0])),
        ("double", Tensor::vector(vec![1.5f64, -2.0])),
        ("float16", Tensor::vector(vec![f16::from_f32(1.5), f16::NEG_INFINITY])),
        ("bfloat16", Tensor::vector(vec![bf16::from_f32(1.5), bf16::from_f32(3.0)])),
        ("int64", Tensor::vector(vec![i64::MIN, 7])),
        ("uint8", Tensor::vector(vec![0u8, 255])),
        ("bool", Tensor::vector(vec![true, false])),
        ("string", strings),
    ] {
        let text = format!("g ({ty}[2] x) => ({ty}[2] y) {{ y = Identity(x) }}");
        let Some(outputs) = run(&text, &[tensor(value.clone())]) else { return };
        assert_eq!(outputs.unwrap(), [Value::Tensor(value)], "{ty}");
    }
}

#[test]
fn sequences_and_sizes_of_nothing_pass() {
    let text = "g (seq(float[N]) s, int64 at) => (float[M] y, seq(float[K]) t) { y = SequenceAt(s, at)  t = SequenceErase(s, at) }";
    let (a, b) = (Value::Tensor(Tensor::vector(vec![1f32])), Value::Tensor(Tensor::vector(vec![2f32, 3.0])));
    let sequence = Some(Value::Sequence(vec![a.clone(), b.clone()]));
    let Some(outputs) = run(text, &[sequence, tensor(Tensor::scalar(1i64))]) else { return };
    assert_eq!(outputs.unwrap(), [b, Value::Sequence(vec![a])]);
    let empty = Tensor::from_values::<f32>(&[0, 3], vec![]).unwrap();
    let outputs = run("g (float[N,3] x) => (y) { y = Neg(x) }", &[tensor(empty.clone())]).unwrap();
    assert_eq!(outputs.unwrap(), [Value::Tensor(empty)]);
}

#[test]
fn what_it_does_not_know_and_what_fails_are_told_apart() {
    let magic = "<ir_version: 8, opset_import: [\"\" : 17, \"mine\" : 1]> g (float[1] x) => (y) { y = mine.Magic(x) }";
    let one = tensor(Tensor::vector(vec![0f32]));
    let Some(outputs) = run(magic, std::slice::from_ref(&one)) else { return };
    let error = outputs.unwrap_err();
    assert!(error.is_unsupported() && !error.to_string().contains('\n'), "{error}");
    let beyond = "g (float[1] x) => (y) <int64[1] i = {9}> { y = Gather(x, i) }";
    let error = run(beyond, &[one]).unwrap().unwrap_err();
    assert!(matches!(error, RunnerError::Failed { .. }), "{error}");
}

#[test]
fn outputs_that_may_be_absent_are_declined() {
    let text = "g () => (optional(float[2]) y) { y = Optional <type = float[2]> () }";
    let Some(outputs) = run(text, &[]) else { return };
    assert!(outputs.unwrap_err().to_string().ends_with("output `y` may be absent"));
}
