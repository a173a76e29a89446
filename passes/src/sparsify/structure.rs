//! Which weights of a matrix go together.
//!
//! Rows are outputs. Columns stand in runs: of a convolution's weights, the input channels at one place of the kernel, so that
//! neighbours in a run are neighbours along the axis that hardware reads. No group and no block reaches over the end of a run.

use rayon::prelude::*;

/// Which weights go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Structure {
    /// Each for itself.
    Single,
    /// Of so many neighbours in a row so many stay; of fewer, at the end of a run, as many at most.
    Neighbours {
        /// How many stay.
        kept: usize,
        /// Of how many.
        of: usize,
    },
    /// Blocks go as a whole.
    Blocks {
        /// Rows of a block.
        outputs: usize,
        /// Its columns.
        inputs: usize,
    },
}

/// Among which weights the least are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Among {
    /// The whole matrix.
    All,
    /// Each row for itself.
    Rows,
}

impl Structure {
    /// Which weights of a matrix go: of `scores`, row by row, the least. `run` is how many columns a run has, `share` the share that
    /// goes; neighbours have none, the pattern says it all.
    pub(super) fn choose(self, scores: &[f64], columns: usize, run: usize, share: f64, among: Among) -> Vec<bool> {
        let rows = scores.len() / columns.max(1);
        match self {
            Self::Neighbours { kept, of } => {
                let mut gone = vec![false; scores.len()];
                for (gone, scores) in gone.chunks_mut(columns.max(1)).zip(scores.chunks(columns.max(1))) {
                    for (gone, scores) in gone.chunks_mut(run.max(1)).zip(scores.chunks(run.max(1))) {
                        for (gone, scores) in gone.chunks_mut(of).zip(scores.chunks(of)) {
                            least(scores, scores.len().saturating_sub(kept)).for_each(|at| gone[at] = true);
                        }
                    }
                }
                gone
            }
            Self::Single if among == Among::Rows => {
                let rows = scores.par_chunks(columns.max(1));
                let of_row = |scores: &[f64]| marked(scores, count(share, scores.len()));
                rows.flat_map_iter(of_row).collect()
            }
            Self::Single => marked(scores, count(share, scores.len())),
            Self::Blocks { outputs, inputs } => {
                // Blocks that stand at an edge are smaller: their mean counts.
                let mut blocks: Vec<Vec<usize>> = Vec::new();
                for top in (0..rows).step_by(outputs) {
                    for from in (0..columns).step_by(run.max(1)) {
                        let end = (from + run).min(columns);
                        for left in (from..end).step_by(inputs) {
                            let places = (top..(top + outputs).min(rows)).flat_map(|row| {
                                (left..(left + inputs).min(end)).map(move |column| row * columns + column)
                            });
                            blocks.push(places.collect());
                        }
                    }
                }
                let means: Vec<f64> = blocks
                    .iter()
                    .map(|block| block.iter().map(|&at| scores[at]).sum::<f64>() / block.len().max(1) as f64)
                    .collect();
                let mut order: Vec<usize> = (0..blocks.len()).collect();
                order.sort_by(|&a, &b| means[a].total_cmp(&means[b]).then(a.cmp(&b)));
                let (mut gone, mut left) = (vec![false; scores.len()], count(share, scores.len()));
                for block in order {
                    // The block that is nearest to the share is the last.
                    if 2 * left < blocks[block].len().max(1) {
                        break;
                    }
                    left = left.saturating_sub(blocks[block].len());
                    blocks[block].iter().for_each(|&at| gone[at] = true);
                }
                gone
            }
        }
    }
}

/// A share of so many.
fn count(share: f64, of: usize) -> usize {
    ((share * of as f64).round() as usize).min(of)
}

/// Which are among the `count` least.
fn marked(scores: &[f64], count: usize) -> Vec<bool> {
    let mut gone = vec![false; scores.len()];
    least(scores, count).for_each(|at| gone[at] = true);
    gone
}

/// The places of the `count` least scores; of equal ones the first.
fn least(scores: &[f64], count: usize) -> impl Iterator<Item = usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    if 0 < count && count < order.len() {
        order.select_nth_unstable_by(count - 1, |&a, &b| scores[a].total_cmp(&scores[b]).then(a.cmp(&b)));
    }
    order.truncate(count);
    order.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(gone: &[bool], columns: usize) -> String {
        let row = |row: &[bool]| row.iter().map(|gone| if *gone { '.' } else { '#' }).collect::<String>();
        gone.chunks(columns).map(row).collect::<Vec<_>>().join("\n")
    }

    fn scores() -> Vec<f64> {
        (0..4 * 10).map(|at| f64::from((at * 17 + 5) % 41)).collect()
    }

    #[test]
    fn the_least_go() {
        insta::assert_snapshot!(drawn(&Structure::Single.choose(&scores(), 10, 10, 0.5, Among::All), 10), @r"
        .##.#.#..#
        .#.##.#.#.
        .#.#.##.#.
        ##.#.#..#.
        ");
        insta::assert_snapshot!(drawn(&Structure::Single.choose(&scores(), 10, 10, 0.3, Among::Rows), 10), @r"
        .####.#.##
        ##.####.#.
        ##.#.####.
        ####.#.##.
        ");
    }

    #[test]
    fn neighbours_stay_by_the_pattern_and_runs_end_groups() {
        let two = Structure::Neighbours { kept: 2, of: 4 };
        insta::assert_snapshot!(drawn(&two.choose(&scores(), 10, 10, 0.0, Among::All), 10), @r"
        .##.#.#.##
        .#.##.#.##
        .#.#.##.##
        .#.#.#.###
        ");
        insta::assert_snapshot!(drawn(&two.choose(&scores(), 10, 5, 0.0, Among::All), 10), @r"
        .##.#.#.##
        .#.##.#.##
        .#.##.#.##
        .#.###..##
        ");
    }

    #[test]
    fn blocks_go_as_a_whole() {
        let blocks = Structure::Blocks { outputs: 2, inputs: 3 };
        insta::assert_snapshot!(drawn(&blocks.choose(&scores(), 10, 5, 0.5, Among::All), 10), @r"
        ...##.....
        ...##.....
        ###..#####
        ###..#####
        ");
    }

    #[test]
    fn shares_are_met_and_equal_scores_are_no_trouble() {
        for share in [0.0, 0.25, 0.5, 0.99] {
            let gone = Structure::Single.choose(&[1.0; 200], 20, 20, share, Among::All);
            assert_eq!(gone.iter().filter(|gone| **gone).count(), (share * 200.0).round() as usize);
        }
        assert!(Structure::Single.choose(&[], 0, 0, 0.5, Among::Rows).is_empty());
    }
}
