//! `NonMaxSuppression`: of boxes that overlap, the one with the highest score.
//!
//! Operands: boxes `[n, b, 4]` (two opposite corners y, x, y, x in any order, or centre and extents x, y, w, h), scores
//! `[n, c, b]`, how many boxes of a class to keep at most, the overlap (intersection over union) above which a box goes, the
//! score that one must exceed. Output: rows batch, class, box.
//!
//! Source: ONNX operator specification, `NonMaxSuppression`, opsets 10 and 11.

use onnxpress_ir::{DType, Dim, Shape, Tensor};

use crate::axes::Axes;
use crate::evaluate::{EvalCx, EvalError, Value};
use crate::gradient::Gradient;
use crate::infer::{InferCx, Undecided};
use crate::operator::{Cost, Effects, Evaluate, Infer, Linear, Operator, Quantize};

pub(crate) static NON_MAX_SUPPRESSION: Operator = Operator {
    domain: "",
    name: "NonMaxSuppression",
    infer: Infer::With(infer),
    axes: Axes::Opaque("its output holds indices"),
    evaluate: Evaluate::With(evaluate),
    linear: Linear::None("compares boxes"),
    quantize: Quantize::KeepsFloat("coordinates need the precision"),
    cost: Cost::None("compares boxes"),
    effects: Effects::Pure,
    gradient: Gradient::Zero("its results are indices"),
};

fn infer(cx: &mut InferCx<'_>) -> Result<(), Undecided> {
    cx.set_tensor(0, DType::Int64, [Dim::unknown(), Dim::from(3)].into_iter().collect::<Shape>());
    Ok(())
}

/// A box by its lowest and highest corner.
#[derive(Clone, Copy)]
struct Corners {
    low: [f64; 2],
    high: [f64; 2],
}

impl Corners {
    fn of(numbers: &[f64], centred: bool) -> Self {
        let [a, b, c, d] = *numbers else { return Self { low: [0.0; 2], high: [0.0; 2] } };
        if centred {
            Self { low: [a - c / 2.0, b - d / 2.0], high: [a + c / 2.0, b + d / 2.0] }
        } else {
            Self { low: [a.min(c), b.min(d)], high: [a.max(c), b.max(d)] }
        }
    }

    fn area(&self) -> f64 {
        (self.high[0] - self.low[0]) * (self.high[1] - self.low[1])
    }

    /// Intersection over union; 0 where either has no area.
    fn overlap(&self, other: &Self) -> f64 {
        let shared =
            |axis: usize| (self.high[axis].min(other.high[axis]) - self.low[axis].max(other.low[axis])).max(0.0);
        let intersection = shared(0) * shared(1);
        let (one, two) = (self.area(), other.area());
        let union = one + two - intersection;
        if intersection <= 0.0 || one <= 0.0 || two <= 0.0 || union <= 0.0 { 0.0 } else { intersection / union }
    }
}

fn evaluate(cx: &EvalCx<'_>) -> Result<Vec<Value>, EvalError> {
    let (boxes, scores) = (cx.tensor(0)?, cx.tensor(1)?);
    let (&[n, b, 4], &[batches, classes, scored]) = (boxes.dims(), scores.dims()) else {
        return Err(EvalError::invalid(format!("boxes {boxes:?} and scores {scores:?}")));
    };
    if (n, b) != (batches, scored) {
        return Err(EvalError::invalid(format!("boxes {boxes:?} and scores {scores:?}")));
    }
    let most = cx.ints(2)?.and_then(|most| most.first().copied()).unwrap_or(0);
    let most = usize::try_from(most).unwrap_or(0);
    let number = |index| -> Result<Option<f32>, EvalError> {
        Ok(cx.optional_tensor(index)?.map(Tensor::to_f32s).transpose()?.and_then(|numbers| numbers.first().copied()))
    };
    let (threshold, floor) = (f64::from(number(3)?.unwrap_or(0.0)), number(4)?);
    let centred = cx.attrs().flag("center_point_box")?;
    let (boxes, scores) = (boxes.to_f64s()?, scores.to_f32s()?);
    let mut rows: Vec<i64> = Vec::new();
    for batch in 0..n {
        let corners: Vec<Corners> =
            boxes[batch * b * 4..][..b * 4].chunks_exact(4).map(|numbers| Corners::of(numbers, centred)).collect();
        for class in 0..classes {
            let scores = &scores[(batch * classes + class) * b..][..b];
            let mut order: Vec<usize> = (0..b).filter(|&at| floor.is_none_or(|floor| scores[at] > floor)).collect();
            // Of equal scores the earlier box is the better one.
            order.sort_by(|&i, &j| scores[j].total_cmp(&scores[i]).then(i.cmp(&j)));
            let mut kept: Vec<usize> = Vec::new();
            for at in order {
                if kept.len() >= most {
                    break;
                }
                cx.spend(1 + kept.len() as u64)?;
                if kept.iter().all(|&other| corners[at].overlap(&corners[other]) <= threshold) {
                    kept.push(at);
                }
            }
            for at in kept {
                rows.extend([batch, class, at].map(|index| i64::try_from(index).unwrap_or(i64::MAX)));
            }
        }
    }
    Ok(vec![Tensor::from_values(&[rows.len() / 3, 3], rows)?.into()])
}

#[cfg(test)]
mod tests {
    use crate::testing::op;

    #[test]
    fn a_box_goes_where_a_better_one_covers_it() {
        let boxes = [0.0, 0.0, 1.0, 1.0, 1.0, 1.1, 0.0, 0.1, 5.0, 5.0, 6.0, 6.0];
        let node = op("NonMaxSuppression").floats(&[1, 3, 4], &boxes).floats(&[1, 1, 3], &[0.8, 0.9, 0.1]);
        let node = node.int64s(&[1], &[3]).floats(&[1], &[0.5]);
        assert_eq!(node.i64s(), [0, 0, 1, 0, 0, 2]);
    }
}
