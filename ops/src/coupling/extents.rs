//! How many indices each letter has: from what the text says and from the extents of axes, until nothing more follows.

use super::{Laid, Part};

pub(super) struct Extents;

impl Extents {
    /// Gives letters their extents; pins those that axes disagree about, or of which one axis has an open extent.
    pub(super) fn solve(laid: &mut Laid) {
        loop {
            let found: Vec<(usize, u64)> = laid
                .rows
                .iter()
                .flatten()
                .flatten()
                .filter_map(|(parts, extent)| Self::missing(laid, parts, (*extent)?))
                .collect();
            if found.is_empty() {
                break;
            }
            for (letter, extent) in found {
                laid.letters[letter].letter.extent = Some(extent);
            }
        }
        let mut unsure: Vec<usize> = Vec::new();
        for (parts, extent) in laid.rows.iter().flatten().flatten() {
            if parts.iter().any(|part| matches!(part, Part::Opaque)) {
                continue;
            }
            let sum = parts.iter().map(|part| Self::length(laid, part)).sum::<Option<u64>>();
            if sum != *extent {
                unsure.extend(parts.iter().flat_map(|part| match part {
                    Part::Letters(letters) => letters.as_slice(),
                    _ => &[],
                }));
            }
        }
        for letter in unsure {
            laid.letters[letter].letter.pinned = Some("an extent is open or another one elsewhere".to_owned());
        }
    }

    fn length(laid: &Laid, part: &Part) -> Option<u64> {
        match part {
            Part::One => Some(1),
            Part::Opaque => None,
            Part::Letters(letters) => letters
                .iter()
                .try_fold(1u64, |product, &letter| product.checked_mul(laid.letters[letter].letter.extent?)),
        }
    }

    /// The only letter of an axis whose extent is not known, and what the others leave for it.
    fn missing(laid: &Laid, parts: &[Part], extent: u64) -> Option<(usize, u64)> {
        let mut open = parts.iter().filter(|part| Self::length(laid, part).is_none());
        let (Some(Part::Letters(letters)), None) = (open.next(), open.next()) else { return None };
        let others = parts.iter().filter_map(|part| Self::length(laid, part)).try_fold(0u64, u64::checked_add)?;
        let mut unknown = letters.iter().filter(|&&letter| laid.letters[letter].letter.extent.is_none());
        let (Some(&letter), None) = (unknown.next(), unknown.next()) else { return None };
        let known =
            letters.iter().filter_map(|&letter| laid.letters[letter].letter.extent).try_fold(1u64, u64::checked_mul)?;
        let left = extent.checked_sub(others)?;
        (known > 0 && left.is_multiple_of(known)).then(|| (letter, left / known))
    }
}
