//! Which known name a mistyped one was probably meant to be.

/// Names longer than this are compared by their beginning: the distance costs the product of the lengths, and the text
/// chooses one of them.
const COMPARED: usize = 64;

/// The name among `known` that `wanted` was probably meant to be: the first of the nearest by the number of letters
/// added, dropped, replaced or swapped, if that is at most a third of the name; else the first that begins with
/// `wanted`. Case and `_` for `-` do not count.
pub fn nearest<'n>(wanted: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let wanted: String = wanted.chars().take(COMPARED).collect::<String>().to_lowercase().replace('_', "-");
    let known: Vec<&str> = known.into_iter().collect();
    let by_typing = known
        .iter()
        .map(|name| (strsim::osa_distance(&wanted, &name.to_lowercase()), *name))
        .filter(|(distance, name)| *distance <= name.chars().count() / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name);
    by_typing.or_else(|| known.into_iter().find(|name| wanted.len() >= 3 && name.starts_with(&wanted)))
}

#[cfg(test)]
mod tests {
    use super::nearest;

    const NAMES: [&str; 4] = ["simplify", "prune-channels", "prune-heads", "cse"];

    #[test]
    fn a_slip_of_the_finger_finds_its_name() {
        assert_eq!(nearest("simplfy", NAMES), Some("simplify"));
        assert_eq!(nearest("Prune_Channels", NAMES), Some("prune-channels"));
        assert_eq!(nearest("sce", NAMES), Some("cse"));
        assert_eq!(nearest("prune", NAMES), Some("prune-channels"));
    }

    #[test]
    fn an_unrelated_name_finds_nothing() {
        assert_eq!(nearest("quantize", NAMES), None);
        assert_eq!(nearest("", NAMES), None);
        assert_eq!(nearest(&"simplify".repeat(1_000_000), NAMES), None);
    }
}
