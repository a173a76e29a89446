//! The equation of `Einsum`: a term of letters for each operand, perhaps one for the output.
//!
//! `...` in a term stands for any number of axes, aligned at the last. Without `->` the output has the axes of `...`, then the
//! letters that occur once, in the order of ASCII.

use crate::infer::Undecided;

/// What one axis, or `...`, is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Letter(char),
    Dots,
}

/// An axis once the ranks are known: a letter, or one of those that `...` stands for, counted from the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Label {
    /// An axis that `...` stands for; 0 is the last.
    Dot(usize),
    /// An axis with a letter.
    Letter(char),
}

/// An equation as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Equation {
    operands: Vec<Vec<Mark>>,
    output: Vec<Mark>,
}

/// The equation of the gradient of an operand.
pub(crate) struct Turned {
    pub text: String,
    /// Axes of the operand that no other term has, counted from the back: they are missing in the result.
    pub summed_alone: Vec<i64>,
}

impl Equation {
    /// Reads the equation of a node with so many operands.
    ///
    /// # Errors
    /// Where it is none, or has another number of terms.
    pub(crate) fn parse(text: &str, operands: usize) -> Result<Self, Undecided> {
        let invalid = |reason: &str| Undecided::invalid(format!("equation `{text}`: {reason}"));
        let (left, right) = match text.split_once("->") {
            Some((left, right)) => (left, Some(right)),
            None => (text, None),
        };
        let terms = left.split(',').map(term).collect::<Result<Vec<_>, _>>().map_err(invalid)?;
        if terms.len() != operands {
            return Err(invalid(&format!("{} terms for {operands} operands", terms.len())));
        }
        let output = match right {
            Some(right) => term(right).map_err(invalid)?,
            None => implicit_output(&terms),
        };
        for (place, mark) in output.iter().enumerate() {
            if output[..place].contains(mark) {
                return Err(invalid("a letter stands twice in the output"));
            }
            if matches!(mark, Mark::Letter(_)) && !terms.iter().any(|term| term.contains(mark)) {
                return Err(invalid("a letter of the output is in no operand"));
            }
        }
        Ok(Self { operands: terms, output })
    }

    /// How many axes `...` stands for in the term of operand `index`, which has this rank; 0 where it has no `...`.
    fn dots(&self, index: usize, rank: usize) -> Result<usize, Undecided> {
        let term = &self.operands[index];
        let letters = term.iter().filter(|&&mark| mark != Mark::Dots).count();
        match rank.checked_sub(letters) {
            Some(dots) if dots == 0 || letters < term.len() => Ok(dots),
            _ => Err(Undecided::invalid(format!("operand {index} has rank {rank}, its term {letters} letters"))),
        }
    }

    /// The axes of each operand of these ranks, and of the output.
    ///
    /// # Errors
    /// Where a term has another number of axes than its operand.
    pub(crate) fn labels(&self, ranks: &[usize]) -> Result<(Vec<Vec<Label>>, Vec<Label>), Undecided> {
        let expand = |term: &[Mark], dots: usize| -> Vec<Label> {
            let mark = |&mark: &Mark| match mark {
                Mark::Letter(letter) => vec![Label::Letter(letter)],
                Mark::Dots => (0..dots).rev().map(Label::Dot).collect(),
            };
            term.iter().flat_map(mark).collect()
        };
        let dots = ranks.iter().enumerate().map(|(index, &rank)| self.dots(index, rank));
        let dots = dots.collect::<Result<Vec<_>, _>>()?;
        let operands = self.operands.iter().zip(&dots).map(|(term, &dots)| expand(term, dots)).collect();
        Ok((operands, expand(&self.output, dots.into_iter().max().unwrap_or(0))))
    }

    /// The rank of the output where the ranks of the operands are not all known; `None` where it depends on them.
    pub(crate) fn output_rank(&self) -> Option<usize> {
        (!self.output.contains(&Mark::Dots)).then_some(self.output.len())
    }

    /// The equation of the gradient of operand `index`: its terms are that of the output, then those of the other operands, and
    /// it gives that of the operand.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn turned(&self, index: usize) -> Result<Turned, String> {
        let term = &self.operands[index];
        let others =
            || self.operands.iter().enumerate().filter(move |&(other, _)| other != index).map(|(_, term)| term);
        if term.iter().enumerate().any(|(place, mark)| term[..place].contains(mark)) {
            return Err("a letter stands twice in the term of an operand".to_owned());
        }
        let all = || self.operands.iter().chain([&self.output]);
        let dotted = all().filter(|term| term.contains(&Mark::Dots)).count();
        if dotted > 0 && (dotted < all().count() || term.first() != Some(&Mark::Dots)) {
            return Err("`...` stands in some terms only, or not in front".to_owned());
        }
        let elsewhere = |mark: &Mark| self.output.contains(mark) || others().any(|term| term.contains(mark));
        let text = |term: &mut dyn Iterator<Item = &Mark>| -> String {
            term.map(|mark| match mark {
                Mark::Letter(letter) => letter.to_string(),
                Mark::Dots => "...".to_owned(),
            })
            .collect()
        };
        let factors: Vec<String> =
            std::iter::once(&self.output).chain(others()).map(|term| text(&mut term.iter())).collect();
        let kept = text(&mut term.iter().filter(|mark| elsewhere(mark)));
        // Counted from the back, where `...` does not matter.
        let summed_alone =
            (-(term.len() as i64)..0).zip(term).filter(|(_, mark)| !elsewhere(mark)).map(|(axis, _)| axis);
        Ok(Turned { text: format!("{}->{kept}", factors.join(",")), summed_alone: summed_alone.collect() })
    }

    /// The equation in the notation of axes.
    pub(crate) fn axes(&self) -> String {
        let word = |&mark: &Mark| match mark {
            Mark::Letter(letter) if letter.is_ascii_uppercase() => format!("upper{}", letter.to_ascii_lowercase()),
            Mark::Letter(letter) => letter.to_string(),
            Mark::Dots => "dots..".to_owned(),
        };
        let words = |term: &Vec<Mark>| term.iter().map(word).collect::<Vec<_>>().join(" ");
        let operands: Vec<_> = self.operands.iter().map(words).collect();
        format!("{} -> {}", operands.join(", "), words(&self.output))
    }
}

fn term(text: &str) -> Result<Vec<Mark>, &'static str> {
    let mut marks = Vec::new();
    let mut rest = text.chars().filter(|c| *c != ' ');
    while let Some(c) = rest.next() {
        marks.push(match c {
            '.' if rest.next() == Some('.') && rest.next() == Some('.') => Mark::Dots,
            letter if letter.is_ascii_alphabetic() => Mark::Letter(letter),
            _ => return Err("a term is made of letters and `...`"),
        });
    }
    if marks.iter().filter(|&&mark| mark == Mark::Dots).count() > 1 {
        return Err("`...` stands twice in a term");
    }
    Ok(marks)
}

fn implicit_output(terms: &[Vec<Mark>]) -> Vec<Mark> {
    let all = || terms.iter().flatten();
    let mut letters: Vec<char> = all()
        .filter(|&mark| all().filter(|&other| other == mark).count() == 1)
        .filter_map(|&mark| match mark {
            Mark::Letter(letter) => Some(letter),
            Mark::Dots => None,
        })
        .collect();
    letters.sort_unstable();
    let dots = all().any(|&mark| mark == Mark::Dots).then_some(Mark::Dots);
    dots.into_iter().chain(letters.into_iter().map(Mark::Letter)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes(text: &str, operands: usize) -> String {
        match Equation::parse(text, operands) {
            Ok(equation) => equation.axes(),
            Err(Undecided::Invalid(reason)) => reason,
            Err(Undecided::Unknown) => "unknown".to_owned(),
        }
    }

    #[test]
    fn equations_are_relations_of_axes() {
        assert_eq!(axes("bij,bjk->bik", 2), "b i j, b j k -> b i k");
        assert_eq!(axes("...ij, jB", 2), "dots.. i j, j upperb -> dots.. upperb i");
        assert_eq!(axes("ii", 1), "i i -> ");
        assert_eq!(axes(",a->a", 2), ", a -> a");
    }

    #[test]
    fn what_is_no_equation_is_refused() {
        assert_eq!(axes("ij,jk->ik", 1), "equation `ij,jk->ik`: 2 terms for 1 operands");
        assert_eq!(axes("i..j->ij", 1), "equation `i..j->ij`: a term is made of letters and `...`");
        assert_eq!(axes("......i", 1), "equation `......i`: `...` stands twice in a term");
        assert_eq!(axes("i->j", 1), "equation `i->j`: a letter of the output is in no operand");
        assert_eq!(axes("i->ii", 1), "equation `i->ii`: a letter stands twice in the output");
    }
}
