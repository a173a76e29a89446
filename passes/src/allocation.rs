//! Allocation: how much is taken from which layer, so that all together save what was asked and lose least.
//!
//! Each layer offers a curve of choices: what it saves, and what it loses, relative to the energy of its output. One Lagrange
//! multiplier over the convex hulls of all curves meets a target (Everett 1963): at a price λ for each unit saved every layer takes the
//! choice with the least `loss - λ · saved`, and the price rises until enough is saved.

/// One choice of a layer: the first is to leave it alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// What it saves, in whatever the target counts.
    pub saved: f64,
    /// What it loses, in what is comparable between layers.
    pub loss: f64,
}

/// Which choice each layer takes, so that together they save at least `target`, or as much as they can. `curves` has a list of choices for each
/// layer, in any order, the one to leave it alone among them.
///
/// A last step takes back what went beyond the target, dearest first, where a cheaper choice of a layer still meets it.
pub fn allocate(curves: &[Vec<Choice>], target: f64) -> Vec<usize> {
    let hulls: Vec<Vec<usize>> = curves.iter().map(|curve| hull(curve)).collect();
    let mut picks: Vec<usize> = vec![0; curves.len()];
    // Steps along all hulls by their price, the cheapest first; along one hull prices rise, so its steps come in order.
    let mut steps: Vec<(f64, usize, usize)> = Vec::new();
    for (layer, hull) in hulls.iter().enumerate() {
        for step in 1..hull.len() {
            let (from, to) = (curves[layer][hull[step - 1]], curves[layer][hull[step]]);
            steps.push(((to.loss - from.loss) / (to.saved - from.saved), layer, step));
        }
    }
    steps.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
    let saved = |picks: &[usize]| -> f64 {
        picks
            .iter()
            .enumerate()
            .map(|(layer, &step)| hulls[layer].get(step).map_or(0.0, |&pick| curves[layer][pick].saved))
            .sum()
    };
    let mut total = saved(&picks);
    for &(_, layer, step) in &steps {
        if total >= target {
            break;
        }
        total += curves[layer][hulls[layer][step]].saved - curves[layer][hulls[layer][step - 1]].saved;
        picks[layer] = step;
    }
    let mut chosen: Vec<usize> =
        picks.iter().enumerate().map(|(layer, &step)| hulls[layer].get(step).copied().unwrap_or(0)).collect();
    // Points off the hull are finer: give back where the target still holds, what loses most first.
    for &(_, layer, _) in steps.iter().rev() {
        let now = curves[layer][chosen[layer]];
        let spare = total - target;
        let better = curves[layer]
            .iter()
            .enumerate()
            .filter(|(_, other)| other.saved >= now.saved - spare && other.loss < now.loss);
        if let Some((pick, other)) = better.min_by(|a, b| a.1.loss.total_cmp(&b.1.loss)) {
            total -= now.saved - other.saved;
            chosen[layer] = pick;
        }
    }
    chosen
}

/// The choices on the lower convex hull of loss over saved, from the least saved to the most.
fn hull(curve: &[Choice]) -> Vec<usize> {
    let mut order: Vec<usize> =
        (0..curve.len()).filter(|&pick| curve[pick].saved.is_finite() && curve[pick].loss.is_finite()).collect();
    order.sort_by(|&a, &b| {
        curve[a].saved.total_cmp(&curve[b].saved).then(curve[a].loss.total_cmp(&curve[b].loss)).then(a.cmp(&b))
    });
    let mut hull: Vec<usize> = Vec::new();
    for pick in order {
        let next = curve[pick];
        if hull.last().is_some_and(|&last| curve[last].saved == next.saved) {
            continue;
        }
        // What saves less and loses as much is no choice.
        while hull.last().is_some_and(|&last| curve[last].loss >= next.loss) {
            hull.pop();
        }
        while let [.., before, last] = hull[..] {
            let price = |from: Choice, to: Choice| (to.loss - from.loss) / (to.saved - from.saved);
            if price(curve[before], curve[last]) < price(curve[last], next) {
                break;
            }
            hull.pop();
        }
        hull.push(pick);
    }
    hull
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(points: &[(f64, f64)]) -> Vec<Choice> {
        points.iter().map(|&(saved, loss)| Choice { saved, loss }).collect()
    }

    #[test]
    fn the_cheapest_layers_give_first() {
        let cheap = curve(&[(0.0, 0.0), (1.0, 0.1), (2.0, 0.2), (3.0, 0.9)]);
        let dear = curve(&[(0.0, 0.0), (1.0, 0.5), (2.0, 2.0)]);
        assert_eq!(allocate(&[cheap.clone(), dear.clone()], 2.0), [2, 0]);
        assert_eq!(allocate(&[cheap.clone(), dear.clone()], 3.0), [2, 1]);
        assert_eq!(allocate(&[cheap.clone(), dear.clone()], 100.0), [3, 2], "all there is");
        assert_eq!(allocate(&[cheap, dear], 0.0), [0, 0]);
    }

    #[test]
    fn what_goes_beyond_is_given_back() {
        // The hull goes from 0 to 10 at once; 6 is off it, and enough.
        let jump = curve(&[(0.0, 0.0), (6.0, 0.7), (10.0, 1.0)]);
        assert_eq!(allocate(&[jump], 5.0), [1]);
    }

    #[test]
    fn it_is_as_good_as_trying_all() {
        let curves: Vec<Vec<Choice>> = (0..4usize)
            .map(|layer| {
                (0..5usize)
                    .map(|k| Choice { saved: k as f64, loss: ((layer * 7 + 3) % 5 + 1) as f64 * (k * k) as f64 })
                    .collect()
            })
            .collect();
        for target in [1.0, 3.0, 7.0, 12.0] {
            let loss = |picks: &[usize]| picks.iter().zip(&curves).map(|(&pick, curve)| curve[pick].loss).sum::<f64>();
            let mut best = f64::INFINITY;
            for code in 0..625usize {
                let picks: Vec<usize> = (0..4u32).map(|layer| code / 5usize.pow(layer) % 5).collect();
                if picks.iter().sum::<usize>() as f64 >= target {
                    best = best.min(loss(&picks));
                }
            }
            let picks = allocate(&curves, target);
            assert!(picks.iter().sum::<usize>() as f64 >= target);
            assert!(loss(&picks) <= best + 1e-9, "{target}: {} {best}", loss(&picks));
        }
    }
}
