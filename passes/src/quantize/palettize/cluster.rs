//! k-means on a line.
//!
//! On a line the best clusters are runs, so the best of all can be found: dynamic programming over the last run's begin, which moves
//! monotonically, so that halving finds it in `k n log n` steps (Grønlund et al., "Fast exact k-means, k-medians and Bregman
//! divergence clustering in 1D", 2017). Lloyd's iteration from a start of one's choice is there to compare with it.

use super::cells::Cells;

/// Rounds of Lloyd's iteration at most.
const ROUNDS: usize = 100;

/// The `k` centres, ascending, with the least weighted squared distance; fewer where there are fewer numbers.
pub(super) fn exact(cells: &Cells, k: usize) -> Vec<f64> {
    let n = cells.len();
    let k = k.clamp(1, n.max(1));
    if n == 0 {
        return Vec::new();
    }
    // least[j]: the cost of cells 0..j in as many runs as were counted; begins[r][j]: where the last of r + 1 runs begins.
    let mut least: Vec<f64> = (0..=n).map(|to| cells.spread(0, to)).collect();
    let mut begins: Vec<Vec<u32>> = vec![vec![0; n + 1]];
    for run in 1..k {
        let (mut next, mut begin) = (vec![f64::INFINITY; n + 1], vec![0u32; n + 1]);
        // Ends in (low..=high) have their last run's begin in (from..=to).
        let mut waiting = vec![(run + 1, n, run, n - 1)];
        while let Some((low, high, from, to)) = waiting.pop() {
            if low > high {
                continue;
            }
            let end = low.midpoint(high);
            let (mut best, mut at) = (f64::INFINITY, from);
            let before = least.iter().enumerate().take(to.min(end - 1) + 1).skip(from);
            for (start, least) in before {
                let cost = least + cells.spread(start, end);
                if cost < best {
                    (best, at) = (cost, start);
                }
            }
            (next[end], begin[end]) = (best, at as u32);
            waiting.push((low, end - 1, from, at));
            waiting.push((end + 1, high, at, to));
        }
        least = next;
        begins.push(begin);
    }
    let mut end = n;
    let mut centres = Vec::with_capacity(k);
    for begin in begins.iter().rev() {
        let start = begin[end] as usize;
        centres.extend(cells.mean(start, end));
        end = start;
    }
    centres.reverse();
    centres
}

/// Lloyd's iteration from ascending centres, until nothing moves.
pub(super) fn lloyd(cells: &Cells, mut centres: Vec<f64>) -> Vec<f64> {
    for _ in 0..ROUNDS {
        let mut from = 0;
        let mut moved = Vec::with_capacity(centres.len());
        for (place, &centre) in centres.iter().enumerate() {
            let to = centres.get(place + 1).map_or(cells.len(), |next| cells.from((centre + next) / 2.0));
            // A centre that nothing is near to stays.
            moved.push(cells.mean(from, to).unwrap_or(centre));
            from = to;
        }
        if moved == centres {
            break;
        }
        centres = moved;
    }
    centres
}

/// Centres evenly between the least number and the largest.
pub(super) fn evenly(cells: &Cells, k: usize) -> Vec<f64> {
    let Some(last) = cells.len().checked_sub(1) else { return Vec::new() };
    let (low, high) = (cells.value(0), cells.value(last));
    (0..k).map(|place| low + (high - low) * (place as f64 + 0.5) / k as f64).collect()
}

/// The means of `k` runs of the same weight.
pub(super) fn by_density(cells: &Cells, k: usize) -> Vec<f64> {
    let whole = cells.mass(0, cells.len());
    let mut centres = Vec::new();
    let mut from = 0;
    for run in 1..=k {
        let wanted = whole * run as f64 / k as f64;
        let (mut low, mut high) = (from, cells.len());
        while low < high {
            let middle = low.midpoint(high);
            if cells.mass(0, middle) < wanted * (1.0 - 1e-12) { low = middle + 1 } else { high = middle }
        }
        let to = if run == k { cells.len() } else { low };
        centres.extend(cells.mean(from, to.max(from)));
        from = to.max(from);
    }
    centres
}

/// Centres drawn from the numbers, each by its distance to those before (Arthur and Vassilvitskii, "k-means++: the advantages of careful
/// seeding", 2007); the same for the same numbers.
pub(super) fn plus_plus(cells: &Cells, k: usize) -> Vec<f64> {
    let mut state = 1u64;
    let mut centres: Vec<f64> = Vec::new();
    while centres.len() < k.min(cells.len()) {
        let chance = |cell: usize| {
            let nearest =
                centres.iter().map(|centre| (cells.value(cell) - centre).powi(2)).fold(f64::INFINITY, f64::min);
            cells.mass(cell, cell + 1) * if nearest.is_finite() { nearest } else { 1.0 }
        };
        let chances: Vec<f64> = (0..cells.len()).map(chance).collect();
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut left = chances.iter().sum::<f64>() * ((state >> 11) as f64 / (1u64 << 53) as f64);
        let drawn = chances.iter().position(|chance| {
            left -= chance;
            left < 0.0
        });
        // Where rounding leaves something over, the last that has a chance.
        let Some(drawn) = drawn.or_else(|| chances.iter().rposition(|&chance| chance > 0.0)) else { break };
        centres.push(cells.value(drawn));
    }
    centres.sort_by(f64::total_cmp);
    centres
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Cells {
        let values: Vec<f32> = (0..60u16).map(|at| (f32::from(at * 37 % 61) / 30.0 - 1.0).powi(3)).collect();
        Cells::of(&values, None)
    }

    #[test]
    fn nothing_is_better_than_the_best() {
        let few = Cells::of(&[0.0, 0.1, 1.0, 1.2, 5.0, 5.1, 9.0], Some(&[1.0, 3.0, 1.0, 1.0, 2.0, 2.0, 1.0]));
        for k in 1..=7usize {
            let found = few.lost(&exact(&few, k));
            // All ways to cut seven cells into runs.
            let mut best = f64::INFINITY;
            for cuts in 0..64u32 {
                if cuts.count_ones() as usize != k - 1 {
                    continue;
                }
                let ends = (1..7).filter(|cut| cuts >> (cut - 1) & 1 == 1).chain([7]);
                let (mut from, mut cost) = (0, 0.0);
                for to in ends {
                    cost += few.spread(from, to);
                    from = to;
                }
                best = best.min(cost);
            }
            assert!((found - best).abs() < 1e-9, "{k}: {found} {best}");
        }
        assert_eq!(exact(&few, 99).len(), 7);
    }

    #[test]
    fn lloyd_never_loses_more_than_it_began_with() {
        let cells = example();
        for k in [1, 2, 4, 16] {
            let best = cells.lost(&exact(&cells, k));
            for start in [evenly(&cells, k), by_density(&cells, k), plus_plus(&cells, k)] {
                assert!(start.is_sorted() && start.len() == k, "{start:?}");
                let (before, after) = (cells.lost(&start), cells.lost(&lloyd(&cells, start)));
                assert!(after <= before + 1e-9 && after >= best - 1e-9, "{k}: {before} {after} {best}");
            }
        }
    }
}
