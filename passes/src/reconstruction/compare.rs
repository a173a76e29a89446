//! How far results are from what they should be: the mean of each channel, and the energy of what is left.

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Compared {
    /// By how much the mean of each channel is too high.
    pub(crate) shift: Vec<f64>,
    /// The energy of the difference, its mean in each channel aside.
    pub(crate) difference: f64,
    /// The energy of the results around the mean of their channel.
    pub(crate) spread: f64,
}

/// Sums over batches, by channel: elements, results, their squares, differences, their squares.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    sums: Vec<[f64; 5]>,
}

impl Comparison {
    /// Takes in results and what has become of them, of the same extents; `None` where they have no such axis, or one of another extent.
    pub(super) fn add(&mut self, was: &[f32], is: &[f32], dims: &[usize], axis: usize) -> Option<()> {
        let extent = *dims.get(axis)?;
        let inner: usize = dims[axis + 1..].iter().product();
        if self.sums.is_empty() {
            self.sums = vec![[0.0; 5]; extent];
        }
        if self.sums.len() != extent {
            return None;
        }
        for (place, (&was, &is)) in was.iter().zip(is).enumerate() {
            let (was, off) = (f64::from(was), f64::from(is) - f64::from(was));
            // Masks are no numbers.
            if was.is_finite() && off.is_finite() {
                let more = [1.0, was, was * was, off, off * off];
                self.sums[place / inner.max(1) % extent].iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
            }
        }
        Some(())
    }

    /// What comes of it.
    pub(super) fn compared(&self) -> Compared {
        let (mut difference, mut spread) = (0.0, 0.0);
        let shift = self.sums.iter().map(|&[count, results, squares, off, off_squares]| {
            let count = f64::max(count, 1.0);
            difference += (off_squares - off * off / count).max(0.0);
            spread += (squares - results * results / count).max(0.0);
            off / count
        });
        Compared { shift: shift.collect(), difference, spread }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_and_what_is_left_are_told_apart() {
        let mut whole = Comparison::default();
        assert_eq!(whole.add(&[1.0, 3.0, 10.0, 10.0], &[1.5, 3.5, 11.0, 9.0], &[1, 2, 2], 1), Some(()));
        assert_eq!(whole.compared(), Compared { shift: vec![0.5, 0.0], difference: 2.0, spread: 2.0 });
        assert_eq!(whole.add(&[1.0], &[1.0], &[1, 1, 1], 1), None);
        assert_eq!(whole.add(&[1.0], &[1.0], &[1], 1), None);
    }
}
