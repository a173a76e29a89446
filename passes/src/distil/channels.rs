//! Which channels of a teacher's value a student kept, and whether they still are what they were.
//!
//! A compressor that takes channels away leaves the others in their order. On samples the ones that stayed still go up and down with
//! those that they were, so the pairing is sought that keeps the order and correlates most. A name alone says little: a pass may have
//! scaled channels to the benefit of others (`equalize`), and left it to what comes behind to scale them back.

/// What is known of the channels of two values, the second at least as wide.
pub(super) struct Pairing {
    ours: Sums,
    theirs: Sums,
    /// Sums of products, of ours by theirs; of values that are as wide as each other, of each channel by its own.
    products: Vec<f64>,
    count: f64,
}

/// Sums of squares and products of deviations, of a channel of ours and one of theirs.
#[derive(Clone, Copy)]
struct Moments {
    ours: f64,
    theirs: f64,
    products: f64,
}

struct Sums {
    sums: Vec<f64>,
    squares: Vec<f64>,
}

/// No more products than this are added up for one batch.
const MOST_PRODUCTS: usize = 1 << 23;

/// More products than this, of wide values, are not kept.
const MOST_PAIRS: usize = 1 << 24;

/// The correlation from which two values are the same.
const ALIKE: f64 = 0.5;

/// The share of what there is to tell up to which a difference is none.
const SLIGHT: f64 = 0.05;

/// The share of a difference that is left, where it is told by the scales of channels.
const RESCALED: f64 = 0.1;

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

    /// The sum of squares of deviations from the mean.
    fn deviation(&self, channel: usize, count: f64) -> f64 {
        (self.squares[channel] - self.sums[channel].powi(2) / count).max(0.0)
    }
}

impl Moments {
    /// How the two go together; channels that never change go with none.
    fn correlation(&self) -> f64 {
        let spread = (self.ours * self.theirs).sqrt();
        if spread > 0.0 && spread.is_finite() { self.products / spread } else { 0.0 }
    }

    /// What ours, scaled as suits best, does not tell of theirs.
    fn unexplained(&self) -> f64 {
        self.theirs * (1.0 - self.correlation().powi(2))
    }
}

impl Pairing {
    /// Nothing seen yet, of so many channels; `None` where they are too many.
    pub(super) fn new(ours: usize, theirs: usize) -> Option<Self> {
        let pairs = if ours == theirs { Some(ours) } else { ours.checked_mul(theirs) };
        let products = vec![0.0; pairs.filter(|&pairs| pairs <= MOST_PAIRS)?];
        Some(Self { ours: Sums::new(ours), theirs: Sums::new(theirs), products, count: 0.0 })
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
            if own.len() == other.len() {
                self.products.iter_mut().zip(own.iter().zip(&other)).for_each(|(sum, (x, y))| *sum += x * y);
            } else {
                for (row, x) in self.products.chunks_exact_mut(other.len().max(1)).zip(&own) {
                    row.iter_mut().zip(&other).for_each(|(sum, y)| *sum += x * y);
                }
            }
            self.count += 1.0;
        }
    }

    fn moments(&self, ours: usize, theirs: usize) -> Moments {
        let (width, other) = (self.ours.sums.len(), self.theirs.sums.len());
        let product = if width == other { self.products[ours] } else { self.products[ours * other + theirs] };
        Moments {
            ours: self.ours.deviation(ours, self.count),
            theirs: self.theirs.deviation(theirs, self.count),
            products: product - self.ours.sums[ours] * self.theirs.sums[theirs] / self.count,
        }
    }

    /// The channel of theirs that each of ours is, in order.
    ///
    /// # Errors
    /// Where they are not what they were: how.
    pub(super) fn kept(&self) -> Result<Vec<usize>, String> {
        let (ours, theirs) = (self.ours.sums.len(), self.theirs.sums.len());
        if ours == 0 || ours > theirs || self.count == 0.0 {
            return Err("it has nothing to compare".to_owned());
        }
        let kept = if ours == theirs { (0..ours).collect() } else { self.paired() };
        let moments: Vec<Moments> = kept.iter().enumerate().map(|(ours, &theirs)| self.moments(ours, theirs)).collect();
        let sum = |of: fn(&Moments) -> f64| moments.iter().map(of).sum::<f64>();
        let (own, other, products) = (sum(|it| it.ours), sum(|it| it.theirs), sum(|it| it.products));
        let alike = products / (own * other).sqrt();
        if own * other > 0.0 && alike < ALIKE {
            return Err(format!("it is another value than the teacher's: the two correlate by {alike:.2} only"));
        }
        let difference = own + other - 2.0 * products;
        if difference > SLIGHT * other && sum(Moments::unexplained) < RESCALED * difference {
            return Err("its channels are scaled otherwise than the teacher's".to_owned());
        }
        Ok(kept)
    }

    /// The pairing that keeps the order and correlates most.
    fn paired(&self) -> Vec<usize> {
        let (ours, theirs) = (self.ours.sums.len(), self.theirs.sums.len());
        // The most that the first channels of ours come to among the first of theirs.
        let width = theirs + 1;
        let mut best = vec![f64::NEG_INFINITY; (ours + 1) * width];
        best[..width].fill(0.0);
        for own in 1..=ours {
            for other in own..=theirs {
                let taken = best[(own - 1) * width + other - 1] + self.moments(own - 1, other - 1).correlation();
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
        kept
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use onnxpress_ir::random::SplitMix64;

    use super::*;

    /// Five channels at 40 positions, and some of them with noise, scaled.
    fn pairing(kept: &[usize], noise: f64, scales: &[f32]) -> Pairing {
        let mut random = SplitMix64::new(1);
        let theirs: Vec<f32> = (0..200).map(|_| random.nearly_normal() as f32).collect();
        let ours = (0..40).flat_map(|position| kept.iter().map(move |&channel| position * 5 + channel));
        let ours = ours.zip(scales.iter().cycle());
        let ours: Vec<f32> =
            ours.map(|(at, scale)| theirs[at] * scale + (noise * random.nearly_normal()) as f32).collect();
        let mut pairing = Pairing::new(kept.len(), 5).unwrap();
        let lanes = |values, channels| Lanes { values, channels, inner: 1 };
        pairing.add(lanes(&ours, kept.len()), lanes(&theirs, 5));
        pairing
    }

    #[test]
    fn channels_are_known_by_how_they_change() {
        assert_eq!(pairing(&[0, 2, 3], 0.5, &[1.0]).kept().unwrap(), [0, 2, 3]);
        assert_eq!(pairing(&[4], 0.5, &[1.0]).kept().unwrap(), [4]);
        assert_eq!(pairing(&[0, 1, 2, 3, 4], 0.2, &[1.0]).kept().unwrap(), [0, 1, 2, 3, 4]);
        let other = "it is another value than the teacher's: the two correlate by ";
        assert!(pairing(&[1, 3], 40.0, &[1.0]).kept().unwrap_err().starts_with(other), "what is mostly something else");
        assert!(pairing(&[0, 1, 2, 3, 4], 40.0, &[1.0]).kept().unwrap_err().starts_with(other));
        assert!(Pairing::new(1 << 16, 1 << 17).is_none());
    }

    #[test]
    fn channels_that_are_scaled_are_something_else() {
        let scaled = pairing(&[0, 1, 2, 3, 4], 0.0, &[1.0, 2.0, 0.5, 3.0, 1.0]).kept();
        assert_eq!(scaled.unwrap_err(), "its channels are scaled otherwise than the teacher's");
        assert!(
            pairing(&[0, 1, 2, 3, 4], 0.3, &[1.0, 0.9, 1.1, 1.0, 1.0]).kept().is_ok(),
            "as a lossy pass leaves them"
        );
    }

    #[test]
    fn lanes_run_along_their_axis() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        let lanes = Lanes { values: &values, channels: 2, inner: 2 };
        assert_eq!((lanes.positions(), lanes.at(1, 1), lanes.at(2, 0)), (4, 4.0, 5.0));
    }
}
