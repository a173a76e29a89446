#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::operator::Linear;
use crate::table;
use crate::testing::{OneNode, op};

/// The output computed as weight times rows, group by group, beside the output of the kernel; and the rows of group 0.
fn by_rows(
    node: &OneNode,
    x: &[f32],
    dims: &[usize],
    weight: &[f32],
    shape: &[usize],
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let (graph, id) = node.build();
    let cx = NodeCx::new(&graph, id).unwrap();
    let Linear::Layers(layers) = table::of(cx.node).unwrap().linear else { panic!("no layers") };
    let layer = layers(&cx).into_iter().find(|layer| cx.constant(layer.weight).unwrap().dims() == shape).unwrap();
    let rows = LayerRows::of(&cx, &layer).unwrap();
    let input = rows.over(dims).unwrap();
    let which: Vec<usize> = (0..input.count()).collect();
    let y = node.tensor();
    let (mut ours, mut theirs, mut first) = (Vec::new(), Vec::new(), Vec::new());
    for group in 0..rows.groups() {
        let mut read = Vec::new();
        input.read(x, group, &which, &mut read).unwrap();
        rows.read_results(&y.to_f32s().unwrap(), y.dims(), group, &which, &mut theirs).unwrap();
        let outputs_first = layer.output_axes[0] < layer.input_axes[0];
        for row in read.chunks(rows.columns()) {
            for output in 0..rows.outputs() {
                let at = |column: usize| match outputs_first {
                    true => (group * rows.outputs() + output) * rows.columns() + column,
                    false => column * rows.outputs() + output,
                };
                ours.push((0..rows.columns()).map(|column| row[column] * weight[at(column)]).sum::<f32>());
            }
        }
        if group == 0 {
            first = read;
        }
    }
    (ours, theirs, first)
}

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|index| ((index * 7 + 3) % 11) as f32 - 5.0).collect()
}

#[test]
fn windows_of_a_convolution() {
    let (x, w) = (numbers(2 * 4 * 5 * 4), numbers(6 * 2 * 3 * 2));
    let conv =
        op("Conv").int("group", 2).ints("pads", &[1, 0, 2, 1]).ints("strides", &[2, 1]).ints("dilations", &[1, 2]);
    let (ours, theirs, _) =
        by_rows(&conv.floats(&[2, 4, 5, 4], &x).floats(&[6, 2, 3, 2], &w), &x, &[2, 4, 5, 4], &w, &[6, 2, 3, 2]);
    assert_eq!(ours, theirs);
}

#[test]
fn vectors_along_an_axis() {
    let (x, w) = (numbers(2 * 3 * 4), numbers(4 * 5));
    let (ours, theirs, first) =
        by_rows(&op("MatMul").floats(&[2, 3, 4], &x).floats(&[4, 5], &w), &x, &[2, 3, 4], &w, &[4, 5]);
    assert_eq!(ours, theirs);
    assert_eq!(first, x, "rows along the last axis are as they stand");

    let left = op("MatMul").floats(&[5, 4], &w).floats(&[2, 4, 3], &x);
    let (ours, theirs, first) = by_rows(&left, &x, &[2, 4, 3], &w, &[5, 4]);
    assert_eq!(ours, theirs);
    assert_eq!(first[..4], [x[0], x[3], x[6], x[9]], "a row is a column of the right operand");
}

#[test]
fn operands_that_stand_transposed() {
    let (x, w) = (numbers(4 * 3), numbers(5 * 4));
    let gemm = op("Gemm").int("transA", 1).int("transB", 1).floats(&[4, 3], &x).floats(&[5, 4], &w);
    let (ours, theirs, _) = by_rows(&gemm, &x, &[4, 3], &w, &[5, 4]);
    assert_eq!(ours, theirs);
    let einsum = op("Einsum").string("equation", "bij,jo->bio").floats(&[1, 3, 4], &x).floats(&[4, 5], &w);
    let (ours, theirs, _) = by_rows(&einsum, &x, &[1, 3, 4], &w, &[4, 5]);
    assert_eq!(ours, theirs);
}

#[test]
fn what_does_not_fit_is_an_error() {
    let (graph, id) = op("Conv").input("float[1,3,9,9]").input("float[8,3,3,3]").build();
    let cx = NodeCx::new(&graph, id).unwrap();
    let layer = convolution::layers(&cx, 0, 1, 2).remove(0);
    let rows = LayerRows::of(&cx, &layer).unwrap();
    assert_eq!((rows.groups(), rows.columns(), rows.outputs()), (1, 27, 8));
    assert!(rows.over(&[1, 4, 9, 9]).is_err());
    assert!(rows.over(&[1, 3, 9]).is_err());
    let input = rows.over(&[1, 3, 9, 9]).unwrap();
    assert_eq!(input.count(), 49);
    assert!(input.read(&[0.0; 243], 0, &[49], &mut Vec::new()).is_err());
    assert!(input.read(&[0.0; 242], 0, &[0], &mut Vec::new()).is_err());

    let (graph, id) = op("Conv").input("float[1,3,9,9]").input("float[o,3,3,3]").build();
    let cx = NodeCx::new(&graph, id).unwrap();
    let layer = convolution::layers(&cx, 0, 1, 2).remove(0);
    assert_eq!(LayerRows::of(&cx, &layer).unwrap_err(), "the extents of the weight are not known");
}
