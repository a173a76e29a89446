//! `RegexFullMatch`: whether a pattern matches the whole of each string.
//!
//! The standard asks for the syntax of RE2, which the `regex` crate shares but for details.
//!
//! Source: ONNX operator specification, `RegexFullMatch`, opset 20.

use onnxpress_ir::{DType, Tensor};

use super::{sheet, texts};
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::infer::{InferCx, Undecided};
use crate::operator::Operator;

pub(crate) static REGEX_FULL_MATCH: Operator = sheet("RegexFullMatch", Axes::Spec("s.. -> s.."), infer, evaluate);

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    cx.set_tensor(0, DType::Bool, cx.shape(0).cloned());
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let pattern = cx.attrs().string("pattern")?.ok_or_else(|| EvalError::invalid("no attribute `pattern`"))?;
    let whole = regex::Regex::new(&format!(r"\A(?:{pattern})\z"))
        .map_err(|error| EvalError::invalid(format!("`pattern`: {error}")))?;
    let matches: Vec<bool> = texts(x)?.into_iter().map(|text| whole.is_match(text)).collect();
    Ok(vec![Tensor::from_values(x.dims(), matches)?.into()])
}
