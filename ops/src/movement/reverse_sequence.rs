//! `ReverseSequence`: along the time axis the first entries in reverse, of each sample of the batch as many as it is long.
//!
//! Source: ONNX operator specification, `ReverseSequence`, opsets 10 to 28 (types widened, meaning unchanged).

use onnxpress_ir::Shape;

use super::Moves;
use crate::axes::Axes;
use crate::evaluate::walk::{Walk, around, strides};
use crate::gradient::Gradient;
use crate::infer::Undecided;
use crate::letters::{Letters, relation};
use crate::node::NodeCx;
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};
use crate::parameters::Parameters;

const MOVES: Moves = Moves { shape, walk };

pub(crate) static REVERSE_SEQUENCE: Operator = Operator {
    domain: "",
    name: "ReverseSequence",
    infer: Infer::With(|cx| MOVES.infer(cx)),
    axes: Axes::With(axes),
    evaluate: Evaluate::With(|cx| MOVES.evaluate(cx)),
    linear: Linear::None("only moves elements"),
    quantize: Quantize::Moves,
    cost: Cost::None("only moves elements"),
    effects: Effects::Pure,
    gradient: Gradient::With(super::gradient::same_again),
};

/// The axes of batch and time: one is 0, the other 1.
fn batch_and_time(p: &dyn Parameters) -> Result<(usize, usize), Undecided> {
    match (p.attrs().int_or("batch_axis", 1)?, p.attrs().int_or("time_axis", 0)?) {
        (1, 0) => Ok((1, 0)),
        (0, 1) => Ok((0, 1)),
        (batch, time) => Err(Undecided::invalid(format!("`batch_axis` is {batch} and `time_axis` {time}"))),
    }
}

fn shape(p: &dyn Parameters) -> Result<Shape, Undecided> {
    batch_and_time(p)?;
    let data = p.extents(0)?;
    if data.rank() < 2 { Err(Undecided::invalid(format!("sequences of shape {data}"))) } else { Ok(data) }
}

fn walk(p: &dyn Parameters, from: &[usize], _: &[usize]) -> Result<Walk, Undecided> {
    let (batch, time) = batch_and_time(p)?;
    let (samples, steps, strides) = (from[batch], from[time], strides(from));
    let lengths = p.numbers(1)?.ok_or_else(|| Undecided::invalid("operand 1 is missing"))?;
    if lengths.len() != samples {
        return Err(Undecided::invalid(format!("{} lengths for {samples} sequences", lengths.len())));
    }
    let mut ends = Vec::with_capacity(samples);
    for length in lengths {
        let end = usize::try_from(length).ok().filter(|&end| end <= steps);
        ends.push(end.ok_or_else(|| Undecided::invalid(format!("a length of {length} in {steps} steps")))?);
    }
    let (outer, second, inner) =
        around(from, 1).ok_or_else(|| Undecided::invalid(format!("extents {from:?} overflow")))?;
    let mut places = Vec::new();
    for a in 0..outer {
        for b in 0..second {
            let (sample, step) = if batch == 0 { (a, b) } else { (b, a) };
            let step = if step < ends[sample] { ends[sample] - 1 - step } else { step };
            let start = sample * strides[batch] + step * strides[time];
            places.extend((start..start + inner).map(Some));
        }
    }
    Ok(Walk::to_places(places))
}

fn axes(cx: &NodeCx<'_>) -> Result<String, String> {
    let (batch, time) = batch_and_time(cx).map_err(|_| "the axes are not known")?;
    let rank = cx.rank(0).filter(|&rank| rank >= 2).ok_or("the rank is not known")?;
    let mut row = Letters::default().row(rank);
    "_".clone_into(&mut row[time]);
    let lengths = vec![row[batch].clone()];
    Ok(relation(&[Some(row.clone()), Some(lengths)], &[Some(row)], ""))
}

#[cfg(test)]
mod tests {
    use crate::testing::{OneNode, op};

    fn reversed(lengths: &[i64]) -> OneNode {
        op("ReverseSequence").int64s(&[3, 2], &[1, 2, 3, 4, 5, 6]).int64s(&[lengths.len()], lengths)
    }

    #[test]
    fn each_sequence_is_reversed_as_far_as_it_goes() {
        assert_eq!(reversed(&[3, 2]).i64s(), [5, 4, 3, 2, 1, 6]);
        let batch_first = reversed(&[2, 0, 1]).int("batch_axis", 0).int("time_axis", 1);
        assert_eq!(batch_first.i64s(), [2, 1, 3, 4, 5, 6]);
        assert_eq!(reversed(&[4, 0]).fault(), "a length of 4 in 3 steps");
        assert_eq!(reversed(&[1]).fault(), "1 lengths for 2 sequences");
        assert_eq!(reversed(&[1, 1]).int("time_axis", 1).fault(), "`batch_axis` is 1 and `time_axis` 1");
    }

    #[test]
    fn samples_keep_their_letter() {
        let node = op("ReverseSequence").input("float[t,N,c]").input("int64[N]");
        assert_eq!(node.infer(), "float[t,N,c]");
        assert_eq!(node.axes(), "_ b c, b -> _ b c");
    }
}
