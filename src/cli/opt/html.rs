//! The report as a page: one file without scripts or links, to be mailed and kept.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::channels::Cuts;
use super::report::{OptReport, Pass};
use crate::inspect::human;

const STYLE: &str = "
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em; color: #222 }
code { font: 13px/1.4 ui-monospace, monospace; overflow-wrap: anywhere }
table { border-collapse: collapse; width: 100%; margin: 1em 0 }
th, td { text-align: left; vertical-align: top; padding: .3em .8em .3em 0; border-bottom: 1px solid #ddd }
td.number, th.number { text-align: right; white-space: nowrap }
.bar { background: #e4e8ee; height: .7em; min-width: 12em } .bar div { background: #3568a8; height: 100% }
.width { min-width: 12em } .width > div { background: #e4e8ee; height: .7em } .width div div { background: #3568a8; height: 100% }
.notice { background: #fff6dd; padding: .4em .8em; margin: .4em 0 }
summary { cursor: pointer; color: #555 }
";

/// The page.
pub(super) fn page(report: &OptReport) -> String {
    let (before, after) = (&report.input, &report.output);
    let sizes = [
        ("nodes", before.size.nodes as u64, after.size.nodes as u64, ""),
        ("parameters", before.size.parameters, after.size.parameters, ""),
        ("multiply-accumulates", before.size.all_macs(), after.size.all_macs(), ""),
        ("bytes", before.bytes, after.bytes, "B"),
    ];
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { "onnxpress: " (before.path) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { code { (before.path) } " → " code { (after.path) } }
                p { (report.check.sentence()) }
                @for notice in &report.notices { div.notice { (notice) } }
                table {
                    tr { th { "" } th.number { "before" } th.number { "after" } th.number { "" } th { "" } }
                    @for (what, before, after, unit) in sizes { (size(what, before, after, unit)) }
                }
                h2 { "Passes" }
                p { code { (if report.pipeline.is_empty() { "(empty)" } else { &report.pipeline }) } }
                table {
                    tr { th { "pass" } th { "applied" } th { "left alone" } th.number { "nodes" } th.number { "ms" } }
                    @for one in &report.passes { (pass(one)) }
                }
                @for cuts in report.passes.iter().filter_map(|pass| pass.channels.as_ref()) { (channels(cuts)) }
            }
        }
    }
    .into_string()
}

fn size(what: &str, before: u64, after: u64, unit: &str) -> Markup {
    let share = if before > 0 { 100.0 * after as f64 / before as f64 } else { 100.0 };
    html! {
        tr {
            td { (what) }
            td.number { (human(before)) (unit) }
            td.number { (human(after)) (unit) }
            td.number { (format!("{share:.1} %")) }
            td { div.bar { div style=(format!("width: {:.1}%", share.min(100.0))) {} } }
        }
    }
}

fn channels(cuts: &Cuts) -> Markup {
    let widest = cuts.groups.iter().map(|cut| cut.channels[0]).max().unwrap_or(1).max(1);
    let share = |count: usize| format!("width: {:.1}%", 100.0 * count as f64 / widest as f64);
    let arrow = |[before, after]: [u64; 2]| format!("{} → {}", human(before), human(after));
    html! {
        h2 { "Channels" }
        table {
            tr { th { "group" } th.number { "channels" } th.number { "parameters" } th.number { "MACs" } th.number { "bytes" } th { "" } }
            @for cut in &cuts.groups {
                tr {
                    td { code { (cut.name) } }
                    td.number { (cut.channels[0]) " → " (cut.channels[1]) }
                    @for cost in [cut.cost.map(|cost| cost.parameters), cut.cost.map(|cost| cost.macs), cut.cost.map(|cost| cost.bytes)] {
                        td.number { (cost.map(arrow).unwrap_or_default()) }
                    }
                    td { div.width { div style=(share(cut.channels[0])) { div style=(format!("width: {:.1}%", 100.0 * cut.channels[1] as f64 / cut.channels[0].max(1) as f64)) {} } } }
                }
            }
            @if let Some(total) = cuts.total {
                tr {
                    td { "whole model" }
                    td {}
                    @for cost in [total.parameters, total.macs, total.bytes] { td.number { (arrow(cost)) } }
                    td {}
                }
            }
        }
    }
}

fn pass(pass: &Pass) -> Markup {
    html! {
        tr {
            td { code { (pass.name) } }
            td { @for (rule, times) in &pass.applied { code { (rule) } " " (times) br; } }
            td {
                @for (reason, times) in &pass.declined { (times) " × " (reason) br; }
                @if !pass.sites.is_empty() {
                    details {
                        summary { "site by site" }
                        @for site in &pass.sites { code { (site.site) } ": " (site.reason) " (" (site.rule) ")" br; }
                    }
                }
            }
            td.number { (pass.nodes_before) " → " (pass.nodes_after) }
            td.number { (format!("{:.1}", 1e3 * pass.seconds)) }
        }
    }
}
