//! `TfIdfVectorizer`: how often the n-grams of a pool occur in each row, perhaps weighted.
//!
//! The operand is `[c]` or `[b, c]`, of words or whole numbers; the output `[outputs]` or `[b, outputs]`, where the attribute
//! `ngram_indexes` says which output an n-gram counts for. With skips an n-gram is also made of items that stand evenly
//! apart. Single items are counted once, whatever the skips.
//!
//! Source: ONNX operator specification, `TfIdfVectorizer`, opset 9.

use std::collections::HashMap;

use onnxpress_ir::{DType, Dim, Shape, Tensor};

use super::sheet;
use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::infer::{InferCx, Undecided};
use crate::node::Attrs;
use crate::operator::Operator;

pub(crate) static TF_IDF_VECTORIZER: Operator =
    sheet("TfIdfVectorizer", Axes::Opaque("its output counts"), infer, evaluate);

/// The extent of the output.
fn outputs(attrs: &Attrs<'_>) -> Result<i64, Undecided> {
    let highest = attrs.ints("ngram_indexes")?.unwrap_or_default().into_iter().max();
    let outputs = highest.filter(|&highest| highest >= 0).and_then(|highest| highest.checked_add(1));
    outputs.ok_or_else(|| Undecided::invalid("`ngram_indexes` is empty or negative"))
}

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    let outputs = Dim::from(outputs(&cx.attrs())?);
    let shape = match cx.shape(0).map(|shape| &shape[..]) {
        None => None,
        Some([] | [_]) => Some(vec![outputs]),
        Some([rows, _]) => Some(vec![rows.clone(), outputs]),
        Some(other) => return Err(Undecided::invalid(format!("items of rank {}, not 1 or 2", other.len()))),
    };
    cx.set_tensor(0, DType::Float, shape.map(Shape::from));
    Ok(())
}

/// An item of a row or of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Item<'a> {
    Number(i64),
    Word(&'a [u8]),
}

/// The lengths of n-grams, and to which output each of the pool counts.
struct Pool<'a> {
    lengths: std::ops::RangeInclusive<usize>,
    outputs: HashMap<&'a [Item<'a>], usize>,
}

impl<'a> Pool<'a> {
    fn of(attrs: &Attrs<'_>, items: &'a [Item<'a>]) -> Result<Self, EvalError> {
        let number = |name: &str| attrs.int(name)?.ok_or_else(|| Undecided::invalid(format!("no attribute `{name}`")));
        let (least, most) = (number("min_gram_length")?, number("max_gram_length")?);
        let (Ok(least), Ok(most)) = (usize::try_from(least), usize::try_from(most)) else {
            return Err(EvalError::invalid(format!("n-grams of {least} to {most} items")));
        };
        if least < 1 || least > most {
            return Err(EvalError::invalid(format!("n-grams of {least} to {most} items")));
        }
        let starts = attrs.ints("ngram_counts")?.unwrap_or_default();
        let indexes = attrs.ints("ngram_indexes")?.unwrap_or_default();
        let mut indexes = indexes.into_iter();
        let mut outputs = HashMap::new();
        for (at, &start) in starts.iter().enumerate() {
            let end = starts.get(at + 1).copied().map_or(Some(items.len()), |end| usize::try_from(end).ok());
            let part = usize::try_from(start).ok().zip(end).and_then(|(start, end)| items.get(start..end));
            let part = part.ok_or_else(|| EvalError::invalid("`ngram_counts` does not fit the pool"))?;
            for gram in part.chunks_exact(at + 1) {
                let index = indexes.next().and_then(|index| usize::try_from(index).ok());
                let index = index.ok_or_else(|| EvalError::invalid("too few `ngram_indexes`"))?;
                if (least..=most).contains(&gram.len()) {
                    outputs.insert(gram, index);
                }
            }
        }
        Ok(Self { lengths: least..=most, outputs })
    }
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let x = cx.tensor(0)?;
    let attrs = cx.attrs();
    let outputs = usize::try_from(outputs(&attrs)?).map_err(|_| EvalError::invalid("too many outputs"))?;
    let (rows, columns, dims) = match *x.dims() {
        [] => (1, 1, vec![outputs]),
        [columns] => (1, columns, vec![outputs]),
        [rows, columns] => (rows, columns, vec![rows, outputs]),
        _ => return Err(EvalError::invalid(format!("items {x:?}"))),
    };
    let words = attrs.strings("pool_strings")?.unwrap_or_default();
    let numbers = attrs.ints("pool_int64s")?.unwrap_or_default();
    let (items, pool): (Vec<Item<'_>>, Vec<Item<'_>>) = match x.strings() {
        Some(strings) => {
            (strings.iter().map(|word| Item::Word(word)).collect(), words.iter().map(|word| Item::Word(word)).collect())
        }
        None => (x.to_i64s()?.into_iter().map(Item::Number).collect(), numbers.into_iter().map(Item::Number).collect()),
    };
    let pool = Pool::of(&attrs, &pool)?;
    let skips = usize::try_from(attrs.int_or("max_skip_count", 0)?).unwrap_or(0).min(columns);
    let mut counts = vec![0u32; cx.room_for(&[rows, outputs])?];
    for row in 0..rows {
        let counts = &mut counts[row * outputs..(row + 1) * outputs];
        let items = &items[row * columns..(row + 1) * columns];
        for distance in 1..=skips + 1 {
            for start in 0..columns {
                let spaced = items[start..].iter().step_by(distance).take(*pool.lengths.end());
                let mut gram: Vec<Item<'_>> = Vec::new();
                for &item in spaced {
                    cx.spend(1)?;
                    gram.push(item);
                    let counted = pool.lengths.contains(&gram.len()) && (gram.len() > 1 || distance == 1);
                    if counted && let Some(count) = pool.outputs.get(gram.as_slice()).and_then(|&at| counts.get_mut(at))
                    {
                        *count += 1;
                    }
                }
            }
        }
    }
    let weights = attrs.floats("weights")?.filter(|weights| !weights.is_empty());
    if weights.as_ref().is_some_and(|weights| weights.len() < outputs) {
        return Err(EvalError::invalid(format!("too few weights for {outputs} outputs")));
    }
    let weight = |at: usize| weights.as_ref().map_or(1.0, |weights| weights[at % outputs]);
    let mode = attrs.string_or("mode", "TF".into())?;
    let value = |(at, &count): (usize, &u32)| match mode.as_ref() {
        "TF" => Ok(count as f32),
        "IDF" => Ok(if count > 0 { weight(at) } else { 0.0 }),
        "TFIDF" => Ok(weight(at) * count as f32),
        other => Err(EvalError::invalid(format!("`mode` is `{other}`"))),
    };
    let values = counts.iter().enumerate().map(value).collect::<Result<Vec<f32>, _>>()?;
    Ok(vec![Tensor::from_values(&dims, values)?.into()])
}

#[cfg(test)]
mod tests {
    use onnxpress_ir::Tensor;

    use crate::testing::op;

    #[test]
    fn pairs_are_also_found_apart() {
        let node = |skips| {
            let node = op("TfIdfVectorizer").string("mode", "TF").int("min_gram_length", 2).int("max_gram_length", 2);
            let node =
                node.int("max_skip_count", skips).ints("ngram_counts", &[0, 1]).ints("ngram_indexes", &[0, 1, 2]);
            let node = node.ints("pool_int64s", &[2, 5, 6, 7, 8]);
            node.constant(Tensor::vector(vec![5i64, 9, 6, 7, 8]))
        };
        assert_eq!(node(0).f32s(), [0.0, 0.0, 1.0]);
        assert_eq!(node(1).f32s(), [0.0, 1.0, 1.0]);
        assert_eq!(node(i64::MAX).infer(), "float[3]");
    }
}
