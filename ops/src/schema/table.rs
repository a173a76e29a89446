//! The table: the text of its files, and an index of where each operator's lines are.

use std::sync::OnceLock;

use super::operator::OpSchema;
use super::{STANDARD, parse};

/// The files. A domain may have several; an operator has all its versions in one, in ascending order.
pub(super) const FILES: [&str; 6] = [
    include_str!("../../schema/ai.onnx.txt"),
    include_str!("../../schema/ai.onnx.ml.txt"),
    include_str!("../../schema/ai.onnx.preview.txt"),
    include_str!("../../schema/ai.onnx.preview.training.txt"),
    include_str!("../../schema/com.microsoft.txt"),
    include_str!("../../schema/com.microsoft.training.txt"),
];
/// What onnxruntime has in the standard's domain beside the standard.
pub(super) const EXTENSIONS: &str = include_str!("../../schema/ai.onnx.onnxruntime.txt");

/// The index of all files.
pub(super) struct Tables {
    /// In order of name.
    pub(super) domains: Vec<Domain>,
    /// Operators of [`EXTENSIONS`].
    pub(super) extensions: Domain,
}

/// The operators of a domain.
pub(super) struct Domain {
    pub(super) name: &'static str,
    /// The newest version of the domain that the file speaks for.
    pub(super) newest: i64,
    /// In order of name.
    operators: Vec<Operator>,
}

struct Operator {
    name: &'static str,
    /// The lines of all its versions.
    lines: &'static str,
    versions: OnceLock<Vec<OpSchema>>,
}

/// The one instance, indexed on first use.
pub(super) fn tables() -> &'static Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    TABLES.get_or_init(|| {
        let mut domains: Vec<Domain> = Vec::new();
        for file in FILES.map(Domain::index) {
            match domains.iter_mut().find(|domain| domain.name == file.name) {
                Some(domain) => domain.operators.extend(file.operators),
                None => domains.push(file),
            }
        }
        for domain in &mut domains {
            domain.operators.sort_unstable_by_key(|operator| operator.name);
        }
        domains.sort_unstable_by_key(|domain| domain.name);
        Tables { domains, extensions: Domain::index(EXTENSIONS) }
    })
}

/// The domain in either spelling of the standard's.
pub(super) fn domain(name: &[u8]) -> Option<&'static Domain> {
    let name = if name.is_empty() { STANDARD.as_bytes() } else { name };
    tables().domains.iter().find(|domain| domain.name.as_bytes() == name)
}

impl Domain {
    /// Finds the lines of a file that belong to one operator. The lines themselves are not read.
    fn index(file: &'static str) -> Self {
        let (head, mut rest) = after_head(file);
        let mut operators = Vec::new();
        while !rest.is_empty() {
            let name = first_word(rest);
            let mut end = 0;
            while first_word(&rest[end..]) == name {
                end += rest[end..].find('\n').map_or(rest.len() - end, |newline| newline + 1);
            }
            operators.push(Operator { name, lines: &rest[..end], versions: OnceLock::new() });
            rest = &rest[end..];
        }
        let mut words = head.split(' ').skip(1);
        let name = words.next().unwrap_or_default();
        let newest = words.next().and_then(|number| number.parse().ok()).unwrap_or_default();
        Self { name, newest, operators }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.operators.iter().map(|operator| operator.name)
    }

    pub(super) fn versions(&self, name: &[u8]) -> &[OpSchema] {
        let index = self.operators.binary_search_by_key(&name, |operator| operator.name.as_bytes());
        index.map_or(&[], |index| self.operators[index].versions(self.name))
    }
}

impl Operator {
    fn versions(&self, domain: &'static str) -> &[OpSchema] {
        self.versions.get_or_init(|| {
            let schema = |line| parse::line(domain, line).expect("a test parses every line of the table");
            self.lines.lines().map(schema).collect()
        })
    }
}

/// The line that begins with `domain`, and what follows it.
fn after_head(file: &'static str) -> (&'static str, &'static str) {
    let mut rest = file;
    while let Some((line, after)) = rest.split_once('\n') {
        rest = after;
        if line.starts_with("domain ") {
            return (line, rest);
        }
    }
    ("", "")
}

fn first_word(text: &str) -> &str {
    text.split_once(' ').map_or(text, |(word, _)| word)
}
