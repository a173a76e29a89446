//! `StringNormalizer`: strings in one case, without the words of a list.
//!
//! The operand is a row of words, `[c]` or `[1, c]`. Where no word is left, the output has one that is empty. Case is that of
//! Unicode whatever the attribute `locale` says.
//!
//! Source: ONNX operator specification, `StringNormalizer`, opset 10.

use bytes::Bytes;
use onnxpress_ir::{DType, Dim, Shape, Tensor};

use super::{sheet, texts};
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::infer::{InferCx, Undecided};
use crate::operator::Operator;

pub(crate) static STRING_NORMALIZER: Operator =
    sheet("StringNormalizer", Axes::Opaque("words are taken out"), infer, evaluate);

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let removes = cx.attrs().strings("stopwords")?.is_some_and(|words| !words.is_empty());
    let words =
        |extent: &Dim| if removes || extent.is_positive() != Some(true) { Dim::unknown() } else { extent.clone() };
    let shape = match cx.shape(0).map(|shape| &shape[..]) {
        None => None,
        Some([extent]) => Some(Shape::from(vec![words(extent)])),
        Some([one, extent]) => {
            if one.equals(&Dim::from(1)) == Some(false) {
                return Err(Undecided::invalid(format!("{one} rows of words, not one")));
            }
            Some(Shape::from(vec![Dim::from(1), words(extent)]))
        }
        Some(other) => return Err(Undecided::invalid(format!("words of rank {}, not 1 or 2", other.len()))),
    };
    cx.set_tensor(0, DType::String, shape);
    Ok(())
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let attrs = cx.attrs();
    let change = attrs.string_or("case_change_action", "NONE".into())?;
    let exact = attrs.flag("is_case_sensitive")?;
    let compared = |word: &str| if exact { word.to_owned() } else { word.to_lowercase() };
    let stops = attrs.strings("stopwords")?.unwrap_or_default();
    let stops: std::collections::HashSet<String> =
        stops.iter().map(|word| compared(&String::from_utf8_lossy(word))).collect();
    let kept = texts(x)?.into_iter().filter(|word| !stops.contains(&compared(word)));
    let mut words: Vec<Bytes> = kept
        .map(|word| {
            Ok(Bytes::from(match change.as_ref() {
                "NONE" => word.to_owned(),
                "LOWER" => word.to_lowercase(),
                "UPPER" => word.to_uppercase(),
                other => return Err(EvalError::invalid(format!("`case_change_action` is `{other}`"))),
            }))
        })
        .collect::<Result<_, _>>()?;
    if words.is_empty() {
        words.push(Bytes::new());
    }
    let dims = match x.dims() {
        [_] => vec![words.len()],
        [1, _] => vec![1, words.len()],
        other => return Err(EvalError::invalid(format!("words {other:?}, not one row"))),
    };
    Ok(vec![Tensor::from_strings(&dims, words)?.into()])
}

#[cfg(test)]
mod tests {
    use onnxpress_ir::Tensor;

    use crate::testing::op;

    #[test]
    fn where_no_word_is_left_there_is_an_empty_one() {
        let words = || Tensor::from_strings(&[2], vec!["Monday".into(), "tuesday".into()]).expect("two words");
        let node = op("StringNormalizer").strings("stopwords", &["monday"]).string("case_change_action", "UPPER");
        assert_eq!(node.constant(words()).tensor().strings(), Some(&["TUESDAY".into()][..]));
        let node = op("StringNormalizer").strings("stopwords", &["monday", "Tuesday"]).constant(words());
        assert_eq!(node.tensor().strings(), Some(&["".into()][..]));
    }
}
