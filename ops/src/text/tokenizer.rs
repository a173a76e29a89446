//! `com.microsoft.Tokenizer`: strings cut into tokens, each row filled up to the longest.
//!
//! The operand is `[c]` or `[n, c]`; a new last axis holds the tokens. A string is cut at separators, one after the other in
//! the order of the list, or into the matches of a pattern, or, with one empty separator, into characters. Pieces shorter
//! than `mincharnum` are dropped, and `mark` puts a token before and after.
//!
//! Source: onnxruntime, "Contrib Operators", `com.microsoft.Tokenizer`, version 1.

use bytes::Bytes;
use onnxpress_ir::{DType, Dim, Shape, Tensor};

use super::texts;
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static TOKENIZER: Operator = Operator {
    domain: "com.microsoft",
    name: "Tokenizer",
    infer: Infer::With(infer),
    axes: Axes::Spec("s.. -> s.. _"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("its operands are strings"),
    quantize: Quantize::KeepsFloat("its operands are strings"),
    cost: Cost::None("its operands are strings"),
    effects: Effects::Pure,
    gradient: Gradient::Zero("its operands are strings"),
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let shape = cx.shape(0).map(|shape| shape.iter().cloned().chain([Dim::unknown()]).collect::<Shape>());
    cx.set_tensor(0, DType::String, shape);
    Ok(())
}

/// What onnxruntime marks the beginning and the end of a text with.
const MARKS: [&str; 2] = ["\u{2}", "\u{3}"];

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let attrs = cx.attrs();
    let least = usize::try_from(attrs.int_or("mincharnum", 1)?).unwrap_or(0);
    let marks = attrs.flag("mark")?;
    let compiled = |pattern: &str| {
        regex::Regex::new(pattern).map_err(|error| EvalError::invalid(format!("`{pattern}` is no pattern: {error}")))
    };
    let separators = attrs.strings("separators")?.unwrap_or_default();
    let by_character = separators.len() == 1 && separators[0].is_empty();
    let patterns = separators.iter().map(|pattern| compiled(&String::from_utf8_lossy(pattern)));
    let patterns = patterns.collect::<Result<Vec<_>, _>>()?;
    let expression = attrs.string("tokenexp")?.map(|pattern| compiled(&pattern)).transpose()?;
    let tokens_of = |text: &str| -> Vec<String> {
        let mut tokens: Vec<String> = if by_character {
            text.chars().map(String::from).collect()
        } else if let Some(expression) = &expression {
            expression.find_iter(text).map(|found| found.as_str().to_owned()).collect()
        } else {
            let whole = vec![text.to_owned()];
            patterns.iter().fold(whole, |pieces, pattern| {
                pieces.iter().flat_map(|piece| pattern.split(piece).map(str::to_owned).collect::<Vec<_>>()).collect()
            })
        };
        tokens.retain(|token| !token.is_empty() && token.chars().count() >= least);
        if marks {
            tokens.insert(0, MARKS[0].to_owned());
            tokens.push(MARKS[1].to_owned());
        }
        tokens
    };
    let tokens: Vec<Vec<String>> = texts(x)?.into_iter().map(tokens_of).collect();
    let longest = tokens.iter().map(Vec::len).max().unwrap_or(0);
    let padding = Bytes::from(attrs.string_or("pad_value", "".into())?.into_owned());
    let mut dims = x.dims().to_vec();
    dims.push(longest);
    let mut padded = Vec::with_capacity(cx.room_for(&dims)?);
    for tokens in tokens {
        let missing = longest - tokens.len();
        padded.extend(tokens.into_iter().map(Bytes::from));
        padded.extend(std::iter::repeat_n(padding.clone(), missing));
    }
    Ok(vec![Tensor::from_strings(&dims, padded)?.into()])
}
