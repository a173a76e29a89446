#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;

use super::*;
use crate::pipeline::text::{Item, parse};
use crate::{option_enum, options};

option_enum! {
    /// Where channels compete.
    pub(super) enum Scope {
        /// Across the model.
        Global,
        /// Inside each coupled group.
        PerGroup,
    }
}

options! {
    /// Removes channels
    /// that matter least.
    ///
    /// Together with all that reads them.
    pub(super) struct Prune {
        /// Part of the channels to remove.
        ratio: Ratio = Ratio::HALF,
        /// Where channels compete.
        scope: Scope = Scope::Global,
        /// Leave inputs and outputs
        /// as they are.
        keep_io: bool = true,
        /// Layers to leave alone.
        r#except: Vec<Pattern> = vec![Pattern::new("/head/*")],
        /// Weights to stop at.
        max_size: Option<ByteSize> = None,
    }
}

options! {
    /// Nothing to choose.
    pub(super) struct Plain;
}

fn args(text: &str) -> Vec<OptionArg> {
    match parse(&format!("p{{{text}}}")).unwrap().items.remove(0).it {
        Item::Pass(call) => call.options,
        Item::Fixpoint(_) => panic!("a group"),
    }
}

fn read<T: OptionType>(text: &str) -> Result<T, BadValue> {
    T::parse(&args(&format!("k={text}")).remove(0).value)
}

/// What a `T` says to each of `texts`, a line each.
fn all_refused<T: OptionType + Debug>(texts: &[&str]) -> String {
    let line = |text: &&str| match read::<T>(text) {
        Ok(it) => panic!("`{text}` was read as {it:?}"),
        Err(bad) => match bad.help {
            Some(help) => format!("{}: not {} ({help})\n", bad.expected, bad.found),
            None => format!("{}: not {}\n", bad.expected, bad.found),
        },
    };
    texts.iter().map(line).collect()
}

#[test]
fn every_option_is_documented_from_the_declaration() {
    assert_eq!(Prune::doc(), "Removes channels\nthat matter least.\n\nTogether with all that reads them.");
    let table: String = Prune::specs()
        .iter()
        .map(|spec| format!("{} = {}: {} | {:?}\n", spec.name, spec.default, spec.type_name, spec.doc))
        .collect();
    insta::assert_snapshot!(table, @r#"
    ratio = 0.5: number in [0, 1) | "Part of the channels to remove."
    scope = global: `global` or `per-group` | "Where channels compete."
    keep-io = true: `true` or `false` | "Leave inputs and outputs\nas they are."
    except = [/head/*]: list, each a name pattern | "Layers to leave alone."
    max-size = none: size such as `10MB`, or `none` | "Weights to stop at."
    "#);
    let choices = Prune::specs()[1].choices;
    assert_eq!(choices[1], Choice { text: "per-group".to_owned(), doc: "Inside each coupled group.".to_owned() });
}

#[test]
fn a_pass_may_have_no_options() {
    assert!(Plain::specs().is_empty());
    assert_eq!(Plain::from_options(&[]).unwrap(), Plain);
    assert_eq!(Plain.to_text(), "");
}

#[test]
fn what_is_not_written_is_the_default() {
    let read = Prune::from_options(&args("scope=per-group, keep-io=false")).unwrap();
    assert_eq!(read, Prune { scope: Scope::PerGroup, keep_io: false, ..Prune::default() });
    assert_eq!(Prune::from_options(&[]).unwrap(), Prune::default());
}

#[test]
fn text_spells_every_option_out() {
    let text = Prune::default().to_text();
    assert_eq!(text, "ratio=0.5, scope=global, keep-io=true, except=[/head/*], max-size=none");
}

#[test]
fn a_number_outside_its_range_is_told_the_range() {
    insta::assert_snapshot!(all_refused::<Ratio>(&[
        "1", "-0.1", "nan", "half", "[0.5]", "\"\""
    ]), @r#"
    a number in [0, 1): not `1`
    a number in [0, 1): not `-0.1`
    a number in [0, 1): not `nan`
    a number in [0, 1): not `half`
    a number in [0, 1): not `[0.5]`
    a number in [0, 1): not `""`
    "#);
    insta::assert_snapshot!(all_refused::<Share>(&["0", "1.01", "1e999"]), @"
    a number in (0, 1]: not `0`
    a number in (0, 1]: not `1.01`
    a number in (0, 1]: not `1e999`
    ");
    insta::assert_snapshot!(all_refused::<u32>(&["-1", "4294967296", "1.5"]), @"
    a non-negative integer: not `-1`
    a non-negative integer: not `4294967296` (the largest is 4294967295)
    a non-negative integer: not `1.5`
    ");
    insta::assert_snapshot!(all_refused::<i64>(&["-9223372036854775809", "x"]), @"
    an integer: not `-9223372036854775809` (the smallest is -9223372036854775808)
    an integer: not `x`
    ");
    insta::assert_snapshot!(all_refused::<f64>(&["inf", "1e999", "0x10"]), @"
    a number: not `inf`
    a number: not `1e999`
    a number: not `0x10`
    ");
}

#[test]
fn other_types_are_told_apart_too() {
    insta::assert_snapshot!(all_refused::<bool>(&["yes", "True", "1"]), @"
    `true` or `false`: not `yes`
    `true` or `false`: not `True`
    `true` or `false`: not `1`
    ");
    insta::assert_snapshot!(all_refused::<Scope>(&["globl", "layer"]), @"
    `global` or `per-group`: not `globl` (did you mean `global`?)
    `global` or `per-group`: not `layer`
    ");
    insta::assert_snapshot!(all_refused::<String>(&["[]"]), @"a string: not `[]`");
    insta::assert_snapshot!(all_refused::<ByteSize>(&[
        "10XB",
        "0.5B",
        "18446744073709551616",
        ".5kB",
        "MB",
        "1.2.3MB"
    ]), @"
    a size such as `10MB`: not `10XB` (a whole number of bytes, in one of `B`, `kB`, `KiB`, `MB`, `MiB`, `GB`, `GiB`, `TB`, `TiB`)
    a size such as `10MB`: not `0.5B` (a whole number of bytes, in one of `B`, `kB`, `KiB`, `MB`, `MiB`, `GB`, `GiB`, `TB`, `TiB`)
    a size such as `10MB`: not `18446744073709551616` (a whole number of bytes, in one of `B`, `kB`, `KiB`, `MB`, `MiB`, `GB`, `GiB`, `TB`, `TiB`)
    a size such as `10MB`: not `.5kB` (a whole number of bytes, in one of `B`, `kB`, `KiB`, `MB`, `MiB`, `GB`, `GiB`, `TB`, `TiB`)
    a size such as `10MB`: not `MB` (a whole number of bytes, in one of `B`, `kB`, `KiB`, `MB`, `MiB`, `GB`, `GiB`, `TB`, `TiB`)
    a size such as `10MB`: not `1.2.3MB` (a whole number of bytes, in one of `B`, `kB`, `KiB`, `MB`, `MiB`, `GB`, `GiB`, `TB`, `TiB`)
    ");
    insta::assert_snapshot!(all_refused::<Option<u64>>(&["\"none\"", "-1"]), @r#"
    a non-negative integer, or `none`: not `"none"`
    a non-negative integer, or `none`: not `-1`
    "#);
    insta::assert_snapshot!(all_refused::<Vec<Ratio>>(&["0.5", "[0.5,2]"]), @"
    a list, each a number in [0, 1): not `0.5` (lists stand in brackets, as in `[a, b]`)
    a number in [0, 1): not `2`
    ");
    insta::assert_snapshot!(all_refused::<Option<Vec<bool>>>(&["[no]", "no"]), @"
    `true` or `false`: not `no`
    a list, each `true` or `false`, or `none`: not `no` (lists stand in brackets, as in `[a, b]`)
    ");
}

#[test]
fn sizes_read_in_any_unit_and_print_in_the_largest_that_fits() {
    let same = |text: &str| read::<ByteSize>(text).unwrap().to_string();
    let spellings =
        ["10MB", "1.5gib", "1500KB", "4096", "1000", "0TB", "0.0010 kB", "1.500KiB", "18446744073709551615B"];
    let printed: Vec<_> = spellings.iter().map(|text| same(&text.replace(' ', ""))).collect();
    assert_eq!(printed.join(" "), "10MB 1536MiB 1500kB 4KiB 1kB 0B 1B 1536B 18446744073709551615B");
}

/// Brackets, slashes and dots mean something in other kinds of pattern, and nothing here.
#[test]
fn patterns_match_whole_names_literally() {
    let matches = |pattern: &str, name: &str| Pattern::new(pattern).matches(name);
    assert!(matches("/layer?/*", "/layer1/conv/Conv") && matches("*", "") && matches("w[0]", "w[0]"));
    assert!(!matches("conv", "conv1") && !matches("w[0]", "w0") && !matches("Conv*", "conv1"));
}

#[test]
fn nothing_and_a_string_that_says_none_differ() {
    let text = |value: Option<&str>| value.map(str::to_owned).to_value().to_string();
    assert_eq!((text(None), text(Some("none"))), ("none".to_owned(), "\"none\"".to_owned()));
    assert_eq!(read::<Option<String>>("none").unwrap(), None);
    assert_eq!(read::<Option<String>>("\"none\"").unwrap().as_deref(), Some("none"));
}

/// The law of [`OptionType`], through the printed text.
fn reads_back<T: OptionType + PartialEq + Debug>(it: &T) -> Result<(), TestCaseError> {
    let text = it.to_value().to_string();
    prop_assert_eq!(&read::<T>(&text).map_err(|bad| bad.expected), &Ok(T::parse(&it.to_value().into()).unwrap()));
    prop_assert_eq!(&read::<T>(&text).unwrap(), it);
    Ok(())
}

fn prune() -> impl Strategy<Value = Prune> {
    let pattern = prop_oneof![any::<String>(), "[a-z/*?.]{0,8}"].prop_map(|text| Pattern::new(&text));
    let fields = (
        (0.0..1.0).prop_map(|ratio| Ratio::new(ratio).unwrap()),
        prop::sample::select(&Scope::ALL),
        any::<bool>(),
        prop::collection::vec(pattern, 0..4),
        prop::option::of(any::<u64>().prop_map(ByteSize)),
    );
    fields.prop_map(|(ratio, scope, keep_io, except, max_size)| Prune { ratio, scope, keep_io, except, max_size })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn options_print_and_read_back(prune in prune()) {
        prop_assert_eq!(Prune::from_options(&args(&prune.to_text())).unwrap(), prune);
    }

    #[test]
    fn values_print_and_read_back(
        number in any::<f64>().prop_filter("has a text", |number| number.is_finite()),
        (integer, natural, seed, count) in any::<(i64, u32, u64, usize)>(),
        text in prop::option::of(prop_oneof![any::<String>(), Just("none".to_owned())]),
        lists in prop::collection::vec(prop::collection::vec(any::<Option<bool>>(), 0..3), 0..3),
    ) {
        reads_back(&number)?;
        reads_back(&(integer as f64 / u64::MAX as f64))?;
        reads_back(&integer)?;
        reads_back(&natural)?;
        reads_back(&seed)?;
        reads_back(&count)?;
        reads_back(&text)?;
        reads_back(&text.unwrap_or_default())?;
        reads_back(&lists)?;
        reads_back(&Share::new(seed.max(1) as f64 / u64::MAX as f64).unwrap())?;
    }
}

#[test]
fn values_by_name_print_back() {
    let own = read::<Vec<ByName<Ratio>>>(r#"["head*=0.25", "a b=0.5"]"#).unwrap();
    assert_eq!(own.to_value().to_string(), r#"["head*=0.25","a b=0.5"]"#);
    assert!(own[0].pattern.matches("head.weight"));
    insta::assert_snapshot!(all_refused::<ByName<Ratio>>(&["0.5", "\"a=2\"", "\"=0.5\""]), @r#"
    a string `PATTERN=VALUE`, the value a number in [0, 1): not `0.5`
    a string `PATTERN=VALUE`, the value a number in [0, 1): not `"a=2"`
    a string `PATTERN=VALUE`, the value a number in [0, 1): not `"=0.5"`
    "#);
}
