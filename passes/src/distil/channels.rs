//! Which channels of a teacher's value a narrower student kept.
//!
//! A compressor that takes channels away leaves the others in their order. On samples the ones that stayed still go up and down with
//! those that they were, so the pairing is sought that keeps the order and correlates most.

/// What is known of the channels of two values, the second at least as wide.
pub(super) struct Pairing {
    ours: Sums,
    theirs: Sums,
    /// Sums of products, of ours by theirs.
    products: Vec<f64>,
    count: f64,
}

struct Sums {
    sums: Vec<f64>,
    squares: Vec<f64>,
}

/// No more products than this are added up for one batch.
const MOST_PRODUCTS: usize = 1 << 23;

/// The mean correlation from which two values are the same.
const ALIKE: f64 = 0.5;

/// Values as lanes along an axis: `outer` times `channels` times `inner`.
#[derive(Clone, Copy)]
pub(super) struct Lanes<'v> {
    pub(super) values: &'v [f32],
    pub(super) channels: usize,
    pub(super) inner: usize,
}

impl Lanes<'_> {
    fn positions(&self) -> usize {
        self.values.len().checked_div(self.channels).unwrap_or(0)
    }

    fn at(&self, position: usize, channel: usize) -> f64 {
        let (outer, inner) = (position / self.inner, position % self.inner);
        f64::from(self.values[(outer * self.channels + channel) * self.inner + inner])
    }
}

impl Sums {
    fn new(channels: usize) -> Self {
        Self { sums: vec![0.0; channels], squares: vec![0.0; channels] }
    }

    fn add(&mut self, lane: &[f64]) {
        for ((sum, square), x) in self.sums.iter_mut().zip(&mut self.squares).zip(lane) {
            *sum += x;
            *square += x * x;
        }
    }

    fn spread(&self, channel: usize, count: f64) -> f64 {
        (self.squares[channel] - self.sums[channel].powi(2) / count).max(0.0).sqrt()
    }
}

impl Pairing {
    pub(super) fn new(ours: usize, theirs: usize) -> Self {
        Self {
            ours: Sums::new(ours),
            theirs: Sums::new(theirs),
            products: vec![0.0; ours.saturating_mul(theirs)],
            count: 0.0,
        }
    }

    /// Takes in a batch; of a large one, some of the positions.
    pub(super) fn add(&mut self, ours: Lanes<'_>, theirs: Lanes<'_>) {
        if ours.channels != self.ours.sums.len() || theirs.channels != self.theirs.sums.len() {
            return;
        }
        let positions = ours.positions().min(theirs.positions());
        let stride = (positions.saturating_mul(self.products.len()) / MOST_PRODUCTS).max(1);
        for position in (0..positions).step_by(stride) {
            let lane = |lanes: Lanes<'_>| (0..lanes.channels).map(|channel| lanes.at(position, channel)).collect();
            let (own, other): (Vec<f64>, Vec<f64>) = (lane(ours), lane(theirs));
            self.ours.add(&own);
            self.theirs.add(&other);
            for (row, x) in self.products.chunks_exact_mut(other.len().max(1)).zip(&own) {
                row.iter_mut().zip(&other).for_each(|(sum, y)| *sum += x * y);
            }
            self.count += 1.0;
        }
    }

    /// How the two go together; channels that never change go with none.
    fn correlation(&self, ours: usize, theirs: usize) -> f64 {
        let spread = self.ours.spread(ours, self.count) * self.theirs.spread(theirs, self.count);
        let product = self.products[ours * self.theirs.sums.len() + theirs];
        let together = product - self.ours.sums[ours] * self.theirs.sums[theirs] / self.count;
        if spread > 0.0 && spread.is_finite() { together / spread } else { 0.0 }
    }

    /// The channel of theirs that each of ours is, in order, where they are alike.
    pub(super) fn kept(&self) -> Option<Vec<usize>> {
        let (ours, theirs) = (self.ours.sums.len(), self.theirs.sums.len());
        if ours == 0 || ours > theirs {
            return None;
        }
        // The most that the first channels of ours come to among the first of theirs.
        let width = theirs + 1;
        let mut best = vec![f64::NEG_INFINITY; (ours + 1) * width];
        best[..width].fill(0.0);
        for own in 1..=ours {
            for other in own..=theirs {
                let taken = best[(own - 1) * width + other - 1] + self.correlation(own - 1, other - 1);
                best[own * width + other] = best[own * width + other - 1].max(taken);
            }
        }
        let (mut own, mut other, mut kept) = (ours, theirs, vec![0; ours]);
        while own > 0 {
            if other > own && best[own * width + other] <= best[own * width + other - 1] {
                other -= 1;
                continue;
            }
            kept[own - 1] = other - 1;
            (own, other) = (own - 1, other - 1);
        }
        let mean = best[ours * width + theirs] / ours as f64;
        (mean >= ALIKE).then_some(kept)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use onnxpress_ir::random::SplitMix64;

    use super::*;

    /// Five channels at 40 positions, and some of them with noise.
    fn pairing(kept: &[usize], noise: f64) -> Pairing {
        let mut random = SplitMix64::new(1);
        let theirs: Vec<f32> = (0..200).map(|_| random.nearly_normal() as f32).collect();
        let ours = (0..40).flat_map(|position| kept.iter().map(move |&channel| position * 5 + channel));
        let ours: Vec<f32> = ours.map(|at| theirs[at] * 2.0 + (noise * random.nearly_normal()) as f32).collect();
        let mut pairing = Pairing::new(kept.len(), 5);
        let lanes = |values, channels| Lanes { values, channels, inner: 1 };
        pairing.add(lanes(&ours, kept.len()), lanes(&theirs, 5));
        pairing
    }

    #[test]
    fn channels_are_known_by_how_they_change() {
        assert_eq!(pairing(&[0, 2, 3], 0.5).kept().unwrap(), [0, 2, 3]);
        assert_eq!(pairing(&[4], 0.5).kept().unwrap(), [4]);
        assert_eq!(pairing(&[0, 1, 2, 3, 4], 0.0).kept().unwrap(), [0, 1, 2, 3, 4]);
        assert_eq!(pairing(&[1, 3], 40.0).kept(), None, "what is mostly something else");
    }

    #[test]
    fn lanes_run_along_their_axis() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        let lanes = Lanes { values: &values, channels: 2, inner: 2 };
        assert_eq!((lanes.positions(), lanes.at(1, 1), lanes.at(2, 0)), (4, 4.0, 5.0));
    }
}
