//! Which rows of an input count.

/// The most rows of one sample that go into second moments: neighbouring windows say nearly the same.
pub(super) const ROWS_PER_SAMPLE: usize = 160;

/// The rows that count among `per_sample` of each of `samples` samples, the first of which is number `first` of all: at most
/// [`ROWS_PER_SAMPLE`] of each, other ones for each sample, the same in every run.
pub(super) fn choose(first: usize, samples: usize, per_sample: usize) -> Vec<usize> {
    let all = |sample: usize| sample * per_sample..(sample + 1) * per_sample;
    if per_sample <= ROWS_PER_SAMPLE {
        return (0..samples).flat_map(all).collect();
    }
    let mut chosen = Vec::with_capacity(samples * ROWS_PER_SAMPLE);
    for sample in 0..samples {
        // One from each of as many strata, so that all parts of a map are seen.
        let mut state = (first + sample) as u64;
        for stratum in 0..ROWS_PER_SAMPLE {
            let (from, to) = (stratum * per_sample / ROWS_PER_SAMPLE, (stratum + 1) * per_sample / ROWS_PER_SAMPLE);
            let offset = (mixed(&mut state) % (to - from) as u64) as usize;
            chosen.push(sample * per_sample + from + offset);
        }
    }
    chosen
}

/// The next number of a SplitMix64 sequence (Steele, Lea and Flood 2014).
fn mixed(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_rows_are_all_taken_and_many_evenly() {
        assert_eq!(choose(0, 2, 3), [0, 1, 2, 3, 4, 5]);
        let chosen = choose(7, 2, 1024);
        assert_eq!(chosen.len(), 2 * ROWS_PER_SAMPLE);
        assert!(chosen.is_sorted() && chosen[ROWS_PER_SAMPLE] >= 1024);
        assert_eq!(choose(8, 1, 1024).iter().map(|row| row + 1024).collect::<Vec<_>>(), chosen[ROWS_PER_SAMPLE..]);
    }
}
