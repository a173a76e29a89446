//! Whether one model can teach another: both must take and give the same.

use onnxpress_ir::{Dim, Graph, Model};

/// The names of a model's inputs.
fn inputs(graph: &Graph) -> Vec<String> {
    graph.inputs().iter().map(|id| graph.label(id.port(0))).collect()
}

/// Says what differs.
pub(super) fn compare(teacher: &Model, student: &Model) -> Result<(), String> {
    let (theirs, ours) = (&teacher.graph, &student.graph);
    if inputs(theirs) != inputs(ours) {
        return Err(format!("the teacher takes {}, the student {}", listed(theirs), listed(ours)));
    }
    if theirs.outputs().len() != ours.outputs().len() {
        let counts = (theirs.outputs().len(), ours.outputs().len());
        return Err(format!("the teacher gives {} outputs, the student {}", counts.0, counts.1));
    }
    for (&their, &our) in theirs.outputs().iter().zip(ours.outputs()) {
        let (Some(their), Some(value)) = (theirs.operand(their, 0), ours.operand(our, 0)) else { continue };
        let (their, ty) = (theirs.ty(their), ours.ty(value));
        let differ = |(a, b): (&Dim, &Dim)| matches!((a.as_const(), b.as_const()), (Some(a), Some(b)) if a != b);
        let same = match (their.shape(), ty.shape()) {
            (Some(a), Some(b)) => a.len() == b.len() && !a.iter().zip(b.iter()).any(differ),
            _ => true,
        };
        if !same {
            let name = ours.output(our).name.to_str();
            return Err(format!("the teacher gives {their} for `{name}`, the student {ty}"));
        }
    }
    Ok(())
}

fn listed(graph: &Graph) -> String {
    inputs(graph).iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::evidence::testing::typed;

    fn compared(teacher: &str) -> Result<(), String> {
        compare(
            &typed(teacher),
            &typed("g (float[N,2] x) => (float[N,3] y) <float[2,3] w = iota> { y = MatMul(x, w) }"),
        )
    }

    #[test]
    fn only_who_takes_and_gives_the_same_can_teach() {
        let same = "h (float[M,2] x) => (float[M,3] z) <float[2,3] w = splat(1)> { z = MatMul(x, w) }";
        assert_eq!(compared(same), Ok(()));
        let wide = "h (float[M,2] x) => (float[M,4] z) <float[2,4] w = splat(1)> { z = MatMul(x, w) }";
        assert_eq!(compared(wide).unwrap_err(), "the teacher gives float[M,4] for `y`, the student float[N,3]");
        let named = "h (float[M,2] a) => (float[M,3] z) <float[2,3] w = splat(1)> { z = MatMul(a, w) }";
        assert_eq!(compared(named).unwrap_err(), "the teacher takes `a`, the student `x`");
        let more = "h (float[M,2] x) => (z, x) <float[2,3] w = splat(1)> { z = MatMul(x, w) }";
        assert_eq!(compared(more).unwrap_err(), "the teacher gives 2 outputs, the student 1");
    }
}
