//! The files of cases: how they are read, run and written.

use std::fmt::Write;

use onnxpress_ir::Model;
use onnxpress_ir::text::{Form, print_model};
use onnxpress_passes::manager::{self, Report, RunOptions};

use crate::numbers;

const TITLE: &str = "# ---- ";
const RUN: &str = "# run: ";
const NUMBERS: &str = "# not run: ";
const RESULT: &str = "# ==> ";

/// A file of cases.
pub(crate) struct File<'t> {
    /// What stands before the first case.
    head: &'t str,
    cases: Vec<Case<'t>>,
}

struct Case<'t> {
    title: &'t str,
    /// The pipeline.
    run: &'t str,
    /// Why the numbers are not compared.
    numbers: Option<&'t str>,
    graph: String,
}

impl<'t> File<'t> {
    /// Reads a file; results that stand in it are passed over.
    pub(crate) fn parse(text: &'t str) -> Self {
        let start = text.find(TITLE).unwrap_or(text.len());
        let (head, rest) = text.split_at(start);
        let cases = rest.split(TITLE).filter(|case| !case.trim().is_empty()).map(Case::parse).collect();
        Self { head, cases }
    }

    /// The file as it should be.
    pub(crate) fn render(&self, name: &str) -> String {
        let mut text = self.head.to_owned();
        for (number, case) in self.cases.iter().enumerate() {
            if number > 0 {
                text.push('\n');
            }
            case.render(&mut text, &format!("{name}, \"{}\"", case.title));
        }
        text
    }
}

impl<'t> Case<'t> {
    fn parse(text: &'t str) -> Self {
        let (title, rest) = text.split_once('\n').unwrap();
        let line = |word| rest.lines().find_map(|line: &str| line.strip_prefix(word));
        let is_graph = |line: &&str| ![RUN, NUMBERS].iter().any(|word| line.starts_with(word));
        let graph: Vec<_> = rest.lines().take_while(|line| !line.starts_with(RESULT)).filter(is_graph).collect();
        let graph = graph.join("\n").trim().to_owned();
        Self { title, run: line(RUN).unwrap_or_else(|| panic!("{title}: no `{RUN}`")), numbers: line(NUMBERS), graph }
    }

    fn render(&self, text: &mut String, site: &str) {
        let before = Model::from_text(&self.graph).unwrap_or_else(|error| panic!("{site}: {error}"));
        let mut after = before.clone();
        let report = apply(self.run, &mut after, site);
        let again = apply(self.run, &mut after.clone(), site);
        assert!(!again.changed, "{site}: a second run finds more to do\n{}", after.to_text());
        let of_the_graph = apply("", &mut before.clone(), site).notices;
        assert_eq!(report.notices, of_the_graph, "{site}");
        if report.changed && self.numbers.is_none() {
            numbers::compare(&before, &after, site);
        }

        writeln!(text, "{TITLE}{}", self.title).unwrap();
        writeln!(text, "{RUN}{}", self.run).unwrap();
        if let Some(why) = self.numbers {
            writeln!(text, "{NUMBERS}{why}").unwrap();
        }
        writeln!(text, "{}", self.graph).unwrap();
        let mut applied: Vec<String> = Vec::new();
        for pass in &report.passes {
            applied.extend(pass.applied.iter().map(|(rule, times)| format!("{rule} {times}")));
        }
        if report.changed {
            writeln!(text, "{RESULT}{}", applied.join(", ")).unwrap();
            let header = |model: &Model| printed(model).lines().next().unwrap_or_default().to_owned();
            let same = header(&before) == header(&after);
            for line in printed(&after).lines().skip(usize::from(same)) {
                writeln!(text, "{}", format!("# {line}").trim_end()).unwrap();
            }
        } else {
            assert!(applied.is_empty(), "{site}: unchanged, and applied: {applied:?}");
            writeln!(text, "{RESULT}unchanged").unwrap();
        }
        let mut last = std::collections::BTreeMap::new();
        for pass in &report.passes {
            // Of a pass that ran again what it said last counts.
            last.insert(&pass.text, &pass.declined);
        }
        for decline in last.into_values().flatten() {
            writeln!(text, "# declined: {}: {}: {}", decline.rule, decline.site, decline.reason).unwrap();
        }
    }
}

fn apply(pipeline: &str, model: &mut Model, site: &str) -> Report {
    let passes = onnxpress_passes::builtin().unwrap();
    let pipeline = passes.pipeline(pipeline).unwrap_or_else(|error| panic!("{site}: {error}"));
    let options = RunOptions { verify_each: true, ..RunOptions::default() };
    manager::run(&pipeline, model, options).unwrap_or_else(|error| panic!("{site}: {error}"))
}

fn printed(model: &Model) -> String {
    print_model(model, &Form { types: false, ..Form::brief() })
}
