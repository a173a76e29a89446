#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::pipeline::Problem;

/// What `text` is printed as.
fn canonical(text: &str) -> String {
    parse(text).unwrap_or_else(|error| panic!("{}", error.render(text, false))).to_string()
}

/// What `text` is refused with.
fn refused(text: &str) -> String {
    match parse(text) {
        Ok(ast) => panic!("parsed as `{ast}`"),
        Err(error) => error.render(text, false),
    }
}

#[test]
fn white_space_and_separators_are_free() {
    let spelled = "simplify,prune{ratio=0.5, keep-io=true},fixpoint(fold,cse)";
    assert_eq!(canonical(spelled), spelled);
    assert_eq!(canonical("simplify,prune{ratio=0.5 keep-io},fixpoint(fold,cse)"), spelled);
    assert_eq!(canonical(" simplify ,\n\tprune { ratio = 0.5\n , keep-io } , fixpoint ( fold , cse ) \n"), spelled);
}

#[test]
fn nothing_is_a_pipeline() {
    for empty in ["", " \n\t "] {
        assert_eq!(parse(empty).unwrap(), Ast::default());
    }
    assert_eq!(canonical("fixpoint( )"), "fixpoint()");
    assert_eq!(canonical("prune{ }"), "prune");
}

#[test]
fn values_keep_their_spelling() {
    assert_eq!(
        canonical("p{a=1e-3 b=/layer1/conv*:0 c=[] d=[x, [1 , 2]] e=C:\\x f=größe}"),
        "p{a=1e-3, b=/layer1/conv*:0, c=[], d=[x,[1,2]], e=C:\\x, f=größe}"
    );
}

#[test]
fn strings_are_printed_in_double_quotes_with_escapes() {
    assert_eq!(
        canonical(r#"p{a='it "is"' b="a, b" c="" d="\u{1b}\n\\\'\u{e9}"}"#),
        r#"p{a="it \"is\"", b="a, b", c="", d="\u{1b}\n\\'é"}"#
    );
}

/// The word without parentheses is a name like any other here: that no pass has it is not for the grammar to say.
#[test]
fn fixpoint_opens_a_group_only_before_a_parenthesis() {
    assert_eq!(canonical("fixpoint,fixpoint{a=1}"), "fixpoint,fixpoint{a=1}");
}

#[test]
fn spans_are_byte_ranges_of_what_they_name() {
    let text = "é,prune{ratio = [ 0.5 ] quick}";
    let ast = parse(text).unwrap();
    let at = |span: Span| &text[span.start..span.end];
    assert_eq!(at(ast.items[0].span), "é");
    assert_eq!(at(ast.items[1].span), "prune{ratio = [ 0.5 ] quick}");
    let Item::Pass(call) = &ast.items[1].it else { panic!("a group") };
    assert_eq!(at(call.name.span), "prune");
    assert_eq!(at(call.options[0].value.span), "[ 0.5 ]");
    assert!(call.options[1].is_bare() && !call.options[0].is_bare());
}

#[test]
fn a_missing_name_is_pointed_at() {
    insta::assert_snapshot!(refused("simplify,"), @"
    error: expected a pass name, found the end of the text
     --> pipeline:1:10
      |
    1 | simplify,
      |          ^
    ");
    insta::assert_snapshot!(refused("simplify,\n  ,cse"), @"
    error: expected a pass name, found `,`
     --> pipeline:2:3
      |
    2 |   ,cse
      |   ^
    ");
}

#[test]
fn what_follows_a_name_is_pointed_at() {
    insta::assert_snapshot!(refused("simplify quantize"), @"
    error: expected `,` or the end of the text, found `quantize`
     --> pipeline:1:10
      |
    1 | simplify quantize
      |          ^^^^^^^^
      |
      = help: passes are separated by commas
    ");
    insta::assert_snapshot!(refused("prune(ratio=0.5)"), @"
    error: expected `,` or the end of the text, found `(`
     --> pipeline:1:6
      |
    1 | prune(ratio=0.5)
      |      ^
      |
      = help: options stand in braces, as in `name{key=value}`; only `fixpoint` takes parentheses
    ");
    insta::assert_snapshot!(refused("a)"), @"
    error: expected `,` or the end of the text, found `)`
     --> pipeline:1:2
      |
    1 | a)
      |  ^
    ");
    insta::assert_snapshot!(refused("fixpoint(a;b c)"), @"
    error: expected `,` or `)`, found `c`
     --> pipeline:1:14
      |
    1 | fixpoint(a;b c)
      |              ^
      |
      = help: passes are separated by commas
    ");
}

#[test]
fn what_is_wrong_between_braces_is_pointed_at() {
    insta::assert_snapshot!(refused("p{,}"), @"
    error: expected an option name, found `,`
     --> pipeline:1:3
      |
    1 | p{,}
      |   ^
    ");
    insta::assert_snapshot!(refused("p{a=}"), @"
    error: expected a value, found `}`
     --> pipeline:1:5
      |
    1 | p{a=}
      |     ^
    ");
    insta::assert_snapshot!(refused("p{a='x'b=1}"), @"
    error: expected `,`, a space or `}`, found `b`
     --> pipeline:1:8
      |
    1 | p{a='x'b=1}
      |        ^
    ");
    insta::assert_snapshot!(refused("p{a=[1 2]}"), @"
    error: expected `,` or `]`, found `2`
     --> pipeline:1:8
      |
    1 | p{a=[1 2]}
      |        ^
    ");
}

#[test]
fn what_is_never_closed_is_pointed_at() {
    insta::assert_snapshot!(refused("fixpoint(a,b"), @"
    error: this parenthesis is never closed
     --> pipeline:1:9
      |
    1 | fixpoint(a,b
      |         ^
    ");
    insta::assert_snapshot!(refused("p{a=[1,"), @"
    error: this bracket is never closed
     --> pipeline:1:5
      |
    1 | p{a=[1,
      |     ^
    ");
    insta::assert_snapshot!(refused("p{a=1,\n  b=2 "), @"
    error: this brace is never closed
     --> pipeline:1:2
      |
    1 | p{a=1,
      |  ^
    ");
    insta::assert_snapshot!(refused(r#"p{name="conv},simplify"#), @r#"
    error: this quote is never closed
     --> pipeline:1:8
      |
    1 | p{name="conv},simplify
      |        ^
    "#);
}

#[test]
fn an_unknown_escape_is_pointed_at() {
    insta::assert_snapshot!(refused(r#"p{file="C:\models"}"#), @r#"
    error: unknown escape `\m`
     --> pipeline:1:11
      |
    1 | p{file="C:\models"}
      |           ^^
      |
      = help: the escapes are \n \r \t \\ \" \' and \u{HEX}, as in \u{e9}
    "#);
    insta::assert_snapshot!(refused(r#"p{file="\u{d800}"}"#), @r#"
    error: unknown escape `\u{d800}`
     --> pipeline:1:9
      |
    1 | p{file="\u{d800}"}
      |         ^^^^^^^^
      |
      = help: the escapes are \n \r \t \\ \" \' and \u{HEX}, as in \u{e9}
    "#);
}

#[test]
fn depth_is_limited() {
    let nested = |open: &str, close: &str, depth| format!("{}{}", open.repeat(depth), close.repeat(depth));
    let groups = |depth| nested("fixpoint(", ")", depth);
    let lists = |depth| format!("p{{a={}}}", nested("[", "]", depth));
    assert!(parse(&groups(MAX_FIXPOINT_DEPTH)).is_ok() && parse(&lists(MAX_LIST_DEPTH)).is_ok());
    insta::assert_snapshot!(refused(&groups(MAX_FIXPOINT_DEPTH + 1)), @"
    error: `fixpoint` groups nest more than 8 deep
     --> pipeline:1:73
      |
    1 | fixpoint(fixpoint(fixpoint(fixpoint(fixpoint(fixpoint(fixpoint(fixpoint(fixpoint()))))))))
      |                                                                         ^^^^^^^^
    ");
    insta::assert_snapshot!(refused(&lists(MAX_LIST_DEPTH + 1)), @"
    error: lists nest more than 8 deep
     --> pipeline:1:13
      |
    1 | p{a=[[[[[[[[[]]]]]]]]]}
      |             ^
    ");
    let problem = parse(&groups(100_000)).unwrap_err().problem().clone();
    assert_eq!(problem, Problem::TooDeep { what: "`fixpoint` groups", limit: MAX_FIXPOINT_DEPTH });
}

/// Messages go to terminals and logs: what they repeat of the text is short and printable.
#[test]
fn messages_repeat_the_text_clipped_and_escaped() {
    insta::assert_snapshot!(parse(&format!("a {}", "b".repeat(100_000))).unwrap_err(), @"expected `,` or the end of the text, found `bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb…` (at byte 2 of the pipeline); passes are separated by commas");
    insta::assert_snapshot!(parse("a\u{1b}[31m").unwrap_err(), @r"expected `,` or the end of the text, found `\u{1b}` (at byte 1 of the pipeline)");
}

/// Nor is a line shown whole when it is long.
#[test]
fn long_lines_are_shown_in_part() {
    let long = "a".repeat(1_000_000);
    for text in [format!("x{{y='{long}"), format!("x {long}"), format!("{long} x")] {
        assert!(refused(&text).len() < 1_000);
    }
}

/// Shown over another text an error points at nothing sensible, and does not fail either.
#[test]
fn an_error_renders_over_any_text() {
    let error = parse("some-pass{a=").unwrap_err();
    for other in ["", "é", "a\nb", "日本語日本語"] {
        assert!(error.render(other, true).contains("never closed"));
    }
}

#[test]
fn colour_adds_escapes_and_nothing_else() {
    let error = parse("a b").unwrap_err();
    assert!(!error.render("a b", false).contains('\u{1b}'));
    assert!(error.render("a b", true).contains('\u{1b}'));
}

fn word() -> impl Strategy<Value = Word> {
    let any = vec(any::<char>().prop_filter("may stand in a word", |c| Word::may_hold(*c)), 1..8);
    let any = any.prop_map(|chars| chars.into_iter().collect::<String>());
    prop_oneof!["[a-z][a-z0-9-]{0,8}", Just(FIXPOINT.to_owned()), any].prop_map(|text| Word::new(text).unwrap())
}

fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![any::<String>(), "[ \\\\\"'\n{}a-c]{0,6}"];
    let leaf = prop_oneof![word().prop_map(Value::Word), text.prop_map(Value::Quoted)];
    leaf.prop_recursive(3, 12, 4, |inner| vec(inner.prop_map(Spanned::from), 0..4).prop_map(Value::List))
}

fn ast() -> impl Strategy<Value = Ast> {
    let option = (word(), value()).prop_map(|(key, value)| OptionArg { key: key.into(), value: value.into() });
    let call = (word(), vec(option, 0..4)).prop_map(|(name, options)| PassCall { name: name.into(), options });
    let pipeline = |item: BoxedStrategy<Item>| vec(item.prop_map(Spanned::from), 0..4).prop_map(|items| Ast { items });
    let item =
        call.prop_map(Item::Pass).prop_recursive(3, 16, 4, move |inner| pipeline(inner).prop_map(Item::Fixpoint));
    pipeline(item.boxed())
}

/// Text that is nearly a pipeline, which random characters never are.
fn almost_text() -> impl Strategy<Value = String> {
    let token =
        prop_oneof!["[,{}\\[\\]()=\"' \n\\\\]", Just("fixpoint(".to_owned()), Just("\\u{".to_owned()), "[a-zé]{1,3}",];
    vec(token, 0..24).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn printing_parses_back(ast in ast()) {
        let text = ast.to_string();
        prop_assert_eq!(parse(&text).map_err(|error| error.render(&text, false)), Ok(ast));
    }

    /// Any text parses or is refused with an error that can be shown; what parses is canonical when printed once.
    #[test]
    fn no_text_panics(text in prop_oneof![any::<String>(), almost_text()]) {
        match parse(&text) {
            Ok(ast) => prop_assert_eq!(canonical(&ast.to_string()), ast.to_string()),
            Err(error) => prop_assert!(!error.render(&text, false).is_empty()),
        }
    }
}
