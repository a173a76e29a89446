//! Letters for axes by number: what relations of axes are written with where they depend on a rank.

use onnxpress_ir::Dim;

/// Hands out letters, each once: `a`, `b`, …, `z`, `a1`, `b1`, ….
#[derive(Debug, Default)]
pub(crate) struct Letters {
    used: usize,
}

impl Letters {
    /// A letter that was not handed out before.
    pub(crate) fn fresh(&mut self) -> String {
        const ALPHABET: [char; 26] = [
            'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', 't', 'u',
            'v', 'w', 'x', 'y', 'z',
        ];
        let (round, place) = (self.used / ALPHABET.len(), self.used % ALPHABET.len());
        self.used += 1;
        if round == 0 { ALPHABET[place].to_string() } else { format!("{}{round}", ALPHABET[place]) }
    }

    /// One letter an axis of a tensor of this rank.
    pub(crate) fn row(&mut self, rank: usize) -> Vec<String> {
        (0..rank).map(|_| self.fresh()).collect()
    }
}

/// One axis that runs over several letters with these extents, the first slowest.
pub(crate) fn product(factors: &[(String, Dim)]) -> String {
    match factors {
        [] => "1".to_owned(),
        [(letter, _)] => letter.clone(),
        many => {
            format!("({})", many.iter().map(|(letter, extent)| sized(letter, extent)).collect::<Vec<_>>().join(" "))
        }
    }
}

/// The letter with its extent, where that is constant.
pub(crate) fn sized(letter: &str, extent: &Dim) -> String {
    match extent.as_const() {
        Some(extent) => format!("{letter}:{extent}"),
        None => letter.to_owned(),
    }
}

/// The row with the entry of one axis replaced.
pub(crate) fn with_axis(row: &[String], axis: usize, text: impl Into<String>) -> Vec<String> {
    let mut row = row.to_vec();
    if let Some(entry) = row.get_mut(axis) {
        *entry = text.into();
    }
    row
}

/// The letter that stands for both extents: none (`_`) unless they are known to be one.
pub(crate) fn shared(letter: &str, a: &Dim, b: &Dim) -> String {
    if a.equals(b) == Some(true) { letter.to_owned() } else { "_".to_owned() }
}

/// The relation: rows of operands and of outputs (`None`: nothing is said of any axis), and the roles of letters.
pub(crate) fn relation(operands: &[Option<Vec<String>>], outputs: &[Option<Vec<String>>], roles: &str) -> String {
    let side = |rows: &[Option<Vec<String>>]| {
        rows.iter().map(|row| row.as_ref().map_or("*".to_owned(), |row| row.join(" "))).collect::<Vec<_>>().join(", ")
    };
    let marks = if roles.is_empty() { String::new() } else { format!("; {roles}") };
    format!("{} -> {}{marks}", side(operands), side(outputs))
}

/// The rows of the operands that a node has beside the first, about which nothing is said.
pub(crate) fn and_parameters(data: Vec<String>, operand_count: usize) -> Vec<Option<Vec<String>>> {
    let mut rows = vec![Some(data)];
    rows.resize(operand_count.max(1), None);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_never_run_out() {
        let row = Letters::default().row(28);
        assert_eq!(row.join(" "), "a b c d e f g h i j k l m n o p q r s t u v w x y z a1 b1");
    }

    #[test]
    fn extents_are_written_where_they_are_known() {
        let factors = [("a".to_owned(), Dim::from(12)), ("b".to_owned(), Dim::named("d"))];
        assert_eq!(product(&factors), "(a:12 b)");
        assert_eq!(product(&factors[..1]), "a");
        assert_eq!(product(&[]), "1");
    }
}
