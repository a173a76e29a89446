//! Weights chosen to go one column after the other, each removal made up for by the columns behind it.
//!
//! The optimal brain surgeon (Hassibi and Stork 1993) removes the weight of a row w whose loss `w_j² / [H⁻¹]_jj` is least and changes the
//! others by `- w_j [H⁻¹]_j / [H⁻¹]_jj`. With one order of columns for all rows, the inverses of what is left of H are the rows of one
//! Cholesky factor of `H⁻¹` (SparseGPT: Frantar and Alistarh 2023), so a whole matrix costs little more than a product. Which weights
//! go is decided for some columns at a time, by their values as repaired so far.

use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::linalg::solvers::DenseSolveCore;
use faer::{Accum, Mat, MatMut, MatRef, Side};
use rayon::prelude::*;

use super::structure::{Among, Structure};

/// Columns that are decided on together, about.
const TOGETHER: usize = 128;

/// The lower Cholesky factor of the inverse of a metric; `None` where the metric is degenerate.
pub(super) fn root_of_inverse(metric: &Mat<f64>) -> Option<Mat<f64>> {
    let inverse = metric.llt(Side::Lower).ok()?.inverse();
    let root = inverse.llt(Side::Lower).ok()?.L().to_owned();
    let finite = (0..root.ncols()).all(|column| root.col(column).iter().all(|value| value.is_finite()));
    finite.then_some(root)
}

/// The diagonal of the inverse, from its root.
pub(super) fn diagonal(root: &Mat<f64>) -> Vec<f64> {
    (0..root.nrows()).map(|row| (0..=row).map(|column| root[(row, column)].powi(2)).sum()).collect()
}

/// Columns in pieces that are decided on together: no group or block of neighbours is cut, and a piece has whole runs or lies in one.
/// Answers the pieces and the length of a run in them.
fn pieces(columns: usize, run: usize, unit: usize) -> (Vec<Range<usize>>, usize) {
    let run = run.clamp(1, columns.max(1));
    let cut = |range: Range<usize>, step: usize| {
        range.clone().step_by(step).map(move |start| start..(start + step).min(range.end)).collect::<Vec<_>>()
    };
    if run < TOGETHER {
        return (cut(0..columns, TOGETHER / run * run), run);
    }
    let step = (TOGETHER / unit.max(1)).max(1) * unit.max(1);
    ((0..columns).step_by(run).flat_map(|start| cut(start..(start + run).min(columns), step)).collect(), step)
}

/// Removes weights of a matrix, row by row in `weights`, and lets those that stay make up for them. `root` is
/// [that of the inverse](root_of_inverse) of the metric, columns in the same order; `run` how many columns are neighbours; `gone`
/// says which went before, and after which are gone.
pub(super) fn remove(
    weights: &mut [f64],
    gone: &mut [bool],
    root: &Mat<f64>,
    structure: Structure,
    run: usize,
    share: f64,
) {
    let columns = root.nrows();
    let rows = weights.len() / columns.max(1);
    let unit = match structure {
        Structure::Single => 1,
        Structure::Neighbours { of, .. } => of,
        Structure::Blocks { inputs, .. } => inputs,
    };
    let (pieces, run) = pieces(columns, if structure == Structure::Single { columns } else { run }, unit);
    for piece in pieces {
        let width = piece.len();
        let score = |row: usize, column: usize| {
            let at = row * columns + column;
            // What is gone stays gone, whatever repairs have made of it.
            if gone[at] { f64::NEG_INFINITY } else { (weights[at] / root[(column, column)]).powi(2) }
        };
        let scores: Vec<f64> = (0..rows)
            .flat_map(|row| piece.clone().map(move |column| (row, column)))
            .map(|(r, c)| score(r, c))
            .collect();
        let decided = structure.choose(&scores, width, run, share, Among::All);
        let mut errors = vec![0.0; rows * width];
        let by_row = weights.par_chunks_mut(columns).zip(gone.par_chunks_mut(columns));
        by_row.zip(errors.par_chunks_mut(width)).zip(decided.par_chunks(width)).for_each(
            |(((row, gone), errors), decided)| {
                let mut here = decided.to_vec();
                for (place, column) in piece.clone().enumerate() {
                    // Groups of neighbours are decided on when they are reached, by what repairs have made of them.
                    if let Structure::Neighbours { of, .. } = structure
                        && (place % run).is_multiple_of(of)
                    {
                        let end = (place + of).min(width).min(place - place % run + run);
                        let now: Vec<f64> = (place..end)
                            .map(|at| (row[piece.start + at] / root[(piece.start + at, piece.start + at)]).powi(2))
                            .collect();
                        here[place..end].copy_from_slice(&structure.choose(
                            &now,
                            now.len(),
                            now.len(),
                            share,
                            Among::All,
                        ));
                    }
                    if here[place] {
                        let error = row[column] / root[(column, column)];
                        row[column] = 0.0;
                        errors[place] = error;
                        let behind = &root.col_as_slice(column)[column + 1..piece.end];
                        row[column + 1..piece.end].iter_mut().zip(behind).for_each(|(w, factor)| *w -= error * factor);
                    }
                    gone[column] = here[place];
                }
            },
        );
        let rest = columns - piece.end;
        if rest > 0 {
            let all = MatMut::from_row_major_slice_mut(weights, rows, columns);
            let behind = root.get(piece.end.., piece.clone());
            let errors = MatRef::from_row_major_slice(&errors, rows, width);
            let par = faer::get_global_parallelism();
            matmul(all.subcols_mut(piece.end, rest), Accum::Add, errors, behind.transpose(), -1.0, par);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn numbers(rows: usize, columns: usize, salt: usize) -> Mat<f64> {
        Mat::from_fn(rows, columns, |i, j| (((i * 31 + j * 17 + i * j * 7 + salt * 13) % 29) as f64 - 14.0) / 9.0)
    }

    fn metric(columns: usize) -> Mat<f64> {
        let samples = numbers(columns, 3 * columns, 3);
        let mut metric = &samples * samples.transpose();
        (0..columns).for_each(|at| metric[(at, at)] += 1.0);
        metric
    }

    fn flat(matrix: &Mat<f64>) -> Vec<f64> {
        (0..matrix.nrows()).flat_map(|i| (0..matrix.ncols()).map(move |j| matrix[(i, j)])).collect()
    }

    /// What the outputs are off, in the metric.
    pub(in super::super) fn off(a: &[f64], b: &[f64], metric: &Mat<f64>) -> f64 {
        let columns = metric.nrows();
        let rows = a.chunks(columns).zip(b.chunks(columns));
        rows.map(|(a, b)| {
            let d: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
            (0..columns).map(|i| (0..columns).map(|j| d[i] * metric[(i, j)] * d[j]).sum::<f64>()).sum::<f64>()
        })
        .sum()
    }

    #[test]
    fn what_stays_makes_up_for_what_goes() {
        // More columns than are decided on together.
        for (columns, most) in [(6, 1.0), (300, 0.6)] {
            let (weight, metric) = (flat(&numbers(5, columns, 1)), metric(columns));
            let root = root_of_inverse(&metric).unwrap();
            let (mut repaired, mut gone) = (weight.clone(), vec![false; weight.len()]);
            remove(&mut repaired, &mut gone, &root, Structure::Single, columns, 0.5);
            let masked: Vec<f64> = weight.iter().zip(&gone).map(|(w, gone)| if *gone { 0.0 } else { *w }).collect();
            let share = gone.iter().filter(|gone| **gone).count() as f64 / gone.len() as f64;
            assert!((share - 0.5).abs() < 0.02, "{share}");
            assert!(repaired.iter().zip(&gone).all(|(w, gone)| !gone || *w == 0.0));
            let (with, without) = (off(&repaired, &weight, &metric), off(&masked, &weight, &metric));
            assert!(with < most * without, "{columns}: {with} {without}");
        }
    }

    #[test]
    fn the_last_column_goes_at_its_own_price() {
        let metric = metric(4);
        let root = root_of_inverse(&metric).unwrap();
        let inverse = metric.llt(Side::Lower).unwrap().inverse();
        for (at, value) in diagonal(&root).into_iter().enumerate() {
            assert!((value - inverse[(at, at)]).abs() < 1e-9 * inverse[(at, at)]);
        }
        // Of [0, 0, 0, w] nothing can make up for w in columns before it: the loss is w² / [H⁻¹ of the last alone].
        let (mut weight, mut gone) = (vec![0.0, 0.0, 0.0, 2.0], vec![false; 4]);
        remove(&mut weight, &mut gone, &root, Structure::Neighbours { kept: 1, of: 4 }, 4, 0.0);
        assert_eq!(weight, [0.0, 0.0, 0.0, 2.0]);
        assert_eq!(gone, [true, true, true, false]);
    }

    #[test]
    fn pieces_cut_no_group() {
        let lengths = |columns, run, unit| {
            let (pieces, run) = pieces(columns, run, unit);
            (pieces.into_iter().map(|piece| piece.len()).collect::<Vec<_>>(), run)
        };
        assert_eq!(lengths(300, 300, 1), (vec![128, 128, 44], 128));
        assert_eq!(lengths(300, 300, 12), (vec![120, 120, 60], 120));
        assert_eq!(lengths(90, 10, 4), (vec![90], 10));
        assert_eq!(lengths(300, 50, 4), (vec![100, 100, 100], 50));
        assert_eq!(lengths(300, 150, 4), (vec![128, 22, 128, 22], 128));
    }
}
