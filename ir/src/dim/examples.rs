//! Dims as a reader of shapes meets them, a line each; `properties` has the proofs.

#![allow(clippy::unwrap_used)]

use super::*;

fn dim(text: &str) -> Dim {
    text.parse().unwrap()
}

/// Each line reads `expression = normal form`.
fn check(lines: &str) {
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (expression, expected) = line.split_once(" = ").unwrap();
        assert_eq!(dim(expression).to_string(), expected, "{expression}");
    }
}

#[test]
fn sums_and_products_have_a_normal_form() {
    check(
        "
        2*N*h - N*h = N*h
        h*N*2 + 1 - 4 = 2*N*h - 3
        (N + 1)*(N - 1) = N^2 - 1
        N - N = 0
        -N + h = -N + h
        1 - 9223372036854775808*N = -9223372036854775808*N + 1
        ?12 + N + ?3 = N + ?3 + ?12
        \"batch size\"*2 = 2*\"batch size\"
    ",
    );
}

#[test]
fn quotients_are_reduced() {
    check(
        "
        floor((2*N*h)/(N*h)) = 2
        floor((64*N)/64) = N
        floor((N*h + N*w)/(h + w)) = N
        floor((N^2 - 1)/(N + 1)) = N - 1
        floor((3*N)/(2*N)) = 1
        floor((N*h)/(h*w)) = floor(N/w)
        floor((N*h + N)/(h*w + w)) = floor(N/w)
        floor((8*N + 7)/8) = N
        floor((8*N + 8)/8) = N + 1
        floor((N - 1)/2) = floor((N + 1)/2) - 1
        floor((4*N + 6)/8) = floor((N + 1)/2)
        floor((4*N + 6*h + 3)/8) = floor((2*N + 3*h + 1)/4)
        floor(floor(N/2)/3) = floor(N/6)
        floor((floor((N + 1)/2) + 1)/2) = floor((N + 3)/4)
        floor(N/(-2)) = -N + floor(N/2)
        floor(7/N) = floor(7/N)
        floor(h/(h + 1)) = 0
        ceil(N/2) = floor((N + 1)/2)
        ceil((4*N)/4) = N
        floor(N/0) = ?
    ",
    );
}

#[test]
fn remainders_are_quotients() {
    check(
        "
        mod(4*N + 3, 4) = 3
        mod(N, 4) = N - 4*floor(N/4)
        mod(mod(N, 4), 2) = N - 2*floor(N/2)
        mod(h*w + w, w) = 0
        4*floor(N/4) + mod(N, 4) = N
        mod(-7, 4) = 1
        mod(7, -4) = -1
    ",
    );
}

#[test]
fn minima_and_maxima_are_decided_by_bounds() {
    check(
        "
        max(N, 3) = max(N, 3)
        max(3, N) = max(N, 3)
        max(N, 0) = N
        max(N, N) = N
        min(N, N + h) = N
        max(N + 1, 4) = max(N, 3) + 1
        max(2*N, 6) = 2*max(N, 3)
        max(max(N, h), max(w, N)) = max(N, h, w)
        min(max(N - 1, 0), N) = max(N, 1) - 1
        max(N - floor(N/2), floor((N + 1)/2)) = floor((N + 1)/2)
        min(mod(N, 8), 7) = N - 8*floor(N/8)
        min(N, 3) + h = h + min(N, 3)
    ",
    );
}

#[test]
fn sizes_are_compared_without_guessing() {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let compare = |l: &str, r: &str| dim(l).compare(&dim(r));
    assert_eq!(compare("N + 1", "N"), Some(Greater));
    assert_eq!(compare("floor(N/2)", "N + 1"), Some(Less));
    assert_eq!(compare("mod(N, h)", "h"), Some(Less));
    assert_eq!(compare("N - floor(N/2)", "ceil(N/2)"), Some(Equal));
    assert_eq!(compare("min(N, h) + max(N, h)", "N + h"), Some(Equal));
    assert_eq!(compare("N", "h"), None);
    assert_eq!(compare("2*N", "N"), None, "N may be 0");
    assert_eq!(compare("?", "?"), None);
    assert_eq!(dim("2*N").equals(&dim("2*h + 1")), Some(false));
    assert_eq!(dim("6*N + 4").divisible_by(2), Some(true));
    assert_eq!(dim("6*N + 4").divisible_by(3), Some(false));
    assert_eq!(dim("6*N + 4").divisible_by(4), None);
    assert_eq!(dim("N - 4*floor(N/4)").upper_bound(), Some(3));
}

#[test]
fn truncation_is_rounding_down_only_where_signs_allow() {
    assert_eq!(dim("N").trunc_div(2), dim("floor(N/2)"));
    assert_eq!(dim("-N").trunc_div(2), dim("-floor(N/2)"));
    assert_eq!(dim("2*N - 6").trunc_div(2), dim("N - 3"));
    assert!(dim("N - 3").trunc_div(2).is_unknown());
    assert_eq!(dim("-7").trunc_div(2), dim("-3"));
}

#[test]
fn sizes_are_found_that_satisfy_an_equation() {
    let n = Symbol::named("N");
    assert_eq!(dim("2*N + 1").solve_for(&n, 9), Some(4));
    assert_eq!(dim("2*N + 1").solve_for(&n, 8), None);
    assert_eq!(dim("floor((N - 1)/2) + 1").solve_for(&n, 112), Some(223));
    assert_eq!(dim("10 - N").solve_for(&n, 3), Some(7));
    assert_eq!(dim("N*h").solve_for(&n, 3), None);
    assert_eq!(dim("N").solve_for(&n, -1), None);
}

#[test]
fn overflow_and_excess_are_unknown() {
    assert!((Dim::from(i64::MAX) + 1).is_unknown());
    assert!((-Dim::from(i64::MIN)).is_unknown());
    assert!(Dim::from(i64::MIN).floor_div(-1).is_unknown());
    let n = Dim::named("N");
    assert!(Dim::product(vec![n.clone(); 40]).is_unknown());
    assert!(Dim::sum((0..100).map(|number| Dim::from(Symbol::Anonymous(number)))).is_unknown());
    let nested = (0..20).fold(n.clone(), |dim, step| (dim * &n + step).floor_div(&n + 7));
    assert!(nested.is_unknown());
    assert!((Dim::unknown() * Dim::from(0)).is_unknown());
}

#[test]
fn errors_point_at_the_text() {
    let error = |text: &str| text.parse::<Dim>().unwrap_err().to_string();
    insta::assert_snapshot!(error("N + "), @"column 5: found the end, expected a number, a symbol, `?` or `(`");
    insta::assert_snapshot!(error("floor(N)"), @"column 8: found `)`, expected `/`");
    insta::assert_snapshot!(error("N h"), @"column 3: found `h`, expected an operator or the end");
    insta::assert_snapshot!(error("99999999999999999999"), @"column 1: found `9`, expected a number of at most 64 bits");
    insta::assert_snapshot!(error(&"(".repeat(1000)), @"column 34: found `(`, expected less nesting");
}
