//! Numbers as text, the way `Cast` writes and reads them.

/// Significant digits of a float in text; what runtimes print (C's `%.8g`), for binary64 too.
const DIGITS: usize = 8;

/// A number in text: eight significant digits without trailing zeros, an exponent for very small and very large ones.
pub(super) fn of_float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "INF" } else { "-INF" }.to_owned();
    }
    let scientific = format!("{value:.*e}", DIGITS - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..DIGITS as i32).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", without_trailing_zeros(mantissa), exponent.unsigned_abs());
    }
    let decimals = usize::try_from(DIGITS as i32 - 1 - exponent).unwrap_or(0);
    without_trailing_zeros(&format!("{value:.decimals$}")).to_owned()
}

fn without_trailing_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// The number that the text tells; infinities and NaN in any case.
pub(super) fn to_float(text: &[u8]) -> Option<f64> {
    // Rust reads `inf` and `nan` in any case, with a sign or without.
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

/// The whole number that the text tells.
pub(super) fn to_whole(text: &[u8]) -> Option<i128> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_print_as_runtimes_do() {
        let printed: Vec<_> =
            [300.0, -1.0, 1e6, 1e-7, f64::from(0.1f32), 123_456_789.0, 1.0 / 3.0, 0.0001, 12_345_678.4]
                .into_iter()
                .map(of_float)
                .collect();
        assert_eq!(
            printed,
            ["300", "-1", "1000000", "1e-07", "0.1", "1.2345679e+08", "0.33333333", "0.0001", "12345678"]
        );
        assert_eq!([of_float(f64::NAN), of_float(f64::NEG_INFINITY), of_float(-0.0)], ["NaN", "-INF", "-0"]);
    }

    #[test]
    fn numerals_are_read_in_any_case() {
        assert_eq!(to_float(b"-Inf"), Some(f64::NEG_INFINITY));
        assert_eq!(to_float(b"1E8"), Some(1e8));
        assert_eq!(to_float(b"0x10"), None);
        assert_eq!(to_whole(b"9223372036854775807"), Some(i128::from(i64::MAX)));
        assert_eq!(to_float(&[0xff]), None);
    }
}
