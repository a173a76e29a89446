//! Text: operators on strings.

mod concat;
mod normalizer;
mod regex;
mod split;
mod tfidf;
mod tokenizer;

use onnxpress_ir::Tensor;

use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

/// The data sheets of this family.
pub(crate) const OPERATORS: &[&Operator] = &[
    &concat::STRING_CONCAT,
    &normalizer::STRING_NORMALIZER,
    &regex::REGEX_FULL_MATCH,
    &split::STRING_SPLIT,
    &tfidf::TF_IDF_VECTORIZER,
    &tokenizer::TOKENIZER,
];

/// The sheet of an operator on strings: they differ in axes, types and words only.
const fn sheet(
    name: &'static str,
    axes: Axes,
    infer: fn(&mut InferCx<'_>) -> Result<(), Undecided>,
    evaluate: fn(&EvalCx<'_>) -> Result<Vec<Value>, EvalError>,
) -> Operator {
    Operator {
        domain: "",
        name,
        infer: Infer::With(infer),
        axes,
        evaluate: Evaluate::With(evaluate),
        linear: Linear::None("its operands are strings"),
        quantize: Quantize::KeepsFloat("its operands are strings"),
        cost: Cost::None("its operands are strings"),
        effects: Effects::Pure,
        gradient: Gradient::Zero("its operands are strings"),
    }
}

/// The strings of a tensor as text.
///
/// # Errors
/// Where the tensor holds something else, or bytes that are not UTF-8, which the standard does not allow.
fn texts(tensor: &Tensor) -> Result<Vec<&str>, EvalError> {
    let strings =
        tensor.strings().ok_or_else(|| EvalError::invalid(format!("strings were expected, not {tensor:?}")))?;
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| EvalError::invalid("a string that is not UTF-8"));
    strings.iter().map(|bytes| text(bytes)).collect()
}
