#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;

use super::text::{MAX_FIXPOINT_DEPTH, parse};
use super::*;
use crate::options::{Pattern, Ratio};
use crate::{option_enum, options};

option_enum! {
    /// Where channels compete.
    pub(super) enum Scope {
        /// Across the model.
        Global,
        /// Inside each group.
        Group,
    }
}

options! {
    /// Removes the channels that matter
    /// least.
    ///
    /// The rest of the story.
    pub(super) struct Prune {
        /// Part to remove.
        ratio: Ratio = Ratio::HALF,
        /// Where channels compete.
        scope: Scope = Scope::Global,
        /// Names to leave alone.
        keep: Vec<Pattern> = Vec::new(),
    }
}

options! {
    /// Computes what is constant.
    pub(super) struct Fold;
}

/// The pass object of these tests: its own description.
type Told = String;

fn registry() -> Registry<Told> {
    let mut registry = Registry::default();
    registry.add(PassSpec::of::<Fold>("fold-constants"), |_: Fold| "fold".to_owned()).unwrap();
    registry.add(PassSpec::of::<Prune>("prune-channels").lossy(true), |it: Prune| format!("{it:?}")).unwrap();
    registry.add_preset("simplify", "Smaller, with the same numbers.", "fixpoint(fold-constants)").unwrap();
    registry.add_preset("small", "Smaller.", "simplify,prune-channels{ratio=0.3},simplify").unwrap();
    registry
}

/// What `text` is refused with.
fn refused(text: &str) -> String {
    match registry().pipeline(text) {
        Ok(pipeline) => panic!("resolved to `{pipeline}`"),
        Err(error) => error.render(text, false),
    }
}

#[test]
fn every_default_is_spelled_out() {
    let pipeline = registry().pipeline("fold-constants,prune-channels{scope=group}").unwrap();
    let spelled = "fold-constants,prune-channels{ratio=0.5, scope=group, keep=[]}";
    assert_eq!(pipeline.to_string(), spelled);
    assert_eq!(registry().pipeline(spelled).unwrap().to_string(), spelled);
}

#[test]
fn presets_stand_for_their_items() {
    let pipeline = registry().pipeline("small,fixpoint(simplify,fold-constants)").unwrap();
    assert_eq!(
        pipeline.to_string(),
        "fixpoint(fold-constants),prune-channels{ratio=0.3, scope=global, keep=[]},fixpoint(fold-constants),\
         fixpoint(fixpoint(fold-constants),fold-constants)"
    );
}

#[test]
fn steps_hold_the_pass_and_its_description() {
    let pipeline = registry().pipeline("prune-channels{keep=[head]}").unwrap();
    let [Step::Pass(step)] = pipeline.steps.as_slice() else { panic!("one pass") };
    assert!(step.pass.starts_with("Prune { ratio: Ratio(0.5), scope: Global, keep: [Pattern("));
    assert_eq!(step.spec.summary, "Removes the channels that matter least.");
    assert!(step.spec.lossy && step.spec.doc.ends_with("story."));
}

#[test]
fn an_unknown_pass_is_told_the_nearest() {
    insta::assert_snapshot!(refused("simplify,prune-chanels{ratio=0.5}"), @"
    error: unknown pass `prune-chanels`
     --> pipeline:1:10
      |
    1 | simplify,prune-chanels{ratio=0.5}
      |          ^^^^^^^^^^^^^
      |
      = help: did you mean `prune-channels`?
    ");
    insta::assert_snapshot!(refused("quantize"), @"
    error: unknown pass `quantize`
     --> pipeline:1:1
      |
    1 | quantize
      | ^^^^^^^^
      |
      = help: passes and presets are `simplify`, `small`, `fold-constants`, `prune-channels`
    ");
    insta::assert_snapshot!(refused("fixpoint{a=1}"), @"
    error: unknown pass `fixpoint`
     --> pipeline:1:1
      |
    1 | fixpoint{a=1}
      | ^^^^^^^^
      |
      = help: `fixpoint` takes a pipeline in parentheses, as in `fixpoint(a,b)`
    ");
}

#[test]
fn an_unknown_option_is_told_the_nearest() {
    insta::assert_snapshot!(refused("simplify,prune-channels{rato=0.5}"), @"
    error: `prune-channels`: unknown option `rato`
     --> pipeline:1:25
      |
    1 | simplify,prune-channels{rato=0.5}
      |                         ^^^^
      |
      = help: did you mean `ratio`?
    ");
    insta::assert_snapshot!(refused("prune-channels{ratio=0.5, budget=3}"), @"
    error: `prune-channels`: unknown option `budget`
     --> pipeline:1:27
      |
    1 | prune-channels{ratio=0.5, budget=3}
      |                           ^^^^^^
      |
      = help: its options are `ratio`, `scope`, `keep`
    ");
    insta::assert_snapshot!(refused("fold-constants{limit=3}"), @"
    error: `fold-constants`: unknown option `limit`
     --> pipeline:1:16
      |
    1 | fold-constants{limit=3}
      |                ^^^^^
      |
      = help: it has no options
    ");
    insta::assert_snapshot!(refused("simplify{limit=3}"), @"
    error: preset `simplify` takes no options
     --> pipeline:1:10
      |
    1 | simplify{limit=3}
      |          ^^^^^
      |
      = help: it stands for `fixpoint(fold-constants)`, whose options can be set where they are written out
    ");
}

#[test]
fn a_repeated_option_is_told_the_first() {
    insta::assert_snapshot!(refused("prune-channels{\n  ratio=0.5\n  ratio=0.6\n}"), @"
    error: `prune-channels`: option `ratio` is given twice
     --> pipeline:3:3
      |
    2 |   ratio=0.5
      |   ----- first given here
    3 |   ratio=0.6
      |   ^^^^^
    ");
}

/// What lies between two marks is shown whole, so a mark that is far off is left out.
#[test]
fn a_repetition_far_off_is_told_alone() {
    let keep = "a".repeat(100_000);
    assert!(refused(&format!("prune-channels{{keep=[{keep}] keep=[]}}")).len() < 1_000);
}

#[test]
fn messages_repeat_names_and_values_clipped() {
    let long = "a".repeat(100_000);
    let texts = [
        long.clone(),
        format!("prune-channels{{{long}}}"),
        format!("prune-channels{{ratio={long}}}"),
        format!("prune-channels{{scope=[{long}]}}"),
    ];
    for text in texts {
        assert!(refused(&text).len() < 1_000);
    }
}

#[test]
fn a_bad_value_is_told_what_is_right() {
    insta::assert_snapshot!(refused("prune-channels{ratio=1.5}"), @"
    error: `prune-channels`: option `ratio` takes a number in [0, 1), found `1.5`
     --> pipeline:1:22
      |
    1 | prune-channels{ratio=1.5}
      |                      ^^^
    ");
    insta::assert_snapshot!(refused("prune-channels{ratio}"), @"
    error: `prune-channels`: option `ratio` takes a number in [0, 1), found no value
     --> pipeline:1:16
      |
    1 | prune-channels{ratio}
      |                ^^^^^
      |
      = help: write `ratio=VALUE`
    ");
    insta::assert_snapshot!(refused("prune-channels{scope=globall}"), @"
    error: `prune-channels`: option `scope` takes `global` or `group`, found `globall`
     --> pipeline:1:22
      |
    1 | prune-channels{scope=globall}
      |                      ^^^^^^^
      |
      = help: did you mean `global`?
    ");
    insta::assert_snapshot!(refused("prune-channels{keep=[a, [b]]}"), @"
    error: `prune-channels`: option `keep` takes a name pattern, found `[b]`
     --> pipeline:1:25
      |
    1 | prune-channels{keep=[a, [b]]}
      |                         ^^^
    ");
    insta::assert_snapshot!(refused("prune-channels{keep=a}"), @"
    error: `prune-channels`: option `keep` takes a list, each a name pattern, found `a`
     --> pipeline:1:21
      |
    1 | prune-channels{keep=a}
      |                     ^
      |
      = help: lists stand in brackets, as in `[a, b]`
    ");
}

#[test]
fn one_line_says_it_without_the_text() {
    let error = registry().pipeline("prune-channels{rato=0.5}").unwrap_err();
    insta::assert_snapshot!(error, @"`prune-channels`: unknown option `rato` (at byte 15 of the pipeline); did you mean `ratio`?");
}

/// The printed pipeline must parse, so what a preset adds to the depth counts.
#[test]
fn depth_counts_what_presets_add() {
    let nested = |depth: usize| format!("{}simplify{}", "fixpoint(".repeat(depth), ")".repeat(depth));
    let deepest = registry().pipeline(&nested(MAX_FIXPOINT_DEPTH - 1)).unwrap();
    assert!(parse(&deepest.to_string()).is_ok());
    insta::assert_snapshot!(refused(&nested(MAX_FIXPOINT_DEPTH)), @"
    error: `fixpoint` groups nest more than 8 deep
     --> pipeline:1:73
      |
    1 | fixpoint(fixpoint(fixpoint(fixpoint(fixpoint(fixpoint(fixpoint(fixpoint(simplify))))))))
      |                                                                         ^^^^^^^^
    ");
}

#[test]
fn what_cannot_be_registered_says_why() {
    let mut registry = registry();
    let mut add = |name| registry.add(PassSpec::of::<Fold>(name), |_: Fold| String::new()).unwrap_err().to_string();
    let passes = ["simplify", "fold-constants", "Fold", "fixpoint", ""].map(&mut add);
    let mut add_preset = |name, text| registry.add_preset(name, "", text).unwrap_err().to_string();
    let presets = [add_preset("loop", "fold-constants,loop"), add_preset("open", "fixpoint("), add_preset("small", "")];
    insta::assert_snapshot!([passes.join("\n"), presets.join("\n")].join("\n"), @"
    the name `simplify` is taken by a preset
    the name `fold-constants` is taken by a pass
    `Fold` is no name for a pass: small letters, digits, `-` and `.`, a letter first, not `fixpoint`
    `fixpoint` is no name for a pass: small letters, digits, `-` and `.`, a letter first, not `fixpoint`
    `` is no name for a pass: small letters, digits, `-` and `.`, a letter first, not `fixpoint`
    preset `loop`: unknown pass `loop` (at byte 15 of the pipeline); passes and presets are `simplify`, `small`, `fold-constants`, `prune-channels`
    preset `open`: this parenthesis is never closed (at byte 8 of the pipeline)
    the name `small` is taken by a preset
    ");
}

fn item() -> impl Strategy<Value = String> {
    let option = prop_oneof![
        (0.0..1.2).prop_map(|ratio: f64| format!("ratio={ratio}")),
        Just("scope=group".to_owned()),
        "keep=\\[[a-z*?]{1,4}(, [a-z*?]{1,4}){0,2}\\]",
    ];
    let prune =
        prop::collection::vec(option, 0..3).prop_map(|options| format!("prune-channels{{{}}}", options.join(" ")));
    let names = prop::sample::select(vec!["fold-constants", "simplify", "small", "unknown"]).prop_map(str::to_owned);
    prop_oneof![4 => prune, 4 => names].prop_recursive(2, 8, 3, |inner| {
        prop::collection::vec(inner, 0..3).prop_map(|items| format!("fixpoint({})", items.join(",")))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// What resolves prints as text that resolves to the same; what does not has an error that can be shown.
    #[test]
    fn a_printed_pipeline_repeats_it(items in prop::collection::vec(item(), 0..4)) {
        let (registry, text) = (registry(), items.join(","));
        match registry.pipeline(&text) {
            Ok(pipeline) => {
                let printed = pipeline.to_string();
                let again = registry.pipeline(&printed).map_err(|error| error.render(&printed, false));
                prop_assert_eq!(again.map(|again| again.to_string()), Ok(printed));
            }
            Err(error) => prop_assert!(!error.render(&text, false).is_empty()),
        }
    }
}
