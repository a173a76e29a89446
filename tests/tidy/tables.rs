//! The tables of README.md and docs/operators.md, made of the code. `UPDATE_README=1 cargo test --test tidy` writes them anew.

use std::fmt::Write as _;
use std::process::Command;

use onnxpress::ops::axes::Axes;
use onnxpress::ops::{Cost, Effects, Evaluate, Gradient, Infer, Linear, Operator, Quantize, schema, table};

use crate::{root, text};

/// Puts `made` between `<!-- NAME -->` and `<!-- end NAME -->` of a paper, or says that something else stands there.
fn hold(paper: &str, name: &str, made: &str) {
    hold_if(paper, name, made, |there| there == made);
}

fn hold_if(paper: &str, name: &str, made: &str, is_true: impl Fn(&str) -> bool) {
    let whole = text(paper);
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- end {name} -->"));
    let start = whole.find(&open).unwrap_or_else(|| panic!("{paper} has no {open}")) + open.len();
    let end = start + whole[start..].find(&close).unwrap_or_else(|| panic!("{paper} has no {close}"));
    if is_true(&whole[start..end]) {
        return;
    }
    if std::env::var_os("UPDATE_README").is_some() {
        // Tests run side by side, and several hold the same paper.
        static WRITING: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let _writing = WRITING.lock().unwrap();
        let whole = text(paper);
        let start = whole.find(&open).unwrap() + open.len();
        let end = start + whole[start..].find(&close).unwrap();
        std::fs::write(root().join(paper), format!("{}{made}{}", &whole[..start], &whole[end..])).unwrap();
    } else {
        let there = &whole[start..end];
        panic!(
            "`{name}` of {paper} is out of date; UPDATE_README=1 cargo test --test tidy\nthere:\n{there}\nmade:\n{made}"
        );
    }
}

fn onnxpress(args: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onnxpress"));
    command.args(args).current_dir(root()).env_remove("RUST_BACKTRACE").output().unwrap()
}

/// A cell of a table: on one line, without what would end it.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[test]
fn commands() {
    let help = String::from_utf8(onnxpress(&["--help"]).stdout).unwrap();
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let mut made = "| command | what it does |\n|---|---|\n".to_owned();
    for line in listed.filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
        let name = line.split_whitespace().next().unwrap();
        if name == "help" {
            continue;
        }
        let help = String::from_utf8(onnxpress(&[name, "--help"]).stdout).unwrap();
        let summary = help.split("\n\n").next().unwrap();
        writeln!(made, "| `{name}` | {} |", cell(summary)).unwrap();
    }
    hold("README.md", "commands", &made);
}

#[test]
fn passes() {
    let passes = onnxpress::passes::builtin().unwrap();
    let mut made = "| pass | | what it does | options |\n|---|---|---|---|\n".to_owned();
    for pass in passes.passes() {
        let options: Vec<_> =
            pass.options.iter().map(|option| format!("`{}={}` {}", option.name, option.default, option.doc)).collect();
        let kind = if pass.lossy { "lossy" } else { "exact" };
        writeln!(made, "| `{}` | {kind} | {} | {} |", pass.name, cell(&pass.summary), cell(&options.join("; ")))
            .unwrap();
    }
    made.push_str("\n| rule | of | what it does |\n|---|---|---|\n");
    for pass in passes.passes() {
        for rule in &pass.rules {
            let summary = rule.contract.split("\n\n").next().unwrap();
            writeln!(made, "| `{}` | `{}` | {} |", rule.name, pass.name, cell(summary)).unwrap();
        }
    }
    made.push_str("\n| preset | is |\n|---|---|\n");
    for preset in passes.presets() {
        writeln!(made, "| `{}` | `{}` |", preset.name, preset.pipeline).unwrap();
    }
    hold("README.md", "passes", &made);
}

/// The facets, each as what stands in its cell of the full table: what there is, or why there is none.
fn facets(operator: &Operator) -> [(&'static str, Result<String, &'static str>); 8] {
    let yes = || Ok("yes".to_owned());
    [
        (
            "infer",
            match operator.infer {
                Infer::With(_) => yes(),
                Infer::Bodies(_) => Ok("with its bodies".to_owned()),
                Infer::NotPossible(why) => Err(why),
            },
        ),
        (
            "axes",
            match operator.axes {
                Axes::Spec(spec) => Ok(format!("`{spec}`")),
                Axes::With(_) => Ok("by the node".to_owned()),
                Axes::Opaque(why) => Err(why),
            },
        ),
        (
            "evaluate",
            match operator.evaluate {
                Evaluate::With(_) => yes(),
                Evaluate::NotPossible(why) => Err(why),
            },
        ),
        (
            "linear",
            match operator.linear {
                Linear::Layers(_) => yes(),
                Linear::None(why) => Err(why),
            },
        ),
        (
            "quantize",
            match operator.quantize {
                Quantize::Computes => Ok("computes".to_owned()),
                Quantize::Elementwise => Ok("elementwise".to_owned()),
                Quantize::Moves => Ok("moves".to_owned()),
                Quantize::Quantized => Ok("quantized already".to_owned()),
                Quantize::KeepsFloat(why) => Err(why),
            },
        ),
        (
            "cost",
            match operator.cost {
                Cost::Macs(_) => yes(),
                Cost::None(why) => Err(why),
            },
        ),
        (
            "gradient",
            match operator.gradient {
                Gradient::With(_) => yes(),
                Gradient::SpelledOut(_) => Ok("by its parts".to_owned()),
                Gradient::Zero(why) => Ok(format!("zero: {why}")),
                Gradient::NotPossible(why) => Err(why),
            },
        ),
        (
            "effects",
            Ok(match operator.effects {
                Effects::Pure => "pure",
                Effects::Random => "random",
                Effects::OfBodies => "of its bodies",
            }
            .to_owned()),
        ),
    ]
}

/// The data sheets of a domain. The standard's own has no name there.
fn sheets_of(all: &[&'static Operator], domain: &str) -> Vec<&'static Operator> {
    let domain = if domain == "ai.onnx" { "" } else { domain };
    all.iter().copied().filter(|operator| operator.domain == domain).collect()
}

#[test]
fn operators_in_short() {
    let all = table::all();
    let mut made =
        "| domain | operators known | with a data sheet | infer | axes | evaluate | linear | quantize | cost | gradient |\n"
            .to_owned();
    made.push_str("|---|---|---|---|---|---|---|---|---|---|\n");
    for domain in schema::domains() {
        let known = schema::operators(domain).count();
        let sheets: Vec<_> = sheets_of(&all, domain).into_iter().map(facets).collect();
        let has = |facet: usize| sheets.iter().filter(|facets| facets[facet].1.is_ok()).count();
        let counts: Vec<_> = (0..7).map(|facet| has(facet).to_string()).collect();
        writeln!(made, "| `{domain}` | {known} | {} | {} |", sheets.len(), counts.join(" | ")).unwrap();
    }
    hold("README.md", "operators", &made);
}

#[test]
fn operators_in_full() {
    let all = table::all();
    let mut made = String::new();
    for domain in schema::domains() {
        writeln!(made, "\n## {domain}\n").unwrap();
        let sheets = sheets_of(&all, domain);
        if !sheets.is_empty() {
            made.push_str(
                "| operator | versions | infer | axes | evaluate | linear | quantize | cost | gradient | effects |\n",
            );
            made.push_str("|---|---|---|---|---|---|---|---|---|---|\n");
        }
        for operator in &sheets {
            let versions =
                schema::versions(domain, operator.name).iter().map(|schema| schema.since_version.to_string());
            let cells: Vec<_> = facets(operator)
                .into_iter()
                .map(|(_, facet)| match facet {
                    Ok(there) => cell(&there),
                    Err(why) => format!("no: {}", cell(why)),
                })
                .collect();
            let versions = versions.collect::<Vec<_>>().join(", ");
            writeln!(made, "| `{}` | {versions} | {} |", operator.name, cells.join(" | ")).unwrap();
        }
        let rest: Vec<_> = schema::operators(domain)
            .filter(|name| sheets.iter().all(|operator| operator.name != *name))
            .map(|name| format!("`{name}`"))
            .collect();
        if !rest.is_empty() {
            writeln!(made, "\nKnown by their schemas alone, and passed through untouched: {}.", rest.join(", "))
                .unwrap();
        }
    }
    hold("docs/operators.md", "operators", &made);
}

/// Below the README's first command stands what it says, times aside: they are never the same twice.
#[test]
#[cfg(feature = "tract")]
fn the_picture_of_a_run() {
    let readme = text("README.md");
    let command = readme.lines().find_map(|line| line.strip_prefix("cargo run --release -- ")).unwrap();
    let output = onnxpress(&command.split_whitespace().collect::<Vec<_>>());
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{said}");
    let made = format!("```text\n{said}```\n");
    hold_if("README.md", "run", &made, |there| timeless(there) == timeless(&made));
}

/// Without what differs from run to run and from processor to processor: times, and the last digits of rounding errors.
#[cfg(feature = "tract")]
fn timeless(text: &str) -> String {
    let words = text.lines().map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let varies = |at: usize| {
            let number = words[at].trim_matches(|letter: char| !letter.is_ascii_digit()).parse::<f64>().is_ok();
            let unit = words.get(at + 1).is_some_and(|unit| ["ms", "s"].iter().any(|it| unit.starts_with(it)));
            number && (unit || words[at].contains("e-"))
        };
        (0..words.len()).map(|at| if varies(at) { "#" } else { words[at] }).collect::<Vec<_>>().join(" ")
    });
    words.collect::<Vec<_>>().join("\n")
}
