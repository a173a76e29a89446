//! `StringSplit`: strings cut at a delimiter, and how many pieces each gave.
//!
//! Without a delimiter the cut is at stretches of white space, and there are no empty pieces. Output 0 has a new last axis
//! as long as the most pieces of any string, filled with empty strings; output 1 has the numbers of pieces.
//!
//! Source: ONNX operator specification, `StringSplit`, opset 20.

use bytes::Bytes;
use onnxpress_ir::{DType, Dim, Shape, Tensor};

use super::{sheet, texts};
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::infer::{InferCx, Undecided};
use crate::operator::Operator;

pub(crate) static STRING_SPLIT: Operator = sheet("StringSplit", Axes::Spec("s.. -> s.. _, s.."), infer, evaluate);

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let pieces = cx.shape(0).map(|shape| shape.iter().cloned().chain([Dim::unknown()]).collect::<Shape>());
    cx.set_tensor(0, DType::String, pieces);
    cx.set_tensor(1, DType::Int64, cx.shape(0).cloned());
    Ok(())
}

/// At most `limit` cuts at stretches of white space; the rest stays as it is but for its beginning.
fn words(text: &str, limit: usize) -> Vec<&str> {
    let mut rest = text.trim_start();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let end = if found.len() < limit { rest.find(char::is_whitespace) } else { None };
        let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
        found.push(word);
        rest = after.trim_start();
    }
    found
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let delimiter = cx.attrs().string_or("delimiter", "".into())?;
    let limit = cx.attrs().int("maxsplit")?.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let split = |text| -> Vec<&str> {
        if delimiter.is_empty() {
            words(text, limit)
        } else {
            text.splitn(limit.saturating_add(1), delimiter.as_ref()).collect()
        }
    };
    let pieces: Vec<Vec<&str>> = texts(x)?.into_iter().map(split).collect();
    let most = pieces.iter().map(Vec::len).max().unwrap_or(0);
    let mut dims = x.dims().to_vec();
    dims.push(most);
    let mut padded = Vec::with_capacity(cx.room_for(&dims)?);
    for pieces in &pieces {
        padded.extend(pieces.iter().map(|piece| Bytes::copy_from_slice(piece.as_bytes())));
        padded.extend(std::iter::repeat_n(Bytes::new(), most - pieces.len()));
    }
    let counts = pieces.iter().map(|pieces| i64::try_from(pieces.len()).unwrap_or(i64::MAX)).collect();
    Ok(vec![Tensor::from_strings(&dims, padded)?.into(), Tensor::from_values::<i64>(x.dims(), counts)?.into()])
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn after_the_last_cut_the_rest_stays_whole() {
        assert_eq!(words("  a b  c ", usize::MAX), ["a", "b", "c"]);
        assert_eq!(words("  a  b  c ", 1), ["a", "b  c "]);
        assert!(words("  ", 3).is_empty());
    }
}
