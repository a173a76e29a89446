//! The tables that elements are looked up in.

use super::cells::Cells;
use super::cluster;

crate::option_enum! {
    /// What the values of a table are.
    pub enum Codes {
        /// Centres of clusters (Han et al. 2016), the best for the tensor.
        Kmeans,
        /// Means of runs with as many elements each: the inverse of the distribution, evenly.
        Quantile,
        /// Zero and powers of two of either sign, times one number (Zhou et al. 2017).
        PowerOfTwo,
        /// Sums of few powers of two of either sign, times one number (Li et al. 2020).
        AdditivePowerOfTwo,
    }
}

crate::option_enum! {
    /// What clustering begins with.
    pub enum Init {
        /// Nothing: the best clusters of all are computed.
        Exact,
        /// Centres evenly between the least element and the largest.
        Linear,
        /// Centres drawn from the elements, far from each other.
        KmeansPlusPlus = "kmeans++",
        /// Runs with as many elements each.
        Density,
    }
}

/// Factors that are tried between tables and numbers, and how far they are apart.
const TRIED: usize = 60;
const STEP: f64 = 0.97;

/// The table for numbers: at most `2^bits` values, ascending, all different.
pub(super) fn table(cells: &Cells, bits: u32, codes: Codes, init: Init) -> Vec<f64> {
    let k = 1usize << bits;
    let mut values = match (codes, init) {
        (Codes::Kmeans, Init::Exact) => cluster::exact(cells, k),
        (Codes::Kmeans, Init::Linear) => cluster::lloyd(cells, cluster::evenly(cells, k)),
        (Codes::Kmeans, Init::KmeansPlusPlus) => cluster::lloyd(cells, cluster::plus_plus(cells, k)),
        (Codes::Kmeans, Init::Density) => cluster::lloyd(cells, cluster::by_density(cells, k)),
        (Codes::Quantile, _) => cluster::by_density(cells, k),
        (Codes::PowerOfTwo, _) => scaled(cells, &powers(bits)),
        (Codes::AdditivePowerOfTwo, _) => scaled(cells, &sums_of_powers(bits)),
    };
    values.dedup();
    values
}

/// Zero, and powers of two of both signs as far as codes go.
fn powers(bits: u32) -> Vec<f64> {
    if bits <= 1 {
        return signed(vec![1.0]);
    }
    // A bit is the sign; of the magnitudes one is zero.
    let magnitudes = (1u32 << (bits - 1)) - 1;
    signed((0..magnitudes).map(|exponent| (-f64::from(exponent)).exp2()).chain([0.0]).collect())
}

/// Sums of a power for every two bits of the magnitude, each of another residue of exponents.
fn sums_of_powers(bits: u32) -> Vec<f64> {
    let magnitude = bits.saturating_sub(1);
    if magnitude == 0 {
        return signed(vec![1.0]);
    }
    let terms = magnitude.div_ceil(2);
    let mut sums = vec![0.0];
    for term in 0..terms {
        // The last has but one bit where bits are odd: zero or its largest power.
        let own = if 2 * (term + 1) <= magnitude { 2u32 } else { 1 };
        let powers = (0..(1u32 << own) - 1).map(|place| (-f64::from(term + place * terms)).exp2());
        let choices: Vec<f64> = powers.chain([0.0]).collect();
        sums = sums.iter().flat_map(|sum| choices.iter().map(move |choice| sum + choice)).collect();
    }
    signed(sums)
}

/// Both signs, ascending.
fn signed(magnitudes: Vec<f64>) -> Vec<f64> {
    let mut values: Vec<f64> = magnitudes.iter().flat_map(|&value| [value, 0.0 - value]).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
}

/// A table times the number with which it loses least.
fn scaled(cells: &Cells, table: &[f64]) -> Vec<f64> {
    let last = cells.len().saturating_sub(1);
    let peak = if cells.len() == 0 { 0.0 } else { cells.value(0).abs().max(cells.value(last).abs()) };
    let reach = table.iter().fold(0.0f64, |reach, value| reach.max(value.abs()));
    let times = |factor: f64| table.iter().map(|value| value * factor).collect::<Vec<_>>();
    let factors = (0..TRIED).map(|step| peak / reach * STEP.powi(step as i32));
    let tried = factors.map(|factor| (cells.lost(&times(factor)), factor));
    let best = tried.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(1.0, |best| best.1);
    times(if best > 0.0 { best } else { 1.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_and_their_sums() {
        assert_eq!(powers(3), [-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0]);
        assert_eq!((powers(1), sums_of_powers(1)), (vec![-1.0, 1.0], vec![-1.0, 1.0]), "one bit has two values");
        // Two bits of magnitude: one term. Four: two, of even and of odd exponents.
        assert_eq!(sums_of_powers(3), [-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0]);
        assert_eq!(sums_of_powers(5).len(), 31);
        assert_eq!(sums_of_powers(5).last(), Some(&1.5));
    }

    #[test]
    fn tables_have_as_many_values_as_codes() {
        let values: Vec<f32> = (0..1000u16).map(|at| (f32::from(at * 7 % 1000) / 500.0 - 1.0).powi(3)).collect();
        let cells = Cells::of(&values, None);
        for bits in 1..=8 {
            for codes in Codes::ALL {
                for init in Init::ALL {
                    let table = table(&cells, bits, codes, init);
                    assert!(
                        table.is_sorted() && !table.is_empty() && table.len() <= 1 << bits,
                        "{codes:?} {bits}: {table:?}"
                    );
                }
            }
        }
        let lost = |codes| cells.lost(&table(&cells, 4, codes, Init::Exact));
        assert!(lost(Codes::Kmeans) <= lost(Codes::Quantile) && lost(Codes::Kmeans) <= lost(Codes::AdditivePowerOfTwo));
    }
}
